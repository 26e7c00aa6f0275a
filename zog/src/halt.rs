//! A disk that takes no more lines: no message is taken or answered, and no peer is read, until it does. Facts are told.

use crate::daemon::{Daemon, Shared};
use crate::rt::{self, Timer};
use crate::{gather, sync};
use pzog::{ConnId, Input, Outputs, Severity};
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

/// Answers of a turn: those of messages wait while its lines are held, and so does whatever comes behind them on a
/// connection.
pub(crate) fn answer(daemon: &mut Daemon, outputs: &Outputs, input: &[u8]) {
    if !daemon.access_log.is_held() {
        return daemon.send(&outputs.answer, outputs, input);
    }
    for answers in outputs.answer.chunk_by(|a, b| a.0 == b.0) {
        if outputs.log.is_empty() && !daemon.held.has(answers[0].0) {
            daemon.send(answers, outputs, input);
            continue;
        }
        let copies = answers.iter().map(|(conn, slice)| (*conn, gather::copy(*slice, outputs, input)));
        daemon.held.answers.extend(copies);
    }
}

/// Marks access.log, now or once it is whole.
pub(crate) fn mark(daemon: &mut Daemon, is_wanted: bool) {
    if is_wanted && daemon.access_log.is_held() {
        daemon.held.mark = true;
    } else if is_wanted {
        sync::access_log(daemon);
    }
}

/// Closes connections, now or behind what waits for them.
pub(crate) fn close(daemon: &mut Daemon, conns: &[ConnId]) {
    for conn in conns {
        if daemon.held.has(*conn) {
            daemon.held.closes.push(*conn);
        } else if let Some(connection) = daemon.connections.get_mut(*conn) {
            connection.close();
        }
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
        send(daemon, *conn, bytes);
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

fn send(daemon: &mut Daemon, conn: ConnId, bytes: &[u8]) {
    if let Some(connection) = daemon.connections.get_mut(conn) {
        connection.send(&mut [IoSlice::new(bytes)]);
    }
}
