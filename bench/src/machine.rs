//! The machine: what it is, whether it is quiet, and its memory made ready.

use crate::interrupt;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// What stands over a table: without it figures mean nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provenance {
    /// Processor, cores, memory, kernel and file system.
    pub machine: String,
    /// The commit that was measured, with a `+` if something was changed since.
    pub commit: String,
    /// The day, as 2026-11-21.
    pub date: String,
    /// What was typed.
    pub command: String,
}

impl Provenance {
    /// Of a run that keeps its files in `dir`.
    pub fn of(dir: &Path, command: String) -> Result<Provenance> {
        Ok(Provenance { machine: machine(dir)?, commit: commit(), date: date("+%F")?, command })
    }
}

fn machine(dir: &Path) -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = value(&cpus, "model name").unwrap_or("unknown processor").to_owned();
    let memory: u64 = number(&fs::read_to_string("/proc/meminfo")?, "MemTotal")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{model}, {} cores, {} GiB, Linux {}, {}",
        thread::available_parallelism()?,
        (memory + (1 << 19)) >> 20,
        kernel.trim_end(),
        file_system(dir)?,
    ))
}

/// The kind of file system that a directory lies in: that of the longest path that leads to it.
fn file_system(dir: &Path) -> Result<String> {
    let dir = dir.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let nearest = mounted.filter(|(place, _)| dir.starts_with(place)).max_by_key(|(place, _)| place.len());
    Ok(nearest.map_or("unknown file system", |(_, kind)| kind).to_owned())
}

fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|files| !files.is_empty());
    format!("{}{}", commit.trim_end(), if changed { "+" } else { "" })
}

/// The present time as `date` writes it in this format.
pub fn date(format: &str) -> Result<String> {
    let output = Command::new("date").arg(format).output().context("there is no `date`")?;
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start().strip_prefix(':')?.trim())
}

fn number(text: &str, name: &str) -> Result<u64> {
    let written = value(text, name).and_then(|value| value.split(' ').next());
    written.and_then(|digits| digits.parse().ok()).with_context(|| format!("no {name} in /proc"))
}

/// Cores that may be busy with other things while something is measured.
const QUIET: f64 = 0.15;

/// Waits until the machine is quiet, no longer than `at_most`. How many cores were busy with other things.
pub fn wait_until_quiet(at_most: Duration) -> Result<f64> {
    let deadline = Instant::now() + at_most;
    loop {
        let before = Ticks::now()?;
        thread::sleep(Duration::from_millis(250)); // what is measured
        interrupt::check()?;
        let busy = Ticks::now()?.cores_since(&before)?;
        if busy <= QUIET || Instant::now() >= deadline {
            return Ok(busy);
        }
    }
}

/// What all cores together did since the start of the machine.
struct Ticks {
    all: u64,
    idle: u64,
}

impl Ticks {
    fn now() -> Result<Ticks> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("/proc/stat")?;
        let ticks: Vec<u64> = line.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>()?;
        Ok(Ticks { all: ticks.iter().sum(), idle: ticks[3] + ticks[4] })
    }

    fn cores_since(&self, before: &Ticks) -> Result<f64> {
        let all = self.all.saturating_sub(before.all).max(1);
        let idle = self.idle.saturating_sub(before.idle).min(all);
        Ok((all - idle) as f64 / all as f64 * thread::available_parallelism()?.get() as f64)
    }
}

/// Takes so much memory and gives it back, at most half of what is free. On a virtual machine the first touch of a page
/// that its host had taken back costs microseconds, which otherwise whoever fills the page cache first would pay.
pub fn touch_memory(bytes: u64) -> Result<()> {
    let free = number(&fs::read_to_string("/proc/meminfo")?, "MemAvailable")? << 10;
    let pages = vec![1_u8; bytes.min(free / 2) as usize];
    std::hint::black_box(&pages);
    Ok(())
}
