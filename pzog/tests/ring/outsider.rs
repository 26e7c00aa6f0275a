//! A client or peer that the test itself plays: what it said, and what it may expect.

use pzog::Level;
use std::collections::VecDeque;

/// A line that waits for its answer.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The message, if it was one, and how far `OK` says that it has come.
    pub(crate) message: Option<(Vec<u8>, Level)>,
}

#[derive(Default, Debug)]
pub(crate) struct Outsider {
    unfinished: Vec<u8>,
    level: Level,
    /// A line that was too long is answered before it has ended.
    pub(crate) answered_early: bool,
    pub(crate) asked: VecDeque<Asked>,
    pub(crate) answers: Vec<String>,
}

impl Outsider {
    pub(crate) fn new(level: Level) -> Outsider {
        Outsider { level, ..Outsider::default() }
    }

    /// Notes what is said, to know what each answer is about.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.unfinished.extend_from_slice(bytes);
        while let Some(end) = self.unfinished.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.unfinished.drain(..=end).collect();
            let asked = self.read(line.strip_suffix(b"\r\n").unwrap_or_default());
            if !std::mem::take(&mut self.answered_early) {
                self.asked.push_back(asked);
            }
        }
    }

    fn read(&mut self, line: &[u8]) -> Asked {
        if line.starts_with(b"HELLO ") {
            let mut words = line.split(|b| *b == b' ');
            let level = words.find_map(|word| Level::of_word(word.strip_prefix(b"ack=")?));
            self.level = level.unwrap_or(self.level);
        }
        let text = match line {
            [b'0'..=b'2', text @ ..] => Some((text, self.level.min(Level::Synced))),
            _ if line.starts_with(b"MSG ") => Some((&line[4..], self.level)),
            _ if line.starts_with(b"AT ") => line.get(20..).map(|text| (text, self.level)),
            _ => None,
        };
        Asked { message: text.map(|(text, level)| (text.to_vec(), level)) }
    }
}
