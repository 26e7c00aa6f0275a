//! Room that is left to others on the disks of the journal and the logs.

use rustix::fs::statvfs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// Whether there is more room than is to stay free. It is looked at before a segment is made ready, so that a message
/// costs nothing; in between, at most a segment and the log of what stands in it are written.
pub(crate) struct Floor {
    pub(crate) dirs: [PathBuf; 2],
    /// Bytes.
    pub(crate) keep_free: u64,
}

impl Floor {
    /// Blocks.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.keep_free == 0 {
            return Ok(());
        }
        for dir in &self.dirs {
            let disk = statvfs(dir)?;
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            if free < self.keep_free {
                let (dir, keep) = (dir.display(), self.keep_free);
                let why = format!("{dir} has {free} free bytes, and journal.keep_free is {keep}");
                return Err(io::Error::new(ErrorKind::StorageFull, why));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_less_room_than_is_kept_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let floor = |keep_free| Floor { dirs: [dir.path().into(), dir.path().into()], keep_free };
        assert!(floor(0).check().is_ok());
        assert!(floor(1).check().is_ok());
        let error = floor(u64::MAX).check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.to_string().contains("journal.keep_free"), "{error}");
    }
}
