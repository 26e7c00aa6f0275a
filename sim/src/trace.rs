//! What happened: always as a hash, by which two runs are compared, and on demand as lines for a person.

use std::io::Write as _;

/// Where the lines go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tracing {
    /// Nowhere: only the hash is kept.
    Hash,
    /// To standard output, as they happen.
    Print,
}

pub(crate) struct Trace {
    hash: u64,
    to: Tracing,
}

impl Trace {
    pub(crate) fn new(to: Tracing) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, to }
    }

    /// Adds a number to the hash.
    pub(crate) fn add(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    /// Adds bytes to the hash.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| self.add(u64::from(*byte)));
        self.add(bytes.len() as u64);
    }

    pub(crate) fn prints(&self) -> bool {
        self.to == Tracing::Print
    }

    /// Writes a line, if anybody reads it.
    pub(crate) fn note(&mut self, at: u64, line: impl FnOnce() -> String) {
        if self.prints() {
            // A reader that has gone (`| head`) is no reason to stop.
            let _ = writeln!(std::io::stdout(), "{:>5}.{:06}  {}", at / 1_000_000, at % 1_000_000, line());
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}
