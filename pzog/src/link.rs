//! Links to the other hosts: dialling, what is kept about each, and the end; `handshake` has how a connection becomes one.
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
use crate::event::{ConnId, Outputs, Severity, Source};
use crate::feed::Feeds;
use crate::limits::TELL_WITHIN;
use crate::node::Node;
use crate::peer::{Peer, Phase};
use crate::report::Refusal;
use crate::ring::HostIndex;
use crate::settings::Connect;
use crate::stream::Numbers;
use crate::time::{Duration, Time};
use crate::view::Down;
use alloc::vec::Vec;
use rand::RngExt as _;

/// What is kept about one other host, linked or not.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) up: Option<Up>,
    /// A dial is under way.
    pub(crate) dialing: bool,
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

    /// A handshake begins anew what the host has told, and what it was told.
    pub(crate) fn forget_told(&mut self) {
        self.told_before = self.told(OWN);
        self.told.clear();
        self.told_to.clear();
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
    pub(crate) fn dial_failed(&mut self, now: Time, host: HostIndex) {
        self.links[host.index()].dialing = false;
        self.back_off(now, host);
    }

    /// The next dial: half to one times a pause that doubles up to its maximum.
    fn back_off(&mut self, now: Time, host: HostIndex) {
        let link = &mut self.links[host.index()];
        let pause = self.settings.redial_min.saturating_mul(1 << link.attempt.min(16));
        let pause = pause.min(self.settings.redial_max);
        link.attempt += 1;
        link.redial_at = now + pause.mul_f64(self.rng.random_range(0.5..=1.0));
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

    pub(crate) fn close_peer(&mut self, conn: ConnId, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(conn).filter(|p| p.phase != Phase::Closing) else { return };
        (peer.phase, peer.deadline) = (Phase::Closing, None);
        let host = peer.host;
        self.links_changed();
        out.close.push(conn);
        if let Some(host) = host {
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
