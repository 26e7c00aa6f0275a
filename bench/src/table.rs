//! The tables, as Markdown.

use crate::machine::Provenance;
use crate::record::Record;
use crate::runs::{Figure, Runs, Spread, faults};
use crate::targets;
use std::fmt::Write;

/// A row: one figure of one test, for all systems.
struct Row {
    name: &'static str,
    test: &'static str,
    figure: Figure,
    /// What ratios are taken to.
    base: Option<&'static str>,
    write: fn(f64) -> String,
}

const MESSAGES_PER_S: Figure = |run| run.messages_per_s;
const CPU: Figure = |run| Some(run.cpu_us);
const P50: Figure = |run| run.latency.map(|latency| latency.p50_us);
const P99: Figure = |run| run.latency.map(|latency| latency.p99_us);
const PEAK: Figure = |run| Some(run.peak_mib);
const SWITCHES: Figure = |run| Some(run.switches);

const fn row(
    name: &'static str,
    test: &'static str,
    figure: Figure,
    base: Option<&'static str>,
    write: fn(f64) -> String,
) -> Row {
    Row { name, test, figure, base, write }
}

const FLOOR: Option<&str> = Some("floor");
const FLOOR_OK: Option<&str> = Some("floor+ok");

const ROWS: [Row; 14] = [
    row("flood, one client: messages/s", "flood-one", MESSAGES_PER_S, FLOOR_OK, thousands),
    row("CPU s per million", "flood-one", CPU, FLOOR_OK, two_places),
    row("context switches per 1 000 messages", "flood-one", SWITCHES, None, per_thousand),
    row("largest resident memory, MiB", "flood-one", PEAK, None, one_place),
    row("flood, five clients: messages/s", "flood-five", MESSAGES_PER_S, FLOOR_OK, thousands),
    row("CPU s per million", "flood-five", CPU, FLOOR_OK, two_places),
    row("largest resident memory, MiB", "flood-five", PEAK, None, one_place),
    row("1 000 messages/s: p50, µs", "rate-1000", P50, FLOOR, whole),
    row("p99, µs", "rate-1000", P99, FLOOR, whole),
    row("CPU µs per message", "rate-1000", CPU, FLOOR, whole),
    row("context switches per message", "rate-1000", SWITCHES, None, one_place),
    row("50 000 messages/s: p50, µs", "rate-50000", P50, FLOOR, whole),
    row("p99, µs", "rate-50000", P99, FLOOR, whole),
    row("CPU µs per message", "rate-50000", CPU, FLOOR, one_place),
];

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}'); // a narrow space that does not break
        }
        grouped.push(digit);
    }
    grouped
}

fn whole(value: f64) -> String {
    thousands(value)
}

fn one_place(value: f64) -> String {
    format!("{value:.1}")
}

fn two_places(value: f64) -> String {
    format!("{value:.2}")
}

fn per_thousand(value: f64) -> String {
    format!("{:.1}", value * 1000.0)
}

/// Everything that is told of a call.
#[must_use]
pub fn report(provenance: &Provenance, records: &[Record], skipped: &[String]) -> String {
    let runs = Runs::new(records);
    let rounds = records.iter().map(|record| record.round + 1).max().unwrap_or_default();
    let mut text = format!(
        "{}, commit {}, `{}`, rounds: {rounds}.\nMachine: {}. Busy with other things before a run: {}.\n\n",
        provenance.date,
        provenance.commit,
        provenance.command,
        provenance.machine,
        busy(records),
    );
    text += &table(&runs, &systems(records));
    text += "\nMedians of the rounds (and range); behind it the median of the ratios, round by round, to *floor+ok* for \
             floods, to *floor* at a rate.\n";
    let targets = targets::table(&runs);
    if !targets.is_empty() {
        write!(text, "\n{targets}").unwrap_or_default();
    }
    for line in skipped.iter().map(|line| format!("Skipped: {line}.")).chain(faults(records)) {
        write!(text, "\n- {line}").unwrap_or_default();
    }
    text + "\n"
}

fn busy(records: &[Record]) -> String {
    let spread = Spread::of(records.iter().map(|record| record.busy_cores).collect());
    spread.map_or("unknown".to_owned(), |s| format!("{:.1} cores ({:.1}–{:.1})", s.median, s.least, s.most))
}

/// In the order in which they were first measured, which is that of the tables.
fn systems(records: &[Record]) -> Vec<&str> {
    let mut systems = Vec::new();
    for record in records.iter().filter(|record| record.round == 0) {
        if !systems.contains(&record.system.as_str()) {
            systems.push(&record.system);
        }
    }
    systems
}

fn table(runs: &Runs, systems: &[&str]) -> String {
    let mut text = format!("| | {} |\n|{}\n", systems.join(" | "), " --- |".repeat(systems.len() + 1));
    for row in &ROWS {
        let cells: Vec<String> = systems.iter().map(|system| cell(runs, row, system)).collect();
        if cells.iter().any(|cell| cell != "–") {
            text += &format!("| {} | {} |\n", row.name, cells.join(" | "));
        }
    }
    text
}

fn cell(runs: &Runs, row: &Row, system: &str) -> String {
    let Some(spread) = runs.spread(row.test, system, row.figure) else { return "–".to_owned() };
    let mut cell = (row.write)(spread.median);
    if spread.least < spread.most {
        cell += &format!(" ({}–{})", (row.write)(spread.least), (row.write)(spread.most));
    }
    let base = row.base.filter(|base| *base != system);
    if let Some(ratio) = base.and_then(|base| runs.ratio(row.test, system, base, row.figure)) {
        cell += &format!(", {ratio:.2} ×");
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!(thousands(6_710_000.4), "6\u{202f}710\u{202f}000");
        assert_eq!(thousands(710.0), "710");
    }
}
