//! What a node shows of itself: plain data, taken in one turn, from which `STATUS`, metrics and status pages are
//! written. Whatever is counted for it is counted once a turn, a sync or a failure, never once a message.

use crate::broadcast::OWN;
use crate::node::{Counters, Node};
use crate::ring::{HostIndex, Scheme};
pub use crate::status::StreamStatus;
use crate::time::{Duration, Time};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// A node at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// The names of all hosts by their indices: the [`hosts`](View::hosts) in ring order, then the retired ones.
    pub names: Vec<String>,
    /// How many of them are not retired.
    pub hosts: usize,
    /// Its place in the ring.
    pub me: HostIndex,
    /// Its incarnation.
    pub incarnation: u64,
    /// What it compares with its peers: the names of the ring in order, and the scheme.
    pub digest: u64,
    /// How it reads the wrapping byte.
    pub scheme: Scheme,
    /// What it proves its name with, if it does.
    pub certificate: Option<Certificate>,
    /// How long it has lived.
    pub lived: Duration,
    /// What it has counted since then.
    pub counters: Counters,
    /// Lines that were not accepted, by [`Refusal::reason`](crate::Refusal::reason); `handshake` are those with which a
    /// connection to the ring port began.
    pub refused: BTreeMap<&'static str, u64>,
    /// From asking for a sync of the journal to hearing that it has ended.
    pub syncs: Histogram,
    /// From taking a message here to hearing that every linked host has it in its journal: of one message at a time.
    pub arrivals: Histogram,
    /// The journal has no room for another message.
    pub is_full: bool,
    /// access.log cannot be written, and holds lines back.
    pub log_is_held: bool,
    /// Bytes of all segments of the journal.
    pub journal_bytes: u64,
    /// How many segments that is.
    pub segments: usize,
    /// The orderly end has begun.
    pub is_stopping: bool,
    /// Connections to the client port.
    pub clients: u32,
    /// All other hosts, in ring order.
    pub peers: Vec<PeerView>,
    /// The streams that still matter to somebody; the own one is the first.
    pub streams: Vec<StreamView>,
    /// What stands in access.log of each origin, by its index, retired ones behind the others: since the journal began.
    pub logged: Vec<u64>,
}

impl View {
    /// The name of a host.
    #[must_use]
    pub fn name(&self, host: HostIndex) -> &str {
        &self.names[host.index()]
    }

    /// What a host has told of each stream that is for it.
    pub fn marks_of(&self, host: HostIndex) -> impl Iterator<Item = (&StreamView, &Mark)> {
        let mark = move |stream: &'_ StreamView| stream.marks.iter().position(|mark| mark.host == host);
        self.streams.iter().filter_map(move |stream| Some((stream, &stream.marks[mark(stream)?])))
    }
}

/// What a host proves its name with. The node only tells of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// When it is valid no more, in seconds of Unix time.
    pub expires: u64,
    /// A number for its CA, another one for each.
    pub ca: u64,
    /// When the CA is valid no more.
    pub ca_expires: u64,
}

/// Another host as the node sees it.
#[derive(Clone, Debug)]
pub struct PeerView {
    /// Its place in the ring.
    pub host: HostIndex,
    /// Whether it is linked.
    pub state: LinkState,
    /// For how long.
    pub lasting: Duration,
    /// Where it is linked: its incarnation, and whether it has the same ring and scheme.
    pub linked: Option<(u64, bool)>,
    /// Where it is linked: whether it has proved its name, and what is said is encrypted.
    pub is_protected: Option<bool>,
    /// From the last `KEEPALIVE` to its answer.
    pub round_trip: Option<Duration>,
    /// Messages that it sent although they were here.
    pub repeats: u64,
    /// How often its link has ended, by [`Down::WORDS`].
    pub downs: [u64; Down::WORDS.len()],
}

/// Whether a host is linked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkState {
    /// It is.
    Up,
    /// A connection of its name speaks version 1.
    Version1,
    /// It is not.
    Down,
}

impl LinkState {
    /// The word in `STATUS`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            LinkState::Up => "up",
            LinkState::Version1 => "version-1",
            LinkState::Down => "down",
        }
    }
}

/// A stream, and how far every other host that it is for has come.
#[derive(Clone, Debug)]
pub struct StreamView {
    /// Its name on the wire.
    pub name: String,
    /// Who began it.
    pub origin: HostIndex,
    /// What this host has of it.
    pub status: StreamStatus,
    /// What the others have told of it.
    pub marks: Vec<Mark>,
}

/// What a host has told to have of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Who.
    pub host: HostIndex,
    /// All up to here in its journal …
    pub journaled: u64,
    /// … and on its disk.
    pub synced: u64,
    /// What it lacks of what is known here.
    pub missing: u64,
    /// For how long it has lacked something, as far as is known.
    pub missing_for: Duration,
}

/// Why a link has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Down {
    /// Its connection did, for whatever reason.
    Ended,
    /// A `KEEPALIVE` was not answered.
    Silent,
    /// It did not answer while a new connection waited.
    Replaced,
    /// Nothing went over it, and links are made on demand.
    Unused,
    /// The other side said `BYE`.
    Left,
}

