//! Links between hosts: both sides dial, keep-alive, silence, and peers that are not what they should be.

use rustix::process::Signal;
use std::net::TcpListener;
use tests::{Connection, Load, Plan, Ring, established_on};

/// The line that opens a link from `speaker` to host A.
fn hello(ring: &Ring, meant: &str, speaker: &str) -> String {
    format!("HELLO org.xlattice.pzog/2.0 {meant} {speaker} 00000000000000b1 4242 {:016x}", ring.digest())
}

/// Links us to host A, as the peer of this name, by a connection that we dial.
fn link_to_a(ring: &Ring, speaker: &str) -> Connection {
    let mut peer = ring.peer(0);
    let answer = peer.ask(&hello(ring, "A", speaker));
    assert!(answer.starts_with(&format!("OK org.xlattice.pzog/2.2 {speaker} A ")), "{answer}");
    // The watermark of its own stream ends what each side tells first.
    peer.line_where(|line| line.starts_with("OK A/"));
    peer.send(format!("OK {speaker}/00000000000000b1 0 0\r\n"));
    ring.wait_for_error(0, &[&format!(" {speaker} UP ")]);
    peer
}

/// Host A runs, and we are its peer B.
fn a_and_ourselves(plan: Plan) -> (Ring, Connection) {
    let mut ring = plan.set_up();
    ring.start_hosts(&[0]);
    let peer = link_to_a(&ring, "B");
    (ring, peer)
}

#[test]
fn though_both_sides_dial_there_is_one_connection_for_each_pair() {
    let ring = Plan::of(5).start();
    let ports: Vec<_> = (0..5).map(|host| ring.ring_address(host).port()).collect();
    tests::wait_until("5 hosts have 10 connections", || established_on(&ports) == 10);
    for host in 0..5 {
        ring.client(host).expect(&format!("MSG from {host}"), "OK");
    }
    ring.wait_for_lines(&[0, 1, 2, 3, 4], 5);
    ring.assert_equal_logs(&[0, 1, 2, 3, 4]);
    assert_eq!(established_on(&ports), 10);
    for host in 0..5 {
        for peer in (0..5).filter(|peer| *peer != host) {
            let (host_name, peer_name) = (ring.name(host), ring.name(peer));
            assert_eq!(ring.times_linked(host, peer), 1, "links of {host_name} to {peer_name}");
        }
    }
}

#[test]
fn quiet_links_are_kept_by_keep_alives_which_are_never_logged() {
    let timing = Plan::of(3).with("keepalive = \"50ms\"").with("peer_silence = \"200ms\"");
    let mut ring = timing.set_up();
    ring.start_hosts(&[0, 1]);
    let mut peer = link_to_a(&ring, "C");
    // Twenty keep-alives are five times the silence that ends a link.
    for _ in 0..20 {
        peer.line_where(|line| line == "KEEPALIVE");
        peer.send("ACK\r\n");
    }
    for host in [0, 1] {
        assert!(ring.error_lines(host, &["DOWN"]).is_empty(), "{}", ring.error_log(host));
        assert_eq!(ring.access_log(host), "", "{} logged a keep-alive", ring.name(host));
    }
}

#[test]
fn a_keep_alive_of_a_peer_is_answered_and_never_logged() {
    let (ring, mut peer) = a_and_ourselves(Plan::of(2));
    peer.send("KEEPALIVE\r\n");
    peer.line_where(|line| line == "ACK");
    assert_eq!(ring.access_log(0), "");
}

#[test]
fn a_peer_that_is_silent_is_dropped_after_peer_silence() {
    let timing = Plan::of(2).with("keepalive = \"50ms\"").with("peer_silence = \"300ms\"");
    let (ring, mut peer) = a_and_ourselves(timing);
    let said = peer.rest();
    assert!(said.contains("KEEPALIVE\r\n"), "it was asked first: {said}");
    ring.wait_for_error(0, &[" B DOWN "]);
    assert_eq!(ring.access_log(0), "");
}

#[test]
fn a_connection_to_the_ring_port_that_says_nothing_is_closed() {
    let ring = Plan::of(2).start();
    let mut peer = ring.peer(0);
    let address = peer.local_address().to_string();
    let _ = peer.rest();
    ring.wait_for_error(0, &[&address]);
    ring.client(0).expect("MSG undisturbed", "OK");
    ring.wait_for_text(&[0, 1], "undisturbed");
}

/// Says `line` on the ring port of A and expects an error with this code, a closed connection, one line in
/// error.log that names our address, and an undisturbed ring.
#[track_caller]
fn assert_refused(ring: &Ring, line: &str, code: &str) {
    let mut peer = ring.peer(0);
    let address = peer.local_address().to_string();
    let answer = peer.ask(line);
    assert!(answer.starts_with(&format!("ERR {code} ")), "the answer to {line:?}: {answer}");
    assert_eq!(peer.rest(), "", "the connection ends after {answer:?}");
    let told = ring.wait_for_error(0, &[&address]);
    assert!(told.contains(code), "{told}");
    assert_eq!(ring.error_lines(0, &[&address]).len(), 1, "one line in error.log");
    ring.client(0).expect("MSG undisturbed", "OK");
    ring.wait_for_text(&[0, 1], "undisturbed");
}

