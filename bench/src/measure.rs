//! One measurement: fresh daemons, a load, and every file read afterwards.

use crate::account::Account;
use crate::check::{self, Expected, Findings};
use crate::fleet::Fleet;
use crate::load::{self, Load, Sent};
use crate::machine;
use crate::message::{HEAD, now};
use crate::plan::{Plan, Test};
use crate::record::{Latency, Measured};
use crate::site::Site;
use crate::systems::System;
use crate::watch::{Awaited, Watcher};
use anyhow::{Context, Result, anyhow, ensure};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How long nothing may move before a run counts as stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Measures one system once.
pub fn measure(system: &dyn System, test: Test, plan: &Plan) -> Result<Measured> {
    ensure!(
        test.rate().is_none() || plan.size >= HEAD,
        "a message of less than {HEAD} bytes carries no time: floods alone can be measured"
    );
    let site = Site::prepare(&plan.dir.join("run"), plan.nodes)?;
    let each = plan.each(system, test);
    let load = Load {
        dialect: system.dialect(),
        entrances: (0..test.clients()).map(|node| system.entrance(&site, node)).collect(),
        first_client: 0,
        each,
        size: plan.size,
        window: plan.window.unwrap_or(system.dialect().window()),
        rate: test.rate(),
    };
    let mut measured = {
        let mut fleet = Fleet::start(system, &site, plan.size)?;
        match test {
            Test::Flood { .. } => flood(&mut fleet, &load)?,
            Test::Rate(_) => latency(&mut fleet, &load, system, &site)?,
        }
    };
    let expected = Expected { messages: vec![each; test.clients()], size: plan.size, line: system.line() };
    measured.findings = check_all(&site, &expected)?;
    Ok(measured)
}

/// Reads the files of all nodes; deletes them where they are right, else somebody wants to look.
pub(crate) fn check_all(site: &Site, expected: &Expected) -> Result<Findings> {
    let mut findings = Findings::default();
    for node in 0..site.nodes() {
        findings += check::check(&site.log(node), expected)?;
    }
    if findings.is_clean() {
        site.clear()?;
    }
    Ok(findings)
}

/// From the client's first byte until the last file has its last.
fn flood(fleet: &mut Fleet, load: &Load) -> Result<Measured> {
    let messages = u64::from(load.each) * load.entrances.len() as u64;
    let grown = messages * fleet.line();
    let wanted: Vec<u64> = fleet.sizes().iter().map(|size| size + grown).collect();
    // As much as the files of any system may take: some write a message to a journal, too, or to several files.
    machine::touch_memory((256 << 20) + 5 * wanted.len() as u64 * grown)?;
    let before = fleet.account()?;
    let (sent, complete) = pour(fleet, load, &wanted, |_| Ok(()))?;
    let spent = spent_since(fleet, before)?;
    let nanos = complete.saturating_sub(sent.first).max(1);
    let per_second = messages as f64 / (nanos as f64 / 1e9);
    Ok(Measured { messages_per_s: Some(per_second), ..figures(&spent, &sent, messages) })
}

/// Sends all of it, and takes a look again and again until every file has grown to what is wanted of it. When the last
/// one had: nanoseconds since 1970.
pub(crate) fn pour(
    fleet: &mut Fleet,
    load: &Load,
    wanted: &[u64],
    look: impl FnMut(&Fleet) -> Result<()>,
) -> Result<(Sent, u64)> {
    thread::scope(|scope| {
        let sending = scope.spawn(|| load::send(load, PATIENCE));
        let complete = wait_for_sizes(fleet, || sending.is_finished(), wanted, look);
        let sent = join(sending)?;
        Ok((sent, complete?))
    })
}

/// What a thread came to.
pub(crate) fn join<T>(sending: ScopedJoinHandle<Result<T>>) -> Result<T> {
    sending.join().map_err(|_| anyhow!("a thread panicked"))?
}

/// When the last file was whole. Fails if none grows for a while.
pub(crate) fn wait_for_sizes(
    fleet: &mut Fleet,
    is_sent: impl Fn() -> bool,
    wanted: &[u64],
    mut look: impl FnMut(&Fleet) -> Result<()>,
) -> Result<u64> {
    let (mut sizes, mut since) = (fleet.sizes(), Instant::now());
    loop {
        let now_sizes = fleet.sizes();
        if now_sizes.iter().zip(wanted).all(|(now, wanted)| now >= wanted) {
            return Ok(now());
        }
        if now_sizes != sizes {
            (sizes, since) = (now_sizes, Instant::now());
        }
        if since.elapsed() > PATIENCE || (is_sent() && since.elapsed() > PATIENCE / 2) {
            let lacking = wanted.iter().zip(&sizes).map(|(wanted, now)| wanted.saturating_sub(*now));
            let lacking: Vec<u64> = lacking.map(|bytes| bytes / fleet.line()).collect();
            return Err(anyhow!("nothing comes any more; lines lacking in the files: {lacking:?}"));
        }
        fleet.must_run()?;
        look(fleet)?;
        thread::sleep(Duration::from_millis(2)); // between two looks
    }
}

/// What the processes took; what they still do behind a flood, such as syncs, counts.
fn spent_since(fleet: &Fleet, before: Account) -> Result<Account> {
    thread::sleep(Duration::from_millis(300));
    Ok(fleet.account().context("a process ended during the run")? - before)
}

fn figures(spent: &Account, sent: &Sent, messages: u64) -> Measured {
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / messages as f64;
    Measured {
        messages,
        cpu_us: micros(spent.cpu),
        client_cpu_us: micros(sent.cpu),
        late_us: sent.late.as_secs_f64() * 1e6,
        switches: spent.switches as f64 / messages as f64,
        peak_mib: spent.peak_kib as f64 / 1024.0,
        ..Measured::default()
    }
}

/// From the sending of each message until the last file shows it.
fn latency(fleet: &mut Fleet, load: &Load, system: &dyn System, site: &Site) -> Result<Measured> {
    let mut watcher = Watcher::new((0..site.nodes()).map(|node| site.log(node)))?;
    let before = fleet.account()?;
    let awaited = Awaited { client: 0, count: load.each, line: system.line() };
    let (sent, times) = thread::scope(|scope| -> Result<_> {
        let sending = scope.spawn(|| load::send(load, PATIENCE));
        let times = watcher.watch(awaited, PATIENCE);
        Ok((join(sending)?, times?))
    })?;
    let spent = fleet.account().context("a process ended during the run")? - before;
    let measured = figures(&spent, &sent, u64::from(load.each));
    Ok(Measured { latency: Some(Latency::of(&times)), ..measured })
}
