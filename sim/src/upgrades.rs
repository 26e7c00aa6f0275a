//! Every order in which five hosts can get another build: 120 orders, each from a former revision of the protocol to the
//! newest one and then back, under load, with a crash while some hosts have it and others have not.

use crate::event::{Event, MILLI, SECOND};
use crate::faults::Fault;
use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::trace::Tracing;
use crate::world::World;

/// The orders of five hosts.
const ORDERS: u32 = 120;

/// Virtual seconds in which all hosts must have got another build.
const ROLLED_OUT_WITHIN: u64 = 120;

/// In how many ways a scenario's revision can be rolled out: each order from each former revision, its first one and those
/// behind that.
#[must_use]
pub fn upgrades(scenario: &Scenario) -> u32 {
    let [first, last] = scenario.rollout.as_ref().and_then(|rollout| rollout.revisions).unwrap_or_default();
    u32::from(last.saturating_sub(first)) * ORDERS
}

/// Runs a scenario with a rollout of another revision: to it and back, the hosts one after the other in this way.
#[must_use]
pub fn simulate_upgrade(scenario: &Scenario, way: u32, seed: u64, tracing: Tracing) -> Outcome {
    let mut scenario = scenario.clone();
    if let Some([first, _]) = scenario.rollout.as_mut().and_then(|rollout| rollout.revisions.as_mut()) {
        *first += (way / ORDERS) as u8;
    }
    let (hosts, whole) = (scenario.hosts, u64::from(scenario.seconds) * SECOND);
    let mut world = World::new(scenario, seed << 16 | u64::from(way), tracing);
    world.begin();
    for is_back in [false, true] {
        if is_back {
            world.turn_back();
        }
        world.rollout.turns = order_of(hosts, way % ORDERS);
        world.roll_out_with_a_crash();
    }
    world.run_until(whole);
    world.conclude()
}

/// The hosts in the order of this number, the first one last.
fn order_of(hosts: u8, mut number: u32) -> Vec<u8> {
    let mut left: Vec<u8> = (0..hosts).collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let choices = left.len() as u32;
        order.push(left.remove((number % choices) as usize));
        number /= choices;
    }
    order.reverse();
    order
}

impl World {
    /// What was rolled out is taken back.
    fn turn_back(&mut self) {
        if let Some([before, after]) = self.scenario.rollout.as_mut().and_then(|r| r.revisions.as_mut()) {
            std::mem::swap(before, after);
        }
        self.queue.add(self.now, Event::Turn);
    }

    /// All hosts get their build, and one of them crashes when some have it.
    fn roll_out_with_a_crash(&mut self) {
        let until = self.now + ROLLED_OUT_WITHIN * SECOND;
        let have_it = self.dice.faults.between(1, u64::from(self.scenario.hosts) - 1) as usize;
        let lack_it = usize::from(self.scenario.hosts) - have_it;
        self.run_while(until, |world| world.rollout.turns.len() > lack_it);
        let crash = if self.dice.faults.chance(0.5) { Fault::Kill } else { Fault::Power };
        self.queue.add(self.now, Event::Strike(crash));
        self.run_while(until, |world| !world.rollout_is_over());
        if !self.rollout_is_over() {
            self.checks.fail(self.now, "the rollout does not end".to_owned());
        }
    }

    fn run_while(&mut self, until: u64, goes_on: impl Fn(&World) -> bool) {
        while self.checks.broken.is_none() && self.now < until && goes_on(self) {
            self.run_until(self.now + 100 * MILLI);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_has_one_number() {
        let mut orders: Vec<Vec<u8>> = (0..ORDERS).map(|number| order_of(5, number)).collect();
        orders.sort();
        orders.dedup();
        assert_eq!(orders.len(), ORDERS as usize);
        let all_are_there = |order: &Vec<u8>| (0..5).all(|host| order.contains(&host));
        assert!(orders.iter().all(all_are_there));
    }
}
