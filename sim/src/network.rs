//! Connections: two streams of bytes each, that take their time, arrive in any pieces, and break.

use crate::event::{Event, Moment, SECOND, Side};
use crate::world::World;
use pzog::ConnId;
use std::collections::VecDeque;

/// Which port a connection was made to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Port {
    Ring,
    Clients,
}

/// Who is at an end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// A host, and what it calls the connection.
    Host(u8, ConnId),
    Client(u16),
    /// Nobody any more.
    Gone,
}

/// The bytes on their way to one end.
#[derive(Default)]
pub(crate) struct Pipe {
    /// From `head` on: what the receiver has not consumed.
    pub(crate) bytes: Vec<u8>,
    pub(crate) head: usize,
    /// Up to here the receiver has seen them.
    pub(crate) seen: usize,
    /// When what was written arrives, and where it ends.
    on_the_way: VecDeque<(Moment, usize)>,
    /// When the end of the stream arrives.
    ends_at: Option<Moment>,
    /// An [`Event::Arrive`] is to come.
    is_armed: bool,
    /// The receiver does not know yet that it is connected: what comes, even the end, waits for that.
    pub(crate) is_connecting: bool,
    /// It waits until a cut heals, or until the receiver reads again.
    pub(crate) is_parked: bool,
    /// Nothing is delivered any more.
    pub(crate) is_closed: bool,
    /// What is written goes nowhere, and the sender does not know.
    is_void: bool,
    is_blocked: bool,
}

pub(crate) struct Connection {
    pub(crate) port: Port,
    pub(crate) ends: [End; 2],
    /// The hosts at both ends, also when they have gone; of a client's connection the host twice.
    pub(crate) hosts: [u8; 2],
    /// `pipes[i]` carries to `ends[i]`.
    pub(crate) pipes: [Pipe; 2],
}

impl Connection {
    pub(crate) fn new(port: Port, ends: [End; 2], hosts: [u8; 2]) -> Connection {
        Connection { port, ends, hosts, pipes: Default::default() }
    }
}

impl Pipe {
    fn backlog(&self) -> usize {
        self.bytes.len() - self.seen
    }

    /// Drops what was consumed.
    pub(crate) fn tidy(&mut self) {
        if self.head == self.bytes.len() {
            self.bytes.clear();
            self.on_the_way.clear();
        } else if self.head > 64 << 10 {
            self.bytes.drain(..self.head);
            self.on_the_way.iter_mut().for_each(|(_, end)| *end = end.saturating_sub(self.head));
        } else {
            return;
        }
        self.seen -= self.head;
        self.head = 0;
    }

    pub(crate) fn close(&mut self) {
        *self = Pipe { is_closed: true, is_armed: self.is_armed, ..Pipe::default() };
    }

    /// What is on its way is lost from anywhere on.
    fn cut_at(&mut self, len: usize) {
        self.bytes.truncate(len);
        while self.on_the_way.back().is_some_and(|(_, end)| *end > len) {
            self.on_the_way.pop_back();
        }
        self.on_the_way.push_back((0, len));
    }
}

/// What is there to be read.
pub(crate) enum Arrived {
    Bytes { seen: usize },
    End,
    Nothing,
}

impl World {
    pub(crate) fn end_of(&self, side: Side) -> End {
        self.connections[side.connection as usize].ends[usize::from(side.side)]
    }

    pub(crate) fn pipe(&mut self, to: Side) -> &mut Pipe {
        &mut self.connections[to.connection as usize].pipes[usize::from(to.side)]
    }

    /// Whether bytes to this side pass now.
    fn passes(&self, to: Side) -> bool {
        let Connection { port, hosts, .. } = &self.connections[to.connection as usize];
        let (from, to) = (hosts[usize::from(1 - to.side)], hosts[usize::from(to.side)]);
        *port == Port::Clients || self.cuts[usize::from(from)][usize::from(to)] == 0
    }

    /// Writes bytes that go to this side.
    pub(crate) fn write(&mut self, to: Side, bytes: &[u8]) {
        let network = &self.scenario.network;
        let (latency, rate, window) = (network.latency_us, network.bytes_ms, network.window);
        let delay = latency + self.dice.network.between(0, network.jitter_us);
        let (now, port) = (self.now, self.connections[to.connection as usize].port);
        let pipe = self.pipe(to);
        if pipe.is_closed || pipe.is_void || pipe.ends_at.is_some() {
            return; // the other side has gone, and this one has not heard of it
        }
        pipe.bytes.extend_from_slice(bytes);
        let before = pipe.on_the_way.back().map_or(0, |(at, _)| *at);
        let at = (now + delay).max(before) + bytes.len() as u64 * 1000 / rate;
        pipe.on_the_way.push_back((at, pipe.bytes.len()));
        let (backlog, was_blocked) = (pipe.backlog(), pipe.is_blocked);
        pipe.is_blocked |= port == Port::Ring && backlog > window;
        if pipe.is_blocked && !was_blocked {
            self.queue.add(now, Event::Blocked(to.other()));
            self.counts.blocked += 1;
        }
        self.checks.backlog(to, backlog, now);
        self.arm(to, at);
    }

    fn arm(&mut self, to: Side, at: Moment) {
        let at = at.max(self.now);
        let pipe = self.pipe(to);
        let waits = pipe.is_parked || pipe.is_connecting;
        if !waits && !std::mem::replace(&mut pipe.is_armed, true) {
            self.queue.add(at, Event::Arrive(to));
        }
    }

