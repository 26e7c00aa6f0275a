//! Where one run takes place: a directory for each node, and ports.

use anyhow::{Context, Result};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// Nodes of a ring, where not their number is what is measured.
pub const NODES: usize = 5;

/// Ports of a node: the first takes clients.
pub const ROLES: u16 = 4;

/// Below Linux's range for outgoing connections (from 32 768), of which one might take a port in between.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A place that nothing else uses.
#[derive(Debug)]
pub struct Site {
    dir: PathBuf,
    first_port: u16,
    nodes: usize,
}

impl Site {
    /// An empty directory, and ports that are free now.
    pub fn prepare(dir: &Path, nodes: usize) -> Result<Site> {
        let site = Site { dir: dir.to_owned(), first_port: free_ports(nodes as u16 * ROLES)?, nodes };
        if dir.exists() {
            site.clear()?;
        }
        for node in 0..nodes {
            fs::create_dir_all(site.node_dir(node))?;
        }
        Ok(site)
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Deletes everything.
    pub fn clear(&self) -> Result<()> {
        fs::remove_dir_all(&self.dir).with_context(|| format!("{} cannot be emptied", self.dir.display()))
    }

    /// Where everything is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a node has its files.
    #[must_use]
    pub fn node_dir(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node{node}"))
    }

    /// The file that shows what a node has got.
    #[must_use]
    pub fn log(&self, node: usize) -> PathBuf {
        self.node_dir(node).join("access.log")
    }

    /// A port of a node; nodes are counted round the ring.
    #[must_use]
    pub fn port(&self, node: usize, role: u16) -> u16 {
        self.first_port + (node % self.nodes) as u16 * ROLES + role
    }

    /// Where clients of a node connect.
    #[must_use]
    pub fn entrance(&self, node: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port(node, 0)).into()
    }

    /// Writes a file of settings for a node.
    pub fn settings(&self, node: usize, text: &str) -> Result<PathBuf> {
        let path = self.node_dir(node).join("settings");
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }
}

fn free_ports(count: u16) -> Result<u16> {
    // Begin at different ones, so that two benchmarks at a time rarely meet.
    let blocks = (PORTS.end - PORTS.start) / count;
    let start = (std::process::id() % u32::from(blocks)) as u16;
    (0..blocks)
        .map(|i| PORTS.start + (start + i) % blocks * count)
        .find(|first| {
            (*first..first + count).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        })
        .with_context(|| {
            format!("no {count} free ports on 127.0.0.1 between {} and {}", PORTS.start, PORTS.end)
        })
}
