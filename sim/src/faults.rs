//! What goes wrong, how often, and for how long.

use crate::event::{Event, MILLI, Moment, SECOND, Side};
use crate::host::Ending;
use crate::network::{End, Port};
use crate::scenario::Faults;
use crate::world::World;
use pzog::Input;

/// What comes in a storm: whatever heals by itself.
const OF_A_STORM: [Fault; 13] = [
    Fault::Kill,
    Fault::Power,
    Fault::Cut,
    Fault::CutClient,
    Fault::HalfOpen,
    Fault::Partition,
    Fault::OneWay,
    Fault::Isolate,
    Fault::Pause,
    Fault::Hang,
    Fault::SyncFails,
    Fault::AppendFails,
    Fault::Rotate,
];

/// Faults of a storm, at most, and the time in which they come.
const STORM_MAX: u64 = 30;
const STORM_LASTS: Moment = 300 * MILLI;

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// See `Faults`, whose fields are in the same order.
    Kill,
    /// A host loses power.
    Power,
    /// All hosts lose power at once.
    PowerAll,
    /// Killed, started, and without power at once.
    KillThenPower,
    /// A connection between hosts breaks.
    Cut,
    /// A connection of a client breaks.
    CutClient,
    /// One end of a connection vanishes unheard.
    HalfOpen,
    /// Nothing passes between two hosts.
    Partition,
    /// Nothing passes one way.
    OneWay,
    /// Nothing passes to and from one host.
    Isolate,
    /// The way from a relay to its charge.
    Flap,
    /// A process stands still.
    Pause,
    /// A sync takes its time.
    Hang,
    /// A sync fails.
    SyncFails,
    /// An append fails.
    AppendFails,
    /// No room.
    Full,
    /// access.log is renamed and opened anew.
    Rotate,
    /// access.log is renamed, and the host ends before it hears of it.
    Rename,
    /// A wall clock is turned.
    Clock,
    /// Bytes on a disk change.
    Rot,
    /// A disk is lost.
    DiskLost,
    /// An old copy of a disk.
    OldCopy,
    /// A second process with a copy of a disk.
    Clone,
    /// Many faults within moments.
    Storm,
    /// A host alters or invents a message of another origin.
    Alter,
}

/// All kinds, with their names.
pub const FAULTS: [(Fault, &str); 25] = [
    (Fault::Kill, "kill"),
    (Fault::Power, "power"),
    (Fault::PowerAll, "power-all"),
    (Fault::KillThenPower, "kill-then-power"),
    (Fault::Cut, "cut"),
    (Fault::CutClient, "cut-client"),
    (Fault::HalfOpen, "half-open"),
    (Fault::Partition, "partition"),
    (Fault::OneWay, "one-way"),
    (Fault::Isolate, "isolate"),
    (Fault::Flap, "flap"),
    (Fault::Pause, "pause"),
    (Fault::Hang, "hang"),
    (Fault::SyncFails, "sync-fails"),
    (Fault::AppendFails, "append-fails"),
    (Fault::Full, "full"),
    (Fault::Rotate, "rotate"),
    (Fault::Rename, "rename"),
    (Fault::Clock, "clock"),
    (Fault::Rot, "rot"),
    (Fault::DiskLost, "disk-lost"),
    (Fault::OldCopy, "old-copy"),
    (Fault::Clone, "clone"),
    (Fault::Storm, "storm"),
    (Fault::Alter, "alter"),
];

