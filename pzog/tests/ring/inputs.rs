//! Whatever comes in, on either port and at any time: no panic, and nothing against the contract of
//! [`pzog::event`].

use crate::disk::Mood;
use crate::network::Port;
use crate::properties::config;
use crate::world::World;
use proptest::prelude::*;
use pzog::time::Duration;
use pzog::{Input, Scheme, Settings};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

/// What strangers say, whole or in part.
const SAYINGS: [&str; 36] = [
    "HELLO org.xlattice.pzog/2.0 MV PA 00000000000000aa 1 60444d59d63d3777\r\n",
    "HELLO org.xlattice.pzog/2.0 MV G 00000000000000aa 1 60444d59d63d3777\r\n",
    "HELLO org.xlattice.pzog/2.0 PA G 00000000000000bb 1 60444d59d63d3777\r\n",
    "HELLO org.xlattice.pzog/2.0 PA MV 00000000000000bb 1 0000000000000000\r\n",
    "HELLO org.xlattice.pzog/3.0 MV PA\r\n",
    "HELLO G\r\n",
    "HELLO token\r\n",
    "HELLO token next=3 ack=all\r\n",
    "HELLO other next=1 ack=journaled\r\n",
    "OK PA/00000000000000aa 0 0\r\n",
    "OK G/00000000000000aa 0 0\r\n",
    "OK G/00000000000000bb 7 7\r\n",
    "OK MV/0000000000000001 18446744073709551615 3\r\n",
    "OK MV/0000000000000001 9999999999999999999 9999999999999999999\r\n",
    "OK MV/0000000000000001 2 1\r\n",
    "ERR 300 go away\r\n",
    "BYE\r\n",
    "BYE \u{202e}\r\n",
    "KEEPALIVE\r\n",
    "ACK\r\n",
    "QUIT\r\n",
    "MSG text\r\n",
    "MSG \u{1b}[31m\r\n",
    "AT 20261121T025142Z text\r\n",
    "AT 99999999T999999Z text\r\n",
    "0text\r\n",
    "1text\r\n",
    "2text\r\n",
    "2G/00000000000000aa.1 20261121T025142Z text\r\n",
    "1G/00000000000000aa.5!~token.7 20261121T025142Z text\r\n",
    "0G>MV/00000000000000aa.1 20261121T025142Z text\r\n",
    "2MV/0000000000000001.9999999999999999999 20261121T025142Z text\r\n",
    "0PA/00000000000000bb.9999999999999999999~token.9999999999999999999 20261121T025142Z text\r\n",
    "0X/00000000000000aa.1 20261121T025142Z text\r\n",
    "\n",
    "\r\n",
];

/// Some bytes: sayings in a row, cut or spoilt now and then, or rubbish.
fn bytes(dice: &mut SmallRng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..dice.random_range(1..6) {
        let saying = SAYINGS[dice.random_range(0..SAYINGS.len())].as_bytes();
        match dice.random_range(0..12) {
            0 => bytes.extend_from_slice(&saying[..dice.random_range(0..saying.len())]),
            1 => bytes.extend((0..dice.random_range(0..40)).map(|_| dice.random::<u8>())),
            2 => bytes.resize(bytes.len() + dice.random_range(0..1500), b'x'),
            3 => {
                let at = dice.random_range(0..saying.len());
                bytes.extend_from_slice(saying);
                let spoilt = bytes.len() - saying.len() + at;
                bytes[spoilt] = dice.random();
            }
            _ => bytes.extend_from_slice(saying),
        }
    }
    bytes
}

