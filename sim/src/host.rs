//! One host: its machine, and the process on it while there is one.

use crate::clock::Clock;
use crate::disk::Disk;
use crate::event::{Moment, Process, Side};
use crate::lies::Lie;
use pzog::{ConnId, HostIndex, Node, Outputs, Ring};

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// kill -9: what was written stays.
    Killed,
    /// The power goes: what was not synced stays in part.
    PowerLost,
    /// An append or a sync has failed; the same process begins anew.
    Failed,
    /// In good order.
    Stopped,
}

/// What is wrong with a disk, or with the host.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Mood {
    /// Syncs end not before.
    pub(crate) hangs_until: Moment,
    pub(crate) next_sync_fails: bool,
    pub(crate) next_append_fails: bool,
    pub(crate) is_full: bool,
    /// It is about to lie to others.
    pub(crate) lie: Option<Lie>,
}

pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) ring: Ring,
    pub(crate) me: HostIndex,
    /// The hosts of its ring.toml, by their places in the world, the retired ones last.
    pub(crate) places: Vec<u8>,
    /// The ring.toml that it was given, and that holds from its next start on.
    pub(crate) next_ring: Option<Ring>,
    /// It is not yet of the ring, or not any more.
    pub(crate) is_out: bool,
    /// The revision of the protocol that its build speaks.
    pub(crate) revision: u8,
    pub(crate) clock: Clock,
    pub(crate) disk: Disk,
    pub(crate) mood: Mood,
    /// A copy of its disk, some time ago.
    pub(crate) copy: Option<Disk>,
    /// `None` while it does not run.
    pub(crate) node: Option<Node>,
    pub(crate) out: Outputs,
    /// How often it was started.
    pub(crate) life: u32,
    /// Its connections by [`ConnId`].
    pub(crate) conns: Vec<Option<Side>>,
    /// The file that it writes, in `disk.logs`.
    pub(crate) log: usize,
    /// Marks that were asked for; the last one's file and length.
    pub(crate) mark: u32,
    pub(crate) marking: Option<(usize, usize)>,
    /// A segment that is being made.
    pub(crate) preparing: Option<(u64, u32)>,
    /// Where the sync that ended last had begun, in time.
    pub(crate) sync_began: Moment,
    pub(crate) synced_since: Moment,
    pub(crate) wake_at: Option<Moment>,
    pub(crate) wake_armed: Moment,
    /// Bytes at one time.
    pub(crate) reads_clients: u32,
    pub(crate) reads_peers: bool,
    pub(crate) paused_until: Moment,
    /// It ends after so many outputs.
    pub(crate) doom: Option<(u32, Ending)>,
    /// What it has passed on last of another origin, where hosts lie.
    pub(crate) relayed: Option<Vec<u8>>,
    /// Deadlines in a row without time going on.
    pub(crate) spins: (Moment, u32),
}

impl Host {
    pub(crate) fn new(place: u8, ring: Ring, all: &[String], clock: Clock) -> Host {
        let name = all[usize::from(place)].clone();
        let mut host = Host {
            name,
            ring: ring.clone(),
            me: HostIndex(place),
            places: Vec::new(),
            next_ring: None,
            is_out: false,
            revision: pzog::limits::REVISION,
            clock,
            disk: Disk::default(),
            mood: Mood::default(),
            copy: None,
            node: None,
            out: Outputs::default(),
            life: 0,
            conns: Vec::new(),
            log: 0,
            mark: 0,
            marking: None,
            preparing: None,
            sync_began: 0,
            synced_since: 0,
            wake_at: None,
            wake_armed: Moment::MAX,
            reads_clients: 0,
            reads_peers: false,
            paused_until: 0,
            doom: None,
            relayed: None,
            spins: (0, 0),
        };
        host.set_ring(place, ring, all);
        host
    }

    /// Another ring.toml.
    pub(crate) fn set_ring(&mut self, place: u8, ring: Ring, all: &[String]) {
        self.places.clear();
        for (name, at) in all.iter().zip(0..) {
            if let Some(host) = ring.find(name.as_bytes()) {
                self.places.resize(self.places.len().max(host.index() + 1), at);
                self.places[host.index()] = at;
            }
        }
        self.me = ring.find(self.name.as_bytes()).unwrap_or(HostIndex(place));
        self.ring = ring;
    }

    /// Another machine for a host of the same name.
    pub(crate) fn twin_of(original: &Host) -> Host {
        let all = [original.name.clone()];
        let mut twin = Host::new(0, original.ring.clone(), &all, original.clock);
        (twin.name, twin.places) = (format!("{}'", original.name), original.places.clone());
        twin
    }

    pub(crate) fn runs(&self) -> bool {
        self.node.is_some()
    }

    /// What it calls another host.
    pub(crate) fn index_of(&self, place: u8) -> HostIndex {
        let at = self.places.iter().position(|p| *p == place).unwrap_or_default();
        HostIndex(at as u8)
    }

    pub(crate) fn process(&self, place: u8) -> Process {
        Process { host: place, life: self.life }
    }

    /// Gives out the lowest free number, as daemons do.
    pub(crate) fn name_connection(&mut self, side: Side) -> ConnId {
        let free = self.conns.iter().position(Option::is_none).unwrap_or(self.conns.len());
        self.conns.resize(self.conns.len().max(free + 1), None);
        self.conns[free] = Some(side);
        ConnId(free as u32)
    }

    pub(crate) fn side(&self, conn: ConnId) -> Option<Side> {
        *self.conns.get(conn.0 as usize)?
    }

    pub(crate) fn forget_connection(&mut self, conn: ConnId) {
        if let Some(side) = self.conns.get_mut(conn.0 as usize) {
            *side = None;
        }
    }
}
