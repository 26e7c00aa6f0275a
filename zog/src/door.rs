//! Who is let in: bounds that keep the ring and good clients well, whatever strangers do.
//!
//! A connection that is refused never becomes one of the daemon's: it is told why, in one line, and is gone. What
//! costs more than it brings (lines that are refused) is waited for: its connection is not read meanwhile.

use crate::bucket::Bucket;
use crate::connection::{Connection, Kind, Phase};
use crate::connections::Connections;
use crate::daemon::{Daemon, Shared};
use crate::places::{self, Places};
use crate::refusals::{Refusals, Refused};
use crate::rt::{self, Async, Timer};
use crate::tls::Handshakes;
use crate::tokens::Tokens;
use futures_lite::future;
use pzog::{ConnId, Severity};
use ringfile::{Access, RingFile};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Connections to the ring port from the address of a host that have not said `HELLO`; one more takes the place of
/// the oldest, so that whoever holds them is not in the way of a host that says it at once.
const UNFINISHED_PER_HOST: usize = 2;

/// All connections to the ring port from the address of a host: those, a link, and one that takes its place. So many
/// for each other host are all that there are.
pub(crate) const CONNECTIONS_PER_HOST: usize = 4;

/// Lines a second that may be refused to one address; whoever sends more is read more slowly.
const REFUSED_PER_SECOND: u32 = 1000;

/// A token that is not known, or TLS that cannot be understood, costs its address as much as so many lines that are
/// refused: nobody tries many.
pub(crate) const STRANGER: u64 = 100;

/// Bytes of one read from whoever had lines refused: a turn with them costs much more than its bytes.
const SUSPECT_READ: usize = 4 << 10;

/// Bytes of one read for each line that is allowed in a second, and at least.
const LINE_READ: usize = 8;
const LINES_READ_MIN: usize = 512;

/// Connections that were refused, and have not yet taken what they were told; others do not hear it for certain.
pub(crate) const LINGERING_MAX: usize = 4;

/// They get so long.
const LINGER: Duration = Duration::from_secs(1);

/// error.log tells of the refusals of one address once in this time.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Addresses without a connection that are remembered.
const VISITORS_MAX: usize = 4096;

/// The bounds, and what counts against them.
pub(crate) struct Door {
    access: Access,
    pub(crate) places: Places,
    /// Clients must know one of them, if there are any.
    pub(crate) tokens: Option<Tokens>,
    /// Descriptors that are left for clients.
    descriptors: u32,
    clients_max: u32,
    clients: u32,
    /// On the ring port, oldest first.
    peers: Vec<ConnId>,
    visitors: HashMap<IpAddr, Visitor>,
    /// With so many visitors it is looked which can be forgotten.
    forget_at: usize,
    lingering: usize,
    pub(crate) refusals: Refusals,
    /// Of clients.
    pub(crate) handshakes: Handshakes,
}

/// What is known of an address.
#[derive(Default)]
struct Visitor {
    clients: u32,
    /// Lines that were refused.
    refused: Bucket,
    told_at: Option<Instant>,
    /// Connections that were refused since then.
    untold: u64,
}

impl Visitor {
    fn can_be_forgotten(&self, now: Instant) -> bool {
        self.clients == 0 && self.refused.is_full(now) && self.told_at.is_none_or(|at| at + TELL_EVERY <= now)
    }
}

impl Door {
    /// The door of the host that listens there for its peers, with so many descriptors for clients.
    pub(crate) fn new(file: &RingFile, own: IpAddr, tokens: Option<Tokens>, descriptors: u32) -> Door {
        Door {
            access: file.access.clone(),
            places: Places::new(file, own),
            tokens,
            descriptors,
            clients_max: file.settings.clients_max.min(descriptors),
            clients: 0,
            peers: Vec::new(),
            visitors: HashMap::new(),
            forget_at: VISITORS_MAX,
            lingering: 0,
            refusals: Refusals::default(),
            handshakes: Handshakes::default(),
        }
    }

