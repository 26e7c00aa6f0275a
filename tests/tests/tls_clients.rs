//! Clients that speak TLS with a host, those that do not where they have to, and those that only begin to.

use rustix::process::Signal;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use tests::{Authority, Keys, Plan, Ring, sprog, texts, wait_until, zog};

/// Nothing that a test waits for takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a record begins that holds the beginning of a handshake.
const BEGINNING: &[u8] = b"\x16\x03\x01\x02\x00\x01";

/// A ring that is not started, with keys of this CA.
fn with_keys(plan: Plan, tls_clients: &str, authority: &Authority) -> Ring {
    let ring = plan.with(&format!("tls_clients = {tls_clients:?}")).set_up();
    let hosts: Vec<_> = (0..ring.len()).map(|host| ring.name(host)).collect();
    authority.write(&ring.keys_dir(), "lab", &hosts.iter().map(String::as_str).collect::<Vec<_>>());
    ring
}

fn started(plan: Plan, tls_clients: &str) -> Ring {
    let mut ring = with_keys(plan, tls_clients, &Authority::new());
    ring.start_hosts(&(0..ring.len()).collect::<Vec<_>>());
    ring
}

/// What sprog ends with that gives one message to A, and what it says.
fn send(ring: &Ring, config: &Path, text: &str, options: &[&str]) -> Output {
    let mut command = sprog();
    command.current_dir(ring.dir()).arg("--config").arg(config);
    command.args(["-s", "A", "-n", "1", "-m", text, "--timeout", "2s"]).args(options);
    command.output().expect("sprog can be started")
}

#[track_caller]
fn assert_sent(ring: &Ring, config: &Path, text: &str, options: &[&str]) {
    let output = send(ring, config, text, options);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ring.wait_for_text(&(0..ring.len()).collect::<Vec<_>>(), text);
}

/// Expects that sprog cannot give its message to A, and says why, in one line.
#[track_caller]
fn assert_not_sent(ring: &Ring, config: &Path, options: &[&str], why: &str) {
    let output = send(ring, config, "never", options);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.lines().any(|line| line.contains(why)), "{why:?} is missing in: {said}");
    assert!(!ring.access_log(0).contains("never"));
}

/// The ring.toml with another line for TLS of clients, or none.
fn other_config(ring: &Ring, from: &str, to: &str) -> PathBuf {
    let text = fs::read_to_string(ring.config()).expect("ring.toml");
    let path = ring.dir().join("other.toml");
    assert!(text.contains(from));
    fs::write(&path, text.replace(from, to)).expect("another ring.toml");
    path
}

/// A client in TLS, whoever the host is.
fn dial(address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let name = ServerName::try_from("a.test").expect("a name");
    StreamOwned::new(ClientConnection::new(Keys::client(None), name).expect("a client"), stream)
}

/// What a client in TLS is answered.
fn ask(address: SocketAddr, lines: &str) -> String {
    let mut stream = dial(address);
    stream.write_all(lines.as_bytes()).expect("it is read");
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("an answer");
    answer
}

/// Waits until A has told that it has refused a connection for this reason.
#[track_caller]
fn assert_refused(ring: &Ring, reason: &str) {
    ring.wait_for_error(0, &["NOT LET IN", reason]);
}

