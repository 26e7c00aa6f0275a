//! Brings access.log to the disk, in a thread of its own; the result is an input.

use crate::daemon::Daemon;
use crate::rt;
use pzog::{Input, Severity};

/// Syncs what is logged so far. The node asks for one at a time.
pub(crate) fn start(daemon: &mut Daemon) {
    let unsynced = daemon.access_log.take_unsynced();
    let Some(shared) = daemon.shared() else { return };
    rt::spawn(async move {
        let synced = rt::unblock(move || unsynced.sync()).await;
        let mut daemon = shared.borrow_mut();
        if let Err(e) = &synced {
            let text = format!("SYNC {} may not be on the disk: {e}", daemon.access_log.path().display());
            let utc_seconds = daemon.clock.now().utc_seconds;
            daemon.reports.node(utc_seconds, Severity::Error, text);
        }
        daemon.turn(Input::Synced { ok: synced.is_ok() });
    });
}
