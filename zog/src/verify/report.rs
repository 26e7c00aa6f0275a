//! What is printed: the first few faults by name, a table, and the verdict.

use super::findings::{Example, Findings, Kind, LogIndex, Place, Tally};
use super::lines::Lines;
use super::pieces::Log;
use anyhow::anyhow;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

/// Characters of a line that are shown.
const SHOWN_CHARS: usize = 120;

/// All that there is to say.
#[derive(Serialize)]
pub(super) struct Report {
    proved: bool,
    order_checked: bool,
    verdict: String,
    hosts: Vec<HostReport>,
    faults: Vec<Fault>,
}

#[derive(Serialize)]
struct HostReport {
    name: String,
    files: usize,
    lines: u64,
    missing: u64,
    doubled: u64,
    extra: u64,
    altered: u64,
    torn: u64,
    disordered: u64,
}

/// A fault by name.
#[derive(Serialize)]
struct Fault {
    kind: Kind,
    host: String,
    /// Where the line stands; for what is missing, on another host or in sprog's log.
    file: String,
    /// Counted from 1.
    line: u64,
    text: String,
}

impl Report {
    pub(super) fn new(
        findings: &Findings,
        hosts: &[Log],
        sent: &[Log],
        order_checked: bool,
    ) -> anyhow::Result<Report> {
        let host = |(log, tally): (&Log, &Tally)| HostReport {
            name: log.name.clone(),
            files: log.pieces.len(),
            lines: tally.lines,
            missing: tally.count(Kind::Missing),
            doubled: tally.count(Kind::Doubled),
            extra: tally.count(Kind::Extra),
            altered: tally.count(Kind::Altered),
            torn: tally.count(Kind::Torn),
            disordered: tally.count(Kind::Disordered),
        };
        Ok(Report {
            proved: findings.is_proof(),
            order_checked,
            verdict: verdict(findings),
            hosts: hosts.iter().zip(&findings.hosts).map(host).collect(),
            faults: faults(findings, hosts, sent)?,
        })
    }

    /// For people.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        for fault in &self.faults {
            let Fault { kind, host, file, line, text } = fault;
            writeln!(out, "{} on {host}: {text}  ({file}:{line})", kind.word())?;
        }
        let width = self.hosts.iter().map(|h| h.name.chars().count()).max().unwrap_or(0).max(4);
        write!(out, "{:width$} {:>12}", "host", "lines")?;
        Kind::ALL.into_iter().try_for_each(|kind| write!(out, " {:>10}", kind.word()))?;
        writeln!(out)?;
        for h in &self.hosts {
            write!(out, "{:width$} {:>12}", h.name, h.lines)?;
            for n in [h.missing, h.doubled, h.extra, h.altered, h.torn] {
                write!(out, " {n:>10}")?;
            }
            let order = if self.order_checked { h.disordered.to_string() } else { "-".to_owned() };
            writeln!(out, " {order:>10}")?;
        }
        writeln!(out, "{}", self.verdict)
    }

    /// For programs.
    pub(super) fn print_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }
}

fn verdict(findings: &Findings) -> String {
    let hosts = findings.hosts.len();
    if findings.is_proof() {
        let lines = findings.hosts[0].lines;
        let lines = if lines == 1 { "line, once".to_owned() } else { format!("{lines} lines, each once") };
        return match hosts {
            1 => format!("PROVED: 1 host has the {lines}"),
            _ => format!("PROVED: {hosts} hosts have the same {lines}"),
        };
    }
    let found = Kind::ALL.into_iter().map(|kind| (findings.total(kind), kind.word()));
    let found: Vec<String> = found.filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    format!("NOT PROVED: {}", found.join(", "))
}

/// Names the first few of each kind.
fn faults(findings: &Findings, hosts: &[Log], sent: &[Log]) -> anyhow::Result<Vec<Fault>> {
    let log_of = |place: Place| match place.log {
        LogIndex::Host(index) => &hosts[usize::from(index)],
        LogIndex::Sent(index) => &sent[usize::from(index)],
    };
    let locate = |place: Place| {
        let (piece, line) = log_of(place).locate(place.position);
        (log_of(place).pieces[piece].as_path(), line)
    };
    let examples =
        || Kind::ALL.into_iter().flat_map(|kind| findings.examples(kind).iter().map(move |e| (kind, e)));
    let texts = read_lines(examples().map(|(_, example)| locate(example.place)))?;
    let fault = |(kind, example): (Kind, &Example)| {
        let at = locate(example.place);
        let (file, host) = (at.0.display().to_string(), hosts[example.host].name.clone());
        Fault { kind, host, file, line: at.1 + 1, text: texts[&at].clone() }
    };
    Ok(examples().map(fault).collect())
}

/// Reads these lines, going through each file once.
fn read_lines<'p>(
    places: impl Iterator<Item = (&'p Path, u64)>,
) -> anyhow::Result<BTreeMap<(&'p Path, u64), String>> {
    let mut files: BTreeMap<&Path, BTreeSet<u64>> = BTreeMap::new();
    places.for_each(|(path, line)| _ = files.entry(path).or_default().insert(line));
    let mut texts = BTreeMap::new();
    for (path, wanted) in files {
        let shorter = || anyhow!("{} has become shorter meanwhile; verify again", path.display());
        let mut lines = Lines::open(path)?;
        let mut next = 0;
        for line in wanted {
            while next < line {
                lines.next()?.ok_or_else(shorter)?;
                next += 1;
            }
            texts.insert((path, line), shown(lines.next()?.ok_or_else(shorter)?.bytes));
            next += 1;
        }
    }
    Ok(texts)
}

/// A line as a terminal may have it.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut shown = String::new();
    for c in text.chars().take(SHOWN_CHARS) {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn what_is_shown_is_printing_and_short() {
        assert_eq!(shown(br#"it's "so" \o/"#), r#"it's "so" \o/"#);
        assert_eq!(shown("b\u{1b}[2J\u{202e}ä\u{9b}".as_bytes()), r"b\u{1b}[2J\u{202e}ä\u{9b}");
        assert_eq!(shown(b"\xff"), "\u{fffd}");
        assert_eq!(shown(&[b'x'; 1000]).chars().count(), super::SHOWN_CHARS + 1);
    }
}
