//! All runs of a call, and what can be asked of them: medians, ranges, ratios inside rounds.

use crate::record::{Measured, Outcome, Record};
use std::collections::BTreeMap;

/// A figure of a run; `None` where that kind of run has none.
pub type Figure = fn(&Measured) -> Option<f64>;

/// Runs whose files were right, by test, system and round.
#[derive(Debug)]
pub struct Runs<'a> {
    runs: BTreeMap<(&'a str, &'a str), BTreeMap<u32, &'a Measured>>,
}

/// What several rounds said.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// The one in the middle.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Of these values; `None` if there are none.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let upper = values[values.len() / 2];
        let lower = values[(values.len() - 1) / 2];
        Some(Spread { median: f64::midpoint(lower, upper), least, most })
    }
}

impl<'a> Runs<'a> {
    /// Leaves out what failed, and what lost, doubled or tore lines: its figures say nothing.
    #[must_use]
    pub fn new(records: &'a [Record]) -> Runs<'a> {
        let mut runs: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for record in records {
            if let Outcome::Measured(measured) = &record.outcome
                && measured.findings.is_clean()
            {
                let key = (record.test.as_str(), record.system.as_str());
                runs.entry(key).or_default().insert(record.round, measured);
            }
        }
        Runs { runs }
    }

    /// A figure of a system in a test.
    #[must_use]
    pub fn spread(&self, test: &str, system: &str, figure: Figure) -> Option<Spread> {
        Spread::of(self.runs.get(&(test, system))?.values().filter_map(|run| figure(run)).collect())
    }

    /// The median of the ratios, round by round, of a system's figure to that of another.
    #[must_use]
    pub fn ratio(&self, test: &str, system: &str, base: &str, figure: Figure) -> Option<f64> {
        let bases = self.runs.get(&(test, base))?;
        let ratios = self.runs.get(&(test, system))?.iter().filter_map(|(round, run)| {
            let base = figure(bases.get(round)?)?;
            figure(run).filter(|_| base > 0.0).map(|value| value / base)
        });
        Spread::of(ratios.collect()).map(|ratios| ratios.median)
    }
}

/// Everything that went wrong, in words; nothing if all files of all runs were right.
#[must_use]
pub fn faults(records: &[Record]) -> Vec<String> {
    let fault = |record: &Record| {
        let what = match &record.outcome {
            Outcome::Failed(why) => why.clone(),
            Outcome::Measured(measured) if measured.findings.is_clean() => {
                let seen = measured.latency.map_or(measured.messages, |latency| latency.messages as u64);
                let unseen = measured.messages.saturating_sub(seen);
                return (unseen > 0).then(|| {
                    format!("{} {}: {unseen} messages were in all files too late", record.system, record.test)
                });
            }
            Outcome::Measured(Measured { findings, .. }) => format!(
                "in five files {} lines were missing, {} doubled, {} malformed",
                findings.missing, findings.doubled, findings.malformed
            ),
        };
        Some(format!("{} {}, round {}: {what}", record.system, record.test, record.round + 1))
    };
    records.iter().filter_map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Findings;

    fn record(system: &str, round: u32, cpu_us: f64, missing: u64) -> Record {
        let findings = Findings { missing, ..Findings::default() };
        let outcome = Outcome::Measured(Measured { cpu_us, findings, ..Measured::default() });
        Record { system: system.into(), test: "flood-one".into(), round, busy_cores: 0.0, outcome }
    }

    const CPU: Figure = |run| Some(run.cpu_us);

    #[test]
    fn ratios_are_taken_inside_a_round() {
        let mut records = Vec::new();
        for (round, slowness) in [(0, 1.0), (1, 10.0), (2, 3.0)] {
            records.push(record("floor", round, slowness, 0));
            records.push(record("zog", round, 2.5 * slowness, 0));
        }
        let runs = Runs::new(&records);
        assert_eq!(runs.ratio("flood-one", "zog", "floor", CPU), Some(2.5));
        let spread = runs.spread("flood-one", "zog", CPU);
        assert_eq!(spread, Some(Spread { median: 7.5, least: 2.5, most: 25.0 }));
        assert_eq!(runs.ratio("flood-one", "zog", "nats", CPU), None);
    }

    #[test]
    fn a_run_with_wrong_files_gives_no_figures_and_is_told() {
        let records = [record("zog", 0, 1.0, 3)];
        assert_eq!(Runs::new(&records).spread("flood-one", "zog", CPU), None);
        assert!(faults(&records)[0].contains("3 lines were missing"), "{:?}", faults(&records));
    }

    #[test]
    fn the_median_of_an_even_number_lies_in_the_middle() {
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
