//! sprog's log: what was sent, to which host, and what became of it.
//!
//! `SENT <session> <number> <host> <time> <text>` and `ANSWERED <session> <number> <host> <answer>`. A message is
//! known by session and number; it may have been sent more than once, and its last answer counts.

use super::lines::Lines;
use super::pieces::Log;
use super::record::{Fingerprints, Outcome, Record, Source, uint};
use super::sort::Sorter;
use anyhow::{Context as _, anyhow};
use pzog::time::{STAMP_LEN, Stamp};
use std::collections::HashMap;

/// The messages that one session gave to one host, in the order of their numbers: in this order every host logs
/// them. Here only the sprog log that tells of it; about 50 bytes are kept of each stream.
pub(super) struct Stream {
    pub(super) log: u16,
}

/// A line of a sprog log, by message and position.
struct Event {
    session: u128,
    number: u64,
    log: u16,
    position: u64,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Sent { stream: u32, time: u64, text: u128 },
    Answered(Outcome),
}

const EVENT_BYTES: usize = 63;

/// Takes sprog logs, and gives their messages.
pub(super) struct SentLogs<'f> {
    fingerprints: &'f Fingerprints,
    streams: Vec<Stream>,
    /// Streams by the log, and the fingerprints of session and host.
    known: HashMap<(u16, u128, u128), u32>,
    events: Sorter<EVENT_BYTES>,
}

impl<'f> SentLogs<'f> {
    pub(super) fn new(fingerprints: &'f Fingerprints, events: Sorter<EVENT_BYTES>) -> SentLogs<'f> {
        SentLogs { fingerprints, streams: Vec::new(), known: HashMap::new(), events }
    }

    /// Reads the sprog log with this index.
    pub(super) fn read(&mut self, index: u16, log: &mut Log) -> anyhow::Result<()> {
        log.starts = vec![0];
        let path = log.pieces[0].display();
        let mut lines = Lines::open(&log.pieces[0])?;
        let mut position = 0;
        while let Some(line) = lines.next().with_context(|| format!("cannot read {path}"))? {
            if line.whole {
                let event = self.event(index, position, line.bytes).ok_or_else(|| {
                    anyhow!("{path}:{}: no line of a sprog log; name what `sprog --log` wrote", position + 1)
                })?;
                self.events.push(event.to_bytes())?;
            } else {
                log::warn!("{path}:{}: a torn line is passed over", position + 1);
            }
            position += 1;
        }
        Ok(())
    }

    fn event(&mut self, log: u16, position: u64, line: &[u8]) -> Option<Event> {
        let mut words = line.splitn(5, |b| *b == b' ');
        let (verb, session, number) = (words.next()?, words.next()?, words.next()?);
        let (host, rest) = (words.next()?, words.next()?);
        let session = self.fingerprints.of(session);
        let number = str::from_utf8(number).ok()?.parse().ok()?;
        let what = match verb {
            b"SENT" => {
                // A text that the daemon refused stands here, too: any text will do.
                let (stamp, text) = rest.split_at_checked(STAMP_LEN)?;
                let (time, text) = (Stamp::parse(stamp)?.utc_seconds()?, text.strip_prefix(b" ")?);
                let stream = self.stream(log, session, self.fingerprints.of(host));
                What::Sent { stream, time, text: self.fingerprints.of(text) }
            }
            b"ANSWERED" => What::Answered(outcome(rest)?),
            _ => return None,
        };
        Some(Event { session, number, log, position, what })
    }

    fn stream(&mut self, log: u16, session: u128, host: u128) -> u32 {
        *self.known.entry((log, session, host)).or_insert_with(|| {
            self.streams.push(Stream { log });
            (self.streams.len() - 1) as u32
        })
    }

    /// Gives each message to `take`, as a record; returns the streams.
    pub(super) fn finish(
        self,
        mut take: impl FnMut(Record) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Stream>> {
        let mut message: Option<(u128, u64, Message)> = None;
        for event in self.events.sorted()? {
            let event = Event::from_bytes(&event?);
            match &mut message {
                Some((session, number, message)) if (*session, *number) == (event.session, event.number) => {
                    message.add(&event);
                }
                _ => {
                    let begun = (event.session, event.number, Message::new(&event));
                    if let Some((_, _, done)) = message.replace(begun) {
                        take(done.record().ok_or_else(unsent)?)?;
                    }
                }
            }
        }
        if let Some((_, _, done)) = message {
            take(done.record().ok_or_else(unsent)?)?;
        }
        Ok(self.streams)
    }
}

fn unsent() -> anyhow::Error {
    anyhow!("a sprog log tells of an answer to a message that was never sent; name all logs of its session")
}

/// What an answer says of the message. `ERR 300` refuses for the time being and takes no number, so that what an
/// earlier try did is open.
fn outcome(answer: &[u8]) -> Option<Outcome> {
    let mut words = answer.split(|b| *b == b' ');
    match words.next()? {
        b"OK" | b"PENDING" => Some(Outcome::Taken),
        b"LOST" => Some(Outcome::Open),
        b"ERR" => Some(if words.next() == Some(b"300") { Outcome::Open } else { Outcome::Refused }),
        _ => None,
    }
}

/// What the events of one message come to.
struct Message {
    first: Option<Record>,
    outcome: Outcome,
    one_stream: bool,
}

impl Message {
    fn new(event: &Event) -> Message {
        let mut message = Message { first: None, outcome: Outcome::Open, one_stream: true };
        message.add(event);
        message
    }

    fn add(&mut self, event: &Event) {
        match (event.what, &self.first) {
            (What::Answered(outcome), _) => self.outcome = outcome,
            (What::Sent { stream, .. }, Some(first)) => self.one_stream &= stream == first.stream,
            (What::Sent { stream, time, text }, None) => {
                let source = Source::Sent(Outcome::Open, true);
                self.first = Some(Record { text, time, source, position: event.position, stream });
            }
        }
    }

    fn record(self) -> Option<Record> {
        let source = Source::Sent(self.outcome, self.one_stream);
        self.first.map(|first| Record { source, ..first })
    }
}

impl Event {
    fn to_bytes(&self) -> [u8; EVENT_BYTES] {
        let mut out = [0; EVENT_BYTES];
        out[..16].copy_from_slice(&self.session.to_be_bytes());
        out[16..24].copy_from_slice(&self.number.to_be_bytes());
        out[24..26].copy_from_slice(&self.log.to_be_bytes());
        out[26..34].copy_from_slice(&self.position.to_be_bytes());
        match self.what {
            What::Answered(outcome) => out[34] = 1 + outcome as u8,
            What::Sent { stream, time, text } => {
                out[35..39].copy_from_slice(&stream.to_be_bytes());
                out[39..47].copy_from_slice(&time.to_be_bytes());
                out[47..].copy_from_slice(&text.to_be_bytes());
            }
        }
        out
    }

    fn from_bytes(bytes: &[u8; EVENT_BYTES]) -> Event {
        let what = match bytes[34] {
            0 => What::Sent {
                stream: uint(&bytes[35..39]) as u32,
                time: uint(&bytes[39..47]) as u64,
                text: uint(&bytes[47..]),
            },
            1 => What::Answered(Outcome::Taken),
            2 => What::Answered(Outcome::Open),
            _ => What::Answered(Outcome::Refused),
        };
        Event {
            session: uint(&bytes[..16]),
            number: uint(&bytes[16..24]) as u64,
            log: uint(&bytes[24..26]) as u16,
            position: uint(&bytes[26..34]) as u64,
            what,
        }
    }
}
