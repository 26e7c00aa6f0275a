//! A host that is served from the journal gets on, whatever else goes on.

use crate::network::{Port, Step};
use crate::world::World;
use pzog::time::Duration;
use pzog::{Scheme, Settings};

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

#[test]
fn a_message_that_comes_while_a_piece_is_read_does_not_have_it_read_again() {
    let mut world = World::new(&["MV", "PA"], Scheme::Receiver, Settings::default());
    world.start(0);
    world.connect("PA", 0, Port::Ring);
    let digest = world.ring().digest();
    world.say(
        "PA",
        format!("HELLO org.xlattice.pzog/2.2 MV PA 00000000000000a1 1 {digest:016x}\r\n").as_bytes(),
    );
    world.say("PA", b"OK PA/00000000000000a1 0 0\r\n");
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
