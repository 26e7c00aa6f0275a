//! What a host has given up is below its watermarks all the same: it says so, and does not count for it.

use crate::network::Port;
use crate::world::World;
use pzog::time::Duration;
use pzog::{Scheme, Settings};

const TIME: &str = "20261121T025142Z";

/// MV, with a link to PA, which the test plays as a build of this revision, and a client at level `all`.
fn world(revision: u8) -> World {
    let mut world = World::new(&["MV", "PA"], Scheme::Receiver, Settings::default());
    world.start(0);
    world.connect("PA", 0, Port::Ring);
    let digest = world.ring().digest();
    let hello = format!("HELLO org.xlattice.pzog/2.{revision} MV PA 00000000000000a1 1 {digest:016x}");
    say(&mut world, "PA", &hello);
    say(&mut world, "PA", "OK PA/00000000000000a1 0 0");
    world.connect("alice", 0, Port::Clients);
    say(&mut world, "alice", "HELLO t next=1 ack=all");
    world
}

fn say(world: &mut World, name: &str, line: &str) -> String {
    assert!(world.say(name, format!("{line}\r\n").as_bytes()), "{name} is still connected");
    world.run(Duration::from_millis(1));
    world.take_trace()
}

#[test]
fn who_gave_a_message_up_counts_for_no_level_and_is_named() {
    let mut world = world(2);
    for number in 1..=3 {
        say(&mut world, "alice", &format!("AT {TIME} message {number}"));
    }
    say(&mut world, "PA", "PAST MV/0000000000000001 2 2");
    let trace = say(&mut world, "PA", "OK MV/0000000000000001 3 3");
    assert_eq!(trace.matches("MV → alice  OK").count(), 1, "only the first: {trace}");
    world.run(Duration::from_secs(6));
    let trace = world.take_trace();
    assert!(
        trace.contains("MV → alice  PENDING 1/2\nMV → alice  OK\n"),
        "the second, then the third: {trace}"
    );
    for (seq, state) in [(1, "synced"), (2, "given-up among-2-to-2"), (3, "synced")] {
        let trace = say(&mut world, "alice", &format!("WHO MV/0000000000000001.{seq}"));
        assert!(trace.contains(&format!("+ PA {state}")), "{seq}: {trace}");
    }
}

#[test]
fn what_is_no_range_is_refused_and_a_former_build_says_no_such_line() {
    for (revision, line) in
        [(2, "PAST MV/0000000000000001 2 1"), (2, "PAST MV 1 1"), (1, "PAST MV/0000000000000001 1 1")]
    {
        let mut world = world(revision);
        let trace = say(&mut world, "PA", line);
        assert!(trace.contains("REFUSED 400"), "{revision}: {line}: {trace}");
    }
}

/// PA links itself with MV anew. Returns what MV says until it is up.
fn link(world: &mut World) -> String {
    world.connect("PA", 0, Port::Ring);
    let digest = world.ring().digest();
    let hello = format!("HELLO org.xlattice.pzog/2.2 MV PA 00000000000000a1 1 {digest:016x}");
    let trace = say(world, "PA", &hello);
    say(world, "PA", "OK PA/00000000000000a1 9 9");
    trace
}

#[test]
fn what_was_passed_over_is_known_in_all_lives() {
    let mut world = World::new(&["MV", "PA"], Scheme::Receiver, Settings::default());
    world.start(0);
    link(&mut world);
    say(&mut world, "PA", &format!("0PA/00000000000000a1.1 {TIME} the first"));
    let trace = say(&mut world, "PA", "GONE PA/00000000000000a1 2 7");
    assert!(trace.contains("GIVEN UP PA/00000000000000a1.2 to 7"), "{trace}");
    world.run(Duration::from_secs(2));
    let told = "MV → PA  PAST PA/00000000000000a1 2 7\nMV → PA  OK PA/00000000000000a1 7 ";
    let trace = world.take_trace();
    assert!(trace.contains(told), "{trace}");
    // From the note of the journal, then from the head of a segment.
    for life in 2..=3 {
        world.kill(0);
        world.start(0);
        let trace = link(&mut world);
        assert!(trace.contains(told), "life {life}: {trace}");
    }
}

#[test]
fn what_is_still_heard_on_a_connection_that_was_left_is_of_a_time_before() {
    let mut world = world(2);
    say(&mut world, "alice", &format!("AT {TIME} message 1"));
    say(&mut world, "PA", "BYE");
    world.connect("PA again", 0, Port::Ring);
    let digest = world.ring().digest();
    let hello = format!("HELLO org.xlattice.pzog/2.2 MV PA 00000000000000a2 2 {digest:016x}");
    assert!(say(&mut world, "PA again", &hello).contains("MV → PA again  OK "));
    say(&mut world, "PA", "OK MV/0000000000000001 1 1");
    let trace = say(&mut world, "alice", "WHO MV/0000000000000001.1");
    assert!(!trace.contains("PA synced"), "{trace}");
    world.run(Duration::from_secs(6));
    let trace = world.take_trace();
    assert!(trace.contains("PENDING 1/2") && trace.contains("+ PA missing"), "{trace}");
}
