//! Whether a log holds every message that was sent, each once and whole.

use crate::message::{HEAD, Message, now};
use crate::short::{self, Short};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::AddAssign;
use std::path::Path;

/// The client whose messages only find out whether the ring works; they may come any number of times.
pub const WARM_UP: u16 = u16::MAX;

/// What a log must hold.
#[derive(Clone, Debug)]
pub struct Expected {
    /// How many messages each client sent; clients are numbered from 0.
    pub messages: Vec<u32>,
    /// Bytes of a message.
    pub size: usize,
    /// What stands around each message.
    pub line: Line,
}

impl Expected {
    fn total(&self) -> u64 {
        self.messages.iter().map(|messages| u64::from(*messages)).sum()
    }
}

/// What a system puts around each message in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// So many bytes before it.
    pub before: usize,
    /// What stands behind it; ends the line.
    pub behind: &'static [u8],
}

impl Line {
    /// Bytes of a line whose message has `size`.
    #[must_use]
    pub fn length(&self, size: usize) -> u64 {
        (self.before + size + self.behind.len()) as u64
    }

    /// The message of a line.
    #[must_use]
    pub fn message<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        line.get(self.before..)?.strip_suffix(self.behind)
    }
}

/// What is wrong with a log, in messages or lines; all 0 where it is right.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Findings {
    /// Messages that are not there.
    pub missing: u64,
    /// Lines too many, of messages that are there already.
    pub doubled: u64,
    /// Lines that are no message that was sent: torn, changed, or of another length.
    pub malformed: u64,
}

impl Findings {
    /// Whether the log is right.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Findings::default()
    }
}

impl AddAssign for Findings {
    fn add_assign(&mut self, other: Findings) {
        self.missing += other.missing;
        self.doubled += other.doubled;
        self.malformed += other.malformed;
    }
}

/// Reads a log from its first to its last byte.
pub fn check(log: &Path, expected: &Expected) -> Result<Findings> {
    if expected.size < HEAD {
        let mut seen = SeenShort::new(expected);
        each_line(log, |line| seen.line(line))?;
        return Ok(seen.findings());
    }
    let mut seen = Seen::new(expected);
    each_line(log, |line| seen.line(line))?;
    Ok(seen.findings())
}

fn each_line(log: &Path, mut take: impl FnMut(&[u8])) -> Result<()> {
    let unread = || format!("the log {} cannot be read", log.display());
    let mut reader = BufReader::with_capacity(1 << 20, File::open(log).with_context(unread)?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).with_context(unread)? > 0 {
        take(&line);
        line.clear();
    }
    Ok(())
}

struct Seen<'a> {
    expected: &'a Expected,
    /// One bit for each message, client after client.
    bits: Vec<u64>,
    /// The first bit of each client.
    firsts: Vec<usize>,
    found: u64,
    findings: Findings,
    read_at: u64,
}

impl Seen<'_> {
    fn new(expected: &Expected) -> Seen<'_> {
        let mut firsts = Vec::new();
        let total = expected.messages.iter().fold(0, |total, messages| {
            firsts.push(total);
            total + *messages as usize
        });
        let bits = vec![0; total.div_ceil(64)];
        Seen { expected, bits, firsts, found: 0, findings: Findings::default(), read_at: now() }
    }

    fn line(&mut self, line: &[u8]) {
        match self.message(line) {
            Some(Message { client: WARM_UP, .. }) => {}
            Some(m) if m.number < self.messages_of(m.client) => self.take(m),
            _ => self.findings.malformed += 1,
        }
    }

    fn messages_of(&self, client: u16) -> u32 {
        self.expected.messages.get(usize::from(client)).copied().unwrap_or_default()
    }

    fn message(&self, line: &[u8]) -> Option<Message> {
        let text = self.expected.line.message(line)?;
        let message = (text.len() == self.expected.size).then(|| Message::read(text))?;
        message.filter(|m| m.stamp <= self.read_at)
    }

    fn take(&mut self, message: Message) {
        let index = self.firsts[usize::from(message.client)] + message.number as usize;
        let (word, bit) = (&mut self.bits[index / 64], 1 << (index % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.found += 1;
        } else {
            self.findings.doubled += 1;
        }
    }

    fn findings(mut self) -> Findings {
        self.findings.missing = self.expected.total() - self.found;
        self.findings
    }
}

/// Messages too short to tell who sent them: how often each text is there.
struct SeenShort<'a> {
    expected: &'a Expected,
    /// By number: how often the text that such a message has is still to come.
    due: Vec<i64>,
    malformed: u64,
}

