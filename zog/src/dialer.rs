//! Dials a host of the ring, once; when to dial again is the node's to say.

use crate::connection::Kind;
use crate::daemon::{Daemon, Shared};
use crate::rt::{self, Async, Timer};
use futures_lite::future;
use pzog::{HostIndex, Input, Severity};
use ringfile::RingFile;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Resolving and connecting take at most so long.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the hosts of the ring are, and why they could not be reached last time.
pub(crate) struct Dialer {
    hosts: Vec<Target>,
}

struct Target {
    address: String,
    port: u16,
    /// The reason that stands in error.log; each is told once until the host is reached.
    told: Option<String>,
}

impl Dialer {
    pub(crate) fn new(file: &RingFile) -> Dialer {
        let target =
            |h: &ringfile::Host| Target { address: h.address.clone(), port: h.ring_port, told: None };
        Dialer { hosts: file.hosts.iter().map(target).collect() }
    }
}

/// Dials a host and tells the node what came of it.
pub(crate) async fn dial(daemon: Shared, host: HostIndex) {
    let (address, port, own) = {
        let daemon = daemon.borrow();
        let target = &daemon.dialer.hosts[host.index()];
        (target.address.clone(), target.port, daemon.door.places.own)
    };
    let found = async {
        let found = resolve(&address, port).await?;
        daemon.borrow_mut().door.places.found(host.index(), found.iter().map(SocketAddr::ip));
        connect(found, own).await
    };
    let dialled = future::or(found, timeout()).await;
    let mut daemon = daemon.borrow_mut();
    match dialled {
        Ok((socket, peer)) => {
            daemon.dialer.hosts[host.index()].told = None;
            daemon.connected(socket, Kind::Peer(Some(host)), peer);
        }
        Err(e) => failed(&mut daemon, host, &format!("DIAL {address} port {port}: {e}")),
    }
}

fn failed(daemon: &mut Daemon, host: HostIndex, reason: &str) {
    let told = &mut daemon.dialer.hosts[host.index()].told;
    if told.as_deref() != Some(reason) {
        *told = Some(reason.to_owned());
        let utc_seconds = daemon.clock.now().utc_seconds;
        daemon.reports.host(utc_seconds, Severity::Warning, host, reason);
    }
    daemon.turn(Input::DialFailed { host });
}

/// Tries all addresses of a host in turn.
async fn connect(found: Vec<SocketAddr>, own: IpAddr) -> io::Result<(Async<TcpStream>, SocketAddr)> {
    let mut error = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for peer in found {
        let from = Some(own).filter(|own| leads_to(*own, peer.ip()));
        match Async::connect(peer, from).await {
            Ok(socket) => return Ok((socket, peer)),
            Err(e) => error = e,
        }
    }
    Err(error)
}

/// Whether a connection can come from this address of ours. The other host knows us by it, so that it is taken where it can be:
/// a machine may have several.
fn leads_to(own: IpAddr, peer: IpAddr) -> bool {
    own.is_ipv4() == peer.is_ipv4() && own.is_loopback() == peer.is_loopback() && !own.is_unspecified()
}

/// The addresses of a host: itself where it is one, else what the system says of the name.
pub(crate) async fn resolve(address: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = address.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let name = (address.to_owned(), port);
    rt::unblock(move || name.to_socket_addrs()).await.map(Iterator::collect)
}

async fn timeout<T>() -> io::Result<T> {
    Timer::after(TIMEOUT).await;
    Err(io::Error::new(ErrorKind::TimedOut, format!("no answer within {} s", TIMEOUT.as_secs())))
}
