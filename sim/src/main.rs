//! `zog-sim`: rings of the real core by scenario and seed.

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};
use sim::{Kind, Outcome, Scenario, Tally, Tracing, Traffic};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Parser)]
#[command(name = "zog-sim", about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run scenarios with many seeds
    Run(Run),
    /// Run one scenario with one seed, twice, and compare
    Replay(Replay),
    /// Run every one of the 1 024 ways in which links of five hosts can be cut
    Cuts(Cuts),
    /// Run every one of the 120 orders in which five hosts can be upgraded, from each former revision, and set back again
    Upgrades(Upgrades),
    /// Count what the hosts of rings of any size send each other
    Cost(Cost),
    /// Say which scenarios there are
    List,
}

#[derive(Args)]
struct Run {
    /// The scenario, or all
    #[arg(long, default_value = "all")]
    scenario: String,
    /// Seeds, as FROM..TO (TO is not run)
    #[arg(long, default_value = "0..100", value_parser = seeds)]
    seeds: std::ops::Range<u64>,
    /// Threads
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Stop after so many minutes, shared evenly by the scenarios
    #[arg(long)]
    minutes: Option<f64>,
}

#[derive(Args)]
struct Replay {
    #[arg(long)]
    scenario: String,
    #[arg(long)]
    seed: u64,
    /// Print everything that happens
    #[arg(long)]
    trace: bool,
}

#[derive(Args)]
struct Cuts {
    /// The seed of all runs
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// This pattern alone, with everything that happens
    #[arg(long)]
    pattern: Option<u32>,
}

#[derive(Args)]
struct Upgrades {
    /// The seed of all runs
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// This way alone, with everything that happens
    #[arg(long)]
    way: Option<u32>,
}

