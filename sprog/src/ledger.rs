//! The books: what became of every message, counted, shown and logged.

use crate::answer::Answer;
use crate::bench::{Report, Terms};
use crate::exit::{Exit, Failure};
use crate::output::{Ended, Output, Shown, printing};
use crate::sent_log::SentLog;
use crate::session::Message;
use crate::summary::{Counts, Tally};
use crate::target::Target;
use pzog::Time;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whom a message was for, or who answered it.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    /// The host.
    pub(crate) host: usize,
    /// The session.
    pub(crate) session: &'a str,
}

/// All books of a run.
pub(crate) struct Ledger {
    names: Vec<String>,
    tally: Tally,
    output: Output,
    log: Option<SentLog>,
    log_path: PathBuf,
}

impl Ledger {
    /// Opens the books, with a log if there is a path for it.
    pub(crate) fn open(log: Option<&Path>, shown: &Shown, targets: &[Target]) -> Result<Ledger, Failure> {
        let log_path = log.map(Path::to_owned).unwrap_or_default();
        let opened = log.map(SentLog::open).transpose();
        Ok(Ledger {
            names: targets.iter().map(|t| t.name.clone()).collect(),
            tally: Tally::new(targets.iter().map(|t| t.name.as_str())),
            output: Output::new(shown),
            log: opened.map_err(|e| {
                Failure::new(Exit::Io, format!("the log {} cannot be opened: {e}", log_path.display()))
            })?,
            log_path,
        })
    }

    /// A message goes on the wire.
    pub(crate) fn sent(&mut self, at: At, message: &Message) {
        self.tally.sent(at.host, message.is_repeat);
        if let Some(log) = &mut self.log {
            log.sent(at.session, message.number, &self.names[at.host], message.entry);
        }
    }

    /// A message has its answer.
    pub(crate) fn answered(&mut self, at: At, message: &Message, answer: &Answer, now: Time) {
        self.tally.answered(at.host, answer, now - message.made);
        if *answer == Answer::Ok {
            self.ended(at, message, answer, now);
        } else {
            self.ended_badly(at, message, answer, now);
        }
    }

    /// A message is given up.
    pub(crate) fn lost(&mut self, at: At, message: &Message, reason: &str, now: Time) {
        self.tally.lost(Some(at.host));
        self.ended_badly(at, message, &format_args!("LOST {reason}"), now);
    }

    fn ended_badly(&mut self, at: At, message: &Message, answer: &dyn Display, now: Time) {
        let warning = format!("{}: {answer}: {}", self.names[at.host], printing(message.entry));
        self.output.warn(now, &warning);
        self.ended(at, message, answer, now);
    }

    fn ended(&mut self, At { host, session }: At, m: &Message, answer: &dyn Display, now: Time) {
        let host = &self.names[host];
        if let Some(log) = &mut self.log {
            log.answered(session, m.number, host, answer);
        }
        let (number, latency, entry) = (m.number, now - m.made, m.entry);
        self.output.ended(&Ended { host, session, number, latency, answer, entry });
    }

    /// There was no host for a message.
    pub(crate) fn no_host(&mut self, text: &[u8]) {
        self.tally.lost(None);
        let excerpt = excerpt(text);
        self.output
            .tell(&format!("no host can be reached; not sent, and nothing behind it either: {excerpt}"));
    }

    /// A message cannot be put on the wire, for this reason.
    pub(crate) fn unfit(&mut self, now: Time, text: &[u8], reason: &str) {
        self.tally.refused_here();
        self.output.warn(now, &format!("not sent, {reason}: {}", excerpt(text)));
    }

    /// Something that a person should know, at once.
    pub(crate) fn tell(&mut self, warning: &str) {
        self.output.tell(warning);
    }

    /// Hands all that was booked to the system.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if let Some(log) = &mut self.log {
            let path = self.log_path.display();
            log.flush()
                .map_err(|e| Failure::new(Exit::Io, format!("the log {path} cannot be written: {e}")))?;
        }
        self.output.flush(self.tally.total().ended()).map_err(|e| stdout_failed(&e))
    }

    /// Whether nobody reads standard output any more.
    pub(crate) fn is_unread(&self) -> bool {
        self.output.is_closed()
    }

    /// The counts of all hosts together.
    pub(crate) fn total(&self) -> Counts {
        self.tally.total()
    }

    /// Closes the books of a benchmark.
    pub(crate) fn close_bench(&mut self, terms: &Terms, took: Duration, seed: u64) -> Result<(), Failure> {
        self.output.summary(&Report::new(terms, self.tally.summary(took, seed)));
        self.flush()
    }

    /// Closes the books, after so long a time.
    pub(crate) fn close(&mut self, took: Duration, seed: u64) -> Result<(), Failure> {
        self.output.summary(&self.tally.summary(took, seed));
        self.flush()
    }
}

fn stdout_failed(e: &io::Error) -> Failure {
    Failure::new(Exit::Io, format!("standard output cannot be written: {e}"))
}

/// Enough of a text to know it by.
fn excerpt(text: &[u8]) -> String {
    printing(&text[..text.len().min(80)])
}
