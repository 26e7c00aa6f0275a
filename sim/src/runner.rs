//! Seeds after seeds of scenarios, in several threads, and what came of them.

use crate::faults::FAULTS;
use crate::outcome::{Counts, Outcome};
use crate::scenario::Scenario;
use crate::trace::Tracing;
use crate::world::simulate;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Failures of which each is told; beyond it they are counted.
const TOLD_MAX: usize = 20;

/// What came of all runs of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Runs in which something was broken: the seed, and what.
    pub failures: Vec<(u64, String)>,
    /// Runs that prove nothing: the seed, and why.
    pub voids: Vec<(u64, String)>,
    /// All that was counted.
    pub counts: Counts,
    /// Virtual microseconds.
    pub virtual_us: u64,
    /// The time that threads spent on it.
    pub real: Duration,
}

impl Tally {
    /// Whether so many runs do not count that the scenario shows little: now and then the dice give no fault of a kind.
    #[must_use]
    pub fn is_mostly_void(&self) -> bool {
        4 * self.voids.len() as u64 > self.runs
    }

    fn add(&mut self, seed: u64, outcome: Outcome, real: Duration) {
        self.runs += 1;
        if let Some((at, what)) = outcome.broken {
            self.failures.push((seed, format!("{what} (at {:.6} s)", at as f64 / 1e6)));
        } else if let Some(why) = outcome.void {
            self.voids.push((seed, why));
        }
        self.counts.add(&outcome.counts);
        self.virtual_us += outcome.virtual_us;
        self.real += real;
    }

    /// How many times faster than life one core ran it.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.virtual_us as f64 / 1e6 / self.real.as_secs_f64().max(1e-9)
    }

    /// One line for a person.
    #[must_use]
    pub fn line(&self, name: &str) -> String {
        let Tally { runs, counts, failures, voids, .. } = self;
        let faults = FAULTS.iter().zip(counts.faults).filter(|(_, n)| *n > 0);
        let faults: Vec<String> = faults.map(|((_, kind), n)| format!("{kind} {n}")).collect();
        format!(
            "{name}: {runs} seeds, {:.0} s virtual in {:.1} s of one core ({:.0} x), {} messages, {} answered OK, \
             {} turns, {} starts, converged within {:.1} s; faults: {}; {} failed, {} void",
            self.virtual_us as f64 / 1e6,
            self.real.as_secs_f64(),
            self.ratio(),
            counts.said,
            counts.answered,
            counts.turns,
            counts.starts,
            counts.converged_us as f64 / 1e6,
            if faults.is_empty() { "none".to_owned() } else { faults.join(", ") },
            failures.len(),
            voids.len(),
        )
    }

    /// The commands that replay what failed.
    pub fn replays(&self, name: &str) -> impl Iterator<Item = String> {
        let all = self.failures.iter().chain(&self.voids).take(TOLD_MAX);
        all.map(move |(seed, what)| {
            format!("  {what}\n    zog-sim replay --scenario {name} --seed {seed} --trace")
        })
    }
}

/// Runs a scenario with the seeds of a range, until a time if one is given.
#[must_use]
pub fn run(scenario: &Scenario, seeds: std::ops::Range<u64>, jobs: usize, until: Option<Instant>) -> Tally {
    run_each(seeds, jobs, until, |seed| simulate(scenario, seed, Tracing::Hash))
}

/// Runs something for every number of a range, in several threads.
#[must_use]
pub fn run_each(
    seeds: std::ops::Range<u64>,
    jobs: usize,
    until: Option<Instant>,
    one: impl Fn(u64) -> Outcome + Sync,
) -> Tally {
    let (next, tally) = (AtomicU64::new(seeds.start), Mutex::new(Tally::default()));
    std::thread::scope(|threads| {
        for _ in 0..jobs.max(1) {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || until.is_some_and(|until| Instant::now() >= until) {
                        return;
                    }
                    let began = Instant::now();
                    let outcome = one(seed);
                    if let Ok(mut tally) = tally.lock() {
                        tally.add(seed, outcome, began.elapsed());
                    }
                }
            });
        }
    });
    let mut tally = tally.into_inner().unwrap_or_default();
    tally.failures.sort();
    tally.voids.sort();
    tally
}
