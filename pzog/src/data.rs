//! Messages from peers: each is journaled, passed on as its wrapping says, and logged.
//!
//! Mostly many come at a time, of one stream and in order. Each is checked and logged by itself; what follows from
//! them (the journal's record, who gets them, watermarks) is done once for the whole [`Run`].

use crate::broadcast::{OWN, put_version_1};
use crate::event::{ConnId, Outputs, Severity, Slice, Source, Span};
use crate::journal::record::REPEAT;
use crate::node::Node;
use crate::peer::Peer;
use crate::relay::next_hop;
use crate::report::Refusal;
use crate::ring::HostIndex;
use crate::session::{At, Noted, Token, content};
use crate::stream::{Arrival, Numbers};
use crate::text;
use crate::time::{Now, STAMP_LEN, Stamp, Time};
use crate::wire::{BadStream, Data, StreamName, named};

/// Consecutive messages of one stream that are alike and stand side by side in the input.
struct Run {
    stream: u32,
    wrapping: u8,
    is_logged: bool,
    numbers: Numbers,
    /// The lines with their ends.
    lines: Span,
}

impl Run {
    /// Adds a message, if it is of the run. A repeat stays by itself: it is written to the journal in another form.
    fn extend(&mut self, next: &Run) -> bool {
        let is_alike = self.stream == next.stream && self.wrapping == next.wrapping;
        let is_logged = self.is_logged && next.is_logged;
        let follows = self.numbers.to + 1 == next.numbers.from && self.lines.end == next.lines.start;
        let extends = is_alike && is_logged && follows;
        if extends {
            (self.numbers.to, self.lines.end) = (next.numbers.to, next.lines.end);
        }
        extends
    }
}

/// What stands in a data line, with the stream found.
struct Found<'a> {
    stream: u32,
    data: Data<'a>,
    text: &'a [u8],
}

