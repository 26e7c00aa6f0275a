//! A terminal with nobody before it: a program runs on it as it would under a person's hands.

use crate::wait::wait_until;
use rustix::io::read;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::{ffi::OsStr, thread};

/// A pseudo terminal, and the program that runs on it; killed when dropped.
#[derive(Debug)]
pub struct Terminal {
    keyboard: File,
    line: File,
    shown: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Terminal {
    /// Runs a program on a terminal of this size.
    ///
    /// # Panics
    /// If there is no pseudo terminal, or no `setsid`.
    #[must_use]
    pub fn run(command: &Command, columns: u16, rows: u16) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("its other end is ours");
        let name = ptsname(&master, Vec::new()).expect("its name");
        let path = Path::new(OsStr::from_bytes(name.to_bytes()));
        let line = File::options().read(true).write(true).open(path).expect("its other end");
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&line, size).expect("a terminal has a size");
        let end = || line.try_clone().expect("the same end");
        // Ctrl-C is for the session that has the terminal.
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        let child = session.stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid runs");
        let shown = Arc::default();
        collect(master.as_fd().try_clone_to_owned().expect("the same end"), Arc::clone(&shown));
        Terminal { keyboard: master.into(), line, shown, child }
    }

    /// All that was ever shown.
    ///
    /// # Panics
    /// Never, but for a thread that has.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("nobody panics with it")).into_owned()
    }

    /// Hits keys.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn hit(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("a terminal takes keys");
    }

    /// Whether it echoes what is hit, and gives it line by line: as terminals do unless they are told otherwise.
    ///
    /// # Panics
    /// If the terminal is gone.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let modes = tcgetattr(&self.line).expect("a terminal has modes").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Waits for the end of the program.
    ///
    /// # Panics
    /// If it does not come.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the program ends", || {
            status = self.child.try_wait().expect("the program is our child");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

/// Reads what is shown until nobody can show anything any more.
fn collect(screen: OwnedFd, shown: Arc<Mutex<Vec<u8>>>) {
    thread::spawn(move || {
        let mut some = [0; 4096];
        while let Ok(n @ 1..) = read(&screen, &mut some) {
            shown.lock().expect("nobody panics with it").extend_from_slice(&some[..n]);
        }
    });
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The program hears of the end of its terminal; setsid goes with it.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            drop(self.keyboard.write_all(b"\x03"));
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
