//! The command line: its types, whose doc comments are the help.

use crate::check::{self, Line};
use crate::floor::FloorArgs;
use crate::growth;
use crate::message::{HEAD, SIZE_MAX};
use crate::plan::{Plan, Test};
use crate::sink::SinkArgs;
use crate::site::NODES;
use crate::systems::Programs;
use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand, builder::TypedValueParser};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Measure rings on this machine: zog, the least there is to do, and other systems.
///
/// Systems take turns inside each round, each with five fresh nodes on 127.0.0.1. Every message must be in the files of
/// all five nodes, once and whole; each file is read to see that. Without a command everything is measured that can be.
#[derive(Parser, Debug)]
#[command(name = "scripts/bench", version, args_conflicts_with_subcommands = true, after_help = SYSTEMS)]
pub struct Cli {
    /// Something other than measuring.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What is measured.
    #[command(flatten)]
    pub run: RunArgs,
}

const SYSTEMS: &str = "\
Systems: floor (five bare processes that copy chunks along the same tree and append them to files), floor+ok (and \
answer each message), zog-journaled, zog-synced, redis (PUBLISH down a tree of replicas), rsyslog (a tree over TCP), \
nats (a cluster), jetstream (the same with five replicas in files, each message acknowledged). `zog` stands for \
zog-journaled,zog-synced. Those that are not installed are skipped; `scripts/bench fetch` unpacks Debian's packages \
of them below the target directory.

Exit codes: 0 all files were right, 1 some were not, or a system could not be measured, 2 wrong usage, \
130 interrupted.";

/// Something other than measuring.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Show the tables of runs that are kept
    Report {
        /// The records of a call: JSON, one object a line
        records: PathBuf,
        /// Write the tables into this document, between its marks
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
    },
    /// Measure what zog costs as work grows (2 to 25 hosts, messages of 1 to 511 bytes, 1 to 10000 clients, hosts that
    /// were away, long floods, journals of 100 million messages), and draw plots
    Growth(GrowthArgs),
    /// Look for messages that a log lacks, has twice or has torn
    Check(CheckArgs),
    /// Run one node of the floor
    #[command(hide = true)]
    Floor(FloorArgs),
    /// Run one subscriber
    #[command(hide = true)]
    Sink(SinkArgs),
}

/// How it is measured.
#[derive(Args, Debug)]
pub struct GrowthArgs {
    /// How many rounds [default: 3, or 1 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// A tenth of everything, no waiting for a quiet machine
    #[arg(long)]
    pub quick: bool,
    /// Which series: hosts, sizes, clients, catch-up, memory, journals [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = growth::names())]
    series: Vec<String>,
    /// No step of catch-up, memory and journals with more messages than so many millions
    #[arg(long, value_name = "MILLIONS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub most: u32,
    /// The level at which hosts answer
    #[arg(long, default_value = "journaled", value_parser = ["journaled", "synced"])]
    pub level: String,
    /// Write the plots into this directory, and the tables into its MEASURED.md [default: where records are kept]
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "docs")]
    pub write: Option<PathBuf>,
    /// The daemon [default: beside this program]
    #[arg(long, value_name = "PROGRAM")]
    zog: Option<PathBuf>,
    /// Where files of runs and records are kept
    #[arg(long, env = "ZOG_BENCH_DIR", default_value = "target/bench")]
    pub dir: PathBuf,
}

impl GrowthArgs {
    /// What all steps have in common.
    pub fn plan(&self) -> Result<Plan> {
        plan(&self.dir, self.quick)
    }

    /// How often everything is measured.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }

    /// How long a quiet machine is waited for.
    #[must_use]
    pub fn quiet(&self) -> Duration {
        Duration::from_secs(if self.quick { 0 } else { 10 })
    }

    /// Whether a series is asked for.
    #[must_use]
    pub fn wants(&self, series: &str) -> bool {
        self.series.is_empty() || self.series.iter().any(|name| name == series)
    }

    /// zog's daemon.
    pub fn zog(&self) -> Result<PathBuf> {
        zog(self.zog.as_deref())
    }
}

/// Messages of 60 bytes in a ring of the usual size, as many as the system asks for.
fn plan(dir: &Path, quick: bool) -> Result<Plan> {
    std::fs::create_dir_all(dir)?;
    let dir = dir.canonicalize()?;
    Ok(Plan { dir, nodes: NODES, messages: None, size: 60, window: None, seconds: None, quick })
}

/// The daemon that was named, or the one beside this program.
fn zog(named: Option<&Path>) -> Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("zog");
    Ok(named.map_or(beside, Path::to_owned))
}

/// Which logs, and what they must hold.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// How many clients sent
    #[arg(long, default_value_t = 1)]
    clients: u16,
    /// How many messages each of them sent
    #[arg(long)]
    each: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 60)]
    size: usize,
    /// Bytes before each message
    #[arg(long, default_value_t = 0)]
    before: usize,
    /// The logs
    #[arg(required = true)]
    pub logs: Vec<PathBuf>,
}

impl CheckArgs {
    /// What each log must hold.
    #[must_use]
    pub fn expected(&self) -> check::Expected {
        let CheckArgs { clients, each, size, before, .. } = *self;
        let messages = vec![each; usize::from(clients)];
        check::Expected { messages, size, line: Line { before, behind: b"\n" } }
    }
}

