//! The owner: the node, its connections and its logs, all on one thread.
//!
//! Whatever happens becomes one [`Input`]; the node handles it; [`Daemon::perform`] carries out what the node
//! wants, in the order that [`pzog::event`] lays down, in the same turn. No borrow of the daemon crosses an await.

use crate::access_log::AccessLog;
use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::connection::{Connection, Kind, Phase};
use crate::connections::Connections;
use crate::dialer::{self, Dialer};
use crate::door::{self, Door};
use crate::error_log::ErrorLog;
use crate::failure::Task;
use crate::held::Held;
use crate::journal::Journal;
use crate::reports::Reports;
use crate::rt::{self, Async};
use crate::segments::{self, Segments};
use crate::tls::{self, Tls};
use crate::tokens::{self, Tokens};
use crate::{gather, half_open, halt, http, rotate, serve, sync};
use pzog::limits::{LINE_MAX, READS_IN_SEGMENT};
use pzog::{ConnId, HostIndex, Input, Node, Now, Outputs, Severity, Slice, Source};
use ringfile::RingFile;
use std::cell::RefCell;
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::Duration;

/// Bytes of one read; larger reads make larger turns, each with one write to every file and link.
const READ_MAX: usize = 256 << 10;

/// The same of a client: its messages get heads, with which they are as long as what a peer is read.
const CLIENT_READ_MAX: usize = READ_MAX / 2;

/// The daemon as its tasks share it.
pub(crate) type Shared = Rc<RefCell<Daemon>>;

/// Whose connections are read.
#[derive(Clone, Copy)]
struct Reads {
    /// Bytes at one time.
    clients: usize,
    peers: bool,
}

/// All state of a running daemon.
pub(crate) struct Daemon {
    /// For the tasks that turns start.
    shared: Weak<RefCell<Daemon>>,
    pub(crate) clock: Clock,
    node: Node,
    /// Not here while they are carried out. Boxed, since they are long, and go to and fro in each turn.
    outputs: Option<Box<Outputs>>,
    /// Shared by all connections: each keeps only its unfinished line.
    read_buffer: Vec<u8>,
    /// Bytes of one read.
    read_max: usize,
    pub(crate) connections: Connections,
    pub(crate) door: Door,
    /// For links, see [`half_open`].
    peer_silence: Duration,
    /// Connections that wait until reading is allowed.
    parked: Vec<ConnId>,
    /// Whether the node wants them read.
    reads: Reads,
    pub(crate) journal: Journal,
    pub(crate) segments: Segments,
    pub(crate) access_log: AccessLog,
    pub(crate) held: Held,
    pub(crate) reports: Reports,
    pub(crate) dialer: Dialer,
    pub(crate) alarm: Alarm,
    /// What links are protected with, if they are.
    pub(crate) tls: Option<Rc<Tls>>,
    /// Whether the node has reached its orderly end.
    pub(crate) is_stopped: bool,
    /// Whether the journal or access.log has failed: the node is not asked any more, see [`crate::failure`].
    pub(crate) has_failed: bool,
    /// What has failed since it went well last.
    pub(crate) failing: Vec<Task>,
    /// Peers that take no more, which the node is to be told.
    blocked: Vec<ConnId>,
    /// Who waits for the end, see [`crate::stop`] …
    watcher: Option<Waker>,
    /// … or for a failure.
    failure_watcher: Option<Waker>,
}

impl Daemon {
    /// A daemon at rest; [`Input::Deadline`] sets it going. From now on this thread's sockets are served by it.
    pub(crate) fn new(
        file: &RingFile,
        me: HostIndex,
        node: Node,
        journal: Journal,
        access_log: AccessLog,
        error_log: ErrorLog,
        door: Door,
    ) -> Shared {
        Rc::new_cyclic(|shared| {
            serve::begin(shared.clone());
            RefCell::new(Daemon {
                shared: shared.clone(),
                clock: Clock::new(),
                node,
                outputs: Some(Box::new(Outputs::with_room(CLIENT_READ_MAX))),
                read_buffer: vec![0; READ_MAX + LINE_MAX],
                read_max: read_max(file),
                connections: Connections::default(),
                door,
                peer_silence: file.settings.peer_silence,
                parked: Vec::new(),
                reads: Reads { clients: CLIENT_READ_MAX, peers: true },
                journal,
                segments: Segments::new(file.keep_free),
                access_log,
                held: Held::default(),
                reports: Reports::new(error_log, &file.ring(), me),
                dialer: Dialer::new(file),
                alarm: Alarm::default(),
                tls: None,
                is_stopped: false,
                has_failed: false,
                failing: Vec::new(),
                blocked: Vec::new(),
                watcher: None,
                failure_watcher: None,
            })
        })
    }

