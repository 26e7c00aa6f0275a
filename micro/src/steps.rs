//! The steps: each makes what it works on once, and is then carried out as often as one likes.

use crate::meter::measure;
use crate::world::{Watch, World};
use pzog::journal::{JournalError, recover};
use pzog::{HostIndex, Input, Level, Ring, Scheme};
use std::hint::black_box;
use std::time::Duration;

/// The messages of a full turn: 64 KiB of data lines.
const FULL: u64 = 700;
/// Turns that fill buffers and tables before anything is measured.
const WARM_UP: u64 = 8;
/// Lines in 1 MiB of the journal.
const WANTED: u64 = 16 * FULL;

/// Carries a step out once; returns how long what is measured took.
pub type Round = Box<dyn FnMut() -> Duration>;

/// Something whose cost is known by name.
pub struct Step {
    /// For people, the command line and the baseline.
    pub name: &'static str,
    /// How many messages one round handles.
    pub messages: u64,
    /// Rounds to count instructions of; a few where one is long.
    pub rounds: u64,
    make: Make,
}

enum Make {
    /// A client of the first host says so many lines as the round has messages; some inputs of one host count.
    Traffic {
        host: usize,
        watch: Watch,
        ack: Level,
    },
    Text,
    Recovery,
    Want,
}

/// All steps, in the order in which a message meets them.
pub const STEPS: [Step; 12] = [
    Step { name: "text", messages: FULL, rounds: 5, make: Make::Text },
    traffic("origin", FULL, 0, is_client, Level::Journaled),
    traffic("origin-one", 1, 0, is_client, Level::Journaled),
    traffic("relay", FULL, 2, is_data, Level::Journaled),
    traffic("relay-one", 1, 2, is_data, Level::Journaled),
    traffic("last-hop", FULL, 4, is_data, Level::Journaled),
    traffic("last-hop-one", 1, 4, is_data, Level::Journaled),
    traffic("answers-synced", FULL, 0, is_synced, Level::Synced),
    traffic("answers-all", FULL, 0, is_watermark, Level::All),
    traffic("watermarks", FULL, 0, is_watermark, Level::Journaled),
    Step { name: "want", messages: WANTED, rounds: 3, make: Make::Want },
    Step { name: "recovery", messages: 16 * 10 * FULL, rounds: 1, make: Make::Recovery },
];

const fn traffic(name: &'static str, messages: u64, host: usize, watch: Watch, ack: Level) -> Step {
    let rounds = if messages == 1 { 1000 } else { 20 };
    Step { name, messages, rounds, make: Make::Traffic { host, watch, ack } }
}

impl Step {
    /// The step of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Step> {
        STEPS.iter().find(|step| step.name == name)
    }

    /// Messages of all rounds together.
    #[must_use]
    pub fn handled(&self) -> u64 {
        self.messages * self.rounds
    }

    /// What carries it out; warm, so that each round costs about the same.
    #[must_use]
    pub fn make(&self) -> Round {
        match self.make {
            Make::Traffic { host, watch, ack } => traffic_round(self.messages, host, watch, ack),
            Make::Text => text_round(self.messages),
            Make::Recovery => recovery_round(self.messages),
            Make::Want => want_round(self.messages),
        }
    }
}

fn is_client(input: &Input<'_>) -> bool {
    matches!(input, Input::ClientLines { .. })
}

fn is_data(input: &Input<'_>) -> bool {
    matches!(input, Input::PeerLines { bytes: [b'0'..=b'2', ..], .. })
}

fn is_watermark(input: &Input<'_>) -> bool {
    matches!(input, Input::PeerLines { bytes: [b'O', b'K', b' ', ..], .. })
}

fn is_synced(input: &Input<'_>) -> bool {
    matches!(input, Input::Synced)
}

fn is_serving(input: &Input<'_>) -> bool {
    match input {
        Input::PeerLines { bytes, .. } => bytes.starts_with(b"WANT "),
        Input::JournalRead { .. } => true,
        _ => false,
    }
}

/// So many messages of 60 bytes.
fn client_lines(count: u64) -> Vec<u8> {
    (0..count).flat_map(|i| format!("MSG {i:>060}\r\n").into_bytes()).collect()
}

fn traffic_round(messages: u64, host: usize, watch: Watch, ack: Level) -> Round {
    let lines = client_lines(messages);
    let mut world = World::new(5, ack);
    for _ in 0..WARM_UP {
        world.say(&lines);
    }
    assert_eq!(world.logged(host), WARM_UP * messages, "every message reached every host");
    world.watch(host, watch);
    Box::new(move || {
        let before = world.logged(host);
        world.say(&lines);
        assert_eq!(world.logged(host), before + messages);
        world.take_spent()
    })
}

fn text_round(messages: u64) -> Round {
    let text = [b'x'; 60];
    Box::new(move || {
        let check = || (0..messages).for_each(|_| assert!(pzog::text::check(black_box(&text)).is_ok()));
        measure(check).1
    })
}

fn recovery_round(messages: u64) -> Round {
    let mut world = World::new(1, Level::Journaled);
    let lines = client_lines(FULL);
    for _ in 0..messages / FULL {
        world.say(&lines);
    }
    let files = world.journal(0).clone();
    let numbers: Vec<u64> = files.keys().copied().collect();
    let ring = Ring::new(vec!["MV".into()], Scheme::Receiver).expect("one host is a ring");
    Box::new(move || {
        let read = |number, most, into: &mut Vec<u8>| {
            let bytes: &Vec<u8> = &files[&number];
            into.clear();
            into.extend_from_slice(&bytes[..bytes.len().min(most as usize)]);
            Ok::<_, JournalError>(bytes.len() as u32)
        };
        let recovered = || recover(&ring, HostIndex(0), &numbers, read).expect("it is this host's journal");
        let (recovered, spent) = measure(recovered);
        assert!(!recovered.is_empty());
        spent
    })
}

fn want_round(messages: u64) -> Round {
    let mut world = World::new(5, Level::Journaled);
    let lines = client_lines(FULL);
    for _ in 0..messages / FULL {
        world.say(&lines);
    }
    world.drop_sent(); // the second host has it all, and would say so
    world.watch(0, is_serving);
    Box::new(move || {
        world.tell(b"WANT MV/0000000000000001 1\r\n");
        assert!(world.drop_sent() >= 1 << 20, "all of it was served");
        world.take_spent()
    })
}
