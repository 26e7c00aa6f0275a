//! Peers (port 55551): what they say once they are connected, and the timers of their connections.

use crate::event::{ConnId, Outputs, Severity, Slice, Source};
use crate::following::Following;
use crate::limits::{HANDSHAKE, VERSION_1_KEEPALIVE, VERSION_1_SILENCE};
use crate::node::Node;
use crate::report::{Excerpt, Refusal};
use crate::ring::HostIndex;
use crate::settings::{Connect, Level};
use crate::text;
use crate::time::{Now, Stamp, Time};
use crate::view::Down;
use crate::wire::{LineReader, PeerLine};
use alloc::vec::Vec;

/// How the first bytes of a peer begin that speaks TLS: a handshake record of version 3.
const TLS_HANDSHAKE: &[u8] = b"\x16\x03";

/// One connection of the ring port, dialled or accepted.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) phase: Phase,
    /// The host that this side dialled.
    pub(crate) dialed: Option<HostIndex>,
    /// The host that it has proved to be, where links are protected.
    pub(crate) proved: Option<HostIndex>,
    /// Who speaks, once that is known …
    pub(crate) host: Option<HostIndex>,
    /// … and what else it said of itself.
    pub(crate) incarnation: u64,
    pub(crate) process: u64,
    pub(crate) agrees: bool,
    /// The revision of the protocol that both speak.
    pub(crate) revision: u64,
    /// It was a link once.
    pub(crate) was_linked: bool,
    /// When the present phase must have ended.
    pub(crate) deadline: Option<Time>,
    pub(crate) keepalive_at: Time,
    /// The other side takes nothing just now.
    pub(crate) is_blocked: bool,
    /// Since when a `KEEPALIVE` is unanswered.
    pub(crate) unanswered: Option<Time>,
    pub(crate) lines: LineReader,
    /// The stream, the session and the time of its last message, which the next one will most likely share.
    pub(crate) last_stream: Option<u32>,
    pub(crate) last_session: Option<u32>,
    pub(crate) last_stamp: Stamp,
    /// The message that follows it, most likely.
    pub(crate) following: Following,
}

/// Where a connection is in its life; `link` has the picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// `HELLO` is to come, or our own is to be answered.
    Greeting,
    /// A second connection of a linked host, until the first has proved itself alive or dead.
    Questioning,
    /// The handshake is answered, the watermarks are to come.
    Telling,
    /// The link is up.
    Up,
    /// We have said `BYE`: what it still sends is taken.
    ByeSaid,
    /// We have said `BYE` and it has answered: closed when all others have, too.
    ByeAnswered,
    /// It has said `BYE`: what it still sends is taken, and it gets nothing more.
    ByeHeard,
    /// A version 1 peer.
    Version1,
    /// To be closed.
    Closing,
}

impl Peer {
    pub(crate) fn new(phase: Phase, dialed: Option<HostIndex>, now: Time) -> Peer {
        Peer {
            phase,
            dialed,
            proved: None,
            host: None,
            incarnation: 0,
            process: 0,
            agrees: false,
            revision: 0,
            was_linked: false,
            deadline: Some(now + HANDSHAKE),
            keepalive_at: now,
            is_blocked: false,
            unanswered: None,
            lines: LineReader::default(),
            last_stream: None,
            last_session: None,
            last_stamp: Stamp::of_utc_seconds(0),
            following: Following::default(),
        }
    }

    /// The handshake is not over.
    pub(crate) fn is_greeting(&self) -> bool {
        matches!(self.phase, Phase::Greeting | Phase::Telling | Phase::Questioning)
    }

    /// The link is up, or was and is being left: messages are taken from it.
    pub(crate) fn was_up(&self) -> bool {
        matches!(self.phase, Phase::Up | Phase::ByeSaid | Phase::ByeAnswered | Phase::ByeHeard)
    }
}

