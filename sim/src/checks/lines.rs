//! P1, P2, P4: each line of a log is whole, was said, is for this host, and stands there once, the same in all logs.

use super::{Checks, Kind};
use crate::event::Moment;
use crate::twin::ORIGINAL;
use pzog::time::STAMP_LEN;

impl Checks {
    /// Lines were written to a log: they must be whole, known, for this host, and there for the first time.
    pub(crate) fn logged(&mut self, place: u8, log: usize, start: usize, lines: &[u8], now: Moment) {
        let mut at = start;
        for line in split_lines(lines) {
            at += line.len();
            if let Err(what) = self.line(place, (log, at), line) {
                let line = String::from_utf8_lossy(line);
                self.fail(now, format!("H{place} access.log: {what}: {line:?}"));
            }
        }
    }

    fn line(&mut self, place: u8, end: (usize, usize), line: &[u8]) -> Result<(), &'static str> {
        let line = line.strip_suffix(b"\n").ok_or("a piece of a line")?;
        let (stamp, text) = line.split_at_checked(STAMP_LEN).ok_or("no line of a log")?;
        let text = text.strip_prefix(b" ").ok_or("no line of a log")?;
        if self.lies.as_ref().is_some_and(|lies| lies.has_taken(place, text)) {
            return Ok(());
        }
        let id = self.id_of(text).ok_or("nobody said this")?;
        if let Kind::Only(hosts) = self.messages[id as usize].said.kind
            && hosts & 1 << place == 0
            && !self.is_one_of_twins(place, hosts)
        {
            return Err("not for this host");
        }
        let message = &mut self.messages[id as usize];
        if *message.stamp.get_or_insert(stamp.try_into().map_err(|_| "no time")?) != *stamp {
            return Err("other bytes than in other logs or from the client (P4)");
        }
        // What a damaged record said of a session is not known before it is fetched again: until then a repeat through
        // another host is new to this one.
        let is_numbered = matches!(message.said.kind, Kind::Numbered(_));
        let host = &mut self.hosts[usize::from(place)];
        if host.logs.add(id, end) > 1 && !(is_numbered && host.reset.is_some()) {
            return Err("logged twice (P1, P2)");
        }
        Ok(())
    }

    /// Whether a host or its copy is meant, whichever of them this is: nobody else can tell them apart.
    fn is_one_of_twins(&self, place: u8, hosts: u64) -> bool {
        let twins = 1 << ORIGINAL | 1_u64 << self.ring;
        self.hosts.len() > self.ring && twins & 1 << place != 0 && twins & hosts != 0
    }

    pub(super) fn id_of(&self, text: &[u8]) -> Option<u32> {
        let digits = text.strip_prefix(b"m")?;
        let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        let id: u32 = std::str::from_utf8(&digits[..count]).ok()?.parse().ok()?;
        self.messages.get(id as usize).filter(|m| m.said.text == text).map(|_| id)
    }
}

/// The lines of a piece, each with its end, and what follows the last end.
pub(super) fn split_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, behind) = rest.split_at(end);
        rest = behind;
        (!line.is_empty()).then_some(line)
    })
}
