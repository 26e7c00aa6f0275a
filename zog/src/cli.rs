//! The command line: types, whose comments are the help, and which command is whose work.

use crate::exit::{Exit, Failed};
use crate::verify::{self, Verdict, VerifyArgs};
use crate::{check, keys, manual, run, status, top};
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use log::LevelFilter;
use std::path::PathBuf;
use std::time::Duration;

/// The daemon of the zog message ring.
///
/// Any program hands a line of text to any host of the ring; every host writes it to its own access.log, once.
#[derive(Parser, Debug)]
#[command(name = "zog", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all is well, 1 the answer is no (logs that differ, hosts that disagree or do not answer), 2 wrong usage \
(of `zog verify` also: a log cannot be read), \
69 a port or address cannot be had, 74 a file cannot be used, 75 the state directory is in use, \
78 ring.toml is wrong or does not say who this host is, 130 a second signal came.";

/// What `zog` can do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run this host's daemon until SIGTERM or SIGINT.
    ///
    /// When both ports are open it prints one line on standard output:
    /// `zog NAME ready ring=ADDR:PORT clients=ADDR:PORT`.
    /// SIGTERM and SIGINT end it in order within 5 s, a second one at once.
    /// SIGHUP reads ring.toml again and opens the logs anew.
    Run(RunArgs),
    /// Check ring.toml, and show the ring and which of its hosts this machine is.
    Check(CheckArgs),
    /// Show this host and the ring: what it says of each other host, what that one says of it, and where they disagree.
    ///
    /// All hosts of ring.toml are asked on their client ports. Ends with 1 where a host does not answer, is not
    /// linked, or does not agree, and with 69 where this host does not answer.
    Status(AskArgs),
    /// Show what goes on in the ring, a line for each host, anew each second; q or Ctrl-C ends it.
    ///
    /// What is written to a file or a pipe is written once, after a second.
    Top(TopArgs),
    /// Prove from the hosts' access logs that every message is in every log once.
    Verify(VerifyArgs),
    /// Make the keys with which hosts prove to each other who they are, and check them.
    Keys {
        /// What to do.
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Print the completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or write those of all commands to a directory.
    Man {
        /// Where zog.1, zog-run.1 … are written.
        dir: Option<PathBuf>,
    },
}

impl Command {
    /// Does it.
    pub(crate) fn carry_out(&self) -> Result<Exit, Failed> {
        match self {
            Command::Run(args) => run::run(args),
            Command::Check(args) => check::run(args),
            Command::Status(args) => status::run(args),
            Command::Top(args) => top::run(args),
            Command::Verify(args) => verify(args),
            Command::Keys { command } => keys::run(command),
            Command::Completions { shell } => manual::completions(*shell),
            Command::Man { dir } => manual::man(dir.as_deref()),
        }
    }
}

fn verify(args: &VerifyArgs) -> Result<Exit, Failed> {
    match verify::run(args) {
        Ok(Verdict::Proved) => Ok(Exit::Success),
        Ok(Verdict::NotProved) => Ok(Exit::Failure),
        Err(e) => Err(Failed::new(Exit::Usage, format!("{e:#}"))),
    }
}

/// Which ring, and who in it.
#[derive(clap::Args, Debug)]
pub(crate) struct RingArgs {
    /// The ring's file [default: ring.toml here, else /etc/zog/ring.toml]
    #[arg(short, long, value_name = "FILE", env = ringfile::place::VARIABLE)]
    pub(crate) config: Option<PathBuf>,
    /// This host's name in the ring [default: the host with this machine's name, or with one of its addresses]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// All hosts of the ring on this machine: host i has 127.0.0.1, ring port 55551+10i, client port 55552+10i, HTTP port 55550+10i.
    #[arg(long)]
    pub(crate) local: bool,
    /// Where this host's keys and the ring's ca.pem are, for tls and tls_clients in ring.toml [default: keys, beside ring.toml]
    #[arg(long, value_name = "DIR", env = "ZOG_KEYS")]
    pub(crate) keys: Option<PathBuf>,
}

