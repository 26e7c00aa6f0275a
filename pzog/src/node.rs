//! The node: one host of the ring as a state machine, and what every turn ends with.

use crate::broadcast::Own;
use crate::client::Client;
use crate::event::{ConnId, Input, Outputs, Severity, Source};
use crate::journal::Recovered;
use crate::journal::recovered::Certain;
use crate::journal::writer::Journal;
use crate::limits::{LINE_GROWTH, PEER_GROWTH, STOP, SYNC_MUCH_BYTES, SYNC_MUCH_WITHIN, SYNC_WITHIN};
use crate::link::Link;
use crate::peer::{Peer, Phase};
use crate::relay::{Way, ways};
use crate::ring::{HostIndex, Ring};
use crate::session::{Sessions, Token};
use crate::settings::Settings;
use crate::slots::Slots;
use crate::status::Find;
use crate::stream::{Stream, Streams};
use crate::sums::Sums;
use crate::time::{Duration, Now, Stamp, Time};
use crate::upkeep::Settling;
use crate::view::{Certificate, Histogram, Sample};
use crate::wire::StreamName;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
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
    /// Times that what is here of an origin was not what that one has.
    pub diverged: u64,
    /// Connections to or from peers whose other end could not prove to be the host that it should be.
    pub unproved: u64,
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
    /// When links and peers are to be looked at; `None` where that is to be found out.
    pub(crate) links_due: Option<Option<Time>>,
    /// Every host gets our messages as it should, and will as long as links do not change.
    pub(crate) paths_are_settled: bool,
    pub(crate) streams: Streams,
    pub(crate) own: Own,
    pub(crate) sessions: Sessions,
    /// The newest connection that named each token.
    pub(crate) tokens: BTreeMap<Token, ConnId>,
    pub(crate) journal: Journal,
    pub(crate) sync: Sync,
    /// The journal takes what may come in this turn.
    pub(crate) has_room: bool,
    /// access.log holds lines back: nothing is taken that would stand in it, and no message is answered.
    pub(crate) log_is_held: bool,
    /// Messages of peers were let go since there was no room for them.
    pub(crate) has_let_go: bool,
    /// Bytes of the head of the last segment.
    pub(crate) snapshot_bytes: u32,
    /// What of each stream was in the journal when this turn began, if the index wants to know.
    pub(crate) journaled_before_turn: Option<Box<[u64]>>,
    /// What access.log has for certain of each stream, as the last mark says and as the one under way will.
    pub(crate) certain: Certain,
    pub(crate) certain_next: Certain,
    /// When access.log is to be marked.
    pub(crate) mark_at: Option<Time>,
    pub(crate) upkeep_at: Option<Time>,
    pub(crate) settling: Option<Settling>,
    /// There was no journal, and not all others were heard since: what was before is before this host's time.
    pub(crate) is_fresh: bool,
    /// The time of this turn, that of the first one, and how long earlier lives were.
    pub(crate) now: Time,
    pub(crate) born: Time,
    pub(crate) ran_seconds: u64,
    /// Segments that recovery could not use.
    dead: Vec<u64>,
    /// The number of the last read of the journal.
    pub(crate) reads: u32,
    /// Segments whose damage was reported.
    pub(crate) damage_told: BTreeSet<u64>,
    /// Sums that are told and compared.
    pub(crate) sums: Sums,
    /// Searches in the journal that are under way.
    pub(crate) finds: Vec<Find>,
    /// When to look for what is lacking.
    pub(crate) repair_at: Option<Time>,
    /// Clients that wait for answers.
    pub(crate) waiting: Vec<ConnId>,
    /// Some of them may get theirs now.
    pub(crate) release: bool,
    /// When the oldest answer that waits for other hosts is overdue.
    pub(crate) overdue_at: Option<Time>,
    /// Streams whose watermark a sync has raised, kept for its memory.
    raised: Vec<u32>,
    /// Streams whose watermark their origin is to be told, and when.
    pub(crate) due: Vec<u32>,
    pub(crate) tell_at: Option<Time>,
    /// When all others are to be told what has changed.
    pub(crate) tell_all_at: Option<Time>,
    /// When idle clients are looked for next.
    idle_at: Option<Time>,
    stopping: Option<Stopping>,
    /// What this host proves its name with.
    pub(crate) certificate: Option<Certificate>,
    /// The stamp of the last wall-clock second.
    stamp: (u64, Stamp),
    pub(crate) counters: Counters,
    /// Lines that were not accepted, by their reasons.
    pub(crate) refused: BTreeMap<&'static str, u64>,
    pub(crate) sample: Sample,
}

