//! P1, P2: what was answered `OK`, or stands in one log, comes to all that are to have it.

use super::{Checks, Has, Kind, Message};

impl Checks {
    /// Whether all that a host published is on the disk of every host that stays.
    pub(crate) fn is_everywhere(&self, place: u8) -> bool {
        let is_its = |message: &Message| {
            message.published > 0 && message.origin.0 == place
                || matches!(message.said.kind, Kind::Only(hosts) if hosts & 1 << place != 0)
        };
        let is_here = |id: usize| self.hosts[usize::from(place)].has[id] > Has::Not;
        let is_there = |id: usize, message: &Message| {
            self.addressees(message)
                .all(|to| self.newcomers & 1 << to != 0 || self.hosts[to].has[id] == Has::Synced)
        };
        self.messages.iter().enumerate().all(|(id, m)| !is_its(m) || !is_here(id) || is_there(id, m))
    }

    /// Hosts that are to have a message and never lost what they were told before.
    fn addressees(&self, message: &Message) -> impl Iterator<Item = usize> {
        let (hosts, owed) = match message.said.kind {
            Kind::Only(hosts) => (hosts, hosts),
            Kind::All | Kind::Numbered(_) => {
                (u64::MAX, message.owed.iter().fold(0, |all, (_, ring)| all | ring))
            }
        };
        let since = message.said.at;
        let is_meant = move |place: &usize| {
            let is_owed = (self.members & !self.newcomers | self.newcomers & owed) & hosts;
            is_owed & 1 << place != 0 && self.hosts[*place].reset.is_none_or(|reset| since > reset)
        };
        (0..self.ring).filter(is_meant)
    }

    /// The first message that is not yet where it must be.
    pub(crate) fn missing(&self) -> Option<String> {
        self.messages.iter().enumerate().find_map(|(id, message)| {
            let lacks = |place: &usize| {
                self.hosts[*place].logs.count(id as u32) == 0
                    && !self.has_given_up(*place, id as u32)
                    && !self.has_other(*place, id as u32)
            };
            let lacking = self.addressees(message).find(lacks)?;
            let is_sure = message.answered.is_some_and(|answered| !self.is_excused(message, answered));
            let is_anywhere = || self.addressees(message).any(|place| !lacks(&place));
            if !is_sure && (message.is_orphan || !is_anywhere()) {
                return None;
            }
            let why = match message.answered {
                Some((host, at, level)) if is_sure => {
                    format!("H{host} answered OK ({}) at {at} µs (P1)", level.word())
                }
                _ => "another host has logged it (P2)".to_owned(),
            };
            Some(format!("H{lacking} has not logged m{id}, although {why}"))
        })
    }
}