impl Down {
    /// A word for each reason.
    pub const WORDS: [&'static str; 5] = ["ended", "silent", "replaced", "unused", "left"];
}

/// Durations, counted in ranges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Histogram {
    counts: [u64; Histogram::BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// Microseconds up to which each range goes, its end included; one more range is for what is longer.
    pub const BOUNDS: [u64; 15] = [
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
        2_500_000, 10_000_000,
    ];

    /// Counts one.
    pub fn add(&mut self, time: Duration) {
        let range = Histogram::BOUNDS.partition_point(|bound| u128::from(*bound) < time.as_micros());
        self.counts[range] += 1;
        self.sum = self.sum.saturating_add(time);
    }

    /// How many fell into each range, the last of which has no bound.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// All that were counted, added up.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

/// Times a message of this host's own: from the turn that took it to the one that hears that every linked host has it.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    under_way: Option<(u64, Time)>,
    /// All up to here is too old to be timed.
    upto: u64,
    times: Histogram,
}

impl Node {
    /// Everything that somebody who watches may want to know. It costs a look at each stream for each host.
    #[must_use]
    pub fn view(&self, now: Time) -> View {
        let ring = &self.ring;
        View {
            names: ring.names().map(String::from).collect(),
            hosts: ring.len(),
            me: self.me,
            incarnation: self.incarnation,
            digest: ring.digest(),
            scheme: ring.scheme(),
            certificate: self.certificate,
            lived: now - self.born,
            counters: self.counters,
            refused: self.refused.clone(),
            syncs: self.sync.times,
            arrivals: self.sample.times,
            is_full: !self.has_room || self.journal.has_no_room(),
            log_is_held: self.log_is_held,
            journal_bytes: self.journal.bytes_of_all(),
            segments: self.journal.segments().len(),
            is_stopping: self.is_stopping(),
            clients: self.clients.len(),
            peers: self.others().map(|host| self.peer_view(now, host)).collect(),
            streams: (0..self.streams.len())
                .filter(|s| self.is_told_of(*s))
                .map(|s| self.stream_view(now, s))
                .collect(),
            logged: self.logged_by_origin(),
        }
    }

    fn peer_view(&self, now: Time, host: HostIndex) -> PeerView {
        let link = &self.links[host.index()];
        PeerView {
            host,
            state: match (link.up, link.version_1) {
                (Some(_), _) => LinkState::Up,
                (None, Some(_)) => LinkState::Version1,
                (None, None) => LinkState::Down,
            },
            lasting: now - link.since,
            linked: link.up.map(|up| (up.incarnation, up.agrees)),
            is_protected: link.up.map(|up| up.is_protected),
            round_trip: link.round_trip,
            repeats: link.repeats,
            downs: link.downs,
        }
    }

    fn stream_view(&self, now: Time, stream: u32) -> StreamView {
        let state = self.streams.get(stream);
        let status = self.stream_status(stream);
        let mark = |host: HostIndex| {
            let at = self.links[host.index()].told(stream);
            let missing = status.told.saturating_sub(at.journaled);
            let missing_for = if missing == 0 { Duration::ZERO } else { self.missing_for(now, host, stream) };
            Mark { host, journaled: at.journaled, synced: at.synced, missing, missing_for }
        };
        StreamView {
            name: String::from_utf8_lossy(&state.head[..state.head.len() - 1]).into_owned(),
            origin: state.name.origin,
            status,
            marks: self.others().filter(|host| state.name.is_for(*host)).map(mark).collect(),
        }
    }

    fn logged_by_origin(&self) -> Vec<u64> {
        let mut logged = alloc::vec![0; self.ring.names().count()];
        for stream in self.streams.iter() {
            logged[stream.name.origin.index()] += stream.logged;
        }
        logged
    }

    /// A line was not accepted.
    pub(crate) fn count_refused(&mut self, reason: &'static str) {
        self.counters.refused += 1;
        *self.refused.entry(reason).or_default() += 1;
    }

    /// The turn is over: where no message is being timed, the last one that it took is.
    pub(crate) fn begin_sample(&mut self, now: Time) {
        let last = self.streams.get(OWN).journaled;
        if self.sample.under_way.is_none() && last > self.sample.upto {
            (self.sample.under_way, self.sample.upto) = (Some((last, now)), last);
        }
    }

    /// A host has told what it has of this host's own stream.
    pub(crate) fn end_sample(&mut self, now: Time) {
        let Some((seq, begun)) = self.sample.under_way else { return };
        let mut linked = self.links.iter().filter(|link| link.up.is_some()).peekable();
        if linked.peek().is_some() && linked.all(|link| link.told(OWN).journaled >= seq) {
            self.sample.under_way = None;
            self.sample.times.add(now - begun);
        }
    }

    /// A link has ended: what is under way would be a time of those that are left.
    pub(crate) fn drop_sample(&mut self) {
        self.sample.under_way = None;
    }
}
