//! Small disks that can be filled: a tmpfs, in a mount namespace of the test's own, so that nobody else sees it and
//! the kernel clears it away with the last process.

use crate::namespace::{self, refusal};
use rustix::fs::statvfs;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A page: a tmpfs has no smaller pieces.
const PAGE: usize = 4096;

/// Runs the body of the test with this name once more, in a process with a mount namespace of its own. Where the
/// system allows none, says so and does nothing.
///
/// # Panics
/// If the test fails there.
#[track_caller]
pub fn with_own_mounts(test: &str, body: impl FnOnce()) {
    namespace::with_own("--mount", &["mount", "-t", "tmpfs", "tmpfs", "/mnt"], test, body);
}

/// A tmpfs; unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
}

impl Disk {
    /// Mounts one of so many bytes on a directory, which is made if need be.
    ///
    /// # Panics
    /// If that fails; only within [`with_own_mounts`] can it succeed.
    #[must_use]
    pub fn mount(dir: &Path, bytes: usize) -> Disk {
        fs::create_dir_all(dir).expect("a directory to mount a disk on");
        let size = format!("size={bytes}");
        let mut mount = Command::new("mount");
        let output = mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir).output();
        assert_eq!(refusal(output), None, "mount");
        Disk { dir: dir.to_owned() }
    }

    /// Takes all room that is left.
    ///
    /// # Panics
    /// If a write fails for another cause.
    pub fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).expect("a file");
        loop {
            match ballast.write(&[0; PAGE]) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::StorageFull => break,
                Err(e) => panic!("cannot fill the disk: {e}"),
            }
        }
    }

    /// Takes room until at most so many bytes are left.
    ///
    /// # Panics
    /// If a write fails.
    pub fn fill_up_to(&self, left: u64) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).expect("a file");
        let free = || statvfs(&self.dir).map(|disk| disk.f_bavail * disk.f_frsize).expect("a mounted disk");
        while free() > left {
            ballast.write_all(&[0; PAGE]).expect("there is room");
        }
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// If it was not taken.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("the disk was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the daemons on it may still run. If it fails, the end of the namespace does it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.dir).status();
    }
}
