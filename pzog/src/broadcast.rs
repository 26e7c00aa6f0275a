//! This host's own messages on their way to all others.
//!
//! The lines of a turn are made once for each wrapping in use and go out together when the turn ends. A host that
//! has a relay gets them from there while the relay is linked, else directly. When its way changes, lines wait
//! until it has told that it has all that went the old way, so that none overtakes another.

use crate::event::{ConnId, Outputs, Severity, Slice, Source, Span};
use crate::limits::REROUTE;
use crate::link::{Kept, Link};
use crate::node::Node;
use crate::relay::Way;
use crate::ring::HostIndex;
use crate::settings::Level;
use crate::time::{Stamp, Time};
use crate::wire::{StreamName, put_number};

/// The number of this host's own stream.
pub(crate) const OWN: u32 = 0;

/// What is kept about this host's own stream.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// The wrappings that lines are made for in this turn; found when its first message comes.
    wrappings: Option<[bool; 3]>,
    /// The number of the first message of this turn.
    first_of_turn: u64,
    /// A host that is a window behind is waited for until then.
    pub(crate) window_until: Option<Time>,
}

/// How this host's messages go to another one, and what waits for it.
#[derive(Debug, Default)]
pub(crate) struct Path {
    /// They do not go by its relay.
    direct: bool,
    /// The last that went by its relay.
    last_relayed: u64,
    /// The last that went directly, or waits to.
    last_direct: u64,
    /// The first of them that waits.
    kept_from: Option<u64>,
    /// They wait until the host has this one, or until this time.
    pub(crate) hold: Option<(u64, Time)>,
}

impl Node {
    /// Takes a message for all hosts: makes its lines, then logs it. Returns its number.
    pub(crate) fn publish(
        &mut self,
        stamp: &Stamp,
        text: &[u8],
        numbered: Option<(&[u8], u64)>,
        level: Level,
        out: &mut Outputs,
    ) -> u64 {
        let seq = self.streams.get(OWN).journaled + 1;
        let wrappings = match self.own.wrappings {
            Some(wrappings) => wrappings,
            None => self.begin_own(seq),
        };
        let head = &self.streams.get(OWN).head;
        let urgent: &[u8] = if level > Level::Synced { b"!" } else { b"" };
        for wrapping in (0..3u8).filter(|w| wrappings[usize::from(*w)]) {
            let line = &mut out.own[usize::from(wrapping)];
            line.push(b'0' + wrapping);
            line.extend_from_slice(head);
            put_number(line, seq);
            line.extend_from_slice(urgent);
            if let Some((token, number)) = numbered {
                line.push(b'~');
                line.extend_from_slice(token);
                line.push(b'.');
                put_number(line, number);
            }
            line.push(b' ');
            line.extend_from_slice(stamp.as_bytes());
            line.push(b' ');
            line.extend_from_slice(text);
            line.extend_from_slice(b"\r\n");
        }
        self.send_version_1(text, out);
        self.streams.get_mut(OWN).journaled = seq;
        self.counters.taken += 1;
        self.sync.urgent |= level > Level::Journaled;
        self.log(&[stamp.as_bytes(), b" ", text], out);
        seq
    }

    /// The first message of a turn: settles the ways to all hosts.
    fn begin_own(&mut self, seq: u64) -> [bool; 3] {
        let mut wrappings = [false; 3];
        for host in self.others() {
            if let Some(wrapping) = self.wrapping_for(host) {
                wrappings[usize::from(wrapping)] = true;
            }
        }
        self.own.wrappings = Some(wrappings);
        self.own.first_of_turn = seq;
        wrappings
    }

    /// The wrapping with which a host gets our lines directly; `None` if its relay sends them.
    fn wrapping_for(&self, host: HostIndex) -> Option<u8> {
        let link = &self.links[host.index()];
        match self.ways[host.index()] {
            Way::ByRelay { .. } => link.path.direct.then_some(0),
            Way::Direct { wrapping, charge: Some(charge) } => {
                let charge = self.ring.peer(self.me, charge);
                Some(if self.links[charge.index()].path.direct { 0 } else { wrapping })
            }
            Way::Direct { wrapping, charge: None } => Some(wrapping),
        }
    }

    /// The end of a turn: sends what it made.
    pub(crate) fn send_own(&mut self, now: Time, out: &mut Outputs) {
        if self.own.wrappings.take().is_some() {
            let last = self.streams.get(OWN).journaled;
            for host in self.others() {
                let wrapping = self.wrapping_for(host);
                let path = &mut self.links[host.index()].path;
                match wrapping {
                    None => path.last_relayed = last,
                    Some(wrapping) => {
                        path.last_direct = last;
                        let end = out.own[usize::from(wrapping)].len() as u32;
                        self.send_or_keep(now, host, Slice::Own(wrapping, Span { start: 0, end }), out);
                    }
                }
            }
        }
    }

    /// Settles the ways to all hosts anew, after whatever happened to links in this turn.
    pub(crate) fn settle_paths(&mut self, now: Time, out: &mut Outputs) {
        for host in self.others() {
            self.settle_path(host, now, out);
        }
    }

    /// Sends some of this turn's bytes to a host, or keeps them until that can be.
    fn send_or_keep(&mut self, now: Time, host: HostIndex, slice: Slice, out: &mut Outputs) {
        let link = &mut self.links[host.index()];
        match &mut link.up {
            Some(up) if link.outbox.is_empty() && link.path.hold.is_none() => {
                up.used = now;
                out.send.push((up.conn, slice));
            }
            _ => {
                if let Slice::Own(..) = slice {
                    link.path.kept_from.get_or_insert(self.own.first_of_turn);
                }
                let bytes = out.bytes(slice, &[]);
                let kept = link.outbox.keep(bytes, self.settings.outbox_bytes);
                self.note_kept(host, kept, out);
            }
        }
    }