impl Node {
    /// A peer has sent something.
    pub(crate) fn peer_lines(
        &mut self,
        now: Now,
        conn: ConnId,
        bytes: &mut [u8],
        out: &mut Outputs,
    ) -> usize {
        let mut at = 0;
        if bytes.starts_with(TLS_HANDSHAKE) {
            self.refuse_tls(conn, out);
        }
        loop {
            let Some(peer) = self.peers.get_mut(conn).filter(|p| p.phase != Phase::Closing) else {
                return bytes.len();
            };
            if peer.was_up() && bytes.get(at).is_some_and(u8::is_ascii_digit) {
                self.peer_data(now, conn, bytes, &mut at, out);
            }
            let Some(peer) = self.peers.get_mut(conn) else { return bytes.len() };
            let Some((line, refusal)) = peer.lines.next(bytes, &mut at) else { return at };
            match refusal {
                Some(refusal) => self.refuse_peer_line(conn, refusal, &bytes[line.range()], out),
                None => self.peer_line(now, conn, &bytes[line.range()], out),
            }
        }
    }

    /// A peer wants to prove who it is, and this host does not: it can only be told so.
    fn refuse_tls(&mut self, conn: ConnId, out: &mut Outputs) {
        if self.peers.get_mut(conn).is_some_and(|p| p.phase == Phase::Greeting) {
            self.refuse_peer(conn, 502, "it speaks TLS, which is off in this host's ring.toml", b"", out);
        }
    }

    /// A line other than data.
    fn peer_line(&mut self, now: Now, conn: ConnId, line: &[u8], out: &mut Outputs) {
        self.links_changed();
        let Some(peer) = self.peers.get_mut(conn) else { return };
        let (phase, dialed, was_up) = (peer.phase, peer.dialed, peer.was_up());
        match (PeerLine::parse(line), phase) {
            (_, Phase::Version1) => self.version_1_line(now, conn, line, out),
            (Some(PeerLine::Hello(rest)), Phase::Greeting) if dialed.is_none() => {
                self.peer_hello(now.mono, conn, rest, out);
            }
            (Some(PeerLine::Ok(rest)), Phase::Greeting) if dialed.is_some() => {
                self.peer_hello_ok(now.mono, conn, rest, out);
            }
            (Some(PeerLine::Err(why)), Phase::Greeting | Phase::Telling) => {
                self.hello_refused(conn, why, out);
            }
            (Some(PeerLine::Ok(rest)), _) if was_up || phase == Phase::Telling => {
                self.peer_watermark(now.mono, conn, rest, line, out);
            }
            (Some(PeerLine::KeepAlive), Phase::Telling | Phase::Up | Phase::ByeSaid) => {
                self.send_text(conn, b"ACK\r\n", out);
            }
            (Some(PeerLine::Ack), _) if was_up => {
                let (host, sent) = (peer.host, peer.unanswered.take());
                if let (Some(host), Some(sent)) = (host, sent) {
                    self.links[host.index()].round_trip = Some(now.mono - sent);
                    self.settle_hears(host, sent);
                }
                self.link_lives(conn, out);
            }
            (Some(PeerLine::Want(rest)), Phase::Up) => self.peer_want(now.mono, conn, rest, line, out),
            (Some(PeerLine::Enough(rest)), _) if was_up => self.peer_enough(conn, rest, line, out),
            (Some(PeerLine::Want(_)), _) if was_up => {} // it leaves, or we do
            (Some(PeerLine::Gone(rest)), _) if was_up || phase == Phase::Telling => {
                self.peer_gone(now.mono, conn, rest, line, out);
            }
            (Some(PeerLine::Past(rest)), _) if (was_up || phase == Phase::Telling) && peer.tells_past() => {
                self.peer_past(conn, rest, line, out);
            }
            (Some(PeerLine::Sum(rest)), _) if was_up && peer.revision > 0 => {
                self.peer_sum(now.mono, conn, rest, line, out);
            }
            (Some(PeerLine::Bye(why)), _) => self.peer_bye(now.mono, conn, why, out),
            _ => self.refuse_peer_line(conn, Refusal::UnknownVerb, line, out),
        }
    }

    /// A line that is not accepted: counted and reported. On a link there is nobody to answer; a connection that
    /// is not a link yet is closed.
    pub(crate) fn refuse_peer_line(
        &mut self,
        conn: ConnId,
        refusal: Refusal,
        line: &[u8],
        out: &mut Outputs,
    ) {
        if self.peers.get_mut(conn).is_some_and(|p| p.is_greeting()) {
            return self.refuse_peer(conn, 501, "a handshake comes first", line, out);
        }
        self.count_refused(refusal.reason());
        out.report_refused(Source::Conn(conn), refusal, line);
    }

