//! NATS JetStream: the servers agree on every message and keep it in files, five replicas, before it is answered; the
//! only one here that promises something like zog does at `majority`. It syncs files every two minutes.
//! A consumer at each server sends what is stored to a subscriber, which writes a file.

use super::nats::servers;
use super::{System, sinks};
use crate::dialect::Dialect;
use crate::fleet::Process;
use crate::nats::create_stream;
use crate::sink::Source;
use crate::site::Site;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// NATS JetStream.
pub(super) struct JetStream {
    pub(super) server: PathBuf,
    pub(super) own: PathBuf,
}

impl System for JetStream {
    fn name(&self) -> &str {
        "jetstream"
    }

    fn program(&self) -> &Path {
        &self.server
    }

    fn daemons(&self, site: &Site) -> Result<Vec<Process>> {
        servers(&self.server, site, |node| {
            let store = site.node_dir(node).join("store");
            format!("jetstream {{ store_dir: \"{}\", max_mem: 1GB, max_file: 20GB }}\n", store.display())
        })
    }

    fn subscribers(&self, site: &Site) -> Result<Vec<Process>> {
        Ok(sinks(&self.own, site, Source::JetStream))
    }

    fn settle(&self, site: &Site) -> Result<()> {
        create_stream(site.entrance(0), site.nodes())
    }

    fn dialect(&self) -> Dialect {
        Dialect::JetStream
    }

    fn flood(&self) -> u32 {
        100_000
    }
}
