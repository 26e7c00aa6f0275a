//! `zog-bench`: see `scripts/bench --help`.

use anyhow::Result;
use bench::cli::{CheckArgs, Cli, Command};
use bench::{check, document, floor, growth, interrupt, record, rounds, runs, sink, table};
use clap::Parser;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match carry_out(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("bench: {e:#}");
            ExitCode::from(if interrupt::check().is_err() { interrupt::EXIT } else { 1 })
        }
    }
}

/// Whether all is right.
fn carry_out(cli: &Cli) -> Result<bool> {
    match &cli.command {
        Some(Command::Floor(args)) => floor::run(args).map(|()| true),
        Some(Command::Sink(args)) => sink::run(args).map(|()| true),
        Some(Command::Growth(args)) => {
            interrupt::note_signals()?;
            growth::run(args)
        }
        Some(Command::Check(args)) => check_logs(args),
        Some(Command::Report { records, write }) => report(records, write.as_deref()),
        None => {
            interrupt::note_signals()?;
            rounds::run(&cli.run)
        }
    }
}

fn check_logs(args: &CheckArgs) -> Result<bool> {
    let mut is_clean = true;
    for log in &args.logs {
        let findings = check::check(log, &args.expected())?;
        println!("{} {}", serde_json::to_string(&findings)?, log.display());
        is_clean &= findings.is_clean();
    }
    Ok(is_clean)
}

fn report(path: &Path, write: Option<&Path>) -> Result<bool> {
    let (provenance, records) = record::read(path)?;
    let report = table::report(&provenance, &records, &[]);
    print!("{report}");
    write.map_or(Ok(()), |document| document::replace(document, "scripts/bench", &report))?;
    Ok(runs::faults(&records).is_empty())
}
