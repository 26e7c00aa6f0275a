//! Streams and their watermarks: what this host has of each origin, and what of it is synced.
//!
//! A host takes the messages of a stream in order, so that one integer says what it has. A number that is not
//! beyond it is a repeat and is ignored.

use crate::limits::INCARNATIONS_MAX;
use crate::ring::Ring;
use crate::time::Time;
use crate::wire::StreamName;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What this host has of one stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: StreamName,
    /// When its last message came.
    pub(crate) used: Time,
    /// The name as it stands in data lines, with the dot behind it.
    pub(crate) head: Box<[u8]>,
    /// All up to here is written; 0 is nothing.
    pub(crate) journaled: u64,
    /// All up to here is on the disk.
    pub(crate) synced: u64,
    /// What the sync that is under way covers.
    syncing: u64,
    /// The watermarks that the origin was told last.
    pub(crate) told: (u64, u64),
    /// The last message whose origin waits for it to be on the disk.
    pub(crate) urgent: u64,
    /// What this host lacks below its watermark: from the first to the last of it.
    pub(crate) gone: Option<Numbers>,
    /// It is among those whose watermark is to be told.
    pub(crate) due: bool,
}

/// What a number means to a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arrival {
    /// The next one.
    Next,
    /// The first one of a stream that this host has nothing of: what was before is before its time.
    First,
    /// One that it has.
    Repeat,
    /// One beyond the next: these numbers before it are missing.
    Gap(Numbers),
}

/// Consecutive numbers of a stream, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Numbers {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Numbers {
    /// The shortest range that holds both.
    pub(crate) fn with(self, other: Option<Numbers>) -> Numbers {
        other.map_or(self, |o| Numbers { from: self.from.min(o.from), to: self.to.max(o.to) })
    }

    pub(crate) fn overlap(self, other: Numbers) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

impl Stream {
    /// Takes a number.
    pub(crate) fn arrive(&mut self, seq: u64) -> Arrival {
        let before = self.journaled;
        if seq <= before {
            return Arrival::Repeat;
        }
        self.journaled = seq;
        if seq == before + 1 {
            return Arrival::Next;
        }
        let gap = Numbers { from: before + 1, to: seq - 1 };
        self.gone = Some(gap.with(self.gone));
        if before == 0 { Arrival::First } else { Arrival::Gap(gap) }
    }
}

/// All streams that this host has heard of, by small numbers that stay.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: Vec<Stream>,
}

impl Streams {
    /// The number of a stream, made if it is new.
    pub(crate) fn open(&mut self, name: StreamName, ring: &Ring) -> u32 {
        if let Some(at) = self.streams.iter().position(|s| s.name == name) {
            return at as u32;
        }
        let mut head = Vec::new();
        name.put(ring, &mut head);
        head.push(b'.');
        let stream = Stream {
            name,
            used: Time(0),
            head: head.into(),
            journaled: 0,
            synced: 0,
            syncing: 0,
            told: (0, 0),
            urgent: 0,
            gone: None,
            due: false,
        };
        match self.place_of_unused(name) {
            Some(at) => {
                self.streams[at] = stream;
                at as u32
            }
            None => {
                self.streams.push(stream);
                self.streams.len() as u32 - 1
            }
        }
    }

    /// A host that restarts for years must not fill this table: the incarnation that was silent for longest gives
    /// way.
    fn place_of_unused(&self, name: StreamName) -> Option<usize> {
        let is_like = |s: &Stream| (s.name.origin, s.name.addressee) == (name.origin, name.addressee);
        // The first is this host's own.
        let like = || self.streams.iter().enumerate().skip(1).filter(|(_, s)| is_like(s));
        let is_full = like().count() >= INCARNATIONS_MAX;
        like().min_by_key(|(_, s)| s.used).map(|(at, _)| at).filter(|_| is_full)
    }

    pub(crate) fn get(&self, at: u32) -> &Stream {
        &self.streams[at as usize]
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> &mut Stream {
        &mut self.streams[at as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.streams.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.streams.iter_mut()
    }

    /// A sync begins: it covers what is written now.
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
    use crate::ring::{HostIndex, Scheme};
    use alloc::string::String;
    use alloc::vec;

    #[test]
    fn numbers_arrive_in_order_or_are_told_apart() {
        let ring = Ring::new(vec![String::from("MV")], Scheme::Receiver).unwrap();
        let mut streams = Streams::default();
        let name = StreamName { origin: HostIndex(0), addressee: None, incarnation: 1 };
        let at = streams.open(name, &ring);
        assert_eq!(streams.open(name, &ring), at);
        let stream = streams.get_mut(at);
        assert_eq!(&*stream.head, b"MV/0000000000000001.");
        assert_eq!(stream.arrive(5), Arrival::First);
        assert_eq!(stream.arrive(5), Arrival::Repeat);
        assert_eq!(stream.arrive(6), Arrival::Next);
        assert_eq!(stream.arrive(9), Arrival::Gap(Numbers { from: 7, to: 8 }));
        assert_eq!(stream.arrive(8), Arrival::Repeat);
        assert_eq!(stream.gone, Some(Numbers { from: 1, to: 8 }));
    }

    #[test]
    fn a_host_that_restarts_for_ever_keeps_a_few_incarnations() {
        let ring = Ring::new(vec![String::from("MV"), String::from("PA")], Scheme::Receiver).unwrap();
        let mut streams = Streams::default();
        let name =
            |origin, incarnation| StreamName { origin: HostIndex(origin), addressee: None, incarnation };
        let own = streams.open(name(0, 1), &ring);
        for incarnation in 0..1000 {
            let at = streams.open(name(1, incarnation), &ring);
            streams.get_mut(at).arrive(7);
            streams.get_mut(at).used = Time(incarnation);
        }
        assert_eq!(streams.iter().count(), 1 + INCARNATIONS_MAX);
        assert_eq!(streams.get(own).name, name(0, 1));
        let last = streams.open(name(1, 999), &ring);
        assert_eq!(streams.get(last).journaled, 7);
    }

    #[test]
    fn a_sync_covers_what_was_written_when_it_began() {
        let ring = Ring::new(vec![String::from("MV")], Scheme::Receiver).unwrap();
        let mut streams = Streams::default();
        let at = streams.open(StreamName { origin: HostIndex(0), addressee: None, incarnation: 1 }, &ring);
        streams.get_mut(at).arrive(1);
        streams.sync_begins();
        streams.get_mut(at).arrive(2);
        let mut raised = Vec::new();
        streams.sync_ends(|s| raised.push(s));
        assert_eq!(raised, [at]);
        assert_eq!(streams.get(at).synced, 1);
    }
}
