//! The command line: its types, whose doc comments are the help.

use crate::bench::BenchArgs;
use crate::exit::{EXIT_CODES, Exit, Failure, STATUS_EXIT_CODES, WHO_EXIT_CODES};
use crate::lines;
use crate::output::Shown;
use crate::payload::Lengths;
use clap::{
    Args, CommandFactory, Parser, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser,
};
use pzog::Level;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Send messages into a zog ring, and answer for each of them.
///
/// Without options: every 10 s one message of random printing characters to a randomly chosen host of the ring,
/// until Ctrl-C. Then answers still outstanding are waited for (5 s at most) and a summary is printed. Every
/// message ends as OK, as PENDING (on the disk of the host that took it, not yet of as many hosts as --ack asks
/// for), as refused, or as lost; never silently.
#[derive(Parser, Debug)]
#[command(version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    /// Something other than sending.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Which hosts.
    #[command(flatten)]
    pub(crate) ring: RingArgs,
    /// What, how often, how many.
    #[command(flatten)]
    pub(crate) messages: MessageArgs,
    /// What is told.
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// Something other than sending.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Tell which hosts have a message, and why the others have not
    ///
    /// A message is named by its id (HOST/INCARNATION.NUMBER, as this command prints it), or by its whole text;
    /// then every message with that text is shown that is still in the journal of the host that is asked (the 100
    /// newest). Where that host knows none, the others are asked. With --all a host has a message where any host
    /// that answered knows so.
    #[command(after_help = WHO_EXIT_CODES)]
    Who {
        /// The id of a message, or its text
        #[arg(value_name = "ID|TEXT", value_parser = text)]
        message: String,
        /// Whom to ask.
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Show what a host knows of itself and of the others: links, streams of messages, what is missing where
    ///
    /// A stream is what one host has sent since one of its starts. Of each: told is the highest number heard of,
    /// and always logged + repeats + given_up + missing. A mark is how far another host has told to have a stream.
    #[command(after_help = STATUS_EXIT_CODES)]
    Status(AskArgs),
    /// Measure how fast a ring takes messages, and how long each waits for its answer
    ///
    /// Sends random texts from several clients, each of which has a session with its host and repeats what was not
    /// answered, through other hosts if it must: the messages are real, and stand in every access.log. A latency is
    /// the time from when a message was made, or was due at --rate, until its answer; without --rate every client
    /// always has its whole window under way, so most of a latency is waiting in turn.
    #[command(after_help = EXIT_CODES)]
    Bench(BenchArgs),
    /// Write shell completions to standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual page (roff) to standard output, or those of all commands to a directory
    Man {
        /// Where sprog.1, sprog-bench.1 … are written
        dir: Option<PathBuf>,
    },
}

/// Where the hosts are, and how long they are waited for.
#[derive(Args, Debug)]
#[command(next_help_heading = "Hosts")]
pub(crate) struct HostArgs {
    /// The ring's hosts [default: ring.toml here, else /etc/zog/ring.toml]
    #[arg(short, long, value_name = "FILE", env = ringfile::place::VARIABLE)]
    pub(crate) config: Option<PathBuf>,
    /// The ring runs on this machine: host i listens on 127.0.0.1, port 55552+10i
    #[arg(long)]
    pub(crate) local: bool,
    /// Only this host of the ring and no other, given by name or address
    #[arg(short, long, alias = "specificHost", value_name = "HOST", group = "choice")]
    pub(crate) specific_host: Option<String>,
    /// Only the daemon on 127.0.0.1; without -c no ring.toml is needed
    #[arg(short = 'T', long, group = "choice")]
    pub(crate) testing: bool,
    /// Where the hosts let in only who knows a token: the file whose first line it is
    #[arg(long, value_name = "FILE", env = "SPROG_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Speak TLS with the hosts, which prove their names [default: where ring.toml has tls_clients = "required"]
    #[arg(long)]
    pub(crate) tls: bool,
    /// The ring's ca.pem, by which the hosts' certificates are known; with --tls [default: keys/ca.pem beside ring.toml]
    #[arg(long, value_name = "FILE", env = "SPROG_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// A host that gave no answer for so long is left for another one
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = positive_time)]
    pub(crate) timeout: Duration,
}

