//! Watermarks between hosts: what each host has of each stream, told late, so that it costs nothing, and at once where
//! somebody waits.
//!
//! A stream's origin hears of it within [`TELL_WITHIN`], every other host within [`TELL_ALL_WITHIN`], and a new link
//! hears of all. What a host has told last counts, also when it is lower than before; a handshake begins anew.

use crate::broadcast::OWN;
use crate::event::{ConnId, Outputs, Severity, Slice, Source, Span};
use crate::limits::{TELL_ALL_WITHIN, TELL_MESSAGES, TELL_WITHIN};
use crate::link::Told;
use crate::node::Node;
use crate::peer::{Peer, Phase};
use crate::relay::Way;
use crate::report::Refusal;
use crate::ring::HostIndex;
use crate::stream::{Numbers, Stream};
use crate::time::Time;
use crate::wire::{BadStream, StreamName, parse_range, put_number};
use alloc::vec::Vec;

/// The revision of the protocol from which on a host tells what it has passed over.
const PAST_SINCE: u64 = 2;

impl Peer {
    /// Whether it says, and is told, what was passed over.
    pub(crate) fn tells_past(&self) -> bool {
        self.revision >= PAST_SINCE
    }
}

impl Node {
    /// What other hosts are told of a stream: of our own nothing that may not leave yet.
    pub(crate) fn watermark(&self, stream: u32) -> Told {
        let (journaled, synced) = self.streams.get(stream).safe();
        let synced = if planted!(WatermarkTooHigh) { journaled } else { synced };
        let upto = self.sendable(stream);
        let passed = self.streams.get(stream).passed;
        Told { journaled: journaled.min(upto), synced: synced.min(upto), passed }
    }

    /// A watermark has risen: its origin is to be told soon, all others later.
    pub(crate) fn watermark_rose(&mut self, now: Time, stream: u32) {
        self.tell_all_at.get_or_insert(now + TELL_ALL_WITHIN);
        let index = stream;
        let origin = self.streams.get(stream).name.origin;
        if origin == self.me || self.ring.is_retired(origin) {
            return;
        }
        let told = self.links[origin.index()].told_to(stream);
        let stream = self.streams.get_mut(index);
        if !core::mem::replace(&mut stream.due, true) {
            self.due.push(index);
            self.tell_at.get_or_insert(now + TELL_WITHIN);
        }
        let is_waited_for = stream.urgent > told.synced && stream.synced > told.synced;
        if is_waited_for || stream.journaled.saturating_sub(told.journaled) >= TELL_MESSAGES {
            self.tell_at = Some(now);
        }
    }

    /// Our own stream goes on: hosts that get it from a relay are to know, so that they ask if nothing comes.
    pub(crate) fn tell_head(&mut self, now: Time) {
        self.tell_all_at.get_or_insert(now + TELL_ALL_WITHIN);
        if !core::mem::replace(&mut self.streams.get_mut(OWN).due, true) {
            self.due.push(OWN);
            self.tell_at.get_or_insert(now + TELL_WITHIN);
        }
    }

    /// Tells what is due.
    pub(crate) fn tell_watermarks(&mut self, now: Time, out: &mut Outputs) {
        if self.tell_at.is_some_and(|at| at <= now) {
            self.tell_at = None;
            let mut due = core::mem::take(&mut self.due);
            for stream in due.drain(..) {
                self.streams.get_mut(stream).due = false;
                self.tell_stream(stream, out);
            }
            self.due = due;
        }
        if self.tell_all_at.is_some_and(|at| at <= now) {
            self.tell_all_at = None;
            for host in self.others() {
                self.tell_changes(host, out);
            }
        }
    }

    fn tell_stream(&mut self, stream: u32, out: &mut Outputs) {
        if stream != OWN {
            return self.tell(self.streams.get(stream).name.origin, stream, out);
        }
        for host in self.others() {
            if matches!(self.ways[host.index()], Way::ByRelay { .. }) {
                self.tell(host, OWN, out);
            }
        }
    }

