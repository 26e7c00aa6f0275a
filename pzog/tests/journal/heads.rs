//! A start that reads the heads of old segments comes to the same as one that reads everything: whenever access.log
//! was marked last, after losses of power, and whatever rots, ends early or is missing.

use crate::disk::Files;
use crate::history::{History, check_heads_suffice, recover};
use crate::host::{Host, Looks};
use crate::outside::Client;
use pzog::{HostIndex, Time};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// A journal of so many segments, at least.
const SEGMENTS: usize = 10;

/// A journal that nobody else needs, so that all of it is kept; there are stretches in which access.log
/// is not marked, and in which nothing is synced, and the power goes now and then. Also what access.log has to say.
fn journal(seed: u64) -> (Files, History) {
    let mut dice = SmallRng::seed_from_u64(seed);
    let (mut files, mut history) = (Files::new(), History::new());
    let mut now = Time(1);
    for life in 1.. {
        let looks = Looks { dice: SmallRng::seed_from_u64(0), max: 0, images: 0, heads: 0 };
        let mut client = Client::new(&format!("{life}"));
        let mut host = Host::start(HostIndex(0), life, files, history, looks);
        host.begin(now);
        host.hear_client(now, &client.connect(&mut dice));
        let segments = host.disk.now().len() + dice.random_range(1..SEGMENTS);
        let (mut no_mark, mut no_sync) = (false, false);
        while host.disk.now().len() < segments {
            now = Time(now.0 + 10_000);
            host.hear_client(now, &client.say(&mut dice));
            if std::mem::take(&mut host.closes_client) {
                // There was no room for a moment.
                host.change_client(now);
                client = Client::new(&format!("{life}-{}", now.0));
                host.hear_client(now, &client.connect(&mut dice));
            }
            no_mark ^= dice.random_bool(0.02);
            no_sync ^= dice.random_bool(0.02);
            for _ in 0..4 {
                host.go_on_without(now, &mut dice, no_mark, no_sync);
            }
        }
        files = host.disk.lost_power(None).any_image(&mut dice);
        history = host.history;
        if files.len() > SEGMENTS {
            break;
        }
    }
    (files, history)
}

#[test]
fn the_heads_of_old_segments_say_what_the_segments_say() {
    let mut heads = 0;
    for seed in 0..40 {
        let (files, history) = journal(seed);
        let (recovered, lines) = recover(&files);
        assert!(history.upto(&recovered, &lines) >= history.certain, "seed {seed}: lines are lost");
        heads += check_heads_suffice(&files);
    }
    assert!(heads > 100, "only of {heads} segments the head was read alone");
}

#[test]
fn whatever_rots_or_is_missing_is_taken_as_if_everything_were_read() {
    let mut dice = SmallRng::seed_from_u64(7);
    let mut heads = 0;
    for seed in 0..6 {
        let (files, _) = journal(seed);
        let numbers: Vec<u64> = files.keys().copied().collect();
        for _ in 0..60 {
            let number = numbers[dice.random_range(0..numbers.len())];
            let mut files = files.clone();
            let bytes = files.get_mut(&number).expect("it is there");
            let at = dice.random_range(0..bytes.len());
            match dice.random_range(0..8) {
                0 => bytes.truncate(at),
                1 => drop(files.remove(&number)),
                // A head, or its second copy, rather often.
                2..5 => bytes[at % 600] ^= 1 << dice.random_range(0..8),
                _ => bytes[at] ^= 1 << dice.random_range(0..8),
            }
            heads += check_heads_suffice(&files);
        }
    }
    assert!(heads > 100, "only of {heads} segments the head was read alone");
}
