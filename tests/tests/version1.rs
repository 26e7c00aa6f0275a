//! A host of version 1: it says `HELLO <name>` and then wrapped lines, as one can with `nc`.

use tests::{Connection, Plan, Ring, count_of};

/// Hosts A and C run, and we are B, of version 1, connected to A.
fn ring_with_b_of_version_1() -> (Ring, Connection) {
    let mut ring = Plan::of(3).set_up();
    ring.start_hosts(&[0, 2]);
    let mut b = ring.peer(0);
    b.send("HELLO B\r\n");
    // What A sends after it has read our HELLO shows that it did.
    b.send("KEEPALIVE\r\n");
    b.line_where(|line| line == "ACK");
    (ring, b)
}

#[test]
fn a_version_1_peer_gets_plain_lines_with_wrapping_0() {
    let (ring, mut b) = ring_with_b_of_version_1();
    ring.client(0).expect("MSG for everybody", "OK");
    assert_eq!(b.line_where(|line| line != "KEEPALIVE"), "0for everybody");
    ring.wait_for_text(&[0, 2], "for everybody");
}

#[test]
fn what_a_version_1_peer_sends_with_wrapping_0_is_only_logged() {
    let (ring, mut b) = ring_with_b_of_version_1();
    b.send("0for A alone\r\n");
    ring.wait_for_text(&[0], "for A alone");
    ring.client(0).expect("MSG fence", "OK");
    ring.wait_for_text(&[0, 2], "fence");
    assert_eq!(count_of(&ring.access_log(2), "for A alone"), 0);
}

#[test]
fn what_a_version_1_peer_sends_with_wrapping_1_goes_to_the_next_host() {
    let (ring, mut b) = ring_with_b_of_version_1();
    b.send("1to my next\r\n");
    // The host after A is B itself.
    assert_eq!(b.line_where(|line| line != "KEEPALIVE"), "0to my next");
    ring.wait_for_text(&[0], "to my next");
    ring.client(0).expect("MSG fence", "OK");
    ring.wait_for_text(&[0, 2], "fence");
    assert_eq!(count_of(&ring.access_log(2), "to my next"), 0);
}

#[test]
fn what_a_version_1_peer_sends_with_wrapping_2_goes_to_the_next_but_one() {
    let (ring, mut b) = ring_with_b_of_version_1();
    b.send("2to the next but one\r\n");
    ring.wait_for_text(&[0, 2], "to the next but one");
    ring.wait_for_lines(&[0, 2], 1);
    ring.assert_equal_logs(&[0, 2]);
}

#[test]
fn a_version_1_peer_stands_beside_a_living_link_of_the_same_name() {
    let ring = Plan::of(3).start();
    let mut b = ring.peer(0);
    b.send("HELLO B\r\n0from the old B\r\n");
    ring.wait_for_text(&[0], "from the old B");
    ring.client(0).expect("MSG for both", "OK");
    ring.wait_for_text(&[0, 1, 2], "for both");
    assert_eq!(count_of(&ring.access_log(1), "for both"), 1);
    assert!(ring.is_linked(0, 1));
}

#[test]
fn a_version_1_peer_with_an_unknown_name_is_refused() {
    let ring = Plan::of(2).start();
    let mut peer = ring.peer(0);
    let answer = peer.ask("HELLO stranger");
    assert!(answer.starts_with("ERR 504 "), "{answer}");
    assert_eq!(peer.rest(), "");
}

#[test]
fn a_refused_line_of_a_version_1_peer_leaves_the_next_line_alone() {
    let (ring, mut b) = ring_with_b_of_version_1();
    let address = b.local_address().to_string();
    b.send(b"0es\x1b[2Jcape\r\n3three\r\n0not \xff UTF-8\r\n0lf alone\n0good\r\n");
    ring.wait_for_text(&[0], "good");
    for code in ["REFUSED 422 control", "REFUSED 422 not UTF-8", "REFUSED 400 line ends in LF"] {
        ring.wait_for_error(0, &[&address, code]);
    }
    tests::wait_until("each refused line is told", || ring.error_lines(0, &[&address, "REFUSED"]).len() == 4);
    ring.wait_for_lines(&[0], 1);
}
