//! What waits while access.log cannot be written: nothing is answered or closed before its lines are in the log, and
//! the log is not marked.

use pzog::ConnId;

/// Effects of turns whose lines the disk has not taken.
#[derive(Default)]
pub(crate) struct Held {
    /// Answers in order, as bytes.
    pub(crate) answers: Vec<(ConnId, Vec<u8>)>,
    /// Connections to close.
    pub(crate) closes: Vec<ConnId>,
    /// The mark that was asked for: how long the file is to be for it.
    pub(crate) mark: bool,
}

impl Held {
    /// A connection has ended: its index may soon mean another one.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.answers.retain(|(c, _)| *c != conn);
        self.closes.retain(|c| *c != conn);
    }
}
