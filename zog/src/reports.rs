//! Who says what in error.log.

use crate::connection::{Connection, Kind};
use crate::daemon::Daemon;
use crate::error_log::{ErrorLog, Origin};
use crate::rt::{self, Timer};
use pzog::{HostIndex, Ring, Severity};
use std::cell::RefCell;
use std::fmt::Display;
use std::net::SocketAddr;
use std::rc::Weak;
use std::time::Duration;

/// error.log with the names of those it speaks of.
pub(crate) struct Reports {
    pub(crate) log: ErrorLog,
    names: Vec<String>,
    me: HostIndex,
    /// Whether a task waits to tell how much was suppressed.
    is_summing_up: bool,
}

impl Reports {
    pub(crate) fn new(log: ErrorLog, ring: &Ring, me: HostIndex) -> Reports {
        let names = ring.hosts().map(|host| ring.name(host).to_owned()).collect();
        Reports { log, names, me, is_summing_up: false }
    }

    /// This daemon says something.
    pub(crate) fn node(&mut self, utc_seconds: u64, severity: Severity, text: impl Display) {
        self.host(utc_seconds, severity, self.me, text);
    }

    /// Something about a host of the ring.
    pub(crate) fn host(&mut self, utc_seconds: u64, severity: Severity, host: HostIndex, text: impl Display) {
        self.log.add(utc_seconds, severity, Origin::Host(host.0), &self.names[host.index()], text);
    }

    /// Something about a connection.
    pub(crate) fn connection(
        &mut self,
        utc_seconds: u64,
        severity: Severity,
        connection: &Connection,
        text: &str,
    ) {
        self.address(utc_seconds, severity, connection.kind, connection.address, text);
    }

    /// Something about somebody at an address.
    pub(crate) fn address(
        &mut self,
        utc_seconds: u64,
        severity: Severity,
        kind: Kind,
        address: SocketAddr,
        text: &str,
    ) {
        let origin = Origin::Address(address.ip());
        let end = match kind {
            Kind::Client => format!("client {address}"),
            Kind::Peer(None) => format!("peer {address}"),
            Kind::Peer(Some(host)) => format!("peer {address} ({})", self.names[host.index()]),
        };
        self.log.add(utc_seconds, severity, origin, end, text);
    }

    /// Brings the lines of this turn to the file.
    pub(crate) fn write(&mut self, utc_seconds: u64, daemon: &Weak<RefCell<Daemon>>) {
        self.log.write(utc_seconds);
        if self.log.is_suppressing() && !self.is_summing_up {
            self.is_summing_up = true;
            rt::spawn(sum_up(daemon.clone()));
        }
    }
}

/// Tells how much was suppressed when the second is over, also if nothing else happens then.
async fn sum_up(daemon: Weak<RefCell<Daemon>>) {
    Timer::after(Duration::from_secs(1)).await;
    if let Some(daemon) = daemon.upgrade() {
        let mut daemon = daemon.borrow_mut();
        let utc_seconds = daemon.clock.now().utc_seconds;
        daemon.reports.is_summing_up = false;
        daemon.reports.log.turn_to(utc_seconds);
        daemon.reports.log.write(utc_seconds);
    }
}
