//! What only shows after many messages: the memory of daemons in a long flood, and how long a start takes with a
//! long journal.

use crate::check::Expected;
use crate::fleet::Fleet;
use crate::load::Load;
use crate::measure::{check_all, pour};
use crate::plan::Plan;
use crate::record::Measured;
use crate::site::{NODES, Site};
use crate::systems::System;
use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use rustix::fs::{statvfs, sync};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Takes what was measured with so many messages.
pub type Told<'a> = dyn FnMut(u32, Measured) -> Result<()> + 'a;

/// Memory is looked at so often.
const LOOK: Duration = Duration::from_millis(50);

/// Starts with the same journal.
const STARTS: usize = 3;

/// Bytes of a message in journals that grow long.
const SIZE: usize = 40;

/// One flood of as many messages as the last step says. At each step: the most that a daemon held since the one before.
pub fn memory(system: &dyn System, steps: &[u32], plan: &Plan, told: &mut Told) -> Result<()> {
    let site = Site::prepare(&plan.dir.join("run"), NODES)?;
    let mut flood = Flood::new(Fleet::start(system, &site, plan.size)?, system, &site, NODES, plan.size);
    for (step, sent) in steps.iter().zip(parts(steps)) {
        let mut resident_kib = flood.fleet.account()?.resident_kib;
        let mut looked = Instant::now();
        flood.go_on(sent, |fleet| {
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                resident_kib = resident_kib.max(fleet.account()?.resident_kib);
            }
            Ok(())
        })?;
        told(
            *step,
            Measured { messages: u64::from(*step), peak_mib: mib(resident_kib), ..Measured::default() },
        )?;
    }
    let messages = flood.loads.clone();
    drop(flood);
    let findings = check_all(&site, &Expected { messages, size: plan.size, line: system.line() })?;
    ensure!(findings.is_clean(), "the files of a long flood are wrong: {findings:?}");
    Ok(())
}

/// A ring of two hosts of which one was never there, so that the other keeps all. At each step it comes to rest, and is
/// stopped in order and started some times.
pub fn journals(system: &dyn System, steps: &[u32], plan: &Plan, told: &mut Told) -> Result<()> {
    let site = Site::prepare(&plan.dir.join("run"), 2)?;
    let mut fleet = Fleet::new(system, &site, SIZE);
    fleet.launch(0)?;
    let mut flood = Flood::new(fleet, system, &site, 1, SIZE);
    for (step, sent) in steps.iter().zip(parts(steps)) {
        must_have_room(site.dir(), sent)?;
        flood.go_on(sent, |_| Ok(()))?;
        come_to_rest();
        for _ in 0..STARTS {
            flood.fleet.end(0, Signal::SIGTERM)?;
            let start_s = Some(flood.fleet.launch(0)?.as_secs_f64());
            let peak_mib = mib(flood.fleet.account()?.peak_kib);
            told(*step, Measured { messages: u64::from(*step), start_s, peak_mib, ..Measured::default() })?;
        }
    }
    drop(flood);
    site.clear()
}

/// Brings everything to the disk, and lets the daemon note that: no start can spare what a flood left behind the last
/// mark, and how much that is depends on the disk alone.
fn come_to_rest() {
    sync();
    thread::sleep(Duration::from_secs(3)); // there is a mark each second
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// A message takes about 90 bytes of the journal and 60 of access.log; as much again must be left.
fn must_have_room(dir: &Path, messages: u32) -> Result<()> {
    let disk = statvfs(dir)?;
    let (free, needed) = (disk.f_bavail * disk.f_frsize, u64::from(messages) * 150);
    let (free_gib, needed_gib) = (free >> 30, needed >> 30);
    ensure!(
        free / 2 >= needed,
        "{messages} messages more take {needed_gib} GiB, and only {free_gib} GiB are free"
    );
    Ok(())
}

/// How many messages lie between each step and the one before.
fn parts(steps: &[u32]) -> Vec<u32> {
    let befores = std::iter::once(&0).chain(steps);
    befores.zip(steps).map(|(before, step)| step - before).collect()
}

/// A flood that goes on and on, from node 0; each part of it is another client's.
struct Flood<'a> {
    fleet: Fleet<'a>,
    load: Load,
    /// The first ones, which run.
    nodes: usize,
    /// What each part sent.
    loads: Vec<u32>,
}

impl<'a> Flood<'a> {
    fn new(fleet: Fleet<'a>, system: &dyn System, site: &Site, nodes: usize, size: usize) -> Flood<'a> {
        let load = Load {
            dialect: system.dialect(),
            entrances: vec![system.entrance(site, 0)],
            first_client: 0,
            each: 0,
            size,
            window: system.dialect().window(),
            rate: None,
        };
        Flood { fleet, load, nodes, loads: Vec::new() }
    }

    fn go_on(&mut self, messages: u32, look: impl FnMut(&Fleet) -> Result<()>) -> Result<()> {
        self.load.first_client = self.loads.len() as u16;
        self.load.each = messages;
        let grown = u64::from(messages) * self.fleet.line();
        let mut wanted = self.fleet.sizes();
        wanted[..self.nodes].iter_mut().for_each(|size| *size += grown);
        pour(&mut self.fleet, &self.load, &wanted, look)?;
        self.loads.push(messages);
        Ok(())
    }
}