#[test]
fn a_flood_through_tls_arrives_once_and_questions_are_answered() {
    let ring = Plan::of(3).with_keys().with("tls_clients = \"required\"").start();
    let output =
        ring.sprog().args(["-i", "0", "-n", "20000", "-r", "--log", "sent", "--window", "1000"]).output();
    let output = output.expect("sprog can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for host in 0..3 {
        wait_until("all is logged", || ring.access_log(host).lines().count() >= 20_000);
    }
    let mut verify = zog();
    verify.args(["verify", "--sent", "sent"]).current_dir(ring.dir());
    verify.args((0..3).map(|host| ring.log_dir(host).join("access.log")));
    assert!(verify.output().expect("zog verify can be started").status.success());
    for command in [&["status", "--all"][..], &["who", texts(&ring.access_log(0))[0]]] {
        let mut sprog = sprog();
        sprog.args(command).arg("--config").arg(ring.config());
        let output = sprog.output().expect("sprog can be started");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    for command in [&["status"][..], &["check", "--ring"]] {
        let output = zog().args(command).args(["--name", "A", "--config"]).arg(ring.config()).output();
        let output = output.expect("zog can be started");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{command:?}: {said}");
    }
}

#[test]
fn who_speaks_no_tls_where_it_must_is_told_so_and_counted() {
    let ring = started(Plan::of(2).with_http(), "required");
    let answer = ring.client(0).ask("MSG never");
    assert_eq!(answer, "ERR 502 clients speak TLS with this host: tls_clients = \"required\"");
    assert_refused(&ring, "it speaks no TLS (`tls_clients` in ring.toml)");
    let plain = other_config(&ring, "tls_clients = \"required\"\n", "");
    assert_not_sent(
        &ring,
        &plain,
        &[],
        "ERR 502 clients speak TLS with this host: tls_clients = \"required\"",
    );
    assert!(metrics(&ring).contains("zog_connections_refused_total{reason=\"plain\"} 2"));
    assert_sent(&ring, &plain, "in TLS, as it says itself", &["--tls"]);
}

fn metrics(ring: &Ring) -> String {
    let mut connection = tests::Connection::to(ring.http_address(0));
    connection.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.rest()
}

#[test]
fn who_speaks_tls_where_it_is_off_is_told_so_and_counted() {
    let ring = started(Plan::of(2).with_http(), "off");
    assert_not_sent(
        &ring,
        &ring.config(),
        &["--tls"],
        "it speaks no TLS: it said ERR 502 clients speak no TLS",
    );
    assert_refused(&ring, "it speaks TLS, which is off for clients");
    assert!(metrics(&ring).contains("zog_connections_refused_total{reason=\"tls\"} "));
    ring.client(0).expect("MSG in plain", "OK");
}

#[test]
fn where_tls_is_optional_each_speaks_as_it_likes() {
    let ring = started(Plan::of(2), "optional");
    assert_sent(&ring, &ring.config(), "in plain", &[]);
    assert_sent(&ring, &ring.config(), "in TLS", &["--tls"]);
    assert_eq!(ask(ring.client_address(0), "KEEPALIVE\r\n"), "ACK\r\n");
    ring.client(0).expect("KEEPALIVE", "ACK");
}

#[test]
fn a_host_that_cannot_prove_its_name_gets_nothing_from_sprog() {
    let ours = Authority::new();
    let uri = "zog://lab/A";
    for (keys, why) in [
        (ours.issue(uri, -9..-2), "its certificate has expired, on 20"),
        (ours.issue(uri, 2..9), "its certificate is valid only from 20"),
        (Authority::new().issue(uri, -1..1), "its certificate is of no CA in our ca.pem"),
        (ours.issue("zog://other/A", -1..1), "its certificate is of another ring: zog://other/A"),
        (ours.issue("zog://lab/B", -1..1), "its certificate is not of A: zog://lab/B"),
    ] {
        // The host is the test: a daemon would not take another's certificate for its own.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let ring = with_keys(Plan::of(2), "required", &ours);
        let text = fs::read_to_string(ring.config()).expect("ring.toml");
        let client_port = ring.client_address(0).port();
        fs::write(ring.config(), text.replace(&client_port.to_string(), &port.to_string()))
            .expect("ring.toml");
        let host = std::thread::spawn(move || {
            let mut heard = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                let tls = rustls::ServerConnection::new(keys.server()).expect("a server");
                // How it ends does not matter: who does not trust us breaks it off.
                drop(StreamOwned::new(tls, stream).read_to_end(&mut heard));
                if heard.ends_with(b"end") {
                    break;
                }
            }
            heard
        });
        assert_not_sent(&ring, &ring.config(), &[], why);
        let mut end = dial(SocketAddr::from(([127, 0, 0, 1], port)));
        end.write_all(b"end").expect("the host listens still");
        end.conn.send_close_notify();
        end.flush().expect("the host listens still");
        drop(end);
        assert_eq!(host.join().expect("a host").as_slice(), b"end", "sprog said something to it: {why}");
    }
}

#[test]
fn without_the_ca_nothing_is_tried() {
    let ring = started(Plan::of(2), "required");
    assert_not_sent(&ring, &ring.config(), &["--ca", "missing.pem"], "--ca names the ring's ca.pem");
    let ca = ring.dir().join("elsewhere.pem");
    fs::rename(ring.keys_dir().join("ca.pem"), &ca).expect("a rename");
    assert_not_sent(&ring, &ring.config(), &[], "--ca names the ring's ca.pem");
    assert_sent(&ring, &ring.config(), "with a CA from elsewhere", &["--ca", "elsewhere.pem"]);
}

