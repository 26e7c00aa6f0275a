//! A journal or log that fails: the node ends, as in a crash, and a new one begins with what is on the disk. What can
//! be tried again is only told in error.log, once when it begins to fail and once when it works again.

use crate::connection::Connection;
use crate::daemon::{Daemon, Shared};
use pzog::Severity;
use std::fmt::Display;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

/// What is tried again, and may fail for long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Task {
    /// Making the next segment ready.
    Prepare,
    /// Letting a segment go.
    Release,
    /// Reading a segment.
    Read,
    /// Rotating access.log.
    Rotate,
}

impl Task {
    fn name(self) -> &'static str {
        match self {
            Task::Prepare => "making the next segment of the journal ready",
            Task::Release => "letting a segment of the journal go",
            Task::Read => "reading the journal",
            Task::Rotate => "rotating access.log",
        }
    }

    /// What comes of it, and what to do.
    fn remedy(self) -> &'static str {
        match self {
            Task::Prepare => {
                "messages are refused once this one is full; look at the disk, it is tried again"
            }
            Task::Release => "its room is not given back before the next start; look at the disk",
            Task::Read => "who lacks what stands there is told to ask others; look at the disk",
            Task::Rotate => {
                "the old file is written on; make room, or give it the directory, it is tried again"
            }
        }
    }
}

impl Daemon {
    /// How a task went: told when that has changed.
    pub(crate) fn went<T>(&mut self, task: Task, result: &io::Result<T>) {
        let at = self.failing.iter().position(|failing| *failing == task);
        match (result, at) {
            (Err(e), None) => {
                self.failing.push(task);
                self.tell(Severity::Error, format!("TROUBLE with {}: {e}; {}", task.name(), task.remedy()));
            }
            (Ok(_), Some(at)) => {
                self.failing.remove(at);
                self.tell(Severity::Warning, format!("TROUBLE OVER with {}", task.name()));
            }
            (Err(e), Some(_)) => log::debug!("{}: {e}", task.name()),
            (Ok(_), None) => {}
        }
    }

    /// Says something in error.log that is not the node's to say.
    pub(crate) fn tell(&mut self, severity: Severity, text: impl Display) {
        let utc_seconds = self.clock.now().utc_seconds;
        self.reports.node(utc_seconds, severity, text);
        self.reports.log.write(utc_seconds);
    }

    /// What was written may not be on the disk: nobody is told anything any more. Connections end, and
    /// [`crate::run`] begins anew.
    pub(crate) fn fail(&mut self, what: &str, error: &io::Error) {
        if std::mem::replace(&mut self.has_failed, true) {
            return;
        }
        let text = format!(
            "JOURNAL FAILED {what} ({error}): all connections close, unanswered; beginning again with what {} says",
            self.journal.dir().display()
        );
        self.tell(Severity::Error, text);
        self.connections.iter_mut().for_each(Connection::end);
        self.unpark();
        self.progress();
    }
}

/// Waits until the daemon has failed and its connections are gone.
pub(crate) async fn failed(daemon: Shared) {
    poll_fn(|cx| {
        let mut daemon = daemon.borrow_mut();
        daemon.watch_failure(cx.waker());
        if daemon.has_failed && daemon.connections.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
