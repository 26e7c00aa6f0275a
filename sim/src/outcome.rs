//! What came of a run.

use crate::faults::FAULTS;

/// What was counted.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Messages that clients said.
    pub said: u64,
    /// Messages that were answered `OK`.
    pub answered: u64,
    /// Lines that were refused, as they should be.
    pub refused: u64,
    /// Faults that had an effect, by kind, in the order of [`FAULTS`].
    pub faults: [u64; FAULTS.len()],
    /// Inputs that nodes handled.
    pub turns: u64,
    /// Things that happened.
    pub events: u64,
    /// Data lines that hosts received.
    pub data_lines: u64,
    /// Times that a peer's connection took no more.
    pub blocked: u64,
    /// Pieces of journals that were read to serve others.
    pub reads: u64,
    /// Messages that a host gave up because of the bounds of the journal.
    pub given_up: u64,
    /// Starts of hosts.
    pub starts: u64,
    /// Longest time in microseconds from the end of all faults until every log had everything and nobody waited any more,
    /// to half a second.
    pub converged_us: u64,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What must not happen and did, and when (microseconds).
    pub broken: Option<(u64, String)>,
    /// Why the run proves nothing: too little happened in it.
    pub void: Option<String>,
    /// What was counted.
    pub counts: Counts,
    /// Virtual microseconds.
    pub virtual_us: u64,
    /// The same for the same scenario and seed.
    pub hash: u64,
}

impl Counts {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Counts) {
        self.said += other.said;
        self.answered += other.answered;
        self.refused += other.refused;
        self.faults.iter_mut().zip(other.faults).for_each(|(all, n)| *all += n);
        self.turns += other.turns;
        self.events += other.events;
        self.data_lines += other.data_lines;
        self.blocked += other.blocked;
        self.reads += other.reads;
        self.given_up += other.given_up;
        self.starts += other.starts;
        self.converged_us = self.converged_us.max(other.converged_us);
    }
}
