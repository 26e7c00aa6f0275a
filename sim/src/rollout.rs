//! A ring that changes while it works: its hosts get another ring.toml, or another build, one after the other in any
//! order, under load and whatever faults the scenario has. Hosts come, go, take the place of others, change places, or
//! learn a newer revision of the protocol.

use crate::event::{Event, MILLI, Moment, SECOND};
use crate::host::{Ending, Host};
use crate::scenario::Scenario;
use crate::world::World;
use anyhow::{Result, ensure};
use pzog::{Input, Ring, Scheme};
use serde::Deserialize;

/// A host that leaves is looked at so often, whether all have what it took …
const LOOK_AGAIN: Moment = 200 * MILLI;
/// … and is not ended sooner than this after its clients were sent away: what they said last may be on its way.
const LEAVES_AFTER: Moment = 2 * SECOND;
/// Mean time from one host's turn to the next one's.
const BETWEEN: Moment = 2 * SECOND;

/// What changes, as `scenarios.toml` says it. Hosts are numbers from 0; those of `before` run from the beginning.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// The ring before, in ring order.
    pub before: Vec<u8>,
    /// The ring after; in it, who was and is no more is retired.
    pub after: Vec<u8>,
    /// Who is no more has lost its disk, in place of leaving in order.
    #[serde(default)]
    pub burnt: bool,
    /// The revision of the protocol before and after, if that changes.
    pub revisions: Option<[u8; 2]>,
}

impl Rollout {
    pub(crate) fn check(&self, hosts: u8) -> Result<()> {
        let are_hosts = self.before.iter().chain(&self.after).all(|host| *host < hosts);
        ensure!(are_hosts, "rollout: there are {hosts} hosts, counted from 0");
        ensure!(!self.before.is_empty() && !self.after.is_empty(), "rollout: a ring has at least one host");
        Ok(())
    }

    fn joins(&self, place: u8) -> bool {
        !self.before.contains(&place)
    }

    fn leaves(&self, place: u8) -> bool {
        !self.after.contains(&place)
    }
}

/// How far the change is.
#[derive(Default)]
pub(crate) struct Progress {
    /// The hosts whose turn is to come, the next one last.
    pub(crate) turns: Vec<u8>,
    /// Since when the host whose turn it is leaves.
    leaving: Option<(u8, Moment)>,
}

fn bits(places: &[u8]) -> u64 {
    places.iter().fold(0, |bits, place| bits | 1 << place)
}

impl Scenario {
    fn scheme(&self) -> Scheme {
        if self.origin_scheme { Scheme::Origin } else { Scheme::Receiver }
    }

    /// The ring of a host that begins at once: the one before, if it changes.
    pub(crate) fn first_ring(&self, names: &[String]) -> Ring {
        match &self.rollout {
            Some(rollout) => self.ring_of(names, &rollout.before, &[]),
            None => Ring::new(names.to_vec(), self.scheme()).expect("the names are good"),
        }
    }

    fn ring_of(&self, names: &[String], places: &[u8], retired: &[u8]) -> Ring {
        let named = |places: &[u8]| places.iter().map(|place| names[usize::from(*place)].clone()).collect();
        let ring = Ring::new(named(places), self.scheme()).expect("the names are good");
        ring.with_retired(named(retired)).expect("the names are good")
    }
}

impl World {
    /// Before the run: who joins later is not there yet; who gets what is known to the checks.
    pub(crate) fn plan_rollout(&mut self) {
        let Some(rollout) = self.scenario.rollout.clone() else { return };
        let joining: Vec<u8> = rollout.after.iter().copied().filter(|place| rollout.joins(*place)).collect();
        self.checks.membership(bits(&rollout.after), bits(&joining));
        if let Some([revision, _]) = rollout.revisions {
            self.hosts.iter_mut().for_each(|host| host.revision = revision);
        }
        for place in 0..self.scenario.hosts {
            self.hosts[usize::from(place)].is_out = rollout.joins(place);
            let is_in = !rollout.joins(place) || !rollout.leaves(place);
            if is_in {
                let at = self.dice.faults.below(self.rollout.turns.len() + 1);
                self.rollout.turns.insert(at, place);
            }
        }
        // Whoever leaves does so first, while all others still know it.
        self.rollout.turns.sort_by_key(|place| rollout.leaves(*place));
        let whole = u64::from(self.scenario.seconds) * SECOND;
        let at = self.dice.faults.between(whole / 8, whole / 4);
        self.queue.add(at, Event::Turn);
    }

