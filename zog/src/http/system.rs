//! What the system says of this process and of the disk that its journal is on.

use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::path::Path;

/// What it said; nothing of what it does not tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct System {
    /// Bytes that this user may still write.
    pub(super) disk_free: Option<u64>,
    /// Bytes of memory that are really there.
    pub(super) resident: Option<u64>,
    /// Open file descriptors.
    pub(super) open_files: Option<u64>,
    /// How many there may be.
    pub(super) open_files_max: Option<u64>,
}

/// Asks it. May take its time: not for the daemon's thread.
pub(super) fn look(state_dir: &Path) -> System {
    System {
        disk_free: statvfs(state_dir).ok().map(|disk| disk.f_bavail * disk.f_frsize),
        resident: resident(),
        open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
        open_files_max: getrlimit(Resource::Nofile).current,
    }
}

/// The second number of statm (proc_pid_statm(5)): pages.
fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_everything() {
        let system = look(Path::new("/"));
        assert!(system.disk_free.is_some(), "{system:?}");
        assert!(system.resident.is_some_and(|bytes| bytes > 100_000), "{system:?}");
        let (open, max) = (system.open_files.unwrap(), system.open_files_max.unwrap_or(u64::MAX));
        assert!((3..=max).contains(&open), "{system:?}");
    }

    #[test]
    fn a_directory_that_is_not_there_has_no_disk() {
        assert_eq!(look(Path::new("/nowhere/at/all")).disk_free, None);
    }
}
