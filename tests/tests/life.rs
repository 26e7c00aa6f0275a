//! Starting, stopping, dying and coming back.

use rustix::process::Signal;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use tests::{Load, Plan, Ring, Sent, counts, texts, wait_until};

/// An orderly stop takes at most 5 s; a machine that runs many tests may see it late.
const STOP: Duration = Duration::from_secs(6);

/// What was answered `OK` is in each log once, what was not answered once or not at all.
fn assert_delivered(ring: &Ring, hosts: &[usize], sent: &Sent) {
    for &host in hosts {
        let log = ring.all_access_logs(host);
        let counts = counts(&log);
        let count = |text: &String| counts.get(text.as_str()).copied().unwrap_or(0);
        for text in &sent.ok {
            assert_eq!(count(text), 1, "{text:?} was answered OK; log of {}", ring.name(host));
        }
        for text in &sent.unanswered {
            assert!(count(text) <= 1, "{text:?} stands twice in the log of {}", ring.name(host));
        }
    }
}

#[test]
fn the_ready_line_is_all_that_goes_to_standard_output() {
    let mut ring = Plan::of(1).start();
    let expected = format!("zog A ready ring={} clients={}\n", ring.ring_address(0), ring.client_address(0));
    ring.client(0).expect("MSG x", "OK");
    ring.daemon(0).signal(Signal::TERM);
    assert!(ring.daemon(0).wait().0.success());
    assert_eq!(ring.daemon(0).stdout(), expected);
}

#[test]
fn term_and_int_end_the_daemon_in_time_with_exit_code_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut ring = Plan::of(3).start();
        let idle_client = ring.client(1);
        ring.daemon(1).signal(signal);
        let (status, took) = ring.daemon(1).wait();
        assert!(status.success(), "{signal:?}: {status}");
        assert!(took < STOP, "{signal:?}: {took:?}");
        drop(idle_client);
    }
}

#[test]
fn what_was_answered_before_a_term_under_load_is_in_every_log() {
    let mut ring = Plan::of(5).start();
    let load = Load::start(ring.client_address(1), "load");
    load.go_on_for(500);
    ring.daemon(1).signal(Signal::TERM);
    let (status, took) = ring.daemon(1).wait();
    assert!(status.success(), "{status}");
    assert!(took < STOP, "{took:?}");
    let sent = load.until_closed();
    ring.client(0).expect("MSG fence", "OK");
    let others = [0, 2, 3, 4];
    ring.wait_for_text(&others, "fence");
    ring.wait_for_text(&others, sent.ok.last().expect("an answered message"));
    assert_delivered(&ring, &[0, 1, 2, 3, 4], &sent);
    ring.assert_equal_logs(&others);
}

#[test]
fn a_host_that_is_restarted_under_load_gets_what_was_sent_while_it_was_away() {
    let mut ring = Plan::of(5).start();
    let load = Load::start(ring.client_address(0), "load");
    load.go_on_for(200);
    assert!(ring.stop(2).success());
    load.go_on_for(300);
    ring.start_hosts(&[2]);
    load.go_on_for(200);
    let sent = load.stop();
    let hosts = [0, 1, 2, 3, 4];
    ring.wait_for_lines(&hosts, sent.ok.len());
    assert_delivered(&ring, &hosts, &sent);
    ring.assert_equal_logs(&hosts);
}

#[test]
fn the_hosts_without_clients_can_be_restarted_one_after_the_other_under_load() {
    let mut ring = Plan::of(3).start();
    let load = Load::start(ring.client_address(0), "load");
    for host in [1, 2] {
        assert!(ring.stop(host).success());
        load.go_on_for(100);
        ring.start_hosts(&[host]);
        load.go_on_for(100);
    }
    let sent = load.stop();
    ring.wait_for_lines(&[0, 1, 2], sent.ok.len());
    assert_delivered(&ring, &[0, 1, 2], &sent);
    ring.assert_equal_logs(&[0, 1, 2]);
}

