//! A host that was away comes back under live traffic: how fast it gets what it missed, and what that does to live
//! messages.

use crate::check::Expected;
use crate::fleet::Fleet;
use crate::load::{self, Load};
use crate::measure::{PATIENCE, check_all, join, pour, wait_for_sizes};
use crate::message::now;
use crate::plan::Plan;
use crate::record::{CatchUp, Latency, Measured};
use crate::site::{NODES, Site};
use crate::systems::System;
use crate::watch::{Awaited, Sighting, Watcher};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use std::thread;
use std::time::{Duration, Instant};

/// The node that is away: one that passes nothing on of what node 0 is given.
const AWAY: usize = NODES - 1;

/// Live messages a second.
const LIVE: u32 = 5_000;

/// Live messages are watched for so long before the host returns.
const BEFORE: Duration = Duration::from_secs(3);

/// When a host that had missed messages got them: nanoseconds since 1970.
struct Return {
    began: u64,
    ended: u64,
    missed: u64,
}

/// Measures a system whose last node misses so many messages.
pub fn measure(system: &dyn System, missed: u32, plan: &Plan) -> Result<Measured> {
    let site = Site::prepare(&plan.dir.join("run"), NODES)?;
    let live = live_messages(missed);
    let mut measured = {
        let mut fleet = Fleet::start(system, &site, plan.size)?;
        fleet.end(AWAY, Signal::SIGKILL)?;
        miss(&mut fleet, &load(system, &site, plan, 0, missed))?;
        let (sightings, return_) = come_back(&mut fleet, &load(system, &site, plan, 1, live), system, &site)?;
        let whole = vec![fleet.sizes()[0]; NODES];
        wait_for_sizes(&mut fleet, || true, &whole, |_| Ok(()))?;
        figures(&sightings, &return_, fleet.account()?.peak_kib)
    };
    let expected = Expected { messages: vec![missed, live], size: plan.size, line: system.line() };
    measured.findings = check_all(&site, &expected)?;
    Ok(measured)
}

/// Live traffic outlasts a return of half a million messages a second.
fn live_messages(missed: u32) -> u32 {
    let seconds = BEFORE.as_secs_f64() + 1.0 + f64::from(missed) / 500_000.0;
    (seconds * f64::from(LIVE)) as u32
}

/// What a client sends to node 0: the first one as fast as may be, the second one live.
fn load(system: &dyn System, site: &Site, plan: &Plan, client: u16, each: u32) -> Load {
    Load {
        dialect: system.dialect(),
        entrances: vec![system.entrance(site, 0)],
        first_client: client,
        each,
        size: plan.size,
        window: system.dialect().window(),
        rate: (client > 0).then_some(LIVE),
    }
}

/// A flood that all get but the one that is away.
fn miss(fleet: &mut Fleet, load: &Load) -> Result<()> {
    let grown = u64::from(load.each) * fleet.line();
    let mut wanted = fleet.sizes();
    wanted[..AWAY].iter_mut().for_each(|size| *size += grown);
    pour(fleet, load, &wanted, |_| Ok(()))?;
    Ok(())
}

/// Live traffic, in which the host returns; when each live message was in the files of all others.
fn come_back(
    fleet: &mut Fleet,
    load: &Load,
    system: &dyn System,
    site: &Site,
) -> Result<(Vec<Sighting>, Return)> {
    let mut watcher = Watcher::new((0..AWAY).map(|node| site.log(node)))?;
    let awaited = Awaited { client: load.first_client, count: load.each, line: system.line() };
    thread::scope(|scope| {
        let sending = scope.spawn(|| load::send(load, PATIENCE));
        let watching = scope.spawn(move || watcher.watch(awaited, PATIENCE));
        thread::sleep(BEFORE); // what is measured
        let returned = return_of(fleet);
        join(sending)?;
        Ok((join(watching)?, returned?))
    })
}

/// Starts the host, and follows its file until it has what had been taken before.
fn return_of(fleet: &mut Fleet) -> Result<Return> {
    let sizes = fleet.sizes();
    let (had, wanted) = (sizes[AWAY], sizes[0]);
    fleet.launch(AWAY)?;
    let deadline = Instant::now() + 6 * PATIENCE;
    let mut began = None;
    loop {
        let size = fleet.sizes()[AWAY];
        if size > had && began.is_none() {
            began = Some(now());
        }
        if size >= wanted {
            let began = began.context("it came at once")?;
            return Ok(Return { began, ended: now(), missed: (wanted - had) / fleet.line() });
        }
        ensure!(Instant::now() < deadline, "a host that was away does not catch up");
        fleet.must_run()?;
        thread::sleep(Duration::from_millis(1)); // between two looks
    }
}

fn figures(sightings: &[Sighting], return_: &Return, peak_kib: u64) -> Measured {
    let seconds = (return_.ended - return_.began) as f64 / 1e9;
    let first = sightings.first().map_or(0, |sighting| sighting.sent);
    let between = |from: u64, to: u64| {
        Latency::of(sightings.iter().filter(|sighting| (from..to).contains(&sighting.sent)))
    };
    let before = between(first, first + BEFORE.as_nanos() as u64);
    let during = between(return_.began, return_.ended);
    Measured {
        messages: return_.missed,
        messages_per_s: Some(return_.missed as f64 / seconds),
        peak_mib: peak_kib as f64 / 1024.0,
        catch_up: Some(CatchUp { before, during }),
        ..Measured::default()
    }
}
