//! The handshake of two hosts: who speaks, whether the two can be linked, and which of two connections survives. `link`
//! has the picture.

use crate::event::{ConnId, Outputs, Severity, Slice, Source, Span};
use crate::limits::{HANDSHAKE, HANDSHAKES_MAX, PROBE, REVISION_MIN, VERSION_1_KEEPALIVE, VERSION_1_SILENCE};
use crate::node::Node;
use crate::peer::{Peer, Phase};
use crate::report::Excerpt;
use crate::ring::HostIndex;
use crate::time::Time;
use crate::wire::{Hello, HelloForm, Revisions};

/// Why a host that is retired in our ring.toml is not linked: nothing is kept about it.
const RETIRED: &str = "that host is retired in my ring";

/// Why a host that calls itself otherwise than its certificate does is not linked.
const UNPROVED: &str = "that is not the name in your certificate";

impl Node {
    pub(crate) fn peer_accepted(&mut self, now: Time, conn: ConnId, out: &mut Outputs) {
        let unfinished = self.peers.iter().filter(|(_, p)| p.phase == Phase::Greeting).count();
        self.peers.insert(conn, Peer::new(Phase::Greeting, None, now));
        let why =
            if self.is_stopping() { "stopping" } else { "too many connections that have not said HELLO" };
        if unfinished >= HANDSHAKES_MAX || self.is_stopping() {
            self.refuse_peer(conn, 300, why, b"", out);
        }
    }

    pub(crate) fn peer_dialed(&mut self, now: Time, conn: ConnId, host: HostIndex, out: &mut Outputs) {
        self.links[host.index()].dialing = false;
        let superfluous = self.links[host.index()].up.is_some() || self.handshake_with(host, conn).is_some();
        self.peers.insert(conn, Peer::new(Phase::Greeting, Some(host), now));
        if superfluous || self.is_stopping() {
            return self.close_peer(conn, out);
        }
        self.say_hello("HELLO", conn, host, out);
    }

    /// A connection has proved whose it is.
    pub(crate) fn peer_proved(&mut self, conn: ConnId, host: HostIndex) {
        if let Some(peer) = self.peers.get_mut(conn) {
            peer.proved = Some(host);
        }
    }

    /// A connection cannot prove whose it is: there is nothing that could be said to it.
    pub(crate) fn peer_unproved(&mut self, conn: ConnId, why: &str, out: &mut Outputs) {
        self.counters.unproved += 1;
        out.report(Severity::Warning, Source::Conn(conn), format_args!("REFUSED 505 {why}"));
        self.close_peer(conn, out);
    }

    /// Whether a connection may speak as this host, as far as it has proved anything.
    fn may_be(&mut self, conn: ConnId, host: HostIndex) -> bool {
        let is_proved = self.peers.get_mut(conn).and_then(|p| p.proved).is_none_or(|proved| proved == host);
        self.counters.unproved += u64::from(!is_proved);
        is_proved
    }

    /// `HELLO` came in.
    pub(crate) fn peer_hello(&mut self, now: Time, conn: ConnId, rest: &[u8], out: &mut Outputs) {
        let hello = match HelloForm::parse(rest) {
            HelloForm::Current(hello) => hello,
            HelloForm::Version1(name) => return self.version_1_hello(now, conn, name, out),
            HelloForm::OtherVersion => return self.refuse_revision(conn, rest, out),
            HelloForm::Malformed => return self.refuse_peer(conn, 501, "malformed HELLO", rest, out),
        };
        let Some(host) = self.check_hello(conn, &hello, None, rest, out) else { return };
        if !self.wins_handshake(conn, host, out) {
            return self.turn_away(conn, "this pair is connecting already", out);
        }
        match self.links[host.index()].up {
            None => self.admit(now, conn, out),
            Some(up) => self.question(now, conn, up.conn, out),
        }
    }

