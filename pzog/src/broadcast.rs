//! This host's own messages on their way to all others.
//!
//! The lines of a turn are made once and go out together: when the turn ends if all of them are of level `journaled`,
//! else when they are on the disk. A host that has a relay gets them from there; where it had to be served directly
//! it is given back to its relay only after a hold-down, which grows with each relapse.

use crate::event::{ConnId, Outputs, Slice, Span};
use crate::feed::Leaving;
use crate::following::increment;
use crate::limits::{HOLD_DOWN, HOLD_DOWN_FORGET, HOLD_DOWN_MAX, NAMED_MAX, STUCK};
use crate::node::Node;
use crate::relay::Way;
use crate::report::Refusal;
use crate::ring::HostIndex;
use crate::session::{At, Token};
use crate::settings::Level;
use crate::stream::Numbers;
use crate::time::{Duration, Stamp, Time};
use crate::wire::{StreamName, put_hex16, put_number};
use alloc::vec::Vec;

/// The number of this host's own stream.
pub(crate) const OWN: u32 = 0;

/// What is kept about this host's own stream.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// The wrapping of the lines as they are made; one of those in use.
    wrapping: u8,
    /// The first message of this turn.
    first_of_turn: Option<u64>,
    /// Some of its messages must be on the disk before they leave.
    pub(crate) must_sync: bool,
    /// The last message that may leave.
    pub(crate) sendable: u64,
    /// The lines behind it: those that the sync under way covers, then the others.
    held: Vec<u8>,
    held_next: Vec<u8>,
    /// The last message that the sync under way covers.
    syncing: u64,
    /// A host that is a window behind is waited for until then.
    pub(crate) window_until: Option<Time>,
    /// `<stream>.<seq>` of the next message, as far as it is known without writing the number anew.
    next_id: Vec<u8>,
}

/// How this host's messages go to another one.
#[derive(Debug, Default)]
pub(crate) struct Path {
    /// They go directly although there is a relay for it …
    direct: bool,
    /// … at least until then …
    until: Time,
    /// … and next time for so long.
    hold_down: Duration,
}

impl Path {
    /// The link is down: if anybody reaches the host, it is its relay.
    pub(crate) fn link_down(&mut self) {
        self.direct = false;
    }
}

impl Node {
    /// Takes a message for all hosts: makes its line, journals and logs it. Returns where it stands.
    pub(crate) fn publish(
        &mut self,
        stamp: &Stamp,
        text: &[u8],
        numbered: Option<(&Token, u64)>,
        level: Level,
        out: &mut Outputs,
    ) -> At {
        let seq = self.streams.get(OWN).journaled + 1;
        if self.own.first_of_turn.is_none() {
            self.own.first_of_turn = Some(seq);
            self.own.wrapping = self.others().find_map(|host| self.wrapping_for(host)).unwrap_or(0);
        }
        let wrapping = self.own.wrapping;
        let line = &mut out.own[usize::from(wrapping)];
        let start = line.len() as u32;
        line.push(b'0' + wrapping);
        let head = &self.streams.get(OWN).head;
        if self.own.next_id.is_empty() {
            self.own.next_id.extend_from_slice(head);
            put_number(&mut self.own.next_id, seq);
        }
        line.extend_from_slice(&self.own.next_id);
        if !increment(&mut self.own.next_id[head.len()..]) {
            self.own.next_id.clear();
        }
        if seq == 1 {
            self.name_former(&mut out.own[usize::from(wrapping)]);
        }
        let line = &mut out.own[usize::from(wrapping)];
        if level > Level::Synced {
            line.push(b'!');
        }
        if let Some((token, number)) = numbered {
            line.push(b'~');
            line.extend_from_slice(token.as_bytes());
            line.push(b'.');
            put_number(line, number);
        }
        line.push(b' ');
        let logged = line.len();
        line.extend_from_slice(stamp.as_bytes());
        line.push(b' ');
        line.extend_from_slice(text);
        out.log.extend_from_slice(&line[logged..]);
        out.log.push(b'\n');
        line.extend_from_slice(b"\r\n");
        let end = line.len() as u32;
        self.counters.logged += 1;
        self.journal.add(Slice::Own(wrapping, Span { start, end }));
        self.own.must_sync |= level > Level::Journaled;
        self.streams.get_mut(OWN).take(seq, true);
        self.send_version_1(text, out);
        self.counters.taken += 1;
        At { stream: OWN, seq }
    }

