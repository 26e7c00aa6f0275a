//! Who is no host of the ring, whatever it shows or says, on either side of a connection: it is refused in one clear
//! line and counted, and the ring goes on.

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustix::process::Signal;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection, StreamOwned};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use tests::{Authority, Keys, Plan, Ring, wait_until, zog};

const RING: &str = "lab";

/// Nothing that a test waits for takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A ClientHello of TLS 1.2, without the extension in which later versions are offered.
const TLS_1_2: &[u8] = b"\x16\x03\x01\x00\x43\x01\x00\x00\x3f\x03\x03\
    0123456789abcdef0123456789abcdef\x00\x00\x04\xc0\x2b\xc0\x2f\x01\x00\
    \x00\x12\x00\x0a\x00\x04\x00\x02\x00\x17\x00\x0d\x00\x06\x00\x04\x04\x03\x08\x04";

/// What somebody shows who is not what it says.
enum Shown {
    /// These keys, or none, in TLS 1.3.
    Keys(Option<Box<Keys>>),
    /// These bytes, and no TLS.
    Bytes(Vec<u8>),
}

/// Somebody who wants to be host C.
struct Stranger {
    what: &'static str,
    shown: Shown,
    /// The last number of the address in 127.0.0.0/8 that it comes from.
    from: u8,
    /// What stands in error.log.
    refused: &'static str,
}

fn uri(host: &str) -> String {
    format!("zog://{RING}/{host}")
}

fn hello(ring: &Ring) -> String {
    format!("HELLO org.xlattice.pzog/2.0 A C 00000000000000b1 4242 {:016x}\r\n", ring.digest())
}

/// A and B run, C is the test, and all of them have keys of this CA.
fn ring_without_c(authority: &Authority) -> Ring {
    let quick =
        Plan::of(3).with("tls = \"required\"").with("redial_min = \"50ms\"").with("redial_max = \"50ms\"");
    // Else a stranger from elsewhere would not come as far as to show a certificate.
    let open = quick.with("peers = \"any\"");
    let mut ring = open.set_up();
    authority.write(&ring.keys_dir(), RING, &["A", "B", "C"]);
    ring.start_hosts(&[0, 1]);
    ring
}

