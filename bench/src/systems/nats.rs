//! NATS: five servers, each linked to each; the publisher's sends to the other four. A subscriber at each writes a file.
//! Nothing is answered for, nothing is kept.

use super::{System, packaged, sinks};
use crate::dialect::Dialect;
use crate::fleet::Process;
use crate::sink::Source;
use crate::site::Site;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// NATS.
pub(super) struct Nats {
    pub(super) server: PathBuf,
    pub(super) own: PathBuf,
}

/// The servers of a cluster; `more` settings go into the file of each.
pub(super) fn servers(server: &Path, site: &Site, more: impl Fn(usize) -> String) -> Result<Vec<Process>> {
    let routes = (0..site.nodes()).map(|node| format!("\"nats://127.0.0.1:{}\"", site.port(node, 1)));
    let routes = routes.collect::<Vec<_>>().join(", ");
    let node = |node| {
        let (clients, links) = (site.port(node, 0), site.port(node, 1));
        let text = format!(
            "server_name: n{node}\nlisten: 127.0.0.1:{clients}\nmax_pending: 1GB\nwrite_deadline: \"60s\"\n\
             cluster {{ name: bench, listen: 127.0.0.1:{links}, routes: [{routes}] }}\n{}",
            more(node)
        );
        let mut command = packaged(server);
        command.arg("-c").arg(site.settings(node, &text)?);
        Ok(Process { node, command, ports: vec![clients, links] })
    };
    (0..site.nodes()).map(node).collect()
}

impl System for Nats {
    fn name(&self) -> &str {
        "nats"
    }

    fn program(&self) -> &Path {
        &self.server
    }

    fn daemons(&self, site: &Site) -> Result<Vec<Process>> {
        servers(&self.server, site, |_| String::new())
    }

    fn subscribers(&self, site: &Site) -> Result<Vec<Process>> {
        Ok(sinks(&self.own, site, Source::Nats))
    }

    fn dialect(&self) -> Dialect {
        Dialect::Nats
    }

    fn flood(&self) -> u32 {
        500_000
    }
}
