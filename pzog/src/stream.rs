//! Streams: what this host has of each origin, and what of it is on the disk.
//!
//! A host takes the messages of a stream in order, so that one integer says what it has: who has one has all before
//! it. A number that is not beyond it is a repeat; one beyond the next is not taken, but asked for in its turn. The
//! only exception are *holes*: numbers whose record was found damaged in the journal before it was certain to be
//! in access.log; they are fetched again, from the first to the last.

use crate::limits::STREAMS_MAX;
use crate::repair::Want;
use crate::ring::{HostIndex, Ring};
use crate::time::Time;
use crate::wire::StreamName;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What this host has of one stream.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) name: StreamName,
    /// The name as it stands in data lines, with the dot behind it.
    pub(crate) head: Box<[u8]>,
    /// When its last message was taken, and who sent it.
    pub(crate) used: Time,
    pub(crate) source: Option<HostIndex>,
    /// All up to here is in the journal, but for the holes and what was passed over; 0 is nothing.
    pub(crate) journaled: u64,
    /// All up to here is on the disk, but for the holes.
    pub(crate) synced: u64,
    /// What the sync that is under way covers.
    syncing: u64,
    /// Numbers that are to be fetched again, ascending.
    pub(crate) holes: Vec<Numbers>,
    /// Of those up to `journaled`: written to access.log …
    pub(crate) logged: u64,
    /// … not written, because another message of the same session and number was …
    pub(crate) repeats: u64,
    /// … and missing for good.
    pub(crate) given_up: u64,
    /// What was passed over is among these: who is told a watermark is told them first.
    pub(crate) passed: Option<Numbers>,
    /// The last message whose origin waits for it to be on the disk.
    pub(crate) urgent: u64,
    /// A later incarnation of its host names it: nothing will follow.
    pub(crate) named: bool,
    /// As a later incarnation names it, it goes so far.
    pub(crate) needed: u64,
    /// Hosts that were asked for it since they were linked, one bit each.
    pub(crate) asked: u64,
    /// Hosts that are served this stream, one bit each.
    pub(crate) fed: u64,
    /// How this host gets what it lacks of it.
    pub(crate) want: Want,
    /// It is among those whose watermark its origin is to be told.
    pub(crate) due: bool,
}

/// What a number means to a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arrival {
    /// The next one, or the next that fills a hole.
    Next,
    /// One that it has.
    Repeat,
    /// One beyond the next.
    Ahead,
}

/// Consecutive numbers of a stream, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Numbers {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Numbers {
    pub(crate) fn count(self) -> u64 {
        (self.to + 1).saturating_sub(self.from)
    }

    /// Whether some are among both.
    pub(crate) fn meet(self, others: Numbers) -> bool {
        self.from <= others.to && others.from <= self.to
    }
}

impl Stream {
    pub(crate) fn new(name: StreamName, ring: &Ring) -> Stream {
        let mut head = Vec::new();
        name.put(ring, &mut head);
        head.push(b'.');
        Stream {
            name,
            head: head.into(),
            used: Time(0),
            source: None,
            journaled: 0,
            synced: 0,
            syncing: 0,
            holes: Vec::new(),
            logged: 0,
            repeats: 0,
            given_up: 0,
            passed: None,
            urgent: 0,
            named: false,
            needed: 0,
            asked: 0,
            fed: 0,
            want: Want::default(),
            due: false,
        }
    }

    /// What a number means.
    pub(crate) fn arrival(&self, seq: u64) -> Arrival {
        match self.holes.first() {
            Some(hole) if seq == hole.from => Arrival::Next,
            Some(hole) if seq > hole.from && seq <= hole.to => Arrival::Ahead,
            _ if seq <= self.journaled && !planted!(DoubleTaken) => Arrival::Repeat,
            _ if planted!(DoubleTaken) => Arrival::Next,
            _ if planted!(GapTaken) => Arrival::Next,
            _ if seq == self.journaled + 1 => Arrival::Next,
            _ => Arrival::Ahead,
        }
    }

    /// Takes a number that is [`Arrival::Next`].
    pub(crate) fn take(&mut self, seq: u64, logged: bool) {
        match self.holes.first_mut() {
            Some(hole) if hole.from == seq => {
                hole.from += 1;
                if hole.from > hole.to {
                    self.holes.remove(0);
                }
            }
            _ => self.journaled = seq,
        }
        *(if logged { &mut self.logged } else { &mut self.repeats }) +=
            u64::from(logged || !planted!(Miscounted));
    }

    /// Takes all numbers behind those that are here up to this one; there are no holes.
    pub(crate) fn take_all(&mut self, upto: u64) {
        self.logged += upto - self.journaled;
        self.journaled = upto;
    }

