//! The client sprog, in all its ways, against a real ring.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};
use tests::{Plan, Ring, texts, wait_until, zog};

/// Runs sprog with these arguments and without pauses to its end, which has to be a good one.
fn sprog(ring: &Ring, args: &[&str]) -> Output {
    let output = ring
        .sprog()
        .args(["--interval", "0"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("sprog can be started");
    assert!(
        output.status.success(),
        "sprog {args:?} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// How many messages the log of sprog says that it gave to each host.
fn given_to(ring: &Ring, log: &str) -> BTreeMap<String, usize> {
    let log = fs::read_to_string(ring.dir().join(log)).expect("sprog wrote its log");
    let mut given = BTreeMap::new();
    for line in log.lines().filter(|l| l.starts_with("SENT ")) {
        let host = line.split(' ').nth(3).expect("SENT <session> <number> <host> <time> <text>");
        *given.entry(host.to_owned()).or_default() += 1;
    }
    given
}

fn prove(ring: &Ring, sent: &str) -> Output {
    let mut command = zog();
    command.arg("verify").args(["--others", "--sent"]).arg(ring.dir().join(sent));
    command.args((0..ring.len()).map(|host| ring.log_dir(host).join("access.log")));
    command.output().expect("zog verify can be started")
}

fn assert_proved(ring: &Ring, sent: &str, messages: usize) {
    let hosts: Vec<_> = (0..ring.len()).collect();
    ring.wait_for_lines(&hosts, messages);
    ring.assert_equal_logs(&hosts);
    let output = prove(ring, sent);
    assert!(
        output.status.success(),
        "zog verify:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn by_default_every_message_goes_to_a_host_chosen_at_random() {
    let ring = Plan::of(5).start();
    sprog(&ring, &["-n", "500", "--log", "sent", "--seed", "7"]);
    assert_proved(&ring, "sent", 500);
    let given = given_to(&ring, "sent");
    assert_eq!(given.len(), 5, "{given:?}");
    assert!(given.values().all(|n| (60..140).contains(n)), "{given:?}");
}

#[test]
fn round_robin_goes_to_the_hosts_in_turn() {
    for option in ["-r", "--round-robin", "--roundRobin"] {
        let ring = Plan::of(5).start();
        sprog(&ring, &[option, "-n", "100", "--log", "sent"]);
        assert_proved(&ring, "sent", 100);
        assert!(given_to(&ring, "sent").values().eq([20; 5].iter()), "{option}");
    }
}

#[test]
fn a_specific_host_is_given_by_name_or_by_address() {
    for [option, host] in [["-s", "B"], ["--specific-host", "127.0.0.2"], ["--specificHost", "B"]] {
        let ring = Plan::of(3).start();
        sprog(&ring, &[option, host, "-n", "100", "--log", "sent"]);
        assert_proved(&ring, "sent", 100);
        assert_eq!(given_to(&ring, "sent"), BTreeMap::from([("B".to_owned(), 100)]), "{option} {host}");
    }
}

#[test]
fn testing_means_the_host_on_127_0_0_1() {
    let ring = Plan::of(3).start();
    sprog(&ring, &["-T", "-n", "50", "--log", "sent"]);
    assert_proved(&ring, "sent", 50);
    assert_eq!(given_to(&ring, "sent"), BTreeMap::from([("A".to_owned(), 50)]));
}

#[test]
fn log_lines_of_sprog_s_messages_have_49_to_80_columns() {
    let ring = Plan::of(2).start();
    sprog(&ring, &["-n", "300"]);
    ring.wait_for_lines(&[0, 1], 300);
    for line in ring.access_log(0).lines() {
        assert!((49..=80).contains(&line.len()), "{} columns: {line}", line.len());
    }
}

#[test]
fn the_lines_of_standard_input_are_the_messages() {
    let ring = Plan::of(3).start();
    let mut child = ring
        .sprog()
        .args(["--stdin", "--interval", "0", "-s", "A"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("sprog can be started");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"first line\nsecond line\nlast line without an end").expect("sprog reads");
    drop(stdin);
    assert!(child.wait().expect("sprog ends").success());
    ring.wait_for_lines(&[0, 1, 2], 3);
    assert_eq!(texts(&ring.access_log(2)), ["first line", "second line", "last line without an end"]);
}

#[test]
fn every_message_can_be_asked_to_be_on_all_disks() {
    let ring = Plan::of(3).start();
    sprog(&ring, &["-n", "100", "--ack", "all", "--log", "sent"]);
    assert_proved(&ring, "sent", 100);
    let log = fs::read_to_string(ring.dir().join("sent")).expect("sprog wrote its log");
    assert_eq!(log.lines().filter(|l| l.starts_with("ANSWERED ") && l.ends_with(" OK")).count(), 100);
}

#[test]
fn hosts_are_restarted_while_sprog_sends_and_every_message_is_delivered_once() {
    const MESSAGES: usize = 12_000;
    let mut ring = Plan::of(3).with("redial_min = \"20ms\"").with("redial_max = \"100ms\"").start();
    let mut child = ring
        .sprog()
        .args(["-n", &MESSAGES.to_string(), "--interval", "1ms", "--timeout", "5s", "--log", "sent", "-q"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("sprog can be started");
    for (host, other) in [(0, 1), (1, 2), (2, 0)] {
        let before = ring.access_log(other).lines().count();
        wait_until("some messages pass", || ring.access_log(other).lines().count() > before + 200);
        assert!(ring.stop(host).success());
        ring.start_hosts(&[host]);
    }
    let status = child.wait().expect("sprog ends");
    assert!(status.success(), "{status}");
    assert_proved(&ring, "sent", MESSAGES);
}

#[test]
fn what_a_stopped_host_would_have_got_goes_to_another_one() {
    let mut ring = Plan::of(3).start();
    assert!(ring.stop(1).success());
    sprog(&ring, &["-r", "-n", "60", "--timeout", "500ms", "--log", "sent"]);
    ring.wait_for_lines(&[0, 2], 60);
    ring.assert_equal_logs(&[0, 2]);
    ring.start_hosts(&[1]);
    assert_proved(&ring, "sent", 60);
}

#[test]
fn verify_sees_a_line_that_is_missing_and_one_that_stands_twice() {
    let ring = Plan::of(3).start();
    sprog(&ring, &["-n", "50", "--log", "sent"]);
    assert_proved(&ring, "sent", 50);
    let path = ring.log_dir(1).join("access.log");
    let log = ring.access_log(1);
    let (first, others) = log.split_once('\n').expect("a line");
    for (wrong, found) in [(others.to_owned(), "missing on B"), (format!("{log}{first}\n"), "doubled on B")] {
        fs::write(&path, wrong).expect("the log can be written");
        let output = prove(&ring, "sent");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(found), "{said}");
    }
}

#[test]
fn lines_that_are_refused_again_and_again_do_not_keep_the_good_ones_from_being_sent() {
    let ring = Plan::of(1).with("ack = \"journaled\"").start();
    // A host refuses a session with so many refused lines between good ones.
    let turns = pzog::limits::SESSION_REFUSED_MAX as usize + 500;
    let lines: String = (0..turns).map(|n| format!("\tno tabulators {n}\ngood {n}\n")).collect();
    fs::write(ring.dir().join("lines"), lines).expect("a file");
    let output = ring
        .sprog()
        .args(["--stdin", "--timeout", "5s", "--log", "sent"])
        .stdin(fs::File::open(ring.dir().join("lines")).expect("a file"))
        .output()
        .expect("sprog can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(&format!("{turns} OK, {turns} refused")), "{said}");
    let good: Vec<_> = (0..turns).map(|n| format!("good {n}")).collect();
    assert_eq!(texts(&ring.access_log(0)), good, "each once, in their order");
    assert_proved(&ring, "sent", turns);
}
