//! Messages from peers: each is passed on first, as its wrapping says, and logged after.

use crate::broadcast::put_version_1;
use crate::client::content;
use crate::event::{ConnId, Outputs, Severity, Slice, Source, Span};
use crate::node::Node;
use crate::peer::Peer;
use crate::relay::{Way, next_hop, ways};
use crate::report::Refusal;
use crate::ring::HostIndex;
use crate::session::{Noted, Token};
use crate::stream::{Arrival, Numbers};
use crate::text;
use crate::time::{Now, STAMP_LEN, Stamp, Time};
use crate::wire::{BadStream, Data, StreamName};

/// What stands in a data line, with the stream found.
struct Found<'a> {
    stream: u32,
    data: Data<'a>,
    text: &'a [u8],
}

impl Node {
    /// A message from a peer arrives: `<w><stream>.<seq>… <time> <text>`, at `line` of `bytes`.
    pub(crate) fn peer_data(
        &mut self,
        now: Now,
        conn: ConnId,
        bytes: &mut [u8],
        line: Span,
        out: &mut Outputs,
    ) {
        let Some(mut peer) = self.peers.take(conn) else { return };
        let taken = self.take_data(now.mono, &mut peer, bytes, line, out);
        if let Some(up) = peer.host.and_then(|host| self.links[host.index()].up.as_mut()) {
            up.used = now.mono;
        }
        self.peers.put(conn, peer);
        if let Err(refusal) = taken {
            self.refuse_peer_line(conn, refusal, &bytes[line.range()], out);
        }
    }

    fn take_data(
        &mut self,
        now: Time,
        peer: &mut Peer,
        bytes: &mut [u8],
        line: Span,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let wrapping = bytes[line.start as usize] - b'0';
        let Found { stream, data, text } = self.find_data(peer, &bytes[line.range()])?;
        let name = self.streams.get(stream).name;
        if wrapping > 2 || (wrapping > 0 && name.addressee.is_some()) {
            return Err(Refusal::Malformed);
        }
        let is_own = name.origin == self.me && name.incarnation == self.incarnation;
        match if is_own { Arrival::Repeat } else { self.streams.get_mut(stream).arrive(data.seq) } {
            Arrival::Next => {}
            Arrival::First => self.tell_gone(stream, out),
            Arrival::Gap(gap) => {
                self.report_gap(stream, gap, out);
                self.tell_gone(stream, out);
            }
            Arrival::Repeat => {
                self.counters.repeats += 1;
                return Ok(());
            }
        }
        let is_logged = data.numbered.is_some_and(|(token, number)| {
            let content = content(&peer.last_stamp, text);
            self.is_logged_already(now, peer, token, number, content, out)
        });
        if data.urgent {
            self.streams.get_mut(stream).urgent = data.seq;
            self.sync.urgent = true;
        }
        self.streams.get_mut(stream).used = now;
        let logged_bytes = data.logged.len();
        if wrapping > 0 {
            bytes[line.start as usize] = b'0';
            let with_end = Span { end: line.end + 2, ..line };
            self.relay(now, next_hop(&self.ring, self.me, name.origin, wrapping), bytes, with_end, out);
        }
        if !is_logged {
            let line = &bytes[line.range()];
            self.log(&[&line[line.len() - logged_bytes..]], out);
        }
        self.watermark_rose(now, stream);
        Ok(())
    }

