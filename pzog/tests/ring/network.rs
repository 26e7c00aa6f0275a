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
}

impl Connection {
    pub(crate) fn new(port: Port, ends: [Party; 2]) -> Connection {
        Connection { port, ends, pipes: Default::default() }
    }

    pub(crate) fn is_between(&self, a: usize, b: usize) -> bool {
        let of = |side: usize| match self.ends[side] {
            Party::Host(host, _) if !self.pipes[side].closed => Some(host),
            _ => None,
        };
        (of(0), of(1)) == (Some(a), Some(b)) || (of(0), of(1)) == (Some(b), Some(a))
    }

    /// The side of an outsider.
    pub(crate) fn side_of(&self, outsider: &str) -> Option<usize> {
        self.ends.iter().position(|end| matches!(end, Party::Outsider(name) if name == outsider))
    }
}
