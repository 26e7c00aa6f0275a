//! The simulator can fail: bugs planted in the core, each found within so many seeds.
//!
//! By default up to 100 seeds are tried; `scripts/planted` looks for all, within 1 000 seeds each.
#![cfg(feature = "planted")]

use pzog::planted::{Bug, plant};
use sim::{Scenario, Tracing, simulate};

/// A bug, and the scenario that finds it.
const FOUND_BY: [(Bug, &str); 35] = [
    (Bug::AnswerBeforeSync, "calm"),
    (Bug::LevelsCountJournaled, "calm"),
    (Bug::WatermarkTooHigh, "power"),
    (Bug::ReleaseOnJournaled, "all-drop-while-one-has-not-synced"),
    (Bug::ReleaseTooEarly, "hosts-away"),
    (Bug::ExactPredecessor, "old-copy"),
    (Bug::NoPredecessor, "kills"),
    (Bug::OwnPastSkipped, "power"),
    (Bug::RepeatLogged, "clients-failover"),
    (Bug::SessionsForgotten, "clients-failover"),
    (Bug::TailKept, "power-all"),
    (Bug::CheckIgnored, "power"),
    (Bug::SentBeforeSync, "power"),
    (Bug::GapTaken, "kills"),
    (Bug::DoubleTaken, "kills"),
    (Bug::MarkTooFar, "kills"),
    (Bug::RotationUnmarked, "rotation"),
    (Bug::NoRepair, "kills"),
    (Bug::PassedOverUnheard, "short-lives"),
    (Bug::PassedOverCounted, "away-too-long"),
    (Bug::PassedOverUntold, "away-too-long"),
    (Bug::RefusalUnreported, "calm"),
    (Bug::OwnTime, "clocks"),
    (Bug::WrongHop, "calm"),
    (Bug::Miscounted, "clients-failover"),
    (Bug::NeverBlocked, "slow-peer"),
    (Bug::NextIgnored, "clients-failover"),
    (Bug::NoSync, "power"),
    (Bug::NoSyncAtStart, "kill-then-power"),
    (Bug::LogNotCut, "kills"),
    (Bug::YouthForgotten, "add-a-host"),
    (Bug::NewLineToOld, "rolling-upgrade"),
    (Bug::TakenFromAnybody, "lies"),
    (Bug::SumsNotCompared, "lies"),
    (Bug::SentBeforeJournal, "kills"),
];

/// The first seed that finds a bug, and how.
fn find(bug: Bug, scenario: &str, seeds: u64) -> Option<(u64, String)> {
    let all = Scenario::built_in().expect("the scenarios can be read");
    let scenario = all.iter().find(|s| s.name == scenario).expect("there is such a scenario");
    plant(Some(bug));
    let found = (0..seeds).find_map(|seed| {
        let outcome = simulate(scenario, seed, Tracing::Hash);
        outcome.broken.map(|(_, what)| (seed, what))
    });
    plant(None);
    found
}

/// One test, as a bug is planted in the whole process.
#[test]
fn every_planted_bug_is_found() {
    let seeds = std::env::var("ZOG_SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let mut missed = Vec::new();
    for (bug, scenario) in FOUND_BY {
        match find(bug, scenario, seeds) {
            Some((seed, what)) => println!("{bug:?}: {scenario}, {} seeds: {what}", seed + 1),
            None => missed.push(format!("{bug:?}: not in {seeds} seeds of {scenario}")),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
