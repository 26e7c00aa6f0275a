//! Links to the other hosts: dialling, the handshake, which of two connections survives, and the end.
//!
//! ```text
//!            dial / accept            HELLO said or answered          watermarks heard
//!   down ──────────────────▶ Greeting ───────────────────────▶ Telling ───────────────▶ Up
//!     ▲                         │ ERR, 5 s                        │ 5 s                 │ silence, end, BYE
//!     └─────────────────────────┴─────────────────────────────────┴────────────────────┘
//! ```
//!
//! The dialler says `HELLO`; the other answers `OK` and tells its watermarks, its own stream last; the dialler,
//! having heard these, is up and tells its own in the same way; with them the other is up too. So each side
//! knows that the other hears it before it trusts the link.

use crate::broadcast::{OWN, Path};
use crate::event::{ConnId, Outputs, Severity, Slice, Source, Span};
use crate::feed::Feeds;
use crate::limits::{
    HANDSHAKE, HANDSHAKES_MAX, PROBE, REVISION_MIN, TELL_WITHIN, VERSION_1_KEEPALIVE, VERSION_1_SILENCE,
};
use crate::node::Node;
use crate::peer::{Peer, Phase};
use crate::report::{Excerpt, Refusal};
use crate::ring::HostIndex;
use crate::settings::Connect;
use crate::stream::Numbers;
use crate::time::{Duration, Time};
use crate::view::Down;
use crate::wire::{Hello, HelloForm, Revisions};
use alloc::vec::Vec;
use rand::RngExt as _;

/// Why a host that is retired in our ring.toml is not linked: nothing is kept about it.
const RETIRED: &str = "that host is retired in my ring";

/// Why a host that calls itself otherwise than its certificate does is not linked.
const UNPROVED: &str = "that is not the name in your certificate";

/// What is kept about one other host, linked or not.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) up: Option<Up>,
    /// A dial is under way.
    dialing: bool,
    /// Dials since the host was last up.
    attempt: u32,
    /// When it may be dialled next.
    pub(crate) redial_at: Time,
    /// It was dialled, or was up, once since the start.
    tried: bool,
    /// What the host has told last to have of each stream.
    pub(crate) told: Vec<Told>,
    /// What it was told last that we have.
    told_to: Vec<Told>,
    /// What it had of our own stream before the last handshake.
    told_before: Told,
    /// What it is sent.
    pub(crate) feeds: Feeds,
    /// It was never far behind since it caught up: clients wait for it.
    pub(crate) keeps_up: bool,
    /// A host that is a window behind: where it stood, and since when.
    pub(crate) behind: Option<(u64, Time)>,
    pub(crate) path: Path,
    /// Since when it is up or down.
    pub(crate) since: Time,
    /// A connection of this name that speaks version 1.
    pub(crate) version_1: Option<ConnId>,
    /// From the last `KEEPALIVE` to its answer.
    pub(crate) round_trip: Option<Duration>,
    /// Messages that it sent although they were here.
    pub(crate) repeats: u64,
    /// How often the link has ended, by [`Down::WORDS`].
    pub(crate) downs: [u64; Down::WORDS.len()],
}

/// A link that is up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Up {
    pub(crate) conn: ConnId,
    /// Both have the same ring and scheme, so that the host can be a relay.
    pub(crate) agrees: bool,
    /// The revision of the protocol that both speak.
    pub(crate) revision: u64,
    pub(crate) incarnation: u64,
    /// The host has proved its name, and what is said is encrypted.
    pub(crate) is_protected: bool,
    /// When a message last went over it, for links on demand.
    pub(crate) used: Time,
    /// When the last `KEEPALIVE` was sent that was answered: what the host has told since was true then.
    pub(crate) heard: Time,
}

/// The watermarks of a host for a stream, as they were told last: higher or lower than before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Told {
    pub(crate) journaled: u64,
    pub(crate) synced: u64,
    /// What it has passed over below them is among these.
    pub(crate) passed: Option<Numbers>,
}

impl Link {
    /// What the host has told last to have of a stream.
    pub(crate) fn told(&self, stream: u32) -> Told {
        self.told.get(stream as usize).copied().unwrap_or_default()
    }

    pub(crate) fn set_told(&mut self, stream: u32, told: Told) {
        set(&mut self.told, stream, told);
    }

    /// What the host was told last of a stream.
    pub(crate) fn told_to(&self, stream: u32) -> Told {
        self.told_to.get(stream as usize).copied().unwrap_or_default()
    }

