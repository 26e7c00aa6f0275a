//! The orderly end: at most five seconds, whatever hangs.

use crate::daemon::{Daemon, Shared};
use crate::exit::{Exit, Failed};
use crate::notify;
use crate::rotate;
use crate::rt::{self, Task, Timer};
use futures_lite::future;
use pzog::{Input, Severity};
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

/// The node takes at most [`pzog::limits::STOP`]; the rest is for the last bytes and the last sync.
const STOPPED_WITHIN: Duration = Duration::from_millis(4300);
const FLUSHED_WITHIN: Duration = Duration::from_millis(4500);
const SYNCED_WITHIN: Duration = Duration::from_millis(4900);

/// The other ends get so long to shut theirs. A process that ends before resets the connections on which
/// something still comes, and a reset may overtake the last answers.
const GOODBYE: Duration = Duration::from_millis(200);

/// Stops taking connections, lets the node finish, writes what is left and syncs it.
pub(crate) async fn stop(daemon: &Shared, listeners: Vec<Task>) -> Result<(), Failed> {
    notify::stopping();
    let begun = Instant::now();
    for listener in listeners {
        listener.cancel().await;
    }
    daemon.borrow_mut().turn(Input::Stop);
    if !until(daemon, |d| d.is_stopped, begun + STOPPED_WITHIN).await {
        log::warn!("the end was not orderly: not everything was answered in time");
    }
    if !until(daemon, Daemon::is_flushed, begun + FLUSHED_WITHIN).await {
        log::warn!("not everything was sent: somebody did not take it in time");
    }
    account(&mut daemon.borrow_mut());
    daemon.borrow_mut().close_all();
    until(daemon, |d| d.connections.is_empty(), Instant::now() + GOODBYE).await;
    last_sync(daemon, begun + SYNCED_WITHIN).await
}

/// Tells how many connections were not let in, if any was.
fn account(daemon: &mut Daemon) {
    let refused: Vec<_> = daemon.door.refusals.each().filter(|(_, count)| *count > 0).collect();
    if !refused.is_empty() {
        let counts: Vec<_> = refused.into_iter().map(|(word, count)| format!("{word}={count}")).collect();
        daemon
            .tell(Severity::Info, format!("COUNTED connections that were not let in: {}", counts.join(" ")));
    }
}

/// Brings everything to the disk and notes in the journal that access.log is complete, so that the next start has
/// nothing to do.
async fn last_sync(daemon: &Shared, deadline: Instant) -> Result<(), Failed> {
    let (path, logged, journaled, held) = {
        let mut daemon = daemon.borrow_mut();
        let journaled = daemon.journal.take_unsynced();
        let log = &mut daemon.access_log;
        (log.path(), log.take_unsynced(), journaled, log.held_bytes())
    };
    let failed = |what: String| Failed::new(Exit::Io, format!("{}: {what}", path.display()));
    if held > 0 {
        return Err(failed(format!("{held} bytes could not be written; the next start writes them")));
    }
    let sync = move || journaled.sync().and_then(|()| logged.sync());
    let synced = async {
        rt::unblock(sync).await.map_err(|e| failed(format!("cannot sync: {e}")))?;
        let mut daemon = daemon.borrow_mut();
        rotate::opened(&mut daemon);
        if daemon.has_failed { Err(failed("the journal cannot be synced".into())) } else { Ok(()) }
    };
    let late = async {
        Timer::at(deadline).await;
        Err(failed("the disk did not sync in time".into()))
    };
    future::or(synced, late).await
}

/// Whether it came true before the deadline.
async fn until(daemon: &Shared, is_true: impl Fn(&Daemon) -> bool, deadline: Instant) -> bool {
    let watch = poll_fn(|cx| {
        let mut daemon = daemon.borrow_mut();
        daemon.watch(cx.waker());
        if is_true(&daemon) { Poll::Ready(true) } else { Poll::Pending }
    });
    let late = async {
        Timer::at(deadline).await;
        false
    };
    future::or(watch, late).await
}
