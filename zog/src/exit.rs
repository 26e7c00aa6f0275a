//! Exit codes, after sysexits(3).

use std::process::ExitCode;

/// How `zog` ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// All is well.
    Success = 0,
    /// The answer is no: logs that differ.
    Failure = 1,
    /// Wrong usage, as clap has it; of `zog verify` also that a log cannot be read.
    Usage = 2,
    /// A port, an address or a name could not be had (EX_UNAVAILABLE).
    Unavailable = 69,
    /// A file or directory could not be used (EX_IOERR).
    Io = 74,
    /// Another daemon uses the state directory (EX_TEMPFAIL).
    Busy = 75,
    /// ring.toml is wrong, or does not say who this host is (EX_CONFIG).
    Config = 78,
    /// A second signal came before the end was orderly, as shells say of SIGINT.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error that decides how the process ends.
#[derive(Debug)]
pub(crate) struct Failed {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What happened, where, and what to do.
    pub(crate) message: String,
}

impl Failed {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Failed {
        Failed { exit, message: message.into() }
    }
}
