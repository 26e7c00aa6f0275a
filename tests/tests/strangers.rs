//! Strangers that hold connections, say nothing, or nothing of use: the ring and good clients stay well.

use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};
use tests::{Connection, Plan, Ring, allow_open_files, cpu_ticks, established_on, open_files, wait_until};

/// Connects so often; the kernel takes connections before the daemon does.
fn crowd(address: SocketAddr, connections: usize) -> Vec<TcpStream> {
    (0..connections).map(|_| TcpStream::connect(address).expect("somebody listens")).collect()
}

/// Whether the other side has closed the connection within this time, whatever it said before.
fn is_closed_within(mut stream: &TcpStream, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    stream.set_nonblocking(true).expect("a socket that does not block");
    while Instant::now() < deadline {
        match stream.read(&mut [0; 256]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => thread::yield_now(),
            Err(_) => return true,
        }
    }
    false
}

/// The line that opens a link to host A.
fn hello(ring: &Ring, speaker: &str) -> String {
    format!("HELLO org.xlattice.pzog/2.0 A {speaker} 00000000000000b1 4242 {:016x}", ring.digest())
}

#[test]
fn silent_connections_do_not_hold_the_ring_port() {
    let mut ring = Plan::of(3).set_up();
    ring.start_hosts(&[0]);
    let silent = crowd(ring.ring_address(0), 40);
    // The daemon takes them in their order, and this one last.
    let mut peer = ring.peer(0);
    let answer = peer.ask(&hello(&ring, "B"));
    assert!(answer.starts_with("OK org.xlattice.pzog/2.0 B A "), "{answer}");
    let held = established_on(&[ring.ring_address(0).port()]);
    assert!(held <= 7, "besides the one that said HELLO {held} are held, two for each host were to be");
    assert!(silent.iter().take(30).all(|s| is_closed_within(s, Duration::from_secs(1))));
}

#[test]
fn a_connection_to_the_ring_port_from_elsewhere_is_refused_and_named() {
    let ring = Plan::of(2).start();
    let before = open_files_of(&ring);
    for _ in 0..200 {
        let mut stranger = Connection::from_to("127.0.0.99", ring.ring_address(0));
        assert!(stranger.line().starts_with("ERR 504 "));
        assert_eq!(stranger.rest(), "");
    }
    ring.wait_for_error(0, &["127.0.0.99", "NOT LET IN", "not of this ring"]);
    let told = ring.error_lines(0, &["127.0.0.99"]).len();
    assert!(told < 20, "{told} lines in error.log for 200 refusals");
    wait_until("their descriptors are free again", || open_files_of(&ring) <= before);
    ring.client(0).expect("MSG as before", "OK");
    ring.wait_for_text(&[0, 1], "as before");
}

fn open_files_of(ring: &Ring) -> usize {
    open_files(ring.pid(0))
}

#[test]
fn clients_that_are_refused_take_no_descriptors() {
    let ring = Plan::of(2).with_limit("clients = 3").start();
    let mut good: Vec<_> = (0..3).map(|_| ring.client(0)).collect();
    good.iter_mut().for_each(|client| client.expect("KEEPALIVE", "ACK"));
    let before = open_files_of(&ring);
    // They never close their ends.
    let refused = crowd(ring.client_address(0), 500);
    // Whoever is refused last has been taken after all others.
    assert!(ring.client(0).line().starts_with("ERR 300 "));
    let more = open_files_of(&ring).saturating_sub(before);
    assert!(more < 50, "500 connections that were refused hold {more} descriptors");
    good.iter_mut().for_each(|client| client.expect("KEEPALIVE", "ACK"));
    drop(refused);
}

#[test]
fn one_address_cannot_take_all_clients() {
    let ring = Plan::of(2).with_limit("clients = 8").with_limit("clients_per_address = 2").start();
    let mut greedy: Vec<_> = (0..2).map(|_| ring.client(0)).collect();
    greedy.iter_mut().for_each(|client| client.expect("KEEPALIVE", "ACK"));
    let answer = ring.client(0).line();
    assert!(answer.starts_with("ERR 300 ") && answer.contains("your address"), "{answer}");
    Connection::from_to("127.0.0.98", ring.client_address(0)).expect("KEEPALIVE", "ACK");
    ring.wait_for_error(0, &["NOT LET IN", "too many clients from this address"]);
}