    /// The daemon for a task that a turn starts. Tasks live no longer than the daemon.
    pub(crate) fn shared(&self) -> Option<Shared> {
        self.shared.upgrade()
    }

    /// One turn for an input without bytes of its own that matter to the outputs.
    pub(crate) fn turn(&mut self, input: Input<'_>) {
        if self.has_failed {
            return;
        }
        let now = self.clock.now();
        self.node.handle(now, input, self.outputs.get_or_insert_default());
        self.perform(now, &[]);
        self.after_turn(now);
    }

    /// What is only known once a turn is carried out.
    fn after_turn(&mut self, now: Now) {
        halt::tell_node(self);
        while let Some(conn) = self.blocked.pop() {
            self.turn(Input::Blocked { conn });
        }
        rotate::if_due(self, now.utc_seconds);
    }

    /// One turn for a piece of the journal that was read.
    pub(crate) fn journal_read(&mut self, id: u32, bytes: &mut [u8]) {
        if self.has_failed {
            return;
        }
        let now = self.clock.now();
        self.node.handle(now, Input::JournalRead { id, bytes }, self.outputs.get_or_insert_default());
        self.perform(now, bytes);
        self.after_turn(now);
    }

    /// Takes a new connection in, which is served from now on.
    pub(crate) fn connected(&mut self, socket: Async<TcpStream>, kind: Kind, address: SocketAddr) -> ConnId {
        let tcp = socket.get_ref();
        let set = tcp.set_nodelay(true).and_then(|()| half_open::watch(tcp, kind, self.peer_silence));
        if let Err(e) = set {
            log::debug!("{address}: cannot set options of TCP: {e}");
        }
        let mut connection = Connection::new(socket, kind, address);
        self.protect(&mut connection);
        let conn = self.connections.insert(connection);
        if let Some(connection) = self.connections.get(conn) {
            connection.serve_as(conn);
        }
        self.turn(match kind {
            Kind::Client => Input::ClientConnected { conn },
            Kind::Peer(None) => Input::PeerAccepted { conn },
            Kind::Peer(Some(host)) => Input::PeerDialed { conn, host },
        });
        conn
    }

    /// A connection that ought to be protected and cannot be is over.
    fn protect(&mut self, connection: &mut Connection) {
        if let Some(Err(why)) = self.tls.as_ref().map(|tls| tls.protect(connection)) {
            connection.end();
            let utc_seconds = self.clock.now().utc_seconds;
            self.reports.connection(utc_seconds, Severity::Error, connection, &why);
        }
    }

    /// Whether this connection may be read now; if not, it is served when it may.
    pub(crate) fn may_read(&mut self, conn: ConnId) -> bool {
        let Some(connection) = self.connections.get_mut(conn) else { return false };
        let is_allowed = match connection.kind {
            Kind::Client => self.reads.clients > 0 && !self.held.has(conn),
            Kind::Peer(_) => self.reads.peers && !self.access_log.is_held(),
        };
        if is_allowed {
            return true;
        }
        if !mem::replace(&mut connection.is_parked, true) {
            self.parked.push(conn);
        }
        false
    }

    /// Serves those that wait to be read: perhaps they may now.
    pub(crate) fn unpark(&mut self) {
        for conn in self.parked.drain(..) {
            if let Some(connection) = self.connections.get_mut(conn) {
                connection.is_parked = false;
                connection.wake();
            }
        }
    }

    /// Reads once and takes a turn with it: the unfinished line in front, the read behind it.
    pub(crate) fn read(&mut self, conn: ConnId) {
        let mut buffer = mem::take(&mut self.read_buffer);
        if let Some(connection) = self.connections.get_mut(conn) {
            let kept = connection.tail.len();
            buffer[..kept].copy_from_slice(&connection.tail);
            let max = match connection.kind {
                Kind::Client => {
                    let bound = self.door.client_read_max(connection.is_suspect);
                    self.read_max.min(self.reads.clients).min(bound)
                }
                Kind::Peer(_) => self.read_max,
            };
            let mut read = connection.read(&mut buffer[kept..][..max]);
            if let (true, Some(came)) = (connection.is_new, read) {
                read = tls::meet(self, conn, &mut buffer[..max], came);
            }
            self.hear(conn, &mut buffer, kept, read);
        }
        self.read_buffer = buffer;
    }