    /// New settings.
    pub(crate) fn configure(&mut self, file: &RingFile, tokens: Option<Tokens>) {
        self.tokens = tokens;
        self.access = file.access.clone();
        self.places.configure(file.access.peers);
        self.clients_max = file.settings.clients_max.min(self.descriptors);
    }

    /// Bytes of one read from a client at most.
    pub(crate) fn client_read_max(&self, is_suspect: bool) -> usize {
        let worth = |lines: u32| (lines as usize * LINE_READ).max(LINES_READ_MIN);
        let bound = self.access.lines_per_second.map_or(usize::MAX, worth);
        if is_suspect { bound.min(SUSPECT_READ) } else { bound }
    }

    /// Whether the lines of clients are counted.
    pub(crate) fn counts_lines(&self) -> bool {
        self.access.lines_per_second.is_some()
    }

    /// Whether one more client may come from there.
    fn client(&mut self, ip: IpAddr) -> Result<(), Refused> {
        if self.clients >= self.clients_max {
            return Err(Refused::Clients);
        }
        let bound = self.access.of_one_address(self.clients_max);
        let has = self.visitors.get(&network(ip)).map_or(0, |visitor| visitor.clients);
        if has < bound { Ok(()) } else { Err(Refused::ClientsOfAddress) }
    }

    /// Whether one more peer may come from there, and in whose place.
    fn peer(&self, ip: IpAddr, connections: &Connections) -> Result<Option<ConnId>, Refused> {
        let hosts = self.places.hosts_at(ip);
        if hosts == 0 {
            return Err(Refused::Address);
        }
        let all = || self.peers.iter().filter_map(|conn| Some((*conn, connections.get(*conn)?)));
        let alive = || all().filter(|(_, c)| c.phase != Phase::Ended);
        let is_from_there = |c: &Connection| network(c.address.ip()) == network(ip);
        let from_there = || alive().filter(|(_, c)| is_from_there(c));
        let unfinished = || from_there().filter(|(_, c)| is_unfinished(c));
        if unfinished().count() >= UNFINISHED_PER_HOST * hosts {
            return Ok(unfinished().next().map(|(conn, _)| conn));
        }
        let is_full = alive().count() >= CONNECTIONS_PER_HOST * self.places.others();
        if !is_full && from_there().count() < CONNECTIONS_PER_HOST * hosts {
            return Ok(None);
        }
        let in_the_way = || alive().filter(|(_, c)| is_full || is_from_there(c));
        let leaving = in_the_way().find(|(_, c)| c.phase != Phase::Open);
        let replaced = leaving.or_else(|| in_the_way().find(|(_, c)| is_unfinished(c)));
        replaced.map(|(conn, _)| Some(conn)).ok_or(Refused::Links)
    }

    /// One more connection is here.
    fn entered(&mut self, kind: Kind, ip: IpAddr, conn: ConnId) {
        if kind == Kind::Client {
            self.visitor(ip).clients += 1;
            self.clients += 1;
        } else {
            self.peers.push(conn);
        }
    }

    /// A connection that came here has ended.
    pub(crate) fn left(&mut self, kind: Kind, ip: IpAddr, conn: ConnId) {
        if kind != Kind::Client {
            return self.peers.retain(|peer| *peer != conn);
        }
        self.clients -= 1;
        self.handshakes.ended(conn);
        if let Entry::Occupied(mut visitor) = self.visitors.entry(network(ip)) {
            visitor.get_mut().clients -= 1;
            if visitor.get().can_be_forgotten(Instant::now()) {
                visitor.remove();
            }
        }
    }

    fn visitor(&mut self, ip: IpAddr) -> &mut Visitor {
        if self.visitors.len() >= self.forget_at {
            let now = Instant::now();
            self.visitors.retain(|_, visitor| !visitor.can_be_forgotten(now));
            self.forget_at = VISITORS_MAX.max(2 * self.visitors.len());
        }
        self.visitors.entry(network(ip)).or_default()
    }

