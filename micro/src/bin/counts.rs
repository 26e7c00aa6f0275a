//! Counts the instructions of every step and compares them with the committed baseline; `scripts/counts` runs it.

use anyhow::{Context, Result, bail};
use clap::Parser;
use micro::baseline::Baseline;
use micro::callgrind;
use micro::compare::{ALLOWED, Verdict, risen, verdict};
use micro::steps::{STEPS, Step};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Instructions of single steps of the core, compared with the committed baseline")]
struct Cli {
    /// The committed counts.
    #[arg(long, default_value = "micro/counts.txt")]
    baseline: PathBuf,
    /// Make what is counted now the baseline.
    #[arg(long)]
    accept: bool,
    /// Compiler and target of this build.
    #[arg(long, default_value = "")]
    made_with: String,
    /// Where callgrind's files are kept, for callgrind_annotate or kcachegrind.
    #[arg(long, default_value = ".")]
    directory: PathBuf,
    /// Only carry out this step, uncounted: what runs under callgrind.
    #[arg(long)]
    step: Option<String>,
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if let Some(name) = &cli.step {
        carry_out(name)?;
        return Ok(ExitCode::SUCCESS);
    }
    let now = count_all(&cli)?;
    if cli.accept {
        let path = cli.baseline.display();
        fs::write(&cli.baseline, now.to_text()).with_context(|| format!("cannot write {path}"))?;
        println!("{path} renewed");
        return Ok(ExitCode::SUCCESS);
    }
    compare(&cli, &now)
}

fn carry_out(name: &str) -> Result<()> {
    let step = Step::find(name).with_context(|| format!("there is no step {name}"))?;
    let mut round = step.make();
    for _ in 0..step.rounds {
        round();
    }
    Ok(())
}

fn count_all(cli: &Cli) -> Result<Baseline> {
    let program = env::current_exe().context("cannot find this program's own file")?;
    let mut steps = BTreeMap::new();
    for step in &STEPS {
        let counts = callgrind::count(&program, step.name, &cli.directory)?;
        steps.insert(step.name.to_owned(), counts);
    }
    Ok(Baseline { made_with: cli.made_with.clone(), steps })
}

fn compare(cli: &Cli, now: &Baseline) -> Result<ExitCode> {
    let path = cli.baseline.display();
    let text = fs::read_to_string(&cli.baseline).with_context(|| format!("cannot read {path}"))?;
    let before = Baseline::parse(&text).with_context(|| format!("{path} is not a baseline"))?;
    let is_comparable = before.made_with == now.made_with;
    println!("instructions   baseline  change  step (for one message)");
    let mut verdicts = Vec::new();
    for step in &STEPS {
        let Some(was) = before.steps.get(step.name) else {
            bail!("{path} has no step {}: scripts/counts --accept", step.name)
        };
        let is = &now.steps[step.name];
        let messages = step.handled();
        let of_one = |total: u64| total as f64 / messages as f64;
        let change = (is.total as f64 / was.total as f64 - 1.0) * 100.0;
        println!("{:12.1} {:10.1} {change:+6.1}%  {}", of_one(is.total), of_one(was.total), step.name);
        verdicts.push(verdict(was, is));
        if verdict(was, is) == Verdict::Dearer {
            print!("{}", risen(was, is, messages));
        }
    }
    if !is_comparable {
        println!("SKIPPED: {path} was made with {}, this with {}", before.made_with, now.made_with);
        println!("so no count is judged; scripts/counts --accept renews the baseline");
        return Ok(ExitCode::SUCCESS);
    }
    if verdicts.contains(&Verdict::Cheaper) {
        println!("cheaper by more than {ALLOWED} %: scripts/counts --accept, so that it stays so");
    }
    if verdicts.contains(&Verdict::Dearer) {
        println!(
            "FAILED: dearer by more than {ALLOWED} %, by the functions above; if that is worth it, say why in the"
        );
        println!("commit that renews {path} (scripts/counts --accept)");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
