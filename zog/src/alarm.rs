//! The one timer: wakes the node when [`pzog::Outputs::wake_at`] has come.

use crate::daemon::{Daemon, Shared};
use crate::rt::Timer;
use pzog::{Input, Time};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// When the node wants to be woken. Setting a timer costs system calls, so it is set again only when it fired or
/// something is due earlier; a node that wants to be woken later is so when the earlier timer fires.
#[derive(Default)]
pub(crate) struct Alarm {
    due: Option<Time>,
    armed: Option<Time>,
    waker: Option<Waker>,
}

impl Alarm {
    /// From now on this is when the node is to be woken.
    pub(crate) fn set(&mut self, due: Option<Time>) {
        self.due = due;
        let is_earlier = due.is_some_and(|due| self.armed.is_none_or(|armed| due < armed));
        if is_earlier && let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

/// The task of the timer.
pub(crate) async fn watch(daemon: Shared) {
    let mut timer = Timer::never();
    poll_fn(|cx| poll(&mut daemon.borrow_mut(), &mut timer, cx)).await;
}

fn poll(daemon: &mut Daemon, timer: &mut Timer, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        daemon.alarm.waker = Some(cx.waker().clone());
        if daemon.alarm.armed.is_some() && Pin::new(&mut *timer).poll(cx).is_ready() {
            daemon.alarm.armed = None;
        }
        let Some(due) = daemon.alarm.due else { return Poll::Pending };
        if due <= daemon.clock.mono() {
            daemon.alarm.due = None;
            daemon.turn(Input::Deadline);
            cx.waker().wake_by_ref(); // others have their turn before the next deadline
            return Poll::Pending;
        }
        if daemon.alarm.armed.is_some_and(|armed| armed <= due) {
            return Poll::Pending;
        }
        timer.set_at(daemon.clock.instant(due));
        daemon.alarm.armed = Some(due);
    }
}