    /// Counts a refusal; what error.log is to be told of it.
    fn refuse(&mut self, refused: Refused, why: Option<&str>, ip: IpAddr, now: Instant) -> Option<String> {
        self.refusals.count(refused);
        let visitor = self.visitor(ip);
        if visitor.told_at.is_some_and(|at| now < at + TELL_EVERY) {
            visitor.untold += 1;
            return None;
        }
        visitor.told_at = Some(now);
        let reason = refused.reason();
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        Some(match std::mem::take(&mut visitor.untold) {
            0 => format!("NOT LET IN: {reason}{why}"),
            more => format!("NOT LET IN: {reason}{why}; {more} more were not since this was told last"),
        })
    }
}

/// Whether it has not said `HELLO`.
fn is_unfinished(connection: &Connection) -> bool {
    connection.phase == Phase::Open && !connection.is_greeted
}

/// What an address is counted as: one who has an IPv6 address mostly has 2^64 of them.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        ip => ip,
    }
}

/// Somebody has connected: takes the connection in, or turns it away.
pub(crate) fn arrived(daemon: &mut Daemon, socket: Async<TcpStream>, kind: Kind, address: SocketAddr) {
    let ip = address.ip().to_canonical();
    let admitted = match kind {
        Kind::Client => daemon.door.client(ip).map(|()| None),
        Kind::Peer(_) => daemon.door.peer(ip, &daemon.connections),
    };
    match admitted {
        Ok(replaced) => {
            if let Some(conn) = replaced {
                replace(daemon, conn, Refused::Handshakes);
            }
            let conn = daemon.connected(socket, kind, address);
            daemon.door.entered(kind, ip, conn);
            if let (Kind::Client, Some(connection)) = (kind, daemon.connections.get_mut(conn)) {
                let debt = daemon.door.visitor(ip).refused.rest(Instant::now());
                connection.is_suspect = debt.is_some();
                connection.is_trusted = daemon.door.tokens.is_none();
                let is_doubted = daemon.tls.is_some() || !connection.is_trusted;
                connection.rest_until = debt.filter(|_| is_doubted);
            }
        }
        Err(refused) => turn_away(daemon, socket, kind, address, refused),
    }
}

/// Ends a connection in whose place another one comes.
fn replace(daemon: &mut Daemon, conn: ConnId, refused: Refused) {
    let Some(connection) = daemon.connections.get_mut(conn) else { return };
    let (was_open, address, kind) = (connection.phase == Phase::Open, connection.address, connection.kind);
    connection.end();
    if was_open {
        tell(daemon, refused, None, kind, address);
    }
}

/// A client begins TLS.
pub(crate) fn shakes_hands(daemon: &mut Daemon, conn: ConnId) {
    let Some(connection) = daemon.connections.get(conn) else { return };
    let from = network(connection.address.ip());
    if let Some(oldest) = daemon.door.handshakes.begun(conn, from) {
        replace(daemon, oldest, Refused::TlsHandshakes);
    }
}

/// Tells a client that is let in already why it has to go.
pub(crate) fn dismiss(daemon: &mut Daemon, conn: ConnId, refused: Refused, why: Option<&str>) {
    let Some(connection) = daemon.connections.get_mut(conn) else { return };
    connection.tail.clear();
    if !refused.answer().is_empty() {
        connection.send(&mut [IoSlice::new(refused.answer())]);
    }
    connection.close();
    let address = connection.address;
    tell(daemon, refused, why, Kind::Client, address);
}