    /// `ERR` instead of an answer to our `HELLO`.
    fn hello_refused(&mut self, conn: ConnId, why: &[u8], out: &mut Outputs) {
        // 300 is how the crossing of two dials ends every day.
        let severity = if why.starts_with(b"300") { Severity::Info } else { Severity::Warning };
        let host = self.peers.get_mut(conn).and_then(|p| p.dialed);
        let source = host.map_or(Source::Conn(conn), Source::Host);
        out.report(severity, source, format_args!("REFUSED BY PEER {}", Excerpt(why)));
        self.close_peer(conn, out);
    }

    /// `BYE <reason>`: the other side leaves. It gets nothing more on this connection; what it still passes on
    /// is taken until it closes.
    fn peer_bye(&mut self, now: Time, conn: ConnId, why: &[u8], out: &mut Outputs) {
        let is_stopping = self.is_stopping();
        let Some(peer) = self.peers.get_mut(conn) else { return };
        match (peer.phase, peer.host) {
            (Phase::Up, Some(host)) => {
                (peer.phase, peer.deadline) = (Phase::ByeHeard, Some(now + HANDSHAKE));
                self.send_text(conn, b"BYE\r\n", out);
                let why = alloc::format!("BYE {}", Excerpt(why));
                self.link_down(now, conn, host, (Down::Left, &why), out);
            }
            (Phase::ByeSaid, _) if is_stopping => peer.phase = Phase::ByeAnswered,
            _ => self.close_peer(conn, out),
        }
    }

    pub(crate) fn close_all_peers(&mut self, out: &mut Outputs) {
        let conns: Vec<ConnId> = self.peers.iter().map(|(conn, _)| conn).collect();
        conns.into_iter().for_each(|conn| self.close_peer(conn, out));
    }

