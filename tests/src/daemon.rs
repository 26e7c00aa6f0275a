//! One running `zog`.

use crate::wait::wait_until;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A `zog run` whose standard output and error go to files; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Daemon {
    /// Starts the command; `dir` takes the files `stdout` and `stderr`, which earlier runs may have begun.
    pub(crate) fn spawn(command: &mut Command, dir: &Path) -> Daemon {
        let (stdout, stderr) = (dir.join("stdout"), dir.join("stderr"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("a file for standard output"))
            .stderr(
                File::options().create(true).append(true).open(&stderr).expect("a file for standard error"),
            )
            .spawn()
            .expect("zog can be started");
        Daemon { child, stdout, stderr }
    }

    /// Waits for the line that says that both ports are open.
    ///
    /// # Panics
    /// If the daemon ends before, or does not get so far.
    #[track_caller]
    pub fn wait_ready(&mut self) {
        wait_until("the daemon is ready", || {
            if let Some(status) = self.try_wait() {
                panic!("zog ended with {status} before it was ready:\n{}", self.stderr());
            }
            self.is_ready()
        });
    }

    /// Whether it has said that both ports are open.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.stdout().contains(" ready ")
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that this run wrote to standard output.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// All that this and earlier runs of the host wrote to standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a daemon that was not waited for can be signalled");
    }

    /// Its exit status, if it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the daemon is our child")
    }

    /// Waits for its end and says how long that took.
    ///
    /// # Panics
    /// If it does not end in time.
    #[track_caller]
    pub fn wait(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        let mut status = None;
        wait_until("zog ends", || {
            status = self.try_wait();
            status.is_some()
        });
        (status.expect("it has ended"), start.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.try_wait().is_none() {
            self.signal(Signal::KILL);
            self.wait();
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