impl SeenShort<'_> {
    fn new(expected: &Expected) -> SeenShort<'_> {
        let texts = short::texts(expected.size);
        let most = expected.messages.iter().copied().max().unwrap_or_default();
        let mut due = vec![0; u64::from(most).min(texts) as usize];
        for messages in &expected.messages {
            (0..u64::from(*messages)).for_each(|number| due[(number % texts) as usize] += 1);
        }
        SeenShort { expected, due, malformed: 0 }
    }

    fn line(&mut self, line: &[u8]) {
        let text = self.expected.line.message(line).filter(|text| text.len() == self.expected.size);
        match text.and_then(short::read) {
            Some(Short::WarmUp) => {}
            Some(Short::Number(number)) if number < self.due.len() as u64 => self.due[number as usize] -= 1,
            _ => self.malformed += 1,
        }
    }

    fn findings(self) -> Findings {
        let missing = self.due.iter().filter(|due| **due > 0).sum::<i64>();
        let doubled = -self.due.iter().filter(|due| **due < 0).sum::<i64>();
        Findings { missing: missing as u64, doubled: doubled as u64, malformed: self.malformed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(size: usize) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for (client, count) in [(WARM_UP, 20), (0, 100), (1, 90), (WARM_UP, 20)] {
            for number in 0..count {
                let mut line = b"12 ".to_vec();
                Message { client, number, stamp: 1 }.write(size, &mut line);
                line.push(b'\n');
                lines.push(line);
            }
        }
        lines
    }

    fn findings_of(size: usize, lines: &[Vec<u8>]) -> Findings {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.concat()).unwrap();
        let line = Line { before: 3, behind: b"\n" };
        check(file.path(), &Expected { messages: vec![100, 90], size, line }).unwrap()
    }

    fn log() -> Vec<Vec<u8>> {
        log_of(60)
    }

    fn findings(lines: &[Vec<u8>]) -> Findings {
        findings_of(60, lines)
    }

    #[test]
    fn short_messages_are_counted_by_their_text() {
        for size in 1..HEAD {
            let whole = log_of(size);
            assert!(findings_of(size, &whole).is_clean(), "{size}");
            let mut lines = whole.clone();
            lines.remove(50);
            assert_eq!(findings_of(size, &lines), Findings { missing: 1, ..Findings::default() }, "{size}");
            lines.push(whole[50].clone());
            lines.push(whole[51].clone());
            assert_eq!(findings_of(size, &lines), Findings { doubled: 1, ..Findings::default() }, "{size}");
            lines.pop();
            lines.push(b"12 \n".to_vec());
            assert_eq!(findings_of(size, &lines), Findings { malformed: 1, ..Findings::default() }, "{size}");
        }
    }

    #[test]
    fn a_whole_log_is_clean() {
        assert!(findings(&log()).is_clean());
    }

    #[test]
    fn a_lost_line_is_missing() {
        let mut lines = log();
        lines.remove(50);
        assert_eq!(findings(&lines), Findings { missing: 1, ..Findings::default() });
    }

    #[test]
    fn a_line_twice_is_doubled() {
        let mut lines = log();
        lines.push(lines[150].clone());
        assert_eq!(findings(&lines), Findings { doubled: 1, ..Findings::default() });
    }

    #[test]
    fn a_torn_line_is_malformed_and_its_message_missing() {
        for cut in 1..lines_length() {
            let mut lines = log();
            lines[60].drain(..cut);
            let torn = Findings { missing: 1, malformed: 1, ..Findings::default() };
            assert_eq!(findings(&lines), torn, "without its first {cut} bytes");
        }
    }

    fn lines_length() -> usize {
        log()[0].len()
    }

    #[test]
    fn two_lines_that_exchanged_their_tails_are_both_malformed() {
        let mut lines = log();
        let (one, two) = (lines[60].clone(), lines[61].clone());
        lines[60] = [&one[..40], &two[40..]].concat();
        lines[61] = [&two[..40], &one[40..]].concat();
        assert_eq!(findings(&lines), Findings { missing: 2, malformed: 2, doubled: 0 });
    }

    #[test]
    fn a_last_line_without_its_end_is_malformed() {
        let mut lines = log();
        lines.truncate(210);
        lines[209].pop();
        assert_eq!(findings(&lines), Findings { missing: 1, malformed: 1, doubled: 0 });
    }

    #[test]
    fn a_message_that_nobody_sent_is_malformed() {
        let mut lines = log();
        for (client, number, stamp) in [(2, 0, 1), (1, 90, 1), (0, 1, u64::MAX)] {
            let mut line = b"12 ".to_vec();
            Message { client, number, stamp }.write(60, &mut line);
            line.push(b'\n');
            lines.push(line);
        }
        assert_eq!(findings(&lines), Findings { malformed: 3, ..Findings::default() });
    }
}
