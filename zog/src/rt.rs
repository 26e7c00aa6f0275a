//! The runtime: one thread that waits for sockets and timers, and runs the tasks that they wake.
//!
//! The only file that names the executor and the threads for what may block; [`reactor`] is the only one that names
//! epoll. The executor is the one that async-std is made of. Its reactor is not used: each wait would cost
//! five system calls in place of one, and a thread of its own would take turns with this one.

mod reactor;

pub(crate) use reactor::{Async, Timer};

use async_executor::LocalExecutor;
use reactor::Reactor;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// So many sockets are served, and tasks run, before sockets and timers are looked at again: few, since one may take a
/// long turn.
const STEPS_PER_LOOK: usize = 4;

thread_local! {
    static EXECUTOR: LocalExecutor<'static> = const { LocalExecutor::new() };
}

/// Runs the daemon on this thread until `future` is done; the tasks of [`spawn`] run meanwhile, and sockets are served.
pub(crate) fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    let (reactor, waker) = (Reactor::of_thread(), Reactor::waker());
    let mut cx = Context::from_waker(&waker);
    EXECUTOR.with(|executor| {
        let mut main = pin!(executor.spawn(future));
        // Kept while we sleep, so that a wake from another thread ends the sleep.
        let mut tick = pin!(executor.tick());
        // A tick that has found nothing need not be asked again before it calls the waker.
        let mut may_tick = true;
        loop {
            if main.is_finished()
                && let Poll::Ready(result) = main.as_mut().poll(&mut cx)
            {
                return result;
            }
            let mut is_busy = true;
            for step in 1..=STEPS_PER_LOOK {
                let has_served = reactor.serve_next();
                may_tick |= reactor.was_notified();
                // One task in a round at least; more, so that a crowd is not let in before those who are served.
                let is_turn = !has_served || step == STEPS_PER_LOOK;
                let has_run = is_turn && may_tick && tick.as_mut().poll(&mut cx).is_ready();
                if has_run {
                    tick.set(executor.tick());
                } else if is_turn {
                    may_tick = false;
                }
                is_busy = has_served || has_run;
                if !is_busy {
                    break;
                }
            }
            reactor.look(!is_busy && !main.is_finished());
        }
    })
}

/// Has sockets that are served ([`Async::serve_as`]) served by this, between tasks, from now on.
pub(crate) fn serve_by(server: impl Fn(u32) + 'static) {
    Reactor::of_thread().serve_by(server);
}

/// The time as it was when sockets and timers were looked at last: that of a turn, without asking the system again.
pub(crate) fn now() -> Instant {
    Reactor::of_thread().now()
}

/// A task on this thread. Dropping the handle lets it go on.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) -> Task {
    Task(Some(EXECUTOR.with(|executor| executor.spawn(future))))
}

/// A task that was spawned.
pub(crate) struct Task(Option<async_executor::Task<()>>);

impl Task {
    /// Whether it has come to its end.
    pub(crate) fn is_finished(&self) -> bool {
        self.0.as_ref().is_none_or(async_executor::Task::is_finished)
    }