    /// What came of a connection, if anything did, stands in the buffer behind its unfinished line.
    fn hear(&mut self, conn: ConnId, buffer: &mut [u8], kept: usize, read: Option<usize>) {
        if let Some(connection) = self.connections.get_mut(conn) {
            let (kind, phase, is_trusted) = (connection.kind, connection.phase, connection.is_trusted);
            if let Some(news) = connection.take_news() {
                tls::tell(self, conn, &news);
            }
            if let Some(read) = read {
                let bytes = &mut buffer[..kept + read];
                if is_trusted {
                    self.lines(conn, kind, bytes);
                } else if let Some(begin) = tokens::check(self, conn, bytes) {
                    self.lines(conn, kind, &mut bytes[begin..]);
                }
            } else if phase == Phase::Finished {
                self.finished(conn);
            }
        }
    }

    /// A client has shut its end.
    fn finished(&mut self, conn: ConnId) {
        let rest = self.connections.get_mut(conn).map(Connection::take_tail).unwrap_or_default();
        self.turn(Input::ClientFinished { conn, rest: &rest });
    }

    fn lines(&mut self, conn: ConnId, kind: Kind, bytes: &mut [u8]) {
        if self.has_failed {
            return;
        }
        let now = self.clock.now();
        let input = match kind {
            Kind::Client => Input::ClientLines { conn, bytes },
            Kind::Peer(_) => Input::PeerLines { conn, bytes },
        };
        let refused_before = self.node.counters().refused;
        let consumed = self.node.handle(now, input, self.outputs.get_or_insert_default());
        self.perform(now, bytes);
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.tail.clear();
            connection.tail.extend_from_slice(&bytes[consumed..]);
            connection.is_greeted |= consumed > 0;
            let refused = self.node.counters().refused - refused_before;
            if kind == Kind::Client && (refused > 0 || connection.is_suspect || self.door.counts_lines()) {
                door::charge(self, conn, refused, &bytes[..consumed]);
            }
        }
        self.after_turn(now);
    }

    /// Reads once and forgets it.
    pub(crate) fn discard(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.read(&mut self.read_buffer);
        }
    }

    /// Tells the node that a connection is over; then its index is free.
    pub(crate) fn ended(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let (kind, address) = (connection.kind, connection.address);
        let rest = connection.take_tail();
        let input = match kind {
            Kind::Client => Input::ClientClosed { conn, rest: &rest },
            Kind::Peer(_) => Input::PeerClosed { conn, rest: &rest },
        };
        self.turn(input);
        self.held.forget(conn);
        self.connections.remove(conn);
        if matches!(kind, Kind::Client | Kind::Peer(None)) {
            self.door.left(kind, address.ip(), conn);
        }
    }

    /// From now on this task is woken at a failure.
    pub(crate) fn watch_failure(&mut self, waker: &Waker) {
        self.failure_watcher = Some(waker.clone());
    }

    /// Wakes whoever waits for the end.
    pub(crate) fn progress(&mut self) {
        if let Some(watcher) = self.failure_watcher.as_ref().filter(|_| self.has_failed) {
            watcher.wake_by_ref();
        }
        if let Some(watcher) = &self.watcher {
            watcher.wake_by_ref();
        }
    }

    /// From now on this task is woken when something has gone on.
    pub(crate) fn watch(&mut self, waker: &Waker) {
        self.watcher = Some(waker.clone());
    }

    fn perform(&mut self, now: Now, input: &[u8]) {
        let Some(mut outputs) = self.outputs.take() else { return };
        // What is for one connection stands together then, in its order, and is one write.
        outputs.forward.sort_by_key(|(conn, _)| *conn);
        self.send(&outputs.forward, &outputs, input);
        match self.journal.append(&outputs, input) {
            Ok(()) => self.carry_out(now, &mut outputs, input),
            Err(e) => self.fail("the journal cannot be written", &e),
        }
        self.outputs = Some(outputs);
    }

    fn carry_out(&mut self, now: Now, outputs: &mut Outputs, input: &[u8]) {
        outputs.send.sort_by_key(|(conn, _)| *conn);
        outputs.answer.sort_by_key(|(conn, _)| *conn);
        if outputs.sync {
            sync::journal(self); // the disk begins while the rest is done
        }
        self.send(&outputs.send, outputs, input);
        self.write_log(&outputs.log);
        halt::answer(self, outputs, input);
        halt::mark(self, outputs.mark);
        self.dial(&outputs.dial);
        halt::close(self, &outputs.close);
        self.report(now, outputs);
        segments::keep(self, outputs);
        self.alarm.set(outputs.wake_at);
        let clients = CLIENT_READ_MAX.min(outputs.read_clients as usize);
        let before = mem::replace(&mut self.reads, Reads { clients, peers: outputs.read_peers });
        if self.reads.clients > 0 && before.clients == 0 || self.reads.peers && !before.peers {
            self.unpark();
        }
        self.is_stopped |= outputs.stopped;
        self.progress();
    }

    pub(crate) fn send(&mut self, slices: &[(ConnId, Slice)], outputs: &Outputs, input: &[u8]) {
        for run in slices.chunk_by(|a, b| a.0 == b.0) {
            let conn = run[0].0;
            let Some(connection) = self.connections.get_mut(conn) else { continue };
            gather::send(connection, run, outputs, input);
            if connection.kind != Kind::Client && !connection.is_flushed() && !connection.is_blocked {
                connection.is_blocked = true;
                self.blocked.push(conn);
            }
            if connection.is_clogged() {
                connection.end();
                self.reports.connection(
                    self.clock.now().utc_seconds,
                    Severity::Warning,
                    connection,
                    "CLOSED: it takes nothing, and 64 MiB wait for it",
                );
            }
        }
    }

    fn write_log(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        if let Err(e) = self.access_log.write(lines) {
            halt::begin(self, &e);
        }
    }

    fn dial(&mut self, hosts: &[HostIndex]) {
        for host in hosts {
            if let Some(shared) = self.shared() {
                rt::spawn(dialer::dial(shared, *host));
            }
        }
    }

    fn report(&mut self, now: Now, outputs: &Outputs) {
        for report in &outputs.report {
            let text = String::from_utf8_lossy(&outputs.small[report.text.range()]);
            let (utc, severity) = (now.utc_seconds, report.severity);
            match report.source {
                Source::Node => self.reports.node(utc, severity, text),
                Source::Host(host) => self.reports.host(utc, severity, host, text),
                Source::Conn(conn) => match self.connections.get(conn) {
                    Some(connection) => self.reports.connection(utc, severity, connection, &text),
                    None => self.reports.node(utc, severity, text),
                },
            }
        }
        self.write_reports(now.utc_seconds);
    }

    /// Brings what was reported to error.log.
    pub(crate) fn write_reports(&mut self, utc_seconds: u64) {
        self.reports.write(utc_seconds, &self.shared);
    }

    /// New settings for the node.
    pub(crate) fn reconfigure(&mut self, file: &RingFile, tokens: Option<Tokens>) {
        self.read_max = read_max(file);
        self.segments.keep_free = file.keep_free;
        self.peer_silence = file.settings.peer_silence;
        self.door.configure(file, tokens);
        self.turn(Input::Reconfigured { settings: file.settings });
    }

    /// What whoever watches may know.
    pub(crate) fn seen(&self) -> http::Life {
        http::Life {
            view: self.node.view(self.clock.mono()),
            reads_clients: self.reads.clients > 0,
            is_below_floor: self.segments.is_below_floor,
            held_bytes: self.access_log.held_bytes() as u64,
            connections_refused: self.door.refusals.each().collect(),
            cert_expires_at: self.tls.as_ref().map(|tls| tls.expires_at()),
        }
    }

    /// Closes all connections, in order: what was sent is still written.
    pub(crate) fn close_all(&mut self) {
        self.connections.iter_mut().for_each(Connection::close);
    }

    /// Whether nothing waits to be written any more.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.access_log.is_held()
            && self.connections.iter().all(|c| c.phase == Phase::Ended || c.is_flushed())
    }
}

fn read_max(file: &RingFile) -> usize {
    READ_MAX.min(file.settings.segment_bytes as usize / READS_IN_SEGMENT as usize)
}
