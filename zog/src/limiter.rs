//! At most so many lines a second from one source, so that nobody floods error.log; the rest is counted.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

/// Lines a second that one source may cause.
pub(crate) const LINES_PER_SECOND: u32 = 100;

/// Sources told apart within one second; those beyond share one allowance.
const SOURCES_MAX: usize = 1024;

/// Counts lines per source and second.
pub(crate) struct Limiter<S> {
    /// The second that is counted.
    second: u64,
    lines: HashMap<S, u32>,
    /// For the sources beyond [`SOURCES_MAX`].
    lines_of_others: u32,
    is_suppressing: bool,
}

/// What was not let through in a second that is over.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Suppressed<S> {
    /// Whose lines; `None` for the many sources that shared an allowance.
    pub(crate) source: Option<S>,
    /// How many.
    pub(crate) lines: u32,
}

impl<S: Copy + Eq + Hash + Ord> Limiter<S> {
    pub(crate) fn new() -> Limiter<S> {
        Limiter { second: 0, lines: HashMap::new(), lines_of_others: 0, is_suppressing: false }
    }

    /// Whether one more line of this source is let through in the second that [`Self::turn_to`] has set.
    pub(crate) fn allows(&mut self, source: S) -> bool {
        let is_full = self.lines.len() >= SOURCES_MAX && !self.lines.contains_key(&source);
        let lines = if is_full { &mut self.lines_of_others } else { self.lines.entry(source).or_default() };
        *lines = lines.saturating_add(1);
        let allows = *lines <= LINES_PER_SECOND;
        self.is_suppressing |= !allows;
        allows
    }

    /// Whether lines were suppressed in the second that is counted.
    pub(crate) fn is_suppressing(&self) -> bool {
        self.is_suppressing
    }

    /// Begins a new second if this is one, and gives what was suppressed in the one before.
    pub(crate) fn turn_to(&mut self, second: u64) -> Vec<Suppressed<S>> {
        if second == self.second {
            return Vec::new();
        }
        self.second = second;
        self.is_suppressing = false;
        let beyond = |lines: u32| lines.checked_sub(LINES_PER_SECOND).filter(|n| *n > 0);
        let mut suppressed: Vec<_> = self
            .lines
            .drain()
            .filter_map(|(source, n)| Some(Suppressed { source: Some(source), lines: beyond(n)? }))
            .collect();
        suppressed.sort_by_key(|s| s.source);
        let others = beyond(mem::take(&mut self.lines_of_others));
        suppressed.extend(others.map(|lines| Suppressed { source: None, lines }));
        suppressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_bound_is_counted_per_source() {
        let mut limiter = Limiter::new();
        assert_eq!(limiter.turn_to(7), []);
        let let_through = (0..150).filter(|_| limiter.allows('a')).count();
        assert_eq!(let_through, 100);
        assert!(limiter.is_suppressing());
        assert!(limiter.allows('b'), "a source does not use up another one's allowance");
        assert_eq!(limiter.turn_to(7), []);
        assert_eq!(limiter.turn_to(8), [Suppressed { source: Some('a'), lines: 50 }]);
        assert!(!limiter.is_suppressing());
        assert!(limiter.allows('a'));
    }

    #[test]
    fn many_sources_take_bounded_memory() {
        let mut limiter = Limiter::new();
        let let_through = (0..100_000).filter(|source| limiter.allows(*source)).count();
        assert_eq!(let_through, SOURCES_MAX + 100);
        assert_eq!(limiter.lines.len(), SOURCES_MAX);
        let suppressed = limiter.turn_to(1);
        assert_eq!(suppressed, [Suppressed { source: None, lines: (100_000 - SOURCES_MAX - 100) as u32 }]);
    }
}
