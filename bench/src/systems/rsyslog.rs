//! rsyslog: the same tree, over TCP; each node has an input for each place in it. Nothing is answered, nothing is kept
//! beyond a queue in memory.

use super::{System, packaged};
use crate::dialect::Dialect;
use crate::fleet::Process;
use crate::site::Site;
use anyhow::Result;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// rsyslog.
pub(super) struct Rsyslog {
    pub(super) daemon: PathBuf,
}

/// Waits rather than discards, and takes many messages at a time.
const QUEUE: &str = "queue.type=\"FixedArray\" queue.size=\"100000\" queue.dequeueBatchSize=\"4096\" \
queue.workerThreads=\"1\" queue.timeoutEnqueue=\"600000\" queue.lightDelayMark=\"0\"";

impl System for Rsyslog {
    fn name(&self) -> &str {
        "rsyslog"
    }

    fn program(&self) -> &Path {
        &self.daemon
    }

    fn daemons(&self, site: &Site) -> Result<Vec<Process>> {
        let node = |node| {
            let mut command = packaged(&self.daemon);
            command.arg("-n").arg("-i").arg(site.node_dir(node).join("pid"));
            command.arg("-f").arg(site.settings(node, &settings(site, node)?)?);
            Ok(Process { node, command, ports: (0..3).map(|role| site.port(node, role)).collect() })
        };
        (0..site.nodes()).map(node).collect()
    }

    fn dialect(&self) -> Dialect {
        Dialect::Lines
    }

    fn flood(&self) -> u32 {
        500_000
    }
}

/// All rulesets call the one action that writes the file: several would tear lines.
fn settings(site: &Site, node: usize) -> Result<String> {
    let (dir, log) = (site.node_dir(node), site.log(node));
    let mut text = format!(
        "global(workDirectory=\"{}\" net.enableDNS=\"off\")\n\
         module(load=\"imptcp\" threads=\"1\")\n\
         template(name=\"line\" type=\"string\" string=\"%rawmsg%\\n\")\n\
         template(name=\"on\" type=\"string\" string=\"%rawmsg%\")\n\
         ruleset(name=\"store\") {{ action(type=\"omfile\" file=\"{}\" template=\"line\" ioBufferSize=\"64k\" flushOnTXEnd=\"on\") }}\n",
        dir.display(),
        log.display(),
    );
    let targets =
        [vec![site.port(node + 1, 1), site.port(node + 2, 1)], vec![site.port(node + 2, 2)], vec![]];
    for (role, targets) in (0..).zip(targets) {
        writeln!(text, "ruleset(name=\"hop{role}\" parser=\"rsyslog.rfc3164\" {QUEUE}) {{\n  call store")?;
        for port in targets {
            writeln!(
                text,
                "  action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"tcp\" template=\"on\" \
                 action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\")"
            )?;
        }
        let port = site.port(node, role);
        writeln!(
            text,
            "}}\ninput(type=\"imptcp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"hop{role}\")"
        )?;
    }
    Ok(text)
}
