//! The node: one host of the ring as a state machine, and what every turn ends with.

use crate::broadcast::Own;
use crate::client::Client;
use crate::event::{ConnId, Input, Outputs, Severity, Source};
use crate::limits::{STOP, SYNC_WITHIN};
use crate::link::Link;
use crate::peer::{Peer, Phase};
use crate::relay::{Way, ways};
use crate::ring::{HostIndex, Ring};
use crate::session::{Sessions, Token};
use crate::settings::Settings;
use crate::slots::Slots;
use crate::stream::Streams;
use crate::time::{Now, Stamp, Time};
use crate::wire::StreamName;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use rand::SeedableRng;
use rand::rngs::SmallRng;

/// Who this node is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The ring it is a host of.
    pub ring: Ring,
    /// Its own place in it.
    pub me: HostIndex,
    /// 64 random bits, drawn at each start.
    pub incarnation: u64,
    /// The process id, told to peers for the people who read their logs.
    pub process: u32,
    /// For jitter.
    pub seed: u64,
}

/// What has been counted since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Messages taken from clients.
    pub taken: u64,
    /// Lines written to access.log.
    pub logged: u64,
    /// Messages passed on for other hosts.
    pub relayed: u64,
    /// Messages that came again and were not logged again.
    pub repeats: u64,
    /// Messages known to be missing here for good.
    pub given_up: u64,
    /// Lines that were not accepted.
    pub refused: u64,
    /// Messages for a host that is not linked that did not fit into its outbox.
    pub dropped: u64,
}

/// One host of the ring as a state machine.
#[derive(Debug)]
pub struct Node {
    pub(crate) ring: Ring,
    pub(crate) me: HostIndex,
    pub(crate) incarnation: u64,
    pub(crate) process: u32,
    pub(crate) settings: Settings,
    pub(crate) rng: SmallRng,
    /// The way to each host, by its index, while all is well; the own entry has no meaning.
    pub(crate) ways: Vec<Way>,
    pub(crate) links: Vec<Link>,
    pub(crate) clients: Slots<Client>,
    pub(crate) peers: Slots<Peer>,
    pub(crate) streams: Streams,
    pub(crate) own: Own,
    pub(crate) sessions: Sessions,
    /// The newest connection that named each token.
    pub(crate) tokens: BTreeMap<Token, ConnId>,
    pub(crate) sync: Sync,
    /// Clients that wait for answers.
    pub(crate) waiting: Vec<ConnId>,
    /// Some of them may get theirs now.
    pub(crate) release: bool,
    /// When the oldest answer that waits for other hosts is overdue.
    pub(crate) overdue_at: Option<Time>,
    /// Streams whose watermark their origin is to be told, and when.
    pub(crate) due: Vec<u32>,
    pub(crate) tell_at: Option<Time>,
    /// When idle clients are looked for next.
    idle_at: Option<Time>,
    stopping: Option<Stopping>,
    /// The stamp of the last wall-clock second.
    stamp: (u64, Stamp),
    pub(crate) counters: Counters,
}

/// How far the lines of access.log are on their way to the disk, counted in lines.
#[derive(Debug, Default)]
pub(crate) struct Sync {
    pub(crate) written: u64,
    pub(crate) synced: u64,
    syncing: Option<u64>,
    /// Somebody waits for what was written: sync in this turn.
    pub(crate) urgent: bool,
    at: Option<Time>,
    /// A sync has failed: there will be no other.
    has_failed: bool,
}

impl Sync {
    /// How many lines are synced, or will be when the sync under way ends.
    pub(crate) fn covered(&self) -> u64 {
        self.syncing.unwrap_or(self.synced)
    }
}

/// An orderly stop: first the clients get their answers, then the peers are told; when all of them have answered,
/// nothing can come any more that would have to be passed on.
#[derive(Clone, Copy, Debug)]
struct Stopping {
    deadline: Time,
    bye_said: bool,
    accounted: bool,
}

