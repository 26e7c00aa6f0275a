//! What goes into the node and what comes out of it, turn by turn.
//!
//! The driver calls [`Node::handle`](crate::Node::handle) with one [`Input`] and then carries out the
//! [`Outputs`] **in this order**: `forward`, `append`, `send`, `log`, `answer`, `sync` and `mark`, `dial`, `close`,
//! `report`, and the rest in any order: what is released though somebody lacks it is told before it is gone. A host's own
//! message is in the journal before it leaves, and each is there and logged before it is answered or told in a watermark.
//! What is forwarded in a turn is so before it is logged (seed: "logged AFTER any forwarding"); a host's own messages
//! above level `journaled` are logged with their append, from which access.log is derived, and leave once they are synced.
//! `sync` may begin as soon as `append` has ended. What comes of it (a sync that ended, a connection that closed) is a new
//! input.
//!
//! An `append`, a `sync` or a `mark` that fails is the end of the node: the driver carries out nothing more of that
//! turn, closes all connections, and begins again with a new node from what [`crate::journal`] recovers, as after a
//! crash. So there is one way back, and nothing is ever tried again as if nothing had happened.

use crate::ring::HostIndex;
use crate::settings::Settings;
use crate::time::Time;
use crate::view::Certificate;
use alloc::vec::Vec;

/// One TCP connection: a small index that the driver gives out. It may be used again once the driver has
/// reported the connection as closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct ConnId(pub u32);

/// Something that happened outside the node.
#[derive(Debug)]
pub enum Input<'a> {
    /// Somebody connected to the client port.
    ClientConnected {
        /// The new connection.
        conn: ConnId,
    },
    /// Bytes came from a client: of one turn at most a 64th of a segment of the journal, so that whatever becomes of
    /// them fits into it. [`Node::handle`](crate::Node::handle) returns how many were consumed; the driver keeps the rest (an unfinished line, less than [`LINE_MAX`](crate::limits::LINE_MAX)) and gives it
    /// again in front of what comes next.
    ClientLines {
        /// The client's connection.
        conn: ConnId,
        /// An unfinished line kept from before, and what was read.
        bytes: &'a [u8],
    },
    /// A client will send nothing more (it has shut its end), but may still read its answers. The node closes the
    /// connection once it has them all.
    ClientFinished {
        /// The client's connection.
        conn: ConnId,
        /// What it left unfinished.
        rest: &'a [u8],
    },
    /// A client's connection has ended, from whatever side.
    ClientClosed {
        /// The connection, free after this turn.
        conn: ConnId,
        /// What it left unfinished.
        rest: &'a [u8],
    },
    /// A peer connected to the ring port.
    PeerAccepted {
        /// The new connection.
        conn: ConnId,
    },
    /// A dial that [`Outputs::dial`] asked for has connected.
    PeerDialed {
        /// The new connection.
        conn: ConnId,
        /// The host that was dialled.
        host: HostIndex,
    },
    /// Who is at the other end of a connection of the ring port has proved, before anything it says, that it is this
    /// host: it may call itself nothing else. Only where links are protected.
    PeerProved {
        /// The connection.
        conn: ConnId,
        /// The host that its certificate names.
        host: HostIndex,
    },
    /// Who is at the other end of a connection of the ring port cannot prove that it is a host of the ring.
    PeerUnproved {
        /// The connection, which the node closes.
        conn: ConnId,
        /// What is wrong, for error.log: printing characters.
        why: &'a str,
    },
    /// A dial that [`Outputs::dial`] asked for has failed.
    DialFailed {
        /// The host that was dialled.
        host: HostIndex,
    },
    /// Bytes came from a peer; consumed as those of a client are. The node patches wrapping bytes in place,
    /// so that [`Slice::Input`] can be forwarded as it stands.
    PeerLines {
        /// The peer's connection.
        conn: ConnId,
        /// An unfinished line kept from before, and what was read.
        bytes: &'a mut [u8],
    },
    /// A peer's connection has ended, from whatever side.
    PeerClosed {
        /// The connection, free after this turn.
        conn: ConnId,
        /// What it left unfinished.
        rest: &'a [u8],
    },
    /// The other side takes no more bytes just now: what was sent on the connection waits in the driver. Until
    /// [`Input::Drained`] the node sends it no messages; what it misses it gets from the journal.
    Blocked {
        /// A connection of the ring port.
        conn: ConnId,
    },
    /// All that was sent on a connection that was blocked is on its way.
    Drained {
        /// The connection.
        conn: ConnId,
    },
    /// The sync that [`Outputs::sync`] asked for has ended: all that was appended up to and with the turn that
    /// asked is on this host's disk.
    Synced,
    /// What [`Outputs::mark`] asked for has ended: access.log is on the disk as it was at the end of that turn,
    /// then so long.
    Marked {
        /// The file and its length then.
        log: LogFile,
    },
    /// access.log is another file from now on (a rotation). The driver has brought journal and old file to the disk
    /// before; it writes nothing to the new file until it has brought this turn's append to the disk.
    LogOpened {
        /// The new file and its length.
        log: LogFile,
    },
    /// Whether access.log holds lines of earlier turns back, since its disk does not take them. From then until it does
    /// not, no message is taken and none is answered; what promises nothing is. The driver has held back itself what
    /// the turn answered whose lines were the first; it reads no peers meanwhile.
    LogHeld {
        /// Whether it does.
        is_held: bool,
    },
    /// The segment that [`Outputs::prepare`] asked for is there, or, if not `ok`, there is no room for it.
    Prepared {
        /// Whether it can be appended to.
        ok: bool,
    },
    /// What [`Outputs::read`] asked for.
    JournalRead {
        /// The number of the request.
        id: u32,
        /// The bytes, patched in place like those of [`Input::PeerLines`]; none if they cannot be read. May be
        /// fewer than asked for where the file ends.
        bytes: &'a mut [u8],
    },
    /// The time [`Outputs::wake_at`] has come. Early or superfluous calls do no harm.
    Deadline,
    /// New settings; they apply from this turn on.
    Reconfigured {
        /// All settings, the unchanged ones too.
        settings: Settings,
    },
    /// What this host proves its name with, from now on: for those who watch it.
    Certified {
        /// The certificate.
        certificate: Certificate,
    },
    /// The daemon is to end: answer what was taken, say `BYE`, then say [`Outputs::stopped`].
    Stop,
}