#[test]
fn when_a_host_is_killed_the_others_go_on_and_miss_nothing() {
    let mut ring = Plan::of(5).start();
    let load = Load::start(ring.client_address(0), "load");
    load.go_on_for(300);
    ring.kill(1);
    ring.wait_for_error(0, &[" B DOWN "]);
    load.go_on_for(300);
    let sent = load.stop();
    ring.client(0).expect("MSG fence", "OK");
    let others = [0, 2, 3, 4];
    ring.wait_for_text(&others, "fence");
    for host in others {
        let log = ring.access_log(host);
        let counts = counts(&log);
        assert!(counts.values().all(|n| *n == 1), "{} doubled a line", ring.name(host));
        let missing = sent.ok.iter().filter(|text| !counts.contains_key(text.as_str())).count();
        assert_eq!(missing, 0, "{} misses some of {} lines", ring.name(host), sent.ok.len());
    }
}

#[test]
fn a_killed_host_keeps_its_log_and_writes_on_after_its_restart() {
    let mut ring = Plan::of(3).start();
    ring.client(1).expect("MSG before", "OK");
    ring.wait_for_lines(&[0, 1, 2], 1);
    ring.kill(1);
    ring.start_hosts(&[1]);
    ring.client(1).expect("MSG after", "OK");
    ring.wait_for_lines(&[0, 1, 2], 2);
    assert_eq!(texts(&ring.access_log(1)), ["before", "after"]);
    ring.assert_equal_logs(&[0, 1, 2]);
}

#[test]
fn a_second_term_ends_the_daemon_at_once() {
    let mut ring = Plan::of(1).start();
    // A client that does not read its answers keeps the first TERM waiting.
    let mut client = ring.client(0);
    client.narrow();
    client.give_up_writing_after(Duration::from_millis(300));
    while client.try_send("x\r\n".repeat(10_000)).is_ok() {}
    ring.daemon(0).signal(Signal::TERM);
    wait_until("it accepts no more", || TcpStream::connect(ring.client_address(0)).is_err());
    ring.daemon(0).signal(Signal::TERM);
    let (_, took) = ring.daemon(0).wait();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_client_that_does_not_read_cannot_keep_the_daemon_from_ending() {
    let mut ring = Plan::of(1).start();
    let mut client = ring.client(0);
    client.narrow();
    client.give_up_writing_after(Duration::from_millis(300));
    while client.try_send("x\r\n".repeat(10_000)).is_ok() {}
    ring.daemon(0).signal(Signal::TERM);
    let (status, took) = ring.daemon(0).wait();
    assert!(status.success(), "{status}");
    assert!(took < STOP, "{took:?}");
}

#[test]
fn a_second_daemon_with_the_same_state_directory_is_refused() {
    let mut ring = Plan::of(1).start();
    let second = ring.command(0).output().expect("zog can be started");
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    let state = ring.host_dir(0).join("state").display().to_string();
    let pid = ring.daemon(0).pid().to_string();
    assert!(said.contains(&state) && said.contains(&pid), "it names directory and process: {said}");
    ring.client(0).expect("MSG undisturbed", "OK");
}

#[test]
fn a_port_that_is_taken_is_named_with_a_remedy() {
    let mut ring = Plan::of(1).set_up();
    let taken = TcpListener::bind(ring.ring_address(0)).expect("a leased port is free");
    let (status, _) = ring.spawn(0).wait();
    assert!(!status.success());
    let said = ring.daemon(0).stderr();
    assert!(said.contains(&ring.ring_address(0).port().to_string()), "{said}");
    assert!(said.contains("ring.toml") || said.contains("ip_local_reserved_ports"), "a remedy: {said}");
    assert!(ring.daemon(0).stdout().is_empty(), "no ready line");
    drop(taken);
}

#[test]
fn a_port_that_is_taken_only_for_a_moment_is_waited_for() {
    let mut ring = Plan::of(1).set_up();
    let taken = TcpListener::bind(ring.ring_address(0)).expect("a leased port is free");
    ring.spawn(0);
    let daemon = ring.daemon(0);
    wait_until("the daemon says that it waits", || !daemon.stderr().is_empty());
    drop(taken);
    ring.daemon(0).wait_ready();
}

#[test]
fn a_log_directory_that_cannot_be_one_is_named() {
    let ring = Plan::of(1).set_up();
    let mut command = ring.command(0);
    fs::remove_dir(ring.log_dir(0)).expect("an empty log directory");
    fs::write(ring.log_dir(0), "in the way").expect("a file in its place");
    let output = command.output().expect("zog can be started");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&ring.log_dir(0).display().to_string()), "{said}");
    assert!(output.stdout.is_empty(), "no ready line");
}
