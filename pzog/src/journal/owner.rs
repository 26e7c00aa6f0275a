//! Whose a journal is: each head says it, and a host uses no other's.

use crate::ring::{HostIndex, Ring};
use alloc::string::{String, ToString};
use core::fmt;

/// Why a journal is not used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JournalError {
    /// It is another host's.
    OtherHost {
        /// The segment that says so.
        segment: u64,
        /// Whose it is.
        host: String,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::OtherHost { segment, host } => write!(
                f,
                "segment {segment:016x} is of the journal of host {host}: give every host a state directory of its own"
            ),
        }
    }
}

impl core::error::Error for JournalError {}

/// A journal says whose it is.
pub(super) fn check_host(segment: u64, host: &[u8], ring: &Ring, me: HostIndex) -> Result<(), JournalError> {
    if host == ring.name(me).as_bytes() {
        return Ok(());
    }
    let host: String = String::from_utf8_lossy(host).to_string();
    Err(JournalError::OtherHost { segment, host })
}