/// A place in the journal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default)]
pub struct Place {
    /// The number of the segment; later ones have higher numbers.
    pub segment: u64,
    /// Bytes from its beginning.
    pub offset: u32,
}

/// A file that access.log is or was, and how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogFile {
    /// The device it is on.
    pub device: u64,
    /// Its number there (inode), which stays when it is renamed.
    pub inode: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A segment to be made: a file of this size, of zeros or of what an old segment left, whose room is reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prepare {
    /// Its number.
    pub segment: u64,
    /// Its size in bytes.
    pub bytes: u32,
}

/// A piece of the journal to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Read {
    /// Comes back with the bytes.
    pub id: u32,
    /// Where it begins.
    pub at: Place,
    /// How many bytes.
    pub bytes: u32,
}

/// A range of bytes in one of the buffers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
}

impl Span {
    /// The range as `usize`.
    #[must_use]
    pub fn range(self) -> core::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Where the bytes of one write are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slice {
    /// In the bytes of this turn's input, patched in place.
    Input(Span),
    /// In this host's new data lines, in the copy with this wrapping (0, 1 or 2).
    Own(u8, Span),
    /// In [`Outputs::small`].
    Small(Span),
    /// The answer `OK`, so many times.
    Oks(u32),
}

/// How much a report matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Normal life: a link going up.
    Info,
    /// Somebody should know: a link going down, a refused line.
    Warning,
    /// Something was lost or must be mended by a person.
    Error,
}

/// Who caused a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// This connection, to the client port or the ring port; the driver knows its address.
    Conn(ConnId),
    /// This host of the ring.
    Host(HostIndex),
    /// This node itself.
    Node,
}

/// One line for error.log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// How much it matters.
    pub severity: Severity,
    /// Who caused it.
    pub source: Source,
    /// The text in [`Outputs::small`]: printing characters only, a keyword first (`REFUSED`, `UP`, `DOWN`, …).
    pub text: Span,
}

