//! Clients: they talk to any host, pipeline, repeat what was not answered through another one, and some vanish.

use crate::checks::{Kind, Said};
use crate::clock::UTC_SECONDS;
use crate::event::{Event, MILLI, Moment, SECOND, Side};
use crate::network::{Connection, End, Port};
use crate::world::World;
use pzog::time::Stamp;
use pzog::{Input, Level};
use std::collections::VecDeque;

/// Lines that wait for an answer, at most.
const UNANSWERED_MAX: usize = 200;

/// A client that has no answer for so long tries another host.
const PATIENCE: Moment = 8 * SECOND;

/// A line that waits for its answer.
#[derive(Clone)]
struct Line {
    /// The message, if it is one that may be accepted.
    said: Option<u32>,
    /// Its number in the session.
    number: Option<u64>,
    bytes: Vec<u8>,
}

pub(crate) struct Client {
    token: u64,
    pub(crate) level: Level,
    host: u8,
    side: Option<Side>,
    inbox: Vec<u8>,
    unanswered: VecDeque<Line>,
    /// The next `AT` line takes this number.
    next: u64,
    /// When it was last answered, or had nothing to wait for.
    heard: Moment,
}

impl Client {
    /// Whether it talks to this host.
    pub(crate) fn is_at(&self, place: u8) -> bool {
        self.side.is_some() && self.host == place
    }
}

impl World {
    pub(crate) fn add_client(&mut self) {
        let client = self.new_client();
        self.clients.push(client);
    }

    fn new_client(&mut self) -> Client {
        let levels = self.scenario.levels().unwrap_or_default();
        let level = self.dice.clients.one_of(&levels).unwrap_or_default();
        let token = self.dice.clients.bits();
        let unanswered = VecDeque::new();
        Client { token, level, host: 0, side: None, inbox: Vec::new(), unanswered, next: 1, heard: self.now }
    }

    pub(crate) fn client_acts(&mut self, client: u16) {
        let at = usize::from(client);
        if self.clients[at].side.is_none() {
            let may_rest = self.is_calm && self.clients[at].unanswered.is_empty();
            if !may_rest {
                self.client_connects(client);
            }
        } else if !self.clients[at].unanswered.is_empty() && self.clients[at].heard + PATIENCE < self.now {
            self.client_leaves(client);
        } else if !self.is_calm {
            if self.dice.clients.chance(self.scenario.clients.restless) {
                self.client_leaves(client);
            } else if self.dice.clients.chance(self.scenario.clients.vanish) {
                self.client_speaks(client);
                self.client_leaves(client);
                self.clients[at] = self.new_client();
            } else {
                self.client_speaks(client);
            }
        }
        let pause = self.scenario.clients.pause_ms * MILLI;
        let pause = if self.is_calm { 300 * MILLI } else { self.dice.clients.around(pause).max(MILLI) };
        self.queue.add(self.now + pause, Event::Client { client });
    }

    fn client_connects(&mut self, client: u16) {
        let only = &self.scenario.clients.only;
        let any = self.dice.clients.below(usize::from(self.scenario.hosts)) as u8;
        let place = self.dice.clients.one_of(only).unwrap_or(any);
        let place = self.or_twin(place);
        let is_leaving = self.is_leaving(place);
        let host = &mut self.hosts[usize::from(place)];
        if !host.runs() || host.paused_until > self.now || is_leaving {
            return;
        }
        let [mine, its] = [0, 1].map(|side| Side { connection: self.connections.len() as u32, side });
        let conn = host.name_connection(its);
        let ends = [End::Client(client), End::Host(place, conn)];
        self.connections.push(Connection::new(Port::Clients, ends, [place; 2]));
        self.give(place, Input::ClientConnected { conn });
        let now = self.now;
        let state = &mut self.clients[usize::from(client)];
        (state.side, state.host, state.heard) = (Some(mine), place, now);
        let first = state.unanswered.iter().find_map(|line| line.number).unwrap_or(state.next);
        let next =
            if first == 1 && state.unanswered.is_empty() { String::new() } else { format!(" next={first}") };
        let hello = format!("HELLO {:016x}{next} ack={}\r\n", state.token, state.level.word()).into_bytes();
        let mut bytes = hello.clone();
        state.unanswered.iter().for_each(|line| bytes.extend_from_slice(&line.bytes));
        state.unanswered.push_front(Line { said: None, number: None, bytes: hello });
        self.client_writes(its, &bytes);
    }

