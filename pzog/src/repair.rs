//! Repair: who lacks messages asks for them.
//!
//! A host knows that it lacks some when another one has told a higher watermark, or when a message beyond the next
//! one comes. It asks one host at a time, the origin first, with `WANT`, which makes that one its *server* of the
//! stream: from there on and then live. What every other host says to be `GONE`, or has not, is passed over and
//! reported.

use crate::broadcast::OWN;
use crate::event::{ConnId, Outputs, Severity, Slice, Source, Span};
use crate::journal::record::{put_given_up, put_passed};
use crate::limits::{TELL_ALL_WITHIN, WANT_AFTER, WANT_AGAIN};
use crate::node::Node;
use crate::relay::Way;
use crate::report::Refusal;
use crate::ring::HostIndex;
use crate::stream::Numbers;
use crate::time::Time;
use crate::wire::{StreamName, parse_range};
use alloc::string::String;
use alloc::vec::Vec;

/// How this host gets what it lacks of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Want {
    /// Who was asked last, while its link is up.
    server: Option<HostIndex>,
    asked: Time,
    /// Who was asked since something came, one bit each.
    tried: u64,
    /// Up to where hosts have said that they cannot give what is lacking.
    gone: Vec<(HostIndex, u64)>,
    /// A message beyond the next one came.
    gap: bool,
    /// Messages came and there was no room for them.
    pub(crate) let_go: bool,
    /// Since when something is known to be lacking.
    pub(crate) behind_since: Option<Time>,
    /// Its first message waits until that stream is here so far.
    pub(crate) waits_for: Option<(u32, u64)>,
}

impl Want {
    fn gone_by(&self, host: HostIndex) -> u64 {
        self.gone.iter().find(|(h, _)| *h == host).map_or(0, |(_, to)| *to)
    }

    fn forget(&mut self) {
        (self.tried, self.gap, self.let_go, self.behind_since) = (0, false, false, None);
        self.gone.clear();
    }
}

impl Node {
    /// Something may be lacking: see to it at the end of this turn.
    pub(crate) fn repair_soon(&mut self, now: Time) {
        self.repair_at = Some(now);
    }

    /// A message beyond the next one of a stream came.
    pub(crate) fn came_ahead(&mut self, now: Time, stream: u32) {
        let want = &mut self.streams.get_mut(stream).want;
        if !core::mem::replace(&mut want.gap, true) {
            self.repair_soon(now);
        }
    }

    /// Asks for what is lacking, where it is time to.
    pub(crate) fn tend_repair(&mut self, now: Time, out: &mut Outputs) {
        if self.repair_at.is_none_or(|at| at > now) || planted!(NoRepair) {
            return;
        }
        self.repair_at = None;
        if self.has_let_go && self.journal.spare().is_none() {
            return; // what is asked for would come in vain; when there is room, this is looked at again
        }
        for stream in (0..self.streams.len()).filter(|s| *s != OWN) {
            let is_own_past = self.streams.get(stream).name.origin == self.me;
            if planted!(OwnPastSkipped) && is_own_past {
                continue;
            }
            self.tend_stream(now, stream, out);
        }
    }

    fn tend_stream(&mut self, now: Time, stream: u32, out: &mut Outputs) {
        if self.known_upto(stream) < self.streams.get(stream).lacking() {
            return self.streams.get_mut(stream).want.forget();
        }
        if self.is_waiting(stream) {
            return;
        }
        let state = self.streams.get_mut(stream);
        let since = *state.want.behind_since.get_or_insert(now);
        let quiet_since = since.max(state.used);
        let due = match state.want.server {
            _ if state.want.let_go => now,
            Some(_) => quiet_since.max(state.want.asked) + WANT_AGAIN,
            None if state.want.gap => now,
            None => quiet_since + WANT_AFTER,
        };
        if due > now {
            let at = self.repair_at.map_or(due, |at| at.min(due));
            self.repair_at = Some(at);
            return;
        }
        self.ask_next(now, stream, out);
    }

    /// How much of a stream there is, as far as is known here.
    pub(crate) fn known_upto(&self, stream: u32) -> u64 {
        let state = self.streams.get(stream);
        let told = self.links.iter().map(|l| l.told(stream).journaled).max().unwrap_or(0);
        let hole = state.holes.last().map_or(0, |hole| hole.to);
        told.max(state.needed).max(hole)
    }

    /// Whether a stream has to wait for another one; if not any more, it is asked for at once.
    fn is_waiting(&mut self, stream: u32) -> bool {
        let Some((former, needed)) = self.streams.get(stream).want.waits_for else { return false };
        if self.streams.get(former).lacking() <= needed {
            return true;
        }
        let want = &mut self.streams.get_mut(stream).want;
        (want.waits_for, want.server, want.gap) = (None, None, true);
        false
    }

