//! What a peer may say of others' messages, and what it may not. G is real; MV, PA and LA are played by the test.

use crate::network::Port;
use crate::world::World;
use pzog::time::Duration;
use pzog::{Scheme, Settings};

/// The life of MV, and the time of its messages.
const LIFE: &str = "MV/00000000000000a1";
const TIME: &str = "20261121T025142Z";

/// G, with links to the three others. In a ring of five +1 of an origin is the relay of +3: MV's messages come to G by PA.
fn world() -> World {
    let settings = Settings { segment_bytes: 1 << 20, ..Settings::default() };
    let mut world = World::new(&["MV", "PA", "LA", "G", "S"], Scheme::Receiver, settings);
    world.start(3);
    let digest = world.ring().digest();
    for name in ["MV", "PA", "LA"] {
        world.connect(name, 3, Port::Ring);
        let hello = format!("HELLO org.xlattice.pzog/2.1 G {name} 00000000000000a1 1 {digest:016x}\r\n");
        world.say(name, hello.as_bytes());
        world.say(name, format!("OK {name}/00000000000000a1 0 0\r\n").as_bytes());
    }
    world.run(Duration::from_millis(10));
    world.take_trace();
    world
}

fn say(world: &mut World, name: &str, line: &str) -> String {
    assert!(world.say(name, format!("{line}\r\n").as_bytes()), "{name} is still connected");
    world.run(Duration::from_millis(1));
    world.take_trace()
}

fn message(seq: u64, text: &str) -> String {
    format!("0{LIFE}.{seq} {TIME} {text}")
}

#[test]
fn every_forgery_is_refused_by_name_and_harms_nobody() {
    let cases = [
        ("LA", message(1, "x"), "is not its relay"),
        ("LA", format!("0MV/00000000000000ff.1 {TIME} of a life that never was"), "is not its relay"),
        ("MV", format!("0G/0000000000000001.1 {TIME} what you said yourself"), "is not its relay"),
        ("MV", format!("0G/00000000000000ee.1 {TIME} what you said in a former life"), "is not its relay"),
        ("PA", format!("0MV>G/00000000000000a1.1 {TIME} for you alone"), "is not its relay"),
        ("MV", format!("0MV>PA/00000000000000a1.1 {TIME} for PA alone"), "message for another host"),
        ("MV", format!("0XX/00000000000000a1.1 {TIME} of nobody"), "not in this ring"),
        ("MV", format!("3{LIFE}.1 {TIME} no such wrapping"), "malformed"),
        ("PA", format!("SUM {LIFE} 1 1 0000000000000001 0000000000000001"), "malformed"),
        ("MV", format!("SUM {LIFE} 1 513 0000000000000001 0000000000000001"), "malformed"),
        ("MV", format!("SUM {LIFE} 1 1 ffffffffffffffff 0000000000000001"), "malformed"),
    ];
    let mut world = world();
    for (name, line, why) in cases {
        let trace = say(&mut world, name, &line);
        assert!(trace.contains("REFUSED 4") && trace.contains(why), "{name} says {line}: {trace}");
        assert!(!trace.contains("access.log"), "{name} says {line}: {trace}");
    }
    for (name, line) in [("MV", message(1, "a")), ("PA", message(2, "b"))] {
        let trace = say(&mut world, name, &line);
        assert!(trace.contains("G access.log"), "{trace}");
    }
}

#[test]
fn what_comes_twice_or_too_early_is_not_taken() {
    let mut world = world();
    assert!(say(&mut world, "PA", &message(1, "first")).contains("G access.log"));
    for line in [message(1, "another first"), message(3, "beyond what there is")] {
        let trace = say(&mut world, "PA", &line);
        assert!(!trace.contains("access.log"), "{line}: {trace}");
    }
    assert_eq!(world.hosts[3].log_lines().count(), 1);
}

#[test]
fn who_was_asked_may_answer() {
    let mut world = world();
    say(&mut world, "LA", &format!("OK {LIFE} 1 1"));
    world.run(Duration::from_millis(100));
    assert!(world.take_trace().contains(&format!("G → LA  WANT {LIFE} 1")));
    assert!(say(&mut world, "LA", &message(1, "asked for")).contains("G access.log"));
    say(&mut world, "LA", &format!("0LA/00000000000000a1.1 {TIME} its own"));
    say(&mut world, "LA", "BYE stopping");
    let trace = say(&mut world, "LA", &message(2, "still under way when it left"));
    assert!(trace.contains("G access.log"), "{trace}");
}

