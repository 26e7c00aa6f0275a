//! One run: a ring, its network, disks, clocks and clients, and what happens to them.

use crate::checks::Checks;
use crate::clients::Client;
use crate::clock::Clock;
use crate::cost::Traffic;
use crate::dice::Dice;
use crate::event::{Event, Moment, Process, Queue, SECOND, Side};
use crate::host::Host;
use crate::network::{Arrived, Connection, End, Port};
use crate::outcome::{Counts, Outcome};
use crate::rollout::Progress;
use crate::scenario::Scenario;
use crate::trace::{Trace, Tracing};
use pzog::time::Duration;
use pzog::{Connect, Input, Outputs, Ring, Settings};

/// Deadlines that a host may ask for in a row without time going on; more is spinning.
const DEADLINES_AT_ONCE_MAX: u32 = 16;

pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) now: Moment,
    pub(crate) dice: Dice,
    pub(crate) queue: Queue,
    pub(crate) settings: Settings,
    pub(crate) hosts: Vec<Host>,
    pub(crate) clients: Vec<Client>,
    pub(crate) connections: Vec<Connection>,
    /// How many cuts hold what goes from one host to another.
    pub(crate) cuts: Vec<Vec<u32>>,
    /// The cuts up to this one are healed.
    pub(crate) healed: u32,
    pub(crate) cut: u32,
    pub(crate) checks: Checks,
    pub(crate) counts: Counts,
    /// What each host sends to others, where that is asked for.
    pub(crate) traffic: Vec<Traffic>,
    pub(crate) rollout: Progress,
    pub(crate) trace: Trace,
    /// Where a piece of a journal is read into, kept from one read to the next.
    pub(crate) piece: Vec<u8>,
    /// No more faults, nothing new is said.
    pub(crate) is_calm: bool,
}

/// Runs a scenario with a seed.
#[must_use]
pub fn simulate(scenario: &Scenario, seed: u64, tracing: Tracing) -> Outcome {
    let mut world = World::new(scenario.clone(), seed, tracing);
    world.begin();
    world.run_until(u64::from(scenario.seconds) * SECOND);
    world.conclude()
}

impl World {
    pub(crate) fn new(scenario: Scenario, seed: u64, tracing: Tracing) -> World {
        let mut dice = Dice::new(seed);
        let count = usize::from(scenario.hosts);
        let names: Vec<String> = (0..count).map(|n| format!("H{n}")).collect();
        let host = |place: u8, dice: &mut Dice| {
            let mut ring = scenario.first_ring(&names);
            if scenario.other_order == Some(place) {
                let mut order = names.clone();
                order.swap(0, count - 1);
                ring = Ring::new(order, ring.scheme()).expect("the names are good");
            }
            let drift = dice.clock.between(0, 400) as i64 - 200;
            Host::new(place, ring, &names, Clock::new(0, drift))
        };
        let hosts = (0..scenario.hosts).map(|place| host(place, &mut dice)).collect();
        let places = count + usize::from(scenario.twin().is_some());
        let mut world = World {
            settings: settings(&scenario),
            now: 0,
            queue: Queue::default(),
            hosts,
            clients: Vec::new(),
            connections: Vec::new(),
            cuts: vec![vec![0; places]; places],
            healed: 0,
            cut: 0,
            checks: Checks::new(count, scenario.twin(), scenario.gives_up),
            counts: Counts::default(),
            traffic: Vec::new(),
            rollout: Progress::default(),
            trace: Trace::new(tracing),
            piece: Vec::new(),
            is_calm: false,
            dice,
            scenario,
        };
        world.add_twin();
        if world.scenario.faults.alter.is_some() {
            world.checks.expect_lies();
        }
        world
    }

    pub(crate) fn begin(&mut self) {
        for host in 0..self.scenario.hosts {
            let at = self.dice.faults.between(0, 300_000);
            self.queue.add(at, Event::Start { host, life: 0 });
        }
        self.begin_clients(self.scenario.clients.count);
        self.plan_faults();
        self.plan_rollout();
    }