#[derive(Args)]
struct Cost {
    /// Hosts of each ring
    #[arg(long, default_value = "2,5,10,25,50,64", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(2..=64))]
    hosts: Vec<u8>,
    /// Hosts that are given messages [default: all]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    origins: Option<u8>,
    /// Messages a second that all of them are given together
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Virtual seconds of each run
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// The seed of all runs
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn seeds(text: &str) -> Result<std::ops::Range<u64>> {
    let (from, to) = text.split_once("..").context("seeds are FROM..TO, as in 0..1000")?;
    Ok(from.parse()?..to.parse()?)
}

fn main() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Replay(args) => replay(&args),
        Command::Cuts(args) => cuts(&args),
        Command::Upgrades(args) => upgrades(&args),
        Command::Cost(args) => costs(&args),
        Command::List => {
            Scenario::built_in()?.iter().for_each(|s| println!("{}: {}", s.name, s.about));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn find(name: &str) -> Result<Vec<Scenario>> {
    let mut all = Scenario::built_in()?;
    if name != "all" {
        all.retain(|scenario| scenario.name == name);
    }
    if all.is_empty() {
        bail!("there is no scenario {name}: see `zog-sim list`");
    }
    Ok(all)
}

fn run(args: &Run) -> Result<ExitCode> {
    let scenarios = find(&args.scenario)?;
    let began = Instant::now();
    let share = args.minutes.map(|minutes| Duration::from_secs_f64(60.0 * minutes / scenarios.len() as f64));
    let (mut runs, mut failed, mut void, mut virtual_s) = (0, 0, 0, 0.0);
    let mut is_good = true;
    for (scenario, n) in scenarios.iter().zip(1..) {
        let until = share.map(|share| began + share * n);
        let tally = sim::run(scenario, args.seeds.clone(), args.jobs, until);
        tell(&scenario.name, &tally);
        runs += tally.runs;
        (failed, void) = (failed + tally.failures.len(), void + tally.voids.len());
        is_good &= tally.failures.is_empty() && !tally.is_mostly_void();
        virtual_s += tally.virtual_us as f64 / 1e6;
    }
    let (real, days) = (began.elapsed().as_secs_f64(), virtual_s / 86_400.0);
    println!(
        "zog-sim: {runs} runs, {days:.1} days of virtual time in {real:.0} s, {failed} failed, {void} void"
    );
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(name: &str, tally: &Tally) {
    println!("{}", tally.line(name));
    tally.replays(name).for_each(|line| println!("{line}"));
}

fn replay(args: &Replay) -> Result<ExitCode> {
    let scenario = find(&args.scenario)?.remove(0);
    let tracing = if args.trace { Tracing::Print } else { Tracing::Hash };
    let outcome = sim::simulate(&scenario, args.seed, tracing);
    let again = sim::simulate(&scenario, args.seed, Tracing::Hash);
    let (name, seed) = (&scenario.name, args.seed);
    if again.hash != outcome.hash {
        bail!("{name} with seed {seed} went another way the second time: the simulator is not deterministic");
    }
    match (&outcome.broken, &outcome.void) {
        (Some((at, what)), _) => println!("{name}, seed {seed}: FAILED at {:.6} s: {what}", *at as f64 / 1e6),
        (None, Some(why)) => println!("{name}, seed {seed}: VOID: {why}"),
        (None, None) => println!("{name}, seed {seed}: passed, trace {:016x}", outcome.hash),
    }
    let is_good = outcome.broken.is_none() && outcome.void.is_none();
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A table in Markdown: what a host sends a second, on average, once all links are up.
fn costs(args: &Cost) -> Result<ExitCode> {
    println!(
        "| hosts | messages/s | data lines | most of one host | watermarks | keep-alives | sums | repair | bytes | bytes of \
         watermarks | bytes of links, once |\n|{}",
        " --- |".repeat(11)
    );
    let mut is_good = true;
    for hosts in &args.hosts {
        let origins = args.origins.map_or(*hosts, |origins| origins.min(*hosts));
        let cost = sim::cost(*hosts, origins, args.rate, args.seconds, args.seed)?;
        let count = f64::from(*hosts);
        let a_second = |of: &dyn Fn(&Traffic) -> u64| {
            cost.steady.iter().map(of).sum::<u64>() as f64 / count / f64::from(args.seconds)
        };
        let lines = |kind: Kind| a_second(&|traffic| traffic.lines(kind));
        let most = cost.steady.iter().map(|traffic| traffic.lines(Kind::Data)).max().unwrap_or_default();
        let linking = cost.linking.iter().map(Traffic::all_bytes).sum::<u64>() as f64;
        println!(
            "| {hosts} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} |",
            cost.messages as f64 / f64::from(args.seconds),
            lines(Kind::Data),
            most as f64 / f64::from(args.seconds),
            lines(Kind::Watermark),
            lines(Kind::Alive),
            lines(Kind::Sum),
            lines(Kind::Repair),
            a_second(&Traffic::all_bytes),
            a_second(&|traffic| traffic.bytes(Kind::Watermark)),
            linking / count,
        );
        if let Some((at, what)) = &cost.outcome.broken {
            println!("{hosts} hosts: FAILED at {:.6} s: {what}", *at as f64 / 1e6);
            is_good = false;
        }
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cuts(args: &Cuts) -> Result<ExitCode> {
    let scenario = find("cuts")?.remove(0);
    every(sim::PATTERNS, args.jobs, args.pattern, ("cuts", "pattern", args.seed), |pattern, tracing| {
        sim::simulate_cut(&scenario, pattern, args.seed, tracing)
    })
}

fn upgrades(args: &Upgrades) -> Result<ExitCode> {
    let scenario = find("rolling-upgrade")?.remove(0);
    every(sim::upgrades(&scenario), args.jobs, args.way, ("upgrades", "way", args.seed), |way, tracing| {
        sim::simulate_upgrade(&scenario, way, args.seed, tracing)
    })
}

/// Runs all cases of a command, or one of them and tells all of it.
fn every(
    cases: u32,
    jobs: usize,
    only: Option<u32>,
    (command, case, seed): (&str, &str, u64),
    simulate: impl Fn(u32, Tracing) -> Outcome + Sync,
) -> Result<ExitCode> {
    if let Some(number) = only {
        ensure!(number < cases, "{command}: --{case} is 0 to {}", cases - 1);
        let outcome = simulate(number, Tracing::Print);
        println!("{case} {number}: {:?}", outcome.broken);
        return Ok(if outcome.broken.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let all = 0..u64::from(cases);
    let tally = sim::run_each(all, jobs, None, |number| simulate(number as u32, Tracing::Hash));
    println!("{}", tally.line(&format!("{command} (each seed is another {case})")));
    for (number, what) in tally.failures.iter().chain(&tally.voids) {
        println!("  {what}\n    zog-sim {command} --seed {seed} --{case} {number}");
    }
    let is_good = tally.failures.is_empty() && tally.voids.is_empty();
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
