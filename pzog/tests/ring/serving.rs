//! A host that is served from the journal gets on, whatever else goes on.

use crate::network::{Port, Step};
use crate::world::World;
use pzog::time::Duration;
use pzog::{ConnId, Input, Scheme, Settings};

const TIME: &str = "20261121T025142Z";

/// Takes the first step of a kind. Whether there was one.
fn take(world: &mut World, is_wanted: impl Fn(&Step) -> bool) -> bool {
    let found = world.steps.iter().position(is_wanted);
    found.is_some_and(|step| {
        world.step(step, usize::MAX);
        true
    })
}

/// All that was said is heard, and nothing else happens.
fn hear(world: &mut World) {
    while take(world, |step| matches!(step, Step::Deliver { .. })) {}
}

/// A host that the test plays links itself with MV; it has nothing, and is of the incarnation `a1`, say.
fn link(world: &mut World, name: &str, letter: char) {
    world.connect(name, 0, Port::Ring);
    let digest = world.ring().digest();
    let incarnation = format!("00000000000000{letter}1");
    let hello = format!("HELLO org.xlattice.pzog/2.2 MV {name} {incarnation} 1 {digest:016x}\r\n");
    world.say(name, hello.as_bytes());
    world.say(name, format!("OK {name}/{incarnation} 0 0\r\n").as_bytes());
    world.settle();
}

#[test]
fn a_message_that_comes_while_a_piece_is_read_does_not_have_it_read_again() {
    let mut world = World::new(&["MV", "PA"], Scheme::Receiver, Settings::default());
    world.start(0);
    link(&mut world, "PA", 'a');
    world.connect("alice", 0, Port::Clients);
    world.say("alice", b"HELLO t next=1 ack=journaled\r\nMSG the first\r\n");
    world.run(Duration::from_millis(1));
    world.say("PA", b"WANT MV/0000000000000001 1\r\n");
    hear(&mut world);
    for number in 2..=20 {
        world.say("alice", format!("MSG message {number}\r\n").as_bytes());
        hear(&mut world);
        world.take_trace();
        assert!(take(&mut world, |step| matches!(step, Step::Read { .. })), "a piece is read");
        let trace = world.take_trace();
        let last = format!("MV → PA  0MV/0000000000000001.{} ", number - 1);
        assert!(trace.contains(&last), "what stood there when it was asked for is sent: {trace}");
    }
}

#[test]
fn what_could_not_be_sent_when_it_was_read_is_sent_once_it_can_be() {
    let mut world = World::new(&["MV", "PA", "G"], Scheme::Receiver, Settings::default());
    world.start(0);
    link(&mut world, "PA", 'a');
    link(&mut world, "G", 'b');
    // Own messages leave once they are on the disk, which takes its time here.
    world.connect("alice", 0, Port::Clients);
    world.say("alice", b"HELLO t next=1 ack=synced\r\nMSG not synced yet\r\n");
    hear(&mut world);
    world.say("G", format!("0G/00000000000000b1.1 {TIME} one\r\n").as_bytes());
    hear(&mut world);
    world.say("PA", b"WANT MV/0000000000000001 1\r\nWANT G/00000000000000b1 1\r\n");
    hear(&mut world);
    // Something still lags when the first piece, with the message of MV, is done with.
    world.say("G", format!("0G/00000000000000b1.2 {TIME} two\r\n").as_bytes());
    hear(&mut world);
    assert!(take(&mut world, |step| matches!(step, Step::Read { .. })), "the first piece is read");
    assert!(!world.trace().contains("MV → PA  0MV/"), "not before it is synced: {}", world.trace());
    let pa = ConnId(0);
    world.give(0, Input::Blocked { conn: pa });
    assert!(take(&mut world, |step| matches!(step, Step::Synced { .. })), "the sync ends");
    world.give(0, Input::Drained { conn: pa });
    world.settle();
    let trace = world.take_trace();
    for line in ["0MV/0000000000000001.1 ", "0G/00000000000000b1.1 ", "0G/00000000000000b1.2 "] {
        assert_eq!(trace.matches(&format!("MV → PA  {line}")).count(), 1, "{line}: {trace}");
    }
    assert!(!trace.contains("GONE"), "{trace}");
}
