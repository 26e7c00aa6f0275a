//! All rounds of a call.

use crate::cli::RunArgs;
use crate::document;
use crate::interrupt;
use crate::machine::{Provenance, date, wait_until_quiet};
use crate::measure::measure;
use crate::plan::{Plan, Test};
use crate::record::{Outcome, Record, Records};
use crate::runs::faults;
use crate::systems::{self, System};
use crate::table;
use anyhow::{Result, bail};

type Systems = Vec<Box<dyn System>>;

/// Measures what is asked for, and tells it. Whether all files of all runs were right.
pub fn run(args: &RunArgs) -> Result<bool> {
    let plan = args.plan()?;
    let (systems, skipped) = available(args)?;
    skipped.iter().for_each(|line| eprintln!("skipped: {line}"));
    let typed: Vec<String> = std::env::args().skip(1).collect();
    let provenance =
        Provenance::of(&plan.dir, format!("scripts/bench {}", typed.join(" ")).trim_end().to_owned())?;
    let path = plan.dir.join(format!("{}.jsonl", date("+%Y%m%dT%H%M%S")?));
    let mut file = Records::create(&path, &provenance)?;
    let mut records = Vec::new();
    for round in 0..args.rounds() {
        for test in args.tests() {
            for turn in 0..systems.len() {
                // Whoever begins in one round is last in the next.
                let system = &*systems[(turn + round as usize) % systems.len()];
                let record = one(system, test, round, args, &plan)?;
                eprintln!("{}", told(&record));
                file.add(&record)?;
                records.push(record);
            }
        }
    }
    let report = table::report(&provenance, &records, &skipped);
    print!("{report}");
    eprintln!("records: {}", path.display());
    if let Some(document) = &args.write {
        document::replace(document, "scripts/bench", &report)?;
    }
    Ok(faults(&records).is_empty())
}

/// The systems that are asked for and are there; and those that are not, with what is lacking.
fn available(args: &RunArgs) -> Result<(Systems, Vec<String>)> {
    let all = systems::all(&args.programs()?)?;
    let names: Vec<&str> = all.iter().map(|system| system.name()).collect();
    if let [unknown, ..] = args.unknown(&names)[..] {
        bail!("there is no system {unknown:?}; there are {}", names.join(", "));
    }
    let asked = all.into_iter().filter(|system| args.wants(system.name()));
    let (there, lacking): (Systems, Systems) = asked.partition(|system| system.program().is_file());
    let skipped = lacking.iter().map(|s| format!("{}: there is no {}", s.name(), s.program().display()));
    Ok((there, skipped.collect()))
}

fn one(system: &dyn System, test: Test, round: u32, args: &RunArgs, plan: &Plan) -> Result<Record> {
    let busy_cores = wait_until_quiet(args.quiet())?;
    let outcome = match measure(system, test, plan) {
        Ok(measured) => Outcome::Measured(measured),
        Err(e) => {
            interrupt::check()?; // then it is no fault of the system
            Outcome::Failed(format!("{e:#}"))
        }
    };
    Ok(Record { system: system.name().to_owned(), test: test.to_string(), round, busy_cores, outcome })
}

/// A line on the way.
fn told(record: &Record) -> String {
    let figures = match &record.outcome {
        Outcome::Failed(why) => format!("FAILED: {why}"),
        Outcome::Measured(m) => {
            let speed = match (m.messages_per_s, m.latency) {
                (Some(speed), _) => format!("{speed:10.0} messages/s"),
                (_, Some(latency)) => format!("p50 {:.0} µs, p99 {:.0} µs", latency.p50_us, latency.p99_us),
                _ => String::new(),
            };
            let files = if m.findings.is_clean() { "" } else { ", FILES ARE WRONG" };
            format!("{speed}, CPU {:.3} µs per message, {:.1} MiB{files}", m.cpu_us, m.peak_mib)
        }
    };
    format!("round {} {:11} {:14} {figures}", record.round + 1, record.test, record.system)
}
