//! `zog verify`: proves from the logs alone that every host has every line exactly once.
//!
//! All logs are read once, line by line. Of each line a record of 36 bytes is kept ([`record`]); the records are
//! sorted ([`sort`]; on disk where they do not fit into the memory allowed), so that those of the same text and
//! time come together ([`compare`]). What sprog sent is taken apart in the same way before ([`sent`]), and order
//! is checked after ([`order`]). At the end the first few faults are looked up once more to name them
//! ([`report`]).
//!
//! Memory: never more than `--memory`, apart from 256 KiB of read buffer and some 50 bytes for each pair of
//! session and host in the sprog logs. Disk, beyond that: 36 bytes a line in the folder for temporary files.

mod compare;
mod findings;
mod lines;
mod order;
mod pieces;
mod record;
mod report;
mod sent;
mod sort;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, bail};
use compare::Sent;
use findings::{Findings, Kind, Place};
use lines::Lines;
use order::Order;
use pieces::Log;
use pzog::limits::HOSTS_MAX;
use record::{Fingerprints, Form, RECORD_BYTES, Record, Source, form};
use report::Report;
use sent::SentLogs;
use sort::Sorter;
use std::io::{self, Write};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
A line is missing that another host has, or that sprog was told OK or PENDING for; doubled if it is there more \
often than on the other hosts, or than it was sent; extra if nobody sent it or it was refused; altered if it has \
another time than on the other hosts, or a text that no message may have; torn if its end or its time is not \
there; disordered, with --sent, if it stands behind one that the same session gave to the same host after it.

Exit codes: 0 proved, 1 not proved, 2 wrong usage or a log cannot be read.";

/// The command line of `zog verify`.
#[derive(clap::Args, Debug, Clone)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyArgs {
    /// A host's access.log, or the folder it is in; rotated pieces beside it are found, also .gz
    #[arg(value_name = "LOG", required = true)]
    pub(crate) logs: Vec<PathBuf>,

    /// What `sprog --log` wrote: the hosts must have just these messages, in order
    #[arg(long, value_name = "SPROG.LOG")]
    pub(crate) sent: Vec<PathBuf>,

    /// Other clients sent too: a line that no --sent names only has to be the same on all hosts
    #[arg(long, requires = "sent")]
    pub(crate) others: bool,

    /// Memory to use, at least 1MiB; what does not fit is sorted on disk
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = memory)]
    pub(crate) memory: u64,

    /// Folder for temporary files [default: the system's, see TMPDIR]
    #[arg(long, value_name = "DIR")]
    pub(crate) temp_dir: Option<PathBuf>,

    /// Name so many faults of each kind
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) show: usize,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn memory(text: &str) -> Result<u64, String> {
    const MIN: u64 = 1 << 20;
    let bytes = ringfile::size::parse(text)?;
    if bytes < MIN { Err("give 1MiB or more".to_owned()) } else { Ok(bytes) }
}

/// What the logs say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Every host has every line exactly once.
    Proved,
    /// Something is wrong; it has been printed.
    NotProved,
}

/// Compares the logs and prints the result.
pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<Verdict> {
    let mut hosts = pieces::logs(&args.logs)?;
    if hosts.len() == 1 && args.sent.is_empty() {
        bail!("one log alone proves nothing; name the logs of two hosts or more, or add --sent");
    }
    if hosts.len() > HOSTS_MAX {
        bail!("{} logs; a ring has at most {HOSTS_MAX} hosts", hosts.len());
    }
    let mut sent: Vec<Log> = args.sent.iter().map(|path| Log::file(path)).collect();
    let limits = Limits {
        memory_bytes: usize::try_from(args.memory).unwrap_or(usize::MAX),
        temp_dir: args.temp_dir.clone().unwrap_or_else(std::env::temp_dir),
    };
    let findings = examine(&mut hosts, &mut sent, args.others, args.show, &limits)?;
    let report = Report::new(&findings, &hosts, &sent, !sent.is_empty())?;
    match print(&report, args.json) {
        // Who closes the pipe has read enough; the exit code still says the rest.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => return Err(e).context("cannot print the result"),
        _ => {}
    }
    Ok(if findings.is_proof() { Verdict::Proved } else { Verdict::NotProved })
}

fn print(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json { report.print_json(&mut out) } else { report.print(&mut out) }?;
    out.flush()
}

/// What the examination may use.
struct Limits {
    memory_bytes: usize,
    temp_dir: PathBuf,
}

impl Limits {
    /// At most two sorters are in use at a time.
    fn sorter<const N: usize>(&self) -> Sorter<N> {
        Sorter::new(self.memory_bytes / 2, &self.temp_dir)
    }
}

fn examine(
    hosts: &mut [Log],
    sent: &mut [Log],
    others: bool,
    show: usize,
    limits: &Limits,
) -> anyhow::Result<Findings> {
    let in_temp_dir =
        || format!("cannot sort in {}; name another folder with --temp-dir", limits.temp_dir.display());
    let fingerprints = Fingerprints::new();
    let mut findings = Findings::new(hosts.len(), show);
    let mut records = limits.sorter();

    let mut sent_logs = SentLogs::new(&fingerprints, limits.sorter());
    for (index, log) in sent.iter_mut().enumerate() {
        sent_logs.read(u16::try_from(index).context("so many sprog logs cannot be compared")?, log)?;
    }
    let streams =
        sent_logs.finish(|record| Ok(records.push(record.to_bytes())?)).with_context(in_temp_dir)?;
    for (index, log) in hosts.iter_mut().enumerate() {
        read_host(index, log, &fingerprints, &mut records, &mut findings)?;
    }
    let mut order = Order::new(limits.sorter(), streams.len());
    let known = (!sent.is_empty()).then_some(Sent { streams, others });
    let sorted = records.sorted().with_context(in_temp_dir)?;
    compare::compare(sorted, known.as_ref(), &mut findings, &mut order).with_context(in_temp_dir)?;
    order.check(&mut findings).with_context(in_temp_dir)?;
    Ok(findings)
}

/// Reads all pieces of a host's log; `index` is below [`HOSTS_MAX`].
fn read_host(
    index: usize,
    log: &mut Log,
    fingerprints: &Fingerprints,
    records: &mut Sorter<RECORD_BYTES>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let source = Source::Host(index as u16);
    let mut position = 0;
    for piece in &log.pieces {
        log.starts.push(position);
        let mut lines = Lines::open(piece)?;
        while let Some(line) = lines.next().with_context(|| format!("cannot read {}", piece.display()))? {
            let place = Place::on(index, position);
            match if line.whole { form(line.bytes) } else { Form::Torn } {
                Form::Message(time, text) => {
                    let text = fingerprints.of(text);
                    records.push(Record { text, time, source, position, stream: 0 }.to_bytes())?;
                }
                Form::Altered => findings.add(Kind::Altered, index, 1, place),
                Form::Torn => findings.add(Kind::Torn, index, 1, place),
            }
            position += 1;
        }
    }
    findings.hosts[index].lines = position;
    Ok(())
}