    /// Takes a data line apart and checks it.
    fn find_data<'a>(&mut self, peer: &mut Peer, line: &'a [u8]) -> Result<Found<'a>, Refusal> {
        // Mostly it is in the same stream as the line before.
        let head = peer.last_stream.map(|stream| &*self.streams.get(stream).head);
        let behind_same = head.and_then(|head| line[1..].strip_prefix(head));
        let (name, behind) = match behind_same {
            Some(behind) => (None, behind),
            None => self.parse_name(peer, &line[1..]).map(|(name, behind)| (Some(name), behind))?,
        };
        let data = Data::parse(behind).ok_or(Refusal::Malformed)?;
        let (stamp, text) = data.logged.split_at_checked(STAMP_LEN).ok_or(Refusal::BadTime)?;
        if stamp != peer.last_stamp.as_bytes() {
            peer.last_stamp = Stamp::parse(stamp).ok_or(Refusal::BadTime)?;
        }
        let text = text.strip_prefix(b" ").ok_or(Refusal::Malformed)?;
        text::check(text).map_err(Refusal::Text)?;
        // Only what is right opens a stream.
        let opened = name.map(|name| self.streams.open(name, &self.ring)).or(peer.last_stream);
        peer.last_stream = opened;
        let stream = opened.ok_or(Refusal::Malformed)?;
        Ok(Found { stream, data, text })
    }

    /// The name of a data line's stream, and what stands behind its dot.
    fn parse_name<'a>(&self, peer: &Peer, line: &'a [u8]) -> Result<(StreamName, &'a [u8]), Refusal> {
        let dot = memchr::memchr(b'.', line).ok_or(Refusal::Malformed)?;
        let name = StreamName::parse(&line[..dot], &self.ring).map_err(|bad| match bad {
            BadStream::Malformed => Refusal::Malformed,
            BadStream::UnknownHost => Refusal::UnknownOrigin,
        })?;
        if name.addressee.is_some_and(|to| to != self.me) {
            return Err(Refusal::NotForUs);
        }
        // A host with another ring may follow a plan that is not ours.
        let from = peer.host.filter(|_| peer.agrees);
        let by_relay = from == self.relay_from(name.origin) && name.addressee.is_none();
        if from.is_some_and(|from| from != name.origin) && !by_relay {
            return Err(Refusal::NotFromThere);
        }
        Ok((name, &line[dot + 1..]))
    }

    /// The host that passes on to us what this origin says, if one does.
    fn relay_from(&self, origin: HostIndex) -> Option<HostIndex> {
        let offset = (self.me.index() + self.ring.len() - origin.index()) % self.ring.len();
        match ways(&self.ring).get(offset.checked_sub(1)?)? {
            Way::ByRelay { relay } => Some(self.ring.peer(origin, *relay)),
            Way::Direct { .. } => None,
        }
    }

    /// Whether a numbered message came before, through another host.
    fn is_logged_already(
        &mut self,
        now: Time,
        peer: &mut Peer,
        token: &[u8],
        number: u64,
        content: u64,
        out: &mut Outputs,
    ) -> bool {
        let session = match peer.last_session.filter(|s| self.sessions.is(*s, token)) {
            Some(session) => Some(session),
            None => Token::parse(token).and_then(|token| self.sessions.open(token, now)),
        };
        // Without room for the session the message is logged: rather doubled than lost.
        let Some(session) = session else { return false };
        peer.last_session = Some(session);
        match self.sessions.note(session, number, content, now) {
            Noted::New | Noted::TooManyHoles => false,
            Noted::Repeat => {
                self.counters.repeats += 1;
                true
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

    /// Passes a line on: neighbouring lines for one host go out as one slice of the input.
    fn relay(&mut self, now: Time, to: HostIndex, bytes: &[u8], line: Span, out: &mut Outputs) {
        if to == self.me {
            return;
        }
        self.counters.relayed += 1;
        let link = &mut self.links[to.index()];
        if let (None, Some(conn)) = (&link.up, link.version_1) {
            put_version_1(conn, text_of(&bytes[line.range()]), out);
        }
        match &mut link.up {
            Some(up) if link.outbox.is_empty() => {
                up.used = now;
                let conn = up.conn;
                match out.send.last_mut() {
                    Some((last, Slice::Input(span))) if *last == conn && span.end == line.start => {
                        span.end = line.end;
                    }
                    _ => out.send.push((conn, Slice::Input(line))),
                }
            }
            _ => {
                let kept = link.outbox.keep(&bytes[line.range()], self.settings.outbox_bytes);
                self.note_kept(to, kept, out);
            }
        }
    }

    /// Without repair, what is missing in a stream when a later message comes is given up.
    fn report_gap(&mut self, stream: u32, gap: Numbers, out: &mut Outputs) {
        let Numbers { from, to } = gap;
        self.counters.given_up = self.counters.given_up.saturating_add(to - from + 1);
        let stream = self.streams.get(stream);
        let (head, origin) =
            (alloc::string::String::from_utf8_lossy(&stream.head).into_owned(), stream.name.origin);
        out.report(
            Severity::Error,
            Source::Host(origin),
            format_args!("GIVEN UP {head}{from} to {to}: they did not arrive here"),
        );
    }
}

/// The text of a data line that was checked: behind the second space and the time.
fn text_of(line: &[u8]) -> &[u8] {
    let behind_head = memchr::memchr(b' ', line).map_or(line.len(), |space| space + 1);
    line.get(behind_head + STAMP_LEN + 1..line.len() - 2).unwrap_or_default()
}
