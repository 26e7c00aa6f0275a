//! What a message costs as the ring grows: more hosts, longer messages, more clients.

use crate::cli::GrowthArgs;
use crate::interrupt;
use crate::machine::{Provenance, date, wait_until_quiet};
use crate::measure::measure;
use crate::plan::{Plan, Test};
use crate::plot::Plot;
use crate::record::{Measured, Outcome, Record, Records};
use crate::runs::{Spread, faults};
use crate::site::NODES;
use crate::systems::{System, zog_journaled};
use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;

/// One thing that grows while all others stay as they are.
struct Series {
    name: &'static str,
    steps: &'static [u32],
    /// The nodes, bytes of a message and clients of a step.
    shape: fn(u32) -> (usize, usize, usize),
    plots: &'static [Drawing],
}

/// What is drawn of a series.
struct Drawing {
    file: &'static str,
    title: &'static str,
    x: &'static str,
    y: &'static str,
    figure: fn(&Measured, u32) -> f64,
}

const SERIES: [Series; 3] = [
    Series {
        name: "hosts",
        steps: &[2, 3, 5, 9, 15, 25],
        shape: |hosts| (hosts as usize, 60, 1),
        plots: &[Drawing {
            file: "growth-hosts.svg",
            title: "A flood of one client: what each host spends on a message",
            x: "hosts",
            y: "CPU µs per message and host",
            figure: |run, hosts| run.cpu_us / f64::from(hosts),
        }],
    },
    Series {
        name: "sizes",
        steps: &[32, 64, 128, 256, 511],
        shape: |size| (NODES, size as usize, 1),
        plots: &[Drawing {
            file: "growth-sizes.svg",
            title: "Five hosts, a flood of one client: what all spend on a message",
            x: "bytes of a message",
            y: "CPU µs per message",
            figure: |run, _| run.cpu_us,
        }],
    },
    Series {
        name: "clients",
        steps: &[1, 10, 100, 1000, 10_000],
        shape: |clients| (NODES, 60, clients as usize),
        plots: &[
            Drawing {
                file: "growth-clients.svg",
                title: "Five hosts, a flood: what all spend on a message",
                x: "clients",
                y: "CPU µs per message",
                figure: |run, _| run.cpu_us,
            },
            Drawing {
                file: "growth-memory.svg",
                title: "Five hosts, a flood: the largest daemon",
                x: "clients",
                y: "resident memory, MiB",
                figure: |run, _| run.peak_mib,
            },
        ],
    },
];

/// Measures all series, and draws them. Whether all files of all runs were right.
pub fn run(args: &GrowthArgs) -> Result<bool> {
    allow_many_files()?;
    let plan = args.plan()?;
    let system = zog_journaled(&args.zog()?);
    ensure!(system.program().is_file(), "there is no {}", system.program().display());
    let provenance = Provenance::of(&plan.dir, "scripts/bench growth".to_owned())?;
    let path = plan.dir.join(format!("growth-{}.jsonl", date("+%Y%m%dT%H%M%S")?));
    let mut file = Records::create(&path, &provenance)?;
    let mut records = Vec::new();
    for round in 0..args.rounds() {
        for series in &SERIES {
            for step in series.steps {
                let record = one(&*system, series, *step, round, args, &plan)?;
                file.add(&record)?;
                records.push(record);
            }
        }
    }
    draw_all(args, &provenance, &records)?;
    faults(&records).iter().for_each(|fault| println!("- {fault}"));
    eprintln!("records: {}", path.display());
    Ok(faults(&records).is_empty())
}

/// Ten thousand clients need as many open files here, and a fifth of it in each daemon.
fn allow_many_files() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("open files cannot be raised")
}

/// Bytes that all files of a run take together, at most: about as many messages as fill a second.
const BYTES: usize = 500_000_000;

fn one(
    system: &dyn System,
    series: &Series,
    step: u32,
    round: u32,
    args: &GrowthArgs,
    plan: &Plan,
) -> Result<Record> {
    let (nodes, size, clients) = (series.shape)(step);
    let line = system.line().length(size) as usize;
    let part = if args.quick { 10 } else { 1 };
    let messages = (BYTES / part / nodes / line).min(system.flood() as usize / part).max(clients);
    let plan = Plan { nodes, size, messages: Some(messages as u32), ..plan.clone() };
    let busy_cores = wait_until_quiet(args.quiet())?;
    let outcome = match measure(system, Test::Flood { clients }, &plan) {
        Ok(measured) => Outcome::Measured(measured),
        Err(e) => {
            interrupt::check()?; // then it is no fault of the system
            Outcome::Failed(format!("{e:#}"))
        }
    };
    let test = test_name(series, step);
    match &outcome {
        Outcome::Measured(m) => {
            eprintln!("{test}: CPU {:.3} µs per message, {:.1} MiB", m.cpu_us, m.peak_mib);
        }
        Outcome::Failed(why) => eprintln!("{test}: FAILED: {why}"),
    }
    Ok(Record { system: system.name().to_owned(), test, round, busy_cores, outcome })
}

fn test_name(series: &Series, step: u32) -> String {
    format!("{}-{step}", series.name)
}

fn draw_all(args: &GrowthArgs, provenance: &Provenance, records: &[Record]) -> Result<()> {
    for series in &SERIES {
        for drawing in series.plots {
            let points: Vec<(u32, Spread)> = series
                .steps
                .iter()
                .filter_map(|step| Some((*step, point(series, drawing, *step, records)?)))
                .collect();
            let plot = Plot {
                title: drawing.title,
                x: drawing.x,
                y: drawing.y,
                points: &points,
                note: &format!("{}, commit {}: {}", provenance.date, provenance.commit, provenance.machine),
            };
            let path = args.write.as_deref().unwrap_or(&args.dir).join(drawing.file);
            fs::write(&path, plot.svg()).with_context(|| format!("{} cannot be written", path.display()))?;
            println!("{}", path.display());
        }
    }
    Ok(())
}

fn point(series: &Series, drawing: &Drawing, step: u32, records: &[Record]) -> Option<Spread> {
    let test = test_name(series, step);
    let figures =
        records.iter().filter(|record| record.test == test).filter_map(|record| match &record.outcome {
            Outcome::Measured(run) if run.findings.is_clean() => Some((drawing.figure)(run, step)),
            _ => None,
        });
    Spread::of(figures.collect())
}
