//! Watermarks between hosts: told late, so that they cost nothing, and at once where somebody waits.

use crate::broadcast::OWN;
use crate::event::{ConnId, Outputs, Slice, Span};
use crate::limits::{TELL_MESSAGES, TELL_WITHIN};
use crate::link::{Told, put_watermark};
use crate::node::Node;
use crate::peer::Phase;
use crate::report::Refusal;
use crate::time::Time;
use crate::wire::{StreamName, parse_watermark};

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
        let told = parse_watermark(rest).and_then(|(name, journaled, synced)| {
            Some((StreamName::parse(name, &self.ring).ok()?, journaled, synced))
        });
        let Some((name, journaled, synced)) = told else {
            return self.refuse_peer_line(conn, Refusal::Malformed, line, out);
        };
        if name == self.streams.get(OWN).name {
            self.links[host.index()].told = Some(Told { journaled, synced });
            self.release |= !self.waiting.is_empty();
        }
        let its_own = StreamName { origin: host, addressee: None, incarnation };
        if phase == Phase::Telling && name == its_own {
            self.link_up(now, conn, host, out);
        }
    }
}
