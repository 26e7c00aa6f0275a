//! The two clocks. Running time is that of the round of [`crate::rt`] in which it is asked for.

use crate::rt;
use pzog::{Now, Time};
use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock is read again after this time of running: somebody may have turned it.
const UTC_AGAIN: Duration = Duration::from_millis(50);

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
    /// What the wall clock said, and how long it is taken to say so.
    utc: Cell<(Time, u64)>,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { start: rt::now(), utc: Cell::default() }
    }

    /// What the node is told at the beginning of a turn.
    pub(crate) fn now(&self) -> Now {
        let mono = self.mono();
        Now { mono, utc_seconds: self.utc_seconds(mono) }
    }

    /// The wall clock, not read anew as long as its second lasts.
    fn utc_seconds(&self, mono: Time) -> u64 {
        let (until, known) = self.utc.get();
        if mono < until {
            return known;
        }
        let read = since_1970();
        let left = Duration::from_secs(1) - Duration::from_nanos(read.subsec_nanos().into());
        self.utc.set((mono + left.min(UTC_AGAIN), read.as_secs()));
        read.as_secs()
    }

    /// Running time alone.
    pub(crate) fn mono(&self) -> Time {
        Time::default() + rt::now().saturating_duration_since(self.start)
    }

    /// The moment a timer has to be set to.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        self.start + (time - Time::default())
    }
}
