//! What became dearer, and which functions did it.

use crate::callgrind::Counts;
use std::fmt::Write;

/// By how much a step may become dearer, in hundredths.
pub const ALLOWED: u64 = 5;
/// How many functions are named.
const NAMED: usize = 5;

/// How a step's counts compare with the baseline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Within what is allowed.
    Same,
    /// Cheaper by more than that: the baseline should be renewed.
    Cheaper,
    /// Dearer by more than that.
    Dearer,
}

/// Compares totals.
#[must_use]
pub fn verdict(before: &Counts, now: &Counts) -> Verdict {
    if now.total * 100 > before.total * (100 + ALLOWED) {
        Verdict::Dearer
    } else if now.total * 100 < before.total * (100 - ALLOWED) {
        Verdict::Cheaper
    } else {
        Verdict::Same
    }
}

/// The functions whose counts rose most, one a line. One that the baseline leaves out for its smallness counts as new.
#[must_use]
pub fn risen(before: &Counts, now: &Counts, messages: u64) -> String {
    let mut rises: Vec<(u64, &str)> = now
        .functions
        .iter()
        .map(|(name, count)| {
            (count.saturating_sub(before.functions.get(name).copied().unwrap_or(0)), name.as_str())
        })
        .filter(|(rise, _)| *rise > 0)
        .collect();
    rises.sort_by_key(|(rise, name)| (std::cmp::Reverse(*rise), *name));
    let mut text = String::new();
    for (rise, name) in rises.iter().take(NAMED) {
        let _ = writeln!(text, "    {:+9.1}  {name}", *rise as f64 / messages as f64); // a String takes all
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn counts(functions: &[(&str, u64)]) -> Counts {
        let functions: BTreeMap<String, u64> = functions.iter().map(|(f, n)| ((*f).to_owned(), *n)).collect();
        Counts { total: functions.values().sum(), functions }
    }

    #[test]
    fn more_than_five_per_cent_is_too_much() {
        let before = counts(&[("f", 1000)]);
        let verdicts = [1051, 1050, 950, 949].map(|n| verdict(&before, &counts(&[("f", n)])));
        assert_eq!(verdicts, [Verdict::Dearer, Verdict::Same, Verdict::Same, Verdict::Cheaper]);
    }

    #[test]
    fn the_function_that_rose_most_is_named_first_and_one_that_fell_is_not() {
        let before = counts(&[("steady", 900), ("slower", 100), ("faster", 100)]);
        let now = counts(&[("steady", 910), ("slower", 400), ("faster", 10), ("new", 50)]);
        let names: Vec<String> = risen(&before, &now, 10)
            .lines()
            .map(|line| line.split_whitespace().last().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(names, ["slower", "new", "steady"]);
    }
}
