//! The ring.toml at the top of the tree: it is right, and it is the reference of all keys and defaults.

use pzog::{Scheme, Settings};
use ringfile::{Access, Host, HttpListen, LogSettings, Peers, RingFile};
use std::path::Path;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ring.toml");

#[test]
fn the_lab_stands_in_ring_order() {
    let file = RingFile::load(Path::new(PATH)).unwrap();
    let host = |name: &str, last: u8| Host {
        name: name.to_owned(),
        address: format!("192.168.152.{last}"),
        ring_port: 55551,
        client_address: format!("192.168.152.{last}"),
        client_port: 55552,
        http_port: Some(55550),
        is_retired: false,
    };
    assert_eq!(
        file.hosts,
        [host("MV", 242), host("PA", 252), host("G", 254), host("LA", 253), host("S", 11)]
    );
    assert_eq!(file.ring().len(), 5);
}

#[test]
fn local_hosts_have_ports_of_their_own() {
    let file = RingFile::load(Path::new(PATH)).unwrap().local();
    let ports: Vec<_> =
        file.hosts.iter().map(|h| (h.address.as_str(), h.http_port, h.ring_port, h.client_port)).collect();
    assert_eq!(
        ports,
        [55550, 55560, 55570, 55580, 55590].map(|http| ("127.0.0.1", Some(http), http + 1, http + 2))
    );
}

#[test]
fn a_host_need_not_show_itself() {
    let text = "[[host]]\nname = \"A\"\naddress = \"10.0.0.1\"\nhttp_port = 0\n[http]\nlisten = \"host\"\n";
    let file = RingFile::parse(text, Path::new("ring.toml")).unwrap();
    assert_eq!((file.hosts[0].http_port, file.http), (None, HttpListen::Host));
    assert_eq!(file.local().hosts[0].http_port, None);
}

#[test]
fn hosts_are_found_by_name_or_address() {
    let file = RingFile::load(Path::new(PATH)).unwrap();
    assert_eq!(file.find("LA"), Some(3));
    assert_eq!(file.find("192.168.152.11"), Some(4));
    assert_eq!(file.find("la"), None);
}

/// A comment of the form `#key = value` is a default; explanations have a blank behind the `#`.
#[test]
fn its_comments_show_the_defaults() {
    let shipped = std::fs::read_to_string(PATH).unwrap();
    let given: String = shipped.lines().map(|line| strip(line) + "\n").collect();
    let file = RingFile::parse(&given, Path::new("ring.toml")).unwrap();
    assert_eq!(file.settings, Settings::default());
    assert_eq!(file.scheme, Scheme::default());
    // Where the default is "never", there is no value to show; the comment shows an example.
    let log = LogSettings { rotate_size: None, rotate_age: None, ..file.log };
    assert_eq!(log, LogSettings::default());
    assert_eq!(file.http, HttpListen::default());
    let Access { peers, clients_per_address, .. } = file.access;
    assert_eq!(peers, Peers::default());
    let clients = file.settings.clients_max;
    assert_eq!(clients_per_address, Some(Access::default().of_one_address(clients)));
    assert_eq!(file.keep_free, 0);
}

#[test]
fn it_names_every_key() {
    let shipped = std::fs::read_to_string(PATH).unwrap();
    for key in [
        "scheme",
        "ack",
        "connect",
        "keepalive",
        "peer_silence",
        "client_idle",
        "redial_min",
        "redial_max",
        "name",
        "address",
        "ring_port",
        "client_port",
        "http_port",
        "listen",
        "rotate_size",
        "rotate_age",
        "keep",
        "compress",
        "clients",
        "window",
        "size",
        "age",
        "segment",
        "retired",
        "ack_timeout",
        "client_address",
        "peers",
        "tokens",
        "clients_per_address",
        "lines_per_second",
        "first_byte",
        "keep_free",
    ] {
        let shown = shipped.lines().any(|line| strip(line).starts_with(&format!("{key} = ")));
        assert!(shown, "{key} is not shown in ring.toml");
    }
}

fn strip(line: &str) -> String {
    match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    }
}
