//! What is read of clients has room in the journal.

use crate::disk::Mood;
use crate::network::Port;
use crate::world::World;
use pzog::limits::READS_IN_SEGMENT;
use pzog::{Scheme, Settings};

#[test]
fn short_lines_that_are_read_while_the_next_segment_is_late_are_taken() {
    let settings = Settings { segment_bytes: 64 << 10, ..Settings::default() };
    let mut world = World::new(&["MV", "PA"], Scheme::Receiver, settings);
    world.start(0);
    world.connect("alice", 0, Port::Clients);
    world.say("alice", b"HELLO t next=1 ack=journaled\r\n");
    world.hosts[0].disk.mood = Mood::Hangs;
    world.settle();
    let line = b"MSG x\r\n";
    let read = line.repeat((settings.segment_bytes / READS_IN_SEGMENT) as usize / line.len());
    let (mut said, mut answered) = (0, 0);
    let mut hear = |world: &mut World| {
        world.settle();
        let trace = world.take_trace();
        assert!(!trace.contains("ERR"), "{trace}");
        answered += trace.lines().filter(|line| *line == "MV → alice  OK").count();
        answered
    };
    while world.hosts[0].reads_clients > 0 {
        world.say("alice", &read);
        said += read.len() / line.len();
        hear(&mut world);
    }
    assert!(hear(&mut world) < said, "the others wait");
    world.hosts[0].disk.mood = Mood::Works;
    assert_eq!(hear(&mut world), said);
}