    /// A first message names what this host holds of its former lives, so that nobody takes it before those.
    fn name_former(&mut self, line: &mut Vec<u8>) {
        let me = self.me;
        let is_former = |name: StreamName| name.origin == me && name.addressee.is_none();
        let former =
            self.streams.iter_mut().skip(1).filter(|s| is_former(s.name) && !s.named && s.journaled > 0);
        for stream in former.take(NAMED_MAX) {
            stream.named = true;
            line.push(b'^');
            put_hex16(line, stream.name.incarnation);
            line.push(b'.');
            put_number(line, stream.journaled);
        }
    }

    /// The wrapping with which a host gets our lines directly; `None` if its relay sends them.
    fn wrapping_for(&self, host: HostIndex) -> Option<u8> {
        let link = &self.links[host.index()];
        match self.ways[host.index()] {
            Way::ByRelay { .. } => link.path.direct.then_some(0),
            Way::Direct { wrapping, charge: Some(charge) } => {
                let charge = self.ring.peer(self.me, charge);
                let agrees = link.up.is_some_and(|up| up.agrees);
                Some(if self.links[charge.index()].path.direct || !agrees { 0 } else { wrapping })
            }
            Way::Direct { wrapping, charge: None } => Some(wrapping),
        }
    }

    /// The end of a turn: sends what it made, or holds it until it is on the disk.
    pub(crate) fn send_own(&mut self, now: Time, out: &mut Outputs) {
        let Some(from) = self.own.first_of_turn.take() else { return };
        let own = Numbers { from, to: self.streams.get(OWN).journaled };
        let must_sync = core::mem::take(&mut self.own.must_sync);
        self.sync.urgent |= must_sync;
        let must_sync = must_sync && !planted!(SentBeforeSync);
        if must_sync || from > self.own.sendable + 1 {
            self.own.held_next.extend_from_slice(&out.own[usize::from(self.own.wrapping)]);
        } else {
            self.send_lines(now, Leaving { numbers: own, were_held: false }, out);
        }
    }

    /// A sync begins: it covers what is held.
    pub(crate) fn sync_own_begins(&mut self) {
        self.own.syncing = self.streams.get(OWN).journaled;
        core::mem::swap(&mut self.own.held, &mut self.own.held_next);
    }

    /// What was held is on the disk: it leaves.
    pub(crate) fn sync_own_ends(&mut self, now: Time, out: &mut Outputs) {
        let own = Numbers { from: self.own.sendable + 1, to: self.own.syncing };
        if self.own.held.is_empty() || own.count() == 0 {
            return;
        }
        self.own.wrapping = self.others().find_map(|host| self.wrapping_for(host)).unwrap_or(0);
        let wrapping = usize::from(self.own.wrapping);
        core::mem::swap(&mut out.own[wrapping], &mut self.own.held);
        self.own.held.clear();
        put_wrapping(self.own.wrapping, &mut out.own[wrapping]);
        self.send_lines(now, Leaving { numbers: own, were_held: true }, out);
    }

