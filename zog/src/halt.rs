//! A disk that takes no more lines: no message is taken or answered, and no peer is read, until it does. Facts are told.

use crate::daemon::{Daemon, Shared};
use crate::rt::{self, Timer};
use crate::sync;
use pzog::{ConnId, Input, Severity};
use std::io::{self, IoSlice};
use std::mem;
use std::time::Duration;

/// How often the write is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// access.log has just refused lines, which it holds now.
pub(crate) fn begin(daemon: &mut Daemon, error: &io::Error) {
    let text = format!(
        "HALTED {} cannot be written: {error}; messages are neither taken nor answered until it can",
        daemon.access_log.path().display()
    );
    daemon.reports.node(daemon.clock.now().utc_seconds, Severity::Error, text);
    if let Some(shared) = daemon.shared() {
        rt::spawn(retry(shared));
    }
}

/// The node hears of it once the turn is over whose lines were the first to be held.
pub(crate) fn tell_node(daemon: &mut Daemon) {
    if daemon.access_log.is_held() && !mem::replace(&mut daemon.held.is_told, true) {
        daemon.turn(Input::LogHeld { is_held: true });
    }
}

async fn retry(daemon: Shared) {
    loop {
        Timer::after(AGAIN).await;
        let mut daemon = daemon.borrow_mut();
        if daemon.has_failed {
            return; // the next life completes the log from the journal
        }
        let utc_seconds = daemon.clock.now().utc_seconds;
        match daemon.access_log.retry() {
            Ok(()) => {
                daemon.reports.node(utc_seconds, Severity::Warning, "RESUMED access.log is written again");
                daemon.reports.log.write(utc_seconds);
                return resume(&mut daemon);
            }
            Err(e) => log::debug!("{}: {e}", daemon.access_log.path().display()),
        }
    }
}

/// Does what had to wait, in the order of a turn.
fn resume(daemon: &mut Daemon) {
    let held = mem::take(&mut daemon.held);
    for (conn, bytes) in &held.answers {
        answer(daemon, *conn, bytes);
    }
    if held.mark {
        sync::access_log(daemon);
    }
    for conn in held.closes {
        if let Some(connection) = daemon.connections.get_mut(conn) {
            connection.close();
        }
    }
    daemon.turn(Input::LogHeld { is_held: false });
    daemon.unpark();
    daemon.progress();
}

fn answer(daemon: &mut Daemon, conn: ConnId, bytes: &[u8]) {
    if let Some(connection) = daemon.connections.get_mut(conn) {
        connection.send(&mut [IoSlice::new(bytes)]);
    }
}
