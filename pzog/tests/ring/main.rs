//! Whole rings of [`pzog::Node`]s in one process, with a network, disks and a clock that do as they are told.
//!
//! Begin with the scripts in `tests/scripts/`: each shows one rule, with every line that the hosts exchange.
//! `UPDATE_GOLDENFILES=1 cargo test -p pzog --test ring` writes them anew; read the difference. What must hold in
//! all of them is checked after every command (`checks`), so that writing them anew cannot hide a broken rule.
//! `properties` does the same with rings, messages and deliveries drawn at random.

mod attacks;
mod checks;
mod disk;
mod forgeries;
mod host;
mod inputs;
mod network;
mod outsider;
mod past;
mod perform;
mod properties;
mod room;
mod script;
mod serving;
mod world;