/// Connects from an address of this machine.
fn dial_from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&socket, &SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0))).expect("an address of ours");
    connect(&socket, &to).expect("somebody listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Says HELLO with these keys, and returns the first line that comes, or why none does.
fn greet(stream: TcpStream, keys: Option<&Keys>, hello: &str) -> String {
    let name = ServerName::try_from("c.test").expect("a name");
    let tls = ClientConnection::new(Keys::client(keys), name).expect("a client");
    let mut stream = StreamOwned::new(tls, stream);
    if let Err(e) = stream.write_all(hello.as_bytes()) {
        return e.to_string();
    }
    let mut line = String::new();
    match BufReader::new(stream).read_line(&mut line) {
        Ok(_) => line,
        Err(e) => e.to_string(),
    }
}

fn stranger(what: &'static str, shown: Shown, refused: &'static str) -> Stranger {
    Stranger { what, shown, from: 3, refused }
}

/// Who shows a certificate that is wrong whoever looks at it.
fn with_wrong_certificates(ours: &Authority) -> Vec<Stranger> {
    const OF_NO_CA: &str = "of no CA in our ca.pem";
    let issued = |uri: &str, days| keys(ours.issue(uri, days));
    vec![
        stranger("expired", issued(&uri("C"), -9..-2), "its certificate has expired, on 20"),
        stranger("not yet valid", issued(&uri("C"), 2..9), "its certificate is valid only from 20"),
        stranger("another CA", keys(Authority::new().issue(&uri("C"), -1..1)), OF_NO_CA),
        stranger("self-signed", keys(Keys::self_signed(&uri("C"))), OF_NO_CA),
        stranger("another ring", issued("zog://other/C", -1..1), "of another ring: zog://other/C"),
    ]
}

fn keys(keys: Keys) -> Shown {
    Shown::Keys(Some(Box::new(keys)))
}

fn bytes(bytes: &[u8]) -> Shown {
    Shown::Bytes(bytes.into())
}

/// Who dials host A.
fn diallers(ours: &Authority) -> Vec<Stranger> {
    const NOT_ITS_NAME: &str = "not the name in your certificate";
    let of = |uri: &str| keys(ours.issue(uri, -1..1));
    let mut diallers = with_wrong_certificates(ours);
    diallers.extend([
        stranger("a name that no host has", of(&uri("X")), "no other host in ring.toml: zog://lab/X"),
        stranger("the host's own name", of(&uri("A")), "no other host in ring.toml: zog://lab/A"),
        stranger("no name", of("https://lab/C"), "it names no host of a ring"),
        stranger("the certificate of B", of(&uri("B")), NOT_ITS_NAME),
        Stranger { from: 2, ..stranger("a stolen name, from the address of B", of(&uri("B")), NOT_ITS_NAME) },
        stranger("no certificate", Shown::Keys(None), "it shows no certificate"),
        stranger("no TLS", bytes(b"HELLO C\r\n"), "it speaks no TLS"),
        stranger("TLS 1.2", bytes(TLS_1_2), "it does not speak TLS 1.3"),
    ]);
    diallers
}

#[test]
fn who_dials_and_is_not_c_is_refused_and_c_is_not() {
    let ours = Authority::new();
    let mut ring = ring_without_c(&ours);
    let strangers = diallers(&ours);
    for stranger in &strangers {
        let stream = dial_from(stranger.from, ring.ring_address(0));
        let source = format!("peer {}", stream.local_addr().expect("an address"));
        match &stranger.shown {
            Shown::Keys(keys) => {
                let answer = greet(stream, keys.as_deref(), &hello(&ring));
                assert!(!answer.starts_with("OK "), "{}: {answer}", stranger.what);
            }
            Shown::Bytes(bytes) => drop(said_to(stream, bytes)),
        }
        let line = ring.wait_for_error(0, &[&source, "REFUSED 505", stranger.refused]);
        assert_eq!(ring.error_lines(0, &[&source]), [line], "{}", stranger.what);
    }
    let good = ours.issue(&uri("C"), -1..1);
    let answer = greet(dial_from(3, ring.ring_address(0)), Some(&good), &hello(&ring));
    assert!(answer.starts_with("OK org.xlattice.pzog/2."), "{answer}");
    assert!(greet(dial_from(3, ring.ring_address(0)), Some(&good), "HELLO C\r\n").starts_with("OK"));
    ring.fence(&[0, 1]);
    assert!(ring.stop(0).success());
    let counted = ring.wait_for_error(0, &["COUNTED"]);
    assert!(counted.ends_with(&format!(" unproved={}", strangers.len())), "{counted}");
}

/// Says this, and returns all that is said.
fn said_to(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).expect("it is read");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("it closes");
    said
}

#[test]
fn who_speaks_no_tls_is_told_that_it_has_to() {
    let ring = ring_without_c(&Authority::new());
    let said = said_to(dial_from(3, ring.ring_address(0)), b"HELLO C\r\n");
    let said = String::from_utf8_lossy(&said);
    assert!(said.starts_with("ERR 502 ") && said.contains("tls = \"required\""), "{said}");
}

