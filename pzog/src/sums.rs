//! Sums: whether what came by way of others is what its origin said.
//!
//! A host takes the messages of a stream from its origin, from a relay, or from whoever answered its `WANT`. Once in
//! [`SUM_WITHIN`] an origin tells every linked host, over their own link, a sum of its last messages as they stand in its
//! journal; the other one reads its own journal and compares. Nothing of this is done when a message is taken or sent.
//!
//! The sum is a polynomial over the lines, modulo the prime 2⁶¹ − 1, at a point (the *key*) that the origin draws when the
//! messages have long left: whoever alters one cannot know where it will be looked at.

use crate::broadcast::OWN;
use crate::event::{ConnId, Outputs, Place, Read, Severity, Slice, Source};
use crate::journal::record::REPEAT;
use crate::limits::{SERVE_BYTES, SUM_MESSAGES, SUM_PIECES, SUM_WAIT, SUM_WITHIN, SUMS_MAX};
use crate::node::Node;
use crate::report::Refusal;
use crate::ring::HostIndex;
use crate::stream::Numbers;
use crate::time::Time;
use crate::wire::{StreamName, hex16, number};
use alloc::collections::VecDeque;
use alloc::string::String;
use rand::RngExt as _;

/// The revision of the protocol from which on sums are told.
const SINCE: u64 = 1;

/// 2⁶¹ − 1, a prime.
const PRIME: u64 = (1 << 61) - 1;

/// What is summed, and what is still to be.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// When our own next sum is due.
    at: Option<Time>,
    /// Our own messages were summed up to here.
    told: u64,
    jobs: VecDeque<Job>,
    /// The one whose journal is being read, and the number of that read.
    reading: Option<(u32, Job)>,
}

/// A sum to be made of some messages.
#[derive(Debug)]
struct Job {
    purpose: Purpose,
    stream: u32,
    numbers: Numbers,
    /// Not before that.
    due: Time,
    key: u64,
    sum: u64,
    /// The next message to be added.
    next: u64,
    /// Where the next piece of the journal begins, how many bytes it has at least, and how many were read.
    at: Place,
    bytes: u32,
    pieces: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    /// It is told to all linked hosts.
    Tell,
    /// The origin says that it is this.
    Compare(u64),
}

impl Sums {
    /// Our own stream goes on.
    pub(crate) fn own_goes_on(&mut self, now: Time) {
        self.at.get_or_insert(now + SUM_WITHIN);
    }

    /// When there is something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let job = self.jobs.iter().map(|job| job.due).min().filter(|_| self.reading.is_none());
        self.at.into_iter().chain(job).min()
    }
}

impl Job {
    fn new(purpose: Purpose, stream: u32, numbers: Numbers, key: u64, due: Time) -> Job {
        let (next, at) = (numbers.from, Place::default());
        Job { purpose, stream, numbers, due, key, sum: 0, next, at, bytes: SERVE_BYTES, pieces: 0 }
    }

    fn is_done(&self) -> bool {
        self.next > self.numbers.to
    }

    /// Adds a line without its wrapping and its end: its length, then its bytes, seven at a time.
    fn add(&mut self, line: &[u8]) {
        self.sum = step(self.sum, self.key, line.len() as u64);
        for part in line.chunks(7) {
            let mut bytes = [0; 8];
            bytes[..part.len()].copy_from_slice(part);
            self.sum = step(self.sum, self.key, u64::from_le_bytes(bytes));
        }
        self.next += 1;
    }
}

/// `sum` · `key` + `value`, modulo [`PRIME`]; `sum` and `key` are below it, `value` is below 2⁵⁶.
fn step(sum: u64, key: u64, value: u64) -> u64 {
    let wide = u128::from(sum) * u128::from(key) + u128::from(value);
    // 2⁶¹ is 1 modulo the prime: what stands above these bits is added to them. A division takes far longer.
    let folded = (wide & u128::from(PRIME)) as u64 + (wide >> 61) as u64;
    if folded >= PRIME { folded - PRIME } else { folded }
}

impl Node {
    /// Begins what is due.
    pub(crate) fn tend_sums(&mut self, now: Time, out: &mut Outputs) {
        if self.sums.at.take_if(|at| *at <= now).is_some() {
            self.sum_own(now);
        }
        if self.sums.reading.is_none()
            && let Some(at) = self.sums.jobs.iter().position(|job| job.due <= now)
            && let Some(mut job) = self.sums.jobs.remove(at)
        {
            // What has not come by now is lacking, which is another matter.
            if self.streams.get(job.stream).lacking() > job.numbers.to {
                job.at = self.journal.find(job.stream, job.next);
                self.read_for_sum(job, out);
            }
        }
    }

    /// The newest of our own messages are to be summed, if anybody is there who knows sums.
    fn sum_own(&mut self, now: Time) {
        let to = self.own.sendable;
        let from = (self.sums.told + 1).max((to + 1).saturating_sub(SUM_MESSAGES));
        self.sums.told = to;
        let speaks = |host: HostIndex| self.links[host.index()].up.is_some_and(|up| up.revision >= SINCE);
        if from <= to && self.others().any(speaks) {
            let key = self.rng.random_range(1..PRIME);
            self.add_job(Job::new(Purpose::Tell, OWN, Numbers { from, to }, key, now));
        }
    }

