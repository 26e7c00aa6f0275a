//! The only file that names the async runtime: one thread, readiness of sockets, timers, tasks.
//!
//! Sockets are waited for by readiness and then read and written directly ([`Async`]), so that nothing lies
//! between a socket and the node.

pub(crate) use async_io::{Async, Timer};
use async_std::task;
use std::future::Future;

/// Runs the daemon on this thread until `future` is done; the tasks of [`spawn`] run meanwhile.
pub(crate) fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    // As a task it is polled when it is woken; directly, it would be polled at every wake of any task.
    task::block_on(async { task::spawn_local(future).await })
}

/// A task on this thread. Dropping the handle lets it go on.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) -> Task {
    Task(task::spawn_local(future))
}

/// A task that was spawned.
pub(crate) struct Task(task::JoinHandle<()>);

impl Task {
    /// Ends the task where it waits.
    pub(crate) async fn cancel(self) {
        self.0.cancel().await;
    }
}

/// Runs what may block (a sync, a name to resolve, compressing) in a thread of its own.
pub(crate) async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    task::spawn_blocking(work).await
}