/// The sum of lines as docs/PROTOCOL.md has it, built without the core.
fn sum(lines: &[String], key: u64) -> u64 {
    let prime = (1u128 << 61) - 1;
    lines.iter().map(|line| &line.as_bytes()[1..]).fold(0u128, |mut sum, line| {
        let mut add = |value: u64| sum = (sum * u128::from(key) + u128::from(value)) % prime;
        add(line.len() as u64);
        for part in line.chunks(7) {
            add(part.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)));
        }
        sum
    }) as u64
}

#[test]
fn a_relay_that_alters_a_text_is_found_by_the_sum_of_its_origin() {
    let mut world = world();
    let said = ["a", "to be left as it is", "c"].map(String::from);
    let said: Vec<String> = (1..).zip(&said).map(|(seq, text)| message(seq, text)).collect();
    say(&mut world, "PA", &said[0]);
    say(&mut world, "PA", &said[1].replace("left", "lost"));
    say(&mut world, "PA", &said[2]);
    let key = 0x0123_4567_89ab_cdef;
    let told = |from: usize, to: usize| {
        let sum = sum(&said[from - 1..to], key);
        format!("SUM {LIFE} {from} {to} {key:016x} {sum:016x}")
    };
    for (from, to) in [(1, 1), (3, 3)] {
        assert!(!say(&mut world, "MV", &told(from, to)).contains("DIVERGED"));
    }
    let trace = say(&mut world, "MV", &told(1, 3));
    let found = format!("G error.log  MV: DIVERGED {LIFE}.1 to 3");
    assert!(trace.contains(&found) && trace.contains("came from PA"), "{trace}");
    assert_eq!(world.hosts[3].node.as_ref().map(|node| node.counters().diverged), Some(1));
}

#[test]
fn a_sum_of_what_is_still_on_its_way_is_compared_when_it_is_here() {
    let mut world = world();
    let said = [message(1, "slow")];
    assert!(
        !say(&mut world, "MV", &format!("SUM {LIFE} 1 1 0000000000000007 0000000000000009")).contains("DIV")
    );
    say(&mut world, "PA", &said[0]);
    world.run(Duration::from_secs(2));
    assert!(world.take_trace().contains("DIVERGED"), "the sum was a wrong one");
    say(&mut world, "MV", &format!("SUM {LIFE} 1 1 0000000000000007 {:016x}", sum(&said, 7)));
    world.run(Duration::from_secs(2));
    assert!(!world.take_trace().contains("DIVERGED"));
}

#[test]
fn a_peer_of_the_former_revision_is_linked_and_hears_no_sums() {
    for (version, hears) in [("2.0", false), ("2.1", true), ("2.7 min=1", true)] {
        let mut world = World::new(&["MV", "PA"], Scheme::Receiver, Settings::default());
        world.start(0);
        world.connect("eve", 0, Port::Ring);
        let digest = world.ring().digest();
        let (number, min) = version.split_once(' ').unwrap_or((version, ""));
        let hello = format!("HELLO org.xlattice.pzog/{number} MV PA 00000000000000a1 1 {digest:016x} {min}");
        say(&mut world, "eve", hello.trim_end());
        say(&mut world, "eve", "OK PA/00000000000000a1 0 0");
        world.connect("alice", 0, Port::Clients);
        say(&mut world, "alice", "MSG hello");
        world.run(Duration::from_secs(2));
        let trace = world.take_trace();
        assert_eq!(trace.contains("MV → eve  SUM MV/"), hears, "{version}: {trace}");
    }
}

#[test]
fn without_a_common_revision_both_are_named() {
    let mut world = World::new(&["MV", "PA"], Scheme::Receiver, Settings::default());
    world.start(0);
    world.connect("eve", 0, Port::Ring);
    let digest = world.ring().digest();
    let hello = format!("HELLO org.xlattice.pzog/2.9 MV PA 00000000000000a1 1 {digest:016x} min=5");
    let trace = say(&mut world, "eve", &hello);
    assert!(trace.contains("MV → eve  ERR 502 I speak org.xlattice.pzog/2.0 to 2.2"), "{trace}");
    assert!(trace.contains("REFUSED 502") && trace.contains("org.xlattice.pzog/2.9"), "{trace}");
}