/// Which hosts are sent to, and how.
#[derive(Args, Debug)]
#[command(next_help_heading = "Hosts")]
pub(crate) struct RingArgs {
    /// Where they are.
    #[command(flatten)]
    pub(crate) hosts: HostArgs,
    /// Send to the hosts in turn, in ring order
    #[arg(short, long, alias = "roundRobin", group = "choice")]
    pub(crate) round_robin: bool,
    /// While the host of -s gives no answer, send to the others
    #[arg(long, requires = "specific_host", conflicts_with_all = ["testing", "round_robin"])]
    pub(crate) failover: bool,
    /// Messages to one host that may be unanswered at a time; by default as many as a daemon lets repeat
    #[arg(long, value_name = "COUNT", default_value_t = WINDOW_MAX, value_parser = window())]
    pub(crate) window: u64,
    /// How far a message must have come to be answered OK [default: as ring.toml says at the host]
    #[arg(long, value_name = "LEVEL", value_parser = level())]
    pub(crate) ack: Option<Level>,
}

/// Whom to ask.
#[derive(Args, Debug)]
pub(crate) struct AskArgs {
    /// Where the hosts are.
    #[command(flatten)]
    pub(crate) hosts: HostArgs,
    /// Ask every host, and show what each one says [default: the first host that answers]
    #[arg(short, long, group = "choice")]
    pub(crate) all: bool,
    /// Print JSON, one object a line, instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is sent, how often, how many times.
#[derive(Args, Debug)]
#[command(next_help_heading = "Messages")]
pub(crate) struct MessageArgs {
    /// Time from one message to the next; 0: as fast as answered [default: 10s, or 0 with --stdin]
    #[arg(short, long, value_name = "TIME", value_parser = time)]
    pub(crate) interval: Option<Duration>,
    /// Vary each interval at random between half and one and a half times its length
    #[arg(short, long)]
    pub(crate) jitter: bool,
    /// Stop after so many messages
    #[arg(short = 'n', long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Send this text each time
    #[arg(short, long, value_name = "TEXT", value_parser = text, group = "content")]
    pub(crate) message: Option<String>,
    /// Send each line of standard input, as it comes
    #[arg(long, group = "content")]
    pub(crate) stdin: bool,
    /// Length of random messages: one number, or a range with both ends included
    #[arg(long, value_name = "RANGE", default_value = "32..63", conflicts_with = "content")]
    pub(crate) length: Lengths,
    /// Draw the same messages, hosts and jitter each time [default: a new number each time]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
}

/// What is told, and where.
#[derive(Args, Debug)]
#[command(next_help_heading = "Report")]
pub(crate) struct ReportArgs {
    /// Append every message sent and every answer to this file, as `zog verify --sent` reads it
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Print JSON, one object a line, instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Print warnings only
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print a line for every answer, also where the interval is below 10 ms
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// Intervals below this have no line per message, unless `-v` asks for it.
const LINES_FROM_INTERVAL: Duration = Duration::from_millis(10);

impl Cli {
    /// Time from one message to the next.
    pub(crate) fn interval(&self) -> Duration {
        let silent = if self.messages.stdin { Duration::ZERO } else { Duration::from_secs(10) };
        self.messages.interval.unwrap_or(silent)
    }

    /// Whether every answer has its line on standard output.
    pub(crate) fn line_per_message(&self) -> bool {
        !self.report.quiet && (self.report.verbose || self.interval() >= LINES_FROM_INTERVAL)
    }

    /// What is shown of it.
    pub(crate) fn shown(&self) -> Shown {
        Shown {
            line_per_message: self.line_per_message(),
            json: self.report.json,
            quiet: self.report.quiet,
            count: self.messages.count,
        }
    }

