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
use crate::error_log::ErrorLog;
use crate::held::Held;
use crate::reports::Reports;
use crate::rt::{self, Async};
use crate::{gather, halt, serve, sync};
use pzog::limits::LINE_MAX;
use pzog::{ConnId, HostIndex, Input, Node, Now, Outputs, Severity, Slice, Source};
use ringfile::RingFile;
use std::cell::RefCell;
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::rc::{Rc, Weak};
use std::task::Waker;

/// Bytes of one read; larger reads make larger turns, each with one write to every file and link.
const READ_MAX: usize = 256 << 10;

/// The daemon as its tasks share it.
pub(crate) type Shared = Rc<RefCell<Daemon>>;

/// All state of a running daemon.
pub(crate) struct Daemon {
    /// For the tasks that turns start.
    shared: Weak<RefCell<Daemon>>,
    pub(crate) clock: Clock,
    node: Node,
    outputs: Outputs,
    /// Shared by all connections: each keeps only its unfinished line.
    read_buffer: Vec<u8>,
    pub(crate) connections: Connections,
    /// Connections whose tasks wait until reading is allowed.
    parked: Vec<ConnId>,
    read_clients: bool,
    pub(crate) access_log: AccessLog,
    pub(crate) held: Held,
    pub(crate) reports: Reports,
    pub(crate) dialer: Dialer,
    pub(crate) alarm: Alarm,
    /// Whether the node has reached its orderly end.
    pub(crate) is_stopped: bool,
    /// Who waits for the end, see [`crate::stop`].
    watcher: Option<Waker>,
}

impl Daemon {
    /// A daemon at rest; [`Input::Deadline`] sets it going.
    pub(crate) fn new(
        file: &RingFile,
        me: HostIndex,
        node: Node,
        access_log: AccessLog,
        error_log: ErrorLog,
    ) -> Shared {
        Rc::new_cyclic(|shared| {
            RefCell::new(Daemon {
                shared: shared.clone(),
                clock: Clock::new(),
                node,
                outputs: Outputs::default(),
                read_buffer: vec![0; READ_MAX + LINE_MAX],
                connections: Connections::default(),
                parked: Vec::new(),
                read_clients: true,
                access_log,
                held: Held::default(),
                reports: Reports::new(error_log, &file.ring(), me),
                dialer: Dialer::new(file),
                alarm: Alarm::default(),
                is_stopped: false,
                watcher: None,
            })
        })
    }

    /// The daemon for a task that a turn starts. Tasks live no longer than the daemon.
    pub(crate) fn shared(&self) -> Option<Shared> {
        self.shared.upgrade()
    }

    /// One turn for an input without bytes of its own that matter to the outputs.
    pub(crate) fn turn(&mut self, input: Input<'_>) {
        let now = self.clock.now();
        self.node.handle(now, input, &mut self.outputs);
        self.perform(now, &[]);
    }

    /// Takes a new connection in and starts its task.
    pub(crate) fn connected(&mut self, socket: Async<TcpStream>, kind: Kind, address: SocketAddr) {
        if let Err(e) = socket.get_ref().set_nodelay(true) {
            log::debug!("{address}: cannot set TCP_NODELAY: {e}");
        }
        let conn = self.connections.insert(Connection::new(socket, kind, address));
        if let Some(shared) = self.shared() {
            rt::spawn(serve::serve(shared, conn));
        }
        self.turn(match kind {
            Kind::Client => Input::ClientConnected { conn },
            Kind::Peer(None) => Input::PeerAccepted { conn },
            Kind::Peer(Some(host)) => Input::PeerDialed { conn, host },
        });
    }

    /// Whether this connection may be read now; if not, its task is woken when it may.
    pub(crate) fn may_read(&mut self, conn: ConnId) -> bool {
        let is_allowed = !self.access_log.is_held();
        let Some(connection) = self.connections.get_mut(conn) else { return false };
        if is_allowed && (self.read_clients || connection.kind != Kind::Client) {
            return true;
        }
        if !mem::replace(&mut connection.is_parked, true) {
            self.parked.push(conn);
        }
        false
    }

