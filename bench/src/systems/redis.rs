//! Redis: `PUBLISH` at the master goes down a tree of replicas, and a subscriber at each writes a file.
//!
//! Only the master may be published to, so the clients of all nodes speak to node 0. Nothing is answered for but that the
//! master has taken it, nothing is kept.

use super::{System, packaged, sinks};
use crate::dialect::Dialect;
use crate::fleet::Process;
use crate::sink::Source;
use crate::site::{NODES, Site};
use anyhow::Result;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Redis.
pub(super) struct Redis {
    pub(super) server: PathBuf,
    pub(super) own: PathBuf,
}

/// Whom each replica copies.
const MASTERS: [Option<usize>; NODES] = [None, Some(0), Some(0), Some(1), Some(2)];

impl System for Redis {
    fn name(&self) -> &str {
        "redis"
    }

    fn program(&self) -> &Path {
        &self.server
    }

    fn daemons(&self, site: &Site) -> Result<Vec<Process>> {
        let node = |node: usize| {
            let port = site.port(node, 0);
            let mut command = packaged(&self.server);
            command
                .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"])
                .arg(site.node_dir(node));
            command.args(["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]);
            command.args(["--client-output-buffer-limit", "pubsub 0 0 0 replica 0 0 0"]);
            if let Some(master) = MASTERS[node] {
                command.args(["--replicaof", &format!("127.0.0.1 {}", site.port(master, 0))]);
            }
            Process { node, command, ports: vec![port] }
        };
        Ok((0..site.nodes()).map(node).collect())
    }

    fn subscribers(&self, site: &Site) -> Result<Vec<Process>> {
        Ok(sinks(&self.own, site, Source::Redis))
    }

    fn dialect(&self) -> Dialect {
        Dialect::Redis
    }

    fn entrance(&self, site: &Site, _: usize) -> SocketAddr {
        site.entrance(0)
    }

    fn flood(&self) -> u32 {
        500_000
    }
}
