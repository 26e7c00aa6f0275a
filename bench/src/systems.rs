//! What is measured. A system says which processes make up five nodes, how clients speak to them, and what its
//! lines look like.

mod floor;
mod jetstream;
mod nats;
mod redis;
mod rsyslog;
mod zog;

use crate::check::Line;
use crate::dialect::Dialect;
use crate::fleet::Process;
use crate::sink::Source;
use crate::site::Site;
use anyhow::Result;
use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One system under test.
pub trait System {
    /// Its name in options and tables.
    fn name(&self) -> &str;

    /// The program without which it cannot be measured.
    fn program(&self) -> &Path;

    /// The daemons, not yet started.
    fn daemons(&self, site: &Site) -> Result<Vec<Process>>;

    /// What is started once all daemons listen, for systems that write no files themselves.
    fn subscribers(&self, _: &Site) -> Result<Vec<Process>> {
        Ok(Vec::new())
    }

    /// What must be done once daemons, or subscribers, listen; may be done twice.
    fn settle(&self, _: &Site) -> Result<()> {
        Ok(())
    }

    /// How clients speak to it.
    fn dialect(&self) -> Dialect;

    /// Where a client of a node connects.
    fn entrance(&self, site: &Site, node: usize) -> SocketAddr {
        site.entrance(node)
    }

    /// What it puts around each message in a file.
    fn line(&self) -> Line {
        Line { before: 0, behind: b"\n" }
    }

    /// Messages of a flood: as many as take it some tenths of a second.
    fn flood(&self) -> u32;
}

/// The programs that are measured.
#[derive(Clone, Debug)]
pub struct Programs {
    /// zog's daemon.
    pub zog: PathBuf,
    /// Further builds of it, with the names under which they are measured.
    pub more: Vec<(String, PathBuf)>,
    /// Where packages were unpacked that are not installed.
    pub unpacked: PathBuf,
}

/// All systems there are, those that cannot be measured here included, in the order of the tables.
pub fn all(programs: &Programs) -> Result<Vec<Box<dyn System>>> {
    let own = env::current_exe()?;
    let mut all: Vec<Box<dyn System>> =
        vec![Box::new(floor::Floor::new(&own, false)), Box::new(floor::Floor::new(&own, true))];
    for (name, path) in [("zog".to_owned(), programs.zog.clone())].iter().chain(&programs.more) {
        for level in ["journaled", "synced"] {
            all.push(Box::new(zog::Zog::new(name, path, level)));
        }
    }
    let find = |name| find(name, &programs.unpacked);
    all.push(Box::new(redis::Redis { server: find("redis-server"), own: own.clone() }));
    all.push(Box::new(rsyslog::Rsyslog { daemon: find("rsyslogd") }));
    all.push(Box::new(nats::Nats { server: find("nats-server"), own: own.clone() }));
    all.push(Box::new(jetstream::JetStream { server: find("nats-server"), own }));
    Ok(all)
}

/// zog from this program, answering at a level.
#[must_use]
pub fn zog_at(level: &str, program: &Path) -> Box<dyn System> {
    Box::new(zog::Zog::new("zog", program, level))
}

/// The same with room in its journal for whatever a host that is away has not got.
#[must_use]
pub fn zog_keeping_all(level: &str, program: &Path) -> Box<dyn System> {
    Box::new(zog::Zog::keeping_all("zog", program, level))
}

/// A program by its name: from the path, or from the packages that were unpacked. A bare name if it is nowhere.
fn find(name: &str, unpacked: &Path) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let dirs = dirs.chain([unpacked.join("usr/bin"), unpacked.join("usr/sbin")]);
    dirs.map(|dir| dir.join(name)).find(|program| program.is_file()).unwrap_or_else(|| name.into())
}

/// A command for a program that perhaps was unpacked rather than installed, and then finds its libraries beside it.
fn packaged(program: &Path) -> Command {
    let mut command = Command::new(program);
    let root = program.parent().and_then(Path::parent).and_then(Path::parent);
    if let Some(root) = root.filter(|root| *root != Path::new("/") && program.is_absolute()) {
        let library = root.join("usr/lib").join(format!("{}-linux-gnu", env::consts::ARCH));
        command.env("RSYSLOG_MODDIR", library.join("rsyslog")).env("LD_LIBRARY_PATH", library);
    }
    command
}

/// A subscriber on each node.
fn sinks(own: &Path, site: &Site, source: Source) -> Vec<Process> {
    let sink = |node| {
        let mut command = Command::new(own);
        let source = match source {
            Source::Nats => "nats",
            Source::JetStream => "jet-stream",
            Source::Redis => "redis",
        };
        command.args(["sink", "--source", source, "--server", &site.entrance(node).to_string(), "--file"]);
        command.arg(site.log(node));
        Process { node, command, ports: Vec::new() }
    };
    (0..site.nodes()).map(sink).collect()
}
