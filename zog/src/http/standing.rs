//! How this process stands, whichever life of the daemon runs in it, or none.

use super::response::Status;
use super::system::{self, System};
use crate::clock::since_1970;
use crate::daemon::{Daemon, Shared};
use crate::rt::{self, Timer};
use futures_lite::future;
use pzog::{Severity, View};
use ringfile::Host;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The system tells within this time, or is not waited for: a disk that hangs must not hang what tells of it.
const SYSTEM_TELLS_WITHIN: Duration = Duration::from_secs(1);

/// Who asks while it is being asked gets what it told last, if that is not older.
const SYSTEM_IS_TRUE_FOR: Duration = Duration::from_secs(5);

/// What the answers are made of.
pub(crate) struct Standing {
    life: RefCell<Weak<RefCell<Daemon>>>,
    /// The last life was seen to fail.
    has_failed: Cell<bool>,
    /// Since 1970.
    started: Duration,
    state_dir: PathBuf,
    /// This host's name and address in ring.toml.
    own_names: [String; 2],
    /// The system is being asked, in a thread of its own, and what it told last.
    is_asking: Arc<AtomicBool>,
    told: Cell<Option<(Instant, System)>>,
    answered: RefCell<BTreeMap<u16, u64>>,
}

/// One look at it.
pub(super) struct Seen {
    /// Of the life that runs.
    pub(super) life: Option<Life>,
    /// Why messages are not taken just now: a word and a sentence each.
    pub(super) reasons: Vec<(&'static str, &'static str)>,
    /// When this process began, in seconds since 1970.
    pub(super) started: f64,
    /// Requests answered over HTTP, by code.
    pub(super) answered: BTreeMap<u16, u64>,
}

/// What runs.
pub(crate) struct Life {
    pub(crate) view: View,
    /// Clients are read now.
    pub(crate) reads_clients: bool,
    /// `journal.keep_free` forbids another segment.
    pub(crate) is_below_floor: bool,
    /// Bytes of access.log that wait for room on the disk.
    pub(crate) held_bytes: u64,
    /// Connections that were not let in, by reason.
    pub(crate) connections_refused: Vec<(&'static str, u64)>,
    /// When this host's certificate is valid no more, in seconds since 1970; none without TLS.
    pub(crate) cert_expires_at: Option<u64>,
}

impl Standing {
    /// Of a process that begins now.
    pub(crate) fn new(host: &Host, state_dir: PathBuf) -> Standing {
        Standing {
            life: RefCell::default(),
            has_failed: Cell::new(false),
            started: since_1970(),
            state_dir,
            own_names: [host.name.clone(), host.address.clone()],
            is_asking: Arc::default(),
            told: Cell::default(),
            answered: RefCell::default(),
        }
    }

    /// A life begins.
    pub(crate) fn begins(&self, daemon: &Shared) {
        *self.life.borrow_mut() = Rc::downgrade(daemon);
        self.has_failed.set(false);
    }

    /// Says something in error.log, or on standard error while there is none.
    pub(super) fn tell(&self, severity: Severity, text: &str) {
        match self.life.borrow().upgrade() {
            Some(daemon) => daemon.borrow_mut().tell(severity, text),
            None => log::error!("{text}"),
        }
    }

    /// Whether this host may be called so.
    pub(super) fn is_host(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            || self.own_names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    pub(super) fn count(&self, status: Status) {
        *self.answered.borrow_mut().entry(status as u16).or_default() += 1;
    }

    /// Looks.
    pub(super) fn see(&self) -> Seen {
        let daemon = self.life.borrow().upgrade();
        self.has_failed.set(self.has_failed.get() || daemon.as_ref().is_some_and(|d| d.borrow().has_failed));
        let life = daemon.filter(|_| !self.has_failed.get()).map(|daemon| daemon.borrow().seen());
        Seen {
            reasons: self.reasons(life.as_ref()),
            life,
            started: self.started.as_secs_f64(),
            answered: self.answered.borrow().clone(),
        }
    }

    fn reasons(&self, life: Option<&Life>) -> Vec<(&'static str, &'static str)> {
        let Some(Life { view, is_below_floor, held_bytes, .. }) = life else {
            return vec![match self.has_failed.get() {
                true => ("journal_failed", "the journal or access.log has failed; it is begun again"),
                false => ("recovering", "the journal is being read"),
            }];
        };
        let all = [
            (
                view.is_full && *is_below_floor,
                ("keep_free", "the disk has fewer free bytes than journal.keep_free"),
            ),
            (view.is_full && !is_below_floor, ("journal_full", "the disk has no room for the journal")),
            (*held_bytes > 0, ("access_log_halted", "access.log cannot be written")),
            (view.is_stopping, ("stopping", "the daemon ends")),
        ];
        all.into_iter().filter_map(|(is_so, reason)| is_so.then_some(reason)).collect()
    }

    /// What the system says of this process and its disk; nothing where it does not answer in time.
    pub(super) async fn system(&self) -> Option<System> {
        if self.is_asking.swap(true, Ordering::Relaxed) {
            let last = self.told.get();
            return last.filter(|(at, _)| at.elapsed() < SYSTEM_IS_TRUE_FOR).map(|(_, system)| system);
        }
        let (asking, dir) = (Asking(self.is_asking.clone()), self.state_dir.clone());
        let look = rt::unblock(move || {
            let system = system::look(&dir);
            drop(asking);
            system
        });
        let told = async { Some(look.await) };
        let late = async {
            Timer::after(SYSTEM_TELLS_WITHIN).await;
            None
        };
        let system = future::or(told, late).await?;
        self.told.set(Some((Instant::now(), system)));
        Some(system)
    }
}

/// Lives as long as the system is being asked, also when nobody waits for its answer any more.
struct Asking(Arc<AtomicBool>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
