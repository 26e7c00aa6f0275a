//! What strangers, and clients that do not behave, may do without harm to an honest host.

use crate::disk::Mood;
use crate::network::Port;
use crate::world::World;
use pzog::journal::Recovered;
use pzog::time::Duration;
use pzog::{ConnId, HostIndex, Identity, Input, Node, Now, Outputs, Ring, Scheme, Settings, Slice, Time};

/// The smallest part of a segment that is read in a turn, and the segments in these tests.
const SEGMENT: u32 = 64 << 10;
const TURN: usize = SEGMENT as usize / pzog::limits::READS_IN_SEGMENT as usize;

fn world(names: &[&str]) -> World {
    let settings = Settings { segment_bytes: SEGMENT, ..Settings::default() };
    let mut world = World::new(names, Scheme::Receiver, settings);
    (0..names.len()).for_each(|host| world.start(host));
    world.run(Duration::from_secs(2));
    world
}

/// Says lines, as many in a turn as a driver reads of them.
fn say_all(world: &mut World, outsider: &str, lines: &[u8]) {
    for part in lines.chunks(TURN) {
        assert!(world.say(outsider, part), "{outsider} is still connected");
        world.run(Duration::from_millis(1));
    }
}

/// A client of the first host says this until it is taken: it comes again where it is told to come again.
fn insist(world: &mut World, lines: &[u8]) {
    for _attempt in 0..5 {
        let counted = world.hosts[0].log_lines().count();
        world.take_trace();
        if !world.say("alice", lines) {
            world.connect("alice", 0, Port::Clients);
            world.say("alice", lines);
        }
        world.run(Duration::from_millis(30));
        if world.hosts[0].log_lines().count() > counted {
            return;
        }
    }
    panic!("it is never taken: {}", world.trace());
}

/// All is as the driver's contract has it, and all logs have all.
fn check(world: &mut World) {
    world.run(Duration::from_secs(5));
    assert!(!world.trace().contains("BROKEN"), "{}", last_lines(world));
}

fn last_lines(world: &World) -> String {
    let lines: Vec<&str> = world.trace().lines().filter(|l| l.contains("BROKEN")).collect();
    lines.join("\n")
}

#[test]
fn a_retired_host_that_still_runs_is_refused() {
    for hello in
        ["HELLO org.xlattice.pzog/2.0 MV gone 00000000000000a1 1 00000000000000b2\r\n", "HELLO gone\r\n"]
    {
        let mut world = World::new(&["MV", "PA"], Scheme::Receiver, Settings::default());
        let ring = world.ring().with_retired(vec!["gone".to_owned()]).unwrap();
        world.start_with(0, ring);
        world.connect("eve", 0, Port::Ring);
        world.say("eve", hello.as_bytes());
        world.run(Duration::from_secs(1));
        assert!(world.trace().contains("MV → eve  ERR 504"), "{}", world.trace());
    }
}

#[test]
fn whoever_asks_for_more_than_it_says_takes_no_memory() {
    for line in [&b"STATUS\r\n"[..], b"\n"] {
        let mut world = world(&["MV", "PA"]);
        world.connect("eve", 0, Port::Clients);
        world.say("eve", &line.repeat((256 << 10) / line.len()));
        world.run(Duration::from_secs(1));
        let bytes = world.hosts[0].out.small.capacity();
        assert!(bytes <= 4 << 20, "a turn has made {bytes} bytes for {:?}", line.escape_ascii().to_string());
        assert!(world.trace().contains("MV closes eve"));
    }
}

#[test]
fn a_number_that_one_host_refused_for_its_clock_is_logged_everywhere_when_another_one_takes_it() {
    let mut world = world(&["MV", "PA"]);
    let line = "AT 20261121T155142Z in thirteen hours\r\n";
    world.connect("alice", 0, Port::Clients);
    world.say("alice", format!("HELLO token\r\n{line}").as_bytes());
    world.run(Duration::from_secs(1));
    assert!(world.trace().contains("MV → alice  ERR 410"));
    world.run(Duration::from_secs(2 * 3600));
    world.connect("bob", 1, Port::Clients);
    world.say("bob", format!("HELLO token next=1\r\n{line}").as_bytes());
    world.run(Duration::from_secs(2));
    assert!(world.trace().contains("PA → bob  OK\n"), "{}", &world.trace()[world.trace().len() - 900..]);
    for host in &world.hosts {
        assert!(host.has_text(b"in thirteen hours"), "{} has not logged it", host.name);
    }
}

#[test]
fn sessions_that_are_more_than_half_of_a_segment_do_not_end_the_journal() {
    let mut world = world(&["MV", "PA"]);
    for n in 0..3000 {
        let lines = format!("HELLO 0123456789-0123456789-01-{n:05} next=1\r\nAT 20261121T025142Z x\r\n");
        insist(&mut world, lines.as_bytes());
    }
    check(&mut world);
    assert_eq!(world.hosts.iter().map(|h| h.log_lines().count()).collect::<Vec<_>>(), [3000, 3000]);
    // What a start finds does not fit into a segment of the usual size either.
    world.kill(0);
    world.start(0);
    world.run(Duration::from_secs(10));
    insist(&mut world, b"MSG goes on\r\n");
    check(&mut world);
    assert!(world.hosts.iter().all(|host| host.has_text(b"goes on")));
}

#[test]
fn many_short_lines_of_a_version_1_peer_stay_within_a_segment() {
    let mut world = world(&["MV", "PA"]);
    world.connect("eve", 0, Port::Ring);
    world.say("eve", b"HELLO PA\r\n");
    world.run(Duration::from_millis(1));
    for turn in 0..400 {
        say_all(&mut world, "eve", &b"0x\r\n".repeat(if turn % 3 == 0 { 256 } else { 1 + turn % 97 }));
    }
    check(&mut world);
}

