//! How sprog ends: the exit codes, and failures that have one.

use std::fmt;
use std::process::ExitCode;

/// The exit codes; `--help` lists them ([`EXIT_CODES`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// Every message was answered `OK` or `PENDING`.
    Answered = 0,
    /// Some message was refused or never answered.
    Unanswered = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No host that was asked knows the message.
    Unknown = 3,
    /// No host could be reached (sysexits' `EX_UNAVAILABLE`).
    Unavailable = 69,
    /// Reading standard input or writing a file failed (sysexits' `EX_IOERR`).
    Io = 74,
    /// ring.toml is missing or wrong (sysexits' `EX_CONFIG`).
    Config = 78,
}

/// What a second signal ends with: the code that shells give to a program ended by an interrupt.
pub(crate) const INTERRUPTED: i32 = 130;

/// The part of `--help` on exit codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
   0  every message was answered OK or PENDING
   1  some message was refused or never answered
   2  the command line is wrong
  69  no host could be reached
  74  reading standard input, or writing standard output or the log, failed
  78  ring.toml is missing or wrong
 130  a second signal came while answers were waited for";

/// The part of `who --help` on exit codes.
pub(crate) const WHO_EXIT_CODES: &str = "\
Exit codes:
   0  every host of the ring has the message on its disk
   1  some host has not, as far as is known
   2  the command line is wrong
   3  no host that was asked knows the message
  69  no host could be reached
  78  ring.toml is missing or wrong";

/// The part of `status --help` on exit codes.
pub(crate) const STATUS_EXIT_CODES: &str = "\
Exit codes:
   0  the host answered; with --all, every host
   1  with --all, some host gave no answer
   2  the command line is wrong
  69  no host could be reached
  78  ring.toml is missing or wrong";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why sprog cannot go on.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What to end with.
    pub(crate) exit: Exit,
    message: String,
}

impl Failure {
    /// A failure with what a person is told: what happened, where, and what to do.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
