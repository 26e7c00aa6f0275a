//! The ring, its network, its disks and its clock: what a test does with them, and what happens by itself.

use crate::checks::Checks;
use crate::disk::Mood;
use crate::host::Host;
use crate::network::{Connection, Party, Port, Step};
use crate::outsider::Outsider;
use pzog::limits::LINE_MAX;
use pzog::time::Duration;
use pzog::{HostIndex, Identity, Input, Node, Ring, Scheme, Settings, Time};
use rand::RngExt as _;
use rand::rngs::SmallRng;
use std::collections::{BTreeMap, BTreeSet};

/// The wall clock when a test begins: 20261121T025142Z.
pub(crate) const UTC_SECONDS: u64 = 1_795_229_502;

/// Deadlines that a host may ask for in a row without time going on; more is spinning.
const DEADLINES_AT_ONCE_MAX: u32 = 8;

/// Steps until the network must be quiet.
const STEPS_MAX: u32 = 200_000;

pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) scheme: Scheme,
    pub(crate) settings: Settings,
    pub(crate) hosts: Vec<Host>,
    pub(crate) outsiders: BTreeMap<String, Outsider>,
    /// What happens next; a script takes the first that is not held, a property any of them.
    pub(crate) steps: Vec<Step>,
    /// From whom to whom nothing is delivered.
    pub(crate) held: BTreeSet<(usize, usize)>,
    pub(crate) checks: Checks,
    pub(crate) connections: Vec<Connection>,
    trace: String,
    traced_at: Time,
}