    /// Notes who speaks on a connection; refuses one that we cannot be linked with.
    fn check_hello(
        &mut self,
        conn: ConnId,
        hello: &Hello<'_>,
        dialed: Option<HostIndex>,
        line: &[u8],
        out: &mut Outputs,
    ) -> Option<HostIndex> {
        let Some(revision) = hello.revisions.common(self.revisions()) else {
            self.refuse_revision(conn, line, out);
            return None;
        };
        let speaker = self.ring.find(hello.speaker);
        let agrees = hello.digest == self.ring.digest();
        let refusal = match speaker {
            _ if hello.meant != self.ring.name(self.me).as_bytes() => Some((503, "that is not my name")),
            None => Some((504, "no host of that name in my ring")),
            Some(host) if host == self.me => Some((504, "that is my own name")),
            Some(host) if self.ring.is_retired(host) => Some((504, RETIRED)),
            Some(host) if !self.may_be(conn, host) => Some((505, UNPROVED)),
            Some(host) if dialed.is_some_and(|d| d != host) => Some((503, "not the host that was dialled")),
            Some(_) => None,
        };
        if let Some((code, why)) = refusal {
            self.refuse_peer(conn, code, why, line, out);
            return None;
        }
        let peer = self.peers.get_mut(conn)?;
        (peer.host, peer.incarnation, peer.agrees) = (speaker, hello.incarnation, agrees);
        (peer.process, peer.revision) = (hello.process, revision);
        speaker
    }

    /// What this build speaks.
    fn revisions(&self) -> Revisions {
        Revisions { min: u64::from(REVISION_MIN), max: u64::from(self.settings.revision) }
    }

    /// There is no revision of the protocol that both sides speak: the answer and error.log name both.
    fn refuse_revision(&mut self, conn: ConnId, line: &[u8], out: &mut Outputs) {
        let Revisions { min, max } = self.revisions();
        let why = alloc::format!("I speak org.xlattice.pzog/2.{min} to 2.{max}, upgrade the older of us");
        self.refuse_peer(conn, 502, &why, line, out);
    }

    /// When two handshakes of a pair overlap, the connection that the smaller name dialled survives.
    fn wins_handshake(&mut self, conn: ConnId, host: HostIndex, out: &mut Outputs) -> bool {
        let Some(other) = self.handshake_with(host, conn) else { return true };
        let other_is_ours = self.peers.get_mut(other).is_some_and(|p| p.dialed.is_some());
        if other_is_ours && self.ring.name(self.me) < self.ring.name(host) {
            return false;
        }
        self.close_peer(other, out);
        true
    }

    /// Another connection with this host whose handshake is under way.
    fn handshake_with(&self, host: HostIndex, than: ConnId) -> Option<ConnId> {
        let greets = |p: &Peer| {
            let with = p.host.or(p.dialed) == Some(host);
            with && p.is_greeting()
        };
        self.peers.iter().find(|(conn, p)| *conn != than && greets(p)).map(|(conn, _)| conn)
    }

    /// A link is up already: it gives way only if it is dead, that is, leaves a `KEEPALIVE` unanswered for
    /// [`PROBE`].
    fn question(&mut self, now: Time, newcomer: ConnId, linked: ConnId, out: &mut Outputs) {
        self.set_phase(newcomer, Phase::Questioning, now + PROBE);
        if let Some(peer) = self.peers.get_mut(linked) {
            peer.unanswered.get_or_insert(now);
        }
        self.send_text(linked, b"KEEPALIVE\r\n", out);
    }

    /// The connection of a host that waits for its link to prove itself alive or dead.
    pub(crate) fn questioner_of(&self, host: HostIndex) -> Option<ConnId> {
        let questions = |p: &Peer| p.phase == Phase::Questioning && p.host == Some(host);
        self.peers.iter().find(|(_, p)| questions(p)).map(|(conn, _)| conn)
    }

    /// A link has proved itself alive: whoever questions it is turned away.
    pub(crate) fn link_lives(&mut self, linked: ConnId, out: &mut Outputs) {
        let of = |p: &mut Peer| (p.host, p.incarnation, p.process);
        let Some((Some(host), incarnation, process)) = self.peers.get_mut(linked).map(of) else { return };
        let Some(newcomer) = self.questioner_of(host) else { return };
        let Some((_, other_incarnation, other)) = self.peers.get_mut(newcomer).map(of) else { return };
        if other_incarnation != incarnation {
            out.report(
                Severity::Error,
                Source::Host(host),
                format_args!(
                    "CLONE: processes {process} and {other} both say they are this host; the first stays"
                ),
            );
        }
        self.turn_away(newcomer, "this host is linked, and the link lives", out);
    }

    /// Answers a `HELLO`.
    pub(crate) fn admit(&mut self, now: Time, conn: ConnId, out: &mut Outputs) {
        let Some(host) = self.peers.get_mut(conn).and_then(|p| p.host) else { return };
        self.links[host.index()].forget_told();
        self.say_hello("OK", conn, host, out);
        self.tell_all_to(conn, host, out);
        self.set_phase(conn, Phase::Telling, now + HANDSHAKE);
    }

