//! A ring of nodes in memory, on a network and disks that do everything at once. Some inputs of one host are watched:
//! the calls of [`Node::handle`] with them are what a step measures.

use crate::meter::measure;
use pzog::journal::Recovered;
use pzog::{
    ConnId, HostIndex, Identity, Input, Level, LogFile, Node, Now, Outputs, Prepare, Read, Ring, Scheme,
    Settings, Time,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Which inputs are measured.
pub(crate) type Watch = fn(&Input<'_>) -> bool;

/// The client of every host; connections of the ring port have the numbers above.
const CLIENT: ConnId = ConnId(0);
/// access.log, whose length nobody looks at here.
const LOG: LogFile = LogFile { device: 0, inode: 1, bytes: 0 };
/// What a daemon reads at once at most.
const READ_MAX: usize = 256 << 10;
/// Between two turns of a step, in microseconds: as at 1 000 messages a second.
const PAUSE: u64 = 1000;

struct Host {
    node: Node,
    out: Outputs,
    /// The segments of its journal.
    files: BTreeMap<u64, Vec<u8>>,
    /// The other ends of its connections: host and number there.
    far: BTreeMap<ConnId, (usize, ConnId)>,
    /// What has come on each connection and was not consumed.
    arrived: BTreeMap<ConnId, Vec<u8>>,
    wake_at: Option<Time>,
    logged: u64,
}

/// What happens to a host next.
enum Event {
    Accepted(ConnId),
    Dialed(ConnId, HostIndex),
    Arrived(ConnId),
    Closed(ConnId),
    Prepared,
    Synced,
    Marked,
    Read(Read),
}

pub(crate) struct World {
    hosts: Vec<Host>,
    events: VecDeque<(usize, Event)>,
    now: Time,
    connections: u32,
    watched: Option<(usize, Watch)>,
    /// How many bytes between hosts were dropped, if they are.
    dropped: Option<usize>,
    spent: Duration,
}

impl World {
    /// A ring of so many hosts, all linked, with a client at the first.
    pub(crate) fn new(hosts: usize, ack: Level) -> World {
        let names: Vec<String> = ["MV", "PA", "G", "LA", "S"].map(str::to_owned)[..hosts].to_vec();
        let ring = Ring::new(names, Scheme::Receiver).expect("these names make a ring");
        let settings = Settings { ack, ..Settings::default() };
        let mut world = World {
            hosts: ring.hosts().map(|me| Host::new(&ring, me, settings)).collect(),
            events: VecDeque::new(),
            now: Time(1),
            connections: 0,
            watched: None,
            dropped: None,
            spent: Duration::ZERO,
        };
        for host in 0..hosts {
            world.turn(host, &mut [], |_| Input::LogOpened { log: LOG });
            world.turn(host, &mut [], |_| Input::Deadline);
        }
        world.turn(0, &mut [], |_| Input::ClientConnected { conn: CLIENT });
        for _ in 0..3000 {
            world.pass(); // the hosts dial and greet each other
        }
        world
    }

    /// From now on these inputs of this host are measured.
    pub(crate) fn watch(&mut self, host: usize, watch: Watch) {
        self.watched = Some((host, watch));
    }

    /// What the watched inputs took since this was asked last.
    pub(crate) fn take_spent(&mut self) -> Duration {
        std::mem::take(&mut self.spent)
    }

    /// From now on bytes between hosts are dropped; returns how many were since this was called last.
    pub(crate) fn drop_sent(&mut self) -> usize {
        self.dropped.replace(0).unwrap_or_default()
    }

    /// Lines that a host has written to access.log.
    pub(crate) fn logged(&self, host: usize) -> u64 {
        self.hosts[host].logged
    }

    /// The journal of a host.
    pub(crate) fn journal(&self, host: usize) -> &BTreeMap<u64, Vec<u8>> {
        &self.hosts[host].files
    }

    /// The client of the first host says these lines, and all that comes of it happens.
    pub(crate) fn say(&mut self, lines: &[u8]) {
        self.hosts[0].arrived.entry(CLIENT).or_default().extend_from_slice(lines);
        self.events.push_back((0, Event::Arrived(CLIENT)));
        self.settle();
        self.pass();
    }

    /// The first host hears these lines from the second, and all that comes of it happens.
    pub(crate) fn tell(&mut self, lines: &[u8]) {
        let mut links = self.hosts[0].far.iter();
        let conn = *links.find(|(_, (host, _))| *host == 1).expect("they are linked").0;
        self.hosts[0].arrived.entry(conn).or_default().extend_from_slice(lines);
        self.events.push_back((0, Event::Arrived(conn)));
        self.settle();
    }

    /// Some time passes.
    fn pass(&mut self) {
        self.now = Time(self.now.0 + PAUSE);
        for host in 0..self.hosts.len() {
            if self.hosts[host].wake_at.is_some_and(|at| at <= self.now) {
                self.turn(host, &mut [], |_| Input::Deadline);
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        while let Some((host, event)) = self.events.pop_front() {
            match event {
                Event::Accepted(conn) => self.turn(host, &mut [], |_| Input::PeerAccepted { conn }),
                Event::Dialed(conn, to) => self.turn(host, &mut [], |_| Input::PeerDialed { conn, host: to }),
                Event::Arrived(conn) => self.arrived(host, conn),
                Event::Closed(conn) => self.closed(host, conn),
                Event::Prepared => self.turn(host, &mut [], |_| Input::Prepared { ok: true }),
                Event::Synced => self.turn(host, &mut [], |_| Input::Synced),
                Event::Marked => self.turn(host, &mut [], |_| Input::Marked { log: LOG }),
                Event::Read(read) => self.read(host, read),
            };
        }
    }

    fn arrived(&mut self, host: usize, conn: ConnId) -> usize {
        let mut bytes = std::mem::take(self.hosts[host].arrived.entry(conn).or_default());
        let given = bytes.len().min(READ_MAX);
        let consumed = if conn == CLIENT {
            self.turn(host, &mut bytes[..given], |bytes| Input::ClientLines { conn, bytes })
        } else if self.hosts[host].far.contains_key(&conn) {
            self.turn(host, &mut bytes[..given], |bytes| Input::PeerLines { conn, bytes })
        } else {
            bytes.len() // it was closed meanwhile
        };
        bytes.drain(..consumed);
        if consumed > 0 && !bytes.is_empty() {
            self.events.push_back((host, Event::Arrived(conn)));
        }
        self.hosts[host].arrived.insert(conn, bytes);
        consumed
    }

    /// Both ends of a connection end.
    fn closed(&mut self, host: usize, conn: ConnId) -> usize {
        let Some((far, far_conn)) = self.hosts[host].far.remove(&conn) else { return 0 };
        self.events.push_back((far, Event::Closed(far_conn)));
        self.turn(host, &mut [], |_| Input::PeerClosed { conn, rest: b"" })
    }

    fn read(&mut self, host: usize, Read { id, at, bytes }: Read) -> usize {
        let file = &self.hosts[host].files[&at.segment];
        let start = at.offset as usize;
        let mut bytes = file[start..file.len().min(start + bytes as usize)].to_vec();
        self.turn(host, &mut bytes, |bytes| Input::JournalRead { id, bytes })
    }

    /// One turn of one host; returns how many bytes it consumed.
    fn turn(
        &mut self,
        host: usize,
        bytes: &mut [u8],
        input: impl for<'a> FnOnce(&'a mut [u8]) -> Input<'a>,
    ) -> usize {
        let now = Now { mono: self.now, utc_seconds: 1_795_229_502 };
        let Host { node, out, .. } = &mut self.hosts[host];
        let input = input(bytes);
        let consumed = match self.watched {
            Some((watched, watch)) if watched == host && watch(&input) => {
                let (consumed, spent) = measure(|| node.handle(now, input, out));
                self.spent += spent;
                consumed
            }
            _ => node.handle(now, input, out),
        };
        self.perform(host, bytes);
        consumed
    }

    fn perform(&mut self, host: usize, input: &[u8]) {
        let out = std::mem::take(&mut self.hosts[host].out);
        self.hosts[host].append(&out, input);
        self.hosts[host].wake_at = out.wake_at;
        self.hosts[host].logged += out.log.iter().filter(|b| **b == b'\n').count() as u64;
        self.send(host, &out, input);
        for to in &out.dial {
            self.connect(host, *to);
        }
        let prepared = out.prepare.iter().map(|_| Event::Prepared);
        let synced = out.sync.then_some(Event::Synced);
        let marked = out.mark.then_some(Event::Marked);
        let reads = out.read.iter().map(|read| Event::Read(*read));
        let closed = out.close.iter().map(|conn| Event::Closed(*conn));
        let next = prepared.chain(synced).chain(marked).chain(reads).chain(closed);
        self.events.extend(next.map(|event| (host, event)));
        self.hosts[host].out = out;
    }

    fn send(&mut self, host: usize, out: &Outputs, input: &[u8]) {
        for (conn, slice) in out.forward.iter().chain(&out.send) {
            let Some((far, far_conn)) = self.hosts[host].far.get(conn).copied() else { continue };
            let bytes = out.bytes(*slice, input);
            if let Some(dropped) = &mut self.dropped {
                *dropped += bytes.len();
                continue;
            }
            let waiting = self.hosts[far].arrived.entry(far_conn).or_default();
            if waiting.is_empty() {
                self.events.push_back((far, Event::Arrived(far_conn)));
            }
            waiting.extend_from_slice(bytes);
        }
    }

    fn connect(&mut self, host: usize, to: HostIndex) {
        let near = ConnId(self.connections + 1);
        let far = ConnId(self.connections + 2);
        self.connections += 2;
        self.hosts[host].far.insert(near, (to.index(), far));
        self.hosts[to.index()].far.insert(far, (host, near));
        self.events.push_back((to.index(), Event::Accepted(far)));
        self.events.push_back((host, Event::Dialed(near, to)));
    }
}

impl Host {
    fn new(ring: &Ring, me: HostIndex, settings: Settings) -> Host {
        let recovered = Recovered::default();
        let first = vec![0; settings.segment_bytes as usize];
        let files = BTreeMap::from([(recovered.first_segment(), first)]);
        let identity = Identity { ring: ring.clone(), me, incarnation: 1, process: 1, seed: 1 };
        Host {
            node: Node::new(identity, settings, recovered),
            out: Outputs::default(),
            files,
            far: BTreeMap::new(),
            arrived: BTreeMap::new(),
            wake_at: None,
            logged: 0,
        }
    }

    fn append(&mut self, out: &Outputs, input: &[u8]) {
        if let Some(Prepare { segment, bytes }) = &out.prepare {
            self.files.insert(*segment, vec![0; *bytes as usize]);
        }
        for segment in &out.release {
            self.files.remove(segment);
        }
        let mut at = out.append_at.offset as usize;
        for piece in &out.append {
            let bytes = out.bytes(*piece, input);
            let file = self.files.get_mut(&out.append_at.segment).expect("it was prepared");
            file[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        }
    }
}
