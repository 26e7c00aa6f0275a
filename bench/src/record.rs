//! What is kept of every run: one JSON object a line.

use crate::check::Findings;
use crate::machine::Provenance;
use crate::watch::Sighting;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// One system measured once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The system.
    pub system: String,
    /// The test.
    pub test: String,
    /// The round, from 0. Ratios are taken inside a round.
    pub round: u32,
    /// Cores that were busy with other things just before.
    pub busy_cores: f64,
    /// What came of it, or why nothing did.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The figures.
    Measured(Measured),
    /// Why there are none.
    Failed(String),
}

/// The figures of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// How many messages were sent.
    pub messages: u64,
    /// What is wrong in the five files together.
    pub findings: Findings,
    /// Processor time of all processes of the system for each message, in microseconds; or seconds for a million.
    pub cpu_us: f64,
    /// The same of the clients.
    pub client_cpu_us: f64,
    /// How far behind its rate the client was at worst, in microseconds.
    pub late_us: f64,
    /// Context switches of the system for each message.
    pub switches: f64,
    /// The largest resident memory of one process, in MiB.
    pub peak_mib: f64,
    /// How fast a flood was in all files.
    pub messages_per_s: Option<f64>,
    /// How long messages took, at a rate.
    pub latency: Option<Latency>,
    /// How a host that was away caught up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUp>,
    /// Seconds from the start of a process until it was ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_s: Option<f64>,
}

/// A host that was away, and live messages beside it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CatchUp {
    /// Live messages while the host was away.
    pub before: Latency,
    /// Live messages while it caught up.
    pub during: Latency,
}

/// Microseconds from when a message was sent until the last file shows it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Messages that all files have shown.
    pub messages: usize,
    /// Half of them were faster.
    pub p50_us: f64,
    /// 99 of 100 were faster.
    pub p99_us: f64,
    /// None took longer.
    pub max_us: f64,
}

impl Latency {
    /// Of these messages.
    #[must_use]
    pub fn of<'a>(sightings: impl IntoIterator<Item = &'a Sighting>) -> Latency {
        sightings.into_iter().map(|sighting| sighting.took).collect::<Vec<u64>>().into()
    }
}

impl From<Vec<u64>> for Latency {
    fn from(mut nanos: Vec<u64>) -> Latency {
        nanos.sort_unstable();
        let last = nanos.len().saturating_sub(1);
        let at = |share: f64| {
            let index = (nanos.len() as f64 * share) as usize;
            nanos.get(index.min(last)).map_or(0.0, |nanos| *nanos as f64 / 1000.0)
        };
        Latency { messages: nanos.len(), p50_us: at(0.5), p99_us: at(0.99), max_us: at(1.0) }
    }
}

/// The file of one call: where it was made, then every run.
#[derive(Debug)]
pub struct Records {
    file: File,
}

impl Records {
    /// A new file.
    pub fn create(path: &Path, provenance: &Provenance) -> Result<Records> {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        let mut records = Records { file };
        records.line(&serde_json::to_string(provenance)?)?;
        Ok(records)
    }

    /// One run more.
    pub fn add(&mut self, record: &Record) -> Result<()> {
        self.line(&serde_json::to_string(record)?)
    }

    fn line(&mut self, line: &str) -> Result<()> {
        writeln!(self.file, "{line}").context("the records cannot be written")
    }
}

/// Reads such a file.
pub fn read(path: &Path) -> Result<(Provenance, Vec<Record>)> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let (first, rest) = text.split_once('\n').context("the file has no records")?;
    let record = |line| serde_json::from_str(line).with_context(|| format!("no record: {line}"));
    Ok((serde_json::from_str(first)?, rest.lines().map(record).collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        let provenance = Provenance {
            machine: "m".into(),
            commit: "c".into(),
            date: "d".into(),
            command: "scripts/bench".into(),
        };
        let mut records = Records::create(&path, &provenance).unwrap();
        let latency = Some(vec![1000, 3000, 2000].into());
        for outcome in
            [Outcome::Failed("why".into()), Outcome::Measured(Measured { latency, ..Measured::default() })]
        {
            let (system, test) = ("floor".to_owned(), "rate-1000".to_owned());
            records.add(&Record { system, test, round: 3, busy_cores: 0.5, outcome }).unwrap();
        }
        let (read_provenance, read_records) = read(&path).unwrap();
        assert_eq!(read_provenance.commit, "c");
        assert!(matches!(&read_records[0].outcome, Outcome::Failed(why) if why == "why"));
        let Outcome::Measured(measured) = &read_records[1].outcome else { panic!("not read") };
        assert_eq!(measured.latency.unwrap().p50_us, 2.0);
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let latency = Latency::from((1..=1000).rev().map(|i| i * 1000).collect::<Vec<_>>());
        assert_eq!((latency.p50_us, latency.p99_us, latency.max_us), (501.0, 991.0, 1000.0));
        assert_eq!(Latency::from(Vec::new()).max_us, 0.0);
    }
}