impl World {
    pub(crate) fn new(names: &[&str], scheme: Scheme, settings: Settings) -> World {
        World {
            now: Time(0),
            scheme,
            settings,
            hosts: names.iter().map(|name| Host::new(name)).collect(),
            outsiders: BTreeMap::new(),
            steps: Vec::new(),
            held: BTreeSet::new(),
            checks: Checks::default(),
            connections: Vec::new(),
            trace: String::new(),
            traced_at: Time(0),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.hosts.iter().position(|host| host.name == name)
    }

    pub(crate) fn ring(&self) -> Ring {
        let names = self.hosts.iter().map(|host| host.name.clone()).collect();
        Ring::new(names, self.scheme).expect("the names of a test are good")
    }

    /// What happened since [`World::take_trace`].
    pub(crate) fn trace(&self) -> &str {
        &self.trace
    }

    /// What happened since this was called last.
    pub(crate) fn take_trace(&mut self) -> String {
        std::mem::take(&mut self.trace)
    }

    /// Writes down one event; before the first at a later time, that time.
    pub(crate) fn note(&mut self, event: &str) {
        if self.now != self.traced_at {
            self.traced_at = self.now;
            self.trace += &format!("{:.3} s\n", self.now.0 as f64 / 1e6);
        }
        self.trace += event;
        self.trace.push('\n');
    }

    /// A node breaks the contract with its driver: this stands where it happened.
    pub(crate) fn misuse(&mut self, what: String) {
        self.note(&format!("BROKEN: {what}"));
        self.checks.misuse(what);
    }

    // What the test does.

    pub(crate) fn start(&mut self, host: usize) {
        self.start_with(host, self.ring());
    }

    /// Starts a host with a ring of its own, which may differ from that of the others.
    pub(crate) fn start_with(&mut self, host: usize, ring: Ring) {
        let incarnation = self.hosts[host].incarnation + 1;
        let process = 1000 * (host as u32 + 1) + incarnation as u32;
        let place = |name: &str| self.find(name).expect("a host of the world");
        self.hosts[host].places = ring.hosts().map(|h| place(ring.name(h))).collect();
        let me = self.hosts[host].index_of(host);
        let identity = Identity { ring, me, incarnation, process, seed: incarnation << 8 | host as u64 };
        self.hosts[host].incarnation = incarnation;
        (self.hosts[host].reads_clients, self.hosts[host].reads_peers) = (u32::MAX, true);
        let size = self.settings.segment_bytes;
        let recovered = self.hosts[host].disk.recover(&identity.ring, me, size);
        recovered
            .findings()
            .iter()
            .for_each(|finding| self.note(&format!("{} finds {finding}", self.hosts[host].name)));
        self.hosts[host].node = Some(Node::new(identity, self.settings, recovered));
        let log = self.hosts[host].disk.log_file();
        self.give(host, Input::LogOpened { log });
        self.give(host, Input::Deadline);
    }

    /// Ends a host as `kill -9` does: its connections close.
    pub(crate) fn kill(&mut self, host: usize) {
        self.vanish(host).into_iter().for_each(|(connection, side)| self.end_pipe(connection, 1 - side));
    }

    /// Ends a host as a power loss does: nobody hears of it, and what was not synced is lost.
    pub(crate) fn lose_power(&mut self, host: usize) {
        self.vanish(host);
        self.hosts[host].disk.lose_unsynced();
    }

    /// Ends a host, and nobody hears of it. Returns its connections.
    fn vanish(&mut self, host: usize) -> Vec<(usize, usize)> {
        let lost = self.hosts[host].lose_memory();
        self.steps.retain(|step| match *step {
            Step::Dial { from, .. } => from != host,
            Step::Synced { host: of } | Step::Marked { host: of } => of != host,
            Step::Prepared { host: of, .. } | Step::Read { host: of, .. } => of != host,
            Step::Closed { connection, side } => !lost.contains(&(connection, side)),
            Step::Deliver { .. } => true,
        });
        for (connection, side) in &lost {
            self.connections[*connection].ends[*side] = Party::Gone;
            self.connections[*connection].pipes[*side].closed = true;
        }
        lost
    }

    /// A new connection of an outsider.
    pub(crate) fn connect(&mut self, outsider: &str, host: usize, port: Port) {
        self.outsiders.insert(outsider.to_owned(), Outsider::new(self.settings.ack));
        let connection = self.connections.len();
        let conn = self.hosts[host].name_connection(connection, 1);
        let ends = [Party::Outsider(outsider.to_owned()), Party::Host(host, conn)];
        let names = [outsider, &self.hosts[host].name];
        self.connections.push(Connection::new(port, ends, names));
        let input = match port {
            Port::Ring => Input::PeerAccepted { conn },
            Port::Clients => Input::ClientConnected { conn },
        };
        self.give(host, input);
    }

    /// An outsider proves to be this host, or nothing; `false` where it has no connection.
    pub(crate) fn prove(&mut self, outsider: &str, host: Option<HostIndex>) -> bool {
        let Some((connection, side)) = self.connection_of(outsider) else { return false };
        let Party::Host(to, conn) = self.connections[connection].ends[1 - side] else { return false };
        let why = "its certificate is expired";
        self.give(
            to,
            host.map_or(Input::PeerUnproved { conn, why }, |host| Input::PeerProved { conn, host }),
        );
        true
    }

    /// An outsider says something; `false` where it has no connection.
    pub(crate) fn say(&mut self, outsider: &str, bytes: &[u8]) -> bool {
        let Some((connection, side)) = self.connection_of(outsider) else { return false };
        if let Some(outsider) = self.outsiders.get_mut(outsider) {
            outsider.say(bytes);
        }
        self.write(connection, 1 - side, bytes);
        true
    }

    /// An outsider closes its connection.
    pub(crate) fn leave(&mut self, outsider: &str) -> bool {
        let Some((connection, side)) = self.connection_of(outsider) else { return false };
        self.connections[connection].pipes[side].closed = true;
        self.end_pipe(connection, 1 - side);
        true
    }

    /// An outsider shuts its end and still reads. The node is told at once, behind all that it was said.
    pub(crate) fn finish(&mut self, outsider: &str) -> bool {
        let Some((connection, side)) = self.connection_of(outsider) else { return false };
        let Party::Host(host, conn) = self.connections[connection].ends[1 - side] else { return false };
        let rest = std::mem::take(&mut self.connections[connection].pipes[1 - side].kept);
        self.give(host, Input::ClientFinished { conn, rest: &rest });
        true
    }

    /// The newest connection of an outsider, if it is open.
    fn connection_of(&self, outsider: &str) -> Option<(usize, usize)> {
        let side_of = |(i, c): (usize, &Connection)| Some((i, c.side_of(outsider)?));
        let (connection, side) = self.connections.iter().enumerate().rev().find_map(side_of)?;
        let pipes = &self.connections[connection].pipes;
        (!pipes[side].closed && !pipes[side].ended).then_some((connection, side))
    }

    /// Breaks all connections between two hosts.
    pub(crate) fn cut(&mut self, a: usize, b: usize) {
        let [a, b] = [a, b].map(|host| self.hosts[host].name.clone());
        for connection in 0..self.connections.len() {
            if self.connections[connection].is_between(&a, &b) {
                self.end_pipe(connection, 0);
                self.end_pipe(connection, 1);
            }
        }
    }

    // What happens by itself.

    /// Lets time go on, with all that happens in it.
    pub(crate) fn run(&mut self, duration: Duration) {
        self.settle();
        self.pass(duration, World::settle);
    }

    /// Lets time go on: every host is woken when it wanted to be, and `then` is done after each.
    pub(crate) fn pass(&mut self, duration: Duration, then: impl Fn(&mut World)) {
        let end = self.now + duration;
        let (mut at_once, mut last) = (0, (usize::MAX, Time(0)));
        while let Some((at, host)) = self.next_deadline().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            at_once = if last == (host, self.now) { at_once + 1 } else { 0 };
            last = (host, self.now);
            if at_once > DEADLINES_AT_ONCE_MAX {
                self.misuse(format!("{} spins", self.hosts[host].name));
                break;
            }
            self.give(host, Input::Deadline);
            then(self);
        }
        self.now = end;
    }

