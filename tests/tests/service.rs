//! What a service manager hears: ready, reloading, stopping, and a watchdog that is fed by the loop that does the work.

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ExitStatus};
use std::time::Duration;
use tests::{Plan, Ring, wait_until};

/// The watchdog bites after this; a healthy daemon feeds it three times within.
const BITES_AFTER: Duration = Duration::from_millis(600);

/// A daemon, and the socket on which it tells what it does.
struct Service {
    daemon: Child,
    socket: UnixDatagram,
}

impl Service {
    fn start(ring: &Ring) -> Service {
        let path = ring.dir().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket can be made");
        let mut command = ring.command(0);
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", BITES_AFTER.as_micros().to_string());
        Service { daemon: command.spawn().expect("zog can be started"), socket }
    }

    /// What it tells next, if that is within `patience`.
    fn hear(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).expect("the time is not zero");
        let mut buffer = [0; 200];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// What it tells next, meals of the watchdog aside.
    #[track_caller]
    fn hear_news(&self) -> String {
        let mut news = None;
        wait_until("the daemon tells something", || {
            news = self.hear(BITES_AFTER).filter(|told| told != "WATCHDOG=1");
            news.is_some()
        });
        news.unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.daemon), signal).expect("it was not waited for");
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("zog ends", || {
            status = self.daemon.try_wait().expect("it is our child");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Ok(None) = self.daemon.try_wait() {
            self.signal(Signal::KILL);
            self.wait();
        }
    }
}

#[test]
fn every_step_of_a_life_is_told() {
    let ring = Plan::of(1).set_up();
    let mut service = Service::start(&ring);
    assert_eq!(service.hear_news(), "READY=1");
    for address in [ring.ring_address(0), ring.client_address(0)] {
        TcpStream::connect(address).expect("what is ready has its ports open");
    }

    service.signal(Signal::HUP);
    let reloading = service.hear_news();
    let microseconds = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(str::parse::<u64>);
    assert!(matches!(microseconds, Some(Ok(_))), "{reloading:?}");
    assert_eq!(service.hear_news(), "READY=1");

    service.signal(Signal::TERM);
    assert_eq!(service.hear_news(), "STOPPING=1");
    assert!(service.wait().success());
}

#[test]
fn a_loop_that_hangs_lets_the_watchdog_starve() {
    let ring = Plan::of(1).set_up();
    let service = Service::start(&ring);
    assert_eq!(service.hear_news(), "READY=1");
    for _ in 0..5 {
        assert_eq!(service.hear(10 * BITES_AFTER).as_deref(), Some("WATCHDOG=1"));
    }

    // The daemon hangs in opening it, until somebody reads it.
    let error_log = ring.log_dir(0).join("error.log");
    fs::remove_file(&error_log).expect("the daemon has made it");
    mknodat(CWD, &error_log, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a fifo can be made");
    service.signal(Signal::HUP);
    assert!(service.hear_news().starts_with("RELOADING=1"));
    assert_eq!(service.hear(2 * BITES_AFTER), None, "it hangs, and yet the watchdog is fed");

    let _reader = fs::File::open(&error_log).expect("the fifo is there");
    assert_eq!(service.hear_news(), "READY=1");
}