/// How far the journal is on its way to the disk, counted in records.
#[derive(Debug, Default)]
pub(crate) struct Sync {
    pub(crate) written: u64,
    pub(crate) synced: u64,
    syncing: Option<u64>,
    /// When it began, and how long all of them took.
    begun: Time,
    pub(crate) times: Histogram,
    /// Somebody waits for what was written: sync in this turn.
    pub(crate) urgent: bool,
    /// Since when there is something that no sync covers, and when it is to be synced.
    since: Option<Time>,
    at: Option<Time>,
}

impl Sync {
    /// How many records are synced, or will be when the sync under way ends.
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
    /// A node that has just started, with what was recovered of its journal ([`Recovered::default`] if there was
    /// none). All of that is on the disk, access.log has been brought to what it says, and the segment that
    /// [`Recovered::first_segment`] names is ready, of the size that the settings say. Give the node
    /// [`Input::LogOpened`] first, then [`Input::Deadline`]: it dials its peers.
    #[must_use]
    pub fn new(identity: Identity, settings: Settings, recovered: Recovered) -> Node {
        let Identity { ring, me, incarnation, process, seed } = identity;
        let (is_fresh, first) = (recovered.is_fresh(), recovered.first_segment());
        let Recovered {
            mut streams, sessions, segments, index, mark, running_seconds, dead, certain, ..
        } = recovered;
        streams.set_own(Stream::new(StreamName { origin: me, addressee: None, incarnation }, &ring));
        let from_me = ways(&ring);
        let mut ways_by_host = alloc::vec![Way::Direct { wrapping: 0, charge: None }; ring.len()];
        for (i, way) in from_me.into_iter().enumerate() {
            ways_by_host[ring.peer(me, i + 1).index()] = way;
        }
        Node {
            own: Own::default(),
            journal: Journal::new(segments, index, first, settings.segment_bytes, mark),
            has_room: true,
            log_is_held: false,
            has_let_go: false,
            snapshot_bytes: 0,
            journaled_before_turn: None,
            certain,
            certain_next: Certain::new(),
            mark_at: None,
            upkeep_at: None,
            settling: None,
            is_fresh,
            now: Time(0),
            born: Time(0),
            ran_seconds: running_seconds,
            dead,
            reads: 0,
            damage_told: BTreeSet::new(),
            sums: Sums::default(),
            finds: Vec::new(),
            repair_at: None,
            links: ring.hosts().map(|_| Link::default()).collect(),
            ways: ways_by_host,
            clients: Slots::default(),
            peers: Slots::default(),
            links_due: None,
            paths_are_settled: false,
            sessions,
            tokens: BTreeMap::new(),
            sync: Sync::default(),
            waiting: Vec::new(),
            release: false,
            overdue_at: None,
            raised: Vec::new(),
            due: Vec::new(),
            tell_at: None,
            tell_all_at: None,
            idle_at: None,
            stopping: None,
            certificate: None,
            stamp: (u64::MAX, Stamp::of_utc_seconds(0)),
            counters: Counters::default(),
            refused: BTreeMap::new(),
            sample: Sample::default(),
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
        self.begin_turn(now.mono, &input, out);
        let mut consumed = 0;
        let mut lines: &[u8] = &[];
        if !matches!(input, Input::ClientLines { .. } | Input::PeerLines { .. } | Input::Synced) {
            self.links_changed();
        }
        match input {
            Input::ClientLines { conn, bytes } => consumed = self.client_lines(now, conn, bytes, out),
            Input::PeerLines { conn, bytes } => {
                consumed = self.peer_lines(now, conn, bytes, out);
                lines = bytes;
            }
            Input::JournalRead { id, bytes } => self.journal_read(now.mono, id, bytes, out),
            Input::ClientConnected { conn } => self.client_connected(now.mono, conn, out),
            Input::ClientFinished { conn, rest } => self.client_finished(conn, rest, out),
            Input::ClientClosed { conn, rest } => self.client_closed(conn, rest, out),
            Input::PeerAccepted { conn } => self.peer_accepted(now.mono, conn, out),
            Input::PeerProved { conn, host } => self.peer_proved(conn, host),
            Input::PeerUnproved { conn, why } => self.peer_unproved(conn, why, out),
            Input::PeerDialed { conn, host } => self.peer_dialed(now.mono, conn, host, out),
            Input::DialFailed { host } => self.dial_failed(now.mono, host),
            Input::PeerClosed { conn, rest } => self.peer_closed(now.mono, conn, rest, out),
            Input::Blocked { conn } => self.set_blocked(conn, true),
            Input::Drained { conn } => self.set_blocked(conn, false),
            Input::Synced => self.synced(now.mono, out),
            Input::Marked { log } => self.marked(log, out),
            Input::LogOpened { log } => self.log_opened(log, out),
            Input::LogHeld { is_held } => self.log_held(is_held),
            Input::Prepared { ok } => self.prepared(now.mono, ok, out),
            Input::Reconfigured { settings } => self.reconfigure(now.mono, settings),
            Input::Certified { certificate } => self.certificate = Some(certificate),
            Input::Stop => self.stop(now.mono),
            Input::Deadline => {}
        }
        self.finish_turn(now.mono, lines, out);
        consumed
    }

    /// Makes room for whatever this turn's input may add to the journal.
    fn begin_turn(&mut self, now: Time, input: &Input<'_>, out: &mut Outputs) {
        if self.now == Time(0) {
            self.born = now;
        }
        self.now = now;
        match input {
            Input::ClientLines { bytes, .. } => self.make_room(bytes, LINE_GROWTH, out),
            Input::PeerLines { conn, bytes } => {
                // What version 1 peers say grows, too; what others say stands as it is.
                let is_link = self.peers.get_mut(*conn).is_some_and(|peer| peer.was_up());
                self.make_room(bytes, if is_link { PEER_GROWTH } else { LINE_GROWTH }, out);
            }
            _ => self.make_room(b"", 0, out),
        }
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

    /// Adds a line to access.log. What forwards it in this turn comes before this.
    pub(crate) fn log(&mut self, stamp_and_text: &[&[u8]], out: &mut Outputs) {
        stamp_and_text.iter().for_each(|part| out.log.extend_from_slice(part));
        out.log.push(b'\n');
        self.counters.logged += 1;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// What every turn ends with, whatever its input was.
    fn finish_turn(&mut self, now: Time, lines: &[u8], out: &mut Outputs) {
        self.send_own(now, out);
        self.begin_sample(now);
        self.tend_links(now, out);
        self.settle_paths(now);
        self.tend_repair(now, out);
        self.put_record(now, lines, out);
        self.begin_sync(now, out);
        self.tell_watermarks(now, out);
        self.serve(out);
        self.tend_sums(now, out);
        self.tend_upkeep(now, out);
        if self.release || self.overdue_at.is_some_and(|at| at <= now) {
            self.release_answers(now, out);
        }
        self.close_idle_clients(now, out);
        self.go_on_stopping(now, out);
        let clients_wait = self.stopping.is_some() || self.window_is_full(now);
        out.read_clients = if clients_wait { 0 } else { self.client_read_max() };
        out.read_peers = self.has_room_for_peers(now);
        out.wake_at = self.next_deadline(now);
    }

    fn next_deadline(&mut self, now: Time) -> Option<Time> {
        let stop = self.stopping.map(|s| s.deadline);
        let sync = self.sync.at.filter(|_| self.sync.syncing.is_none());
        let window = self.own.window_until;
        let mark = self.mark_at.filter(|_| !self.journal.is_marking());
        let dues = [
            [self.links_deadline(), self.tell_at, self.tell_all_at, self.overdue_at, self.repair_at],
            [sync, mark, self.journal.deadline(now), self.upkeep_at, self.paths_deadline(now)],
            [self.idle_at, stop, window, self.sums.deadline(), None],
        ];
        dues.as_flattened().iter().copied().flatten().min().map(|at| at.max(now))
    }

    /// Asks for a sync if somebody waits for one, or it is time.
    fn begin_sync(&mut self, now: Time, out: &mut Outputs) {
        let sync = &mut self.sync;
        if sync.written == sync.covered() {
            return;
        }
        let is_much = self.journal.uncovered_bytes() >= SYNC_MUCH_BYTES;
        let within = if is_much { SYNC_MUCH_WITHIN } else { SYNC_WITHIN };
        let at = *sync.since.get_or_insert(now) + within;
        sync.at = Some(at);
        if sync.syncing.is_none() && (sync.urgent || at <= now) {
            let written = Some(sync.written);
            *sync = Sync { syncing: written, begun: now, urgent: false, since: None, at: None, ..*sync };
            self.streams.sync_begins();
            self.journal.sync_begins();
            self.sync_own_begins();
            out.sync = true;
        }
    }

    fn synced(&mut self, now: Time, out: &mut Outputs) {
        let Some(written) = self.sync.syncing.take() else { return };
        self.sync.synced = written;
        self.sync.times.add(now - self.sync.begun);
        // Not before this life's first head, which does not follow them, is certain.
        out.release.append(&mut self.dead);
        self.release = true;
        self.journal.sync_ends();
        let mut raised = core::mem::take(&mut self.raised);
        self.streams.sync_ends(|stream| raised.push(stream));
        for stream in raised.drain(..) {
            self.watermark_rose(now, stream);
            self.feed_synced(stream);
        }
        self.raised = raised;
        self.sync_own_ends(now, out);
    }

    /// access.log takes no lines, or takes them again.
    fn log_held(&mut self, is_held: bool) {
        self.log_is_held = is_held;
        self.release |= !is_held;
    }

    /// New settings hold at once, also for what was due by the old ones.
    fn reconfigure(&mut self, now: Time, settings: Settings) {
        self.settings = settings;
        self.idle_at = self.idle_at.map(|at| at.min(now + self.idle_pause()));
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

    /// The last words of a node: what it has counted.
    fn account(&mut self, out: &mut Outputs) {
        let Counters { taken, logged, relayed, repeats, given_up, refused, diverged, unproved } =
            self.counters;
        out.report(
            Severity::Info,
            Source::Node,
            format_args!(
                "COUNTED taken={taken} logged={logged} relayed={relayed} repeats={repeats} given_up={given_up} \
                 refused={refused} diverged={diverged} unproved={unproved}"
            ),
        );
    }

    fn close_idle_clients(&mut self, now: Time, out: &mut Outputs) {
        if self.idle_at.is_none_or(|at| at > now) {
            return;
        }
        self.idle_at = (self.clients.len() > 0).then(|| now + self.idle_pause());
        self.close_clients_idle_since(now, out);
    }

    /// Watches for idle clients from now on, if nobody does.
    pub(crate) fn watch_idle(&mut self, now: Time) {
        let at = now + self.idle_pause();
        self.idle_at.get_or_insert(at);
    }

    /// How often idle clients are looked for.
    fn idle_pause(&self) -> Duration {
        self.settings.client_idle.min(self.settings.first_byte) / 8
    }
}
