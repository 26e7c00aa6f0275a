//! Bare processes that copy chunks along the tree.

use super::System;
use crate::check::Line;
use crate::dialect::Dialect;
use crate::fleet::Process;
use crate::site::Site;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The floor, or the floor that answers.
pub(super) struct Floor {
    own: PathBuf,
    answers: bool,
}

impl Floor {
    pub(super) fn new(own: &Path, answers: bool) -> Floor {
        Floor { own: own.to_owned(), answers }
    }
}

impl System for Floor {
    fn name(&self) -> &str {
        if self.answers { "floor+ok" } else { "floor" }
    }

    fn program(&self) -> &Path {
        &self.own
    }

    /// A node has a port for clients (to +1 and +2), one for messages with a way to go (to +2), one for their end.
    fn daemons(&self, site: &Site) -> Result<Vec<Process>> {
        let node = |node| {
            let port = |step, role| site.port(node + step, role);
            let mut command = Command::new(&self.own);
            command.args(["floor", "--file"]).arg(site.log(node));
            command.args(self.answers.then_some("--answer"));
            command.arg(format!("{}={},{}", port(0, 0), port(1, 1), port(2, 1)));
            command.arg(format!("{}={}", port(0, 1), port(2, 2)));
            command.arg(format!("{}=", port(0, 2)));
            Process { node, command, ports: (0..3).map(|role| port(0, role)).collect() }
        };
        Ok((0..site.nodes()).map(node).collect())
    }

    fn dialect(&self) -> Dialect {
        if self.answers { Dialect::Zog } else { Dialect::Lines }
    }

    fn line(&self) -> Line {
        // What came is copied, not looked at.
        if self.answers {
            Line { before: "MSG ".len(), behind: b"\r\n" }
        } else {
            Line { before: 0, behind: b"\n" }
        }
    }

    fn flood(&self) -> u32 {
        3_000_000
    }
}
