//! Serving a connection: whenever something happens to it, what can be done is done, in one turn of the daemon.

use crate::connection::{Kind, Phase};
use crate::daemon::Daemon;
use crate::rt;
use pzog::{ConnId, Input};
use std::cell::RefCell;
use std::rc::Weak;

/// Serves the connections of this daemon from now on.
pub(crate) fn begin(daemon: Weak<RefCell<Daemon>>) {
    rt::serve_by(move |number| {
        if let Some(daemon) = daemon.upgrade() {
            let mut daemon = daemon.borrow_mut();
            serve(&mut daemon, ConnId(number));
            daemon.progress();
        }
    });
}

/// Goes on with a connection until it has to wait.
fn serve(daemon: &mut Daemon, conn: ConnId) {
    while step(daemon, conn) {}
}

/// Whether to go on at once.
fn step(daemon: &mut Daemon, conn: ConnId) -> bool {
    let Some(connection) = daemon.connections.get_mut(conn) else { return false };
    let is_closing = matches!(connection.phase, Phase::Closing | Phase::Draining);
    if is_closing && connection.is_late_to_close() {
        connection.end();
    }
    match connection.phase {
        Phase::Open => serve_open(daemon, conn),
        Phase::Finished => {
            connection.flush();
            connection.phase != Phase::Finished // else the node has yet to close it
        }
        Phase::Closing => {
            if connection.flush() && connection.phase == Phase::Closing {
                connection.shut();
            }
            connection.phase != Phase::Closing
        }
        Phase::Draining => {
            if connection.is_readable() {
                daemon.discard(conn); // then others have their turn
                if let Some(connection) = daemon.connections.get(conn) {
                    connection.wake();
                }
            }
            false
        }
        Phase::Ended => {
            daemon.ended(conn);
            false
        }
    }
}

/// Writes what waits, then reads once if reading is allowed. Whether to go on at once.
fn serve_open(daemon: &mut Daemon, conn: ConnId) -> bool {
    let Some(connection) = daemon.connections.get_mut(conn) else { return true };
    let is_flushed = connection.flush();
    if connection.phase != Phase::Open {
        return true;
    }
    if is_flushed && std::mem::take(&mut connection.is_blocked) {
        daemon.turn(Input::Drained { conn });
        return true;
    }
    // A client whose answers pile up is not read until it takes them.
    let may_read = is_flushed || connection.kind != Kind::Client;
    if !may_read || !connection.has_rested() || !connection.is_readable() || !daemon.may_read(conn) {
        return false;
    }
    daemon.read(conn);
    match daemon.connections.get(conn) {
        Some(connection) if connection.phase == Phase::Open => {
            if connection.is_readable() {
                connection.wake(); // others have their turn before the next read
            }
            false
        }
        _ => true,
    }
}
