//! Whole rings of the real [`pzog::Node`] in one thread, with everything around it by seed: a network that cuts
//! and stalls, disks that lose what was not synced, clocks that are turned, processes that end between any two
//! outputs, and clients that repeat at other hosts what was not answered. Virtual time; no thread, no wall clock.
//!
//! | module | its job |
//! | --- | --- |
//! | `scenario` | what a run is made of, as data |
//! | `world`, `event` | what happens next |
//! | `host`, `life`, `perform` | processes: how they begin, what they do, how they end |
//! | `network`, `disk`, `clock`, `clients` | what is around them |
//! | `faults`, `twin`, `lies` | what goes wrong |
//! | `rollout` | a ring that changes: other hosts, another order, another build |
//! | `checks`, `conclude` | what must hold: P1 to P7 |
//! | `dice`, `trace`, `outcome` | chance by seed; what happened; what came of it |
//! | `runner`, `cuts`, `upgrades` | many seeds; every pattern of cut links; every order of an upgrade |
//! | `cost` | what hosts of a ring of any size send each other |
//!
//! The same scenario, seed and build do the same, byte for byte: a failure is replayed with `--trace`.

/// Whether a bug is planted in the driver (see `pzog::planted`).
#[cfg(feature = "planted")]
macro_rules! planted {
    ($bug:ident) => {
        pzog::planted::is_planted(pzog::planted::Bug::$bug)
    };
}
#[cfg(not(feature = "planted"))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

mod checks;
mod clients;
mod clock;
mod conclude;
mod cost;
mod cuts;
mod dice;
mod disk;
mod event;
mod faults;
mod host;
mod lies;
mod life;
mod network;
mod outcome;
mod perform;
mod rollout;
mod runner;
mod scenario;
mod trace;
mod twin;
mod upgrades;
mod world;

pub use cost::{Cost, KINDS, Kind, Traffic, cost};
pub use cuts::{PATTERNS, simulate_cut};
pub use faults::{FAULTS, Fault};
pub use outcome::{Counts, Outcome};
pub use runner::{Tally, run, run_each};
pub use scenario::Scenario;
pub use trace::Tracing;
pub use upgrades::{simulate_upgrade, upgrades};
pub use world::simulate;