/// What is measured.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// Which systems, in the order of the tables [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    systems: Vec<String>,
    /// Which tests: flood-one, flood-five (clients), rate-N (messages/s) [default: flood-one,flood-five,
    /// rate-1000,rate-50000, or flood-one,rate-1000 with --quick]
    #[arg(long, value_name = "TEST,…", value_delimiter = ',')]
    tests: Vec<Test>,
    /// How many rounds [default: 5, or 1 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Messages of a flood, of all clients [default: 3 million for the floor … 100 000 for the slowest]
    #[arg(long, value_parser = clap::value_parser!(u32).range(5..=100_000_000))]
    messages: Option<u32>,
    /// Bytes of a message; short ones carry no time, and only floods of them are measured
    #[arg(long, default_value_t = 60, value_parser = size())]
    size: usize,
    /// Messages of a client that may be unanswered [default: 16384 for zog and floor+ok]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    window: Option<u32>,
    /// How long messages are sent at a rate, in seconds [default: 10, or 4 from 10000/s on]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: Option<u32>,
    /// A minute for a look: one round, two tests, a tenth of everything, no waiting for a quiet machine
    #[arg(long)]
    quick: bool,
    /// How long a quiet machine is waited for before each run, in seconds [default: 10, or 0 with --quick]
    #[arg(long, value_name = "SECONDS")]
    quiet: Option<u64>,
    /// Write the tables into this document, between its marks
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "docs/MEASURED.md")]
    pub write: Option<PathBuf>,
    /// Measure another build of zog as well, as NAME-journaled and NAME-synced
    #[arg(long, value_name = "NAME=PROGRAM", value_parser = named)]
    with: Vec<(String, PathBuf)>,
    /// The daemon [default: beside this program]
    #[arg(long, value_name = "PROGRAM")]
    zog: Option<PathBuf>,
    /// Where files of runs and records are kept
    #[arg(long, env = "ZOG_BENCH_DIR", default_value = "target/bench")]
    dir: PathBuf,
}

fn size() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u64).range(1..=SIZE_MAX as u64).map(|size| size as usize)
}

fn named(written: &str) -> Result<(String, PathBuf)> {
    match written.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.into())),
        _ => bail!("write it as before=/path/to/zog"),
    }
}

impl RunArgs {
    /// How much of everything.
    pub fn plan(&self) -> Result<Plan> {
        let RunArgs { messages, size, window, seconds, .. } = *self;
        Ok(Plan { messages, size, window, seconds, ..plan(&self.dir, self.quick)? })
    }

    /// Which tests, in order.
    #[must_use]
    pub fn tests(&self) -> Vec<Test> {
        match (&self.tests[..], self.quick) {
            ([], true) if self.size < HEAD => vec![Test::Flood { clients: 1 }],
            ([], true) => vec![Test::Flood { clients: 1 }, Test::Rate(1000)],
            ([], false) if self.size < HEAD => vec![Test::Flood { clients: 1 }, Test::Flood { clients: 5 }],
            ([], false) => {
                vec![
                    Test::Flood { clients: 1 },
                    Test::Flood { clients: 5 },
                    Test::Rate(1000),
                    Test::Rate(50_000),
                ]
            }
            (asked, _) => asked.to_vec(),
        }
    }

    /// How often all systems take a turn.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 })
    }

    /// How long a quiet machine is waited for.
    #[must_use]
    pub fn quiet(&self) -> Duration {
        Duration::from_secs(self.quiet.unwrap_or(if self.quick { 0 } else { 10 }))
    }

    /// The programs that are measured.
    pub fn programs(&self) -> Result<Programs> {
        Ok(Programs {
            zog: zog(self.zog.as_deref())?,
            more: self.with.clone(),
            unpacked: self.dir.join("packages"),
        })
    }

    /// Whether a system is asked for.
    #[must_use]
    pub fn wants(&self, system: &str) -> bool {
        let by_build = system.rsplit_once('-').map_or(system, |(build, _)| build);
        self.systems.is_empty() || self.systems.iter().any(|name| name == system || name == by_build)
    }

    /// Names that were asked for and that no system has.
    #[must_use]
    pub fn unknown<'a>(&'a self, systems: &[&str]) -> Vec<&'a str> {
        let is_known = |name: &str| {
            systems
                .iter()
                .any(|system| *system == name || system.rsplit_once('-').is_some_and(|s| s.0 == name))
        };
        self.systems.iter().map(String::as_str).filter(|name| !is_known(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_build_stands_for_both_of_its_levels() {
        let cli = Cli::try_parse_from(["bench", "--systems", "floor,zog"]).unwrap();
        assert!(cli.run.wants("floor") && cli.run.wants("zog-journaled") && cli.run.wants("zog-synced"));
        assert!(!cli.run.wants("floor+ok") && !cli.run.wants("before-synced"));
        assert_eq!(cli.run.unknown(&["zog-synced"]), ["floor"]);
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for args in ["--size 0", "--size 512", "--rounds 0", "--tests flood-six", "--with x", "--messages 1"]
        {
            assert!(Cli::try_parse_from(std::iter::once("bench").chain(args.split(' '))).is_err(), "{args}");
        }
    }
}
