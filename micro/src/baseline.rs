//! The committed counts: a text that shows in a diff what a change costs.

use crate::callgrind::Counts;
use crate::steps::STEPS;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Functions below this part of a step are not written, in thousandths.
const SHOWN: u64 = 5;

/// Counts of all steps, and what they were made with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Baseline {
    /// Compiler and target: counts of others cannot be compared.
    pub made_with: String,
    /// By the names of the steps.
    pub steps: BTreeMap<String, Counts>,
}

impl Baseline {
    /// The text for the file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = "# Instructions of each step for one message, and of the functions whose source they come from.\n\
            # Renewed by `scripts/counts --accept`.\n"
            .to_owned();
        let _ = writeln!(text, "made with {}", self.made_with); // a String takes all
        for step in STEPS.iter().filter(|step| self.steps.contains_key(step.name)) {
            let counts = &self.steps[step.name];
            let _ = writeln!(
                text,
                "\nstep {} of {} messages\n{:>12}  total",
                step.name,
                step.handled(),
                counts.total
            );
            for (function, count) in by_count(counts) {
                let _ = writeln!(text, "{count:>12}  {function}");
            }
        }
        text
    }

    /// Reads the text again.
    ///
    /// # Errors
    /// If a line is none that [`Baseline::to_text`] writes.
    pub fn parse(text: &str) -> Result<Baseline> {
        let mut baseline = Baseline::default();
        let mut step: Option<&mut Counts> = None;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(made_with) = line.strip_prefix("made with ") {
                made_with.clone_into(&mut baseline.made_with);
            } else if let Some(rest) = line.strip_prefix("step ") {
                let name = rest.split(' ').next().unwrap_or_default();
                step = Some(baseline.steps.entry(name.to_owned()).or_default());
            } else {
                let (count, name) =
                    line.trim_start().split_once("  ").with_context(|| format!("{line:?}"))?;
                let count = count.parse().with_context(|| format!("{line:?}"))?;
                match (&mut step, name) {
                    (None, _) => bail!("{line:?} is not below a step"),
                    (Some(counts), "total") => counts.total = count,
                    (Some(counts), _) => drop(counts.functions.insert(name.to_owned(), count)),
                }
            }
        }
        Ok(baseline)
    }
}

/// The functions that matter, dearest first.
fn by_count(counts: &Counts) -> Vec<(&str, u64)> {
    let shown = counts.functions.iter().filter(|(_, count)| **count * 1000 >= counts.total * SHOWN);
    let mut shown: Vec<(&str, u64)> = shown.map(|(name, count)| (name.as_str(), *count)).collect();
    shown.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let functions = BTreeMap::from([("a.rs: f g".into(), 900), ("b".into(), 100)]);
        let steps = BTreeMap::from([("relay".into(), Counts { total: 1000, functions })]);
        let baseline = Baseline { made_with: "rustc 1, target".into(), steps };
        assert_eq!(Baseline::parse(&baseline.to_text()).unwrap(), baseline);
        assert!(Baseline::parse("12  total").is_err());
    }
}
