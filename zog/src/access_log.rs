//! access.log: every message once, one write a turn, and nothing answered that is not in it.
//!
//! Where the disk does not take a batch, the batch is held back and tried again; whoever waits for it (answers,
//! closes, a mark) waits with it, see [`crate::held`].

use crate::log_file::{LogFile, Unsynced};
use ringfile::LogSettings;
use std::io;
use std::path::{Path, PathBuf};

/// access.log of this host.
pub(crate) struct AccessLog {
    file: LogFile,
    /// Lines that the disk has not taken yet, in order.
    held: Vec<u8>,
    generation: u64,
}

impl AccessLog {
    /// Opens `access.log` to append to it. Returns, too, how many bytes of a torn last line were cut off.
    pub(crate) fn open(dir: &Path, settings: &LogSettings) -> io::Result<(AccessLog, u64)> {
        let (file, torn) = LogFile::open(dir, "access", settings)?;
        Ok((AccessLog { file, held: Vec::new(), generation: 0 }, torn))
    }

    /// Writes the lines of a turn. After an error they are held, and so is all that comes until
    /// [`Self::retry`] succeeds.
    pub(crate) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_held() {
            self.held.extend_from_slice(lines);
            return Ok(());
        }
        self.file.append(lines).inspect_err(|_| self.held.extend_from_slice(lines))
    }

    /// Where the file is.
    pub(crate) fn dir(&self) -> PathBuf {
        self.file.path().parent().map(Path::to_owned).unwrap_or_default()
    }

    /// Whether lines wait for the disk.
    pub(crate) fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Tries again to write what is held.
    pub(crate) fn retry(&mut self) -> io::Result<()> {
        self.file.append(&self.held)?;
        self.held = Vec::new();
        Ok(())
    }

    /// Bytes that wait for the disk.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Follows a file that was renamed.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.file.reopen()?;
        self.generation += 1;
        Ok(())
    }

    /// Whether the file has become too long or too old.
    pub(crate) fn is_rotation_due(&self, utc_seconds: u64) -> bool {
        !self.is_held() && self.file.is_rotation_due(utc_seconds)
    }

    /// Renames the file and begins a new one.
    pub(crate) fn rotate(&mut self, utc_seconds: u64) -> io::Result<()> {
        self.file.rotate(utc_seconds)?;
        self.generation += 1;
        Ok(())
    }

    /// Counts the files that it was.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Which file it is, and how long with all that was written to it.
    pub(crate) fn identity(&self) -> io::Result<pzog::LogFile> {
        self.file.identity()
    }

    /// Brings all that was written to the disk, now; blocks.
    pub(crate) fn sync_now(&mut self) -> io::Result<()> {
        self.file.sync_now()
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
        let mut log = AccessLog { file, held: Vec::new(), generation: 0 };
        left.set(10);
        log.write(b"one\n").unwrap();
        assert!(log.write(b"two\nthree\n").is_err());
        log.write(b"four\n").unwrap();
        assert!(log.is_held());
        assert!(log.retry().is_err());
        assert_eq!(fs::read_to_string(dir.path().join("access.log")).unwrap(), "one\n");
        left.set(1000);
        log.retry().unwrap();
        assert!(!log.is_held());
        assert_eq!(fs::read_to_string(dir.path().join("access.log")).unwrap(), "one\ntwo\nthree\nfour\n");
    }
}
