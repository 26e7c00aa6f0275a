//! The connections of the ring: two streams of bytes each, delivered when and in what pieces the test says.

use pzog::ConnId;

/// Which port a connection was made to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Port {
    Ring,
    Clients,
}

/// Who is at an end of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Party {
    /// A host, by its place, and what it calls the connection.
    Host(usize, ConnId),
    /// A client or peer that the test itself plays.
    Outsider(String),
    /// Nobody any more: it has closed the connection and been told so, or was killed.
    Gone,
}

/// The bytes on their way to one end.
#[derive(Default, Debug)]
pub(crate) struct Pipe {
    pub(crate) bytes: Vec<u8>,
    /// Nothing will follow.
    pub(crate) ended: bool,
    /// What the receiver did not consume yet; it gets it again.
    pub(crate) kept: Vec<u8>,
    /// The receiver has closed: nothing is delivered any more.
    pub(crate) closed: bool,
}

/// One connection; side 0 dialled it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) port: Port,
    pub(crate) ends: [Party; 2],
    /// What the ends are called, also when they have gone.
    pub(crate) names: [String; 2],
    /// `pipes[i]` carries to `ends[i]`.
    pub(crate) pipes: [Pipe; 2],
}

/// Something that the world does next, in an order that the test chooses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// A dial arrives.
    Dial { from: usize, to: usize },
    /// Bytes, or the end behind them, arrive at a side of a connection.
    Deliver { connection: usize, side: usize },
    /// A host that closed a connection is told that it is closed.
    Closed { connection: usize, side: usize },
    /// A sync ends.
    Synced { host: usize },
    /// A sync of access.log ends.
    Marked { host: usize },
    /// A segment is ready, or cannot be.
    Prepared { host: usize, segment: u64, bytes: u32 },
    /// A piece of the journal was read.
    Read { host: usize, read: pzog::Read },
}

impl Connection {
    pub(crate) fn new(port: Port, ends: [Party; 2], names: [&str; 2]) -> Connection {
        let names = names.map(str::to_owned);
        Connection { port, ends, names, pipes: Default::default() }
    }

    /// Whether these two have it and neither has closed it.
    pub(crate) fn is_between(&self, a: &str, b: &str) -> bool {
        let is_open = self.pipes.iter().all(|pipe| !pipe.closed);
        is_open && (self.names == [a, b] || self.names == [b, a])
    }

    /// The side of an outsider.
    pub(crate) fn side_of(&self, outsider: &str) -> Option<usize> {
        self.ends.iter().position(|end| matches!(end, Party::Outsider(name) if name == outsider))
    }
}
