//! One connection through the proxy: two sockets, and what is on its way between them.

use super::{Way, Ways};
use rustix::event::PollFlags;
use rustix::net::sockopt::set_socket_linger;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Bytes that the proxy itself keeps of each direction; the sockets' buffers come on top.
const BUFFER: usize = 16 << 10;

/// A trickle runs in so many steps a second.
const STEPS: u32 = 100;

/// Which end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Dialer,
    Target,
}

impl Side {
    const BOTH: [Side; 2] = [Side::Dialer, Side::Target];

    fn other(self) -> Side {
        if self == Side::Dialer { Side::Target } else { Side::Dialer }
    }
}

/// What comes from one side.
struct Flow {
    /// From which host to which.
    direction: (usize, usize),
    buffer: Vec<u8>,
    /// Bytes were lost: so will be all that follow, and the end.
    lost: bool,
    /// The side has said its end, or is gone.
    ended: bool,
    /// The other side was told the end.
    told: bool,
    /// A trickle has to wait until then.
    not_before: Instant,
}

impl Flow {
    fn new(direction: (usize, usize)) -> Flow {
        let not_before = Instant::now();
        Flow { direction, buffer: Vec::new(), lost: false, ended: false, told: false, not_before }
    }

    fn reads(&self, way: Way) -> bool {
        !self.ended && (self.lost || (way != Way::Stalled && self.buffer.len() < BUFFER))
    }

    /// Whether there is something for the other side.
    fn has_more(&self, way: Way) -> bool {
        !self.lost && way != Way::Stalled && (!self.buffer.is_empty() || (self.ended && !self.told))
    }

    fn lose(&mut self) {
        self.lost = true;
        self.buffer.clear();
    }
}

/// A connection; a side that is gone has no socket.
pub(super) struct Connection {
    streams: [Option<TcpStream>; 2],
    flows: [Flow; 2],
}

impl Connection {
    /// Without a target everything that the dialer says is lost.
    pub(super) fn new(
        directions: [(usize, usize); 2],
        dialer: TcpStream,
        target: Option<TcpStream>,
    ) -> Connection {
        for stream in [Some(&dialer), target.as_ref()].into_iter().flatten() {
            stream.set_nonblocking(true).expect("a socket that does not block");
            stream.set_nodelay(true).expect("TCP_NODELAY");
        }
        let mut connection = Connection { streams: [Some(dialer), target], flows: directions.map(Flow::new) };
        if connection.streams[1].is_none() {
            connection.vanish(Side::Target);
        }
        connection
    }

    pub(super) fn stream(&self, side: Side) -> Option<&TcpStream> {
        self.streams[side as usize].as_ref()
    }

    /// Whether nothing can come of it any more.
    pub(super) fn is_over(&self) -> bool {
        self.flows.iter().all(|flow| flow.ended && (flow.told || flow.lost))
    }

    /// What to wait for at one side's socket.
    pub(super) fn interest(&self, side: Side, ways: &Ways, now: Instant) -> PollFlags {
        let (from, to) = (&self.flows[side as usize], &self.flows[side.other() as usize]);
        let mut interest = PollFlags::empty();
        interest.set(PollFlags::IN, from.reads(ways.get(from.direction)));
        interest.set(PollFlags::OUT, to.has_more(ways.get(to.direction)) && to.not_before <= now);
        interest
    }

    /// When what was held back by a trickle goes on.
    pub(super) fn due(&self, ways: &Ways, now: Instant) -> Option<Instant> {
        let held = |flow: &&Flow| flow.not_before > now && flow.has_more(ways.get(flow.direction));
        self.flows.iter().filter(held).map(|flow| flow.not_before).min()
    }

    /// Does what the ways are like beyond letting bytes through or not.
    pub(super) fn apply(&mut self, ways: &Ways) {
        for side in Side::BOTH {
            match ways.get(self.flows[side as usize].direction) {
                Way::Reset => self.end(true),
                Way::Finished => self.end(false),
                Way::Lost => self.flows[side as usize].lose(),
                Way::HalfOpen => {
                    self.flows[side as usize].lose();
                    self.vanish(side.other());
                }
                Way::Open | Way::Stalled | Way::Trickle(_) => {}
            }
        }
    }

    /// Reads and writes what can be without waiting.
    pub(super) fn carry(&mut self, ways: &mut Ways) {
        for side in Side::BOTH {
            let way = ways.get(self.flows[side as usize].direction);
            if let Err(e) = self.read(side, way) {
                self.broken(side, &e);
            }
            match self.write(side, way) {
                Ok(bytes) => ways.count(self.flows[side as usize].direction, bytes),
                Err(e) => self.broken(side.other(), &e),
            }
        }
    }

    fn read(&mut self, side: Side, way: Way) -> io::Result<()> {
        let flow = &mut self.flows[side as usize];
        let Some(stream) = &mut self.streams[side as usize] else { return Ok(()) };
        if !flow.reads(way) {
            return Ok(());
        }
        let mut bytes = [0; BUFFER];
        let room = if flow.lost { BUFFER } else { BUFFER - flow.buffer.len() };
        match stream.read(&mut bytes[..room]) {
            Ok(0) => flow.ended = true,
            Ok(_) if flow.lost => {}
            Ok(n) => flow.buffer.extend_from_slice(&bytes[..n]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Gives the other side what `side` said; returns how many bytes.
    fn write(&mut self, side: Side, way: Way) -> io::Result<usize> {
        let flow = &mut self.flows[side as usize];
        let Some(stream) = &mut self.streams[side.other() as usize] else { return Ok(0) };
        let now = Instant::now();
        if !flow.has_more(way) || now < flow.not_before {
            return Ok(0);
        }
        if flow.buffer.is_empty() {
            stream.shutdown(Shutdown::Write)?;
            flow.told = true;
            return Ok(0);
        }
        let most = match way {
            Way::Trickle(rate) => (rate / STEPS).max(1) as usize,
            _ => BUFFER,
        };
        match stream.write(&flow.buffer[..most.min(flow.buffer.len())]) {
            Ok(n) => {
                flow.buffer.drain(..n);
                if let Way::Trickle(rate) = way {
                    flow.not_before = now + Duration::from_secs(1) * n as u32 / rate.max(1);
                }
                Ok(n)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(e) => Err(e),
        }
    }

    /// A side is gone without an orderly end. The other side learns of it, unless what would tell it is lost.
    fn broken(&mut self, side: Side, why: &io::Error) {
        let expected = [
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::NotConnected,
            io::ErrorKind::TimedOut,
        ];
        assert!(expected.contains(&why.kind()), "a socket of the proxy failed: {why}");
        if self.flows[side as usize].lost {
            self.vanish(side);
        } else {
            self.end(true);
        }
    }

    /// Resets one side; the other is told nothing, and what it still says is lost.
    fn vanish(&mut self, side: Side) {
        if let Some(stream) = self.streams[side as usize].take() {
            reset(&stream);
        }
        let gone = &mut self.flows[side as usize];
        gone.lose();
        gone.ended = true;
        self.flows[side.other() as usize].lose();
    }

    /// Ends both sides, with RST or with FIN.
    fn end(&mut self, by_reset: bool) {
        for stream in self.streams.iter_mut().filter_map(Option::take) {
            if by_reset {
                reset(&stream);
            } else {
                // Fails where the other side was faster; it has ended either way.
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
        for flow in &mut self.flows {
            flow.lose();
            flow.ended = true;
        }
    }
}

/// Makes the coming close of a socket a reset.
pub(super) fn reset(stream: &TcpStream) {
    set_socket_linger(stream, Some(Duration::ZERO)).expect("SO_LINGER");
}