    /// No bytes follow to this side.
    pub(crate) fn end_pipe(&mut self, to: Side, at: Moment) {
        let pipe = self.pipe(to);
        if !pipe.is_closed && pipe.ends_at.is_none_or(|ends| ends > at) {
            pipe.ends_at = Some(at);
            self.arm(to, at);
        }
    }

    /// What a side may read now; [`Event::Arrive`] has come.
    pub(crate) fn arrived(&mut self, to: Side, most: usize) -> Arrived {
        let passes = self.passes(to);
        let (now, split) = (self.now, self.scenario.network.split);
        let pipe = &mut self.connections[to.connection as usize].pipes[usize::from(to.side)];
        pipe.is_armed = false;
        if pipe.is_closed {
            return Arrived::Nothing;
        }
        if !passes || most == 0 {
            pipe.is_parked = true;
            return Arrived::Nothing;
        }
        let mut seen = pipe.seen;
        while let Some((_, end)) = pipe.on_the_way.front().copied().filter(|(at, _)| *at <= now) {
            seen = seen.max(end.min(pipe.bytes.len()));
            pipe.on_the_way.pop_front();
        }
        if seen - pipe.seen > most {
            pipe.on_the_way.push_front((now, seen));
            seen = pipe.seen + most;
        }
        if seen > pipe.seen + 1 && self.dice.network.chance(split) {
            pipe.on_the_way.push_front((now + 1 + self.dice.network.between(0, 500), seen));
            seen = pipe.seen + 1 + self.dice.network.below(seen - pipe.seen - 1);
        }
        if seen > pipe.seen {
            return Arrived::Bytes { seen };
        }
        match pipe.ends_at {
            Some(at) if at <= now && pipe.on_the_way.is_empty() => Arrived::End,
            _ => {
                self.arm_next(to);
                Arrived::Nothing
            }
        }
    }

    /// Asks for what comes next on a pipe.
    pub(crate) fn arm_next(&mut self, to: Side) {
        let pipe = self.pipe(to);
        let next = pipe.on_the_way.front().map(|(at, _)| *at).or(pipe.ends_at);
        if let Some(at) = next.filter(|_| !pipe.is_closed) {
            self.arm(to, at);
        }
    }

    /// What was written to this side has been read: perhaps its sender was blocked.
    pub(crate) fn drained(&mut self, to: Side) {
        let (now, window) = (self.now, self.scenario.network.window);
        let pipe = self.pipe(to);
        if pipe.is_blocked && pipe.backlog() <= window / 2 {
            pipe.is_blocked = false;
            self.queue.add(now, Event::Drained(to.other()));
        }
    }

    /// Bytes that waited go on.
    pub(crate) fn unpark(&mut self, is_concerned: impl Fn(&Connection) -> bool) {
        for number in 0..self.connections.len() {
            let connection = &self.connections[number];
            let waits = connection.pipes.iter().any(|pipe| pipe.is_parked);
            if !waits || !is_concerned(connection) {
                continue;
            }
            for side in [0, 1] {
                let to = Side { connection: number as u32, side };
                if std::mem::take(&mut self.pipe(to).is_parked) {
                    self.arm_next(to);
                }
            }
        }
    }

    /// A connection breaks: each side hears of it at some time, what is on its way is lost from anywhere on.
    pub(crate) fn break_connection(&mut self, number: u32) {
        let connection = &self.connections[number as usize];
        if connection.port == Port::Ring {
            self.checks.shaken(connection.hosts, self.now);
        }
        for side in [0, 1] {
            let to = Side { connection: number, side };
            let later = self.dice.network.around(5_000);
            self.lose_on_the_way(to);
            self.end_pipe(to, self.now + later);
        }
    }

    /// What is on its way to a side is lost, from anywhere on.
    pub(crate) fn lose_on_the_way(&mut self, to: Side) {
        let pipe = &mut self.connections[to.connection as usize].pipes[usize::from(to.side)];
        if !pipe.is_closed {
            let kept = pipe.seen + self.dice.network.below(pipe.backlog() + 1);
            pipe.cut_at(kept);
        }
    }

    /// One side's end vanishes; the other side does not hear of it.
    pub(crate) fn half_open(&mut self, gone: Side) {
        self.lose_on_the_way(gone);
        self.end_pipe(gone, self.now);
        self.lose_on_the_way(gone.other());
        // Nothing follows a piece that was lost.
        self.pipe(gone.other()).is_void = true;
        self.pipe(gone.other()).is_parked = true;
        self.pipe(gone).is_void = true;
    }

    /// A host or client leaves its end: it reads nothing more, and what it wrote still arrives.
    pub(crate) fn leave(&mut self, side: Side) {
        self.pipe(side).close();
        let at = self.now + self.scenario.network.latency_us;
        self.end_pipe(side.other(), at);
    }

    /// A process ends: so do its connections. If the power went, nobody tells the other side, but for what it
    /// sends later.
    pub(crate) fn lose_end(&mut self, side: Side, is_power: bool) {
        self.connections[side.connection as usize].ends[usize::from(side.side)] = End::Gone;
        self.pipe(side).close();
        self.forget_if_over(side.connection);
        let other = side.other();
        if is_power || self.dice.network.chance(0.3) {
            self.lose_on_the_way(other);
        }
        let later = if is_power { self.dice.network.around(8 * SECOND) } else { 300 };
        self.end_pipe(other, self.now + later);
    }

    /// A connection that both sides have left needs no memory.
    pub(crate) fn forget_if_over(&mut self, number: u32) {
        let connection = &mut self.connections[number as usize];
        if connection.ends == [End::Gone; 2] {
            connection.pipes.iter_mut().for_each(Pipe::close);
        }
    }
}