/// The next connection of A or B, who dial again and again while they are refused.
fn next_dialled(listener: &TcpListener, what: &str) -> TcpStream {
    listener.set_nonblocking(true).expect("a listener that does not block");
    let mut accepted = None;
    wait_until(&format!("C, which shows what is {what}, is dialled again"), || {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    let (stream, _) = accepted.expect("a connection");
    stream.set_nonblocking(false).expect("a connection that blocks");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// What host C's address shows to host A.
fn impostors(ours: &Authority) -> Vec<Stranger> {
    let of_b = keys(ours.issue(&uri("B"), -1..1));
    let mut impostors = with_wrong_certificates(ours);
    impostors.extend([
        stranger("swapped", of_b, "its certificate is not of C: zog://lab/B"),
        stranger("no TLS", bytes(b"ERR 501 what is this?\r\n"), "it speaks no TLS"),
        stranger("TLS 1.2", bytes(b"\x15\x03\x03\x00\x02\x02\x46"), "it does not speak TLS 1.3"),
    ]);
    impostors
}

#[test]
fn who_is_dialled_and_is_not_c_is_refused() {
    let ours = Authority::new();
    let ring = ring_without_c(&ours);
    let listener = TcpListener::bind(ring.ring_address(2)).expect("the address of C");
    for impostor in impostors(&ours) {
        let refused = || ring.error_lines(0, &["(C)", "REFUSED 505", impostor.refused]).len();
        let before = refused();
        let mut dials = 0;
        while refused() == before {
            dials += 1;
            assert!(dials < 200, "C, which shows what is {}, is dialled and not refused", impostor.what);
            let mut stream = next_dialled(&listener, impostor.what);
            match &impostor.shown {
                // It ends in the refusal, of which our side need not know.
                Shown::Keys(keys) => {
                    let keys = keys.as_deref().expect("a server shows something");
                    let tls = ServerConnection::new(keys.server()).expect("a server");
                    drop(StreamOwned::new(tls, stream).read(&mut [0]));
                }
                Shown::Bytes(bytes) => {
                    let sent = stream.write_all(bytes);
                    sent.and_then(|()| stream.read_to_end(&mut Vec::new()))
                        .expect("what is no TLS is closed");
                }
            }
        }
    }
    ring.fence(&[0, 1]);
}

#[test]
fn who_has_expired_says_so_itself_and_is_refused_by_the_others() {
    let ours = Authority::new();
    let mut ring = Plan::of(2).with("tls = \"required\"").set_up();
    ours.write(&ring.keys_dir(), RING, &["B"]);
    ours.issue(&uri("A"), -9..-2).write(&ring.keys_dir(), "A");
    ring.start_unlinked(&[0, 1]);
    ring.wait_for_error(0, &["ERROR", "KEYS has expired", "`zog keys issue A --replace`"]);
    ring.wait_for_error(1, &["REFUSED 505", "its certificate has expired"]);
    ring.wait_for_error(0, &["REFUSED 505", "it refuses our certificate (CertificateExpired)"]);
    ours.issue(&uri("A"), -1..1).write(&ring.keys_dir(), "A");
    ring.daemon(0).signal(Signal::HUP);
    ring.wait_linked();
}

#[test]
fn where_tls_is_off_who_speaks_it_is_refused() {
    let mut ring = Plan::of(2).set_up();
    ring.start_hosts(&[0, 1]);
    let keys = Authority::new().issue(&uri("B"), -1..1);
    let stream = dial_from(2, ring.ring_address(0));
    let source = format!("peer {}", stream.local_addr().expect("an address"));
    greet(stream, Some(&keys), "HELLO B\r\n");
    let line = ring.wait_for_error(0, &[&source, "REFUSED 502 it speaks TLS, which is off"]);
    assert_eq!(ring.error_lines(0, &[&source]), [line]);
    ring.fence(&[0, 1]);
}

#[test]
fn a_ring_beyond_one_machine_without_tls_says_so_at_every_start_and_in_its_check() {
    for (tls, is_told) in [("off", true), ("required", false)] {
        let mut ring = Plan::of(2).with(&format!("tls = \"{tls}\"")).set_up();
        Authority::new().write(&ring.keys_dir(), RING, &["A"]);
        let toml = fs::read_to_string(ring.config()).expect("ring.toml");
        // Of no machine, so that nothing leaves this one.
        fs::write(ring.config(), toml.replace("127.0.0.2", "255.255.255.255")).expect("ring.toml");
        let check = zog().args(["check", "--name", "A", "--config"]).arg(ring.config()).output();
        let check = String::from_utf8_lossy(&check.expect("zog can be started").stdout).into_owned();
        assert_eq!(check.contains("note: TLS is off"), is_told, "{check}");
        for times in 1..=2 {
            ring.start_unlinked(&[0]);
            assert_eq!(ring.daemon(0).stderr().contains("TLS is off"), is_told);
            assert!(ring.stop(0).success());
            let expected = if is_told { times } else { 0 };
            assert_eq!(ring.error_lines(0, &["WARN", "TLS is off", "`zog keys`"]).len(), expected);
        }
    }
}
