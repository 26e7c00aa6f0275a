//! Kills hosts, cuts ways and rotates logs at moments drawn by lot.

use crate::net::Way;
use crate::random::Random;
use crate::ring::Ring;
use rustix::process::Signal;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How often what is done is chosen, against the others.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    /// `kill -9`.
    pub kill: u64,
    /// TERM, and a start when it has ended.
    pub stop: u64,
    /// A way between two hosts is no longer open, for some time.
    pub fault: u64,
    /// access.log is renamed, and HUP follows.
    pub rotate: u64,
}

/// How often it was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Done {
    /// Daemons killed.
    pub kills: usize,
    /// … of which so many had been started less than a second before.
    pub young: usize,
    /// Daemons stopped.
    pub stops: usize,
    /// Ways that were not open for some time.
    pub faults: usize,
    /// Logs rotated.
    pub rotations: usize,
}

/// What goes on in a ring with a net.
#[derive(Debug)]
pub struct Chaos {
    weights: Weights,
    random: Random,
    /// When a host was started last.
    started: Vec<Instant>,
    /// When to start the hosts that do not run.
    down: Vec<(Instant, usize)>,
    /// When to open the ways that are not open.
    faulty: Vec<(Instant, usize, usize)>,
    /// What was done so far.
    pub done: Done,
}

impl Chaos {
    /// For a ring of so many hosts.
    #[must_use]
    pub fn new(hosts: usize, weights: Weights, random: Random) -> Chaos {
        let started = vec![Instant::now(); hosts];
        Chaos { weights, random, started, down: Vec::new(), faulty: Vec::new(), done: Done::default() }
    }

    /// Does one thing, and waits for a while drawn by lot.
    ///
    /// # Panics
    /// If a daemon ends that was not told to.
    #[track_caller]
    pub fn step(&mut self, ring: &mut Ring) {
        self.end_what_is_due(ring, Instant::now());
        let Weights { kill, stop, fault, rotate } = self.weights;
        match self.random.below(kill + stop + fault + rotate) {
            n if n < kill => self.kill(ring),
            n if n < kill + stop => self.stop(ring),
            n if n < kill + stop + fault => self.break_a_way(ring),
            _ => self.rotate(ring),
        }
        self.pause();
    }

    /// Ends all that goes on: every host runs and every way is open.
    ///
    /// # Panics
    /// If a daemon does not become ready.
    #[track_caller]
    pub fn end(&mut self, ring: &mut Ring) {
        for (_, from, to) in self.faulty.drain(..) {
            ring.net().set(from, to, Way::Open);
        }
        for (_, host) in self.down.drain(..) {
            ring.spawn(host);
        }
        for host in 0..ring.len() {
            ring.daemon(host).wait_ready();
        }
    }

    fn end_what_is_due(&mut self, ring: &mut Ring, now: Instant) {
        for (_, from, to) in self.faulty.extract_if(.., |(due, ..)| *due <= now) {
            ring.net().set(from, to, Way::Open);
        }
        for (_, host) in self.down.extract_if(.., |(due, _)| *due <= now) {
            // Not waited for: it may be killed before it is ready.
            ring.spawn(host);
            self.started[host] = now;
        }
        for host in ring.running() {
            ring.assert_runs(host);
        }
    }

    /// Up to `below` from now; now itself once in three times.
    fn soon(&mut self, below: Duration) -> Instant {
        let wait = if self.random.once_in(3) { 0 } else { self.random.below(below.as_millis() as u64) };
        Instant::now() + Duration::from_millis(wait)
    }

    fn running(&mut self, ring: &Ring) -> Option<usize> {
        let running = ring.running();
        (!running.is_empty()).then(|| *self.random.pick(&running))
    }

    fn kill(&mut self, ring: &mut Ring) {
        let Some(host) = self.running(ring) else { return };
        ring.kill(host);
        self.done.kills += 1;
        self.done.young += usize::from(self.started[host].elapsed() < Duration::from_secs(1));
        let back = self.soon(Duration::from_secs(2));
        self.down.push((back, host));
    }

    fn stop(&mut self, ring: &mut Ring) {
        let Some(host) = self.running(ring) else { return };
        // One that is not ready has no handler for TERM yet: it then simply dies.
        let _ = ring.stop(host);
        self.done.stops += 1;
        let back = self.soon(Duration::from_secs(1));
        self.down.push((back, host));
    }

    fn break_a_way(&mut self, ring: &Ring) {
        let hosts = ring.len() as u64;
        let from = self.random.below(hosts) as usize;
        let to = (from + 1 + self.random.below(hosts - 1) as usize) % ring.len();
        let ways = [Way::Reset, Way::Finished, Way::Stalled, Way::Lost, Way::HalfOpen, Way::Trickle(2000)];
        let way = *self.random.pick(&ways);
        let until = self.soon(Duration::from_secs(3));
        ring.net().set(from, to, way);
        self.faulty.push((until, from, to));
        if self.random.once_in(2) {
            ring.net().set(to, from, way);
            self.faulty.push((until, to, from));
        }
        self.done.faults += 1;
    }

    /// Between the renaming and the signal, or after it, the daemon may die.
    fn rotate(&mut self, ring: &mut Ring) {
        let Some(host) = self.running(ring) else { return };
        let dir = ring.log_dir(host);
        let piece = dir.join(format!("access.log-{:08}", self.done.rotations));
        if fs::rename(dir.join("access.log"), piece).is_err() {
            // It has not been opened anew since the last time.
            return;
        }
        self.done.rotations += 1;
        if self.random.once_in(4) {
            self.kill(ring);
        }
        if ring.running().contains(&host) && ring.daemon(host).is_ready() {
            ring.daemon(host).signal(Signal::HUP);
        }
        if self.random.once_in(4) {
            self.kill(ring);
        }
    }

    /// Long enough for a ring to form now and then, and short enough to disturb it while it does.
    fn pause(&mut self) {
        let up_to = if self.random.once_in(8) { 2000 } else { 400 };
        thread::sleep(Duration::from_millis(self.random.below(up_to)));
    }
}
