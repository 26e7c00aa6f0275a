//! Keys that change while the daemon runs, and keys that are about to expire.

use super::Tls;
use super::keys::Keys;
use crate::daemon::{Daemon, Shared};
use crate::rt::Timer;
use pzog::Severity;
use ringkeys::date;
use std::rc::Rc;
use std::time::Duration;

/// How often it is looked whether the files have changed. They are read once they have stayed the same from one look to
/// the next, so that a certificate is not read before its key.
const LOOK: Duration = Duration::from_secs(5);

const DAY: u64 = 24 * 3600;

/// So many days before the end it is told, and at the end.
const WARNINGS: [u64; 4] = [30, 7, 1, 0];

/// Reads the keys again whenever they have changed, and warns before they expire.
pub(crate) async fn watch(daemon: Shared, tls: Rc<Tls>) {
    let mut before = tls.seen.borrow().clone();
    loop {
        Timer::after(LOOK).await;
        let state = tls.files.state(tls.hosts.my_name());
        if state == before && state != *tls.seen.borrow() {
            tls.reload(&mut daemon.borrow_mut());
        }
        before = state;
        warn_of_expiry(&tls, &mut daemon.borrow_mut());
    }
}

impl Tls {
    /// Reads the keys again, for links that are made from now on.
    pub(crate) fn reload(&self, daemon: &mut Daemon) {
        *self.seen.borrow_mut() = self.files.state(self.hosts.my_name());
        match Keys::load(&self.files, &self.hosts) {
            Ok(keys) => {
                let ends = keys.ends();
                if ends != self.keys.replace(keys).ends() {
                    self.warned.take();
                }
                let until = date(self.expires_at());
                let text = format!("KEYS read again, valid until {until}; links that are up stay");
                daemon.tell(Severity::Info, text);
                self.certify(daemon);
                warn_of_expiry(self, daemon);
            }
            Err(why) => {
                daemon.tell(Severity::Error, format!("KEYS refused, those read before are used on: {why}"));
            }
        }
    }
}

/// Warns 30, 7 and 1 days before the certificate or its CA expires, and when it has.
pub(crate) fn warn_of_expiry(tls: &Tls, daemon: &mut Daemon) {
    let now = daemon.clock.now().utc_seconds;
    let name = tls.hosts.my_name();
    let [own, ca] = tls.keys.borrow().ends();
    let mut warned = tls.warned.get();
    let ends = [
        (own, format!("this host's certificate: `zog keys issue {name} --replace` makes another")),
        (ca, "the CA: `zog keys add-ca` makes another".into()),
    ];
    for ((end, what), told) in ends.into_iter().zip(&mut warned) {
        let Some(days) = due(now, end, *told) else { continue };
        *told = Some(days);
        let (severity, will) = if days == 0 {
            (Severity::Error, "has expired, other hosts refuse it")
        } else {
            (Severity::Warning, "expires")
        };
        daemon.tell(severity, format!("KEYS {will} on {}: {what}", date(end)));
    }
    tls.warned.set(warned);
}

/// The number of days of which it is to be warned now.
fn due(now: u64, end: u64, told: Option<u64>) -> Option<u64> {
    let reached = WARNINGS.into_iter().filter(|days| now + days * DAY >= end).min()?;
    told.is_none_or(|told| reached < told).then_some(reached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_warning_is_given_once() {
        let end = 100 * DAY;
        let told = (0..=101 * DAY).step_by(3600).scan(None, |told, now| {
            let due = due(now, end, *told);
            *told = due.or(*told);
            Some(due.map(|days| (now / DAY, days)))
        });
        let told: Vec<_> = told.flatten().collect();
        assert_eq!(told, [(70, 30), (93, 7), (99, 1), (100, 0)]);
    }

    #[test]
    fn who_starts_late_is_warned_once_of_what_is_next() {
        assert_eq!(due(95 * DAY, 100 * DAY, None), Some(7));
        assert_eq!(due(95 * DAY, 100 * DAY, Some(7)), None);
        assert_eq!(due(200 * DAY, 100 * DAY, None), Some(0));
    }
}
