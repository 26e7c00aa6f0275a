//! The clocks of a host: one that runs, a little too fast or too slow, and one on the wall, which people turn.

use crate::event::{Moment, SECOND};
use pzog::{Now, Time};

/// The wall clock when a run begins: 20261121T025142Z.
pub(crate) const UTC_SECONDS: u64 = 1_795_229_502;

/// How far two clocks may be apart so that no time of a client is refused for it (12 h), less a minute.
pub(crate) const SKEW_MAX: i64 = 6 * 3600 - 60;

/// One host's clocks.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Clock {
    /// When the machine was switched on: its running time began at 1.
    born: Moment,
    /// Millionths by which the running time is too fast.
    drift: i64,
    /// Seconds by which the wall clock is ahead.
    pub(crate) skew: i64,
}

impl Clock {
    pub(crate) fn new(born: Moment, drift: i64) -> Clock {
        Clock { born, drift, skew: 0 }
    }

    pub(crate) fn now(&self, at: Moment) -> Now {
        let wall = (UTC_SECONDS + at / SECOND) as i64 + self.skew;
        Now { mono: Time(self.running(at)), utc_seconds: wall as u64 }
    }

    fn running(&self, at: Moment) -> u64 {
        let true_time = (at - self.born) as i64;
        (1 + true_time + true_time * self.drift / 1_000_000) as u64
    }

    /// When the running clock will show a time, or a little later.
    pub(crate) fn when(&self, time: Time) -> Moment {
        let shown = time.0 as i64;
        let at = self.born as i64 + shown * 1_000_000 / (1_000_000 + self.drift) + 2;
        at.max(0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_the_time_when_it_said_it_would() {
        for drift in [-200, -1, 0, 3, 200] {
            let clock = Clock::new(17, drift);
            for time in [1, 999, 5_000_000, 3_600_000_000] {
                let at = clock.when(Time(time));
                let shown = clock.now(at.max(17)).mono.0;
                assert!((time..time + 8).contains(&shown), "drift {drift}: {time} is shown as {shown}");
            }
        }
    }
}
