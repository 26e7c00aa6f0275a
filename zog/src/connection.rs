//! One TCP connection: its unfinished line, what could not be written yet, and writing without waiting.

use crate::bucket::Bucket;
use crate::rt::{Async, Timer};
use crate::tls::{Layer, News};
use pzog::{ConnId, HostIndex};
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Bytes that may wait for one peer to take them. The node sends no messages to a peer for which something waits, so
/// only one that never takes anything, and is not noticed to be dead, comes so far; it is closed.
const PEER_OUT_MAX: usize = 64 << 20;

/// Bytes of an empty out-buffer that are kept for the next time.
const OUT_KEPT: usize = 64 << 10;

/// A connection that is being closed gets so long to take what was sent and to shut its end.
const CLOSE: Duration = Duration::from_secs(5);

/// Who is at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// It came to the client port.
    Client,
    /// It came to the ring port, or was dialled as this host.
    Peer(Option<HostIndex>),
}

/// How far a connection's life has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// It is read and written.
    Open,
    /// A client has shut its end; it still gets its answers, and then the node closes it.
    Finished,
    /// What is in the out-buffer is written, then our end is shut.
    Closing,
    /// Our end is shut; what still comes is read and thrown away until the other end is shut too. Closing
    /// without that would reset the connection, and the other side might never see our last line.
    Draining,
    /// It is over; the node is told when it is served next.
    Ended,
}

/// A connection and what waits on it.
pub(crate) struct Connection {
    socket: Async<TcpStream>,
    /// Where it is protected; boxed, since most clients have none.
    tls: Option<Box<Layer>>,
    /// Who is at the other end.
    pub(crate) kind: Kind,
    /// The other end.
    pub(crate) address: SocketAddr,
    /// How far its life has come.
    pub(crate) phase: Phase,
    /// The unfinished line, shorter than `LINE_MAX`.
    pub(crate) tail: Vec<u8>,
    /// Whether it waits until reading is allowed again.
    pub(crate) is_parked: bool,
    /// Whether the node was told that it takes no more.
    pub(crate) is_blocked: bool,
    /// Whether a whole line came, on the ring port: a `HELLO`, or else its end.
    pub(crate) is_greeted: bool,
    /// Whether nothing came yet of a client, or of a peer that may choose whether to speak TLS.
    pub(crate) is_new: bool,
    /// Whether the node may hear it: not a client that has not yet said a token, where it must.
    pub(crate) is_trusted: bool,
    /// Whether lines of it were refused in its last turn, or lately of its address: it is read in small pieces.
    pub(crate) is_suspect: bool,
    /// A client's lines, where they are bounded.
    pub(crate) lines: Bucket,
    /// It is not read before.
    pub(crate) rest_until: Option<Instant>,
    /// It is over then, since it is being closed.
    close_by: Option<Instant>,
    /// For one of the two.
    timer: Option<Box<Timer>>,
    /// Empty except when a write would have blocked; the first `written` bytes are gone.
    out: Vec<u8>,
    written: usize,
}

impl Connection {
    pub(crate) fn new(socket: Async<TcpStream>, kind: Kind, address: SocketAddr) -> Connection {
        Connection {
            socket,
            tls: None,
            kind,
            address,
            phase: Phase::Open,
            tail: Vec::new(),
            is_parked: false,
            is_blocked: false,
            is_greeted: false,
            is_new: kind == Kind::Client,
            is_trusted: true,
            is_suspect: false,
            lines: Bucket::default(),
            rest_until: None,
            close_by: None,
            timer: None,
            out: Vec::new(),
            written: 0,
        }
    }

    /// Has all that is read and written from now on go through TLS.
    pub(crate) fn protect(&mut self, mut layer: Layer) {
        layer.put(&mut self.out);
        self.tls = Some(Box::new(layer));
    }

    /// As [`protect`](Self::protect), where the first bytes of the other end were read already, and stand in front of the
    /// buffer; as [`read`](Self::read), what is in them stands there then.
    pub(crate) fn protect_from(&mut self, layer: Layer, buffer: &mut [u8], came: usize) -> Option<usize> {
        let came = buffer[..came].to_vec();
        self.protect(layer);
        let read = self.tls.as_mut()?.decrypt(&came, buffer, &mut self.out).ok();
        self.write_out();
        read
    }

    /// What has come of the other end's proof, once.
    pub(crate) fn take_news(&mut self) -> Option<News> {
        self.tls.as_mut()?.take_news()
    }

    /// Has it served from now on, see [`crate::serve`].
    pub(crate) fn serve_as(&self, conn: ConnId) {
        self.socket.serve_as(conn.0);
    }

    /// Has it served once more.
    pub(crate) fn wake(&self) {
        self.socket.serve_again();
    }

