//! What users of comparable systems ask for, and what happened to them: hosts that are away, and links that break.
//! The number in a name is that of the need; the comment cites threads in which it was asked for.

use std::net::TcpListener;
use tests::{Connection, Plan, Ring, Way, counts, wait_until};

const ALL: [usize; 3] = [0, 1, 2];

/// Three hosts with a net between them; a link that is dead is noticed soon.
fn plan() -> Plan {
    Plan::of(3)
        .with_net()
        .with("keepalive = \"100ms\"")
        .with("peer_silence = \"500ms\"")
        .with("redial_min = \"20ms\"")
        .with("redial_max = \"100ms\"")
}

fn wait_for_down(ring: &Ring, host: usize, peer: usize) {
    let what = format!("{} says that {} is down", ring.name(host), ring.name(peer));
    wait_until(&what, || !ring.is_linked(host, peer));
}

/// What I send while the peer is down must arrive when it is back: rsyslog/rsyslog#491, #4354.
#[test]
fn need_01_what_is_sent_while_a_host_is_down_arrives_when_it_is_back() {
    let mut ring = plan().start();
    ring.kill(2);
    let mut sent = ring.send(0, "through A", 500);
    sent.extend(ring.send(1, "through B", 500));
    ring.start_hosts(&[2]);
    ring.assert_each_once(&ALL, &sent);
}

/// The first message after the other side restarted must not vanish: rsyslog/rsyslog#3929, #247, #571, #884. There it
/// was written to a connection of which the sender did not know yet that it was dead.
#[test]
fn need_02_the_first_message_after_a_restart_is_not_lost() {
    let mut ring = plan().start();
    let mut sent = Vec::new();
    for round in 0..10 {
        // A does not see the end of B.
        ring.net().set(1, 0, Way::Lost);
        ring.kill(1);
        ring.start_unlinked(&[1]);
        sent.extend(ring.send(0, &format!("first of round {round}"), 1));
        ring.net().heal();
        ring.fence(&ALL);
    }
    ring.assert_each_once(&ALL, &sent);
}

/// The second outage must work as well as the first: rsyslog/rsyslog#4573, syslog-ng/syslog-ng#4430.
#[test]
fn need_03_the_second_and_third_outage_are_survived_as_the_first() {
    let mut ring = plan().start();
    let mut sent = Vec::new();
    for outage in 1..=3 {
        ring.kill(1);
        sent.extend(ring.send(0, &format!("killed {outage}"), 100));
        ring.start_hosts(&[1]);
        ring.assert_each_once(&ALL, &sent);
        ring.net().set_around(1, Way::Reset);
        sent.extend(ring.send(0, &format!("cut {outage}"), 100));
        sent.extend(ring.send(1, &format!("cut off {outage}"), 100));
        ring.net().heal();
        ring.assert_each_once(&ALL, &sent);
    }
}

/// Reconnect without me restarting the daemon: rsyslog/rsyslog#1694, eclipse-zenoh/zenoh#1024, zenoh-pico#767.
#[test]
fn need_04_links_come_back_by_themselves_whatever_ended_them() {
    let ring = plan().start();
    let mut sent = Vec::new();
    for way in [Way::Reset, Way::Finished, Way::Stalled, Way::Lost, Way::HalfOpen] {
        ring.net().set_both(0, 1, way);
        wait_for_down(&ring, 0, 1);
        sent.extend(ring.send(0, &format!("while {way:?}"), 50));
        ring.net().heal();
        ring.wait_linked();
        ring.assert_each_once(&ALL, &sent);
    }
}

/// A peer declared dead must still be retried for ever: metallb/metallb#589 (memberlist), gravitational/gravity#2100.
#[test]
fn need_05_a_host_that_cannot_be_reached_is_dialled_for_ever() {
    let timing = Plan::of(2).with("redial_min = \"10ms\"").with("redial_max = \"20ms\"");
    let mut ring = timing.set_up();
    let in_place_of_b = TcpListener::bind(ring.ring_address(1)).expect("a leased port is free");
    ring.start_hosts(&[0]);
    for _ in 0..100 {
        drop(Connection::accepted_by(&in_place_of_b));
    }
    drop(in_place_of_b);
    let sent = ring.send(0, "for B", 10);
    ring.start_hosts(&[1]);
    ring.assert_each_once(&[0, 1], &sent);
}

/// Do not throw buffered messages away quietly while offline: eclipse-mosquitto/mosquitto#3394, nanomq/nanomq#1873,
/// eclipse-mosquitto/mosquitto#1681.
#[test]
fn need_10_nothing_is_thrown_away_for_a_host_that_is_away() {
    let mut ring = plan().start();
    ring.kill(1);
    // 10 MB: more than any queue in memory or any socket takes.
    let sent = ring.send(0, &"while B is away ".repeat(30), 20_000);
    ring.start_hosts(&[1]);
    ring.assert_each_once(&ALL, &sent);
    for host in ALL {
        assert!(ring.error_lines(host, &["GIVEN UP"]).is_empty(), "{}", ring.error_log(host));
    }
}

/// … but let me bound how old a backlog may be: eclipse-mosquitto/mosquitto#601. What goes beyond the bound is named,
/// by the hosts that no longer keep it and by the one that misses it.
#[test]
fn need_11_a_backlog_beyond_the_bound_of_the_journal_is_given_up_by_name() {
    let mut ring = plan().with_journal("segment = \"1MiB\"").with_journal("size = \"4MiB\"").start();
    let before = ring.send(0, "before", 10);
    ring.fence(&ALL);
    ring.kill(1);
    // 10 MB.
    let sent = ring.send(0, &"while B is away ".repeat(30), 20_000);
    for host in [0, 2] {
        ring.wait_for_error(host, &[" B RELEASED "]);
    }
    ring.start_hosts(&[1]);
    let after = ring.send(0, "after", 10);
    ring.wait_for_text(&ALL, &after[9]);
    let log = ring.all_access_logs(1);
    let counts = counts(&log);
    for text in before.iter().chain(&after).chain(&sent[sent.len() - 10..]) {
        assert_eq!(counts.get(text.as_str()), Some(&1), "{text:?} in the log of B");
    }
    let missing = sent.iter().filter(|text| !counts.contains_key(text.as_str())).count();
    assert!(missing > 0, "the bound of the journal was not reached");
    assert_eq!(ring.given_up(1), missing, "{:?}", ring.error_lines(1, &["GIVEN UP"]));
}

/// Notice a dead TCP peer in seconds: eclipse-mosquitto/mosquitto#3214, quartiq/stabilizer#433.
#[test]
fn need_22_a_dead_peer_is_noticed_while_nothing_is_sent() {
    let ring = plan().start();
    ring.net().set_both(0, 1, Way::Lost);
    wait_for_down(&ring, 0, 1);
    wait_for_down(&ring, 1, 0);
    assert!(ring.is_linked(0, 2) && ring.is_linked(1, 2), "the others are linked");
    ring.net().heal();
    ring.wait_linked();
}

/// … also while data is in flight (TCP_USER_TIMEOUT): eclipse-mosquitto/mosquitto#2230.
#[test]
fn need_22_a_dead_peer_is_noticed_while_data_is_in_flight() {
    let ring = plan().start();
    for way in [Way::Lost, Way::Stalled] {
        ring.net().set(0, 1, way);
        let sent = ring.send(0, &format!("in flight while {way:?}"), 2_000);
        wait_for_down(&ring, 0, 1);
        ring.net().heal();
        ring.wait_linked();
        ring.assert_each_once(&ALL, &sent);
    }
}
