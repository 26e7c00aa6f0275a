//! A journal or log that fails: the node ends, as in a crash, and a new one begins with what is on the disk.

use crate::connection::Connection;
use crate::daemon::{Daemon, Shared};
use pzog::Severity;
use std::fmt::Display;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

impl Daemon {
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
