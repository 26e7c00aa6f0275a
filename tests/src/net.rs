//! The network between the daemons of a ring: a TCP proxy in a thread of its own, in which a test cuts, stalls and
//! loses what goes from one host to another.

mod connection;

use connection::{Connection, Side};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What happens to the bytes that go from one host to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// They arrive.
    Open,
    /// Connections end with RST, and new ones at once.
    Reset,
    /// Connections end with FIN, and new ones at once.
    Finished,
    /// Nobody reads them, so that the sender's socket fills up.
    Stalled,
    /// They are read and lost, and so is the end of a connection. A connection that has lost bytes stays so: no TCP
    /// goes on behind a hole.
    Lost,
    /// The receiver's end of each connection is reset, and the sender is not told; new connections are [`Way::Lost`].
    HalfOpen,
    /// So many bytes arrive per second (at least 1).
    Trickle(u32),
}

/// The proxy, and what each way is like.
#[derive(Debug)]
pub struct Net {
    hosts: usize,
    orders: Option<Sender<Order>>,
    bell: UnixStream,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is to do, and where to say that it is done.
enum Order {
    Set { from: usize, to: usize, way: Way, done: SyncSender<()> },
    Passed { from: usize, to: usize, bytes: SyncSender<u64> },
}

impl Net {
    /// Where `from` has to dial to reach `to`, which itself listens at `real`.
    #[must_use]
    pub(crate) fn address(from: usize, to: usize, real: SocketAddr) -> SocketAddr {
        let octet = |host: usize| u8::try_from(1 + host).expect("a small ring");
        SocketAddr::from((Ipv4Addr::new(127, 1, octet(from), octet(to)), real.port()))
    }

    /// Opens all ways between hosts that listen there.
    pub(crate) fn open(hosts: &[SocketAddr]) -> Net {
        let mut doors = Vec::new();
        for from in 0..hosts.len() {
            for to in (0..hosts.len()).filter(|to| *to != from) {
                doors.push(Door::open(from, to, hosts[to]).expect("a proxy can listen"));
            }
        }
        let (bell, ear) = UnixStream::pair().expect("a pair of sockets");
        ear.set_nonblocking(true).expect("a socket that does not block");
        let (orders, taken) = mpsc::channel();
        let ways = Ways::all_open(hosts.len());
        let proxy = Proxy { doors, connections: Vec::new(), ways, orders: taken, ear };
        let thread = thread::Builder::new().name("net".into()).spawn(move || proxy.run());
        Net { hosts: hosts.len(), orders: Some(orders), bell, thread: Some(thread.expect("a thread")) }
    }

    /// From now on this happens to what goes from one host to another; returns once it does.
    pub fn set(&self, from: usize, to: usize, way: Way) {
        let (done, wait) = mpsc::sync_channel(1);
        self.order(Order::Set { from, to, way, done });
        wait.recv().expect("the proxy lives");
    }

    /// As [`Net::set`], for both directions between two hosts.
    pub fn set_both(&self, a: usize, b: usize, way: Way) {
        self.set(a, b, way);
        self.set(b, a, way);
    }

    /// As [`Net::set`], for all ways between one host and the others.
    pub fn set_around(&self, host: usize, way: Way) {
        for other in (0..self.hosts).filter(|other| *other != host) {
            self.set_both(host, other, way);
        }
    }

    /// Opens all ways.
    pub fn heal(&self) {
        for host in 0..self.hosts {
            self.set_around(host, Way::Open);
        }
    }

    /// How many bytes have gone from one host to another since the proxy was started.
    #[must_use]
    pub fn passed(&self, from: usize, to: usize) -> u64 {
        let (bytes, wait) = mpsc::sync_channel(1);
        self.order(Order::Passed { from, to, bytes });
        wait.recv().expect("the proxy lives")
    }

    fn order(&self, order: Order) {
        let orders = self.orders.as_ref().expect("the proxy is not being stopped");
        orders.send(order).expect("the proxy lives");
        (&self.bell).write_all(b"!").expect("the proxy hears its bell");
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // The thread ends when nobody can order anything; it has to be woken to see that.
        self.orders = None;
        let rung = (&self.bell).write_all(b"!");
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            rung.expect("the proxy hears its bell");
            assert!(ended.is_some_and(|ended| ended.is_ok()), "the proxy panicked");
        }
    }
}