#[test]
fn a_peer_with_an_unknown_name_is_refused() {
    let ring = Plan::of(2).start();
    assert_refused(&ring, &hello(&ring, "A", "stranger"), "504");
}

#[test]
fn a_peer_with_our_own_name_is_refused() {
    let ring = Plan::of(2).start();
    assert_refused(&ring, &hello(&ring, "A", "A"), "504");
}

#[test]
fn a_peer_that_means_another_host_is_refused() {
    let ring = Plan::of(2).start();
    assert_refused(&ring, &hello(&ring, "B", "B"), "503");
}

#[test]
fn a_peer_of_another_version_is_refused() {
    let ring = Plan::of(2).start();
    assert_refused(&ring, &hello(&ring, "A", "B").replace("pzog/2.0", "pzog/3.0"), "502");
}

#[test]
fn a_peer_that_speaks_another_protocol_is_refused() {
    let ring = Plan::of(2).start();
    for line in ["GET / HTTP/1.1", "HELLO org.xlattice.pzog/2.0 A B", "KEEPALIVE", "0text", ""] {
        assert_refused(&ring, line, "501");
    }
}

#[test]
fn a_refused_line_of_a_linked_peer_leaves_the_link_and_the_next_line_alone() {
    let (ring, mut peer) = a_and_ourselves(Plan::of(2));
    peer.send("NONSENSE from a peer\r\nKEEPALIVE\r\n");
    peer.line_where(|line| line == "ACK");
    let told = ring.wait_for_error(0, &["REFUSED 400 "]);
    assert!(told.contains("NONSENSE"), "{told}");
    assert!(ring.error_lines(0, &["DOWN"]).is_empty());
}

#[test]
fn a_peer_that_is_dialled_and_answers_nonsense_is_dialled_again() {
    let mut ring = Plan::of(2).with("redial_min = \"50ms\"").with("redial_max = \"100ms\"").set_up();
    let ours = TcpListener::bind(ring.ring_address(1)).expect("a leased port is free");
    ring.spawn(0).wait_ready();
    for _ in 0..3 {
        let mut dialled = Connection::accepted_by(&ours);
        assert!(dialled.line().starts_with("HELLO org.xlattice.pzog/2.2 B A "));
        dialled.send("220 mail.example.org ESMTP\r\n");
        let _ = dialled.rest();
    }
    ring.client(0).expect("MSG undisturbed", "OK");
}

#[test]
fn a_link_that_is_cut_comes_back_and_brings_what_was_sent_meanwhile() {
    let mut ring = Plan::of(3).with("redial_min = \"50ms\"").with("redial_max = \"200ms\"").start();
    assert!(ring.stop(1).success());
    for n in 0..50 {
        ring.client(0).expect(&format!("MSG meanwhile {n}"), "OK");
    }
    ring.start_hosts(&[1]);
    ring.wait_for_lines(&[0, 1, 2], 50);
    ring.assert_equal_logs(&[0, 1, 2]);
}

#[test]
fn a_link_on_demand_that_is_not_used_goes_and_comes_back_when_it_is() {
    let plan = Plan::of(2).with("connect = \"on-demand\"").with("keepalive = \"50ms\"");
    let mut ring = plan.with("peer_silence = \"200ms\"").set_up();
    ring.start_unlinked(&[0, 1]);
    ring.client(0).expect("MSG makes a link", "OK");
    ring.wait_for_text(&[0, 1], "makes a link");
    ring.wait_for_error(0, &[" B DOWN ", "unused"]);
    ring.client(0).expect("MSG needs a link", "OK");
    ring.wait_for_text(&[0, 1], "needs a link");
}

#[test]
fn silent_connections_to_the_ring_port_do_not_keep_a_peer_out() {
    let mut ring = Plan::of(2).set_up();
    ring.start_hosts(&[0]);
    let silent: Vec<_> = (0..100).map(|_| ring.peer(0)).collect();
    ring.start_hosts(&[1]);
    ring.client(1).expect("MSG through the crowd", "OK");
    ring.wait_for_text(&[0, 1], "through the crowd");
    drop(silent);
}

#[test]
fn a_peer_that_stands_still_delays_nobody_and_catches_up() {
    // What C sends goes to A, which passes it on to B: nobody depends on B.
    let mut ring = Plan::of(3).with_limit("window = 500").start();
    ring.daemon(1).signal(Signal::STOP);
    let load = Load::start(ring.client_address(2), "load");
    load.go_on_for(5000);
    let sent = load.stop();
    ring.wait_for_lines(&[0, 2], sent.ok.len());
    ring.daemon(1).signal(Signal::CONT);
    ring.wait_for_lines(&[0, 1, 2], sent.ok.len());
    ring.assert_equal_logs(&[0, 1, 2]);
}
