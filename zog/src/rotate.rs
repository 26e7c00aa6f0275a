//! access.log becomes another file, by its size, its age or a signal, without a line in both or in none.
//!
//! The journal and the old file are brought to the disk, then the new one is opened, then the node notes in the
//! journal that from here on lines are in that one, and this note is brought to the disk, too, before the first line is
//! written. All of this blocks, for some milliseconds.

use crate::daemon::Daemon;
use crate::failure::Task;
use pzog::Input;
use std::io;

/// Rotates access.log, if it is time to. Called between turns.
pub(crate) fn if_due(daemon: &mut Daemon, utc_seconds: u64) {
    if daemon.access_log.is_rotation_due(utc_seconds) {
        let rotated = switch(daemon, |daemon| daemon.access_log.rotate(utc_seconds));
        daemon.went(Task::Rotate, &rotated);
    }
}

/// Opens what has the name of access.log now.
pub(crate) fn reopen(daemon: &mut Daemon) -> io::Result<()> {
    switch(daemon, |daemon| daemon.access_log.reopen())
}

/// Does it, if all that is in the old file is certain. After an error the old file is written on.
fn switch(daemon: &mut Daemon, does: impl Fn(&mut Daemon) -> io::Result<()>) -> io::Result<()> {
    if daemon.access_log.is_held() {
        return Err(io::Error::other("lines wait to be written to it"));
    }
    // A sync that fails is no failed rotation: what was written may not be on the disk.
    let synced = daemon.journal.sync_now().and_then(|()| daemon.access_log.sync_now());
    if let Err(e) = &synced {
        daemon.fail("the journal or access.log cannot be synced", e);
        return synced;
    }
    does(daemon)?;
    opened(daemon);
    Ok(())
}

/// Tells the node which file access.log is, and brings that to the disk.
pub(crate) fn opened(daemon: &mut Daemon) {
    match daemon.access_log.identity() {
        Ok(log) => daemon.turn(Input::LogOpened { log }),
        Err(e) => return daemon.fail("access.log cannot be looked at", &e),
    }
    if let Err(e) = daemon.journal.sync_now() {
        daemon.fail("the journal cannot be synced", &e);
    }
}
