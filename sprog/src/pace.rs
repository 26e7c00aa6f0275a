//! When the next message is due.

use pzog::Time;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// What could not be sent in time is made up for, up to this; more is dropped rather than sent in one burst.
const DEBT_MAX: Duration = Duration::from_secs(1);

/// Deadlines one interval apart, whatever time the sending takes.
pub(crate) struct Pace {
    interval: Duration,
    jitter: Option<Xoshiro256PlusPlus>,
    due: Time,
}

impl Pace {
    /// The first message is due at `start`. With a seed for it, each interval is spread over 0.5 to 1.5 times its
    /// length.
    pub(crate) fn new(start: Time, interval: Duration, jitter_seed: Option<u64>) -> Pace {
        Pace { interval, jitter: jitter_seed.map(Xoshiro256PlusPlus::seed_from_u64), due: start }
    }

    /// How long the next message still has to wait.
    pub(crate) fn wait(&self, now: Time) -> Duration {
        self.due - now
    }

    /// The due message was sent.
    pub(crate) fn sent(&mut self, now: Time) {
        let share = self.jitter.as_mut().map_or(1.0, |rng| rng.random_range(0.5..1.5));
        self.due = self.due + self.interval.mul_f64(share);
        if now - self.due > DEBT_MAX {
            self.due = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn messages_are_due_one_interval_apart_without_drift() {
        let mut pace = Pace::new(Time(0), SECOND, None);
        assert_eq!(pace.wait(Time(0)), Duration::ZERO);
        pace.sent(Time(400_000));
        assert_eq!(pace.wait(Time(400_000)), Duration::from_millis(600));
        pace.sent(Time(1_900_000));
        assert_eq!(pace.wait(Time(1_900_000)), Duration::from_millis(100));
    }

    #[test]
    fn a_long_stall_is_not_made_up_for() {
        let mut pace = Pace::new(Time(0), SECOND, None);
        pace.sent(Time(60_000_000));
        assert_eq!(pace.due, Time(60_000_000));
    }

    #[test]
    fn jitter_stays_within_half_an_interval() {
        let mut pace = Pace::new(Time(0), SECOND, Some(1));
        for _ in 0..1000 {
            let before = pace.due;
            pace.sent(before);
            let interval = pace.due - before;
            assert!(interval >= SECOND / 2 && interval < SECOND * 3 / 2);
        }
    }
}
