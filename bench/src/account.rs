//! What processes have taken so far.

use anyhow::{Context, Result};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use std::fs;
use std::ops::Sub;
use std::time::Duration;

/// What some processes have taken together.
#[derive(Clone, Copy, Default, Debug)]
pub struct Account {
    /// Processor time of all their threads, ended ones included; to the nanosecond.
    pub cpu: Duration,
    /// Context switches of the threads that still run.
    pub switches: u64,
    /// The largest memory that one of them ever held, in KiB.
    pub peak_kib: u64,
    /// The largest that one of them holds now, in KiB.
    pub resident_kib: u64,
}

impl Account {
    /// Of these processes, by their ids.
    pub fn of(ids: impl IntoIterator<Item = u32>) -> Result<Account> {
        let mut all = Account::default();
        for id in ids {
            let one = Account::of_one(id).with_context(|| format!("process {id} has ended"))?;
            all.cpu += one.cpu;
            all.switches += one.switches;
            all.peak_kib = all.peak_kib.max(one.peak_kib);
            all.resident_kib = all.resident_kib.max(one.resident_kib);
        }
        Ok(all)
    }

    fn of_one(id: u32) -> Result<Account> {
        let clock = clock_getcpuclockid(Pid::from_raw(id.cast_signed()))?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let mut switches = 0;
        for thread in fs::read_dir(format!("/proc/{id}/task"))? {
            // One that ends meanwhile has nothing to tell any more.
            let status = fs::read_to_string(thread?.path().join("status")).unwrap_or_default();
            switches += field(&status, "voluntary_ctxt_switches:").unwrap_or_default();
            switches += field(&status, "nonvoluntary_ctxt_switches:").unwrap_or_default();
        }
        let memory = |name| field(&status, name).context("no memory is told of it");
        let (peak_kib, resident_kib) = (memory("VmHWM:")?, memory("VmRSS:")?);
        Ok(Account { cpu: clock.now()?.into(), switches, peak_kib, resident_kib })
    }
}

impl Sub for Account {
    type Output = Account;

    /// What came since `before`; memory is that of `self`.
    fn sub(self, before: Account) -> Account {
        Account {
            cpu: self.cpu.saturating_sub(before.cpu),
            switches: self.switches.saturating_sub(before.switches),
            peak_kib: self.peak_kib,
            resident_kib: self.resident_kib,
        }
    }
}

/// The number behind a name that begins a line.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::thread;
    use std::time::Instant;

    #[test]
    fn work_of_a_thread_that_has_ended_counts() {
        let own = || Account::of([std::process::id()]).unwrap();
        let before = own();
        let work = || (0..20_000_000_u64).map(black_box).sum::<u64>();
        let started = Instant::now();
        thread::spawn(work).join().unwrap();
        let (spent, took) = ((own() - before).cpu, started.elapsed());
        assert!(spent > Duration::ZERO && spent <= took, "{spent:?} in {took:?}");
        assert!(own().peak_kib > 0);
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        let told = format!("{:#}", Account::of([u32::MAX >> 1]).unwrap_err());
        assert!(told.contains("2147483647"), "{told}");
    }
}
