//! The daemon of the zog message ring, and what proves that it delivers.

mod access_log;
mod alarm;
mod ask;
mod bucket;
mod check;
mod check_ring;
mod cli;
mod clock;
mod connection;
mod connections;
mod daemon;
mod descriptors;
mod dialer;
mod door;
mod error_log;
mod exit;
mod failure;
mod floor;
mod gather;
mod half_open;
mod halt;
mod held;
mod http;
mod journal;
mod keys;
mod limiter;
mod listener;
mod log_file;
mod log_start;
mod manual;
mod notify;
mod places;
mod refusals;
mod reload;
mod reports;
mod rotate;
mod rotated;
mod rt;
mod run;
mod segments;
mod serve;
mod signals;
mod state_dir;
mod status;
mod stop;
mod sync;
mod table;
mod tls;
mod tokens;
mod top;
mod verify;
mod whoami;

use clap::Parser;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Cli::parse().command.carry_out() {
        Ok(exit) => exit.into(),
        Err(failed) => {
            // Whoever does not read this still gets the exit code.
            let _ = writeln!(io::stderr(), "zog: {}", failed.message);
            failed.exit.into()
        }
    }
}