    /// The first message of a stream cannot be taken before another stream is here so far.
    pub(crate) fn wait_for(&mut self, now: Time, stream: u32, former: u32, needed: u64, out: &mut Outputs) {
        self.streams.get_mut(former).needed = self.streams.get(former).needed.max(needed);
        self.streams.get_mut(stream).want.waits_for = Some((former, needed));
        self.leave_server(stream, out);
        self.repair_soon(now);
    }

    fn ask_next(&mut self, now: Time, stream: u32, out: &mut Outputs) {
        let want = &mut self.streams.get_mut(stream).want;
        if core::mem::take(&mut want.let_go) {
            want.tried = 0; // whoever was asked has done what it could
        }
        let server = match self.best_server(stream) {
            Some(server) => server,
            None if self.pass_over(now, stream, out) => return,
            None => {
                // All were asked: begin again, not at once.
                let want = &mut self.streams.get_mut(stream).want;
                (want.tried, want.gap, want.asked) = (0, false, now);
                let again = now + WANT_AGAIN;
                self.repair_at = Some(self.repair_at.map_or(again, |at| at.min(again)));
                return;
            }
        };
        self.leave_server(stream, out);
        let state = self.streams.get_mut(stream);
        let from = state.lacking();
        (state.want.server, state.want.asked, state.want.gap) = (Some(server), now, false);
        state.want.tried |= 1 << server.0;
        state.asked |= 1 << server.0;
        let again = now + WANT_AGAIN;
        self.repair_at = Some(self.repair_at.map_or(again, |at| at.min(again)));
        if let Some(up) = self.links[server.index()].up {
            let head = &self.streams.get(stream).head;
            let name = core::str::from_utf8(&head[..head.len() - 1]).unwrap_or_default();
            let span = out.put_small(format_args!("WANT {name} {from}\r\n"));
            out.send.push((up.conn, Slice::Small(span)));
        }
    }

    /// The host to ask next: the origin, else the one with most on its disk.
    fn best_server(&self, stream: u32) -> Option<HostIndex> {
        let state = self.streams.get(stream);
        let lacking = state.lacking();
        let can = |host: &HostIndex| {
            let link = &self.links[host.index()];
            let asked = state.want.tried >> host.0 & 1 == 1;
            let has = link.up.is_some() && link.told(stream).journaled >= lacking;
            has && !asked && state.want.gone_by(*host) < lacking
        };
        let rank = |host: &HostIndex| {
            let told = self.links[host.index()].told(stream);
            (*host == state.name.origin, told.synced, told.journaled, u8::MAX - host.0)
        };
        self.others().filter(can).max_by_key(rank)
    }

    /// Tells who serves a stream now that it need not go on.
    fn leave_server(&mut self, stream: u32, out: &mut Outputs) {
        let Some(server) = self.streams.get_mut(stream).want.server.take() else { return };
        if let Some(up) = self.links[server.index()].up {
            let head = &self.streams.get(stream).head;
            let name = core::str::from_utf8(&head[..head.len() - 1]).unwrap_or_default();
            let span = out.put_small(format_args!("ENOUGH {name}\r\n"));
            out.send.push((up.conn, Slice::Small(span)));
        }
    }

    /// A message came from whoever sends the stream by the plan, near its head: what this one sends comes in any
    /// case, so another host that was asked while nothing came need not go on.
    pub(crate) fn came_by_plan(&mut self, host: HostIndex, stream: u32, seq: u64, out: &mut Outputs) {
        let state = self.streams.get(stream);
        let origin = state.name.origin;
        let is_other = state.want.server.is_some_and(|server| server != host && server != origin);
        let is_near = seq + self.settings.window_messages > state.journaled;
        if is_other && is_near && (host == origin || self.relay_of(origin) == Some(host)) {
            self.leave_server(stream, out);
        }
    }

    /// Who passes an origin's messages on to this host while all is well, if anybody.
    pub(crate) fn relay_of(&self, origin: HostIndex) -> Option<HostIndex> {
        if self.ring.is_retired(origin) {
            return None;
        }
        let hosts = self.ring.len();
        // All hosts have their ways alike: as this one's go to the host that is as far from it as it is from the origin.
        let offset = (self.me.index() + hosts - origin.index()) % hosts;
        match self.ways[self.ring.peer(self.me, offset).index()] {
            Way::ByRelay { relay } => Some(self.ring.peer(origin, relay)),
            Way::Direct { .. } => None,
        }
    }