/// What each way is like, and what went over it.
struct Ways {
    hosts: usize,
    ways: Vec<Way>,
    passed: Vec<u64>,
}

impl Ways {
    fn all_open(hosts: usize) -> Ways {
        Ways { hosts, ways: vec![Way::Open; hosts * hosts], passed: vec![0; hosts * hosts] }
    }

    fn index(&self, (from, to): (usize, usize)) -> usize {
        from * self.hosts + to
    }

    fn get(&self, direction: (usize, usize)) -> Way {
        self.ways[self.index(direction)]
    }

    fn count(&mut self, direction: (usize, usize), bytes: usize) {
        let index = self.index(direction);
        self.passed[index] += bytes as u64;
    }
}

/// Where one host dials another.
struct Door {
    from: usize,
    to: usize,
    real: SocketAddr,
    listener: TcpListener,
}

impl Door {
    fn open(from: usize, to: usize, real: SocketAddr) -> io::Result<Door> {
        let listener = TcpListener::bind(Net::address(from, to, real))?;
        listener.set_nonblocking(true)?;
        Ok(Door { from, to, real, listener })
    }

    /// Lets one connection in; none if nobody waits or the other host does not listen.
    fn accept(&self, ways: &Ways) -> Option<Connection> {
        let (dialer, _) = self.listener.accept().ok()?;
        let directions = [(self.from, self.to), (self.to, self.from)];
        let some_way = |wanted: &[Way]| directions.iter().any(|d| wanted.contains(&ways.get(*d)));
        let target = if some_way(&[Way::Reset, Way::Finished, Way::Lost, Way::HalfOpen]) {
            None
        } else {
            let target = TcpStream::connect(self.real);
            if target.is_err() {
                // As the kernel answers for a host that does not listen.
                connection::reset(&dialer);
                return None;
            }
            target.ok()
        };
        Some(Connection::new(directions, dialer, target))
    }
}

struct Proxy {
    doors: Vec<Door>,
    connections: Vec<Connection>,
    ways: Ways,
    orders: Receiver<Order>,
    ear: UnixStream,
}

impl Proxy {
    fn run(mut self) {
        while self.obey() {
            let ready = self.wait();
            let mut ready = ready.into_iter();
            for (door, ready) in self.doors.iter().zip(ready.by_ref()) {
                if ready {
                    self.connections.extend(door.accept(&self.ways));
                }
            }
            for connection in &mut self.connections {
                connection.carry(&mut self.ways);
            }
        }
    }

    /// Does what was ordered; `false` if nobody can order any more.
    fn obey(&mut self) -> bool {
        // What rang is in the channel already.
        while self.ear.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
        loop {
            match self.orders.try_recv() {
                Ok(Order::Set { from, to, way, done }) => {
                    let index = self.ways.index((from, to));
                    self.ways.ways[index] = way;
                    self.apply();
                    // Whoever ordered may be gone, if its test has failed.
                    let _ = done.send(());
                }
                Ok(Order::Passed { from, to, bytes }) => {
                    let _ = bytes.send(self.ways.passed[self.ways.index((from, to))]);
                }
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
        self.apply();
        true
    }

    /// Does to the connections what the ways are like, and forgets those that have ended.
    fn apply(&mut self) {
        for connection in &mut self.connections {
            connection.apply(&self.ways);
        }
        self.connections.retain(|connection| !connection.is_over());
    }

    /// Waits until something can be done; says which doors somebody knocks at.
    fn wait(&self) -> Vec<bool> {
        let now = Instant::now();
        let mut fds = vec![PollFd::new(&self.ear, PollFlags::IN)];
        fds.extend(self.doors.iter().map(|door| PollFd::new(&door.listener, PollFlags::IN)));
        for connection in &self.connections {
            for side in [Side::Dialer, Side::Target] {
                let interest = connection.interest(side, &self.ways, now);
                if let Some(stream) = connection.stream(side).filter(|_| !interest.is_empty()) {
                    fds.push(PollFd::new(stream, interest));
                }
            }
        }
        let due = self.connections.iter().filter_map(|c| c.due(&self.ways, now)).min();
        let timeout = due.map(|due| {
            // Rounded up, so that it is due when poll returns.
            let left = due.saturating_duration_since(now) + Duration::from_millis(1);
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => panic!("poll: {e}"),
        }
        fds[1..=self.doors.len()].iter().map(|fd| !fd.revents().is_empty()).collect()
    }
}
