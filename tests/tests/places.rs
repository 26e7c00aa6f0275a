//! Rings whose hosts are named by IPv6 addresses or by names: they are linked, and who comes from elsewhere is not.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use tests::{Connection, Plan, Ring, add_ipv6, with_own_network};

/// A ring of two with these addresses in ring.toml, linked.
fn ring_at(addresses: [&str; 2]) -> Ring {
    let mut ring = Plan::of(2).set_up();
    let mut toml = fs::read_to_string(ring.config()).expect("ring.toml");
    for (host, address) in addresses.iter().enumerate() {
        toml =
            toml.replace(&format!("{:?}", ring.ring_address(host).ip().to_string()), &format!("{address:?}"));
    }
    fs::write(ring.config(), toml).expect("ring.toml");
    ring.start_hosts(&[0, 1]);
    ring
}

/// Messages go both ways, and somebody from an address of this machine that is none of the ring's is refused.
fn assert_works_without(stranger: &str, ring: &Ring, at: [IpAddr; 2]) {
    for (host, ip) in at.into_iter().enumerate() {
        let text = format!("through {}", ring.name(host));
        let clients = SocketAddr::new(ip, ring.client_address(host).port());
        Connection::to(clients).expect(&format!("MSG {text}"), "OK");
        ring.wait_for_text(&[0, 1], &text);
    }
    let mut stranger = Connection::from_to(stranger, SocketAddr::new(at[0], ring.ring_address(0).port()));
    let answer = stranger.line();
    assert!(answer.starts_with("ERR 504 "), "{answer}");
    ring.wait_for_error(0, &["NOT LET IN", "not of this ring"]);
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn hosts_at_ipv6_addresses_are_linked_and_others_are_refused() {
    with_own_network("hosts_at_ipv6_addresses_are_linked_and_others_are_refused", || {
        if !["fd00::1", "fd00::2", "fd00::99"].into_iter().all(add_ipv6) {
            return eprintln!("SKIPPED: there is no IPv6 here");
        }
        for at in [["::1", "::1"], ["fd00::1", "fd00::2"], ["::1", "fd00::2"]] {
            assert_works_without("fd00::99", &ring_at(at), at.map(ip));
        }
    });
}

#[test]
fn hosts_that_are_named_are_linked_and_others_are_refused() {
    let mut ring = ring_at(["localhost", "LOCALHOST"]);
    let ready = ring.daemon(0).stdout();
    let address = ready.split_once("ring=").and_then(|(_, rest)| rest.split(' ').next());
    let at: SocketAddr = address.and_then(|address| address.parse().ok()).expect("where A listens");
    if at.is_ipv6() {
        return eprintln!("SKIPPED: localhost is {at} here, where no stranger can come from");
    }
    assert_works_without("127.0.0.99", &ring, [at.ip(); 2]);
}