    /// Passes over all that is missing up to a number.
    pub(crate) fn pass_over(&mut self, upto: u64) {
        let from = self.passed.map_or(u64::MAX, |passed| passed.from).min(self.lacking());
        let to = self.passed.map_or(0, |passed| passed.to).max(upto);
        self.passed = Some(Numbers { from, to });
        while let Some(hole) = self.holes.first_mut().filter(|hole| hole.from <= upto) {
            let to = hole.to.min(upto);
            self.given_up += to + 1 - hole.from;
            hole.from = to + 1;
            if hole.from > hole.to {
                self.holes.remove(0);
            }
        }
        if upto > self.journaled {
            self.given_up += upto - self.journaled;
            self.journaled = upto;
        }
    }

    /// Numbers that were taken for logged, and are to be fetched again.
    pub(crate) fn add_hole(&mut self, numbers: Numbers) {
        let numbers = Numbers { to: numbers.to.min(self.journaled), ..numbers };
        let mut from = numbers.from;
        let mut holes = Vec::new();
        for hole in self.holes.drain(..) {
            if from < hole.from && from <= numbers.to {
                holes.push(Numbers { from, to: numbers.to.min(hole.from - 1) });
            }
            from = from.max(hole.to + 1);
            holes.push(hole);
        }
        if from <= numbers.to {
            holes.push(Numbers { from, to: numbers.to });
        }
        self.holes = holes;
        self.recount();
    }

    /// All up to there is in access.log for certain, but for these holes: what is still missing of it here was in
    /// records that cannot be read any more.
    pub(crate) fn is_certain(&mut self, upto: u64, holes: &[Numbers]) {
        if upto > self.journaled {
            let are_missing = |hole: &&Numbers| hole.from > self.journaled && hole.to <= upto;
            self.holes.extend(holes.iter().filter(are_missing));
            self.journaled = upto;
        }
        let mut kept = Vec::new();
        for hole in core::mem::take(&mut self.holes) {
            let known = holes.iter().map(|h| Numbers { from: h.from.max(hole.from), to: h.to.min(hole.to) });
            kept.extend(known.filter(|part| part.count() > 0 && part.to <= upto));
            let beyond = Numbers { from: hole.from.max(upto + 1), ..hole };
            kept.extend((beyond.count() > 0).then_some(beyond));
        }
        self.holes = kept;
        self.recount();
    }

    /// Which of the numbers that are here were repeats is not known any more.
    fn recount(&mut self) {
        let here = self.journaled.saturating_sub(self.missing(0) + self.given_up);
        self.repeats = self.repeats.min(here);
        self.logged = here - self.repeats;
    }

    /// The first number that is not here.
    pub(crate) fn lacking(&self) -> u64 {
        self.holes.first().map_or(self.journaled + 1, |hole| hole.from)
    }

    /// How many of the numbers up to this one are not here, though they may still come.
    pub(crate) fn missing(&self, told: u64) -> u64 {
        let holes: u64 = self.holes.iter().map(|hole| hole.count()).sum();
        holes + told.saturating_sub(self.journaled)
    }

    /// What other hosts may be told to be on this host's disk: nothing beyond a hole.
    pub(crate) fn safe(&self) -> (u64, u64) {
        let whole = self.lacking() - 1;
        (self.journaled.min(whole), self.synced.min(whole))
    }

    /// Every number is accounted for, once.
    pub(crate) fn is_balanced(&self) -> bool {
        self.journaled == self.logged + self.repeats + self.given_up + self.missing(0)
    }
}

/// All streams that this host has heard of, by small numbers that stay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams {
    streams: Vec<Stream>,
    by_name: BTreeMap<StreamName, u32>,
}

impl Streams {
    pub(crate) fn find(&self, name: StreamName) -> Option<u32> {
        self.by_name.get(&name).copied()
    }

    /// The number of a stream, made if it is new; `None` when there are far too many.
    pub(crate) fn open(&mut self, name: StreamName, ring: &Ring) -> Option<u32> {
        if let Some(at) = self.find(name) {
            return Some(at);
        }
        (self.streams.len() < STREAMS_MAX).then(|| self.add(Stream::new(name, ring)))
    }

    pub(crate) fn add(&mut self, stream: Stream) -> u32 {
        let at = self.streams.len() as u32;
        self.by_name.insert(stream.name, at);
        self.streams.push(stream);
        at
    }

    /// Puts this host's own stream of this life in its place, the first.
    pub(crate) fn set_own(&mut self, own: Stream) {
        match self.streams.first_mut() {
            Some(place) => {
                self.by_name.remove(&place.name);
                self.by_name.insert(own.name, 0);
                *place = own;
            }
            None => {
                self.add(own);
            }
        }
    }