    /// Tells a host what it has not been told yet.
    fn tell_changes(&mut self, host: HostIndex, out: &mut Outputs) {
        for stream in (0..self.streams.len()).filter(|s| *s != OWN).chain([OWN]) {
            self.tell(host, stream, out);
        }
    }

    /// Tells a linked host a watermark, if it has changed.
    fn tell(&mut self, host: HostIndex, stream: u32, out: &mut Outputs) {
        let (at, name) = (self.watermark(stream), self.streams.get(stream).name);
        let link = &mut self.links[host.index()];
        let Some(up) = link.up.filter(|_| name.is_for(host)) else { return };
        let before = link.told_to(stream);
        if before != at {
            link.set_told_to(stream, at);
            if before.passed != at.passed && up.revision >= PAST_SINCE {
                put_past(up.conn, self.streams.get(stream), out);
            }
            put_watermark(up.conn, self.streams.get(stream), at, out);
        }
    }

    /// Tells all watermarks to a new link, this host's own stream last.
    pub(crate) fn tell_all_to(&mut self, conn: ConnId, host: HostIndex, out: &mut Outputs) {
        let tells_past = self.peers.get_mut(conn).is_some_and(|peer| peer.tells_past());
        for stream in (1..self.streams.len()).chain([OWN]) {
            let at = self.watermark(stream);
            let state = self.streams.get(stream);
            let is_over = self.is_finished(stream) && state.passed.is_none();
            if stream != OWN && (is_over || !state.name.is_for(host) || at == Told::default()) {
                continue;
            }
            self.links[host.index()].set_told_to(stream, at);
            if tells_past {
                put_past(conn, state, out);
            }
            put_watermark(conn, state, at, out);
        }
    }

    /// `OK <stream> <journaled> <synced>`: what another host has of a stream.
    pub(crate) fn peer_watermark(
        &mut self,
        now: Time,
        conn: ConnId,
        rest: &[u8],
        line: &[u8],
        out: &mut Outputs,
    ) {
        let is_right = |journaled, synced| synced <= journaled;
        let told = self.told_of(conn, rest, line, is_right, out);
        let Some((host, name, [journaled, synced])) = told else { return };
        let Some(peer) = self.peers.get_mut(conn) else { return };
        let (phase, incarnation) = (peer.phase, peer.incarnation);
        self.hear_watermark(now, host, name, [journaled, synced], out);
        let its_own = StreamName { origin: host, addressee: None, incarnation };
        if phase == Phase::Telling && name == its_own {
            self.link_up(now, conn, host, out);
        }
    }

    /// What a host tells of a stream with two numbers; `None` where it does not count or, if they are not right, is
    /// refused.
    fn told_of(
        &mut self,
        conn: ConnId,
        rest: &[u8],
        line: &[u8],
        is_right: impl Fn(u64, u64) -> bool,
        out: &mut Outputs,
    ) -> Option<(HostIndex, StreamName, [u64; 2])> {
        let host = self.peers.get_mut(conn)?.host?;
        if self.is_superseded(conn, host) {
            return None;
        }
        let range = parse_range(rest).filter(|(_, a, b)| is_right(*a, *b)).ok_or(BadStream::Malformed);
        match range.and_then(|(name, a, b)| Ok((StreamName::parse(name, &self.ring)?, [a, b]))) {
            Ok((name, numbers)) => return Some((host, name, numbers)),
            Err(BadStream::UnknownHost) => {} // its ring has a host that ours has not
            Err(BadStream::Malformed) => self.refuse_peer_line(conn, Refusal::Malformed, line, out),
        }
        None
    }

    /// Whether a host speaks on a newer connection: what it has told on one that is being left was true before.
    fn is_superseded(&mut self, conn: ConnId, host: HostIndex) -> bool {
        let speaks = |peer: &Peer| matches!(peer.phase, Phase::Telling | Phase::Up);
        let is_left = self.peers.get_mut(conn).is_some_and(|peer| !speaks(peer));
        is_left && self.peers.iter().any(|(_, peer)| peer.host == Some(host) && speaks(peer))
    }