    /// Ends the task where it waits.
    pub(crate) async fn cancel(mut self) {
        if let Some(task) = self.0.take() {
            task.cancel().await;
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}

/// Runs what may block (a sync, a name to resolve, compressing) in a thread of its own, from this call on.
pub(crate) fn unblock<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    blocking::unblock(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future;
    use std::cell::Cell;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::rc::Rc;
    use std::task::Poll;
    use std::thread;
    use std::time::{Duration, Instant};

    fn pair() -> (Async<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Async::new(near).unwrap(), listener.accept().unwrap().0)
    }

    #[test]
    fn what_another_thread_does_wakes_who_sleeps() {
        for _ in 0..200 {
            assert_eq!(run(unblock(|| 7)), 7);
        }
    }

    #[test]
    fn timers_fire_in_their_order_and_not_when_dropped() {
        let fired = run(async {
            let fired = Rc::new(Cell::new(Vec::new()));
            let mut tasks = Vec::new();
            for milliseconds in [30_u64, 10, 20] {
                let fired = fired.clone();
                tasks.push(spawn(async move {
                    Timer::after(Duration::from_millis(milliseconds)).await;
                    let mut all = fired.take();
                    all.push(milliseconds);
                    fired.set(all);
                }));
            }
            tasks.remove(2).cancel().await;
            let never = async {
                Timer::never().await;
                false
            };
            let late = async {
                Timer::at(Instant::now() + Duration::from_millis(60)).await;
                true
            };
            assert!(future::or(never, late).await);
            fired.take()
        });
        assert_eq!(fired, [10, 30]);
    }

    #[test]
    fn a_timer_that_is_set_again_counts_from_then() {
        run(async {
            let mut timer = Timer::never();
            timer.set_at(Instant::now() + Duration::from_secs(3600));
            assert!(future::poll_once(&mut timer).await.is_none());
            timer.set_at(Instant::now());
            timer.await;
        });
    }

    #[test]
    fn all_that_was_sent_is_read_and_the_end_is_seen() {
        let (near, mut far) = pair();
        let sent = 3_000_000;
        let writer = thread::spawn(move || {
            far.write_all(&vec![b'x'; sent]).unwrap();
            far.shutdown(Shutdown::Write).unwrap();
            far
        });
        let read = run(async move {
            let (mut buffer, mut all) = (vec![0; 10_000], 0);
            loop {
                match near.read_some(&mut buffer).await.unwrap() {
                    0 => return all,
                    n => all += n,
                }
            }
        });
        assert_eq!(read, sent);
        drop(writer.join().unwrap());
    }

    #[test]
    fn an_end_that_came_with_the_last_bytes_is_seen_though_nothing_follows() {
        let (near, mut far) = pair();
        far.write_all(b"last").unwrap();
        far.shutdown(Shutdown::Both).unwrap();
        run(async move {
            let mut buffer = [0; 100];
            assert_eq!(near.read_some(&mut buffer).await.unwrap(), 4);
            assert_eq!(near.read_some(&mut buffer).await.unwrap(), 0);
        });
    }

    #[test]
    fn who_cannot_write_is_woken_when_there_is_room() {
        let (near, mut far) = pair();
        let written = run(async move {
            let mut written = 0;
            while let Ok(n) = near.write_now(&[b'x'; 65536]) {
                written += n;
            }
            let reader = thread::spawn(move || {
                let mut all = vec![0; written];
                far.read_exact(&mut all).unwrap();
                far
            });
            std::future::poll_fn(|cx| near.poll_writable(cx)).await;
            let more = near.write_now(b"more").unwrap();
            let mut far = reader.join().unwrap();
            far.read_exact(&mut [0; 4]).unwrap();
            (written, more)
        });
        assert!(written.0 > 0 && written.1 == 4);
    }

    #[test]
    fn a_busy_task_does_not_keep_others_from_their_sockets() {
        let (near, mut far) = pair();
        run(async move {
            let busy = spawn(std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::Pending
            }));
            far.write_all(b"here").unwrap();
            assert_eq!(near.read_some(&mut [0; 10]).await.unwrap(), 4);
            busy.cancel().await;
        });
    }

    #[test]
    fn a_port_that_nobody_has_refuses_and_one_that_is_open_takes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        run(async move {
            let listener = Async::new(listener).unwrap();
            let (dialed, accepted) = future::zip(Async::connect(open, None), listener.accept()).await;
            let ((accepted, address), dialed) = (accepted.unwrap(), dialed.unwrap());
            assert_eq!(dialed.get_ref().local_addr().unwrap(), address);
            accepted.write_now(b"hello").unwrap();
            assert_eq!(dialed.read_some(&mut [0; 10]).await.unwrap(), 5);
            let error = Async::connect(refused, None).await.err().unwrap();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        });
    }
}
