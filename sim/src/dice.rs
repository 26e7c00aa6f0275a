//! Chance, by seed: one die for each concern, so that a fault more or less does not change what clients say.

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// One source of chance.
pub(crate) struct Die(SmallRng);

/// All of them.
pub(crate) struct Dice {
    pub(crate) network: Die,
    pub(crate) disk: Die,
    pub(crate) clock: Die,
    pub(crate) faults: Die,
    pub(crate) clients: Die,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        // Far apart, whatever the seeds: each die gets another number to begin with.
        let die = |n: u64| Die(SmallRng::seed_from_u64(seed.wrapping_mul(8).wrapping_add(n)));
        Dice { network: die(0), disk: die(1), clock: die(2), faults: die(3), clients: die(4) }
    }
}

impl Die {
    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.0.random_bool(probability.min(1.0))
    }

    /// 0 to `n` - 1; `n` is not 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    /// From `from` to `to`, both included.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0.random_range(from..=to)
    }

    /// Microseconds: mostly somewhat less than the mean, now and then far more.
    pub(crate) fn around(&mut self, mean: u64) -> u64 {
        let unit: f64 = self.0.random_range(1e-6..1.0);
        (-unit.ln() * mean as f64) as u64
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0.random()
    }

    /// One of them, if there is any.
    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.below(all.len())])
    }
}
