//! One host of the ring: its node, and its disk.

use crate::disk::Disk;
use pzog::{ConnId, HostIndex, Node, Outputs, Time};

#[derive(Default)]
pub(crate) struct Host {
    pub(crate) name: String,
    /// `None` while it does not run.
    pub(crate) node: Option<Node>,
    pub(crate) out: Outputs,
    /// The hosts of its ring.toml, by their places in the world.
    pub(crate) places: Vec<usize>,
    /// How often it was started: its incarnation is this number.
    pub(crate) incarnation: u64,
    /// Its connections by [`ConnId`]: number and side.
    conns: Vec<Option<(usize, usize)>>,
    pub(crate) disk: Disk,
    pub(crate) wake_at: Option<Time>,
    /// Bytes at one time.
    pub(crate) reads_clients: u32,
    pub(crate) reads_peers: bool,
}

impl Host {
    pub(crate) fn new(name: &str) -> Host {
        Host { name: name.to_owned(), ..Host::default() }
    }

    /// What it calls another host.
    pub(crate) fn index_of(&self, place: usize) -> HostIndex {
        let index = self.places.iter().position(|p| *p == place).expect("it knows the host");
        HostIndex(index as u8)
    }

    /// Gives out the lowest free number, as daemons do.
    pub(crate) fn name_connection(&mut self, connection: usize, side: usize) -> ConnId {
        let free = self.conns.iter().position(Option::is_none).unwrap_or(self.conns.len());
        self.conns.resize(self.conns.len().max(free + 1), None);
        self.conns[free] = Some((connection, side));
        ConnId(free as u32)
    }

    pub(crate) fn connection(&self, conn: ConnId) -> Option<(usize, usize)> {
        *self.conns.get(conn.0 as usize)?
    }

    pub(crate) fn forget_connection(&mut self, conn: ConnId) {
        if let Some(name) = self.conns.get_mut(conn.0 as usize) {
            *name = None;
        }
    }

    /// All that was in memory is gone; its connections are returned.
    pub(crate) fn lose_memory(&mut self) -> Vec<(usize, usize)> {
        self.node = None;
        self.disk.forget();
        self.wake_at = None;
        std::mem::take(&mut self.conns).into_iter().flatten().collect()
    }

    pub(crate) fn log_lines(&self) -> impl Iterator<Item = &[u8]> {
        self.disk.access_log().split(|b| *b == b'\n').filter(|line| !line.is_empty())
    }

    /// Whether a text stands in access.log, with whatever time.
    pub(crate) fn has_text(&self, text: &[u8]) -> bool {
        self.log_lines().any(|line| line.get(17..) == Some(text))
    }
}
