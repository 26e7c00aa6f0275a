//! Small disks that can be filled: a tmpfs, in a mount namespace of the test's own, so that nobody else sees it and
//! the kernel clears it away with the last process.

use rustix::fs::statvfs;
use rustix::process::geteuid;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Set in the process that has a mount namespace of its own.
const OWN_MOUNTS: &str = "ZOG_TEST_HAS_OWN_MOUNTS";

/// A page: a tmpfs has no smaller pieces.
const PAGE: usize = 4096;

/// Runs the body of the test with this name once more, in a process with a mount namespace of its own. Where the
/// system allows none, says so and does nothing.
///
/// # Panics
/// If the test fails there.
#[track_caller]
pub fn with_own_mounts(test: &str, body: impl FnOnce()) {
    if env::var_os(OWN_MOUNTS).is_some() {
        return body();
    }
    let probe = unshare().args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if let Some(why) = refusal(probe) {
        eprintln!("SKIPPED {test}: a mount namespace with a tmpfs cannot be had here: {why}");
        return;
    }
    let this = env::current_exe().expect("the path of this test");
    let output = unshare()
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .env(OWN_MOUNTS, "1")
        .output()
        .expect("what ran just now runs again");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} failed in its own mount namespace:\n{said}");
    assert!(said.contains("1 passed"), "there is no test {test}:\n{said}");
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
}

/// Why a command could not do its work.
fn refusal(output: io::Result<Output>) -> Option<String> {
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(e) => Some(e.to_string()),
    }
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