    pub(crate) fn get(&self, at: u32) -> &Stream {
        &self.streams[at as usize]
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> &mut Stream {
        &mut self.streams[at as usize]
    }

    pub(crate) fn len(&self) -> u32 {
        self.streams.len() as u32
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.streams.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.streams.iter_mut()
    }

    /// A sync begins: it covers what is journaled now.
    pub(crate) fn sync_begins(&mut self) {
        self.streams.iter_mut().for_each(|s| s.syncing = s.journaled);
    }

    /// The sync has ended well; `each` is called with the number of every stream whose watermark it raised.
    pub(crate) fn sync_ends(&mut self, mut each: impl FnMut(u32)) {
        for (at, stream) in self.streams.iter_mut().enumerate() {
            if stream.synced != stream.syncing {
                stream.synced = stream.syncing;
                each(at as u32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Scheme;
    use alloc::string::String;
    use alloc::vec;

    fn stream() -> (Streams, u32) {
        let ring = Ring::new(vec![String::from("MV")], Scheme::Receiver).unwrap();
        let mut streams = Streams::default();
        let name = StreamName { origin: HostIndex(0), addressee: None, incarnation: 1 };
        let at = streams.open(name, &ring).unwrap();
        assert_eq!(streams.open(name, &ring), Some(at));
        (streams, at)
    }

    #[test]
    fn numbers_are_taken_in_order() {
        let (mut streams, at) = stream();
        let stream = streams.get_mut(at);
        assert_eq!(&*stream.head, b"MV/0000000000000001.");
        assert_eq!(stream.arrival(2), Arrival::Ahead);
        assert_eq!(stream.arrival(1), Arrival::Next);
        stream.take(1, true);
        assert_eq!(stream.arrival(1), Arrival::Repeat);
        assert_eq!(stream.arrival(2), Arrival::Next);
        stream.take(2, false);
        assert_eq!((stream.logged, stream.repeats, stream.missing(5)), (1, 1, 3));
        stream.pass_over(4);
        assert_eq!((stream.journaled, stream.given_up), (4, 2));
        assert!(stream.is_balanced());
    }

    #[test]
    fn holes_are_filled_from_the_first_to_the_last() {
        let (mut streams, at) = stream();
        let stream = streams.get_mut(at);
        stream.journaled = 9;
        stream.synced = 9;
        stream.logged = 5;
        stream.holes = vec![Numbers { from: 3, to: 4 }, Numbers { from: 7, to: 8 }];
        assert!(stream.is_balanced());
        assert_eq!(stream.safe(), (2, 2));
        assert_eq!(stream.arrival(4), Arrival::Ahead);
        assert_eq!(stream.arrival(7), Arrival::Repeat); // asked for again once the first hole is filled
        assert_eq!(stream.arrival(10), Arrival::Next);
        for seq in [3, 4] {
            assert_eq!(stream.arrival(seq), Arrival::Next);
            stream.take(seq, true);
        }
        assert_eq!(stream.lacking(), 7);
        stream.pass_over(7);
        assert_eq!(stream.holes, [Numbers { from: 8, to: 8 }]);
        stream.pass_over(11);
        assert_eq!((stream.journaled, stream.given_up, stream.holes.len()), (11, 4, 0));
        assert_eq!(stream.passed, Some(Numbers { from: 7, to: 11 }));
        assert!(stream.is_balanced());
    }

    #[test]
    fn holes_are_joined_with_those_that_are_known() {
        let (mut streams, at) = stream();
        let stream = streams.get_mut(at);
        (stream.journaled, stream.logged) = (20, 20);
        for (from, to) in [(5, 8), (15, 16), (3, 17), (3, 17)] {
            stream.add_hole(Numbers { from, to });
            assert!(stream.is_balanced());
        }
        assert_eq!(stream.missing(0), 15);
        assert_eq!((stream.holes[0].from, stream.holes.last().unwrap().to), (3, 17));
    }

    #[test]
    fn what_is_certain_to_be_logged_is_not_fetched_again() {
        let (mut streams, at) = stream();
        let stream = streams.get_mut(at);
        (stream.journaled, stream.logged) = (20, 20);
        for (from, to) in [(3, 8), (12, 16)] {
            stream.add_hole(Numbers { from, to });
        }
        let hole = |from, to| Numbers { from, to };
        stream.is_certain(14, &[hole(5, 6)]);
        assert_eq!(stream.holes, [hole(5, 6), hole(15, 16)]);
        assert!(stream.is_balanced());
        stream.is_certain(25, &[hole(5, 5), hole(22, 23)]);
        assert_eq!((stream.journaled, &stream.holes[..]), (25, &[hole(5, 5), hole(22, 23)][..]));
        assert!(stream.is_balanced());
    }

    #[test]
    fn a_sync_covers_what_was_journaled_when_it_began() {
        let (mut streams, at) = stream();
        streams.get_mut(at).take(1, true);
        streams.sync_begins();
        streams.get_mut(at).take(2, true);
        let mut raised = Vec::new();
        streams.sync_ends(|s| raised.push(s));
        assert_eq!(raised, [at]);
        assert_eq!(streams.get(at).synced, 1);
    }
}