impl Node {
    /// A node that has just started. Give it [`Input::Deadline`] first: it dials its peers.
    #[must_use]
    pub fn new(identity: Identity, settings: Settings) -> Node {
        let Identity { ring, me, incarnation, process, seed } = identity;
        let mut streams = Streams::default();
        streams.open(StreamName { origin: me, addressee: None, incarnation }, &ring);
        let from_me = ways(&ring);
        let mut ways_by_host = alloc::vec![Way::Direct { wrapping: 0, charge: None }; ring.len()];
        for (i, way) in from_me.into_iter().enumerate() {
            ways_by_host[ring.peer(me, i + 1).index()] = way;
        }
        Node {
            own: Own::default(),
            links: ring.hosts().map(|_| Link::default()).collect(),
            ways: ways_by_host,
            clients: Slots::default(),
            peers: Slots::default(),
            sessions: Sessions::default(),
            tokens: BTreeMap::new(),
            sync: Sync::default(),
            waiting: Vec::new(),
            release: false,
            overdue_at: None,
            due: Vec::new(),
            tell_at: None,
            idle_at: None,
            stopping: None,
            stamp: (u64::MAX, Stamp::of_utc_seconds(0)),
            counters: Counters::default(),
            rng: SmallRng::seed_from_u64(seed),
            ring,
            me,
            incarnation,
            process,
            settings,
            streams,
        }
    }

