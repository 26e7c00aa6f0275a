//! A bell: one task of this thread waits until another one rings.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Rings are not counted: many before a wait are as good as one. At most one task waits at a time.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Cell<bool>,
    waiting: Cell<Option<Waker>>,
}

impl Bell {
    /// Ends the present wait, or the next one.
    pub(crate) fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Waits for a ring since the last wait.
    pub(crate) async fn wait(&self) {
        poll_fn(|context| {
            if self.rung.replace(false) {
                return Poll::Ready(());
            }
            self.waiting.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once, zip};

    #[test]
    fn a_ring_ends_the_wait_before_or_after_it() {
        let bell = Bell::default();
        assert_eq!(block_on(poll_once(bell.wait())), None);
        bell.ring();
        bell.ring();
        block_on(bell.wait());
        assert_eq!(block_on(poll_once(bell.wait())), None);
        block_on(zip(bell.wait(), async { bell.ring() }));
    }
}
