//! What zog costs as work grows: series of measurements in which one thing grows while all others stay as they are.

mod report;
mod series;

use self::report::{draw_all, tables};
use self::series::{Course, SERIES, Series, test_name};
use crate::catchup;
use crate::cli::GrowthArgs;
use crate::document;
use crate::interrupt;
use crate::longrun;
use crate::machine::{Provenance, date, wait_until_quiet};
use crate::measure::measure;
use crate::plan::{Plan, Test};
use crate::record::{Measured, Outcome, Record, Records};
use crate::runs::faults;
use crate::systems::{System, zog_at, zog_keeping_all};
use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What series may be asked for.
#[must_use]
pub fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(SERIES.iter().map(|series| series.name))
}

/// Measures all series that are asked for, draws and tells them. Whether all files of all runs were right.
pub fn run(args: &GrowthArgs) -> Result<bool> {
    allow_many_files()?;
    let mut growth = Growth::new(args)?;
    for round in 0..args.rounds() {
        for series in SERIES.iter().filter(|series| args.wants(series.name)) {
            if round == 0 || !series.course.is_long() {
                growth.measure(series, round)?;
            }
        }
    }
    growth.tell()
}

/// Ten thousand clients need as many open files here, and a fifth of it in each daemon.
fn allow_many_files() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("open files cannot be raised")
}

/// One call.
struct Growth<'a> {
    args: &'a GrowthArgs,
    plan: Plan,
    system: Box<dyn System>,
    provenance: Provenance,
    file: Records,
    records: Vec<Record>,
}

impl Growth<'_> {
    fn new(args: &GrowthArgs) -> Result<Growth<'_>> {
        let plan = args.plan()?;
        let program = args.zog()?;
        ensure!(program.is_file(), "there is no {}", program.display());
        let typed: Vec<String> = std::env::args().skip(1).collect();
        let provenance = Provenance::of(&plan.dir, format!("scripts/bench {}", typed.join(" ")))?;
        let path = plan.dir.join(format!("growth-{}.jsonl", date("+%Y%m%dT%H%M%S")?));
        let file = Records::create(&path, &provenance)?;
        eprintln!("records: {}", path.display());
        let system = zog_at(&args.level, &program);
        Ok(Growth { args, plan, system, provenance, file, records: Vec::new() })
    }

    fn measure(&mut self, series: &Series, round: u32) -> Result<()> {
        let steps = series.steps(self.args);
        match series.course {
            Course::Flood(shape) => steps
                .iter()
                .try_for_each(|step| self.one(series, *step, round, |growth| growth.flood(shape(*step)))),
            Course::CatchUp => steps.iter().try_for_each(|step| {
                self.one(series, *step, round, |growth| {
                    catchup::measure(&*growth.system, growth.messages(*step), &growth.plan)
                })
            }),
            Course::Memory => {
                let system = zog_at(&self.args.level, self.system.program());
                self.long(series, &steps, &*system, longrun::memory)
            }
            Course::Journals => {
                let system = zog_keeping_all(&self.args.level, self.system.program());
                self.long(series, &steps, &*system, longrun::journals)
            }
        }
    }

    fn one(
        &mut self,
        series: &Series,
        step: u32,
        round: u32,
        measure: impl FnOnce(&Growth) -> Result<Measured>,
    ) -> Result<()> {
        let busy_cores = wait_until_quiet(self.args.quiet())?;
        let measured = measure(self);
        self.keep(series, step, round, busy_cores, measured)
    }

    /// A series whose steps are stations of one run.
    fn long(&mut self, series: &Series, steps: &[u32], system: &dyn System, run: LongRun) -> Result<()> {
        let busy_cores = wait_until_quiet(self.args.quiet())?;
        let messages: Vec<u32> = steps.iter().map(|step| self.messages(*step)).collect();
        let mut measured = Vec::new();
        let done = run(system, &messages, &self.plan, &mut |count, figures| {
            let index = messages.iter().position(|messages| *messages == count).unwrap_or_default();
            measured.push((steps[index], figures));
            Ok(())
        });
        for (index, (step, figures)) in measured.iter().enumerate() {
            let round = measured[..index].iter().filter(|(other, _)| other == step).count() as u32;
            self.keep(series, *step, round, busy_cores, Ok(figures.clone()))?;
        }
        let last = steps.last().copied().unwrap_or_default();
        done.map_or_else(|e| self.keep(series, last, 0, busy_cores, Err(e)), Ok)
    }

    /// So many millions of messages, or a tenth of it.
    fn messages(&self, millions: u32) -> u32 {
        millions * 1_000_000 / self.part()
    }

    fn part(&self) -> u32 {
        if self.args.quick { 10 } else { 1 }
    }

    fn flood(&self, (nodes, size, clients): (usize, usize, usize)) -> Result<Measured> {
        let line = self.system.line().length(size) as usize;
        let most = self.system.flood() as usize / self.part() as usize;
        let messages = (BYTES / self.part() as usize / nodes / line).min(most).max(clients);
        let plan = Plan { nodes, size, messages: Some(messages as u32), ..self.plan.clone() };
        measure(&*self.system, Test::Flood { clients }, &plan)
    }

    fn keep(
        &mut self,
        series: &Series,
        step: u32,
        round: u32,
        busy_cores: f64,
        measured: Result<Measured>,
    ) -> Result<()> {
        let test = test_name(series, step);
        let outcome = match measured {
            Ok(measured) => {
                eprintln!("{test}: {}", series.told(&measured, step));
                Outcome::Measured(measured)
            }
            Err(e) => {
                interrupt::check()?; // then it is no fault of the system
                eprintln!("{test}: FAILED: {e:#}");
                Outcome::Failed(format!("{e:#}"))
            }
        };
        let record = Record { system: self.system.name().to_owned(), test, round, busy_cores, outcome };
        self.file.add(&record)?;
        self.records.push(record);
        Ok(())
    }

    fn tell(&self) -> Result<bool> {
        let series: Vec<&Series> = SERIES.iter().filter(|series| self.args.wants(series.name)).collect();
        let plots = draw_all(&series, self.args, &self.provenance, &self.records)?;
        plots.iter().for_each(|path| println!("{}", path.display()));
        let tables = tables(&series, self.args, &self.provenance, &self.records);
        print!("{tables}");
        if let Some(dir) = &self.args.write {
            document::replace(&dir.join("MEASURED.md"), "scripts/bench growth", &tables)?;
        }
        Ok(faults(&self.records).is_empty())
    }
}

type LongRun = fn(&dyn System, &[u32], &Plan, &mut longrun::Told) -> Result<()>;

/// Bytes that all files of a run take together, at most: about as many messages as fill a second.
const BYTES: usize = 500_000_000;
