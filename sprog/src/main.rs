//! `sprog`: sends messages into the ring and answers for each of them.

mod answer;
mod ask;
mod auth;
mod bell;
mod bench;
mod cli;
mod client;
mod connection;
mod exit;
mod feed;
mod inbox;
mod lane;
mod ledger;
mod lines;
mod output;
mod pace;
mod payload;
mod rt;
mod run;
mod sent_log;
mod session;
mod source;
mod status;
mod stream;
mod summary;
mod table;
mod target;
mod who;

use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let exit = run::run(&cli::Cli::parse()).unwrap_or_else(|failure| {
        // Where standard error is gone too, the exit code is all that is left to say it with.
        let _ = writeln!(std::io::stderr(), "sprog: {failure}");
        failure.exit
    });
    exit.into()
}