    /// Clients come, within a second.
    pub(crate) fn begin_clients(&mut self, count: u16) {
        for client in 0..count {
            self.add_client();
            let at = self.now + self.dice.clients.between(0, SECOND);
            self.queue.add(at, Event::Client { client });
        }
    }

    /// Lets everything happen up to a time, or up to the first thing that must not.
    pub(crate) fn run_until(&mut self, until: Moment) {
        while self.checks.broken.is_none() {
            let Some((at, event)) = self.queue.next(until) else { break };
            self.now = at;
            self.counts.events += 1;
            match self.delayed_until(event) {
                Some(later) => self.queue.add(later, event),
                None => self.happen(event),
            }
        }
        self.now = self.now.max(until);
    }

    /// A process that stands still takes part in nothing.
    fn delayed_until(&self, event: Event) -> Option<Moment> {
        let host = match event {
            Event::Wake(of) | Event::Dial { from: of, .. } | Event::DialFailed { from: of, .. } => of.host,
            Event::Synced { of, .. } | Event::Marked { of, .. } | Event::Prepared { of, .. } => of.host,
            Event::Read { of, .. } | Event::Reopen(of) => of.host,
            Event::Connected(side) | Event::Arrive(side) | Event::Closed(side) => self.host_at(side)?,
            Event::Blocked(side) | Event::Drained(side) => self.host_at(side)?,
            _ => return None,
        };
        Some(self.hosts[usize::from(host)].paused_until).filter(|until| *until > self.now)
    }

    fn host_at(&self, side: Side) -> Option<u8> {
        match self.end_of(side) {
            End::Host(host, _) => Some(host),
            End::Client(_) | End::Gone => None,
        }
    }

