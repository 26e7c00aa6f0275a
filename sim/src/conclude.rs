//! The end of a run: the faults stop, everything heals, and within a bound all logs must have all.

use crate::event::{Event, MILLI, SECOND};
use crate::host::Ending;
use crate::outcome::Outcome;
use crate::world::World;

impl World {
    pub(crate) fn conclude(mut self) -> Outcome {
        self.heal_all();
        let began = self.now;
        let bound = began + u64::from(self.scenario.converge_seconds) * SECOND;
        let mut quiet = 0;
        while self.checks.broken.is_none() && quiet < 3 && self.now < bound {
            self.run_until(self.now + 500 * MILLI);
            let all_run = self.all_run();
            let is_over = all_run
                && !self.anybody_waits()
                && self.checks.missing().is_none()
                && self.checks.lies_are_judged(self.now);
            quiet = if is_over { quiet + 1 } else { 0 };
            if quiet == 1 {
                self.counts.converged_us = self.now - began;
            }
        }
        self.check_end(quiet < 3);
        let void = self.is_void();
        Outcome {
            broken: self.checks.broken,
            void,
            counts: self.counts,
            virtual_us: self.now,
            hash: self.trace.hash(),
        }
    }

    fn all_run(&self) -> bool {
        let hosts = &self.hosts[..usize::from(self.scenario.hosts)];
        self.rollout_is_over() && hosts.iter().all(|host| host.runs() || host.is_out)
    }

    fn heal_all(&mut self) {
        self.is_calm = true;
        self.end_twin(None);
        self.healed = self.cut;
        self.cuts.iter_mut().flatten().for_each(|cut| *cut = 0);
        self.unpark(|_| true);
        for place in 0..self.scenario.hosts {
            let host = &mut self.hosts[usize::from(place)];
            (host.mood, host.doom) = (crate::host::Mood::default(), None);
            host.paused_until = host.paused_until.min(self.now);
            host.clock.skew = 0;
            if !host.runs() && !host.is_out {
                let life = host.life;
                let at = self.now + self.dice.faults.between(0, SECOND);
                self.queue.add(at, Event::Start { host: place, life });
            }
        }
        self.trace.note(self.now, || "all is well from here on".to_owned());
    }

    fn check_end(&mut self, is_late: bool) {
        if self.checks.broken.is_some() {
            return;
        }
        if is_late && self.anybody_waits() {
            self.checks.fail(self.now, "clients wait for answers without end".to_owned());
        }
        if is_late && !self.all_run() {
            self.checks
                .fail(self.now, "a host does not start, or the change of the ring does not end".to_owned());
        }
        self.check_accounts();
        self.check_lines();
        self.checks.conclude(self.now);
        // What recovery makes of all that must be the same logs.
        for place in 0..self.scenario.hosts {
            if self.checks.broken.is_none() && self.hosts[usize::from(place)].runs() {
                self.end(place, Ending::Killed);
                self.start(place);
            }
        }
        self.checks.conclude(self.now);
    }

    /// P7: told = logged + repeats + given up + missing, and nothing is missing now.
    fn check_accounts(&mut self) {
        for (place, host) in (0..).zip(&self.hosts) {
            let Some(node) = &host.node else { continue };
            let counted: u64 = node.streams_status().map(|status| status.given_up).sum();
            if let Some(told) = self.checks.told_given_up(place) {
                self.counts.given_up += told;
                if told != counted {
                    let what =
                        format!("{} has told {told} to be given up, and counts {counted} (P7)", host.name);
                    return self.checks.fail(self.now, what);
                }
            }
            for status in node.streams_status() {
                let sum = status.logged + status.repeats + status.given_up + status.missing;
                if sum != status.told {
                    let what = format!("{}: {status:?} does not add up (P7)", host.name);
                    return self.checks.fail(self.now, what);
                }
            }
            if !node.is_balanced() {
                return self.checks.fail(self.now, format!("{} is not balanced (P7)", host.name));
            }
        }
    }

    /// What is sent again and again costs more than it should.
    fn check_lines(&mut self) {
        let Some(most) = self.scenario.lines_max else { return };
        let needed = self.counts.said * (u64::from(self.scenario.hosts) - 1);
        let ratio = self.counts.data_lines as f64 / needed.max(1) as f64;
        if ratio > most {
            self.checks.fail(self.now, format!("hosts received {ratio:.2} lines for each message"));
        }
    }

    fn is_void(&self) -> Option<String> {
        let least = u64::from(self.scenario.clients.answered_min);
        if self.counts.answered < least {
            return Some(format!("{} messages were answered, {least} are the least", self.counts.answered));
        }
        if self.scenario.gives_up && self.counts.given_up == 0 {
            return Some("nothing was given up".to_owned());
        }
        if self.scenario.twin().is_some() && self.checks.clones_told == 0 {
            return Some("nobody has told of a clone".to_owned());
        }
        if self.checks.lies_told() == Some(0) {
            return Some("nothing that was altered was told".to_owned());
        }
        self.faults_missing().map(|fault| format!("no {fault} has happened"))
    }
}
