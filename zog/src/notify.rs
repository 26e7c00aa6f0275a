//! What the service manager is told (sd_notify(3)): ready, reloading, stopping, and that the loop still goes round.
//!
//! Without `NOTIFY_SOCKET` in the environment nobody wants to know, and nothing is done.

use crate::rt::Timer;
use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A service manager that takes nothing must not hold up the ring for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// So often the watchdog is fed within the time after which it bites.
const MEALS: u32 = 3;

/// The journal is recovered and the ports are open.
pub(crate) fn ready() {
    tell("READY=1");
}

/// ring.toml is read again; [`ready`] says when that is done.
pub(crate) fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
}

/// The orderly end has begun.
pub(crate) fn stopping() {
    tell("STOPPING=1");
}

/// Feeds the watchdog for ever, where there is one. As a task it is polled by the one loop that takes all turns, so
/// a turn that does not end, or a write that hangs, lets it starve. A life that waits for its disk does not.
pub(crate) async fn feed_watchdog() {
    let Some(bites_after) = watchdog() else { return };
    loop {
        tell("WATCHDOG=1");
        Timer::after(bites_after / MEALS).await;
    }
}

/// After what time the watchdog of this process bites.
fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|usec| is_ours && *usec > 0).map(Duration::from_micros)
}

fn tell(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(e) = send(&socket, state) {
        log::warn!("the service manager at {} cannot be told {state:?}: {e}", socket.display());
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(PATIENCE))?;
    sender.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard_at(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_path_and_an_abstract_name_are_both_sockets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), "READY=1").unwrap();
        assert_eq!(heard_at(&by_path), "READY=1");

        let name = format!("zog-test-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        send(OsStr::new(&format!("@{name}")), "STOPPING=1").unwrap();
        assert_eq!(heard_at(&by_name), "STOPPING=1");
    }

    #[test]
    fn nobody_there_is_an_error_and_one_who_reads_nothing_holds_us_up_only_so_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        assert!(send(path.as_os_str(), "READY=1").is_err());
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let full = (0..100_000).find_map(|_| send(path.as_os_str(), "WATCHDOG=1").err()).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    }
}
