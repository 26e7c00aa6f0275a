//! P6, P7: what is refused, found to be damaged, released or given up is told, and nothing is lost without a cause.

use super::Checks;
use crate::event::Moment;

impl Checks {
    /// A line of error.log, and the host that it is about.
    pub(crate) fn reported(
        &mut self,
        place: u8,
        about: Option<u8>,
        text: &[u8],
        is_error: bool,
        now: Moment,
    ) {
        self.clones_told += u32::from(text.starts_with(b"CLONE"));
        if text.starts_with(b"REFUSED 4") {
            self.hosts[usize::from(place)].refusals_reported += 1;
        }
        if let Some(bounds) = &mut self.bounds {
            if about.is_some_and(|about| bounds.released(about, text).is_some()) {
                return;
            }
            if let Some(seq) = bounds.given_up(place, text) {
                let text = String::from_utf8_lossy(text);
                self.fail(now, format!("H{place}: nobody has told to have released {seq}: {text} (P7)"));
            }
            if !text.starts_with(b"CONFLICT") {
                return;
            }
        }
        if text.starts_with(b"DIVERGED") {
            self.told_diverged(place, text, now);
        }
        let is_loss =
            text.starts_with(b"GIVEN UP") || text.starts_with(b"RELEASED") || text.starts_with(b"CONFLICT");
        if is_error && is_loss && self.given_up.is_none() {
            self.given_up = Some(format!("H{place}: {}", String::from_utf8_lossy(text)));
        }
    }

    /// A line was answered `ERR`: it must have been reported.
    pub(crate) fn refused(&mut self, place: u8) {
        self.hosts[usize::from(place)].refusals_answered += 1;
    }

    /// Recovery tells of something that should not be.
    pub(crate) fn found(&mut self, place: u8, finding: &str, now: Moment) {
        let is_loss = finding.starts_with("DAMAGED") || finding.starts_with("UNREADABLE");
        if is_loss && !self.may_give_up {
            self.fail(now, format!("H{place} finds damage where there is none: {finding}"));
        }
    }

    pub(crate) fn started(&mut self, place: u8) {
        let host = &mut self.hosts[usize::from(place)];
        (host.refusals_reported, host.refusals_answered) = (0, 0);
    }

    pub(super) fn has_given_up(&self, place: usize, id: u32) -> bool {
        self.bounds.as_ref().is_some_and(|bounds| bounds.has_given_up(place as u8, id))
    }

    /// How much a host has told to have given up, if the scenario is about that.
    pub(crate) fn told_given_up(&self, place: u8) -> Option<u64> {
        self.bounds.as_ref().map(|bounds| bounds.count(place))
    }

    /// More lines were refused than reported.
    pub(super) fn unreported(&self, place: usize) -> Option<String> {
        let host = &self.hosts[place];
        let (reported, answered) = (host.refusals_reported, host.refusals_answered);
        (reported < answered)
            .then(|| format!("H{place} refused {answered} lines and reported {reported} (P6)"))
    }

    /// Messages were given up although nothing has happened that excuses it.
    pub(super) fn lost_for_nothing(&mut self) -> Option<String> {
        let what = self.given_up.take_if(|_| !self.may_give_up)?;
        Some(format!("messages are given up for no reason: {what} (P7)"))
    }
}