impl Node {
    /// Messages from a peer arrive: lines `<w><stream>.<seq>… <time> <text>`, at `at` of `bytes`. Moves `at` behind
    /// those that are finished.
    pub(crate) fn peer_data(
        &mut self,
        now: Now,
        conn: ConnId,
        bytes: &mut [u8],
        at: &mut usize,
        out: &mut Outputs,
    ) {
        let Some(mut peer) = self.peers.take(conn) else { return };
        let mut run = None;
        while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
            let Some((line, refusal)) = peer.lines.next(bytes, at) else { break };
            let taken = match refusal {
                None => self.take_data(now.mono, &mut peer, &mut run, bytes, line, out),
                Some(refusal) => Err(refusal),
            };
            if let Err(refusal) = taken
                && !is_of_another_ring(&peer, refusal)
            {
                self.refuse_peer_line(conn, refusal, &bytes[line.range()], out);
            }
            self.take_following(&mut peer, run.as_mut(), bytes, at, out);
        }
        self.end_run(now.mono, run.as_ref(), bytes, out);
        if let Some(up) = peer.host.and_then(|host| self.links[host.index()].up.as_mut()) {
            up.used = now.mono;
        }
        self.peers.put(conn, peer);
    }

    /// Takes all lines that are like the last one of a run but for their numbers and texts.
    fn take_following(
        &mut self,
        peer: &mut Peer,
        run: Option<&mut Run>,
        bytes: &mut [u8],
        at: &mut usize,
        out: &mut Outputs,
    ) {
        let is_next = |run: &&mut Run| run.is_logged && run.lines.end as usize == *at;
        let Some(run) = run.filter(is_next) else { return };
        let state = self.streams.get_mut(run.stream);
        if !self.has_room || !state.holes.is_empty() || state.journaled != run.numbers.to {
            return;
        }
        let before = run.numbers;
        while let Some(line) = peer.following.recognise(run.wrapping, &bytes[*at..]) {
            out.log.extend_from_slice(&bytes[*at + line.logged..*at + line.bytes - 1]);
            if let Some(carriage_return) = out.log.last_mut() {
                *carriage_return = b'\n';
            }
            bytes[*at] = b'0';
            *at += line.bytes;
            run.numbers.to += 1;
        }
        run.lines.end = *at as u32;
        state.take_all(run.numbers.to);
        self.counters.logged += run.numbers.count() - before.count();
    }

    fn take_data(
        &mut self,
        now: Time,
        peer: &mut Peer,
        run: &mut Option<Run>,
        bytes: &mut [u8],
        line: Span,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let said = bytes[line.start as usize] - b'0';
        let Found { stream, data, text } = self.find_data(peer, &bytes[line.range()])?;
        let is_addressed = self.streams.get(stream).name.addressee.is_some();
        if said > 2 || (said > 0 && is_addressed) {
            return Err(Refusal::Malformed);
        }
        // Whose charge is who is not the same to both: whoever lacks it asks for it.
        let wrapping = if peer.agrees { said } else { 0 };
        if stream == OWN {
            return Ok(());
        }
        if !self.has_room {
            self.has_let_go = true;
            self.streams.get_mut(stream).want.let_go = true;
            return Ok(()); // what does not fit now is asked for again when it does
        }
        if let Some(host) = peer.host {
            self.came_by_plan(host, stream, data.seq, out);
        }
        match self.streams.get(stream).arrival(data.seq) {
            Arrival::Next if !self.may_begin(now, stream, &data, out)? => return Ok(()),
            Arrival::Next => {}
            Arrival::Ahead => {
                self.came_ahead(now, stream);
                return Ok(());
            }
            Arrival::Repeat => {
                self.counters.repeats += 1;
                if let Some(host) = peer.host {
                    self.links[host.index()].repeats += 1;
                }
                return Ok(());
            }
        }
        let is_logged = !self.is_repeat(peer, stream, &data, text, out);
        let seq = data.seq;
        if is_logged {
            self.log(&[data.logged], out);
        }
        let is_plain = data.named.is_empty() && !data.urgent && data.numbered.is_none();
        let state = self.streams.get_mut(stream);
        match is_plain {
            true => peer.following.expect(&state.head, seq, &peer.last_stamp),
            false => peer.following.forget(),
        }
        if data.urgent {
            state.urgent = seq;
            self.sync.urgent = true;
        }
        (state.used, state.source) = (now, peer.host);
        state.take(seq, is_logged);
        bytes[line.start as usize] = b'0';
        let lines = Span { end: line.end + 2, ..line };
        let next = Run { stream, wrapping, is_logged, numbers: Numbers { from: seq, to: seq }, lines };
        if !run.as_mut().is_some_and(|run| run.extend(&next)) {
            self.end_run(now, run.replace(next).as_ref(), bytes, out);
        }
        Ok(())
    }

    /// What follows from messages that were taken.
    fn end_run(&mut self, now: Time, run: Option<&Run>, bytes: &[u8], out: &mut Outputs) {
        let Some(&Run { stream, wrapping, is_logged, numbers, lines }) = run else { return };
        self.journal_lines(bytes, lines, is_logged, out);
        if wrapping > 0 {
            let origin = self.streams.get(stream).name.origin;
            let charge = next_hop(&self.ring, self.me, origin, wrapping);
            self.relay(charge, stream, numbers, &bytes[lines.range()], out);
        }
        self.feed_live(now, stream, numbers, Slice::Input(lines), out);
        self.watermark_rose(now, stream);
    }

    /// Whether a first message may be taken: not before what it names of its host's former lives.
    fn may_begin(
        &mut self,
        now: Time,
        stream: u32,
        data: &Data<'_>,
        out: &mut Outputs,
    ) -> Result<bool, Refusal> {
        if data.named.is_empty() {
            return Ok(true);
        }
        let name = self.streams.get(stream).name;
        let mut may_begin = true;
        for former in named(data.named) {
            let (incarnation, last) = former.ok_or(Refusal::Malformed)?;
            let former = self.streams.open(StreamName { incarnation, ..name }, &self.ring);
            let Some(former) = former.filter(|former| *former != stream) else { continue };
            self.streams.get_mut(former).named = true;
            let lacking = self.streams.get(former).lacking();
            let waits = lacking <= last || (planted!(ExactPredecessor) && lacking > last + 1);
            if waits && !planted!(NoPredecessor) {
                self.wait_for(now, stream, former, last, out);
                may_begin = false;
            }
        }
        Ok(may_begin)
    }

    /// Adds messages to the journal: as they stand, or one that is marked as a repeat.
    fn journal_lines(&mut self, bytes: &[u8], lines: Span, is_logged: bool, out: &mut Outputs) {
        if is_logged {
            return self.journal.add(Slice::Input(lines));
        }
        let piece = out.put_bytes(&[&[REPEAT], &bytes[lines.range()][1..]]);
        self.journal.add(piece);
    }

    /// Takes a data line apart and checks it.
    fn find_data<'a>(&mut self, peer: &mut Peer, line: &'a [u8]) -> Result<Found<'a>, Refusal> {
        // Mostly it is in the same stream as the line before.
        let head = peer.last_stream.map(|stream| &*self.streams.get(stream).head);
        let behind_same = head.and_then(|head| line[1..].strip_prefix(head));
        let (name, behind) = match behind_same {
            Some(behind) => (None, behind),
            None => self.parse_name(&line[1..]).map(|(name, behind)| (Some(name), behind))?,
        };
        let data = Data::parse(behind).ok_or(Refusal::Malformed)?;
        let (stamp, text) = data.logged.split_at_checked(STAMP_LEN).ok_or(Refusal::BadTime)?;
        if stamp != peer.last_stamp.as_bytes() {
            peer.last_stamp = Stamp::parse(stamp).ok_or(Refusal::BadTime)?;
        }
        let text = text.strip_prefix(b" ").ok_or(Refusal::Malformed)?;
        text::check(text).map_err(Refusal::Text)?;
        // Only what is right opens a stream.
        let opened = match name {
            Some(name) if !self.may_send(peer, name) => return Err(Refusal::NotAsked),
            Some(name) => self.streams.open(name, &self.ring),
            None => peer.last_stream,
        };
        peer.last_stream = opened;
        let stream = opened.ok_or(Refusal::Malformed)?;
        Ok(Found { stream, data, text })
    }

    /// Whether a peer has any business with the messages of a stream. One whose ring differs may be the relay of an origin
    /// by its own.
    fn may_send(&self, peer: &Peer, name: StreamName) -> bool {
        let Some(host) = peer.host else { return false };
        let relays = || self.relay_of(name.origin) == Some(host);
        let was_asked =
            || self.streams.find(name).is_some_and(|s| self.streams.get(s).asked >> host.0 & 1 == 1);
        planted!(TakenFromAnybody)
            || name.origin == host
            || (name.addressee.is_none() && relays())
            || was_asked()
            || !peer.agrees
    }

    /// The name of a data line's stream, and what stands behind its dot.
    fn parse_name<'a>(&self, line: &'a [u8]) -> Result<(StreamName, &'a [u8]), Refusal> {
        let dot = memchr::memchr(b'.', line).ok_or(Refusal::Malformed)?;
        let name = StreamName::parse(&line[..dot], &self.ring).map_err(|bad| match bad {
            BadStream::Malformed => Refusal::Malformed,
            BadStream::UnknownHost => Refusal::UnknownOrigin,
        })?;
        if name.addressee.is_some_and(|to| to != self.me && name.origin != self.me) {
            return Err(Refusal::NotForUs);
        }
        Ok((name, &line[dot + 1..]))
    }

    /// Whether a numbered message is a repeat of one that came through another host.
    fn is_repeat(
        &mut self,
        peer: &mut Peer,
        stream: u32,
        data: &Data<'_>,
        text: &[u8],
        out: &mut Outputs,
    ) -> bool {
        let Some((token, number)) = data.numbered else { return false };
        let now = self.running_seconds();
        let session = match peer.last_session.filter(|s| self.sessions.is(*s, token)) {
            Some(session) => session,
            None => match Token::parse(token) {
                Some(token) => self.sessions.open(token, now),
                None => return false,
            },
        };
        peer.last_session = Some(session);
        let at = At { stream, seq: data.seq };
        let content = content(peer.last_stamp.as_bytes(), text);
        let is_refill = data.seq <= self.streams.get(stream).journaled;
        match self.sessions.note(session, number, content, Some(at), usize::MAX, now) {
            Noted::New | Noted::TooManyHoles => false,
            // What fills a hole is mostly known from its own damaged record.
            Noted::Repeat(known) if is_refill => known.is_some_and(|known| known != at),
            Noted::Repeat(_) => {
                self.counters.repeats += 1;
                !planted!(RepeatLogged)
            }
            Noted::Conflict => {
                self.counters.repeats += 1;
                let source = peer.host.map_or(Source::Node, Source::Host);
                out.report(
                    Severity::Error,
                    source,
                    format_args!(
                        "CONFLICT: number {number} of session {} has two texts",
                        token.escape_ascii()
                    ),
                );
                true
            }
        }
    }

    /// Passes messages on to our charge, as their wrapping says.
    fn relay(&mut self, to: HostIndex, stream: u32, numbers: Numbers, lines: &[u8], out: &mut Outputs) {
        if to == self.me {
            return;
        }
        let link = &self.links[to.index()];
        match (link.up, link.version_1) {
            (Some(_), _) => {
                self.counters.relayed += numbers.count();
                self.extend_feed(to, stream, numbers);
            }
            (None, Some(conn)) => {
                lines
                    .split_inclusive(|b| *b == b'\n')
                    .for_each(|line| put_version_1(conn, text_of(line), out));
            }
            (None, None) => {} // it asks for it when it is back
        }
    }
}

/// While ring.toml comes to one host after the other, some know hosts that others do not yet. That was told when the link
/// came up, and what they say is asked for once ring.toml is here.
fn is_of_another_ring(peer: &Peer, refusal: Refusal) -> bool {
    !peer.agrees && refusal == Refusal::UnknownOrigin
}

/// The text of a data line that was checked: behind the second space and the time.
fn text_of(line: &[u8]) -> &[u8] {
    let behind_head = memchr::memchr(b' ', line).map_or(line.len(), |space| space + 1);
    line.get(behind_head + STAMP_LEN + 1..line.len() - 2).unwrap_or_default()
}
