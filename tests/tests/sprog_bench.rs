//! `sprog bench` against real rings: what it reports is what is in the logs, each message once. How fast that was is not
//! asserted.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use tests::{Plan, Ring, wait_until, zog};

fn bench(ring: &Ring, args: &[&str]) -> Command {
    let mut command = tests::sprog();
    command.current_dir(ring.dir()).arg("bench").arg("--config").arg(ring.config()).args(args);
    command.stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run(ring: &Ring, args: &[&str]) -> String {
    let output = bench(ring, args).output().expect("sprog can be started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {}{said}", output.status, text(&output));
    assert_eq!(said, "", "nothing is told of progress where no terminal is");
    text(&output)
}

/// All logs hold what `sent` says, each line once, and nothing else.
fn assert_proved(ring: &Ring, sent: &Path, messages: usize) {
    let hosts: Vec<_> = (0..ring.len()).collect();
    ring.wait_for_lines(&hosts, messages);
    let logs = hosts.iter().map(|host| ring.log_dir(*host).join("access.log"));
    let output = zog()
        .arg("verify")
        .args(["--others", "--sent"])
        .arg(sent)
        .args(logs)
        .output()
        .expect("zog can be started");
    assert!(output.status.success(), "{}", text(&output));
}

/// The values of a line of the CSV output, by the names in its first line.
fn value(csv: &str, host: &str, name: &str) -> String {
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().expect("a line of names");
    let column = names.iter().position(|n| *n == name).expect("a column of that name");
    let line = lines.find(|line| line[0] == host).expect("a line of that host");
    line[column].to_owned()
}

#[test]
fn every_message_of_every_client_is_in_every_log_once() {
    let ring = Plan::of(3).start();
    let csv = run(&ring, &["-m", "5000", "-C", "7", "--window", "16", "--csv", "--log", "sent"]);
    assert_proved(&ring, &ring.dir().join("sent"), 5000);
    assert_eq!(value(&csv, "all", "ok"), "5000");
    // Of seven clients the first host has three, the others two; two clients send 715, the other five 714.
    for (host, messages) in ["2143", "1429", "1428"].into_iter().enumerate() {
        assert_eq!(value(&csv, &ring.name(host), "ok"), messages, "{csv}");
    }
    for name in ["pending", "refused", "lost", "repeated"] {
        assert_eq!(value(&csv, "all", name), "0", "{csv}");
    }
}

#[test]
fn sizes_levels_and_a_single_host_are_as_asked_for() {
    let ring = Plan::of(3).start();
    let json = run(&ring, &["-m", "300", "-s", "B", "--size", "5", "--ack", "all", "--json"]);
    for part in ["\"type\":\"bench\"", "\"ok\":300", "\"ack\":\"all\"", "\"text_bytes\":1500", "\"p999\":"] {
        assert!(json.contains(part), "{part}: {json}");
    }
    ring.wait_for_lines(&[0, 1, 2], 300);
    let log = ring.access_log(2);
    assert!(log.lines().all(|line| line.len() == "YYYYMMDDTHHMMSSZ ".len() + 5), "{log}");
}

#[test]
fn people_are_told_throughput_and_latency() {
    let ring = Plan::of(3).start();
    let told = run(&ring, &["-m", "200", "--rate", "2000", "-C", "2"]);
    let last: Vec<&str> = told.lines().rev().take(3).collect();
    assert!(last[2].starts_with("200 messages in ") && last[2].ends_with(": 200 OK"), "{told}");
    assert!(last[1].contains("from 2 clients") && last[1].contains("2000 a second due"), "{told}");
    for name in ["min ", "p50 ", "p90 ", "p99 ", "p99.9 ", "max "] {
        assert!(last[0].contains(name), "{name}: {told}");
    }
}

#[test]
fn a_host_that_is_killed_costs_no_message() {
    const MESSAGES: usize = 6000;
    let mut ring = Plan::of(3).with("redial_min = \"20ms\"").with("redial_max = \"100ms\"").start();
    let messages = MESSAGES.to_string();
    let args = ["-m", &messages, "--rate", "2000", "-C", "6", "--timeout", "500ms", "--log", "sent", "--csv"];
    let child = bench(&ring, &args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let child = child.expect("sprog can be started");
    wait_until("some messages pass", || ring.access_log(0).lines().count() > 300);
    ring.kill(1);
    wait_until("the others go on", || ring.access_log(0).lines().count() > 3000);
    ring.start_hosts(&[1]);
    let output = child.wait_with_output().expect("sprog ends");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(value(&text(&output), "all", "lost"), "0");
    assert_proved(&ring, &ring.dir().join("sent"), MESSAGES);
}

#[test]
fn it_has_a_page_in_the_manual() {
    let dir = tempfile::tempdir().expect("a directory");
    let status = tests::sprog().arg("man").arg(dir.path()).status().expect("sprog can be started");
    assert!(status.success(), "{status}");
    let page = std::fs::read_to_string(dir.path().join("sprog-bench.1")).expect("a page");
    assert!(page.contains("\\-\\-rate") && page.contains("\\-\\-csv"), "{page}");
}

#[test]
fn without_a_host_that_answers_it_says_so_and_ends() {
    let ring = Plan::of(3).set_up();
    let output = bench(&ring, &["-m", "5", "-C", "4", "--window", "1", "--timeout", "200ms"])
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(69), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told =
        said.lines().filter(|line| line.starts_with("sprog: A (") && line.contains(" is skipped: ")).count();
    assert_eq!(told, 1, "once of each host, not of each of its clients: {said}");
}
