//! What waits while access.log cannot be written: what was answered in the turn whose lines it holds, and the closes
//! of those connections, which are not read meanwhile; and the log is not marked. The node answers no message then, so
//! whatever else it answers, to others, promises nothing and goes out.

use pzog::ConnId;

/// Effects of turns whose lines the disk has not taken, or that come behind them on a connection.
#[derive(Default)]
pub(crate) struct Held {
    /// Answers in order, as bytes.
    pub(crate) answers: Vec<(ConnId, Vec<u8>)>,
    /// Connections to close.
    pub(crate) closes: Vec<ConnId>,
    /// The mark that was asked for: how long the file is to be for it.
    pub(crate) mark: bool,
    /// The node knows that lines are held.
    pub(crate) is_told: bool,
}

impl Held {
    /// Whether anything waits for this connection.
    pub(crate) fn has(&self, conn: ConnId) -> bool {
        self.answers.iter().any(|(c, _)| *c == conn)
    }

    /// A connection has ended: its index may soon mean another one.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.answers.retain(|(c, _)| *c != conn);
        self.closes.retain(|c| *c != conn);
    }
}
