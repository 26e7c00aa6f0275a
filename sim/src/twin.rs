//! A copy of a host's disk on which a second process runs under the same name, while the first one lives on. It dials as
//! any host does, clients talk to it, and one day it ends for good, with what only it has.

use crate::event::{Event, MILLI};
use crate::host::Host;
use crate::scenario::Scenario;
use crate::world::World;

/// The host that is copied.
pub(crate) const ORIGINAL: u8 = 1;

impl Scenario {
    /// The place of the copy, behind those of the ring, if there may be one.
    pub(crate) fn twin(&self) -> Option<u8> {
        self.faults.clone.map(|_| self.hosts)
    }
}

impl World {
    /// The machine on which the copy will run: it has the name, and nothing else, of the original.
    pub(crate) fn add_twin(&mut self) {
        if self.scenario.twin().is_some() {
            let original = &self.hosts[usize::from(ORIGINAL)];
            self.hosts.push(Host::twin_of(original));
        }
    }

    /// The disk of the original, as it would be after a loss of power, is copied, and a process started on it.
    pub(crate) fn begin_twin(&mut self) -> bool {
        let Some(twin) = self.scenario.twin() else { return false };
        let original = &self.hosts[usize::from(ORIGINAL)];
        if self.hosts[usize::from(twin)].runs() || !original.runs() {
            return false;
        }
        let mut copy = original.disk.clone();
        copy.lose_power(&mut self.dice.disk);
        self.hosts[usize::from(twin)].disk = copy;
        self.checks.twin_begins(twin);
        self.start(twin);
        let life = self.hosts[usize::from(twin)].life;
        let lasts = self.dice.faults.around(self.scenario.lasting.copy_ms * MILLI);
        self.queue.add(self.now + lasts, Event::TwinEnds { life });
        self.hosts[usize::from(twin)].runs()
    }

    /// The copy ends, if it is still in this life, or in any.
    pub(crate) fn end_twin(&mut self, life: Option<u32>) {
        let Some(twin) = self.scenario.twin() else { return };
        let host = &self.hosts[usize::from(twin)];
        if host.runs() && life.is_none_or(|life| life == host.life) {
            self.end(twin, crate::host::Ending::Killed);
        }
    }

    /// Where a client comes that calls the original: to the copy as often as not.
    pub(crate) fn or_twin(&mut self, place: u8) -> u8 {
        match self.scenario.twin() {
            Some(twin) if place == ORIGINAL && self.hosts[usize::from(twin)].runs() => {
                if self.dice.clients.chance(0.5) { twin } else { place }
            }
            _ => place,
        }
    }
}