/// Of `zog run`.
#[derive(clap::Args, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) ring: RingArgs,
    /// Where the daemon keeps its state, of which one daemon at a time has the lock
    /// [default: /var/lib/zog; with --local: zog-local/NAME/state here]
    #[arg(long, value_name = "DIR", env = "ZOG_STATE_DIR", verbatim_doc_comment)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Where access.log and error.log are [default: /var/log/zog; with --local: zog-local/NAME/log here]
    #[arg(long, value_name = "DIR", env = "ZOG_LOG_DIR")]
    pub(crate) log_dir: Option<PathBuf>,
    /// The least weight of what is told on standard error.
    #[arg(long, value_name = "LEVEL", env = "ZOG_LOG", default_value = "warn")]
    pub(crate) log_level: LogLevel,
    /// Tell more on standard error than --log-level says: -v by one level, -vv by two.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Of `zog check`.
#[derive(clap::Args, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) ring: RingArgs,
    /// Ask all hosts, too, and name those whose ring, version or clock is another one, or that are not linked.
    #[arg(long = "ring")]
    pub(crate) ask: bool,
    /// How long each host has to answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = patience, requires = "ask")]
    pub(crate) timeout: Duration,
}

/// Of `zog status`.
#[derive(clap::Args, Debug)]
pub(crate) struct AskArgs {
    #[command(flatten)]
    pub(crate) ring: RingArgs,
    /// How long each host has to answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = patience)]
    pub(crate) timeout: Duration,
}

/// Of `zog top`.
#[derive(clap::Args, Debug)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) ring: RingArgs,
    /// Show it once, after a second.
    #[arg(long)]
    pub(crate) once: bool,
    /// How long each host has to answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = patience)]
    pub(crate) timeout: Duration,
}

/// Seconds, a tenth at least.
fn patience(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "give seconds, from 0.1 to 3600".to_owned())
}

/// What `zog keys` can do.
#[derive(Subcommand, Debug)]
pub(crate) enum KeysCommand {
    /// Make the CA of a new ring: ca.pem, which every host needs, and ca.key, which only who issues keys does.
    Init {
        #[command(flatten)]
        place: KeysArgs,
        /// The ring's id, which stands in all its certificates [default: 64 random bits]
        #[arg(long, value_name = "ID")]
        ring: Option<String>,
        /// How long it is valid.
        #[arg(long, value_name = "DAYS", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
    },
    /// Make key and certificate of hosts: NAME.key and NAME.pem.
    Issue {
        #[command(flatten)]
        place: KeysArgs,
        /// Hosts of ring.toml.
        #[arg(value_name = "NAME", required_unless_present = "all")]
        names: Vec<String>,
        /// All hosts of ring.toml.
        #[arg(long, conflicts_with = "names")]
        all: bool,
        /// How long they are valid.
        #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
        /// Put them in the place of those that are there.
        #[arg(long)]
        replace: bool,
    },
    /// Show which keys are here, until when they are valid, and what is wrong with them.
    ///
    /// Exit code 1: something is, or keys of a host are not here.
    Check {
        #[command(flatten)]
        place: KeysArgs,
        /// Only this host need have its keys here.
        #[arg(short, long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Begin to change the CA: make a new one, beside the old one in ca.pem.
    AddCa {
        #[command(flatten)]
        place: KeysArgs,
        /// How long it is valid.
        #[arg(long, value_name = "DAYS", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
    },
    /// End the change of the CA: the newest alone stays in ca.pem.
    DropCa {
        #[command(flatten)]
        place: KeysArgs,
    },
}

/// Where the keys are.
#[derive(clap::Args, Debug)]
pub(crate) struct KeysArgs {
    /// The ring's file [default: ring.toml here, else /etc/zog/ring.toml]
    #[arg(short, long, value_name = "FILE", env = ringfile::place::VARIABLE)]
    pub(crate) config: Option<PathBuf>,
    /// The directory of the keys [default: keys, beside ring.toml]
    #[arg(long, value_name = "DIR", env = "ZOG_KEYS")]
    pub(crate) keys: Option<PathBuf>,
}

/// How much is told on standard error.
#[derive(Clone, Copy, ValueEnum, Debug)]
pub(crate) enum LogLevel {
    /// Nothing.
    Off,
    /// What a person must mend.
    Error,
    /// What somebody should know.
    Warn,
    /// Normal life.
    Info,
    /// For whoever works on zog.
    Debug,
    /// All.
    Trace,
}

impl RunArgs {
    /// The level with each `-v` counted in.
    pub(crate) fn level(&self) -> LevelFilter {
        let levels: Vec<LevelFilter> = LevelFilter::iter().collect();
        let level = self.log_level as usize + usize::from(self.verbose);
        levels[level.min(levels.len() - 1)]
    }
}
