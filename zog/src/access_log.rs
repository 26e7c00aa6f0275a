//! access.log: every message once, one write a turn, and nothing answered that is not in it.
//!
//! Where the disk does not take a batch, the batch is held back and tried again; whoever waits for it (answers,
//! closes, a sync) waits with it, see [`crate::held`].

use crate::log_file::{LogFile, Unsynced};
use ringfile::LogSettings;
use std::io;
use std::path::{Path, PathBuf};

/// access.log of this host.
pub(crate) struct AccessLog {
    file: LogFile,
    /// Lines that the disk has not taken yet, in order.
    held: Vec<u8>,
}

impl AccessLog {
    /// Opens `access.log` to append to it. Returns, too, how many bytes of a torn last line were cut off.
    pub(crate) fn open(dir: &Path, settings: &LogSettings) -> io::Result<(AccessLog, u64)> {
        let (file, torn) = LogFile::open(dir, "access", settings)?;
        Ok((AccessLog { file, held: Vec::new() }, torn))
    }

    /// Writes the lines of a turn. After an error they are held, and so is all that comes until
    /// [`Self::retry`] succeeds.
    pub(crate) fn write(&mut self, lines: &[u8], utc_seconds: u64) -> io::Result<()> {
        if self.is_held() {
            self.held.extend_from_slice(lines);
            return Ok(());
        }
        self.file.append(lines, utc_seconds).inspect_err(|_| self.held.extend_from_slice(lines))
    }

    /// Whether lines wait for the disk.
    pub(crate) fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Tries again to write what is held.
    pub(crate) fn retry(&mut self, utc_seconds: u64) -> io::Result<()> {
        self.file.append(&self.held, utc_seconds)?;
        self.held = Vec::new();
        Ok(())
    }

    /// Bytes that wait for the disk.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Follows a file that was renamed.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.file.reopen()
    }

    /// New settings for rotation.
    pub(crate) fn configure(&mut self, settings: &LogSettings, utc_seconds: u64) {
        self.file.configure(settings, utc_seconds);
    }

    /// What was written since the last call, to be synced.
    pub(crate) fn take_unsynced(&mut self) -> Unsynced {
        self.file.take_unsynced()
    }

    /// The file's name.
    pub(crate) fn path(&self) -> PathBuf {
        self.file.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_file::tests::on_small_disk;
    use std::fs;

    #[test]
    fn what_a_full_disk_refuses_is_written_later_in_order_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let (file, left) = on_small_disk(dir.path(), &LogSettings::default());
        let mut log = AccessLog { file, held: Vec::new() };
        left.set(10);
        log.write(b"one\n", 0).unwrap();
        assert!(log.write(b"two\nthree\n", 0).is_err());
        log.write(b"four\n", 0).unwrap();
        assert!(log.is_held());
        assert!(log.retry(0).is_err());
        assert_eq!(fs::read_to_string(dir.path().join("access.log")).unwrap(), "one\n");
        left.set(1000);
        log.retry(0).unwrap();
        assert!(!log.is_held());
        assert_eq!(fs::read_to_string(dir.path().join("access.log")).unwrap(), "one\ntwo\nthree\nfour\n");
    }
}
