//! The two clocks, read once a turn.

use pzog::{Now, Time};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock, for stamps alone: people turn it. Before 1970 counts as 1970.
pub(crate) fn utc_seconds() -> u64 {
    since_1970().as_secs()
}

/// The same, also to be shown and compared with those of other hosts.
#[expect(clippy::disallowed_methods, reason = "the one place where it is read")]
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Running time counts from the start of the daemon.
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { start: Instant::now() }
    }

    /// What the node is told at the beginning of a turn.
    pub(crate) fn now(&self) -> Now {
        Now { mono: self.mono(), utc_seconds: utc_seconds() }
    }

    /// Running time alone.
    pub(crate) fn mono(&self) -> Time {
        Time::default() + self.start.elapsed()
    }

    /// The moment a timer has to be set to.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        self.start + (time - Time::default())
    }
}
