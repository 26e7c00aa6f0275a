//! Plots and tables of `scripts/bench growth`.

use crate::cli::GrowthArgs;
use crate::growth::series::{Drawing, Must, Series, test_name};
use crate::machine::Provenance;
use crate::plot::Plot;
use crate::record::{Outcome, Record};
use crate::runs::{Spread, faults};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// Draws what is to be drawn of each series; where.
pub(super) fn draw_all(
    series: &[&Series],
    args: &GrowthArgs,
    provenance: &Provenance,
    records: &[Record],
) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (series, drawing) in drawings(series) {
        let steps = series.steps(args);
        let points: Vec<(u32, Spread)> =
            steps.iter().filter_map(|step| Some((*step, point(series, drawing, *step, records)?))).collect();
        let plot = Plot {
            title: drawing.title,
            x: drawing.x,
            y: drawing.y,
            points: &points,
            note: &format!("{}, commit {}: {}", provenance.date, provenance.commit, provenance.machine),
        };
        let path = args.write.as_deref().unwrap_or(&args.dir).join(drawing.file);
        fs::write(&path, plot.svg()).with_context(|| format!("{} cannot be written", path.display()))?;
        paths.push(path);
    }
    Ok(paths)
}

fn drawings<'a>(series: &'a [&Series]) -> impl Iterator<Item = (&'a Series, &'a Drawing)> {
    series.iter().flat_map(|series| series.plots.iter().map(move |drawing| (*series, drawing)))
}

fn point(series: &Series, drawing: &Drawing, step: u32, records: &[Record]) -> Option<Spread> {
    let test = test_name(series, step);
    let figures =
        records.iter().filter(|record| record.test == test).filter_map(|record| match &record.outcome {
            Outcome::Measured(run) if run.findings.is_clean() => (drawing.figure)(run, step),
            _ => None,
        });
    Spread::of(figures.collect())
}

/// Everything that is told of a call, as Markdown.
#[must_use]
pub(super) fn tables(
    series: &[&Series],
    args: &GrowthArgs,
    provenance: &Provenance,
    records: &[Record],
) -> String {
    let Provenance { date, commit, command, machine } = provenance;
    let mut text = format!("{date}, commit {commit}, `{command}`. Machine: {machine}.\n");
    for series in series {
        table(series, &series.steps(args), records, &mut text);
    }
    text += "\nMedians of the rounds (and range).";
    text += if args.quick { " Messages are a tenth of what stands here.\n" } else { "\n" };
    for fault in faults(records) {
        write!(text, "\n- {fault}").unwrap_or_default();
    }
    text + "\n"
}

fn table(series: &Series, steps: &[u32], records: &[Record], text: &mut String) {
    let Some(Drawing { x, .. }) = series.plots.first() else { return };
    let heads: Vec<String> = steps.iter().map(u32::to_string).collect();
    *text += &format!("\n| {x} | {} |\n|{}\n", heads.join(" | "), " --- |".repeat(steps.len() + 1));
    for drawing in series.plots {
        let cells: Vec<String> = steps
            .iter()
            .map(|step| point(series, drawing, *step, records).map_or("–".to_owned(), |s| cell(drawing, s)))
            .collect();
        *text += &format!("| {}{} | {} |\n", drawing.y, bound(drawing), cells.join(" | "));
    }
}

fn bound(drawing: &Drawing) -> String {
    match drawing.must {
        Some(Must::AtLeast(bound)) => format!(", must be ≥ {bound}"),
        Some(Must::AtMost(bound)) => format!(", must be ≤ {bound}"),
        None => String::new(),
    }
}

/// What is missed stands out.
fn cell(drawing: &Drawing, spread: Spread) -> String {
    let median = written(spread.median);
    let is_missed = drawing.must.is_some_and(|must| !must.holds(spread.median));
    let median = if is_missed { format!("**{median}**") } else { median };
    if spread.least < spread.most {
        format!("{median} ({}–{})", written(spread.least), written(spread.most))
    } else {
        median
    }
}

fn written(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::growth::series::SERIES;
    use crate::record::Measured;

    #[test]
    fn what_is_missed_stands_out_in_the_table() {
        let series = SERIES.iter().find(|series| series.name == "journals").unwrap();
        let record = |step, round, start_s| {
            let outcome = Outcome::Measured(Measured { start_s: Some(start_s), ..Measured::default() });
            let (system, test) = ("zog-journaled".to_owned(), test_name(series, step));
            Record { system, test, round, busy_cores: 0.0, outcome }
        };
        let records = [record(1, 0, 0.5), record(100, 0, 0.75), record(100, 1, 2.0), record(100, 2, 1.5)];
        let mut text = String::new();
        table(series, &[1, 10, 100], &records, &mut text);
        let row = text.lines().find(|line| line.starts_with("| seconds")).unwrap();
        assert_eq!(row, "| seconds, must be ≤ 1 | 0.50 | – | **1.50** (0.75–2.00) |");
    }
}
