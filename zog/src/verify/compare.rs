//! The comparison: all records, sorted, so that those of one line stand together.
//!
//! Two messages may have the same time and text, so lines are counted: each host must have a line as often as
//! it was sent. Where nothing says how often that is, the number that most hosts have counts, or that of the
//! first host if two are equally common. A line that most hosts do not have is still missing on them, unless it
//! is a line of theirs with another time: then it was altered where it stands.

use super::findings::{Findings, Kind, LogIndex, Place};
use super::order::Order;
use super::record::{Outcome, RECORD_BYTES, Record, Source};
use super::sent::Stream;
use std::io;

/// Lines of one text that are held back to find altered times among them; beyond these they are told as missing
/// and extra.
const PAIRS_MAX: usize = 256;

/// What is known of what was sent.
pub(super) struct Sent {
    pub(super) streams: Vec<Stream>,
    /// Whether lines that it does not name are right too.
    pub(super) others: bool,
}

/// Goes through all records in order.
pub(super) fn compare(
    records: impl Iterator<Item = io::Result<[u8; RECORD_BYTES]>>,
    sent: Option<&Sent>,
    findings: &mut Findings,
    order: &mut Order,
) -> io::Result<()> {
    let hosts = findings.hosts.len();
    let mut text = Text { sent, findings, lacks: Vec::new(), unwanted: Vec::new() };
    let mut line: Option<Line> = None;
    for record in records {
        let record = Record::from_bytes(&record?);
        if let Some(done) = line.take_if(|l| (l.text, l.time) != (record.text, record.time)) {
            let text_ends = done.text != record.text;
            text.judge(done, order)?;
            if text_ends {
                text.settle();
            }
        }
        line.get_or_insert_with(|| Line::new(&record, hosts)).add(&record, sent);
    }
    if let Some(done) = line {
        text.judge(done, order)?;
    }
    text.settle();
    Ok(())
}

/// A line, and who has it how often.
struct Line {
    text: u128,
    time: u64,
    hosts: Vec<Copies>,
    taken: u64,
    open: u64,
    refused: u64,
    sent: Option<SentAs>,
}

/// One host's copies of a line.
#[derive(Clone, Copy, Default)]
struct Copies {
    count: u64,
    /// The position of the last one.
    last: u64,
}

/// The first message with this line.
#[derive(Clone, Copy)]
struct SentAs {
    stream: u32,
    place: Place,
    ordered: bool,
}

impl Line {
    fn new(record: &Record, hosts: usize) -> Line {
        let hosts = vec![Copies::default(); hosts];
        Line { text: record.text, time: record.time, hosts, taken: 0, open: 0, refused: 0, sent: None }
    }

    fn add(&mut self, record: &Record, sent: Option<&Sent>) {
        match record.source {
            Source::Host(host) => {
                let copies = &mut self.hosts[usize::from(host)];
                *copies = Copies { count: copies.count + 1, last: record.position };
            }
            Source::Sent(outcome, ordered) => {
                match outcome {
                    Outcome::Taken => self.taken += 1,
                    Outcome::Open => self.open += 1,
                    Outcome::Refused => self.refused += 1,
                }
                let log = sent.map_or(0, |sent| sent.streams[record.stream as usize].log);
                let place = Place { position: record.position, log: LogIndex::Sent(log) };
                self.sent.get_or_insert(SentAs { stream: record.stream, place, ordered });
            }
        }
    }

    /// Which messages may be this line is known: there are none but those in sprog's logs.
    fn is_known(&self, sent: Option<&Sent>) -> bool {
        self.sent.is_some() || sent.is_some_and(|sent| !sent.others)
    }

    /// How often each host should have it.
    fn expected(&self, sent: Option<&Sent>) -> u64 {
        let usual = self.usual();
        if !self.is_known(sent) {
            return usual;
        }
        // A message without an answer that has come to one host must have come to all.
        let least = self.taken
            + u64::from(self.taken == 0 && self.open > 0 && self.hosts.iter().any(|h| h.count > 0));
        usual.clamp(least, self.taken + self.open)
    }

