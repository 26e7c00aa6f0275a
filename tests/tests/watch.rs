//! Watching a ring: what a host shows over HTTP, to whom, and what hostile clients of it come to.

use rustix::process::Signal;
use std::fs;
use tests::{Connection, Disk, Plan, Ring, Way, wait_until, with_own_mounts, zog};

/// What a host answers to these bytes: the code, and everything behind the head.
#[track_caller]
fn answer(ring: &Ring, host: usize, request: impl AsRef<[u8]>) -> (u16, String) {
    let mut connection = connect(ring, host);
    connection.send(request);
    parse(&connection.rest())
}

/// A host's HTTP port is open soon after its start, if it was not before.
#[track_caller]
fn connect(ring: &Ring, host: usize) -> Connection {
    Connection::to(ring.http_address(host))
}

fn parse(answer: &str) -> (u16, String) {
    let code = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (code.unwrap_or_else(|| panic!("no answer over HTTP: {answer:?}")), body.to_owned())
}

#[track_caller]
fn get(ring: &Ring, host: usize, path: &str) -> (u16, String) {
    answer(ring, host, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

/// The value of one line of `/metrics`.
#[track_caller]
fn metric(ring: &Ring, host: usize, name: &str) -> Option<f64> {
    let (code, text) = get(ring, host, "/metrics");
    assert_eq!(code, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

fn plan(hosts: usize) -> Plan {
    Plan::of(hosts).with_http().with("redial_min = \"20ms\"").with("redial_max = \"100ms\"")
}

#[test]
fn a_host_shows_what_it_has_counted_and_how_it_stands() {
    let ring = plan(3).start();
    ring.send(0, "seen", 7);
    ring.client(0).expect("MSG bad\ttext", "ERR 422 control character U+0009");
    assert_eq!(get(&ring, 0, "/healthz").0, 200);
    assert_eq!(get(&ring, 0, "/readyz").0, 200);
    assert_eq!(metric(&ring, 0, "zog_messages_ingested_total"), Some(7.0));
    assert_eq!(metric(&ring, 0, "zog_messages_logged_total{origin=\"A\"}"), Some(7.0));
    assert_eq!(metric(&ring, 0, "zog_messages_rejected_total{reason=\"text_control\"}"), Some(1.0));
    assert_eq!(metric(&ring, 0, "zog_peer_up{peer=\"C\"}"), Some(1.0));
    assert!(metric(&ring, 0, "zog_journal_fsync_seconds_count").is_some_and(|count| count >= 1.0));
    wait_until("C has told A that all is on its disk, and B has all that A took", || {
        metric(&ring, 0, "zog_peer_watermark{peer=\"C\",origin=\"A\"}") == Some(7.0)
            && metric(&ring, 0, "zog_end_to_end_seconds_count").is_some_and(|count| count >= 1.0)
            && metric(&ring, 1, "zog_messages_logged_total{origin=\"A\"}") == Some(7.0)
    });
    let (code, page) = get(&ring, 1, "/status.json?pretty");
    assert_eq!(code, 200);
    for shown in ["\"name\": \"B\"", "\"ready\": true", "\"host\": \"C\"", "\"state\": \"up\""] {
        assert!(page.contains(shown), "{shown} is missing in {page}");
    }
    assert_eq!(get(&ring, 1, "/").0, 404);
}

#[test]
fn a_host_that_is_away_is_seen_by_the_others() {
    let mut ring = plan(2).start();
    ring.kill(1);
    ring.send(0, "missed", 5);
    wait_until("A shows that B is away, why, and what it lacks", || {
        metric(&ring, 0, "zog_peer_up{peer=\"B\"}") == Some(0.0)
            && metric(&ring, 0, "zog_peer_reconnects_total{peer=\"B\",reason=\"ended\"}") == Some(1.0)
            && metric(&ring, 0, "zog_peer_missing_messages{peer=\"B\"}") == Some(5.0)
            && metric(&ring, 0, "zog_backlog_messages{peer=\"B\"}") == Some(5.0)
    });
    ring.start_hosts(&[1]);
    wait_until("B has got what it lacked", || {
        metric(&ring, 0, "zog_peer_missing_messages{peer=\"B\"}") == Some(0.0)
    });
}

#[test]
fn a_host_that_cannot_write_its_log_is_not_ready_and_says_why() {
    with_own_mounts("a_host_that_cannot_write_its_log_is_not_ready_and_says_why", || {
        let mut ring = plan(1).set_up();
        let disk = Disk::mount(&ring.log_dir(0), 8 << 20);
        ring.start_hosts(&[0]);
        assert_eq!(get(&ring, 0, "/readyz").0, 200);
        disk.fill();
        let mut client = ring.client(0);
        let texts: String = (0..100).map(|n| format!("MSG {n:0400}\r\n")).collect();
        client.send(texts);
        wait_until("it says that access.log is halted", || {
            let (code, body) = get(&ring, 0, "/readyz");
            code == 503 && body.contains("access_log_halted")
        });
        assert_eq!(get(&ring, 0, "/healthz").0, 200);
        disk.free();
        wait_until("it is ready again", || get(&ring, 0, "/readyz").0 == 200);
    });
}

#[test]
fn a_host_that_stops_says_so() {
    let mut ring = plan(2).with_limit("ack_timeout = \"60s\"").start();
    ring.daemon(1).signal(Signal::STOP);
    // What its client waits for is what the stop of A waits for.
    let mut client = ring.client(0);
    client.expect("HELLO s ack=all", "OK 0");
    client.send("MSG waited for\r\n");
    wait_until("A has taken the message", || metric(&ring, 0, "zog_messages_ingested_total") == Some(1.0));
    ring.daemon(0).signal(Signal::TERM);
    wait_until("A says that it stops", || {
        let (code, body) = get(&ring, 0, "/readyz");
        code == 503 && body.contains("stopping")
    });
    ring.daemon(0).wait();
    ring.daemon(1).signal(Signal::CONT);
}

#[test]
fn whatever_is_asked_badly_is_refused_with_its_code_and_the_ring_goes_on() {
    let ring = plan(1).start();
    let head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n";
    let huge = format!("{head}X: {}\r\n\r\n", "y".repeat(9000));
    let many: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    for (request, code) in [
        (format!("{head}\r\n{head}\r\n"), 200),
        (head.replace("localhost", "A") + "\r\n", 200),
        (head.replace("localhost", "rebound.example") + "\r\n", 421),
        (head.replace("GET", "POST") + "Content-Length: 100000\r\n\r\n" + &"x".repeat(100_000), 405),
        (head.replace("GET", "DELETE") + "\r\n", 405),
        (format!("{head}Content-Length: 5\r\n\r\nhello"), 413),
        (format!("{head}{many}\r\n"), 431),
        (huge, 431),
        ("MSG hello\r\n".to_owned(), 400),
        ("\0\x01\u{ff}".to_owned(), 400),
        ("GET /healthz HTTP/3.0\r\n\r\n".to_owned(), 505),
    ] {
        assert_eq!(answer(&ring, 0, &request).0, code, "{:?}", &request[..request.len().min(80)]);
    }
    let (code, body) = answer(&ring, 0, head.replace("GET", "HEAD") + "\r\n");
    assert_eq!((code, body.as_str()), (200, ""));
    ring.send(0, "after", 3);
}

#[test]
fn who_asks_too_slowly_is_told_so_and_who_says_nothing_is_left() {
    let ring = plan(1).start();
    let mut silent = connect(&ring, 0);
    let mut slow = connect(&ring, 0);
    slow.send("GET /healthz HT");
    assert_eq!(parse(&slow.rest()).0, 408);
    assert_eq!(silent.rest(), "");
}

#[test]
fn a_crowd_that_holds_its_connections_keeps_nobody_out() {
    let ring = plan(2).start();
    let mut crowd: Vec<Connection> = (0..200).map(|_| connect(&ring, 0)).collect();
    for connection in &mut crowd {
        // Those that had to give way may be gone.
        let _gone = connection.try_send("GET /metrics HTTP/1.1\r\nX: ");
    }
    assert_eq!(get(&ring, 0, "/healthz").0, 200);
    ring.send(0, "meanwhile", 3);
    let open = metric(&ring, 0, "zog_open_fds").expect("the system tells");
    assert!(open < 150.0, "{open} descriptors are open, though there are at most 32 connections");
}

#[test]
fn a_port_that_is_taken_does_not_keep_the_ring_from_its_work() {
    let mut ring = plan(1).set_up();
    let taken = std::net::TcpListener::bind(ring.http_address(0)).expect("the port is free");
    ring.start_hosts(&[0]);
    ring.send(0, "without", 3);
    drop(taken);
    wait_until("the port is open", || std::net::TcpStream::connect(ring.http_address(0)).is_ok());
    assert_eq!(get(&ring, 0, "/healthz").0, 200);
}

/// Runs `zog` with these arguments for this ring; what it printed, and its exit code.
fn zog_says(ring: &Ring, args: &[&str]) -> (String, Option<i32>) {
    let output = zog().args(args).arg("--config").arg(ring.config()).output().expect("zog can be started");
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), output.status.code())
}

#[test]
fn status_shows_what_each_side_of_a_link_says_of_it() {
    let mut ring = plan(3).start();
    let (said, code) = zog_says(&ring, &["status", "-n", "A"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("A: version ") && !said.contains("DISAGREE"), "{said}");
    ring.kill(2);
    let (said, code) = zog_says(&ring, &["status", "-n", "A"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("TELLS NOTHING"), "{said}");
    ring.kill(0);
    let (said, code) = zog_says(&ring, &["status", "-n", "A"]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("is its daemon running?"), "{said}");
}

#[test]
fn status_marks_a_link_that_only_one_side_believes_in() {
    let timers = "keepalive = \"50ms\"\npeer_silence = \"200ms\"";
    let mut ring = plan(2).with_net().with(timers).set_up();
    let patient = fs::read_to_string(ring.host_config(1)).expect("B's ring.toml");
    let patient = patient.replace(timers, "keepalive = \"100s\"\npeer_silence = \"300s\"");
    fs::write(ring.host_config(1), patient).expect("B's ring.toml can be written");
    ring.start_hosts(&[0, 1]);
    ring.net().set_both(0, 1, Way::Lost);
    wait_until("A has given B up", || metric(&ring, 0, "zog_peer_up{peer=\"B\"}") == Some(0.0));
    let (said, code) = zog_says(&ring, &["status", "-n", "A"]);
    assert_eq!(code, Some(1), "{said}");
    let line = said.lines().find(|line| line.starts_with("B ")).expect("a line for B");
    let words = ["down ", "up ", "DISAGREE: is it linked?"];
    assert!(words.iter().all(|word| line.contains(word)), "{said}");
}

#[test]
fn check_of_the_ring_names_the_host_that_has_another_one() {
    let mut ring = plan(3).start();
    let (said, code) = zog_says(&ring, &["check", "--ring"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("all hosts agree"), "{said}");
    ring.stop(1);
    let right = fs::read_to_string(ring.config()).expect("ring.toml");
    fs::write(ring.config(), format!("scheme = \"origin\"\n{right}")).expect("ring.toml can be written");
    ring.start_hosts(&[1]);
    fs::write(ring.config(), right).expect("ring.toml can be written");
    let (said, code) = zog_says(&ring, &["check", "--ring"]);
    assert_eq!(code, Some(1), "{said}");
    let faulty: Vec<_> = said.lines().filter(|line| line.contains("ANOTHER")).collect();
    assert!(faulty.len() == 1 && faulty[0].starts_with("B "), "{said}");
    assert!(faulty[0].contains("ANOTHER SCHEME: origin, in this ring.toml receiver"), "{said}");
    ring.kill(2);
    let (said, code) = zog_says(&ring, &["check", "--ring"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.lines().any(|line| line.starts_with("C ") && line.contains("TELLS NOTHING")), "{said}");
}

#[test]
fn top_that_nobody_watches_shows_every_host_once() {
    let ring = plan(2).start();
    let (said, code) = zog_says(&ring, &["top"]);
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].starts_with("host  in/s") && lines[1].starts_with("A     0"), "{said}");
    assert!(lines[2].contains("1 of 1") && !said.contains('\u{1b}'), "{said}");
}
