//! Watermarks between hosts: told late, so that they cost nothing, and at once where somebody waits.

use crate::broadcast::OWN;
use crate::event::{ConnId, Outputs, Slice, Span};
use crate::limits::{TELL_MESSAGES, TELL_WITHIN};
use crate::link::Told;
use crate::node::Node;
use crate::peer::Phase;
use crate::report::Refusal;
use crate::ring::HostIndex;
use crate::stream::{Numbers, Stream};
use crate::time::Time;
use crate::wire::{StreamName, parse_range, put_number};
use alloc::vec::Vec;

impl Node {
    /// A watermark has risen: its origin is to be told.
    pub(crate) fn watermark_rose(&mut self, now: Time, stream: u32) {
        let index = stream;
        let stream = self.streams.get_mut(index);
        if stream.name.origin == self.me {
            return;
        }
        if !core::mem::replace(&mut stream.due, true) {
            self.due.push(index);
            self.tell_at.get_or_insert(now + TELL_WITHIN);
        }
        let is_waited_for = stream.urgent > stream.told.1 && stream.synced > stream.told.1;
        if is_waited_for || stream.journaled - stream.told.0 >= TELL_MESSAGES {
            self.tell_at = Some(now);
        }
    }

    /// Tells the watermarks that are due to the origins of their streams.
    pub(crate) fn tell_watermarks(&mut self, now: Time, out: &mut Outputs) {
        if self.tell_at.is_none_or(|at| at > now) {
            return;
        }
        self.tell_at = None;
        let mut due = core::mem::take(&mut self.due);
        for index in due.drain(..) {
            let stream = self.streams.get_mut(index);
            stream.due = false;
            let now_at = (stream.journaled, stream.synced);
            let Some(up) = self.links[stream.name.origin.index()].up else { continue };
            if core::mem::replace(&mut stream.told, now_at) != now_at {
                let start = out.small.len() as u32;
                put_watermark(stream, &mut out.small);
                out.send.push((up.conn, Slice::Small(Span { start, end: out.small.len() as u32 })));
            }
        }
        self.due = due;
    }

    /// Tells all watermarks to a new link, what is missing below them, and this host's own stream last.
    pub(crate) fn tell_all_to(&mut self, conn: ConnId, host: HostIndex, out: &mut Outputs) {
        let start = out.small.len() as u32;
        for stream in self.streams.iter_mut().filter(|s| s.name.origin == host) {
            stream.told = (stream.journaled, stream.synced);
        }
        let own = self.streams.get(OWN);
        for stream in self.streams.iter().skip(1).chain([own]) {
            put_gone(stream, &mut out.small);
            put_watermark(stream, &mut out.small);
        }
        out.send.push((conn, Slice::Small(Span { start, end: out.small.len() as u32 })));
    }

    /// A link is up: what has risen since its watermarks were told is told again.
    pub(crate) fn tell_what_rose(&mut self, now: Time, host: HostIndex) {
        let rose = |s: &Stream| s.name.origin == host && s.told != (s.journaled, s.synced);
        let rose: Vec<u32> =
            (0..).zip(self.streams.iter()).filter(|(_, s)| rose(s)).map(|(at, _)| at).collect();
        rose.into_iter().for_each(|stream| self.watermark_rose(now, stream));
    }

    /// Tells the origin of a stream at once what of it is missing here.
    pub(crate) fn tell_gone(&mut self, stream: u32, out: &mut Outputs) {
        let stream = self.streams.get(stream);
        let Some(up) = self.links[stream.name.origin.index()].up else { return };
        let start = out.small.len() as u32;
        put_gone(stream, &mut out.small);
        out.send.push((up.conn, Slice::Small(Span { start, end: out.small.len() as u32 })));
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
        let Some(peer) = self.peers.get_mut(conn) else { return };
        let (Some(host), phase, incarnation) = (peer.host, peer.phase, peer.incarnation) else { return };
        let Some((name, journaled, synced)) = self.parse_told(rest).filter(|(_, j, s)| s <= j) else {
            return self.refuse_peer_line(conn, Refusal::Malformed, line, out);
        };
        let own = self.streams.get(OWN);
        if name == own.name {
            // Nobody has more than there is.
            let (journaled, synced) = (journaled.min(own.journaled), synced.min(own.journaled));
            self.links[host.index()].told = Some(Told { journaled, synced });
            self.release |= !self.waiting.is_empty();
        }
        let its_own = StreamName { origin: host, addressee: None, incarnation };
        if phase == Phase::Telling && name == its_own {
            self.link_up(now, conn, host, out);
        }
    }

    /// `GONE <stream> <from> <to>`: what another host lacks of a stream although its watermark is beyond it.
    pub(crate) fn peer_gone(&mut self, conn: ConnId, rest: &[u8], line: &[u8], out: &mut Outputs) {
        let host = self.peers.get_mut(conn).and_then(|p| p.host);
        let told = self.parse_told(rest).filter(|(_, from, to)| from <= to);
        let (Some(host), Some((name, from, to))) = (host, told) else {
            return self.refuse_peer_line(conn, Refusal::Malformed, line, out);
        };
        if name == self.streams.get(OWN).name {
            let link = &mut self.links[host.index()];
            link.gone = Some(Numbers { from, to }.with(link.gone));
        }
    }

    fn parse_told(&self, rest: &[u8]) -> Option<(StreamName, u64, u64)> {
        let (name, one, two) = parse_range(rest)?;
        Some((StreamName::parse(name, &self.ring).ok()?, one, two))
    }
}

/// `OK <stream> <journaled> <synced>`
fn put_watermark(stream: &Stream, out: &mut Vec<u8>) {
    put_told("OK ", stream, [stream.journaled, stream.synced], out);
}

/// `GONE <stream> <from> <to>`, if there is anything.
fn put_gone(stream: &Stream, out: &mut Vec<u8>) {
    if let Some(Numbers { from, to }) = stream.gone {
        put_told("GONE ", stream, [from, to], out);
    }
}

fn put_told(verb: &str, stream: &Stream, numbers: [u64; 2], out: &mut Vec<u8>) {
    out.extend_from_slice(verb.as_bytes());
    out.extend_from_slice(&stream.head[..stream.head.len() - 1]);
    for number in numbers {
        out.push(b' ');
        put_number(out, number);
    }
    out.extend_from_slice(b"\r\n");
}
