//! Which host has which message, as far as the simulator can know: appended, on the disk, or lost again.

use super::lines::split_lines;
use super::{Checks, Has, Logs};
use crate::disk::Disk;
use crate::event::{Moment, Process};
use crate::twin::ORIGINAL;
use pzog::Level;
use pzog::time::STAMP_LEN;

impl Checks {
    /// A piece of a record was appended; the journal ends there now.
    pub(crate) fn appended(&mut self, of: Process, end: (u64, u32), piece: &[u8], is_own: bool, now: Moment) {
        let Process { host: place, life } = of;
        for line in split_lines(piece) {
            let Some((head, text)) = split_data(line) else { continue };
            let Some(id) = self.id_of(text) else {
                self.took_what_nobody_said(place, head, text, now);
                continue;
            };
            if is_own {
                let message = &mut self.messages[id as usize];
                message.published += 1;
                message.owed.push((place, self.hosts[usize::from(place)].ring));
                message.origin = (place, life, seq_of(head).unwrap_or(0));
                if let Some(lies) = &mut self.lies {
                    lies.said(stream_of(head), seq_of(head).unwrap_or(0), now);
                }
            }
            if let Some(bounds) = &mut self.bounds {
                bounds.published(id, stream_of(head), seq_of(head).unwrap_or(0));
            }
            let host = &mut self.hosts[usize::from(place)];
            if host.has[id as usize] == Has::Not {
                host.has[id as usize] = Has::Appended;
                host.fresh.push_back((end, id));
            }
        }
    }

    /// An append was cut short. It may be in the journal all the same, but for bytes that stood there before: then its
    /// messages are published there, too.
    pub(crate) fn cut_short(&mut self, piece: &[u8]) {
        for (_, text) in split_lines(piece).filter_map(split_data) {
            if let Some(id) = self.id_of(text) {
                self.messages[id as usize].may_be_cut_short = true;
            }
        }
    }

    /// What stands in a journal and was said by no client is the work of a host that lies.
    fn took_what_nobody_said(&mut self, place: u8, head: &[u8], text: &[u8], now: Moment) {
        let Some(lies) = &mut self.lies else { return };
        let id = (stream_of(head).to_vec(), seq_of(head).unwrap_or(0));
        if let Some(what) = lies.taken(place, id, text, now) {
            self.fail(now, what);
        }
    }

    /// A sync has ended that covers the journal up to there.
    pub(crate) fn synced(&mut self, place: u8, end: (u64, u32)) {
        let host = &mut self.hosts[usize::from(place)];
        while let Some((_, id)) = host.fresh.pop_front_if(|(at, _)| *at <= end) {
            host.has[id as usize] = Has::Synced;
        }
    }

    /// What was not certain on a host is lost, or perhaps not.
    pub(crate) fn power_lost(&mut self, place: u8, since: Moment, now: Moment) {
        self.hosts[usize::from(place)].losses.push((since, now));
    }

    /// What a log says behind that is cut off.
    pub(crate) fn cut(&mut self, place: u8, log: usize, bytes: usize) {
        self.hosts[usize::from(place)].logs.cut((log, bytes));
    }

    /// Journal and logs are in order again, and on the disk: what is not in the logs is not there at all.
    pub(crate) fn recovered(&mut self, place: u8, disk: &Disk, now: Moment) {
        let known = self.hosts[usize::from(place)].logs.end();
        for (at, log) in disk.logs.iter().enumerate() {
            let from = match known {
                (last, _) if at < last => continue,
                (last, bytes) if at == last => bytes,
                _ => 0,
            };
            self.logged(place, at, from, log.bytes.get(from..).unwrap_or_default(), now);
        }
        let host = &mut self.hosts[usize::from(place)];
        for (_, id) in host.fresh.drain(..) {
            let is_logged = host.logs.count(id) > 0;
            host.has[id as usize] = if is_logged { Has::Synced } else { Has::Not };
            let message = &mut self.messages[id as usize];
            // It never left this host: who publishes it anew owes it to the hosts of its own ring.
            if !is_logged && message.said.level > Level::Journaled {
                message.owed.retain(|(publisher, _)| *publisher != place);
            }
        }
        // An append that was said to have failed may have brought all of it to the disk.
        for id in (0..host.has.len()).filter(|id| host.logs.count(*id as u32) > 0) {
            host.has[id] = Has::Synced;
        }
    }

    /// A host's disk is lost, damaged or replaced by an old copy: what only it had is lost with it.
    pub(crate) fn disk_reset(&mut self, place: u8, now: Moment) {
        self.resets += 1;
        self.may_give_up = true;
        let (mine, others): (Vec<_>, Vec<_>) =
            self.hosts.iter().enumerate().partition(|(at, _)| *at == usize::from(place));
        for (id, message) in self.messages.iter_mut().enumerate() {
            let is_elsewhere = others.iter().any(|(_, host)| host.has[id] == Has::Synced);
            message.is_orphan |= mine[0].1.has[id] > Has::Not && !is_elsewhere;
        }
        self.hosts[usize::from(place)].reset = Some(now);
    }

    /// The host comes back with a log that ends there, or none.
    pub(crate) fn forget_logs(&mut self, place: u8) {
        let host = &mut self.hosts[usize::from(place)];
        host.logs = Logs::default();
        host.fresh.clear();
        host.has.fill(Has::Not);
    }

    /// A copy of a host begins to live beside it, with the logs of the original. Which of the two has what it told to have
    /// is not known to others from now on.
    pub(crate) fn twin_begins(&mut self, twin: u8) {
        self.forget_logs(twin);
        self.hosts[usize::from(twin)].reset = None;
        (self.resets, self.may_give_up) = (self.resets.max(1), true);
    }

    /// It has ended for good: what only it had is lost, and the original may lack what was given to the copy.
    pub(crate) fn twin_ends(&mut self, now: Moment) {
        let resets = self.resets;
        self.disk_reset(self.ring as u8, now);
        self.forget_logs(self.ring as u8);
        self.hosts[usize::from(ORIGINAL)].reset = Some(now);
        self.resets = resets;
    }
}

/// Head and text of a data line.
fn split_data(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_suffix(b"\r\n")?;
    if !matches!(line.first()?, b'0'..=b'2' | b'R') {
        return None;
    }
    let space = memchr::memchr(b' ', line)?;
    Some((&line[1..space], line.get(space + STAMP_LEN + 2..)?))
}

fn stream_of(head: &[u8]) -> &[u8] {
    head.split(|b| *b == b'.').next().unwrap_or_default()
}

fn seq_of(head: &[u8]) -> Option<u64> {
    let dot = memchr::memchr(b'.', head)?;
    let digits = head[dot + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&head[dot + 1..dot + 1 + digits]).ok()?.parse().ok()
}