    fn is_alive(&self, of: Process) -> bool {
        let host = &self.hosts[usize::from(of.host)];
        host.life == of.life && host.runs()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(of) => self.wake(of),
            Event::Dial { from, to } if self.is_alive(from) => self.dial(from, to),
            Event::DialFailed { from, to } if self.is_alive(from) => {
                let host = self.hosts[usize::from(from.host)].index_of(to);
                self.give(from.host, Input::DialFailed { host });
            }
            Event::Connected(side) => self.connected(side),
            Event::Arrive(side) => self.arrive(side),
            Event::Closed(side) => self.closed(side),
            Event::Blocked(side) => self.with_host_at(side, |conn| Input::Blocked { conn }),
            Event::Drained(side) => self.with_host_at(side, |conn| Input::Drained { conn }),
            Event::Synced { of, segment, offset } if self.is_alive(of) => self.synced(of, (segment, offset)),
            Event::Marked { of, mark } if self.is_alive(of) => self.marked(of, mark),
            Event::Prepared { of, segment, bytes } if self.is_alive(of) => self.prepared(of, segment, bytes),
            Event::Read { of, read } if self.is_alive(of) => self.read(of, read),
            Event::Rename { host } => self.rename_log(host),
            Event::Reopen(of) if self.is_alive(of) => self.reopen_log(of.host),
            Event::Start { host, life } if self.hosts[usize::from(host)].life == life => self.start(host),
            Event::Client { client } => self.client_acts(client),
            Event::Turn => self.take_turn(),
            Event::Fault(fault) => self.fault(fault),
            Event::Strike(fault) => self.strike_of_storm(fault),
            Event::TwinEnds { life } => self.end_twin(Some(life)),
            Event::Heal { from, to, cut } => self.heal(from, to, cut),
            Event::DiskWorks { host } => self.hosts[usize::from(host)].mood.is_full = false,
            _ => {} // of a life that is over
        }
    }

    fn wake(&mut self, of: Process) {
        if !self.is_alive(of) {
            return;
        }
        let host = &mut self.hosts[usize::from(of.host)];
        if host.wake_armed > self.now {
            return; // an earlier one has come since, and a later one is to come
        }
        host.wake_armed = Moment::MAX;
        match host.wake_at {
            Some(at) if at <= self.now => {
                let (since, count) = host.spins;
                host.spins = if since == self.now { (since, count + 1) } else { (self.now, 0) };
                if host.spins.1 > DEADLINES_AT_ONCE_MAX {
                    let name = host.name.clone();
                    return self.checks.fail(self.now, format!("{name} asks for deadlines without end"));
                }
                self.give(of.host, Input::Deadline);
            }
            _ => self.arm_wake(of.host),
        }
    }

    /// Wakes a host when it wants to be.
    pub(crate) fn arm_wake(&mut self, place: u8) {
        let host = &mut self.hosts[usize::from(place)];
        let Some(at) = host.wake_at.map(|at| at.max(self.now)) else { return };
        if at < host.wake_armed {
            host.wake_armed = at;
            self.queue.add(at, Event::Wake(host.process(place)));
        }
    }

    fn with_host_at(&mut self, side: Side, input: impl Fn(pzog::ConnId) -> Input<'static>) {
        if let End::Host(host, conn) = self.end_of(side) {
            self.give(host, input(conn));
        }
    }

    // Turns.

    /// Gives a host an input without bytes of its own, and carries out what it wants done.
    pub(crate) fn give(&mut self, host: u8, input: Input<'_>) {
        if let Some((_, out)) = self.handle(host, input) {
            self.perform(host, out, &[], false);
        }
    }

    /// Gives a host an input, if it runs. Returns how many bytes it consumed, and what it wants done.
    pub(crate) fn handle(&mut self, place: u8, input: Input<'_>) -> Option<(usize, Outputs)> {
        let host = &mut self.hosts[usize::from(place)];
        let now = host.clock.now(self.now);
        let node = host.node.as_mut()?;
        let mut out = std::mem::take(&mut host.out);
        let consumed = node.handle(now, input, &mut out);
        self.counts.turns += 1;
        self.trace.add(self.now << 8 | u64::from(place));
        Some((consumed, out))
    }

    // Connections.

    fn dial(&mut self, from: Process, to: u8) {
        let latency = self.scenario.network.latency_us;
        let is_cut = |a: u8, b: u8| self.cuts[usize::from(a)][usize::from(b)] > 0;
        if is_cut(from.host, to) || is_cut(to, from.host) {
            let at = self.now + 2 * SECOND;
            return self.queue.add(at, Event::DialFailed { from, to });
        }
        if !self.hosts[usize::from(to)].runs() {
            return self.queue.add(self.now + latency, Event::DialFailed { from, to });
        }
        let connection = self.connections.len() as u32;
        let [dialler, accepter] = [0, 1].map(|side| Side { connection, side });
        let dialed = self.hosts[usize::from(from.host)].name_connection(dialler);
        let accepted = self.hosts[usize::from(to)].name_connection(accepter);
        let ends = [End::Host(from.host, dialed), End::Host(to, accepted)];
        self.connections.push(Connection::new(Port::Ring, ends, [from.host, to]));
        self.pipe(dialler).is_connecting = true;
        self.queue.add(self.now + latency, Event::Connected(dialler));
        self.give(to, Input::PeerAccepted { conn: accepted });
    }

    fn connected(&mut self, side: Side) {
        let hosts = self.connections[side.connection as usize].hosts;
        if let End::Host(place, conn) = self.end_of(side) {
            let host = self.hosts[usize::from(place)].index_of(hosts[1]);
            self.pipe(side).is_connecting = false;
            self.give(place, Input::PeerDialed { conn, host });
            self.arm_next(side); // what came before it knew
        }
    }

    fn arrive(&mut self, to: Side) {
        let end = self.end_of(to);
        let most = match end {
            End::Host(host, _) => {
                let host = &self.hosts[usize::from(host)];
                match self.connections[to.connection as usize].port {
                    Port::Clients => host.reads_clients as usize,
                    Port::Ring if host.reads_peers => usize::MAX,
                    Port::Ring => 0,
                }
            }
            _ => usize::MAX,
        };
        match (self.arrived(to, most), end) {
            (Arrived::Nothing, _) | (_, End::Gone) => {}
            (Arrived::Bytes { seen }, End::Host(host, conn)) => self.host_reads(to, host, conn, seen),
            (Arrived::Bytes { seen }, End::Client(client)) => self.client_reads(to, client, seen),
            (Arrived::End, End::Host(host, conn)) => self.host_hears_end(to, host, conn),
            (Arrived::End, End::Client(client)) => self.client_hears_end(to, client),
        }
    }

    fn host_reads(&mut self, to: Side, host: u8, conn: pzog::ConnId, seen: usize) {
        let port = self.connections[to.connection as usize].port;
        let pipe = self.pipe(to);
        pipe.seen = seen;
        let head = pipe.head;
        let mut bytes = std::mem::take(&mut pipe.bytes);
        self.trace.add_bytes(&bytes[head..seen]);
        self.count_data_lines(port, &bytes[head..seen]);
        let input = match port {
            Port::Ring => Input::PeerLines { conn, bytes: &mut bytes[head..seen] },
            Port::Clients => Input::ClientLines { conn, bytes: &bytes[head..seen] },
        };
        let Some((consumed, out)) = self.handle(host, input) else { return };
        self.perform(host, out, &bytes[head..seen], false);
        if consumed > seen - head || seen - head - consumed > pzog::limits::LINE_MAX + 1 {
            let name = &self.hosts[usize::from(host)].name;
            self.checks.fail(self.now, format!("{name} consumes {consumed} of {} bytes", seen - head));
        }
        let pipe = self.pipe(to);
        if pipe.is_closed {
            return;
        }
        pipe.bytes = bytes;
        pipe.head = head + consumed;
        pipe.tidy();
        self.drained(to);
        self.arm_next(to);
    }

    /// What was kept from before and comes again is counted by its end alone.
    fn count_data_lines(&mut self, port: Port, bytes: &[u8]) {
        if port == Port::Ring && self.scenario.lines_max.is_some() {
            let lines = bytes.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n"));
            self.counts.data_lines += lines.filter(|line| line[0].is_ascii_digit()).count() as u64;
        }
    }

    fn host_hears_end(&mut self, to: Side, host: u8, conn: pzog::ConnId) {
        let port = self.connections[to.connection as usize].port;
        let pipe = self.pipe(to);
        let rest = pipe.bytes.split_off(pipe.head);
        if port == Port::Clients && self.dice.network.chance(0.3) {
            self.pipe(to).close();
            return self.give(host, Input::ClientFinished { conn, rest: &rest });
        }
        self.leave(to);
        self.connections[to.connection as usize].ends[usize::from(to.side)] = End::Gone;
        self.forget_if_over(to.connection);
        match port {
            Port::Ring => self.give(host, Input::PeerClosed { conn, rest: &rest }),
            Port::Clients => self.give(host, Input::ClientClosed { conn, rest: &rest }),
        }
        self.hosts[usize::from(host)].forget_connection(conn);
    }

    /// A connection that the host itself has closed is closed.
    fn closed(&mut self, side: Side) {
        let End::Host(host, conn) = self.end_of(side) else { return };
        let port = self.connections[side.connection as usize].port;
        self.leave(side);
        self.connections[side.connection as usize].ends[usize::from(side.side)] = End::Gone;
        self.forget_if_over(side.connection);
        match port {
            Port::Ring => self.give(host, Input::PeerClosed { conn, rest: &[] }),
            Port::Clients => self.give(host, Input::ClientClosed { conn, rest: &[] }),
        }
        self.hosts[usize::from(host)].forget_connection(conn);
    }
}

fn settings(scenario: &Scenario) -> Settings {
    let node = &scenario.node;
    Settings {
        segment_bytes: node.segment_bytes,
        journal_bytes: node.journal_bytes,
        journal_age: Duration::from_secs(node.journal_age_s),
        keepalive: Duration::from_millis(node.keepalive_ms),
        peer_silence: Duration::from_millis(node.silence_ms),
        connect: if node.on_demand { Connect::OnDemand } else { Connect::Always },
        ..Settings::default()
    }
}