    /// The ring as it will be, for one host.
    fn change_ring(&mut self, place: u8) {
        let Some(rollout) = &self.scenario.rollout else { return };
        let names: Vec<String> = self.hosts.iter().map(|host| host.name.clone()).collect();
        let gone: Vec<u8> = rollout.before.iter().copied().filter(|place| rollout.leaves(*place)).collect();
        let ring = self.scenario.ring_of(&names, &rollout.after, &gone);
        let revision = rollout.revisions.map(|[_, after]| after);
        let host = &mut self.hosts[usize::from(place)];
        host.revision = revision.unwrap_or(host.revision);
        host.next_ring = Some(ring);
    }

    /// A host starts: from here on with the ring.toml that it was given.
    pub(crate) fn take_ring(&mut self, place: u8) {
        let names: Vec<String> = self.hosts.iter().map(|host| host.name.clone()).collect();
        let host = &mut self.hosts[usize::from(place)];
        if let Some(ring) = host.next_ring.take() {
            host.set_ring(place, ring, &names);
        }
        let active = host.ring.len();
        self.checks.set_ring(place, bits(&host.places[..active]));
    }

    pub(crate) fn rollout_is_over(&self) -> bool {
        self.rollout.turns.is_empty() && self.hosts.iter().all(|host| host.next_ring.is_none())
    }

    /// The next host gets its new ring.toml.
    pub(crate) fn take_turn(&mut self) {
        let (Some(rollout), Some(place)) =
            (self.scenario.rollout.clone(), self.rollout.turns.last().copied())
        else {
            return;
        };
        if rollout.leaves(place) && !rollout.burnt && !self.has_left(place) {
            return self.queue.add(self.now + LOOK_AGAIN, Event::Turn);
        }
        self.rollout.turns.pop();
        self.trace.note(self.now, || format!("TURN of H{place}"));
        let host = &mut self.hosts[usize::from(place)];
        let life = host.life;
        if rollout.leaves(place) {
            host.is_out = true;
            self.ends_for_good(place, rollout.burnt);
        } else if rollout.joins(place) {
            host.is_out = false;
            self.change_ring(place);
            self.queue.add(self.now, Event::Start { host: place, life });
        } else {
            self.change_ring(place);
            self.begin_anew(place);
        }
        let later = self.dice.faults.around(BETWEEN);
        if !self.rollout.turns.is_empty() {
            self.queue.add(self.now + later, Event::Turn);
        }
    }

    /// In order or not.
    fn begin_anew(&mut self, place: u8) {
        if self.dice.faults.chance(0.5) {
            self.give(place, Input::Stop);
        } else if self.hosts[usize::from(place)].runs() {
            self.end(place, Ending::Killed);
        }
    }

    fn ends_for_good(&mut self, place: u8, is_burnt: bool) {
        if is_burnt {
            self.checks.disk_reset(place, self.now);
            self.checks.forget_logs(place);
            if self.hosts[usize::from(place)].runs() {
                self.end(place, Ending::Killed);
            }
        } else {
            self.give(place, Input::Stop);
        }
    }

    /// Whether a host that leaves can be ended: no client talks to it any more, and all have what it took.
    fn has_left(&mut self, place: u8) -> bool {
        let Some((_, since)) = self.rollout.leaving.filter(|(leaving, _)| *leaving == place) else {
            self.rollout.leaving = Some((place, self.now));
            let talks = |client: &u16| self.clients[usize::from(*client)].is_at(place);
            let talking: Vec<u16> = (0..self.scenario.clients.count).filter(talks).collect();
            talking.into_iter().for_each(|client| self.client_leaves(client));
            return false;
        };
        let host: &Host = &self.hosts[usize::from(place)];
        host.runs() && since + LEAVES_AFTER <= self.now && self.checks.is_everywhere(place)
    }

    /// Clients are told to go elsewhere.
    pub(crate) fn is_leaving(&self, place: u8) -> bool {
        self.rollout.leaving.is_some_and(|(leaving, _)| leaving == place)
    }
}
