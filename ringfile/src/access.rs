//! Who may connect to a host, and how much one of them may take.

use crate::section::{Faults, Section};
use crate::value::{self, Wrong};
use std::path::PathBuf;
use toml::de::DeValue;

/// The bounds of a host's two ports that are not the protocol's.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Access {
    /// From where peers may connect.
    pub peers: Peers,
    /// Connections of clients from one address (of IPv6: one network of 64 bits) at one time; without it three
    /// quarters of all.
    pub clients_per_address: Option<u32>,
    /// Lines a second that are read of one client; more wait in its connection.
    pub lines_per_second: Option<u32>,
    /// The file that holds the tokens of which each client must know one, a line each.
    pub tokens: Option<PathBuf>,
}

/// From where peers may connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Peers {
    /// From the addresses of the hosts in ring.toml.
    #[default]
    Listed,
    /// From anywhere: where addresses are translated on the way.
    Any,
}

impl Access {
    /// Connections from one address, where all together are so many.
    #[must_use]
    pub fn of_one_address(&self, clients: u32) -> u32 {
        self.clients_per_address.unwrap_or(clients - clients / 4).min(clients)
    }

    /// What stands at the top of the file.
    pub(crate) fn top(&mut self, top: &mut Section<'_>, faults: &mut Faults<'_>) {
        let peers = [("listed", Peers::Listed), ("any", Peers::Any)];
        top.set("peers", &mut self.peers, faults, |v| value::choice(&v, &peers));
        top.set("tokens", &mut self.tokens, faults, |v| path(&v).map(Some));
    }

    /// What stands in `[limits]`.
    pub(crate) fn limits(&mut self, limits: &mut Section<'_>, faults: &mut Faults<'_>) {
        let count = |v: DeValue<'_>| value::count(&v, 1, u64::from(u32::MAX)).map(|n| Some(n as u32));
        limits.set("clients_per_address", &mut self.clients_per_address, faults, count);
        limits.set("lines_per_second", &mut self.lines_per_second, faults, count);
    }
}

fn path(value: &DeValue<'_>) -> Result<PathBuf, Wrong> {
    let right = "give the path of a file, from the root, such as \"/etc/zog/tokens\"";
    match value.as_str().map(PathBuf::from) {
        Some(path) if path.is_absolute() => Ok(path),
        _ => Err(Wrong::mistyped(value, right)),
    }
}