    /// Says `BYE` on all links that are up, and closes what is not.
    pub(crate) fn say_bye_to_all(&mut self, now: Time, why: &str, out: &mut Outputs) {
        let conns: Vec<ConnId> = self.peers.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            self.say_bye(now, conn, why, out);
        }
    }

    fn say_bye(&mut self, now: Time, conn: ConnId, why: &str, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        if peer.phase != Phase::Up {
            return self.close_peer(conn, out);
        }
        (peer.phase, peer.deadline) = (Phase::ByeSaid, Some(now + HANDSHAKE));
        let span = out.put_small(format_args!("BYE {why}\r\n"));
        out.send.push((conn, Slice::Small(span)));
    }

    /// What a version 1 peer says: a wrapping and a text, or `KEEPALIVE`.
    fn version_1_line(&mut self, now: Now, conn: ConnId, line: &[u8], out: &mut Outputs) {
        if let Some(peer) = self.peers.get_mut(conn) {
            peer.deadline = Some(now.mono + VERSION_1_SILENCE);
        }
        match (line, PeerLine::parse(line)) {
            ([wrapping @ b'0'..=b'2', text @ ..], _) => match text::check(text) {
                Ok(()) => {
                    let stamp = self.stamp(now);
                    if !self.has_room {
                        return self.refuse_peer_line(conn, Refusal::JournalFull, line, out);
                    }
                    let taken = self.take_wrapped(wrapping - b'0', &stamp, text, Level::Journaled, out);
                    if let Err(refusal) = taken {
                        return self.refuse_peer_line(conn, refusal, line, out);
                    }
                    let ok = out.put_bytes(&[b"OK\r\n"]);
                    out.answer.push((conn, ok)); // once it is logged
                }
                Err(bad) => self.refuse_peer_line(conn, Refusal::Text(bad), line, out),
            },
            (_, Some(PeerLine::KeepAlive)) => self.send_text(conn, b"ACK\r\n", out),
            (_, Some(PeerLine::Ok(_) | PeerLine::Ack)) => {}
            (_, Some(PeerLine::Bye(_))) => self.close_peer(conn, out),
            _ => self.refuse_peer_line(conn, Refusal::UnknownVerb, line, out),
        }
    }

    /// The timers of all links and connections: keep-alive, silence, handshakes, dialling.
    pub(crate) fn tend_links(&mut self, now: Time, out: &mut Outputs) {
        if self.links_deadline().is_none_or(|at| at > now) {
            return;
        }
        self.links_changed();
        let conns: Vec<ConnId> = self.peers.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            self.tend_peer(now, conn, out);
        }
        self.dial_due(now, out);
    }

    fn tend_peer(&mut self, now: Time, conn: ConnId, out: &mut Outputs) {
        let settings = self.settings;
        let Some(peer) = self.peers.get_mut(conn) else { return };
        let late = peer.deadline.is_some_and(|at| at <= now);
        match (peer.phase, peer.host) {
            (Phase::Questioning, Some(host)) if late => self.replace_link(now, conn, host, out),
            (Phase::Greeting | Phase::Telling, host) if late => {
                let source = host.or(peer.dialed).map_or(Source::Conn(conn), Source::Host);
                out.report(Severity::Warning, source, format_args!("SILENT during the handshake"));
                self.close_peer(conn, out);
            }
            (Phase::Up, Some(host)) => {
                if peer.unanswered.is_some_and(|since| now - since >= settings.peer_silence) {
                    self.link_down(now, conn, host, (Down::Silent, "KEEPALIVE was not answered"), out);
                    self.close_peer(conn, out);
                } else if peer.keepalive_at <= now {
                    peer.keepalive_at = now + settings.keepalive;
                    if peer.unanswered.is_none() {
                        peer.unanswered = Some(now);
                        self.send_text(conn, b"KEEPALIVE\r\n", out);
                    }
                    self.leave_unused(now, conn, host, out);
                }
            }
            _ if late => self.close_peer(conn, out),
            (Phase::Version1, _) if peer.keepalive_at <= now => {
                peer.keepalive_at = now + VERSION_1_KEEPALIVE;
                self.send_text(conn, b"KEEPALIVE\r\n", out);
            }
            _ => {}
        }
    }

    /// The linked connection did not prove itself alive in time.
    fn replace_link(&mut self, now: Time, newcomer: ConnId, host: HostIndex, out: &mut Outputs) {
        if let Some(up) = self.links[host.index()].up {
            let why = "it did not answer while a new connection waited";
            self.link_down(now, up.conn, host, (Down::Replaced, why), out);
            self.close_peer(up.conn, out);
        }
        self.admit_questioning(now, newcomer, out);
    }

    /// A link on demand that nothing went over for a while is closed.
    fn leave_unused(&mut self, now: Time, conn: ConnId, host: HostIndex, out: &mut Outputs) {
        let used = self.links[host.index()].up.map(|up| up.used);
        let unused = used.is_some_and(|at| now - at >= self.settings.peer_silence);
        if unused && self.settings.connect == Connect::OnDemand {
            self.say_bye(now, conn, "unused", out);
            self.link_down(now, conn, host, (Down::Unused, "unused"), out);
        }
    }

    /// Settings have changed: no pause is longer than the new ones say.
    pub(crate) fn hurry_links(&mut self, now: Time) {
        let conns: Vec<ConnId> = self.peers.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            if let Some(peer) = self.peers.get_mut(conn) {
                peer.keepalive_at = peer.keepalive_at.min(now + self.settings.keepalive);
            }
        }
        for link in &mut self.links {
            link.redial_at = link.redial_at.min(now + self.settings.redial_max);
        }
    }

    /// What is remembered of links may be out of date.
    pub(crate) fn links_changed(&mut self) {
        (self.links_due, self.paths_are_settled) = (None, false);
    }

    /// When [`Node::tend_links`] has something to do. Remembered, since to look at all connections in every turn would cost
    /// more than most turns: whatever may bring it forward has it found out anew.
    pub(crate) fn links_deadline(&mut self) -> Option<Time> {
        let may_change = self.is_stopping() || self.settings.connect == Connect::OnDemand;
        let due = self.links_due.filter(|_| !may_change).unwrap_or_else(|| self.find_links_deadline());
        debug_assert_eq!(due, self.find_links_deadline(), "what is remembered is out of date");
        self.links_due = Some(due);
        due
    }

    fn find_links_deadline(&self) -> Option<Time> {
        let of_peer = |p: &Peer| match p.phase {
            Phase::Up => {
                let silent = p.unanswered.map(|since| since + self.settings.peer_silence);
                Some(p.keepalive_at).into_iter().chain(silent).min()
            }
            Phase::Version1 => p.deadline.map(|at| at.min(p.keepalive_at)),
            _ => p.deadline,
        };
        let of_host = |h: HostIndex| self.wants_dial(h).then(|| self.links[h.index()].redial_at);
        self.peers.iter().filter_map(|(_, p)| of_peer(p)).chain(self.others().filter_map(of_host)).min()
    }
}
