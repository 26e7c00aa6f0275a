//! error.log: one line for everything that somebody should know.
//!
//! `YYYYMMDDTHHMMSSZ SEVERITY SOURCE text`, where the source is `client ADDR:PORT`, `peer ADDR:PORT (NAME)`, or a
//! host's name. The same lines go to the diagnostics on stderr.

use crate::limiter::{LINES_PER_SECOND, Limiter};
use crate::log_file::LogFile;
use log::Level;
use pzog::{Severity, Stamp};
use ringfile::LogSettings;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;

/// Whose allowance a line is counted against.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Origin {
    /// This host of the ring, by its place; this one too.
    Host(u8),
    /// Connections from this address.
    Address(IpAddr),
}

/// error.log, written once a turn.
pub(crate) struct ErrorLog {
    file: LogFile,
    limiter: Limiter<Origin>,
    /// Names of the hosts by their place.
    names: Vec<String>,
    /// Lines of this turn.
    lines: Vec<u8>,
    /// Lines that could not be written since the last one that could.
    unwritten: u64,
}

impl ErrorLog {
    /// Opens `error.log` to append to it; a torn last line is cut off.
    pub(crate) fn open(dir: &Path, settings: &LogSettings, names: Vec<String>) -> io::Result<ErrorLog> {
        let (file, _) = LogFile::open(dir, "error", settings)?;
        Ok(ErrorLog { file, limiter: Limiter::new(), names, lines: Vec::new(), unwritten: 0 })
    }

    /// Adds a line, unless its origin has had its share of this second. [`Self::write`] brings it to the file.
    pub(crate) fn add(
        &mut self,
        utc_seconds: u64,
        severity: Severity,
        origin: Origin,
        source: impl Display,
        text: impl Display,
    ) {
        self.turn_to(utc_seconds);
        if self.limiter.allows(origin) {
            self.line(utc_seconds, severity, &source, &text);
        }
    }

    /// Tells what was suppressed in the second before, if that is over.
    pub(crate) fn turn_to(&mut self, utc_seconds: u64) {
        for suppressed in self.limiter.turn_to(utc_seconds) {
            let source = match suppressed.source {
                Some(Origin::Address(ip)) => ip.to_string(),
                Some(Origin::Host(host)) => self.names[usize::from(host)].clone(),
                None => "many addresses".into(),
            };
            let text = format!(
                "SUPPRESSED {} more from {source} within 1 s (at most {LINES_PER_SECOND} are shown)",
                suppressed.lines
            );
            self.line(utc_seconds, Severity::Warning, &source, &text);
        }
    }

    /// Whether [`Self::turn_to`] will have something to tell when this second is over.
    pub(crate) fn is_suppressing(&self) -> bool {
        self.limiter.is_suppressing()
    }

    /// Writes what was added. What cannot be written is counted, and told when the disk takes lines again.
    pub(crate) fn write(&mut self, utc_seconds: u64) {
        if self.lines.is_empty() {
            return;
        }
        let count = memchr::memchr_iter(b'\n', &self.lines).count() as u64;
        if self.unwritten > 0 {
            let text = format!("LOST {} lines of error.log: they could not be written", self.unwritten);
            self.line(utc_seconds, Severity::Error, &"error.log", &text);
        }
        if self.file.is_rotation_due(utc_seconds)
            && let Err(e) = self.file.rotate(utc_seconds)
        {
            log::error!("{}: cannot rotate: {e}", self.file.path().display());
        }
        match self.file.append(&self.lines) {
            Ok(()) => self.unwritten = 0,
            Err(e) => {
                log::error!("{}: cannot write: {e}", self.file.path().display());
                self.unwritten += count;
            }
        }
        self.lines.clear();
        drop(self.file.take_unsynced()); // nobody is answered by this log: the system syncs it in its own time
    }

    /// Follows a file that was renamed.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.file.reopen()
    }

    /// New settings for rotation.
    pub(crate) fn configure(&mut self, settings: &LogSettings, utc_seconds: u64) {
        self.file.configure(settings, utc_seconds);
    }

    fn line(&mut self, utc_seconds: u64, severity: Severity, source: &dyn Display, text: &dyn Display) {
        let (word, level) = match severity {
            Severity::Info => ("INFO", Level::Info),
            Severity::Warning => ("WARNING", Level::Warn),
            Severity::Error => ("ERROR", Level::Error),
        };
        log::log!(level, "{source} {text}");
        let stamp = Stamp::of_utc_seconds(utc_seconds);
        writeln!(self.lines, "{stamp} {word} {source} {text}").unwrap_or_else(|e| {
            unreachable!("memory takes every line: {e}");
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn open(dir: &Path) -> ErrorLog {
        ErrorLog::open(dir, &LogSettings::default(), vec!["MV".into(), "PA".into()]).unwrap()
    }

    fn read(dir: &Path) -> String {
        fs::read_to_string(dir.join("error.log")).unwrap()
    }

    #[test]
    fn a_line_says_when_how_bad_who_and_what() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path());
        let address = Origin::Address(IpAddr::from([127, 0, 0, 1]));
        log.add(1_795_229_502, Severity::Warning, address, "client 127.0.0.1:4242", "REFUSED empty line");
        log.add(1_795_229_503, Severity::Info, Origin::Host(1), "PA", "UP");
        log.write(1_795_229_503);
        assert_eq!(
            read(dir.path()),
            "20261121T025142Z WARNING client 127.0.0.1:4242 REFUSED empty line\n20261121T025143Z INFO PA UP\n"
        );
    }

    #[test]
    fn a_flood_ends_in_one_line_that_counts_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path());
        let address = Origin::Address(IpAddr::from([10, 0, 0, 9]));
        for i in 0..250 {
            log.add(60, Severity::Warning, address, "client 10.0.0.9:1", format_args!("REFUSED {i}"));
        }
        assert!(log.is_suppressing());
        log.turn_to(61);
        log.write(61);
        let text = read(dir.path());
        assert_eq!(text.lines().count(), 101);
        let last = text.lines().last().unwrap();
        assert!(last.contains("SUPPRESSED 150 more from 10.0.0.9 within 1 s"), "{last}");
        assert!(!log.is_suppressing());
    }
}
