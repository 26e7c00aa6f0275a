//! Every way in which links between five hosts can be cut: 1 024 patterns, each with traffic before, while and after.

use crate::event::SECOND;
use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::trace::Tracing;
use crate::world::World;

/// The patterns of cuts of a ring of five: each of the ten links is there or not.
pub const PATTERNS: u32 = 1 << 10;

/// Runs a scenario of five hosts, with these links cut for most of its time.
#[must_use]
pub fn simulate_cut(scenario: &Scenario, pattern: u32, seed: u64, tracing: Tracing) -> Outcome {
    let mut world = World::new(scenario.clone(), seed, tracing);
    world.begin();
    let whole = u64::from(scenario.seconds) * SECOND;
    world.run_until(whole / 6);
    let mut link = 0;
    for a in 0..scenario.hosts {
        for b in a + 1..scenario.hosts {
            if pattern >> link & 1 == 1 {
                world.cuts[usize::from(a)][usize::from(b)] += 1;
                world.cuts[usize::from(b)][usize::from(a)] += 1;
            }
            link += 1;
        }
    }
    world.run_until(whole);
    world.conclude()
}
