//! Short runs of every scenario, and what makes them worth anything: the same again is the same.

use sim::{Scenario, Tracing, simulate};

/// Scenarios that take long.
const SLOW: [&str; 1] = ["repeat-while-away"];

#[test]
fn the_same_seed_gives_the_same_trace_and_another_one_does_not() {
    for scenario in
        Scenario::built_in().unwrap().iter().filter(|s| ["everything", "old-copy"].contains(&&*s.name))
    {
        let hashes = [7, 7, 8].map(|seed| simulate(scenario, seed, Tracing::Hash).hash);
        assert_eq!(hashes[0], hashes[1], "{}", scenario.name);
        assert_ne!(hashes[0], hashes[2], "{}", scenario.name);
    }
}

#[test]
fn every_scenario_passes_with_some_seeds() {
    for scenario in Scenario::built_in().unwrap().iter().filter(|s| !SLOW.contains(&&*s.name)) {
        let tally = sim::run(scenario, 0..2, 2, None);
        let replays: Vec<String> = tally.replays(&scenario.name).collect();
        assert!(replays.is_empty(), "{}", replays.join("\n"));
    }
}

#[test]
fn a_run_without_traffic_is_void() {
    let mut scenario = Scenario::built_in().unwrap().remove(0);
    scenario.clients.answered_min = u32::MAX;
    scenario.seconds = 2;
    let outcome = simulate(&scenario, 0, Tracing::Hash);
    assert_eq!(outcome.broken, None);
    assert!(outcome.void.is_some_and(|why| why.contains("the least")));
}

#[test]
fn a_run_without_its_faults_is_void() {
    let mut scenario = Scenario::built_in().unwrap().remove(0);
    scenario.clients.answered_min = 0;
    scenario.seconds = 2;
    scenario.faults.kill = Some(1000.0);
    scenario.faults.flap = Some(1000.0);
    scenario.hosts = 1;
    assert!(simulate(&scenario, 0, Tracing::Hash).void.is_some());
}
