//! The async runtime: the only file that names it. Everything runs on one thread.

use crate::exit::INTERRUPTED;
use async_std::io::{ReadExt, Stdin, WriteExt};
use async_std::net::TcpStream;
use async_std::os::unix::net::UnixStream;
use async_std::task;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Runs a future, and all that it spawns, on this thread until it ends.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    task::block_on(future)
}

/// Runs a future on this thread beside the others; what has not ended goes with the program.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    drop(task::spawn_local(future));
}

/// Waits.
pub(crate) async fn sleep(time: Duration) {
    task::sleep(time).await;
}

/// The future's result, or `None` where it takes longer.
pub(crate) async fn timeout<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    async_std::future::timeout(time, future).await.ok()
}

/// A TCP connection.
pub(crate) struct Tcp(TcpStream);

impl Tcp {
    /// Dials; the last error where a name has several addresses.
    pub(crate) async fn dial(address: &str, port: u16) -> io::Result<Tcp> {
        let stream = TcpStream::connect((address, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Tcp(stream))
    }

    /// Reads what is there, at least a byte; 0 at the end. Nothing is lost where this is dropped half-way.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer).await
    }

    /// Writes all of it.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes).await
    }
}

/// Standard input.
pub(crate) struct Input(Stdin);

impl Input {
    /// From where it is now.
    pub(crate) fn new() -> Input {
        Input(async_std::io::stdin())
    }

    /// Reads what is there, at least a byte; 0 at the end.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).await
    }
}

/// SIGINT and SIGTERM, caught from here on. The second one ends the program at once, whatever it does.
pub(crate) struct Signals(UnixStream);

impl Signals {
    /// Begins to catch them.
    pub(crate) fn catch() -> io::Result<Signals> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let seen = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Registered in this order, the first signal finds the flag down and puts it up.
            flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&seen))?;
            flag::register(signal, Arc::clone(&seen))?;
            low_level::pipe::register(signal, theirs.try_clone()?)?;
        }
        Ok(Signals(UnixStream::from(ours)))
    }

    /// Waits for the first one.
    pub(crate) async fn wait(&self) -> io::Result<()> {
        (&self.0).read_exact(&mut [0]).await
    }
}