/// Tells somebody why it is not let in, and waits a moment until it has taken that: what it may have sent already
/// would otherwise reset the connection.
fn turn_away(
    daemon: &mut Daemon,
    socket: Async<TcpStream>,
    kind: Kind,
    address: SocketAddr,
    refused: Refused,
) {
    tell(daemon, refused, None, kind, address);
    let Some(shared) = daemon.shared() else { return };
    if refused == Refused::Address {
        rt::spawn(places::look_up(shared.clone()));
    }
    let told = socket.write_now(refused.answer()).and_then(|_| socket.get_ref().shutdown(Shutdown::Write));
    if told.is_ok() && daemon.door.lingering < LINGERING_MAX {
        daemon.door.lingering += 1;
        rt::spawn(linger(shared, socket));
    }
}

async fn linger(daemon: Shared, socket: Async<TcpStream>) {
    let read = async {
        let mut buffer = [0; 1024];
        while socket.read_some(&mut buffer).await.is_ok_and(|bytes| bytes > 0) {}
    };
    future::or(read, async { Timer::after(LINGER).await }).await;
    daemon.borrow_mut().door.lingering -= 1;
}

/// Counts a refusal, and tells error.log of it.
fn tell(daemon: &mut Daemon, refused: Refused, why: Option<&str>, kind: Kind, address: SocketAddr) {
    if let Some(text) = daemon.door.refuse(refused, why, address.ip(), Instant::now()) {
        let utc_seconds = daemon.clock.now().utc_seconds;
        daemon.reports.address(utc_seconds, Severity::Warning, kind, address, &text);
        daemon.write_reports(utc_seconds);
    }
}

