//! The task of a connection: waits until the socket can be read or written, and then takes a turn of the daemon.

use crate::connection::{Connection, Kind, Phase};
use crate::daemon::{Daemon, Shared};
use crate::rt::Timer;
use pzog::{ConnId, Input};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A connection that is being closed gets so long to take what was sent and to shut its end.
const CLOSE: Duration = Duration::from_secs(5);

/// Serves a connection to its end, which it reports to the node.
pub(crate) async fn serve(daemon: Shared, conn: ConnId) {
    let mut timers = Timers::default();
    poll_fn(|cx| {
        let mut daemon = daemon.borrow_mut();
        let step = poll(&mut daemon, conn, &mut timers, cx);
        daemon.progress();
        step
    })
    .await;
}

/// What the task waits for besides its socket.
#[derive(Default)]
struct Timers {
    /// Until a connection that is being closed must be over.
    close: Option<Timer>,
    /// Until a client may be read again.
    rest: Option<Timer>,
}

fn poll(daemon: &mut Daemon, conn: ConnId, timers: &mut Timers, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        let Some(connection) = daemon.connections.get_mut(conn) else { return Poll::Ready(()) };
        connection.keep_waker(cx.waker());
        match connection.phase {
            Phase::Open => ready!(poll_open(daemon, conn, &mut timers.rest, cx)),
            Phase::Finished => {
                ready!(connection.poll_flush(cx));
                if connection.phase == Phase::Finished {
                    return Poll::Pending; // until the node closes it
                }
            }
            Phase::Closing | Phase::Draining if is_over(&mut timers.close, cx) => connection.end(),
            Phase::Closing => {
                ready!(connection.poll_flush(cx));
                if connection.phase == Phase::Closing {
                    connection.shut();
                }
            }
            Phase::Draining => {
                ready!(connection.poll_readable(cx));
                daemon.discard(conn);
            }
            Phase::Ended => {
                daemon.ended(conn);
                return Poll::Ready(());
            }
        }
    }
}

/// Writes what waits, then reads once if reading is allowed.
fn poll_open(daemon: &mut Daemon, conn: ConnId, rest: &mut Option<Timer>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(connection) = daemon.connections.get_mut(conn) else { return Poll::Ready(()) };
    let is_flushed = connection.poll_flush(cx).is_ready();
    if connection.phase != Phase::Open {
        return Poll::Ready(());
    }
    if is_flushed && std::mem::take(&mut connection.is_blocked) {
        daemon.turn(Input::Drained { conn });
        return Poll::Ready(());
    }
    if connection.kind == Kind::Client && !is_flushed {
        return Poll::Pending; // its answers pile up: it is not read until it takes them
    }
    if let Some(until) = connection.rest_until {
        ready!(Pin::new(rest.get_or_insert_with(|| Timer::at(until))).poll(cx));
        *rest = None;
        connection.rest_until = None;
    }
    if !daemon.may_read(conn) {
        return Poll::Pending;
    }
    let Some(connection) = daemon.connections.get_mut(conn) else { return Poll::Ready(()) };
    ready!(connection.poll_readable(cx));
    daemon.read(conn);
    if daemon.connections.get(conn).is_some_and(Connection::is_readable) {
        cx.waker().wake_by_ref(); // others have their turn before the next read
        return Poll::Pending;
    }
    Poll::Ready(())
}

fn is_over(patience: &mut Option<Timer>, cx: &mut Context<'_>) -> bool {
    let timer = patience.get_or_insert_with(|| Timer::after(CLOSE));
    Pin::new(timer).poll(cx).is_ready()
}