/// One thing that strangers, the disk or the clock do.
fn act(world: &mut World, dice: &mut SmallRng, strangers: &mut Vec<String>) {
    let host = dice.random_range(0..world.hosts.len());
    let stranger = (!strangers.is_empty()).then(|| strangers[dice.random_range(0..strangers.len())].clone());
    match (dice.random_range(0..40), stranger) {
        (0..=3, _) if world.hosts[host].node.is_some() => {
            let name = format!("stranger {}", strangers.len());
            world.connect(&name, host, if dice.random() { Port::Ring } else { Port::Clients });
            strangers.push(name);
        }
        (4, Some(stranger)) => drop(world.leave(&stranger)),
        (5, Some(stranger)) => drop(world.finish(&stranger)),
        (6, _) => world.hosts[host].disk.mood = Mood::Hangs,
        (7, _) => world.hosts[host].disk.mood = Mood::Works,
        (8, _) if dice.random_bool(0.05) => world.hosts[host].disk.mood = Mood::Fails,
        (9, _) if dice.random_bool(0.05) => world.give(host, Input::Stop),
        (10, _) => world.cut(host, (host + 1) % 3),
        (11, _) if world.hosts[host].node.is_none() => world.start(host),
        (12..=14, _) => world.pass(Duration::from_micros(dice.random_range(0..3_000_000)), |_| ()),
        (15, _) => world.give(host, Input::Deadline),
        (_, Some(stranger)) => drop(world.say(&stranger, &bytes(dice))),
        _ => {}
    }
}

/// What came of some bytes on a port: access.log, error.log, the answers.
fn outcome(port: Port, bytes: &[u8], mut dice: Option<SmallRng>) -> (Vec<u8>, Vec<String>, Vec<String>) {
    let mut world = World::new(
        &["MV", "PA", "G"],
        Scheme::Receiver,
        Settings { segment_bytes: 1 << 20, ..Settings::default() },
    );
    world.start(0);
    world.settle();
    world.connect("stranger", 0, port);
    world.take_trace();
    assert!(world.say("stranger", bytes));
    if let Some(dice) = &mut dice {
        world.shuffle(dice, usize::MAX);
    }
    world.settle();
    let error_log = world.trace().lines().filter(|line| line.starts_with("MV error.log"));
    let error_log = error_log.map(str::to_owned).collect();
    let answers = std::mem::take(&mut world.outsiders.get_mut("stranger").expect("it is there").answers);
    (world.hosts[0].disk.take_log(), error_log, answers)
}

#[test]
fn the_sayings_that_open_a_link_do_so() {
    let hello = [SAYINGS[0], SAYINGS[9]].concat();
    let (_, error_log, answers) = outcome(Port::Ring, hello.as_bytes(), None);
    assert!(error_log[0].contains("PA: UP accepted"), "{error_log:?} {answers:?}");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_input_makes_a_node_panic_spin_or_break_the_contract(seed: u64, acts in 1usize..200) {
        let mut dice = SmallRng::seed_from_u64(seed);
        let settings = Settings { window_messages: 5, segment_bytes: 64 << 10, ..Settings::default() };
        let mut world = World::new(&["MV", "PA", "G"], Scheme::Receiver, settings);
        world.start(0);
        world.start(1);
        let mut strangers = Vec::new();
        for _ in 0..acts {
            act(&mut world, &mut dice, &mut strangers);
            let steps = dice.random_range(0..6);
            world.shuffle(&mut dice, steps);
            let misuses = world.checks.take_misuses();
            prop_assert!(misuses.is_empty(), "{}\nafter\n{}", misuses.join("\n"), world.trace());
        }
        world.hosts.iter_mut().for_each(|host| host.disk.mood = Mood::Works);
        world.run(Duration::from_secs(600));
        let misuses = world.checks.take_misuses();
        prop_assert!(misuses.is_empty(), "{}\nafter\n{}", misuses.join("\n"), world.trace());
    }

    #[test]
    fn the_same_bytes_do_the_same_however_they_are_split(seed: u64, splits: u64, on_the_ring_port: bool) {
        let mut dice = SmallRng::seed_from_u64(seed);
        let (port, mut said) = match on_the_ring_port {
            true => (Port::Ring, [SAYINGS[0], SAYINGS[9]].concat().into_bytes()),
            false => (Port::Clients, Vec::new()),
        };
        (0..10).for_each(|_| said.extend(bytes(&mut dice)));
        let split = SmallRng::seed_from_u64(splits);
        prop_assert_eq!(outcome(port, &said, Some(split)), outcome(port, &said, None));
    }
}
