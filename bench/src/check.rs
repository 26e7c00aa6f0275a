//! Whether a log holds every message that was sent, each once and whole.

use crate::message::{Message, now};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::AddAssign;
use std::path::Path;

/// The client whose messages only find out whether the ring works; they may come any number of times.
pub const WARM_UP: u16 = u16::MAX;

/// What a log must hold.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// How many clients sent, numbered from 0.
    pub clients: u16,
    /// How many messages each of them sent.
    pub each: u32,
    /// Bytes of a message.
    pub size: usize,
    /// What stands around each message.
    pub line: Line,
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
    let unread = || format!("the log {} cannot be read", log.display());
    let mut reader = BufReader::with_capacity(1 << 20, File::open(log).with_context(unread)?);
    let mut seen = Seen::new(expected);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).with_context(unread)? > 0 {
        seen.line(&line);
        line.clear();
    }
    Ok(seen.findings())
}

struct Seen<'a> {
    expected: &'a Expected,
    /// One bit for each message, client after client.
    bits: Vec<u64>,
    found: u64,
    findings: Findings,
    read_at: u64,
}

impl Seen<'_> {
    fn new(expected: &Expected) -> Seen<'_> {
        let bits = vec![0; (total(expected) as usize).div_ceil(64)];
        Seen { expected, bits, found: 0, findings: Findings::default(), read_at: now() }
    }

    fn line(&mut self, line: &[u8]) {
        match self.message(line) {
            Some(Message { client: WARM_UP, .. }) => {}
            Some(m) if m.client < self.expected.clients && m.number < self.expected.each => self.take(m),
            _ => self.findings.malformed += 1,
        }
    }

    fn message(&self, line: &[u8]) -> Option<Message> {
        let text = self.expected.line.message(line)?;
        let message = (text.len() == self.expected.size).then(|| Message::read(text))?;
        message.filter(|m| m.stamp <= self.read_at)
    }

    fn take(&mut self, message: Message) {
        let index = message.client as usize * self.expected.each as usize + message.number as usize;
        let (word, bit) = (&mut self.bits[index / 64], 1 << (index % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.found += 1;
        } else {
            self.findings.doubled += 1;
        }
    }

    fn findings(mut self) -> Findings {
        self.findings.missing = total(self.expected) - self.found;
        self.findings
    }
}

fn total(expected: &Expected) -> u64 {
    u64::from(expected.clients) * u64::from(expected.each)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Expected =
        Expected { clients: 2, each: 100, size: 60, line: Line { before: 3, behind: b"\n" } };

    fn log() -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for (client, count) in [(WARM_UP, 20), (0, 100), (1, 100), (WARM_UP, 20)] {
            for number in 0..count {
                let mut line = b"12 ".to_vec();
                Message { client, number, stamp: 1 }.write(60, &mut line);
                line.push(b'\n');
                lines.push(line);
            }
        }
        lines
    }

    fn findings(lines: &[Vec<u8>]) -> Findings {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.concat()).unwrap();
        check(file.path(), &EXPECTED).unwrap()
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
        lines.truncate(220);
        lines[219].pop();
        assert_eq!(findings(&lines), Findings { missing: 1, malformed: 1, doubled: 0 });
    }

    #[test]
    fn a_message_that_nobody_sent_is_malformed() {
        let mut lines = log();
        for (client, number, stamp) in [(2, 0, 1), (0, 100, 1), (0, 1, u64::MAX)] {
            let mut line = b"12 ".to_vec();
            Message { client, number, stamp }.write(60, &mut line);
            line.push(b'\n');
            lines.push(line);
        }
        assert_eq!(findings(&lines), Findings { malformed: 3, ..Findings::default() });
    }
}