    fn client_writes(&mut self, to: Side, bytes: &[u8]) {
        if self.trace.prints() {
            let (from, host) = (self.party(to.other()), self.party(to));
            for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                self.trace.note(self.now, || format!("{from} → {host}  {}", String::from_utf8_lossy(line)));
            }
        }
        self.write(to, bytes);
    }

    fn client_speaks(&mut self, client: u16) {
        let Some(side) = self.clients[usize::from(client)].side else { return };
        if self.clients[usize::from(client)].unanswered.len() > UNANSWERED_MAX {
            return;
        }
        let mut bytes = Vec::new();
        for _ in 0..self.dice.clients.between(1, self.scenario.clients.burst) {
            let line = self.new_line(client);
            bytes.extend_from_slice(&line.bytes);
            let state = &mut self.clients[usize::from(client)];
            if state.unanswered.is_empty() {
                state.heard = self.now;
            }
            state.unanswered.push_back(line);
        }
        self.client_writes(side.other(), &bytes);
    }

    fn new_line(&mut self, client: u16) -> Line {
        let mix = &self.scenario.clients;
        let (wrong, msg, wrapped) = (mix.wrong, mix.msg, mix.wrapped);
        if self.dice.clients.chance(wrong) {
            return self.wrong_line(client);
        }
        let length =
            if self.dice.clients.chance(0.02) { 511 } else { self.dice.clients.between(0, 40) as usize };
        let text = text_of(self.checks.next_id(), length);
        let at = Stamp::of_utc_seconds(UTC_SECONDS + self.now / SECOND);
        let state = &mut self.clients[usize::from(client)];
        let host = usize::from(state.host);
        let count = self.hosts[host].ring.len();
        let (kind, head) = if self.dice.clients.chance(wrapped) {
            let wrapping = self.dice.clients.below(3);
            let to = self.hosts[host].me.index() + wrapping;
            let to = self.hosts[host].places[to % count];
            (Kind::Only(1 << host | 1 << to), wrapping.to_string())
        } else if self.dice.clients.chance(msg) {
            (Kind::All, "MSG ".to_owned())
        } else {
            (Kind::Numbered(*at.as_bytes()), format!("AT {at} "))
        };
        let mut number = None;
        if let Kind::Numbered(_) = kind {
            number = Some(state.next);
            state.next += 1;
        }
        let level = if matches!(kind, Kind::Only(_)) { state.level.min(Level::Synced) } else { state.level };
        self.counts.said += 1;
        let bytes = [head.as_bytes(), &text, b"\r\n"].concat();
        let said = Some(self.checks.say(Said { text, kind, level, at: self.now }));
        Line { said, number, bytes }
    }

    /// A line that no host may accept.
    fn wrong_line(&mut self, client: u16) -> Line {
        let at = Stamp::of_utc_seconds(UTC_SECONDS + self.now / SECOND);
        let long = "x".repeat(600);
        let (is_numbered, bytes) = match self.dice.clients.below(8) {
            0 => (false, b"MSG a bare line feed\n".to_vec()),
            1 => (false, b"SAY what\r\n".to_vec()),
            2 => (false, b"MSG \xff\xfe\r\n".to_vec()),
            3 => (false, b"3text\r\n".to_vec()),
            4 => (true, format!("AT {at} {long}\r\n").into_bytes()),
            5 => (true, format!("AT {at} tab\there\r\n").into_bytes()),
            6 => (true, b"AT 20260230T000000Z no such day\r\n".to_vec()),
            _ => (false, b"\r\n".to_vec()),
        };
        let state = &mut self.clients[usize::from(client)];
        let number = is_numbered.then_some(state.next);
        state.next += u64::from(is_numbered);
        Line { said: None, number, bytes }
    }

    pub(crate) fn client_reads(&mut self, to: Side, client: u16, seen: usize) {
        let pipe = self.pipe(to);
        let bytes = pipe.bytes[pipe.head..seen].to_vec();
        (pipe.head, pipe.seen) = (seen, seen);
        pipe.tidy();
        self.arm_next(to);
        self.trace.add_bytes(&bytes);
        let state = &mut self.clients[usize::from(client)];
        if state.side != Some(to) {
            return;
        }
        state.inbox.extend_from_slice(&bytes);
        let inbox = std::mem::take(&mut state.inbox);
        let mut rest = &inbox[..];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            rest = &rest[end + 1..];
            self.client_hears(client, line);
        }
        self.clients[usize::from(client)].inbox = rest.to_vec();
    }

    fn client_hears(&mut self, client: u16, answer: &[u8]) {
        let (now, place) = (self.now, self.clients[usize::from(client)].host);
        let state = &mut self.clients[usize::from(client)];
        state.heard = now;
        if answer.starts_with(b"ERR 300") {
            return; // it closes; no number was spent
        }
        let Some(line) = state.unanswered.pop_front() else {
            let answer = String::from_utf8_lossy(answer);
            return self.checks.fail(now, format!("client {client} is answered {answer:?} to nothing"));
        };
        let level = state.level;
        match line.said {
            Some(id) if answer == b"OK" => {
                self.counts.answered += 1;
                self.checks.answered(id, place, now);
            }
            Some(id) if answer.starts_with(b"PENDING ") => self.checks.pending(id, place, now),
            Some(id) if answer.starts_with(b"ERR 410") && self.checks.is_too_old(id, now) => {}
            None if line.bytes.starts_with(b"HELLO ") && answer.starts_with(b"OK ") => {}
            None if !line.bytes.starts_with(b"HELLO ") && answer.starts_with(b"ERR 4") => {
                self.counts.refused += 1;
                self.checks.refused(place);
            }
            _ => {
                let (answer, line) = (String::from_utf8_lossy(answer), String::from_utf8_lossy(&line.bytes));
                let what = format!("client {client} ({}) is answered {answer:?} to {line:?}", level.word());
                self.checks.fail(now, what);
            }
        }
    }

    pub(crate) fn client_hears_end(&mut self, to: Side, client: u16) {
        if self.clients[usize::from(client)].side == Some(to) {
            self.client_leaves(client);
        }
    }

    /// A client closes its connection. What has a number it will say again; the rest may have arrived or not.
    pub(crate) fn client_leaves(&mut self, client: u16) {
        let state = &mut self.clients[usize::from(client)];
        state.inbox.clear();
        state.unanswered.retain(|line| line.number.is_some());
        if let Some(side) = state.side.take() {
            self.leave(side);
            self.connections[side.connection as usize].ends[usize::from(side.side)] = End::Gone;
            self.forget_if_over(side.connection);
        }
    }

    /// Whether any client still waits for an answer.
    pub(crate) fn anybody_waits(&self) -> bool {
        self.clients.iter().any(|client| !client.unanswered.is_empty())
    }

    /// Who is at an end, for a person.
    pub(crate) fn party(&self, side: Side) -> String {
        match self.end_of(side) {
            End::Host(host, _) => self.hosts[usize::from(host)].name.clone(),
            End::Client(client) => format!("client {client}"),
            End::Gone => "nobody".to_owned(),
        }
    }
}

/// The text of a message: its number, and as much behind it as makes it so long.
fn text_of(id: u32, length: usize) -> Vec<u8> {
    let mut text = format!("m{id}").into_bytes();
    let begun = text.len();
    text.extend((begun..length).map(|at| if at.is_multiple_of(7) { b' ' } else { b'x' }));
    if text.ends_with(b" ") {
        text.push(b'.');
        text.truncate(511);
    }
    text
}