    /// Sends lines, which stand in `own` with the wrapping `own.wrapping`.
    fn send_lines(&mut self, now: Time, own: Leaving, out: &mut Outputs) {
        self.own.sendable = own.numbers.to;
        let made = usize::from(self.own.wrapping);
        for host in self.others() {
            // Who is on the way back to its relay gets the last ones directly.
            let wrapping = self.wrapping_for(host).unwrap_or(0);
            if self.links[host.index()].feeds.get(OWN).next == 0 {
                continue;
            }
            let at = usize::from(wrapping);
            if out.own[at].is_empty() {
                let lines = core::mem::take(&mut out.own[made]);
                out.own[at].extend_from_slice(&lines);
                out.own[made] = lines;
                put_wrapping(wrapping, &mut out.own[at]);
            }
            let lines = Slice::Own(wrapping, Span { start: 0, end: out.own[at].len() as u32 });
            self.feed_own(now, host, own, lines, out);
        }
        self.tell_head(now);
        self.sums.own_goes_on(now);
    }

    /// Begins to serve a host our own stream directly.
    pub(crate) fn serve_directly(&mut self, now: Time, host: HostIndex, from: u64) {
        if let Way::ByRelay { .. } = self.ways[host.index()] {
            self.paths_are_settled = false;
            let path = &mut self.links[host.index()].path;
            if !path.direct {
                let relapsed = path.hold_down > Duration::ZERO && now - path.until < HOLD_DOWN_FORGET;
                path.hold_down = if relapsed { (2 * path.hold_down).min(HOLD_DOWN_MAX) } else { HOLD_DOWN };
                path.direct = true;
            }
            path.until = now + path.hold_down;
        }
        self.feed(host, OWN, from);
    }

    /// A link is up: whatever the host lacks of what only we send it, it gets from here on.
    pub(crate) fn begin_path(&mut self, now: Time, host: HostIndex) {
        let has = self.links[host.index()].told(OWN).journaled;
        match self.ways[host.index()] {
            Way::ByRelay { relay } if self.relays(relay) && has >= self.own.sendable => {}
            _ => self.serve_directly(now, host, has + 1),
        }
        let mine = |name: StreamName| name.origin == self.me && name.addressee == Some(host);
        let targeted = (0..).zip(self.streams.iter()).filter(|(_, s)| mine(s.name));
        let targeted: Vec<u32> = targeted.map(|(stream, _)| stream).collect();
        for stream in targeted {
            let has = self.links[host.index()].told(stream).journaled;
            self.feed(host, stream, has + 1);
        }
    }

    /// Whether the host at this offset can be a relay now.
    fn relays(&self, relay: usize) -> bool {
        let relay = &self.links[self.ring.peer(self.me, relay).index()];
        relay.up.is_some_and(|up| up.agrees)
    }

    /// Settles the ways of hosts with a relay, after whatever happened to links in this turn.
    pub(crate) fn settle_paths(&mut self, now: Time) {
        debug_assert!(
            !self.paths_are_settled || self.find_paths_settled(),
            "what is remembered is out of date"
        );
        if self.paths_are_settled {
            return;
        }
        for host in self.others() {
            let Way::ByRelay { relay } = self.ways[host.index()] else { continue };
            let (relays, last) = (self.relays(relay), self.streams.get(OWN).journaled);
            let sendable = self.own.sendable;
            let link = &mut self.links[host.index()];
            if link.up.is_none() {
                continue;
            }
            let feed = link.feeds.get(OWN);
            if !link.path.direct && !relays {
                let has = link.told(OWN).journaled;
                self.serve_directly(now, host, has + 1);
            } else if link.path.direct && relays && link.path.until <= now {
                // Back to the relay only from the head: who lags would ask again at once.
                if feed.next > sendable && !link.feeds.blocked {
                    link.path.direct = false;
                    link.feeds.end_at(OWN, last);
                }
            }
        }
        self.paths_are_settled = self.find_paths_settled();
    }

    /// Whether every linked host with a relay gets our messages from it, so that nothing is to be settled.
    fn find_paths_settled(&self) -> bool {
        self.others().all(|host| match self.ways[host.index()] {
            Way::ByRelay { relay } => {
                let link = &self.links[host.index()];
                link.up.is_none() || !link.path.direct && self.relays(relay)
            }
            Way::Direct { .. } => true,
        })
    }