    /// Our `HELLO` was answered.
    pub(crate) fn peer_hello_ok(&mut self, now: Time, conn: ConnId, rest: &[u8], out: &mut Outputs) {
        let dialed = self.peers.get_mut(conn).and_then(|p| p.dialed);
        let HelloForm::Current(hello) = HelloForm::parse(rest) else {
            return self.refuse_peer(conn, 501, "malformed answer to HELLO", rest, out);
        };
        if let Some(host) = self.check_hello(conn, &hello, dialed, rest, out) {
            self.links[host.index()].forget_told();
            self.set_phase(conn, Phase::Telling, now + HANDSHAKE);
        }
    }

    /// The questioned link has gone: the newcomer takes its place.
    pub(crate) fn admit_questioning(&mut self, now: Time, newcomer: ConnId, out: &mut Outputs) {
        if self.peers.get_mut(newcomer).is_some_and(|p| p.phase == Phase::Questioning) {
            self.admit(now, newcomer, out);
        }
    }

    /// A connection that names a host of the ring and nothing else speaks version 1.
    fn version_1_hello(&mut self, now: Time, conn: ConnId, name: &[u8], out: &mut Outputs) {
        let host = match self.ring.find(name) {
            None => return self.refuse_peer(conn, 504, "no host of that name in my ring", name, out),
            Some(host) if host == self.me => {
                return self.refuse_peer(conn, 504, "that is my own name", name, out);
            }
            Some(host) if self.ring.is_retired(host) => {
                return self.refuse_peer(conn, 504, RETIRED, name, out);
            }
            Some(host) if !self.may_be(conn, host) => {
                return self.refuse_peer(conn, 505, UNPROVED, name, out);
            }
            Some(host) => host,
        };
        if let Some(older) = self.links[host.index()].version_1.replace(conn) {
            self.close_peer(older, out);
        }
        let Some(peer) = self.peers.get_mut(conn) else { return };
        (peer.host, peer.phase) = (Some(host), Phase::Version1);
        peer.deadline = Some(now + VERSION_1_SILENCE);
        peer.keepalive_at = now + VERSION_1_KEEPALIVE;
        self.send_text(conn, b"OK\r\n", out);
        let name = self.ring.name(host);
        out.report(Severity::Info, Source::Conn(conn), format_args!("UP version 1 {name}"));
    }

    /// Says no, with the reason, and closes. The refused line, if it was one, goes to error.log.
    pub(crate) fn refuse_peer(&mut self, conn: ConnId, code: u16, why: &str, line: &[u8], out: &mut Outputs) {
        self.count_refused("handshake");
        let source = Source::Conn(conn);
        if line.is_empty() {
            out.report(Severity::Warning, source, format_args!("REFUSED {code} {why}"));
        } else {
            out.report(Severity::Warning, source, format_args!("REFUSED {code} {why}: {}", Excerpt(line)));
        }
        let span = out.put_small(format_args!("ERR {code} {why}\r\n"));
        out.send.push((conn, Slice::Small(span)));
        self.close_peer(conn, out);
    }

    /// Closes a connection that is one too many: everyday life when both sides dial.
    fn turn_away(&mut self, conn: ConnId, why: &str, out: &mut Outputs) {
        out.report(Severity::Info, Source::Conn(conn), format_args!("TURNED AWAY 300 {why}"));
        let span = out.put_small(format_args!("ERR 300 {why}\r\n"));
        out.send.push((conn, Slice::Small(span)));
        self.close_peer(conn, out);
    }

    fn set_phase(&mut self, conn: ConnId, phase: Phase, deadline: Time) {
        if let Some(peer) = self.peers.get_mut(conn) {
            peer.phase = phase;
            peer.deadline = Some(deadline);
        }
    }

    fn say_hello(&mut self, verb: &str, conn: ConnId, host: HostIndex, out: &mut Outputs) {
        let hello = Hello {
            meant: self.ring.name(host).as_bytes(),
            speaker: self.ring.name(self.me).as_bytes(),
            incarnation: self.incarnation,
            process: u64::from(self.process),
            digest: self.ring.digest(),
            revisions: self.revisions(),
        };
        let start = out.small.len() as u32;
        hello.put(verb, &mut out.small);
        out.send.push((conn, Slice::Small(Span { start, end: out.small.len() as u32 })));
    }
}