    /// Counts what did not fit into an outbox, and reports it when that begins.
    pub(crate) fn note_kept(&mut self, host: HostIndex, kept: Kept, out: &mut Outputs) {
        let Kept::Dropped { lines, first } = kept else { return };
        self.counters.dropped += lines;
        if first {
            let bytes = self.settings.outbox_bytes;
            out.report(
                Severity::Error,
                Source::Host(host),
                format_args!("DROPPING messages: {bytes} bytes wait for this host, more do not fit"),
            );
        }
    }

    /// Changes the way to a host where its relay has come or gone, and lets go what waited for that.
    fn settle_path(&mut self, host: HostIndex, now: Time, out: &mut Outputs) {
        let relay_serves = match self.ways[host.index()] {
            Way::Direct { .. } => None,
            Way::ByRelay { relay } => {
                let relay = &self.links[self.ring.peer(self.me, relay).index()];
                Some(relay.up.as_ref().is_some_and(|up| up.agrees))
            }
        };
        let link = &mut self.links[host.index()];
        let has = link.told.map_or(0, |told| told.journaled);
        match relay_serves.map(|serves| serves && link.version_1.is_none()) {
            Some(false) if !link.path.direct => {
                link.path.direct = true;
                link.hold_for_relayed(now);
            }
            Some(true) if link.path.direct && link.may_go_by_relay(has) => link.path.direct = false,
            _ => {}
        }
        if link.path.hold.is_some_and(|(seq, at)| has >= seq || at <= now) {
            link.path.hold = None;
        }
        if let (Some(up), None, false) = (&link.up, link.path.hold, link.outbox.is_empty()) {
            let start = out.small.len() as u32;
            link.outbox.empty_into(&mut out.small);
            link.path.kept_from = None;
            out.send.push((up.conn, Slice::Small(Span { start, end: out.small.len() as u32 })));
        }
    }

    /// Whether clients must wait because a linked host is a window behind. A host that has stood still for
    /// [`REROUTE`] no longer counts: a stuck peer must not stop the others.
    pub(crate) fn window_is_full(&mut self, now: Time) -> bool {
        let last = self.streams.get(OWN).journaled;
        self.own.window_until = None;
        for link in self.links.iter_mut().filter(|l| l.up.is_some()) {
            let has = link.told.map_or(0, |told| told.journaled);
            if last < has + self.settings.window_messages {
                link.behind = None;
                continue;
            }
            // A little more is not enough: a host that creeps would stop all clients as long as it likes.
            let step = (self.settings.window_messages / 16).max(1);
            let stood_at = link.behind.filter(|(at, _)| has < at + step);
            let (at, since) = stood_at.unwrap_or((has, now));
            link.behind = Some((at, since));
            if since + REROUTE > now {
                self.own.window_until = self.own.window_until.max(Some(since + REROUTE));
            }
        }
        self.own.window_until.is_some()
    }

    /// Sends a message to one host only, in a stream that no third host holds.
    pub(crate) fn send_targeted(
        &mut self,
        now: Time,
        to: HostIndex,
        stamp: &Stamp,
        text: &[u8],
        out: &mut Outputs,
    ) {
        let name = StreamName { origin: self.me, addressee: Some(to), incarnation: self.incarnation };
        let stream = self.streams.open(name, &self.ring);
        let stream = self.streams.get_mut(stream);
        stream.journaled += 1;
        let start = out.small.len() as u32;
        out.small.push(b'0');
        out.small.extend_from_slice(&stream.head);
        put_number(&mut out.small, stream.journaled);
        for part in [b" ", &stamp.as_bytes()[..], b" ", text, b"\r\n"] {
            out.small.extend_from_slice(part);
        }
        let line = Slice::Small(Span { start, end: out.small.len() as u32 });
        self.send_or_keep(now, to, line, out);
        if let Some(conn) = self.links[to.index()].version_1 {
            put_version_1(conn, text, out);
        }
    }

    /// Version 1 peers get plain `0<text>`.
    fn send_version_1(&mut self, text: &[u8], out: &mut Outputs) {
        self.links.iter().filter_map(|l| l.version_1).for_each(|conn| put_version_1(conn, text, out));
    }
}

impl Link {
    /// Lines for this host wait until it has all that went by its relay.
    pub(crate) fn hold_for_relayed(&mut self, now: Time) {
        let last = self.path.last_relayed;
        if self.path.direct && self.up.is_some() && self.told.is_none_or(|told| told.journaled < last) {
            self.path.hold = Some((last, now + REROUTE));
        }
    }

    /// Whether all that went directly has arrived, so that the relay's lines cannot overtake it.
    fn may_go_by_relay(&self, has: u64) -> bool {
        self.outbox.is_empty() && self.path.hold.is_none() && has >= self.path.last_direct
    }

    /// What a host that tells nothing of our stream is taken to have: all but what waits for it.
    pub(crate) fn assumed_watermark(&self, last: u64) -> u64 {
        self.path.kept_from.map_or(last, |first| first - 1)
    }
}

/// Sends a message as version 1 has it.
pub(crate) fn put_version_1(conn: ConnId, text: &[u8], out: &mut Outputs) {
    let line = out.put_bytes(&[b"0", text, b"\r\n"]);
    out.send.push((conn, line));
}