    fn add_job(&mut self, job: Job) {
        if self.sums.jobs.len() == SUMS_MAX {
            self.sums.jobs.pop_front(); // it stays uncompared
        }
        self.sums.jobs.push_back(job);
    }

    /// Reads the next piece of the journal; where there is none the messages are not here any more.
    fn read_for_sum(&mut self, mut job: Job, out: &mut Outputs) {
        job.at = self.journal.normal(job.at);
        job.pieces += 1;
        if job.at == self.journal.end() || job.pieces > SUM_PIECES {
            return;
        }
        self.reads = self.reads.wrapping_add(1);
        let bytes = job.bytes.min(self.journal.bytes_behind(job.at));
        out.read.push(Read { id: self.reads, at: job.at, bytes });
        self.sums.reading = Some((self.reads, job));
    }

    /// A piece of the journal was read for a sum.
    pub(crate) fn sum_read(&mut self, id: u32, bytes: &mut [u8], out: &mut Outputs) {
        let Some((_, mut job)) = self.sums.reading.take_if(|(reading, _)| *reading == id) else { return };
        let base = job.at;
        let asked = core::mem::replace(&mut job.bytes, SERVE_BYTES).min(self.journal.bytes_behind(base));
        let (upto, needs) = self.walk(base, asked, bytes, out, |node, payload, bytes, _| {
            node.sum_record(&mut job, &bytes[payload.range()]);
        });
        job.bytes = job.bytes.max(needs);
        job.at = Place { offset: base.offset + upto, ..base };
        match job.is_done() {
            true => self.sum_is_made(&job, out),
            false => self.read_for_sum(job, out),
        }
    }

    fn sum_record(&self, job: &mut Job, payload: &[u8]) {
        let name = &self.streams.get(job.stream).head;
        for line in crate::journal::record::lines(payload) {
            if job.is_done() {
                return;
            }
            let is_data = matches!(line.first(), Some(b'0'..=b'2' | &REPEAT));
            if is_data && number_behind(name, &line[1..]) == Some(job.next) {
                job.add(&line[1..]);
            }
        }
    }

    fn sum_is_made(&mut self, job: &Job, out: &mut Outputs) {
        match job.purpose {
            Purpose::Tell => self.tell_sum(job, out),
            Purpose::Compare(sum) if sum != job.sum && !planted!(SumsNotCompared) => {
                self.report_diverged(job, out);
            }
            Purpose::Compare(_) => {}
        }
    }

    fn tell_sum(&self, job: &Job, out: &mut Outputs) {
        let Numbers { from, to } = job.numbers;
        let (key, sum) = (job.key, job.sum);
        let head = String::from_utf8_lossy(&self.streams.get(OWN).head);
        let name = head.trim_end_matches('.');
        let line = out.put_small(format_args!("SUM {name} {from} {to} {key:016x} {sum:016x}\r\n"));
        for host in self.others() {
            let up = self.links[host.index()].up;
            if let Some(up) = up.filter(|up| up.revision >= SINCE || planted!(NewLineToOld)) {
                out.send.push((up.conn, Slice::Small(line)));
            }
        }
    }

    /// `SUM <stream> <from> <to> <key> <sum>`: what the origin has sent of a stream.
    pub(crate) fn peer_sum(&mut self, now: Time, conn: ConnId, rest: &[u8], line: &[u8], out: &mut Outputs) {
        let host = self.peers.get_mut(conn).and_then(|p| p.host);
        let told = parse(rest).and_then(|(name, numbers, key, sum)| {
            Some((StreamName::parse(name, &self.ring).ok()?, numbers, key, sum))
        });
        // Nobody can say what another one has said.
        let Some((name, numbers, key, sum)) = told.filter(|(name, ..)| Some(name.origin) == host) else {
            return self.refuse_peer_line(conn, Refusal::Malformed, line, out);
        };
        let Some(stream) = self.streams.open(name, &self.ring) else { return };
        let is_here = self.streams.get(stream).lacking() > numbers.to;
        let due = if is_here { now } else { now + SUM_WAIT };
        self.add_job(Job::new(Purpose::Compare(sum), stream, numbers, key, due));
    }

    fn report_diverged(&mut self, job: &Job, out: &mut Outputs) {
        self.counters.diverged += 1;
        let Numbers { from, to } = job.numbers;
        let state = self.streams.get(job.stream);
        let source = state.source.map_or("another host", |host| self.ring.name(host));
        let head = String::from_utf8_lossy(&state.head);
        out.report(
            Severity::Error,
            Source::Host(state.name.origin),
            format_args!(
                "DIVERGED {head}{from} to {to}: what this host has of them is not what their origin has; the last ones \
                 came from {source}: compare the logs, and look at that host"
            ),
        );
    }
}

/// The number of a line without its wrapping, if it is of this stream.
fn number_behind(name: &[u8], line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(name)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    number(&rest[..digits])
}

/// What stands behind `SUM`.
fn parse(rest: &[u8]) -> Option<(&[u8], Numbers, u64, u64)> {
    let mut words = rest.split(|b| *b == b' ');
    let (name, from, to) = (words.next()?, number(words.next()?)?, number(words.next()?)?);
    let (key, sum) = (hex16(words.next()?)?, hex16(words.next()?)?);
    let is_right = 0 < from && from <= to && to - from < SUM_MESSAGES && key < PRIME && sum < PRIME;
    (is_right && words.next().is_none()).then_some((name, Numbers { from, to }, key, sum))
}
