//! SIGTERM and SIGINT end the daemon, at once when they come a second time; SIGHUP reloads it.

use crate::exit::Exit;
use crate::rt::Async;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Signals of one purpose, as they arrive.
pub(crate) struct Signals {
    pipe: Async<UnixStream>,
}

impl Signals {
    /// SIGTERM and SIGINT. The second one leaves the process from within the signal handler, so that it works
    /// even where a disk hangs.
    pub(crate) fn stop() -> io::Result<Signals> {
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            flag::register_conditional_shutdown(signal, Exit::Interrupted as i32, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
        }
        Signals::of(&[SIGTERM, SIGINT])
    }

    /// SIGHUP.
    pub(crate) fn reload() -> io::Result<Signals> {
        Signals::of(&[SIGHUP])
    }

    fn of(signals: &[i32]) -> io::Result<Signals> {
        let (read, write) = UnixStream::pair()?;
        for signal in signals {
            pipe::register(*signal, write.try_clone()?)?;
        }
        Ok(Signals { pipe: Async::new(read)? })
    }

    /// Waits for the next one; those that came close together count as one.
    pub(crate) async fn next(&self) -> io::Result<()> {
        self.pipe.read_some(&mut [0; 64]).await.map(drop)
    }
}
