//! What is printed: the first few faults by name, a table, and the verdict.

use super::findings::{Example, Findings, Kind, LogIndex};
use super::lines::Lines;
use super::pieces::Log;
use anyhow::{Context as _, anyhow};
use serde::Serialize;
use std::io::{self, Write};

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
        let host = |(log, tally): (&Log, &super::findings::Tally)| HostReport {
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
    pub(super) fn print_json(&self, out: &mut impl Write) -> anyhow::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        Ok(writeln!(out)?)
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

/// Names the first few of each kind, reading their lines once more.
fn faults(findings: &Findings, hosts: &[Log], sent: &[Log]) -> anyhow::Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for kind in Kind::ALL {
        for Example { place, host } in findings.examples(kind) {
            let log = match place.log {
                LogIndex::Host(index) => &hosts[usize::from(index)],
                LogIndex::Sent(index) => &sent[usize::from(index)],
            };
            let (piece, line) = log.locate(place.position);
            let file = log.pieces[piece].display().to_string();
            let text =
                nth_line(log, piece, line).with_context(|| format!("cannot show {file}:{}", line + 1))?;
            faults.push(Fault { kind, host: hosts[*host].name.clone(), file, line: line + 1, text });
        }
    }
    Ok(faults)
}

fn nth_line(log: &Log, piece: usize, line: u64) -> anyhow::Result<String> {
    let gone = || anyhow!("the file has become shorter meanwhile");
    let mut lines = Lines::open(&log.pieces[piece])?;
    for _ in 0..line {
        lines.next()?.ok_or_else(gone)?;
    }
    let line = lines.next()?.ok_or_else(gone)?;
    Ok(shown(line.bytes))
}

/// A line as a terminal may have it.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut escaped = text.chars().take(SHOWN_CHARS).collect::<String>().escape_debug().to_string();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        escaped.push('…');
    }
    escaped
}
