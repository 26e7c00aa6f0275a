//! P3: what one host said stands in one order in every log.

use super::{Checks, Kind};
use pzog::Level;

impl Checks {
    /// Broadcast messages of one origin that stand in another order than they were said in.
    pub(super) fn disorder(&self, place: usize) -> Option<String> {
        let mut last: Vec<Option<(u32, u64, u32)>> = vec![None; self.hosts.len()];
        let lost_power = self.hosts.iter().any(|host| !host.losses.is_empty());
        for id in self.hosts[place].logs.in_order() {
            let message = &self.messages[id as usize];
            let (origin, life, seq) = message.origin;
            let is_reset = [usize::from(origin), place].iter().any(|host| self.hosts[*host].reset.is_some());
            let is_exempt = matches!(message.said.kind, Kind::Only(_))
                || message.published != 1
                || message.may_be_cut_short
                || is_reset
                || (lost_power && message.said.level == Level::Journaled);
            if is_exempt {
                continue;
            }
            let before = last[usize::from(origin)].replace((life, seq, id));
            // Who gave up the first message of a life, or joined after it, does not know what that one names.
            let knows_lives =
                self.told_given_up(place as u8).unwrap_or(0) == 0 && self.newcomers & 1 << place == 0;
            let is_ordered = |a: u32| a == life || knows_lives;
            if let Some((a, b, other)) = before.filter(|(a, b, _)| (*a, *b) >= (life, seq) && is_ordered(*a))
            {
                return Some(format!(
                    "H{place} has logged m{id} (H{origin} life {life} number {seq}) behind m{other} (life {a} number {b}) (P3)"
                ));
            }
        }
        None
    }
}