    /// What has been counted since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// One turn: takes one input and leaves in `out` what is to be done. Returns how many bytes of the input's
    /// lines were consumed (0 for other inputs).
    pub fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Outputs) -> usize {
        out.clear();
        let mut consumed = 0;
        match input {
            Input::ClientLines { conn, bytes } => consumed = self.client_lines(now, conn, bytes, out),
            Input::PeerLines { conn, bytes } => consumed = self.peer_lines(now, conn, bytes, out),
            Input::ClientConnected { conn } => self.client_connected(now.mono, conn, out),
            Input::ClientFinished { conn, rest } => self.client_finished(conn, rest, out),
            Input::ClientClosed { conn, rest } => self.client_closed(conn, rest, out),
            Input::PeerAccepted { conn } => self.peer_accepted(now.mono, conn, out),
            Input::PeerDialed { conn, host } => self.peer_dialed(now.mono, conn, host, out),
            Input::DialFailed { host } => self.dial_failed(now.mono, host),
            Input::PeerClosed { conn, rest } => self.peer_closed(now.mono, conn, rest, out),
            Input::Synced { ok } => self.synced(now.mono, ok, out),
            Input::Reconfigured { settings } => self.reconfigure(now.mono, settings),
            Input::Stop => self.stop(now.mono),
            Input::Deadline => {}
        }
        self.finish_turn(now.mono, out);
        consumed
    }

    /// All hosts but this one.
    pub(crate) fn others(&self) -> impl Iterator<Item = HostIndex> + use<> {
        let me = self.me;
        self.ring.hosts().filter(move |host| *host != me)
    }

    /// The stamp of this turn's second.
    pub(crate) fn stamp(&mut self, now: Now) -> Stamp {
        if self.stamp.0 != now.utc_seconds {
            self.stamp = (now.utc_seconds, Stamp::of_utc_seconds(now.utc_seconds));
        }
        self.stamp.1
    }

    /// Adds a line to access.log. Whatever forwards it comes before this.
    pub(crate) fn log(&mut self, stamp_and_text: &[&[u8]], out: &mut Outputs) {
        stamp_and_text.iter().for_each(|part| out.log.extend_from_slice(part));
        out.log.push(b'\n');
        self.sync.written += 1;
        self.counters.logged += 1;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// What every turn ends with, whatever its input was.
    fn finish_turn(&mut self, now: Time, out: &mut Outputs) {
        self.send_own(now, out);
        self.tend_links(now, out);
        self.settle_paths(now, out);
        self.tell_watermarks(now, out);
        self.begin_sync(now, out);
        if self.release || self.overdue_at.is_some_and(|at| at <= now) {
            self.release_answers(now, out);
        }
        self.close_idle_clients(now, out);
        self.go_on_stopping(now, out);
        out.read_clients = self.stopping.is_none() && !self.window_is_full(now);
        out.wake_at = self.next_deadline(now);
    }

    fn next_deadline(&self, now: Time) -> Option<Time> {
        let stop = self.stopping.map(|s| s.deadline);
        let sync = self.sync.at.filter(|_| self.sync.syncing.is_none());
        let window = self.own.window_until;
        let at = [self.links_deadline(), self.tell_at, sync, self.overdue_at, self.idle_at, stop, window];
        at.into_iter().flatten().min().map(|at| at.max(now))
    }

    /// Asks for a sync if somebody waits for one, or it is time.
    fn begin_sync(&mut self, now: Time, out: &mut Outputs) {
        let sync = &mut self.sync;
        if sync.has_failed || sync.written == sync.covered() {
            return;
        }
        let at = *sync.at.get_or_insert(now + SYNC_WITHIN);
        if sync.syncing.is_none() && (sync.urgent || at <= now) {
            *sync = Sync { syncing: Some(sync.written), urgent: false, at: None, ..*sync };
            self.streams.sync_begins();
            out.sync = true;
        }
    }

    fn synced(&mut self, now: Time, ok: bool, out: &mut Outputs) {
        let Some(written) = self.sync.syncing.take() else { return };
        if !ok {
            return self.sync_failed(now, out);
        }
        self.sync.synced = written;
        self.release = true;
        let mut raised = Vec::new();
        self.streams.sync_ends(|stream| raised.push(stream));
        raised.into_iter().for_each(|stream| self.watermark_rose(now, stream));
    }

    /// What the disk has is not known any more: nobody is told that it has anything, and this node ends.
    fn sync_failed(&mut self, now: Time, out: &mut Outputs) {
        out.report(
            Severity::Error,
            Source::Node,
            format_args!("SYNC FAILED: what was logged since the last sync may not be on the disk; stopping"),
        );
        self.sync = Sync { has_failed: true, at: None, ..core::mem::take(&mut self.sync) };
        self.drop_waiting_clients(out);
        self.stop(now);
    }

    /// New settings hold at once, also for what was due by the old ones.
    fn reconfigure(&mut self, now: Time, settings: Settings) {
        self.settings = settings;
        self.idle_at = self.idle_at.map(|at| at.min(now + settings.client_idle / 8));
        self.overdue_at = self.overdue_at.map(|_| now);
        self.hurry_links(now);
    }

    fn stop(&mut self, now: Time) {
        self.stopping.get_or_insert(Stopping { deadline: now + STOP, bye_said: false, accounted: false });
    }

    fn go_on_stopping(&mut self, now: Time, out: &mut Outputs) {
        let Some(mut stopping) = self.stopping else { return };
        let late = stopping.deadline <= now;
        if !stopping.bye_said && (self.waiting.is_empty() || late) {
            stopping.bye_said = true;
            self.stopping = Some(stopping);
            self.say_bye_to_all(now, "stopping", out);
        }
        let unanswered = self.peers.iter().any(|(_, p)| p.phase == Phase::ByeSaid);
        out.stopped = late || (self.waiting.is_empty() && !unanswered);
        if out.stopped && !stopping.accounted {
            self.stopping = Some(Stopping { accounted: true, ..stopping });
            self.close_all_peers(out);
            self.account(out);
        }
    }

    /// The last words of a node: what it leaves undone, and what it has counted.
    fn account(&mut self, out: &mut Outputs) {
        for host in self.others() {
            let messages = self.links[host.index()].outbox.messages();
            self.counters.dropped += messages;
            if messages > 0 {
                out.report(
                    Severity::Error,
                    Source::Host(host),
                    format_args!("GIVEN UP {messages} messages that waited for this host when we stopped"),
                );
            }
        }
        let Counters { taken, logged, relayed, repeats, given_up, refused, dropped } = self.counters;
        out.report(
            Severity::Info,
            Source::Node,
            format_args!(
                "COUNTED taken={taken} logged={logged} relayed={relayed} repeats={repeats} given_up={given_up} \
                 refused={refused} dropped={dropped}"
            ),
        );
    }

    fn close_idle_clients(&mut self, now: Time, out: &mut Outputs) {
        if self.idle_at.is_none_or(|at| at > now) {
            return;
        }
        self.idle_at = (self.clients.len() > 0).then(|| now + self.settings.client_idle / 8);
        self.close_clients_idle_since(now, out);
    }

    /// Watches for idle clients from now on, if nobody does.
    pub(crate) fn watch_idle(&mut self, now: Time) {
        self.idle_at.get_or_insert(now + self.settings.client_idle / 8);
    }
}