impl Faults {
    /// Mean seconds between two faults of a kind.
    fn mean(&self, fault: Fault) -> Option<f64> {
        match fault {
            Fault::Kill => self.kill,
            Fault::Power => self.power,
            Fault::PowerAll => self.power_all,
            Fault::KillThenPower => self.kill_then_power,
            Fault::Cut => self.cut,
            Fault::CutClient => self.cut_client,
            Fault::HalfOpen => self.half_open,
            Fault::Partition => self.partition,
            Fault::OneWay => self.one_way,
            Fault::Isolate => self.isolate,
            Fault::Flap => self.flap,
            Fault::Pause => self.pause,
            Fault::Hang => self.hang,
            Fault::SyncFails => self.sync_fails,
            Fault::AppendFails => self.append_fails,
            Fault::Full => self.full,
            Fault::Rotate => self.rotate,
            Fault::Rename => self.rename,
            Fault::Clock => self.clock,
            Fault::Rot => self.rot,
            Fault::DiskLost => self.disk_lost,
            Fault::OldCopy => self.old_copy,
            Fault::Clone => self.clone,
            Fault::Storm => self.storm,
            Fault::Alter => self.alter,
        }
    }
}

impl World {
    /// Every kind of fault of the scenario comes at least once, at any time.
    pub(crate) fn plan_faults(&mut self) {
        let whole = u64::from(self.scenario.seconds) * SECOND;
        for (fault, _) in FAULTS {
            if let Some(mean) = self.scenario.faults.mean(fault) {
                let mean = (mean * 1e6) as u64;
                let at = self.dice.faults.between(SECOND.min(whole / 8), (2 * mean).min(whole * 3 / 4));
                self.queue.add(at, Event::Fault(fault));
            }
        }
    }

