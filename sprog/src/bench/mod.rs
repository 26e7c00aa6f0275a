//! `sprog bench`: how fast a ring takes messages, and how long each waits for its answer.

mod feed;
mod report;

pub(crate) use report::{Report, Terms};

use crate::cli::{self, HostArgs, WINDOW_MAX};
use crate::client::{Client, Manner};
use crate::exit::{Exit, Failure};
use crate::ledger::Ledger;
use crate::output::Shown;
use crate::payload::Lengths;
use crate::rt;
use crate::run::{random_seed, send_all, token, verdict};
use crate::target::targets;
use clap::Args;
use feed::Feed;
use pzog::Level;
use std::path::PathBuf;
use std::rc::Rc;

/// What is sent, and how.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Where the hosts are.
    #[command(flatten)]
    hosts: HostArgs,
    /// How many messages are sent, by all clients together; each sends as many as the others
    #[arg(short, long, value_name = "COUNT", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// How many clients send, each with a session of its own; the hosts have them in turn
    #[arg(short = 'C', long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=CLIENTS_MAX))]
    clients: u32,
    /// Messages of one client that may be unanswered at a time; 1: each waits for the one before
    #[arg(long, value_name = "COUNT", default_value_t = WINDOW_MAX, value_parser = cli::window())]
    window: u64,
    /// Length of the messages: one number, or a range with both ends included
    #[arg(long, value_name = "RANGE", default_value = "60")]
    size: Lengths,
    /// Messages a second, from all clients together [default: as fast as they are answered]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// How far a message must have come to be answered OK [default: as ring.toml says at the host]
    #[arg(long, value_name = "LEVEL", value_parser = cli::level())]
    ack: Option<Level>,
    /// Append every message sent and every answer to this file, as `zog verify --sent` reads it
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values instead of text: a line of names, one for each host, one for all
    #[arg(long)]
    csv: bool,
}

/// As many connections as a daemon takes by default.
const CLIENTS_MAX: i64 = 16_384;

/// Sends, waits for every answer, and reports.
pub(crate) fn run(args: &BenchArgs) -> Result<Exit, Failure> {
    let (targets, settings) = targets(&args.hosts)?;
    let seed = random_seed()?;
    // A host without a client has a lane all the same: others may bring it what their own host does not take.
    let lanes = targets.len().max(args.clients as usize);
    let tokens = (0..lanes).map(|_| token()).collect::<Result<Vec<_>, _>>()?;
    let shown = Shown { line_per_message: false, json: args.json, quiet: false, count: Some(args.messages) };
    let ledger = Ledger::open(args.log.as_deref(), &shown, &targets)?;
    let manner = Manner { timeout: args.hosts.timeout, window: args.window, ack: args.ack };
    let client = Rc::new(Client::new(&manner, targets, &settings, ledger, &tokens));
    let mut feed = Feed::new(args, seed, client.now());
    let stopped = rt::block_on(send_all(&client, feed.run(&client)))?;
    let took = client.now() - feed.started();
    let terms = Terms {
        clients: args.clients,
        window: args.window,
        rate: args.rate,
        ack: args.ack.map(Level::word),
        text_bytes: feed.text_bytes(),
        csv: args.csv,
    };
    client.ledger.borrow_mut().close_bench(&terms, took, seed)?;
    Ok(verdict(&client, stopped))
}
