//! Brings the journal, and access.log, to the disk, in a thread of their own; the results are inputs.

use crate::daemon::Daemon;
use crate::rt;
use pzog::Input;

/// Syncs what is appended so far. The node asks for one at a time.
pub(crate) fn journal(daemon: &mut Daemon) {
    let unsynced = daemon.journal.take_unsynced();
    let Some(shared) = daemon.shared() else { return };
    let syncing = rt::unblock(move || unsynced.sync());
    rt::spawn(async move {
        let synced = syncing.await;
        let mut daemon = shared.borrow_mut();
        match synced {
            Ok(()) => {
                daemon.journal.synced();
                daemon.turn(Input::Synced);
            }
            Err(e) => {
                daemon.journal.put_back();
                daemon.fail("the journal cannot be synced", &e);
            }
        }
    });
}

/// Syncs access.log as it is now. The node asks for one at a time.
pub(crate) fn access_log(daemon: &mut Daemon) {
    let (unsynced, log) = (daemon.access_log.take_unsynced(), daemon.access_log.identity());
    let generation = daemon.access_log.generation();
    let Some(shared) = daemon.shared() else { return };
    rt::spawn(async move {
        let synced = rt::unblock(move || unsynced.sync()).await;
        let mut daemon = shared.borrow_mut();
        match synced.and(log) {
            // Another file has taken its place meanwhile, and the node knows that.
            Ok(_) if generation != daemon.access_log.generation() => {}
            Ok(log) => daemon.turn(Input::Marked { log }),
            Err(e) => daemon.fail("access.log cannot be synced", &e),
        }
    });
}
