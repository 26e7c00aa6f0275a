//! P1: an answer is true when it is heard, and binds unless a disk was lost.

use super::{ANSWER_UNDER_WAY, Checks, Has, HostChecks, Message};
use crate::event::{Moment, SECOND};
use pzog::Level;
use pzog::limits::CLIENT_SKEW_SECONDS;

impl Checks {
    pub(crate) fn answered(&mut self, id: u32, place: u8, now: Moment) {
        let level = self.messages[id as usize].said.level;
        self.messages[id as usize].answered = Some((place, now, level));
        self.check_answer(id, place, level, now);
    }

    pub(crate) fn pending(&mut self, id: u32, place: u8, now: Moment) {
        self.messages[id as usize].answered = Some((place, now, Level::Synced));
        self.check_answer(id, place, Level::Synced, now);
    }

    /// Whether a message is said so late that a host which does not know it has to refuse it.
    pub(crate) fn is_too_old(&self, id: u32, now: Moment) -> bool {
        now.saturating_sub(self.messages[id as usize].said.at) > (CLIENT_SKEW_SECONDS - 1) * SECOND
    }

    /// An `OK` must be true when it is heard.
    fn check_answer(&mut self, id: u32, place: u8, level: Level, now: Moment) {
        let host = &self.hosts[usize::from(place)];
        let just_lost = host.losses.last().is_some_and(|(_, at)| *at + ANSWER_UNDER_WAY > now);
        let has = host.has[id as usize];
        let of_ring = |(at, _): &(usize, &HostChecks)| host.ring & 1 << at != 0;
        let is_synced =
            |(at, h): &(usize, &HostChecks)| h.has[id as usize] == Has::Synced || self.has_other(*at, id);
        let synced = self.hosts.iter().enumerate().filter(of_ring).filter(is_synced).count();
        let ring = host.ring.count_ones() as usize;
        let is_true = match level {
            Level::Journaled => has > Has::Not || just_lost,
            Level::Synced => has == Has::Synced,
            Level::Majority => synced > ring / 2,
            Level::All => synced == ring,
        };
        if !is_true && self.resets == 0 {
            self.fail(now, format!("H{place} says OK to m{id} before it is {} (P1)", level.word()));
        }
    }

    /// Whether an answered message may be lost by what happened.
    pub(super) fn is_excused(&self, message: &Message, (place, at, level): (u8, Moment, Level)) -> bool {
        if message.is_orphan {
            return level < Level::Majority || self.resets > 1;
        }
        let lost = |(since, when): &(Moment, Moment)| *since < at && *when + ANSWER_UNDER_WAY > at;
        level == Level::Journaled && self.hosts[usize::from(place)].losses.iter().any(lost)
    }
}
