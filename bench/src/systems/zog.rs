//! The ring itself.

use super::System;
use crate::check::Line;
use crate::dialect::Dialect;
use crate::fleet::Process;
use crate::site::Site;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// zog, answering at one of its levels.
pub(super) struct Zog {
    name: String,
    daemon: PathBuf,
    level: String,
    /// Further lines of ring.toml.
    settings: &'static str,
}

impl Zog {
    pub(super) fn new(name: &str, daemon: &Path, level: &str) -> Zog {
        Zog {
            name: format!("{name}-{level}"),
            daemon: daemon.to_owned(),
            level: level.to_owned(),
            settings: "",
        }
    }

    /// One that keeps every message, as long as a host is away.
    pub(super) fn keeping_all(name: &str, daemon: &Path, level: &str) -> Zog {
        Zog { settings: "[journal]\nsize = \"64GiB\"\n", ..Zog::new(name, daemon, level) }
    }
}

impl System for Zog {
    fn name(&self) -> &str {
        &self.name
    }

    fn program(&self) -> &Path {
        &self.daemon
    }

    fn daemons(&self, site: &Site) -> Result<Vec<Process>> {
        let mut ring = format!("ack = \"{}\"\n", self.level);
        for node in 0..site.nodes() {
            let (links, clients) = (site.port(node, 1), site.port(node, 0));
            write!(
                ring,
                "[[host]]\nname = \"N{node}\"\naddress = \"127.0.0.1\"\nring_port = {links}\nclient_port = {clients}\nhttp_port = 0\n"
            )?;
        }
        ring += self.settings;
        let file = site.dir().join("ring.toml");
        fs::write(&file, ring).with_context(|| format!("{} cannot be written", file.display()))?;
        let node = |node| {
            let mut command = Command::new(&self.daemon);
            command.arg("run").arg("--config").arg(&file).args(["--name", &format!("N{node}")]);
            command.arg("--state-dir").arg(site.node_dir(node).join("state"));
            command.arg("--log-dir").arg(site.node_dir(node));
            Process { node, command, ports: vec![site.port(node, 0), site.port(node, 1)] }
        };
        Ok((0..site.nodes()).map(node).collect())
    }

    fn dialect(&self) -> Dialect {
        Dialect::Zog
    }

    fn line(&self) -> Line {
        Line { before: "YYYYMMDDTHHMMSSZ ".len(), behind: b"\n" }
    }

    fn flood(&self) -> u32 {
        2_000_000
    }
}
