//! A bound on how much may come in a second: what is beyond it is waited for.

use std::time::{Duration, Instant};

/// So much may come at once, of what comes in a second.
const BURST: Duration = Duration::from_secs(1);

/// The longest that is waited for: whoever took very much at once is not forgotten for ever.
const DEBT_MAX: Duration = Duration::from_secs(60);

/// What was taken of one bound.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Bucket {
    /// When all that was taken would have come, had it come evenly.
    paid_at: Option<Instant>,
}

impl Bucket {
    /// Takes so many of `per_second`; until when nothing more may be taken, if that is later than now.
    pub(crate) fn take(&mut self, many: u64, per_second: u32, now: Instant) -> Option<Instant> {
        let begun = self.paid_at.map_or(now, |at| at.max(now));
        let worth = (Duration::from_secs(many) / per_second).min(BURST + DEBT_MAX);
        self.paid_at = Some((begun + worth).min(now + BURST + DEBT_MAX));
        self.rest(now)
    }

    /// Until when nothing more may be taken, if that is later than now.
    pub(crate) fn rest(&self, now: Instant) -> Option<Instant> {
        let until = self.paid_at?.checked_sub(BURST)?;
        (until > now).then_some(until)
    }

    /// Whether nothing is left to remember.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.paid_at.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_a_second_may_come_at_once_and_no_more() {
        let now = Instant::now();
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(100, 100, now), None);
        let until = bucket.take(50, 100, now).unwrap();
        assert_eq!(until - now, Duration::from_millis(500));
        assert_eq!(bucket.rest(until), None);
        assert!(!bucket.is_full(until) && bucket.is_full(until + BURST));
    }

    #[test]
    fn what_was_not_taken_is_not_saved_up() {
        let now = Instant::now();
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(1, 10, now), None);
        let later = now + Duration::from_secs(3600);
        assert_eq!(bucket.take(10, 10, later), None);
        assert!(bucket.take(1, 10, later).is_some());
    }

    #[test]
    fn nobody_waits_for_ever() {
        let now = Instant::now();
        assert_eq!(Bucket::default().take(u64::MAX, 1, now), Some(now + DEBT_MAX));
    }
}
