//! What was found: counts by host and kind, and the first few of each kind.

use serde::Serialize;

/// What can be wrong with a line on a host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Missing,
    Doubled,
    Extra,
    Altered,
    Torn,
    Disordered,
}

impl Kind {
    pub(super) const ALL: [Kind; 6] =
        [Kind::Missing, Kind::Doubled, Kind::Extra, Kind::Altered, Kind::Torn, Kind::Disordered];

    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Missing => "missing",
            Kind::Doubled => "doubled",
            Kind::Extra => "extra",
            Kind::Altered => "altered",
            Kind::Torn => "torn",
            Kind::Disordered => "disordered",
        }
    }
}

/// A log that was read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum LogIndex {
    Host(u16),
    Sent(u16),
}

/// A line of a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    /// Lines before it in its log.
    pub(super) position: u64,
    pub(super) log: LogIndex,
}

impl Place {
    pub(super) fn on(host: usize, position: u64) -> Place {
        Place { position, log: LogIndex::Host(host as u16) }
    }
}

/// A line that shows a fault of a host; for what is missing, the same line elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Example {
    pub(super) place: Place,
    pub(super) host: usize,
}

/// What was found on one host.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Tally {
    pub(super) lines: u64,
    faults: [u64; Kind::ALL.len()],
}

impl Tally {
    pub(super) fn count(&self, kind: Kind) -> u64 {
        self.faults[kind as usize]
    }
}

/// All that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Findings {
    pub(super) hosts: Vec<Tally>,
    examples: [Vec<Example>; Kind::ALL.len()],
    show: usize,
}

impl Findings {
    /// Nothing yet; of each kind the first `show` will be kept.
    pub(super) fn new(hosts: usize, show: usize) -> Findings {
        Findings { hosts: vec![Tally::default(); hosts], examples: Default::default(), show }
    }

    /// Counts a fault so many times, and keeps it if it is one of the first.
    pub(super) fn add(&mut self, kind: Kind, host: usize, amount: u64, place: Place) {
        self.hosts[host].faults[kind as usize] += amount;
        let examples = &mut self.examples[kind as usize];
        let example = Example { place, host };
        let at = examples.partition_point(|other| *other < example);
        if at < self.show {
            examples.insert(at, example);
            examples.truncate(self.show);
        }
    }

    /// The first few of a kind.
    pub(super) fn examples(&self, kind: Kind) -> &[Example] {
        &self.examples[kind as usize]
    }

    /// How often a kind was found on all hosts together.
    pub(super) fn total(&self, kind: Kind) -> u64 {
        self.hosts.iter().map(|host| host.count(kind)).sum()
    }

    /// Whether nothing is wrong.
    pub(super) fn is_proof(&self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.total(kind) == 0)
    }
}
