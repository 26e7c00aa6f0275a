//! SIGHUP: ring.toml is read again, and the logs are opened anew under their names.

use crate::daemon::{Daemon, Shared};
use crate::notify;
use crate::rotate;
use crate::signals::Signals;
use crate::tokens::Tokens;
use pzog::Severity;
use ringfile::RingFile;
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Where the ring comes from.
#[derive(Clone)]
pub(crate) struct Origin {
    /// ring.toml.
    pub(crate) path: PathBuf,
    /// Whether all hosts are on this machine.
    pub(crate) local: bool,
}

impl Origin {
    /// Reads ring.toml.
    pub(crate) fn load(&self) -> Result<RingFile, ringfile::Error> {
        let file = RingFile::load(&self.path)?;
        Ok(if self.local { file.local() } else { file })
    }

    /// The directory of keys: the one that is given, else `keys` beside ring.toml.
    pub(crate) fn keys(&self, given: Option<&Path>) -> PathBuf {
        given.map_or_else(|| self.path.with_file_name("keys"), Path::to_owned)
    }
}

/// What the daemon runs with: the hosts and the scheme of the start, and the settings of the last reload. A life after
/// a failure begins with it, too.
pub(crate) type Running = Rc<RefCell<RingFile>>;

/// Reloads at each SIGHUP.
pub(crate) async fn reload_at(signals: Rc<Signals>, daemon: Shared, origin: Origin, running: Running) {
    loop {
        if let Err(e) = signals.next().await {
            return log::error!("cannot wait for SIGHUP any more: {e}");
        }
        notify::reloading();
        reload(&mut daemon.borrow_mut(), &origin, &mut running.borrow_mut());
        notify::ready();
    }
}

fn reload(daemon: &mut Daemon, origin: &Origin, running: &mut RingFile) {
    let utc_seconds = daemon.clock.now().utc_seconds;
    let access = rotate::reopen(daemon);
    let error = daemon.reports.log.reopen();
    report_reopened(daemon, utc_seconds, "access.log", access);
    report_reopened(daemon, utc_seconds, "error.log", error);
    if let Some(tls) = daemon.tls.clone() {
        tls.reload(daemon);
    }
    let loaded = origin.load().map_err(|e| e.to_string());
    match loaded.and_then(|file| Ok((Tokens::load(&file.access)?, file))) {
        Ok((tokens, file)) => apply(daemon, utc_seconds, &file, tokens, running),
        Err(e) => {
            let why = e.lines().collect::<Vec<_>>().join("; ");
            let text = format!("RELOAD refused, all stays as it was: {why}");
            daemon.reports.node(utc_seconds, Severity::Error, text);
        }
    }
    daemon.reports.log.write(utc_seconds);
}

fn report_reopened(daemon: &mut Daemon, utc_seconds: u64, name: &str, reopened: io::Result<()>) {
    if let Err(e) = reopened {
        let text = format!("REOPEN of {name} failed, the old file is written on: {e}");
        daemon.reports.node(utc_seconds, Severity::Error, text);
    }
}

fn apply(
    daemon: &mut Daemon,
    utc_seconds: u64,
    file: &RingFile,
    tokens: Option<Tokens>,
    running: &mut RingFile,
) {
    daemon.access_log.configure(&file.log, utc_seconds);
    daemon.reports.log.configure(&file.log, utc_seconds);
    daemon.reconfigure(file, tokens);
    running.settings = file.settings;
    running.log.clone_from(&file.log);
    running.access.clone_from(&file.access);
    running.keep_free = file.keep_free;
    // The ring has the retired hosts and the scheme, too.
    let is_other_ring = file.hosts != running.hosts || file.ring() != running.ring();
    let is_other_tls = file.tls != running.tls || file.tls_clients != running.tls_clients;
    if is_other_ring || is_other_tls || file.http != running.http {
        let text = "RELOAD took the settings; the hosts, the scheme, tls, tls_clients or [http] have changed, too, \
                    which needs a restart of every daemon";
        daemon.reports.node(utc_seconds, Severity::Warning, text);
    } else {
        daemon.reports.node(utc_seconds, Severity::Info, "RELOAD done");
    }
}