/// Has a client pay for what a turn with its lines has cost: it is not read until that is paid.
pub(crate) fn charge(daemon: &mut Daemon, conn: ConnId, refused: u64, bytes: &[u8]) {
    let now = Instant::now();
    let Some(connection) = daemon.connections.get_mut(conn) else { return };
    connection.is_suspect = refused > 0;
    let mut rest = None;
    if refused > 0 {
        let visitor = daemon.door.visitor(connection.address.ip());
        rest = visitor.refused.take(refused, REFUSED_PER_SECOND, now);
    }
    if let Some(per_second) = daemon.door.access.lines_per_second {
        let lines = memchr::memchr_iter(b'\n', bytes).count() as u64;
        rest = rest.max(connection.lines.take(lines, per_second, now));
    }
    connection.rest_until = rest;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::path::Path;

    fn door(limits: &str) -> Door {
        let text = format!("[[host]]\nname = \"MV\"\naddress = \"10.0.0.1\"\n[limits]\n{limits}\n");
        Door::new(&RingFile::parse(&text, Path::new("ring.toml")).unwrap(), ip("10.0.0.1"), None, 100)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_takes_its_share_of_the_clients_and_no_more() {
        let mut door = door("clients = 4");
        for i in 0..3 {
            assert_eq!(door.client(ip("10.0.0.9")), Ok(()));
            door.entered(Kind::Client, ip("10.0.0.9"), ConnId(i));
        }
        assert_eq!(door.client(ip("::ffff:10.0.0.9")), Err(Refused::ClientsOfAddress));
        assert_eq!(door.client(ip("10.0.0.8")), Ok(()));
        door.entered(Kind::Client, ip("10.0.0.8"), ConnId(3));
        assert_eq!(door.client(ip("10.0.0.7")), Err(Refused::Clients));
        door.left(Kind::Client, ip("10.0.0.9"), ConnId(0));
        assert_eq!(door.client(ip("10.0.0.9")), Ok(()));
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        let mut door = door("clients_per_address = 1");
        door.entered(Kind::Client, ip("fd00::1"), ConnId(0));
        assert_eq!(door.client(ip("fd00::2")), Err(Refused::ClientsOfAddress));
        assert_eq!(door.client(ip("fd00:0:0:1::1")), Ok(()));
    }

    /// A ring of three, and its connections.
    fn ring() -> (Door, Connections) {
        let host = |n: u8| format!("[[host]]\nname = \"H{n}\"\naddress = \"10.0.0.{n}\"\n");
        let text: String = (1..=3).map(host).collect();
        let file = RingFile::parse(&text, Path::new("ring.toml")).unwrap();
        (Door::new(&file, ip("10.0.0.1"), None, 100), Connections::default())
    }

    /// Somebody connects to the ring port; in whose place.
    fn connect(
        door: &mut Door,
        connections: &mut Connections,
        from: &str,
    ) -> Result<Option<ConnId>, Refused> {
        let replaced = door.peer(ip(from), connections)?;
        if let Some(connection) = replaced.and_then(|conn| connections.get_mut(conn)) {
            connection.end();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = Async::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap()).unwrap();
        let connection = Connection::new(socket, Kind::Peer(None), SocketAddr::new(ip(from), 4242));
        door.entered(Kind::Peer(None), ip(from), connections.insert(connection));
        Ok(replaced)
    }

    #[test]
    fn of_connections_that_say_no_hello_the_oldest_gives_way_to_one_from_the_same_host() {
        let (mut door, mut connections) = ring();
        let mut from = |from| connect(&mut door, &mut connections, from);
        assert_eq!((from("10.0.0.2"), from("10.0.0.2")), (Ok(None), Ok(None)));
        assert_eq!(from("10.0.0.3"), Ok(None));
        assert_eq!(from("10.0.0.2"), Ok(Some(ConnId(0))));
        assert_eq!(from("10.0.0.2"), Ok(Some(ConnId(1))));
        assert_eq!(from("10.0.0.4"), Err(Refused::Address));
    }

    #[test]
    fn a_host_has_its_share_of_links_and_who_leaves_makes_room() {
        let (mut door, mut connections) = ring();
        for n in 0..4 {
            assert_eq!(connect(&mut door, &mut connections, "10.0.0.2"), Ok(None));
            connections.get_mut(ConnId(n)).unwrap().is_greeted = true;
        }
        assert_eq!(connect(&mut door, &mut connections, "10.0.0.2"), Err(Refused::Links));
        assert_eq!(connect(&mut door, &mut connections, "10.0.0.3"), Ok(None));
        connections.get_mut(ConnId(2)).unwrap().close();
        assert_eq!(connect(&mut door, &mut connections, "10.0.0.2"), Ok(Some(ConnId(2))));
    }

    #[test]
    fn where_peers_may_come_from_anywhere_silent_ones_give_way_to_all() {
        let (mut door, mut connections) = ring();
        door.places.configure(ringfile::Peers::Any);
        for n in 1..=8 {
            assert_eq!(connect(&mut door, &mut connections, &format!("192.0.2.{n}")), Ok(None));
        }
        assert_eq!(connect(&mut door, &mut connections, "10.0.0.2"), Ok(Some(ConnId(0))));
    }

    #[test]
    fn clients_are_no_more_than_their_descriptors() {
        let mut door = door("clients = 1000\nclients_per_address = 1000");
        (0..100).for_each(|i| door.entered(Kind::Client, ip("10.0.0.9"), ConnId(i)));
        assert_eq!(door.client(ip("10.0.0.9")), Err(Refused::Clients));
    }

    #[test]
    fn an_address_is_told_of_once_in_a_while_with_how_often() {
        let mut door = door("");
        let now = Instant::now();
        let mut told =
            |seconds| door.refuse(Refused::Address, None, ip("10.0.0.9"), now + Duration::from_secs(seconds));
        assert!(told(0).is_some_and(|text| !text.contains("more")));
        assert_eq!((told(1), told(9)), (None, None));
        assert!(told(10).is_some_and(|text| text.contains("2 more")));
        assert_eq!(door.refusals.each().next(), Some(("address", 4)));
    }

    #[test]
    fn strangers_that_left_take_no_memory() {
        let mut door = door("");
        for i in 0..100_000_u32 {
            let ip = IpAddr::from(i.to_be_bytes());
            door.entered(Kind::Client, ip, ConnId(0));
            door.left(Kind::Client, ip, ConnId(0));
        }
        assert_eq!((door.visitors.len(), door.clients), (0, 0));
    }
}