    /// How often most hosts have it; where two numbers are equally common, the first host's or the smaller.
    fn usual(&self) -> u64 {
        let hosts_with = |n: u64| self.hosts.iter().filter(|copies| copies.count == n).count();
        let first = self.hosts[0].count;
        let counts = self.hosts.iter().map(|copies| copies.count);
        counts.max_by_key(|n| (hosts_with(*n), *n == first, std::cmp::Reverse(*n))).unwrap_or(0)
    }

    /// Where it can be seen.
    fn place(&self) -> Option<Place> {
        let host = self.hosts.iter().position(|copies| copies.count > 0);
        host.map(|host| Place::on(host, self.hosts[host].last)).or(self.sent.map(|sent| sent.place))
    }
}

/// The lines of one text, until all of its times are known.
struct Text<'a> {
    sent: Option<&'a Sent>,
    findings: &'a mut Findings,
    lacks: Vec<Lack>,
    unwanted: Vec<Line>,
}

/// A line that a host has not often enough.
struct Lack {
    host: usize,
    amount: u64,
    place: Place,
}

impl Text<'_> {
    fn judge(&mut self, line: Line, order: &mut Order) -> io::Result<()> {
        order_of(&line, order)?;
        let expected = line.expected(self.sent);
        let Some(place) = line.place() else { return Ok(()) };
        for (host, copies) in line.hosts.iter().enumerate() {
            if copies.count < expected {
                self.lacks.push(Lack { host, amount: expected - copies.count, place });
            } else if copies.count > expected && expected > 0 {
                let copy = Place::on(host, copies.last);
                self.findings.add(Kind::Doubled, host, copies.count - expected, copy);
            }
        }
        if expected == 0 {
            self.unwanted.push(line);
        }
        if self.lacks.len() > PAIRS_MAX || self.unwanted.len() > PAIRS_MAX {
            self.settle();
        }
        Ok(())
    }

    /// Finds the altered among what a host lacks and has too much, and counts the rest.
    fn settle(&mut self) {
        for mut line in std::mem::take(&mut self.unwanted) {
            for host in 0..line.hosts.len() {
                self.pair(host, &mut line.hosts[host]);
            }
            if line.hosts.iter().any(|copies| copies.count > 0) {
                self.count_unwanted(&line);
            }
        }
        for lack in self.lacks.drain(..) {
            self.findings.add(Kind::Missing, lack.host, lack.amount, lack.place);
        }
    }

    fn pair(&mut self, host: usize, copies: &mut Copies) {
        for lack in self.lacks.iter_mut().filter(|lack| lack.host == host) {
            let altered = lack.amount.min(copies.count);
            if altered > 0 {
                lack.amount -= altered;
                copies.count -= altered;
                self.findings.add(Kind::Altered, host, altered, Place::on(host, copies.last));
            }
        }
        self.lacks.retain(|lack| lack.amount > 0);
    }

    /// Counts a line that nobody sent, or that most hosts do not have.
    fn count_unwanted(&mut self, line: &Line) {
        let known = line.is_known(self.sent);
        let Some(place) = line.place() else { return };
        for (host, copies) in line.hosts.iter().enumerate() {
            let here = Place::on(host, copies.last);
            match copies.count {
                0 if !known => self.findings.add(Kind::Missing, host, 1, place),
                n if n > 0 && known => self.findings.add(Kind::Extra, host, n, here),
                n if n > 1 => self.findings.add(Kind::Doubled, host, n - 1, here),
                _ => {}
            }
        }
    }
}

/// Where the line is one message, and one line on a host, its place there can be checked.
fn order_of(line: &Line, order: &mut Order) -> io::Result<()> {
    let Some(SentAs { stream, place, ordered: true }) = line.sent else { return Ok(()) };
    if line.taken + line.open != 1 || line.refused > 0 {
        return Ok(());
    }
    for (host, copies) in line.hosts.iter().enumerate().filter(|(_, copies)| copies.count == 1) {
        order.push(host, copies.last, stream, place.position)?;
    }
    Ok(())
}
