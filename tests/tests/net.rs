//! The net that the other tests put between daemons does what it says.

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use tests::{Connection, Plan, Ring, Way, wait_until};

/// Two hosts that do not run: we listen as B, and dial as A would.
fn ourselves() -> (Ring, TcpListener) {
    let ring = Plan::of(2).with_net().set_up();
    let b = TcpListener::bind(ring.ring_address(1)).expect("a leased port is free");
    (ring, b)
}

fn dial(ring: &Ring) -> Connection {
    Connection::to(ring.dialed(0, 1))
}

/// A connection from A to B, over which both have spoken: A's end and B's.
fn connection(ring: &Ring, b: &TcpListener) -> (Connection, Connection) {
    let mut from_a = dial(ring);
    let mut at_b = Connection::accepted_by(b);
    from_a.send("a says\r\n");
    assert_eq!(at_b.line(), "a says");
    at_b.send("b says\r\n");
    assert_eq!(from_a.line(), "b says");
    (from_a, at_b)
}

const MOMENT: Duration = Duration::from_millis(100);

#[test]
fn an_open_way_carries_bytes_and_ends() {
    let (ring, b) = ourselves();
    let (from_a, mut at_b) = connection(&ring, &b);
    drop(from_a);
    assert_eq!(at_b.next_line(), None);
    assert_eq!((ring.net().passed(0, 1), ring.net().passed(1, 0)), (8, 8));
}

#[test]
fn a_host_that_does_not_listen_refuses() {
    let (ring, b) = ourselves();
    drop(b);
    assert_eq!(dial(&ring).next_line(), None);
}

#[test]
fn a_reset_way_resets_both_ends_and_new_connections() {
    let (ring, b) = ourselves();
    let mut from_a = TcpStream::connect(ring.dialed(0, 1)).expect("a door");
    let (mut at_b, _) = b.accept().expect("a connection");
    ring.net().set(1, 0, Way::Reset);
    for end in [&mut from_a, &mut at_b] {
        assert_eq!(end.read(&mut [0]).expect_err("a reset").kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(dial(&ring).next_line(), None);
    ring.net().heal();
    connection(&ring, &b);
}

#[test]
fn a_finished_way_ends_both_ends_in_order() {
    let (ring, b) = ourselves();
    let mut from_a = TcpStream::connect(ring.dialed(0, 1)).expect("a door");
    let (mut at_b, _) = b.accept().expect("a connection");
    ring.net().set(0, 1, Way::Finished);
    for end in [&mut from_a, &mut at_b] {
        assert_eq!(end.read(&mut [0]).expect("an orderly end"), 0);
    }
}

#[test]
fn a_stalled_way_holds_bytes_back_and_the_other_way_goes_on() {
    let (ring, b) = ourselves();
    let (mut from_a, mut at_b) = connection(&ring, &b);
    ring.net().set(0, 1, Way::Stalled);
    from_a.send("late\r\n");
    assert!(at_b.is_silent_for(MOMENT));
    at_b.send("in time\r\n");
    assert_eq!(from_a.line(), "in time");
    from_a.give_up_writing_after(MOMENT);
    while from_a.try_send("x".repeat(1 << 16)).is_ok() {}
    ring.net().heal();
    assert_eq!(at_b.line(), "late");
}

#[test]
fn what_a_way_has_lost_never_comes_and_the_connection_stays_dead() {
    let (ring, b) = ourselves();
    let (mut from_a, mut at_b) = connection(&ring, &b);
    ring.net().set(0, 1, Way::Lost);
    from_a.send("lost\r\n");
    at_b.send("heard\r\n");
    assert_eq!(from_a.line(), "heard");
    ring.net().heal();
    from_a.send("behind the hole\r\n");
    drop(from_a);
    assert!(at_b.is_silent_for(MOMENT), "not even the end is told");
    connection(&ring, &b);
}

#[test]
fn over_a_lost_way_nobody_is_reached() {
    let (ring, b) = ourselves();
    ring.net().set(0, 1, Way::Lost);
    let mut from_a = dial(&ring);
    from_a.send("hello\r\n");
    assert!(from_a.is_silent_for(MOMENT));
    b.set_nonblocking(true).expect("a listener that does not block");
    assert!(b.accept().is_err(), "nobody came");
}

#[test]
fn of_a_half_open_connection_one_end_knows_nothing() {
    let (ring, b) = ourselves();
    let (mut from_a, mut at_b) = connection(&ring, &b);
    ring.net().set(0, 1, Way::HalfOpen);
    assert_eq!(at_b.next_line(), None);
    assert!(from_a.is_silent_for(MOMENT));
    from_a.send("into the void\r\n");
    assert!(from_a.is_silent_for(MOMENT));
}

#[test]
fn a_trickle_is_slow_and_loses_nothing() {
    let (ring, b) = ourselves();
    let (mut from_a, mut at_b) = connection(&ring, &b);
    ring.net().set(0, 1, Way::Trickle(200));
    from_a.send("0123456789".repeat(100) + "\r\n");
    let before = ring.net().passed(0, 1);
    wait_until("some bytes have passed", || ring.net().passed(0, 1) > before + 10);
    assert!(ring.net().passed(0, 1) < before + 900, "all came at once");
    ring.net().heal();
    assert_eq!(at_b.line(), "0123456789".repeat(100));
}

#[test]
fn daemons_link_through_it() {
    let ring = Plan::of(3).with_net().start();
    ring.client(0).expect("MSG over the net", "OK");
    ring.wait_for_lines(&[0, 1, 2], 1);
    assert!(ring.net().passed(0, 1) > 0);
}
