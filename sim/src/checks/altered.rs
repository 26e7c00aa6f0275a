//! What hosts that lie have made others believe (PROTOCOL, "Sums"). Promised is: a message of another origin is taken from
//! whoever is to bring it or was asked, from nobody else; and where what was taken is not what the origin has said, that
//! is told as `DIVERGED`, within a time in which the two are linked. It is told, not mended.

use super::Checks;
use super::bounds::range;
use crate::event::{Moment, SECOND};
use std::collections::{HashMap, HashSet};

/// A text that was altered stands in a journal until that is told, at most.
const TOLD_WITHIN: Moment = 3 * SECOND;

/// After a connection broke its hosts are linked again, and have what came meanwhile, within this.
const MENDED_WITHIN: Moment = 8 * SECOND;

/// A stream's name as it stands on the wire, and a number.
type Id = (Vec<u8>, u64);

/// A message that stands otherwise in the journal of a host than its origin has said it.
struct Altered {
    place: u8,
    id: Id,
    text: Vec<u8>,
    taken: Moment,
    told: Option<Moment>,
}

#[derive(Default)]
pub(super) struct Lies {
    altered: Vec<Altered>,
    /// When its origin said what stands under a number.
    said: HashMap<Id, Moment>,
    /// Who has asked whom for anything.
    asked: HashSet<(u8, u8)>,
    /// Two hosts whose connection broke, and when.
    shaken: Vec<([u8; 2], Moment)>,
}

impl Lies {
    /// A message that its origin says.
    pub(super) fn said(&mut self, stream: &[u8], seq: u64, now: Moment) {
        self.said.insert((stream.to_vec(), seq), now);
    }

    /// A message that nobody said is taken. Returns what is wrong with that, if the host should have refused it.
    pub(super) fn taken(&mut self, place: u8, id: Id, text: &[u8], now: Moment) -> Option<String> {
        // Who was deceived passes it on as any other message.
        let is_passed_on = self.altered.iter().any(|altered| altered.text == text);
        self.altered.push(Altered { place, id, text: text.to_vec(), taken: now, told: None });
        let liar = text.strip_prefix(b"f")?.first()? - b'0';
        let is_asked = self.asked.contains(&(place, liar));
        (!is_asked && !is_passed_on)
            .then(|| format!("H{place} takes from H{liar}, which it never asked, what nobody said"))
    }

    /// Whether a host has this text in place of another one.
    pub(super) fn has_taken(&self, place: u8, text: &[u8]) -> bool {
        self.altered.iter().any(|altered| altered.place == place && altered.text == text)
    }

    /// Whether a host has something else under this number.
    pub(super) fn has_other(&self, place: u8, id: &Id) -> bool {
        self.altered.iter().any(|altered| altered.place == place && altered.id == *id)
    }

    /// A host tells that what it has is not what the origin has said. Returns what is wrong with that.
    fn diverged(&mut self, place: u8, text: &[u8], now: Moment) -> Option<&'static str> {
        let Some(told) = text.strip_prefix(b"DIVERGED ").and_then(range) else { return Some("unreadable") };
        let numbers = told.from..=told.to;
        let is_meant = |altered: &&mut Altered| {
            altered.place == place && altered.id.0 == told.stream && numbers.contains(&altered.id.1)
        };
        let mut count = 0;
        self.altered.iter_mut().filter(is_meant).for_each(|altered| {
            altered.told.get_or_insert(now);
            count += 1;
        });
        (count == 0).then_some("doubts what is right")
    }

    /// From when on it could have been told: it is here, its origin has said it, and all its links stand: a sum is told
    /// once, and waits for a second for what is lacking.
    fn since(&self, altered: &Altered) -> Option<Moment> {
        let since = altered.taken.max(*self.said.get(&altered.id)?);
        let is_near = |at: Moment| at <= since + TOLD_WITHIN && at + MENDED_WITHIN >= since;
        let is_shaken = self.shaken.iter().any(|(hosts, at)| hosts.contains(&altered.place) && is_near(*at));
        (!is_shaken).then_some(since)
    }

    /// What should have been told by now and was not, or too late.
    fn untold(&self, now: Moment) -> Option<String> {
        self.altered.iter().find_map(|altered| {
            let since = self.since(altered)?;
            let (place, (stream, seq)) = (altered.place, &altered.id);
            let stream = String::from_utf8_lossy(stream);
            let is_late = altered.told.unwrap_or(now) > since + TOLD_WITHIN;
            is_late.then(|| {
                format!(
                    "H{place} has other text than its origin in {stream}.{seq} since {since} µs: told {:?}",
                    altered.told
                )
            })
        })
    }
}

impl Checks {
    /// Hosts will lie.
    pub(crate) fn expect_lies(&mut self) {
        self.lies = Some(Lies::default());
    }

    /// A host asks another one for what it lacks.
    pub(crate) fn asks(&mut self, place: u8, of: u8) {
        if let Some(lies) = &mut self.lies {
            lies.asked.insert((place, of));
        }
    }

    /// A connection of two hosts breaks.
    pub(crate) fn shaken(&mut self, hosts: [u8; 2], now: Moment) {
        if let Some(lies) = &mut self.lies {
            lies.shaken.push((hosts, now));
        }
    }

    /// Nobody refuses a peer's line but for a lie.
    pub(crate) fn is_refused_lie(&self, text: &[u8]) -> bool {
        self.lies.is_some() && text.starts_with(b"REFUSED 403")
    }

    pub(super) fn told_diverged(&mut self, place: u8, text: &[u8], now: Moment) {
        let wrong = match &mut self.lies {
            Some(lies) => lies.diverged(place, text, now),
            None => Some("doubts what is right"),
        };
        if let Some(what) = wrong {
            self.fail(now, format!("H{place} {what}: {}", String::from_utf8_lossy(text)));
        }
    }

    /// What a host has in place of a message is what it has of it: that is told, not mended.
    pub(super) fn has_other(&self, place: usize, id: u32) -> bool {
        self.lies.as_ref().is_some_and(|lies| {
            let (origin, life, seq) = self.messages[id as usize].origin;
            let incarnation = u64::from(life + 1) << 8 | u64::from(origin);
            lies.has_other(place as u8, &(format!("H{origin}/{incarnation:016x}").into_bytes(), seq))
        })
    }

    /// What was altered and is not told in time.
    pub(crate) fn untold(&self, now: Moment) -> Option<String> {
        self.lies.as_ref().and_then(|lies| lies.untold(now))
    }

    /// Whether all that was altered is told, or should be by now.
    pub(crate) fn lies_are_judged(&self, now: Moment) -> bool {
        let is_open = |altered: &Altered| altered.told.is_none() && altered.taken + TOLD_WITHIN >= now;
        !self.lies.as_ref().is_some_and(|lies| lies.altered.iter().any(is_open))
    }

    /// How much was altered, and told.
    pub(crate) fn lies_told(&self) -> Option<usize> {
        let told = |lies: &Lies| lies.altered.iter().filter(|altered| altered.told.is_some()).count();
        self.lies.as_ref().map(told)
    }
}