    /// When a host may go back to its relay.
    pub(crate) fn paths_deadline(&self, now: Time) -> Option<Time> {
        if self.paths_are_settled {
            return None;
        }
        let waits = |h: &HostIndex| match self.ways[h.index()] {
            Way::ByRelay { relay } => self.links[h.index()].up.is_some() && self.relays(relay),
            Way::Direct { .. } => false,
        };
        let path = |h: HostIndex| &self.links[h.index()].path;
        self.others().filter(waits).map(path).filter(|p| p.direct && p.until > now).map(|p| p.until).min()
    }

    /// Whether clients must wait because a linked host that keeps up on the whole is a window behind. A host that
    /// hardly gets on for [`STUCK`], or that was away, does not count until it has caught up: it must not stop the
    /// others.
    pub(crate) fn window_is_full(&mut self, now: Time) -> bool {
        let last = self.streams.get(OWN).journaled;
        self.own.window_until = None;
        for link in self.links.iter_mut().filter(|l| l.up.is_some()) {
            let has = link.told.first().map_or(0, |told| told.journaled);
            if last < has + self.settings.window_messages {
                (link.behind, link.keeps_up) = (None, true);
                continue;
            }
            if !link.keeps_up {
                continue;
            }
            // A little more is not enough: a host that creeps would stop all clients as long as it likes.
            let step = (self.settings.window_messages / 16).max(1);
            let stood_at = link.behind.filter(|(at, _)| has < at + step);
            let (at, since) = stood_at.unwrap_or((has, now));
            link.behind = Some((at, since));
            if since + STUCK > now {
                self.own.window_until = self.own.window_until.max(Some(since + STUCK));
            } else {
                link.keeps_up = false;
            }
        }
        self.own.window_until.is_some()
    }

    /// Takes a message for one other host (and this one): in a stream that no third host holds. For this host alone
    /// where there is no other.
    pub(crate) fn publish_targeted(
        &mut self,
        to: HostIndex,
        stamp: &Stamp,
        text: &[u8],
        level: Level,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let name = StreamName { origin: self.me, addressee: Some(to), incarnation: self.incarnation };
        let stream = self.streams.open(name, &self.ring).ok_or(Refusal::StreamsFull)?;
        let seq = self.streams.get(stream).journaled + 1;
        let start = out.small.len() as u32;
        out.small.push(b'0');
        out.small.extend_from_slice(&self.streams.get(stream).head);
        put_number(&mut out.small, seq);
        for part in [b" ", &stamp.as_bytes()[..], b" ", text, b"\r\n"] {
            out.small.extend_from_slice(part);
        }
        let line = Slice::Small(Span { start, end: out.small.len() as u32 });
        self.journal.add(line);
        self.streams.get_mut(stream).take(seq, true);
        // It leaves once it is on the disk: nobody else could give it back to us.
        self.sync.urgent |= to != self.me || level > Level::Journaled;
        if to != self.me && self.links[to.index()].up.is_some() && !self.links[to.index()].feeds.has(stream) {
            self.feed(to, stream, seq);
        }
        self.log(&[stamp.as_bytes(), b" ", text], out);
        Ok(())
    }

    /// Version 1 peers get plain `0<text>`.
    fn send_version_1(&mut self, text: &[u8], out: &mut Outputs) {
        self.links.iter().filter_map(|l| l.version_1).for_each(|conn| put_version_1(conn, text, out));
    }
}

/// Sends a message as version 1 has it.
pub(crate) fn put_version_1(conn: ConnId, text: &[u8], out: &mut Outputs) {
    let line = out.put_bytes(&[b"0", text, b"\r\n"]);
    out.send.push((conn, line));
}

/// Gives all lines this wrapping.
fn put_wrapping(wrapping: u8, lines: &mut [u8]) {
    let mut start = 0;
    while let Some(byte) = lines.get_mut(start) {
        *byte = b'0' + wrapping;
        match memchr::memchr(b'\n', &lines[start..]) {
            Some(end) => start += end + 1,
            None => return,
        }
    }
}