#[test]
fn who_floods_with_lines_that_are_refused_is_read_slowly() {
    let ring = Plan::of(2).start();
    let mut flood = ring.client(0);
    flood.give_up_writing_after(Duration::from_millis(500));
    let reader = drain(&ring, &mut flood);
    let block = "nonsense\r\n".repeat(1000);
    let taken = (0..3000).take_while(|_| flood.try_send(&block).is_ok()).count();
    assert!(taken < 3000, "3 000 000 lines that were refused were taken as fast as they came");
    ring.client(0).expect("MSG beside the flood", "OK");
    ring.wait_for_text(&[0, 1], "beside the flood");
    flood.shut(Shutdown::Both);
    reader.join().expect("a reader");
}

/// Reads what a connection is answered, in a thread of its own.
fn drain(_ring: &Ring, connection: &mut Connection) -> thread::JoinHandle<()> {
    let mut stream = connection.another();
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
    })
}

#[test]
fn lines_beyond_lines_per_second_wait_and_none_is_lost() {
    let ring = Plan::of(2).with_limit("lines_per_second = 20").start();
    let mut client = ring.client(0);
    let begun = Instant::now();
    client.send((0..100).map(|n| format!("MSG {n}\r\n")).collect::<String>());
    for _ in 0..100 {
        assert_eq!(client.line(), "OK");
    }
    // One read may hold more than 20; what comes behind it waits. It cannot be faster, however fast the machine is.
    assert!(begun.elapsed() > Duration::from_millis(1000), "100 lines took {:?}", begun.elapsed());
    ring.wait_for_lines(&[0, 1], 100);
}

#[test]
fn where_tokens_are_asked_for_who_knows_none_is_turned_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("tokens");
    let write = |text: &str, mode| {
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
    };
    write("first\nsecond\n", 0o600);
    let mut ring = Plan::of(2).with(&format!("tokens = {:?}", path.display().to_string())).start();
    let mut known = ring.client(0);
    known.send("AUTH second\r\nMSG with a token\r\n");
    assert_eq!((known.line(), known.line()), ("OK".into(), "OK".into()));
    for said in ["AUTH third", "MSG without", "AUTH"] {
        let mut stranger = ring.client(0);
        assert!(stranger.ask(said).starts_with("ERR 401 "), "{said}");
        assert_eq!(stranger.rest(), "");
    }
    ring.wait_for_error(0, &["NOT LET IN", "token"]);
    assert!(!ring.error_log(0).contains("third"), "error.log shows no token");

    let sprog = |token: &str| {
        let file = dir.path().join("mine");
        std::fs::write(&file, token).expect("a file");
        let mut command = ring.sprog();
        command.args(["-s", "A", "-n", "1", "-m", "by sprog", "--timeout", "2s"]);
        command.arg("--token-file").arg(file).output().expect("sprog runs").status.success()
    };
    assert!(sprog("first\n"));
    assert!(!sprog("third\n"));
    let status = |token: &str| {
        let file = dir.path().join("mine");
        std::fs::write(&file, token).expect("a file");
        let mut command = tests::sprog();
        command.args(["status", "-s", "A", "--config"]).arg(ring.config());
        command.arg("--token-file").arg(file).output().expect("sprog runs").status.success()
    };
    assert!(status("second\n"));
    assert!(!status("third\n"));

    write("third\n", 0o644);
    ring.daemon(0).signal(Signal::HUP);
    ring.wait_for_error(0, &["RELOAD refused", "chmod 600"]);
    ring.client(0).expect("AUTH first", "OK");
    write("third\n", 0o600);
    ring.daemon(0).signal(Signal::HUP);
    ring.wait_for_error(0, &["RELOAD done"]);
    assert!(ring.client(0).ask("AUTH first").starts_with("ERR 401 "));
    ring.client(0).expect("AUTH third", "OK");
    known.expect("MSG of a client that was in", "OK");
    for text in ["with a token", "by sprog", "of a client that was in"] {
        ring.wait_for_text(&[0, 1], text);
    }
    assert!(!ring.access_log(0).contains("without"));
}