#[test]
fn a_session_of_which_many_lines_are_refused_makes_no_head_of_a_segment_without_bounds() {
    let mut world = world(&["MV", "PA"]);
    world.connect("eve", 0, Port::Clients);
    say_all(&mut world, "eve", b"HELLO token\r\n");
    let pair = b"AT yesterday\r\nAT 20261121T025142Z x\r\n";
    for _ in 0..6000 {
        if !world.say("eve", pair) {
            break;
        }
        world.run(Duration::from_millis(1));
    }
    assert!(world.trace().contains("MV closes eve"));
    assert_eq!(world.hosts[0].log_lines().count(), pzog::limits::SESSION_REFUSED_MAX as usize - 1);
}

#[test]
fn a_connection_that_took_nothing_before_the_link_was_up_gets_no_messages() {
    let ring = Ring::new(vec!["MV".to_owned(), "PA".to_owned()], Scheme::Receiver).unwrap();
    let digest = ring.digest();
    let me = Identity { ring, me: HostIndex(0), incarnation: 1, process: 1, seed: 1 };
    let mut node = Node::new(me, Settings::default(), Recovered::default());
    let mut out = Outputs::default();
    let now = Now { mono: Time(0), utc_seconds: 0 };
    let (peer, client) = (ConnId(0), ConnId(1));
    let hello = format!("HELLO org.xlattice.pzog/2.0 MV PA 00000000000000a1 1 {digest:016x}\r\n");
    node.handle(now, Input::PeerAccepted { conn: peer }, &mut out);
    node.handle(now, Input::PeerLines { conn: peer, bytes: &mut hello.into_bytes() }, &mut out);
    node.handle(now, Input::Blocked { conn: peer }, &mut out);
    let mut told = b"OK PA/00000000000000a1 0 0\r\n".to_vec();
    node.handle(now, Input::PeerLines { conn: peer, bytes: &mut told }, &mut out);
    node.handle(now, Input::ClientConnected { conn: client }, &mut out);
    let lines = b"HELLO t ack=journaled\r\nMSG x\r\n";
    node.handle(now, Input::ClientLines { conn: client, bytes: lines }, &mut out);
    let sent =
        |out: &Outputs| out.send.iter().any(|(conn, slice)| *conn == peer && matches!(slice, Slice::Own(..)));
    assert!(!sent(&out), "{:?}", out.send);
    node.handle(now, Input::Drained { conn: peer }, &mut out);
    assert_eq!(out.read.len(), 1, "it is served from the journal now");
}

#[test]
fn peers_wait_for_a_segment_that_is_late_but_not_for_long() {
    let settings = Settings { segment_bytes: SEGMENT, ..Settings::default() };
    let mut world = World::new(&["MV", "PA"], Scheme::Receiver, settings);
    world.start(0);
    world.connect("PA", 0, Port::Ring);
    let digest = world.ring().digest();
    let hello = format!(
        "HELLO org.xlattice.pzog/2.2 MV PA 00000000000000a1 1 {digest:016x}\r\nOK PA/00000000000000a1 0 0\r\n"
    );
    world.say("PA", hello.as_bytes());
    world.run(Duration::from_secs(1));
    world.hosts[0].disk.mood = Mood::Hangs;
    let said = 3 * SEGMENT / 100;
    for seq in 1..=said {
        let text = "x".repeat(60);
        let line = format!("0PA/00000000000000a1.{seq} 20261121T025142Z {text}\r\n");
        world.say("PA", line.as_bytes());
        world.run(Duration::from_micros(10));
    }
    let trace = world.take_trace();
    assert_eq!(trace.matches("MV stops reading its peers").count(), 1, "{}", last_lines(&world));
    assert!(!trace.contains("WANT"), "nothing was let go");
    world.run(Duration::from_millis(600));
    let trace = world.take_trace();
    assert!(trace.contains("MV reads its peers"), "a link does not fall silent for it");
    world.hosts[0].disk.mood = Mood::Works;
    world.say("PA", format!("OK PA/00000000000000a1 {said} {said}\r\n").as_bytes());
    check(&mut world);
    assert!(world.trace().contains("MV → PA  WANT"), "what there was no room for is asked for when there is");
}

#[test]
fn a_wrapped_line_for_which_there_is_no_stream_any_more_is_not_answered_ok() {
    let settings = Settings { segment_bytes: 1 << 24, ..Settings::default() };
    let mut world = World::new(&["MV", "PA"], Scheme::Receiver, settings);
    world.start(0);
    world.connect("eve", 0, Port::Ring);
    let digest = world.ring().digest();
    let mut lines = format!("HELLO org.xlattice.pzog/2.1 MV PA 00000000000000a1 1 {digest:016x}\r\n");
    for life in 1..pzog::limits::STREAMS_MAX {
        lines += &format!("OK PA/{:016x} 1 1\r\n", life + 0xa1);
    }
    world.say("eve", lines.as_bytes());
    world.run(Duration::from_millis(10));
    world.connect("alice", 0, Port::Clients);
    world.say("alice", b"1hello\r\n");
    world.run(Duration::from_millis(1));
    let answered: Vec<&str> = world.trace().lines().filter(|line| line.contains("MV → alice")).collect();
    assert_eq!(
        answered,
        ["MV → alice  ERR 300 too many streams: hosts were started too often for this journal"]
    );
    assert!(!world.hosts[0].has_text(b"hello"));
}