    pub(crate) fn set_told_to(&mut self, stream: u32, told: Told) {
        set(&mut self.told_to, stream, told);
    }
}

fn set(told: &mut Vec<Told>, stream: u32, at: Told) {
    let stream = stream as usize;
    if stream >= told.len() {
        told.resize(stream + 1, Told::default());
    }
    told[stream] = at;
}

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

    pub(crate) fn dial_failed(&mut self, now: Time, host: HostIndex) {
        self.links[host.index()].dialing = false;
        self.back_off(now, host);
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

    /// The next dial: half to one times a pause that doubles up to its maximum.
    fn back_off(&mut self, now: Time, host: HostIndex) {
        let link = &mut self.links[host.index()];
        let pause = self.settings.redial_min.saturating_mul(1 << link.attempt.min(16));
        let pause = pause.min(self.settings.redial_max);
        link.attempt += 1;
        link.redial_at = now + pause.mul_f64(self.rng.random_range(0.5..=1.0));
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
    fn questioner_of(&self, host: HostIndex) -> Option<ConnId> {
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
        self.forget_told(host);
        self.say_hello("OK", conn, host, out);
        self.tell_all_to(conn, host, out);
        self.set_phase(conn, Phase::Telling, now + HANDSHAKE);
    }

    /// A handshake begins anew what a host has told, and what it was told.
    fn forget_told(&mut self, host: HostIndex) {
        let link = &mut self.links[host.index()];
        link.told_before = link.told(OWN);
        link.told.clear();
        link.told_to.clear();
    }

    /// Our `HELLO` was answered.
    pub(crate) fn peer_hello_ok(&mut self, now: Time, conn: ConnId, rest: &[u8], out: &mut Outputs) {
        let dialed = self.peers.get_mut(conn).and_then(|p| p.dialed);
        let HelloForm::Current(hello) = HelloForm::parse(rest) else {
            return self.refuse_peer(conn, 501, "malformed answer to HELLO", rest, out);
        };
        if let Some(host) = self.check_hello(conn, &hello, dialed, rest, out) {
            self.forget_told(host);
            self.set_phase(conn, Phase::Telling, now + HANDSHAKE);
        }
    }

    /// The other side has told all its watermarks: the link is up for this side.
    pub(crate) fn link_up(&mut self, now: Time, conn: ConnId, host: HostIndex, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        (peer.phase, peer.deadline, peer.was_linked) = (Phase::Up, None, true);
        peer.keepalive_at = now + self.settings.keepalive;
        let (dialed, agrees, revision) = (peer.dialed.is_some(), peer.agrees, peer.revision);
        let (incarnation, process, is_protected) = (peer.incarnation, peer.process, peer.proved.is_some());
        let feeds = Feeds::new(peer.is_blocked);
        if dialed {
            self.tell_all_to(conn, host, out);
        }
        let link = &mut self.links[host.index()];
        (link.attempt, link.tried, link.since) = (0, true, now);
        (link.keeps_up, link.behind, link.feeds) = (false, None, feeds);
        let (used, heard) = (now, Time(0));
        let before = link.up.replace(Up { conn, agrees, revision, incarnation, is_protected, used, heard });
        let told_before = link.told_before;
        if let Some(before) = before {
            self.close_peer(before.conn, out);
        }
        self.report_if_restored(host, told_before, out);
        self.begin_path(now, host);
        self.servers_link_up(now, host, out);
        // What has risen since the watermarks were told.
        self.tell_all_at.get_or_insert(now + TELL_WITHIN);
        let how = if dialed { "dialled" } else { "accepted" };
        out.report(
            Severity::Info,
            Source::Host(host),
            format_args!("UP {how}, incarnation {incarnation:016x}, process {process}"),
        );
        if revision < u64::from(self.settings.revision) {
            out.report(
                Severity::Info,
                Source::Host(host),
                format_args!("OLDER: this host speaks revision {revision} of the protocol; so do I with it"),
            );
        }
        if !agrees {
            out.report(
                Severity::Warning,
                Source::Host(host),
                format_args!(
                    "RING DIFFERS: this host has other hosts, another order of them or another scheme; none of us is \
                     the other's relay"
                ),
            );
        }
    }

    /// A connection has ended.
    pub(crate) fn peer_closed(&mut self, now: Time, conn: ConnId, rest: &[u8], out: &mut Outputs) {
        let Some(peer) = self.peers.remove(conn) else { return };
        if !rest.is_empty() && !peer.lines.skipping && peer.phase == Phase::Version1 {
            self.count_refused(Refusal::Unterminated.reason());
            out.report_refused(Source::Conn(conn), Refusal::Unterminated, rest);
        }
        let Some(host) = peer.host.or(peer.dialed) else {
            if peer.phase == Phase::Greeting {
                out.report(Severity::Info, Source::Conn(conn), format_args!("LEFT without saying HELLO"));
            }
            return;
        };
        self.version_1_down(conn, host, out);
        self.link_down(now, conn, host, (Down::Ended, "the connection ended"), out);
        if peer.dialed.is_some() && !peer.was_linked {
            self.back_off(now, host);
        }
        let is_down = self.links[host.index()].up.is_none();
        if let (true, Some(newcomer)) = (is_down && peer.was_linked, self.questioner_of(host)) {
            self.admit_questioning(now, newcomer, out);
        }
    }

    /// The questioned link has gone: the newcomer takes its place.
    pub(crate) fn admit_questioning(&mut self, now: Time, newcomer: ConnId, out: &mut Outputs) {
        if self.peers.get_mut(newcomer).is_some_and(|p| p.phase == Phase::Questioning) {
            self.admit(now, newcomer, out);
        }
    }

    /// A link is no longer used for sending, if this connection carried it.
    pub(crate) fn link_down(
        &mut self,
        now: Time,
        conn: ConnId,
        host: HostIndex,
        (down, why): (Down, &str),
        out: &mut Outputs,
    ) {
        let link = &mut self.links[host.index()];
        let Some(up) = link.up.take_if(|up| up.conn == conn) else { return };
        (link.feeds, link.since) = (Feeds::default(), now);
        link.downs[down as usize] += 1;
        link.path.link_down();
        self.servers_link_down(now, host);
        self.drop_sample();
        let incarnation = up.incarnation;
        out.report(
            Severity::Warning,
            Source::Host(host),
            format_args!("DOWN incarnation {incarnation:016x}: {why}"),
        );
        self.back_off(now, host);
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

    pub(crate) fn close_peer(&mut self, conn: ConnId, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(conn).filter(|p| p.phase != Phase::Closing) else { return };
        (peer.phase, peer.deadline) = (Phase::Closing, None);
        out.close.push(conn);
        if let Some(host) = peer.host {
            self.version_1_down(conn, host, out);
        }
    }

    /// A version 1 peer gets nothing more, if it is on this connection.
    fn version_1_down(&mut self, conn: ConnId, host: HostIndex, out: &mut Outputs) {
        if self.links[host.index()].version_1.take_if(|c| *c == conn).is_some() {
            let name = self.ring.name(host);
            out.report(Severity::Info, Source::Conn(conn), format_args!("DOWN version 1 {name}"));
        }
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

    pub(crate) fn send_text(&mut self, conn: ConnId, text: &[u8], out: &mut Outputs) {
        let line = out.put_bytes(&[text]);
        out.send.push((conn, line));
    }

    /// Dials whom it is time to dial.
    pub(crate) fn dial_due(&mut self, now: Time, out: &mut Outputs) {
        for host in self.others() {
            if self.wants_dial(host) && self.links[host.index()].redial_at <= now {
                let link = &mut self.links[host.index()];
                (link.dialing, link.tried) = (true, true);
                out.dial.push(host);
            }
        }
    }

    /// Whether a host lacks something that is here, or has something that is lacking here.
    fn is_unequal(&self, host: HostIndex) -> bool {
        let told = |stream: u32| self.links[host.index()].told(stream);
        let differs = |stream: u32| {
            let (told, here) = (told(stream), self.watermark(stream));
            let is_for = self.streams.get(stream).name.is_for(host);
            is_for && !self.is_finished(stream) && told.journaled != here.journaled
        };
        (0..self.streams.len()).any(differs)
    }

    /// Whether a host is to be dialled as soon as its pause is over.
    pub(crate) fn wants_dial(&self, host: HostIndex) -> bool {
        let link = &self.links[host.index()];
        let wanted = match self.settings.connect {
            Connect::Always => true,
            Connect::OnDemand => !link.tried || self.is_unequal(host),
        };
        // A connection that we dialled and close must be gone before the next.
        let is_busy = |p: &Peer| p.dialed == Some(host) || (p.host == Some(host) && p.is_greeting());
        let is_down = link.up.is_none() && !link.dialing;
        wanted && is_down && !self.is_stopping() && !self.peers.iter().any(|(_, p)| is_busy(p))
    }
}