/// What one turn wants done. Owned by the driver and used again each turn: nothing is allocated per message.
#[derive(Default, Debug)]
#[must_use]
pub struct Outputs {
    /// This host's new data lines of this turn, once for each wrapping in use.
    pub own: [Vec<u8>; 3],
    /// All other bytes that this turn made.
    pub small: Vec<u8>,
    /// Whole lines for access.log; to be written with one write.
    pub log: Vec<u8>,
    /// Messages of other hosts on their way to those that get them from here. Whoever gave them has them, so they need not
    /// wait for the journal of a host in between. On each connection they come before `send`.
    pub forward: Vec<(ConnId, Slice)>,
    /// The record of this turn for the journal: these pieces, one behind the other, in one write.
    pub append: Vec<Slice>,
    /// Where it goes, if there is one. The first record of a segment goes to its offset 0.
    pub append_at: Place,
    /// To peers, in this order.
    pub send: Vec<(ConnId, Slice)>,
    /// To clients, in this order, after the log is written.
    pub answer: Vec<(ConnId, Slice)>,
    /// Bring all that was appended so far to the disk, this turn's too, older segments first, then say
    /// [`Input::Synced`]. Never asked for again before that answer.
    pub sync: bool,
    /// Bring access.log to the disk as it is after this turn, then say [`Input::Marked`]. Never asked for again
    /// before that answer, or [`Input::LogOpened`], which takes its place.
    pub mark: bool,
    /// Make this segment ready (file, room, directory entry, all on the disk), then say [`Input::Prepared`].
    pub prepare: Option<Prepare>,
    /// These segments are not needed any more.
    pub release: Vec<u64>,
    /// Read these pieces of the journal, each ending in [`Input::JournalRead`]. They never reach beyond what
    /// was appended before this turn's end.
    pub read: Vec<Read>,
    /// Dial these hosts; each ends in [`Input::PeerDialed`] or [`Input::DialFailed`].
    pub dial: Vec<HostIndex>,
    /// Close these connections once what was sent or answered on them is written; each ends in
    /// [`Input::ClientClosed`] or [`Input::PeerClosed`] like every other.
    pub close: Vec<ConnId>,
    /// For error.log.
    pub report: Vec<Report>,
    /// So many bytes of a client, beside its unfinished line, may be read at one time from now on: none while a peer is a window
    /// behind, those that there is room for while a segment is late. State, not an event.
    pub read_clients: u32,
    /// Whether peers may be read from now on: not for the moments that a segment is late. State, not an event.
    pub read_peers: bool,
    /// When [`Input::Deadline`] is due, if nothing else happens before.
    pub wake_at: Option<Time>,
    /// The orderly end is reached: write what is left, then exit.
    pub stopped: bool,
}

impl Outputs {
    /// With room from the start for what so many bytes of common lines become: buffers that grow step by step leave behind, in
    /// the heap, as much as they have. Room that is never used takes no memory.
    pub fn with_room(bytes: usize) -> Outputs {
        let room = || Vec::with_capacity(2 * bytes);
        Outputs { own: [room(), room(), room()], log: room(), ..Outputs::default() }
    }

    /// Empties all buffers and keeps their memory; [`Node::handle`](crate::Node::handle) does this first.
    pub(crate) fn clear(&mut self) {
        self.own.iter_mut().for_each(Vec::clear);
        self.small.clear();
        self.log.clear();
        self.forward.clear();
        self.append.clear();
        self.send.clear();
        self.answer.clear();
        self.sync = false;
        self.mark = false;
        self.prepare = None;
        self.release.clear();
        self.read.clear();
        self.dial.clear();
        self.close.clear();
        self.report.clear();
        self.wake_at = None;
        self.stopped = false;
    }

    /// The bytes that a slice names; `input` are the bytes of this turn's input. [`Slice::Oks`] is the driver's
    /// to write, from a constant block.
    #[must_use]
    pub fn bytes<'a>(&'a self, slice: Slice, input: &'a [u8]) -> &'a [u8] {
        match slice {
            Slice::Input(span) => &input[span.range()],
            Slice::Own(wrapping, span) => &self.own[usize::from(wrapping)][span.range()],
            Slice::Small(span) => &self.small[span.range()],
            Slice::Oks(_) => &[],
        }
    }
}