    /// `PAST <stream> <from> <to>`: what another host has passed over is among these. It says so before a watermark
    /// that covers them.
    pub(crate) fn peer_past(&mut self, conn: ConnId, rest: &[u8], line: &[u8], out: &mut Outputs) {
        let told = self.told_of(conn, rest, line, |from, to| from <= to, out);
        let Some((host, name, [from, to])) = told else { return };
        if name.is_for(self.me)
            && let Some(stream) = self.streams.open(name, &self.ring)
        {
            let link = &mut self.links[host.index()];
            let passed = Some(Numbers { from, to });
            link.set_told(stream, Told { passed, ..link.told(stream) });
        }
    }

    fn hear_watermark(
        &mut self,
        now: Time,
        host: HostIndex,
        name: StreamName,
        [journaled, synced]: [u64; 2],
        out: &mut Outputs,
    ) {
        let is_ours = name.is_for(self.me);
        if !is_ours || (self.streams.find(name).is_none() && journaled == 0) {
            return;
        }
        let Some(stream) = self.streams.open(name, &self.ring) else { return };
        // Nobody has more than there is.
        let last = if stream == OWN { self.own.sendable } else { u64::MAX };
        let link = &mut self.links[host.index()];
        let passed = link.told(stream).passed;
        let told = Told { journaled: journaled.min(last), synced: synced.min(last), passed };
        link.set_told(stream, told);
        if stream == OWN {
            self.end_sample(now);
        }
        self.upkeep_soon(now);
        self.release |= !self.waiting.is_empty();
        let state = self.streams.get(stream);
        if told.journaled >= state.lacking() {
            self.repair_soon(now);
        } else if self.is_finished(stream) && told.synced < state.synced {
            // It does not know yet that nobody needs this any more.
            self.links[host.index()].set_told_to(stream, Told::default());
            self.tell(host, stream, out);
        }
    }

    /// A host that tells less of our stream than it had on its disk before has lost some of that.
    pub(crate) fn report_if_restored(&mut self, host: HostIndex, before: Told, out: &mut Outputs) {
        let (had, has) = (before.synced, self.links[host.index()].told(OWN).synced);
        if has < had {
            out.report(
                Severity::Error,
                Source::Host(host),
                format_args!(
                    "RESTORED it had {had} of our messages on its disk, now {has}: its journal was lost or is an old \
                     copy; what it lacks is sent again"
                ),
            );
        }
    }
}

fn put_watermark(conn: ConnId, stream: &Stream, at: Told, out: &mut Outputs) {
    let start = out.small.len() as u32;
    put_told("OK ", stream, [at.journaled, at.synced], &mut out.small);
    send_behind(conn, start, out);
}

fn put_past(conn: ConnId, stream: &Stream, out: &mut Outputs) {
    let Some(Numbers { from, to }) = stream.passed.filter(|_| !planted!(PassedOverUntold)) else { return };
    let start = out.small.len() as u32;
    put_told("PAST ", stream, [from, to], &mut out.small);
    send_behind(conn, start, out);
}

/// Sends what was made from there on, in one piece with what goes before it.
fn send_behind(conn: ConnId, start: u32, out: &mut Outputs) {
    let end = out.small.len() as u32;
    match out.send.last_mut() {
        Some((last, Slice::Small(span))) if *last == conn && span.end == start => span.end = end,
        _ => out.send.push((conn, Slice::Small(Span { start, end }))),
    }
}

/// A verb, a stream's name, and two numbers.
pub(crate) fn put_told(verb: &str, stream: &Stream, numbers: [u64; 2], out: &mut Vec<u8>) {
    out.extend_from_slice(verb.as_bytes());
    out.extend_from_slice(&stream.head[..stream.head.len() - 1]);
    for number in numbers {
        out.push(b' ');
        put_number(out, number);
    }
    out.extend_from_slice(b"\r\n");
}