    /// Whether sending ends by itself.
    pub(crate) fn is_finite(&self) -> bool {
        self.messages.count.is_some() || self.messages.stdin
    }
}

fn time(written: &str) -> Result<Duration, String> {
    humantime::parse_duration(written).map_err(|e| format!("{e}; write it as 10s, 250ms, 1m 30s or 0"))
}

fn positive_time(written: &str) -> Result<Duration, String> {
    let time = time(written)?;
    if time.is_zero() { Err("it must be longer than nothing".to_owned()) } else { Ok(time) }
}

fn text(written: &str) -> Result<String, String> {
    if written.contains(['\r', '\n']) {
        return Err("a message is one line; use --stdin to send several".to_owned());
    }
    lines::fits(written.len())?;
    Ok(written.to_owned())
}

/// A daemon knows the texts of so many numbers of a session; what is repeated must not reach further back.
pub(crate) const WINDOW_MAX: u64 = pzog::limits::SESSION_RECENT as u64;

pub(crate) fn window() -> impl TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(1..=WINDOW_MAX)
}

pub(crate) fn level() -> impl TypedValueParser<Value = Level> {
    PossibleValuesParser::new(Level::LADDER.map(Level::word)).map(|word| {
        // The parser lets no other words through.
        Level::of_word(word.as_bytes()).unwrap_or_default()
    })
}

/// `sprog completions`.
pub(crate) fn write_completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sprog", &mut script);
    write_out(&script)
}

/// `sprog man`.
pub(crate) fn write_man(dir: Option<&Path>) -> Result<Exit, Failure> {
    if let Some(dir) = dir {
        let written =
            std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
        return written.map(|()| Exit::Answered).map_err(|e| {
            Failure::new(Exit::Io, format!("manual pages cannot be written to {}: {e}", dir.display()))
        });
    }
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|e| Failure::new(Exit::Io, format!("the manual page could not be made: {e}")))?;
    write_out(&page)
}

/// Writes the whole output of a command that only tells something.
pub(crate) fn write_out(bytes: &[u8]) -> Result<Exit, Failure> {
    match std::io::stdout().write_all(bytes) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Io, format!("standard output cannot be written: {e}")))
        }
        _ => Ok(Exit::Answered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("sprog").chain(args.split_whitespace()))
    }

    #[test]
    fn the_command_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_seed_s_spellings_are_understood() {
        assert!(parsed("--roundRobin").unwrap().ring.round_robin);
        assert_eq!(parsed("--specificHost MV").unwrap().ring.hosts.specific_host.as_deref(), Some("MV"));
        assert!(parsed("--testing").unwrap().ring.hosts.testing);
    }

    #[test]
    fn times_are_read_and_explained() {
        assert_eq!(parsed("-i 0").unwrap().interval(), Duration::ZERO);
        assert_eq!(parsed("-i 250ms").unwrap().interval(), Duration::from_millis(250));
        assert_eq!(parsed("").unwrap().interval(), Duration::from_secs(10));
        assert_eq!(parsed("--stdin").unwrap().interval(), Duration::ZERO);
        assert!(parsed("-i 10").unwrap_err().to_string().contains("250ms"));
        assert!(parsed("--timeout 0s").is_err());
    }

    #[test]
    fn a_line_per_message_only_where_a_person_can_follow() {
        for (args, lines) in
            [("", true), ("-i 0", false), ("-i 0 -v", true), ("-q", false), ("-i 9ms", false)]
        {
            assert_eq!(parsed(args).unwrap().line_per_message(), lines, "{args}");
        }
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        for args in [
            "-r -T",
            "-r -s MV",
            "-m x --stdin",
            "-m x --length 3",
            "-q -v",
            "-n 0",
            "--ack some",
            "--failover",
            "-T --failover",
            "status --all -s MV",
            "who x -T -s MV",
            "who",
        ] {
            assert_eq!(parsed(args).unwrap_err().exit_code(), 2, "{args}");
        }
        assert!(Cli::try_parse_from(["sprog", "-m", "two\nlines"]).is_err());
        assert_eq!(parsed("--ack majority").unwrap().ring.ack, Some(Level::Majority));
    }
}