    /// Lets the tasks that wait for it look again whether they may read.
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
            if let Some(read) = connection.read(&mut buffer[kept..]) {
                let kind = connection.kind;
                self.lines(conn, kind, &mut buffer[..kept + read]);
            } else if connection.phase == Phase::Finished {
                let rest = connection.take_tail();
                self.turn(Input::ClientFinished { conn, rest: &rest });
            }
        }
        self.read_buffer = buffer;
    }

    fn lines(&mut self, conn: ConnId, kind: Kind, bytes: &mut [u8]) {
        let now = self.clock.now();
        let input = match kind {
            Kind::Client => Input::ClientLines { conn, bytes },
            Kind::Peer(_) => Input::PeerLines { conn, bytes },
        };
        let consumed = self.node.handle(now, input, &mut self.outputs);
        self.perform(now, bytes);
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.tail.clear();
            connection.tail.extend_from_slice(&bytes[consumed..]);
        }
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
        let rest = connection.take_tail();
        let input = match connection.kind {
            Kind::Client => Input::ClientClosed { conn, rest: &rest },
            Kind::Peer(_) => Input::PeerClosed { conn, rest: &rest },
        };
        self.turn(input);
        self.held.forget(conn);
        self.connections.remove(conn);
    }

    /// Wakes whoever waits for the end.
    pub(crate) fn progress(&mut self) {
        if let Some(watcher) = &self.watcher {
            watcher.wake_by_ref();
        }
    }

    /// From now on this task is woken when something has gone on.
    pub(crate) fn watch(&mut self, waker: &Waker) {
        self.watcher = Some(waker.clone());
    }

    fn perform(&mut self, now: Now, input: &[u8]) {
        let mut outputs = mem::take(&mut self.outputs);
        // What is for one connection stands together then, in its order, and is one write.
        outputs.send.sort_by_key(|(conn, _)| *conn);
        outputs.answer.sort_by_key(|(conn, _)| *conn);
        self.send(&outputs.send, &outputs, input);
        self.write_log(now, &outputs.log);
        self.answer(&outputs, input);
        self.sync(outputs.sync);
        self.dial(&outputs.dial);
        self.close(&outputs.close);
        self.report(now, &outputs);
        self.alarm.set(outputs.wake_at);
        if outputs.read_clients && !mem::replace(&mut self.read_clients, outputs.read_clients) {
            self.unpark();
        }
        self.read_clients = outputs.read_clients;
        self.is_stopped |= outputs.stopped;
        self.outputs = outputs;
        self.progress();
    }

    fn send(&mut self, slices: &[(ConnId, Slice)], outputs: &Outputs, input: &[u8]) {
        for run in slices.chunk_by(|a, b| a.0 == b.0) {
            let conn = run[0].0;
            let Some(connection) = self.connections.get_mut(conn) else { continue };
            gather::send(connection, run, outputs, input);
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

    fn write_log(&mut self, now: Now, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        if let Err(e) = self.access_log.write(lines, now.utc_seconds) {
            halt::begin(self, &e);
        }
    }

    fn answer(&mut self, outputs: &Outputs, input: &[u8]) {
        if self.access_log.is_held() {
            let copies =
                outputs.answer.iter().map(|(conn, slice)| (*conn, gather::copy(*slice, outputs, input)));
            self.held.answers.extend(copies);
        } else {
            self.send(&outputs.answer, outputs, input);
        }
    }

    fn sync(&mut self, is_wanted: bool) {
        if !is_wanted {
            return;
        }
        if self.access_log.is_held() {
            self.held.sync = true;
        } else {
            sync::start(self);
        }
    }

    fn dial(&mut self, hosts: &[HostIndex]) {
        for host in hosts {
            if let Some(shared) = self.shared() {
                rt::spawn(dialer::dial(shared, *host));
            }
        }
    }

    fn close(&mut self, conns: &[ConnId]) {
        for conn in conns {
            if self.access_log.is_held() {
                self.held.closes.push(*conn);
            } else if let Some(connection) = self.connections.get_mut(*conn) {
                connection.close();
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
        self.reports.write(now.utc_seconds, &self.shared);
    }

    /// New settings for the node.
    pub(crate) fn reconfigure(&mut self, file: &RingFile) {
        self.turn(Input::Reconfigured { settings: file.settings });
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
