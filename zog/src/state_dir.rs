//! The directory of one daemon, and the lock that keeps a second one out of it.

use crate::exit::{Exit, Failed};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Held as long as the daemon runs; the system lets go of the lock when the process ends, however it ends.
#[derive(Debug)]
#[must_use]
pub(crate) struct Lock(#[expect(dead_code, reason = "owning the file is holding the lock")] File);

/// Makes a directory and those above it, for this user and its group only.
pub(crate) fn create(dir: &Path, option: &str) -> Result<(), Failed> {
    DirBuilder::new().recursive(true).mode(0o750).create(dir).map_err(|e| {
        let what =
            format!("cannot create the directory {}: {e}; name another one with {option}", dir.display());
        Failed::new(Exit::Io, what)
    })
}

/// Creates the state directory and takes its lock.
pub(crate) fn lock(dir: &Path) -> Result<Lock, Failed> {
    create(dir, "--state-dir")?;
    let path = dir.join("lock");
    let failed = |e| Failed::new(Exit::Io, format!("cannot use {}: {e}", path.display()));
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).clone();
    let mut file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(e)) => return Err(failed(e)),
        Err(TryLockError::WouldBlock) => return Err(busy(dir, &mut file)),
    }
    // The process id is for people; it is the lock itself that counts.
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(Lock(file))
}

fn busy(dir: &Path, file: &mut File) -> Failed {
    let mut holder = String::new();
    let who = match file.read_to_string(&mut holder) {
        Ok(_) if !holder.trim().is_empty() => format!("process {}", holder.trim()),
        _ => "another process".into(),
    };
    let message = format!(
        "{who} uses the state directory {} already; stop it, or give this daemon its own with --state-dir",
        dir.display()
    );
    Failed::new(Exit::Busy, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_second_daemon_is_kept_out_and_told_who_is_in() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        let held = lock(&state).unwrap();
        let refused = lock(&state).unwrap_err();
        assert_eq!(refused.exit, Exit::Busy);
        assert!(refused.message.contains(&format!("process {}", std::process::id())), "{}", refused.message);
        drop(held);
        let _again = lock(&state).unwrap();
        assert_eq!(state.metadata().unwrap().permissions().mode() & 0o7777, 0o750);
    }

    #[test]
    fn a_directory_that_cannot_be_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let failed = lock(&dir.path().join("file/state")).unwrap_err();
        assert_eq!(failed.exit, Exit::Io);
        assert!(failed.message.contains("file/state") && failed.message.contains("--state-dir"));
    }
}