#[test]
fn who_tries_tokens_is_heard_ever_more_slowly() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("tokens");
    std::fs::write(&path, "first\n").expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    let ring = Plan::of(1).with(&format!("tokens = {:?}", path.display().to_string())).start();
    let begun = Instant::now();
    for n in 0..30 {
        assert!(ring.client(0).ask(&format!("AUTH {n}")).starts_with("ERR 401 "));
    }
    // Ten at once, and ten more a second: it cannot be faster, however fast the machine is.
    assert!(begun.elapsed() > Duration::from_millis(1500), "30 tokens were tried in {:?}", begun.elapsed());
    Connection::from_to("127.0.0.97", ring.client_address(0)).expect("AUTH first", "OK");
}

#[test]
fn a_client_that_says_nothing_or_a_byte_now_and_then_is_closed() {
    let plan = Plan::of(2).with("client_idle = \"1500ms\"").with_limit("first_byte = \"300ms\"");
    let ring = plan.start();
    let mut silent = ring.client(0);
    let answer = silent.line();
    assert!(answer.starts_with("ERR 300 ") && answer.contains("nothing said"), "{answer}");
    let mut slow = ring.client(0).another();
    wait_until("a client that sends bytes but no line is closed", || {
        slow.write_all(b"M").is_err() || is_closed_within(&slow, Duration::from_millis(50))
    });
    ring.client(0).expect("KEEPALIVE", "ACK");
}

#[test]
fn with_64_descriptors_the_ring_is_linked_and_strangers_cannot_take_them() {
    let mut ring = Plan::of(5).with_open_files(64).set_up();
    ring.start_hosts(&[0, 1, 2, 3]);
    let mut good = ring.client(0);
    good.expect("MSG before the crowd", "OK");
    let silent = crowd(ring.client_address(0), 200);
    let knocking = crowd(ring.ring_address(0), 200);
    // Whoever comes last has been taken after all others.
    assert!(ring.client(0).line().starts_with("ERR 300 "));
    ring.start_hosts(&[4]);
    good.expect("MSG in the crowd", "OK");
    ring.wait_for_text(&[0, 1, 2, 3, 4], "in the crowd");
    assert!(ring.error_lines(0, &["ACCEPT"]).is_empty(), "descriptors ran out:\n{}", ring.error_log(0));
    assert!(ring.error_lines(0, &["TROUBLE"]).is_empty(), "{}", ring.error_log(0));
    drop((silent, knocking));
    wait_until_let_in(&ring);
}

#[test]
fn a_daemon_without_descriptors_does_not_spin() {
    let ring = Plan::of(1).with_open_files(64).start();
    let pid = ring.pid(0);
    let mut good = ring.client(0);
    good.expect("KEEPALIVE", "ACK");
    // Fewer than are in use: from now on no connection can be taken.
    allow_open_files(pid, open_files(pid) as u64);
    let waiting = crowd(ring.client_address(0), 50);
    ring.wait_for_error(0, &["ACCEPT"]);
    let before = cpu_ticks(pid);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        good.expect("KEEPALIVE", "ACK");
        thread::sleep(Duration::from_millis(20));
    }
    let used = cpu_ticks(pid) - before;
    assert!(used < 50, "{used} hundredths of a second of CPU in one second");
    allow_open_files(pid, 64);
    drop(waiting);
    wait_until_let_in(&ring);
}

fn wait_until_let_in(ring: &Ring) {
    wait_until("clients are let in again", || {
        let mut client = ring.client(0);
        client.try_send("KEEPALIVE\r\n").is_ok() && client.next_line().as_deref() == Some("ACK")
    });
}