    /// Whether it may be read again; if not, it is served when it may.
    pub(crate) fn has_rested(&mut self) -> bool {
        let has_rested = self.rest_until.is_none_or(|at| self.has_come(at));
        if has_rested {
            self.rest_until = None;
        }
        has_rested
    }

    /// Whether it has been closing for too long; if not, it is served when it has.
    pub(crate) fn is_late_to_close(&mut self) -> bool {
        let at = *self.close_by.get_or_insert_with(|| Instant::now() + CLOSE);
        self.has_come(at)
    }

    fn has_come(&mut self, at: Instant) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::new(Timer::never()));
        timer.set_at(at);
        let has_come = self.socket.has_come(timer);
        if has_come {
            self.timer = None;
        }
        has_come
    }

    /// Whether all that was to be sent is written.
    pub(crate) fn is_flushed(&self) -> bool {
        self.out.is_empty()
    }

    /// One read of what is there now. `None`: nothing is, or the connection has ended.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match self.read_through(buffer) {
            Ok(0) if self.kind == Kind::Client && self.phase == Phase::Open => self.phase = Phase::Finished,
            Ok(0) => self.phase = Phase::Ended,
            Ok(n) => return Some(n),
            Err(e) if is_for_later(&e) => {}
            Err(_) => self.phase = Phase::Ended,
        }
        None
    }

    /// What is only thrown away need not be decrypted.
    fn read_through(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = self.tls.as_mut().filter(|_| self.phase == Phase::Open) else {
            return self.socket.read_now(buffer);
        };
        let read = tls.read(&self.socket, buffer, &mut self.out);
        self.write_out();
        read
    }

    /// Whether there is something to read, as far as is known.
    pub(crate) fn is_readable(&self) -> bool {
        self.holds_something() || self.socket.is_readable()
    }

    /// Whether something was decrypted that is still to be read.
    fn holds_something(&self) -> bool {
        self.phase == Phase::Open && self.tls.as_ref().is_some_and(|tls| tls.is_readable())
    }

    /// Writes now what can be written now; the rest goes to the out-buffer. The order is kept.
    pub(crate) fn send(&mut self, mut parts: &mut [IoSlice<'_>]) {
        if matches!(self.phase, Phase::Draining | Phase::Ended) {
            return;
        }
        if let Some(tls) = &mut self.tls {
            tls.encrypt(parts, &mut self.out);
            return self.write_out();
        }
        while self.out.is_empty() && !parts.is_empty() {
            match self.socket.write_vectored_now(parts) {
                Ok(n) => IoSlice::advance_slices(&mut parts, n),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return self.end(),
            }
        }
        if !parts.is_empty() {
            parts.iter().for_each(|part| self.out.extend_from_slice(part));
            self.wake();
        }
    }

    /// Whether this is a peer that takes nothing while ever more is for it.
    pub(crate) fn is_clogged(&self) -> bool {
        self.kind != Kind::Client && self.out.len() - self.written > PEER_OUT_MAX
    }

    /// Writes of the out-buffer what the other end takes now. Whether it is empty then; if not, the connection is served when
    /// there is room.
    pub(crate) fn flush(&mut self) -> bool {
        self.is_flushed() || self.socket.is_writable() && self.write_now()
    }

    /// Writes of the out-buffer what can be written now; the rest when there is room.
    fn write_out(&mut self) {
        if !self.write_now() {
            self.wake();
        }
    }

    /// Whether the out-buffer is empty then.
    fn write_now(&mut self) -> bool {
        while self.written < self.out.len() {
            match self.socket.write_now(&self.out[self.written..]) {
                Ok(n) => self.written += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
                Err(_) => self.end(),
            }
        }
        self.written = 0;
        self.out.clear();
        self.out.shrink_to(OUT_KEPT);
        true
    }

    /// Begins to close: what was sent is still written.
    pub(crate) fn close(&mut self) {
        if matches!(self.phase, Phase::Open | Phase::Finished) {
            self.phase = Phase::Closing;
            if let Some(tls) = &mut self.tls {
                tls.close(&mut self.out);
            }
            self.wake();
        }
    }

    /// Shuts our end, all being written.
    pub(crate) fn shut(&mut self) {
        let shut = self.socket.get_ref().shutdown(Shutdown::Write);
        self.phase = if shut.is_ok() { Phase::Draining } else { Phase::Ended };
    }

    /// It is over, whatever was still to be written.
    pub(crate) fn end(&mut self) {
        self.phase = Phase::Ended;
        self.out = Vec::new();
        self.written = 0;
        self.wake();
    }

    /// The unfinished line, for the last time.
    pub(crate) fn take_tail(&mut self) -> Vec<u8> {
        mem::take(&mut self.tail)
    }
}

fn is_for_later(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