    /// `GONE <stream> <from> <to>`: a host cannot give what was asked for.
    pub(crate) fn peer_gone(&mut self, now: Time, conn: ConnId, rest: &[u8], line: &[u8], out: &mut Outputs) {
        let host = self.peers.get_mut(conn).and_then(|p| p.host);
        let told = parse_range(rest).filter(|(_, from, to)| from <= to);
        let (Some(host), Some((name, from, to))) = (host, told) else {
            return self.refuse_peer_line(conn, Refusal::Malformed, line, out);
        };
        let name = StreamName::parse(name, &self.ring).ok();
        let Some(stream) = name.and_then(|name| self.streams.find(name)).filter(|s| *s != OWN) else {
            return;
        };
        let state = self.streams.get_mut(stream);
        if !(from..=to).contains(&state.lacking()) {
            return;
        }
        state.want.gone.retain(|(h, _)| *h != host);
        state.want.gone.push((host, to));
        (state.want.server, state.want.gap) = (None, true);
        self.tend_stream(now, stream, out);
    }

    /// Passes over what nobody has, if that is certain. What follows is asked for at once.
    fn pass_over(&mut self, now: Time, stream: u32, out: &mut Outputs) -> bool {
        let Some(upto) = self.gone_everywhere(stream) else { return false };
        let start = out.small.len() as u32;
        let mut after = self.streams.get(stream).clone();
        after.pass_over(upto);
        put_given_up(&after, upto, &mut out.small);
        put_passed(&after, &mut out.small);
        if !self.has_room || !self.add_note(Span { start, end: out.small.len() as u32 }) {
            return false;
        }
        let from = self.streams.get(stream).lacking();
        let before_our_time = self.is_fresh && self.streams.get(stream).journaled == 0;
        let state = self.streams.get_mut(stream);
        let given_up = after.given_up - state.given_up;
        *state = after;
        let (server, gap) = (None, true);
        (state.want.server, state.want.gap, state.want.tried) = (server, gap, 0);
        self.counters.given_up += given_up;
        self.report_given_up(stream, Numbers { from, to: upto }, before_our_time, out);
        self.watermark_rose(now, stream);
        self.repair_soon(now);
        true
    }

    fn report_given_up(&mut self, stream: u32, numbers: Numbers, before_our_time: bool, out: &mut Outputs) {
        let Numbers { from, to } = numbers;
        let state = self.streams.get(stream);
        let (head, origin) = (String::from_utf8_lossy(&state.head).into_owned(), state.name.origin);
        let (severity, text) =
            if before_our_time { (Severity::Info, "BEFORE OUR TIME") } else { (Severity::Error, "GIVEN UP") };
        let why = "no host of the ring can give what is missing there";
        out.report(severity, Source::Host(origin), format_args!("{text} {head}{from} to {to}: {why}"));
    }

    /// Up to where what is lacking of a stream is nowhere, if every host that could have it has said so.
    fn gone_everywhere(&self, stream: u32) -> Option<u64> {
        let state = self.streams.get(stream);
        let lacking = state.lacking();
        let has = |host: HostIndex| self.links[host.index()].told(stream).journaled >= lacking;
        let says_gone = |host: HostIndex| state.want.gone_by(host) >= lacking;
        // What was told before is not enough: the host may have got it since, or be long gone.
        let known_since = state.want.behind_since?.max(state.used) + 2 * TELL_ALL_WITHIN;
        let has_answered = |host: HostIndex| {
            let up = self.links[host.index()].up;
            up.is_some_and(|up| {
                says_gone(host) || (!has(host) && (up.heard >= known_since || planted!(PassedOverUnheard)))
            })
        };
        // Who has just begun asks only the origin for what was before it.
        let is_past = self.is_fresh && state.journaled == 0;
        let origin = state.name.origin;
        let suffices = is_past && origin != self.me && !self.ring.is_retired(origin) && has_answered(origin);
        let all = || self.others().filter(|h| state.name.is_for(*h)).all(has_answered);
        if !suffices && !all() {
            return None;
        }
        let gone =
            self.others().filter(|h| has(*h)).map(|h| state.want.gone_by(h)).filter(|to| *to >= lacking);
        let hole = state.holes.first().map(|hole| hole.to);
        gone.min().or(hole).or((state.needed >= lacking).then_some(state.needed))
    }

    /// A link is up: its host serves its own stream from now on, unasked.
    pub(crate) fn servers_link_up(&mut self, now: Time, host: HostIndex, out: &mut Outputs) {
        for stream in (0..self.streams.len()).filter(|s| *s != OWN) {
            let state = self.streams.get_mut(stream);
            // Not when the link ends: who takes leave sends on what it was asked for, until the connection ends, too.
            state.asked &= !(1 << host.0);
            let is_other = state.want.server.is_some_and(|server| server != host);
            if state.name.origin == host && is_other {
                self.leave_server(stream, out);
            }
        }
        self.repair_soon(now);
    }

    /// A link is down: who was served by its host asks another one.
    pub(crate) fn servers_link_down(&mut self, now: Time, host: HostIndex) {
        for state in self.streams.iter_mut() {
            state.want.gone.retain(|(h, _)| *h != host);
            if state.want.server == Some(host) {
                (state.want.server, state.want.gap) = (None, true);
            }
        }
        self.repair_soon(now);
    }
}
