//! A journal in which any one bit has changed, or whose end is missing: every message is there, or is known to be
//! missing and comes from another host, or was behind the end of what can be read; and error.log is told.

use crate::disk::Files;
use crate::history::{History, recover, ring};
use crate::host::{Host, Looks};
use crate::outside::Client;
use pzog::journal::Recovered;
use pzog::{HostIndex, Identity, Node, Settings, Time};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use std::num::NonZero;
use std::thread;

/// A journal of about 64 KiB of which access.log holds nothing that is certain, so that all lines come from it.
struct Journal {
    files: Files,
    lines: Vec<u8>,
    count: u64,
}

impl Journal {
    fn write() -> Journal {
        let mut dice = SmallRng::seed_from_u64(64);
        let mut client = Client::new("a");
        let looks = Looks { dice: SmallRng::seed_from_u64(0), max: 0, images: 0, heads: 0 };
        let mut host = Host::start(HostIndex(0), 1, Files::new(), History::new(), looks);
        let mut now = Time(1);
        host.begin(now);
        host.hear_client(now, &client.connect(&mut dice));
        while host.disk.now().values().map(Vec::len).sum::<usize>() < 64 << 10 {
            now = Time(now.0 + 10_000);
            host.hear_client(now, &client.say(&mut dice));
            host.go_on_without(now, &mut dice, true, false);
        }
        let lines = host.history.lines;
        let count = lines.iter().filter(|b| **b == b'\n').count() as u64;
        Journal { files: host.disk.now().clone(), lines, count }
    }

    fn bytes(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }

    /// The file and the place in it of a byte of the whole journal.
    fn place(&self, mut at: usize) -> (u64, usize) {
        for (file, bytes) in &self.files {
            if at < bytes.len() {
                return (*file, at);
            }
            at -= bytes.len();
        }
        panic!("beyond the journal");
    }

    /// Panics if what is left of the journal says anything that was not, or passes over something in silence.
    fn check(&self, files: &Files, is_told: bool, what: &str) {
        let (recovered, lines) = recover(files);
        let told = recovered.findings().iter().any(|f| f.starts_with("TORN ") || f.starts_with("DAMAGED "));
        let read = self.count_of(&lines, what);
        if recovered.is_empty() {
            return assert!(read == 0 && (told || !is_told), "{what}: nothing is left, and nobody is told");
        }
        let (known, missing) = known_and_missing(recovered);
        assert_eq!(known, read + missing, "{what}: a message is neither there nor missing");
        assert!(known <= self.count, "{what}");
        assert!(
            known == self.count && missing == 0 || told || !is_told,
            "{what}: {known} known, {missing} missing"
        );
    }

    /// How many lines these are. Panics unless they are some of those that were written, in their order.
    fn count_of(&self, lines: &[u8], what: &str) -> u64 {
        let mut written = self.lines.split_inclusive(|b| *b == b'\n');
        let mut count = 0;
        for line in lines.split_inclusive(|b| *b == b'\n') {
            assert!(written.any(|w| w == line), "{what}: was never written: {}", line.escape_ascii());
            count += 1;
        }
        count
    }

    fn check_bit(&self, files: &mut Files, bit: usize) {
        let (file, at) = self.place(bit / 8);
        let flip = |files: &mut Files| files.get_mut(&file).expect("it is there")[at] ^= 1 << (bit % 8);
        flip(files);
        self.check(files, true, &format!("bit {} of byte {at} of segment {file}", bit % 8));
        flip(files);
    }

    /// One segment ends early; then so does the journal.
    fn check_end(&self, at: usize) {
        let (file, length) = self.place(at);
        let mut files = self.files.clone();
        files.get_mut(&file).expect("it is there").truncate(length);
        // Only the head of the next one tells where a segment ended.
        let is_begun = |(number, bytes): (&u64, &Vec<u8>)| *number > file && bytes.iter().any(|b| *b != 0);
        let has_next = self.files.iter().any(is_begun);
        self.check(&files, has_next, &format!("segment {file} ends at {length}"));
        files.retain(|number, _| *number <= file);
        self.check(&files, false, &format!("the journal ends at {length} of segment {file}"));
    }
}

/// How many messages a node knows of that begins with this, and how many of them are missing.
fn known_and_missing(recovered: Recovered) -> (u64, u64) {
    let identity = Identity { ring: ring(), me: HostIndex(0), incarnation: 2, process: 1, seed: 1 };
    let node = Node::new(identity, Settings::default(), recovered);
    assert!(node.is_balanced());
    node.streams_status().fold((0, 0), |(known, missing), s| (known + s.told, missing + s.missing))
}

#[test]
fn a_rotten_bit_or_a_missing_end_is_never_taken_for_something_else() {
    let journal = Journal::write();
    let mut files = journal.files.clone();
    let mut dice = SmallRng::seed_from_u64(1);
    (0..300).step_by(13).for_each(|at| journal.check_end(at));
    for _ in 0..100 {
        journal.check_bit(&mut files, dice.random_range(0..journal.bytes() * 8));
        journal.check_end(dice.random_range(0..journal.bytes()));
    }
}

/// `scripts/journal-rot` runs this.
#[test]
#[ignore = "takes minutes; scripts/journal-rot runs it"]
fn every_rotten_bit_and_every_missing_end() {
    let journal = &Journal::write();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || {
                let mut files = journal.files.clone();
                (first..journal.bytes() * 8)
                    .step_by(threads)
                    .for_each(|bit| journal.check_bit(&mut files, bit));
                (first..journal.bytes()).step_by(threads).for_each(|at| journal.check_end(at));
            });
        }
    });
    let bytes = journal.bytes();
    println!(
        "a journal of {bytes} bytes: each of {} bits changed, each of {bytes} ends missing: none was wrong",
        bytes * 8
    );
}