    fn next_deadline(&self) -> Option<(Time, usize)> {
        self.hosts.iter().enumerate().filter_map(|(i, host)| Some((host.wake_at?, i))).min()
    }

    /// Takes steps until nothing moves any more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..STEPS_MAX {
            let Some(next) = (0..self.steps.len()).find(|i| self.is_possible(*i)) else { return };
            self.step(next, usize::MAX);
        }
        self.misuse("the network never comes to rest".to_owned());
    }

    /// Takes some steps, each any that is possible, with any number of bytes. For tests of what must hold whatever
    /// the order.
    pub(crate) fn shuffle(&mut self, dice: &mut SmallRng, steps_max: usize) {
        for _ in 0..steps_max {
            let possible: Vec<usize> = (0..self.steps.len()).filter(|step| self.is_possible(*step)).collect();
            if possible.is_empty() {
                return;
            }
            let bytes_max = if dice.random() { dice.random_range(1..40) } else { usize::MAX };
            self.step(possible[dice.random_range(0..possible.len())], bytes_max);
        }
    }

    /// Whether a step can be taken now: nobody holds it.
    fn is_possible(&self, step: usize) -> bool {
        match self.steps[step] {
            Step::Dial { .. } | Step::Closed { .. } => true,
            Step::Synced { host } | Step::Marked { host } | Step::Prepared { host, .. } => {
                self.hosts[host].disk.mood != Mood::Hangs
            }
            Step::Read { .. } => true,
            Step::Deliver { connection, side } => self.can_deliver(connection, side),
        }
    }

    fn can_deliver(&self, connection: usize, side: usize) -> bool {
        let Connection { port, ends, .. } = &self.connections[connection];
        match (&ends[1 - side], &ends[side]) {
            (Party::Host(from, _), Party::Host(to, _)) => {
                self.hosts[*to].reads_peers && !self.held.contains(&(*from, *to))
            }
            (_, Party::Host(to, _)) => match port {
                Port::Ring => self.hosts[*to].reads_peers,
                Port::Clients => self.hosts[*to].reads_clients > 0,
            },
            _ => true,
        }
    }

    /// Takes one step; of bytes at most so many.
    pub(crate) fn step(&mut self, step: usize, bytes_max: usize) {
        match self.steps.remove(step) {
            Step::Dial { from, to } => self.dial(from, to),
            Step::Synced { host } => self.sync_ends(host),
            Step::Marked { host } => self.mark_ends(host),
            Step::Prepared { host, segment, bytes } => {
                let ok = self.hosts[host].disk.prepare(segment, bytes);
                self.give(host, Input::Prepared { ok });
            }
            Step::Read { host, read } => self.read_journal(host, read),
            Step::Closed { connection, side } => self.tell_closed(connection, side),
            Step::Deliver { connection, side } => self.deliver(connection, side, bytes_max),
        }
    }

    fn dial(&mut self, from: usize, to: usize) {
        let host = self.hosts[from].index_of(to);
        if self.hosts[to].node.is_none() {
            self.note(&format!("{} is not there", self.hosts[to].name));
            return self.give(from, Input::DialFailed { host });
        }
        let connection = self.connections.len();
        let dialed = self.hosts[from].name_connection(connection, 0);
        let accepted = self.hosts[to].name_connection(connection, 1);
        let ends = [Party::Host(from, dialed), Party::Host(to, accepted)];
        let names = [&*self.hosts[from].name, &self.hosts[to].name];
        self.connections.push(Connection::new(Port::Ring, ends, names));
        self.give(to, Input::PeerAccepted { conn: accepted });
        self.give(from, Input::PeerDialed { conn: dialed, host });
    }

    fn sync_ends(&mut self, host: usize) {
        if self.hosts[host].disk.mood == Mood::Fails {
            self.note(&format!("{} cannot sync", self.hosts[host].name));
            return self.kill(host);
        }
        self.hosts[host].disk.end_sync();
        self.give(host, Input::Synced);
    }

    fn mark_ends(&mut self, host: usize) {
        if let Some(log) = self.hosts[host].disk.end_mark() {
            self.give(host, Input::Marked { log });
        }
    }

    fn read_journal(&mut self, host: usize, read: pzog::Read) {
        let mut bytes = self.hosts[host].disk.read(read.at, read.bytes);
        let input = Input::JournalRead { id: read.id, bytes: &mut bytes };
        if let Some((_, out)) = self.handle(host, input) {
            self.perform(host, out, &bytes);
        }
    }

    fn tell_closed(&mut self, connection: usize, side: usize) {
        let Connection { port, ends, pipes, .. } = &mut self.connections[connection];
        let Party::Host(host, conn) = std::mem::replace(&mut ends[side], Party::Gone) else { return };
        pipes[side].closed = true;
        let (port, rest) = (*port, std::mem::take(&mut pipes[side].kept));
        self.end_pipe(connection, 1 - side);
        let input = match port {
            Port::Ring => Input::PeerClosed { conn, rest: &rest },
            Port::Clients => Input::ClientClosed { conn, rest: &rest },
        };
        self.give(host, input);
        self.hosts[host].forget_connection(conn);
    }

    fn deliver(&mut self, connection: usize, side: usize, bytes_max: usize) {
        let Connection { port, ends, pipes, .. } = &mut self.connections[connection];
        let (port, pipe) = (*port, &mut pipes[side]);
        let Party::Host(host, conn) = ends[side] else { return };
        if pipe.closed {
            return;
        }
        if pipe.bytes.is_empty() {
            if pipe.ended {
                self.tell_closed(connection, side);
            }
            return;
        }
        let mut lines = std::mem::take(&mut pipe.kept);
        let most = if port == Port::Clients { self.hosts[host].reads_clients as usize } else { usize::MAX };
        let count = bytes_max.min(most).min(pipe.bytes.len());
        lines.extend(pipe.bytes.drain(..count));
        if !pipe.bytes.is_empty() || pipe.ended {
            self.steps.push(Step::Deliver { connection, side });
        }
        let input = match port {
            Port::Ring => Input::PeerLines { conn, bytes: &mut lines },
            Port::Clients => Input::ClientLines { conn, bytes: &lines },
        };
        let Some((consumed, out)) = self.handle(host, input) else { return };
        self.perform(host, out, &lines);
        let kept = lines.get(consumed..).map(<[u8]>::to_vec);
        let bounded = kept.filter(|kept| kept.len() <= LINE_MAX + 1);
        if bounded.is_none() {
            let name = &self.hosts[host].name;
            self.misuse(format!("{name} consumes {consumed} of {} bytes", lines.len()));
        }
        self.connections[connection].pipes[side].kept = bounded.unwrap_or_default();
    }
}