    /// Kinds of faults that were to happen and did not.
    pub(crate) fn faults_missing(&self) -> Option<&'static str> {
        let is_missing =
            |at: &usize| self.scenario.faults.mean(FAULTS[*at].0).is_some() && self.counts.faults[*at] == 0;
        (0..FAULTS.len()).find(is_missing).map(|at| FAULTS[at].1)
    }

    /// A fault of this kind happens, and the next one is planned.
    pub(crate) fn fault(&mut self, fault: Fault) {
        if self.is_calm {
            return;
        }
        let place = self.dice.faults.below(self.hosts.len()) as u8;
        let happened = self.happens(fault, place);
        self.counts.faults[fault as usize] += u64::from(happened);
        if happened {
            self.trace.note(self.now, || format!("FAULT {fault:?}, H{place}"));
        }
        if let Some(mean) = self.scenario.faults.mean(fault) {
            let mean = (mean * 1e6) as u64;
            let later = if happened { self.dice.faults.around(mean) } else { mean / 20 };
            self.queue.add(self.now + later.max(MILLI), Event::Fault(fault));
        }
    }

    fn happens(&mut self, fault: Fault, place: u8) -> bool {
        let other = self.dice.faults.below(self.hosts.len()) as u8;
        match fault {
            Fault::Kill => self.doom(place, Ending::Killed),
            Fault::Power => self.doom(place, Ending::PowerLost),
            Fault::PowerAll => self.power_all(),
            Fault::KillThenPower => self.kill_then_power(place),
            Fault::Cut => self.break_one(Port::Ring),
            Fault::CutClient => self.break_one(Port::Clients),
            Fault::HalfOpen => self.half_open_one(),
            Fault::Partition => self.cut_off(&[(place, other), (other, place)]),
            Fault::OneWay => self.cut_off(&[(place, other)]),
            Fault::Isolate => {
                let others = (0..self.scenario.hosts).filter(|host| *host != place);
                let ways: Vec<_> = others.flat_map(|host| [(place, host), (host, place)]).collect();
                self.cut_off(&ways)
            }
            Fault::Flap => self.flap(),
            Fault::Pause => self.pause(place),
            Fault::Hang => self.hang(place),
            Fault::SyncFails => self.with_mood(place, |mood| mood.next_sync_fails = true),
            Fault::AppendFails => self.with_mood(place, |mood| mood.next_append_fails = true),
            Fault::Full => self.fill_disk(place),
            Fault::Rotate => self.rotate(place),
            Fault::Rename => {
                self.hosts[usize::from(place)].disk.rename_log();
                let is_power = self.scenario.faults.power.is_some() && self.dice.faults.chance(0.5);
                self.doom(place, if is_power { Ending::PowerLost } else { Ending::Killed })
            }
            Fault::Clock => self.turn_clock(place),
            Fault::Rot => self.rot(place),
            Fault::DiskLost => self.lose_disk(place),
            Fault::OldCopy => self.old_copy(place),
            Fault::Clone => self.begin_twin(),
            Fault::Storm => self.storm(),
            Fault::Alter => self.begin_lie(place),
        }
    }

    /// Faults of any kind that heals by itself, within moments.
    fn storm(&mut self) -> bool {
        for _ in 0..self.dice.faults.between(5, STORM_MAX) {
            let Some(fault) = self.dice.faults.one_of(&OF_A_STORM) else { continue };
            let at = self.now + self.dice.faults.between(0, STORM_LASTS);
            self.queue.add(at, Event::Strike(fault));
        }
        true
    }

    /// One fault of a storm.
    pub(crate) fn strike_of_storm(&mut self, fault: Fault) {
        if !self.is_calm {
            let place = self.dice.faults.below(self.hosts.len()) as u8;
            if self.happens(fault, place) {
                self.trace.note(self.now, || format!("FAULT {fault:?}, H{place}"));
            }
        }
    }

    /// A process ends after any few outputs.
    fn doom(&mut self, place: u8, ending: Ending) -> bool {
        let steps = self.dice.faults.below(12) as u32;
        let host = &mut self.hosts[usize::from(place)];
        let is_new = host.runs() && host.doom.is_none();
        if is_new {
            host.doom = Some((steps, ending));
        }
        is_new
    }

    fn power_all(&mut self) -> bool {
        let runs = self.hosts.iter().any(crate::host::Host::runs);
        for place in 0..self.scenario.hosts {
            self.lose_power(place);
        }
        runs
    }

    /// Also a host that is down has a disk.
    fn lose_power(&mut self, place: u8) {
        if self.hosts[usize::from(place)].runs() {
            self.end(place, Ending::PowerLost);
        } else {
            let host = &mut self.hosts[usize::from(place)];
            let since = host.synced_since;
            host.disk.lose_power(&mut self.dice.disk);
            self.checks.power_lost(place, since, self.now);
        }
    }

    fn kill_then_power(&mut self, place: u8) -> bool {
        if !self.hosts[usize::from(place)].runs() {
            return false;
        }
        self.end(place, Ending::Killed);
        self.start(place);
        let steps = self.dice.faults.below(4) as u32;
        self.hosts[usize::from(place)].doom = Some((steps, Ending::PowerLost));
        true
    }

    fn break_one(&mut self, port: Port) -> bool {
        let Some(number) = self.any_connection(port) else { return false };
        self.break_connection(number);
        true
    }

    fn half_open_one(&mut self) -> bool {
        let Some(connection) = self.any_connection(Port::Ring) else { return false };
        let side = self.dice.faults.below(2) as u8;
        self.half_open(Side { connection, side });
        true
    }

    fn any_connection(&mut self, port: Port) -> Option<u32> {
        let lives = |n: &u32| {
            let connection = &self.connections[*n as usize];
            connection.port == port && connection.ends.iter().all(|end| *end != End::Gone)
        };
        let living: Vec<u32> = (0..self.connections.len() as u32).filter(lives).collect();
        self.dice.faults.one_of(&living)
    }

    /// Nothing passes on some ways for a while.
    fn cut_off(&mut self, ways: &[(u8, u8)]) -> bool {
        self.cut += 1;
        let lasts = self.dice.faults.around(self.scenario.lasting.cut_ms * MILLI);
        for (from, to) in ways.iter().copied().filter(|(from, to)| from != to) {
            self.cuts[usize::from(from)][usize::from(to)] += 1;
            self.queue.add(self.now + lasts, Event::Heal { from, to, cut: self.cut });
        }
        ways.iter().any(|(from, to)| from != to)
    }

    pub(crate) fn heal(&mut self, from: u8, to: u8, cut: u32) {
        if cut > self.healed {
            self.cuts[usize::from(from)][usize::from(to)] -= 1;
            self.unpark(|c| c.port == Port::Ring && (c.hosts == [from, to] || c.hosts == [to, from]));
        }
    }

    /// The connections of the first host's first relay to its charge break again and again.
    fn flap(&mut self) -> bool {
        let ends = [1 % self.scenario.hosts, 3 % self.scenario.hosts];
        let between = |n: &u32| {
            let connection = &self.connections[*n as usize];
            let hosts = connection.hosts;
            connection.port == Port::Ring && (hosts == ends || hosts == [ends[1], ends[0]])
        };
        let found: Vec<u32> = (0..self.connections.len() as u32).filter(between).collect();
        let living = |n: &&u32| self.connections[**n as usize].ends.iter().all(|end| *end != End::Gone);
        let Some(number) = found.iter().rfind(living).copied() else { return false };
        self.break_connection(number);
        self.cut_off(&[(ends[0], ends[1]), (ends[1], ends[0])])
    }

    fn pause(&mut self, place: u8) -> bool {
        let lasts = self.dice.faults.around(self.scenario.lasting.pause_ms * MILLI);
        let host = &mut self.hosts[usize::from(place)];
        host.paused_until = self.now + lasts;
        host.runs()
    }

    fn hang(&mut self, place: u8) -> bool {
        let lasts = self.dice.faults.around(self.scenario.lasting.disk_ms * MILLI);
        self.hosts[usize::from(place)].mood.hangs_until = self.now + lasts;
        true
    }

    pub(crate) fn with_mood(&mut self, place: u8, change: impl Fn(&mut crate::host::Mood)) -> bool {
        let host = &mut self.hosts[usize::from(place)];
        change(&mut host.mood);
        host.runs()
    }

    fn fill_disk(&mut self, place: u8) -> bool {
        let lasts = self.dice.faults.around(self.scenario.lasting.disk_ms * MILLI);
        self.hosts[usize::from(place)].mood.is_full = true;
        self.queue.add(self.now + lasts, Event::DiskWorks { host: place });
        true
    }

    fn rotate(&mut self, place: u8) -> bool {
        let runs = self.hosts[usize::from(place)].runs();
        if runs {
            self.queue.add(self.now, Event::Rename { host: place });
        }
        runs
    }

    fn turn_clock(&mut self, place: u8) -> bool {
        let most = crate::clock::SKEW_MAX;
        let skew = self.dice.clock.between(0, 2 * most as u64) as i64 - most;
        self.hosts[usize::from(place)].clock.skew = skew;
        self.give(place, Input::Deadline);
        true
    }

    fn rot(&mut self, place: u8) -> bool {
        if !self.hosts[usize::from(place)].runs() {
            return false;
        }
        self.end(place, Ending::Killed);
        let is_rotten = self.hosts[usize::from(place)].disk.rot(&mut self.dice.disk);
        if is_rotten {
            self.checks.disk_reset(place, self.now);
        }
        is_rotten
    }

    fn lose_disk(&mut self, place: u8) -> bool {
        if !self.hosts[usize::from(place)].runs() {
            return false;
        }
        self.end(place, Ending::Killed);
        self.checks.disk_reset(place, self.now);
        self.checks.forget_logs(place);
        let host = &mut self.hosts[usize::from(place)];
        let logs = std::mem::take(&mut host.disk).logs;
        if self.dice.faults.chance(0.3) {
            host.disk.logs = logs; // only the journal is lost
        }
        true
    }

    /// A copy of the disk is made, as it would be after a loss of power; later the host comes back with it.
    fn old_copy(&mut self, place: u8) -> bool {
        let host = &mut self.hosts[usize::from(place)];
        let Some(copy) = host.copy.take().filter(|_| host.node.is_some()) else {
            let mut copy = host.disk.clone();
            copy.lose_power(&mut self.dice.disk);
            host.copy = Some(copy);
            return false;
        };
        self.end(place, Ending::Killed);
        self.checks.disk_reset(place, self.now);
        self.checks.forget_logs(place);
        self.hosts[usize::from(place)].disk = copy;
        true
    }
}
