//! The two ports: opened at the start, then one task each that takes connections.

use crate::connection::Kind;
use crate::daemon::Shared;
use crate::dialer::resolve;
use crate::door;
use crate::exit::{Exit, Failed};
use crate::rt::{Async, Timer};
use futures_lite::future;
use pzog::Severity;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Connections that the system keeps for us until we take them.
const BACKLOG: i32 = 1024;

/// An outgoing connection of any program may hold a port of ours for a moment, since the ports of the protocol
/// lie in Linux's ephemeral range: opening is tried again this often, with this pause.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// Opens a port of this host. `purpose` stands in messages.
pub(crate) async fn open(address: &str, port: u16, purpose: &str) -> Result<Async<TcpListener>, Failed> {
    let failed = |e: &io::Error| Failed::new(Exit::Unavailable, explain(address, port, purpose, e));
    let addresses = resolve(address, port).await.map_err(|e| failed(&e))?;
    let mut tries = TRIES;
    loop {
        match listen_at_any(&addresses) {
            Ok(listener) => return Async::new(listener).map_err(|e| failed(&e)),
            Err(e) if e.kind() == ErrorKind::AddrInUse && tries > 1 => {
                if tries == TRIES {
                    log::warn!("{purpose} port {port} of {address} is taken; trying again for 5 s");
                }
                tries -= 1;
                Timer::after(PAUSE).await;
            }
            Err(e) => return Err(failed(&e)),
        }
    }
}

/// Listens at the first address that can be had.
fn listen_at_any(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut error = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match listen(*address) {
            Ok(listener) => return Ok(listener),
            Err(e) => error = e,
        }
    }
    Err(error)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Without it the port would be taken for a minute after a restart, by connections that are over.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn explain(address: &str, port: u16, purpose: &str, e: &io::Error) -> String {
    let remedy = match e.kind() {
        ErrorKind::AddrInUse => format!(
            "another program has this port (`ss -tlnp sport = :{port}` tells which), or an outgoing connection \
             does: keep them off with `sysctl -w net.ipv4.ip_local_reserved_ports={port}`, or name other \
             ports in ring.toml"
        ),
        ErrorKind::AddrNotAvailable => {
            "this machine does not have this address: name the host that it is with -n, mend ring.toml, \
             or use --local"
                .into()
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 are for the superuser: name another one in ring.toml".into()
        }
        _ => "mend the address in ring.toml".into(),
    };
    format!("cannot open the {purpose} port {port} of {address}: {e}; {remedy}")
}

/// Takes connections as they come. Where the system has no room for one more, that is reported once and tried
/// again; meanwhile they wait in the backlog.
pub(crate) async fn accept(daemon: Shared, listener: Async<TcpListener>, kind: Kind) {
    let mut is_failing = false;
    loop {
        match listener.accept().await {
            Ok((socket, address)) => {
                is_failing = false;
                door::arrived(&mut daemon.borrow_mut(), socket, kind, address);
                // Others have their turn, those in whose place it came, too: they close their sockets.
                future::yield_now().await;
            }
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => {} // gone before we took it
            Err(e) => {
                if !is_failing {
                    is_failing = true;
                    let mut daemon = daemon.borrow_mut();
                    let utc_seconds = daemon.clock.now().utc_seconds;
                    let text = format!(
                        "ACCEPT cannot take connections: {e}; trying again (is `ulimit -n` too low?)"
                    );
                    daemon.reports.node(utc_seconds, Severity::Error, text);
                    daemon.reports.log.write(utc_seconds);
                }
                Timer::after(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt;

    #[test]
    fn a_port_that_is_free_is_opened() {
        let listener = rt::run(open("127.0.0.1", 0, "client")).map_err(|f| f.message).unwrap();
        assert!(listener.get_ref().local_addr().unwrap().ip().is_loopback());
    }

    #[test]
    fn an_address_of_another_machine_is_explained() {
        let failed = rt::run(open("192.0.2.1", 0, "ring")).err().unwrap();
        assert_eq!(failed.exit, Exit::Unavailable);
        assert!(
            failed.message.contains("192.0.2.1") && failed.message.contains("--local"),
            "{}",
            failed.message
        );
    }

    #[test]
    fn a_taken_port_is_explained() {
        let text = explain("10.0.0.1", 55551, "ring", &ErrorKind::AddrInUse.into());
        assert!(text.contains("55551") && text.contains("net.ipv4.ip_local_reserved_ports"), "{text}");
    }
}