#[test]
fn a_token_goes_through_tls_and_a_wrong_one_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let tokens = dir.path().join("tokens");
    fs::write(&tokens, "known\n").expect("a file");
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).expect("its mode");
    let ring = started(Plan::of(2).with(&format!("tokens = {:?}", tokens.display().to_string())), "required");
    let token_file = |token: &str| {
        let file = dir.path().join(token);
        fs::write(&file, token).expect("a file");
        file.display().to_string()
    };
    assert_sent(&ring, &ring.config(), "with a token", &["--token-file", &token_file("known")]);
    assert_not_sent(&ring, &ring.config(), &["--token-file", &token_file("guessed")], "ERR 401");
    assert!(ask(ring.client_address(0), "MSG never\r\n").starts_with("ERR 401 "));
    assert!(!ring.access_log(0).contains("never"));
}

/// Whether the host has closed this connection.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket that does not block");
    match stream.read(&mut [0; 256]) {
        Ok(read) => read == 0,
        Err(e) => e.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn a_handshake_that_does_not_get_on_is_closed_like_a_client_that_says_nothing() {
    let ring = started(Plan::of(1).with_limit("first_byte = \"300ms\""), "optional");
    let mut silent = TcpStream::connect(ring.client_address(0)).expect("somebody listens");
    silent.write_all(BEGINNING).expect("it is read");
    wait_until("a handshake that stops is closed", || is_closed(&silent));
    let mut slow = TcpStream::connect(ring.client_address(0)).expect("somebody listens");
    slow.write_all(BEGINNING).expect("it is read");
    wait_until("a handshake of a byte now and then is closed", || {
        let is_over = slow.write_all(b"\x00").is_err() || is_closed(&slow);
        std::thread::sleep(Duration::from_millis(20)); // the pause of somebody slow
        is_over
    });
    let mut wordless = dial(ring.client_address(0));
    wordless.flush().expect("the handshake");
    let mut said = String::new();
    wordless.read_to_string(&mut said).expect("the end");
    assert!(said.starts_with("ERR 300 nothing said"), "{said}");
}

#[test]
fn handshakes_that_are_held_give_way_to_who_goes_on() {
    let ring = started(Plan::of(2).with_http(), "required");
    let held: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(ring.client_address(0)).expect("somebody listens");
            stream.write_all(BEGINNING).expect("it is read");
            stream
        })
        .collect();
    assert_sent(&ring, &ring.config(), "beside the crowd", &[]);
    wait_until("all but 64 are closed", || held.iter().filter(|stream| !is_closed(stream)).count() <= 64);
    assert_refused(&ring, "have begun TLS and not gone on");
    assert!(metrics(&ring).contains("zog_connections_refused_total{reason=\"tls_handshakes\"} 23"));
}

#[test]
fn what_breaks_the_rules_of_tls_is_refused_with_the_reason() {
    let ring = started(Plan::of(1).with_http(), "optional");
    let mut stream = TcpStream::connect(ring.client_address(0)).expect("somebody listens");
    stream.write_all(b"\x16\x03\x01\x00\x05hello\x16\x03\x01\x00\x05hello").expect("it is read");
    wait_until("it is closed", || is_closed(&stream));
    ring.wait_for_error(0, &["NOT LET IN: it cannot be spoken with in TLS: TLS is broken"]);
    assert!(metrics(&ring).contains("zog_connections_refused_total{reason=\"broken_tls\"} 1"));
}

#[test]
fn new_clients_see_renewed_certificates_and_those_that_are_in_stay() {
    let mut ring = started(Plan::of(2), "required");
    let mut before = dial(ring.client_address(0));
    before.write_all(b"KEEPALIVE\r\n").expect("it is read");
    before.read_exact(&mut [0; 5]).expect("ACK");
    fs::copy(ring.keys_dir().join("ca.pem"), ring.dir().join("old.pem")).expect("a copy");
    Authority::new().write(&ring.keys_dir(), "lab", &["A"]);
    ring.daemon(0).signal(Signal::HUP);
    ring.wait_for_error(0, &["KEYS read again"]);
    assert_sent(&ring, &ring.config(), "known by the new CA", &[]);
    assert_not_sent(&ring, &ring.config(), &["--ca", "old.pem"], "its certificate is of no CA in our ca.pem");
    assert_refused(&ring, "it refuses our certificate (");
    before.write_all(b"MSG of one that was in\r\n").expect("it is read");
    before.read_exact(&mut [0; 4]).expect("OK");
    ring.wait_for_text(&[0, 1], "of one that was in");
}
