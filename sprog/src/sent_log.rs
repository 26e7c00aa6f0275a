//! The file of `--log`: what was put on the wire and what became of it, as `zog verify --sent` reads it.
//!
//! ```text
//! SENT <session> <number> <host> <time> <text>
//! ANSWERED <session> <number> <host> <answer>
//! ```
//! `<time> <text>` is exactly the line of access.log; `<answer>` is `OK`, `PENDING n/N`, `ERR code reason`, or
//! `LOST reason`.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// An open log. Lines are gathered, and written with one write by [`SentLog::flush`].
pub(crate) struct SentLog {
    file: File,
    lines: Vec<u8>,
}

impl SentLog {
    /// Opens the file to append to it; makes it where there is none.
    pub(crate) fn open(path: &Path) -> io::Result<SentLog> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(SentLog { file, lines: Vec::new() })
    }

    /// A message goes on the wire, not for the first time perhaps.
    pub(crate) fn sent(&mut self, session: &str, number: u64, host: &str, entry: &[u8]) {
        self.head("SENT", session, number, host);
        self.lines.extend_from_slice(entry);
        self.lines.push(b'\n');
    }

    /// This became of a message.
    pub(crate) fn answered(&mut self, session: &str, number: u64, host: &str, answer: &dyn Display) {
        self.head("ANSWERED", session, number, host);
        self.lines.extend_from_slice(answer.to_string().as_bytes());
        self.lines.push(b'\n');
    }

    fn head(&mut self, word: &str, session: &str, number: u64, host: &str) {
        for part in [word, " ", session, " ", &number.to_string(), " ", host, " "] {
            self.lines.extend_from_slice(part.as_bytes());
        }
    }

    /// Hands what was gathered to the system.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.lines)?;
        self.lines.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_as_verify_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sent.log");
        for number in [1, 2] {
            let mut log = SentLog::open(&path).unwrap();
            log.sent("T", number, "MV", b"20261121T025142Z some text");
            log.answered("T", number, "MV", &"PENDING 1/3");
            log.flush().unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        let of = |n| format!("SENT T {n} MV 20261121T025142Z some text\nANSWERED T {n} MV PENDING 1/3\n");
        assert_eq!(written, of(1) + &of(2));
    }
}
