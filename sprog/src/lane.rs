//! A lane: the messages for one host, and the task that gets them answered, by that host or by another one.

use crate::bell::Bell;
use crate::client::Client;
use crate::connection::{End, Until, connection};
use crate::rt;
use crate::session::Session;
use pzog::{Stamp, Time};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// The first pause before a host is dialled again; doubled each time, with jitter ...
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// ... up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// An attempt that would have less time than this is not made.
const ATTEMPT_MIN: Duration = Duration::from_millis(50);

/// A skipped host is tried again so often.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// The messages for one host.
pub(crate) struct Lane {
    /// The host that they were meant for.
    pub(crate) host: usize,
    /// What is unanswered.
    pub(crate) session: RefCell<Session>,
    /// Rung when there is something to send.
    pub(crate) bell: Bell,
    is_skipped: Cell<bool>,
    /// Whether to dial though there is nothing to send yet.
    is_called: Cell<bool>,
    was_tried: Cell<bool>,
}

impl Lane {
    /// A lane with nothing to send.
    pub(crate) fn new(host: usize, token: &str) -> Lane {
        let session = RefCell::new(Session::new(token));
        let [is_skipped, is_called, was_tried] = [const { Cell::new(false) }; 3];
        Lane { host, session, bell: Bell::default(), is_skipped, is_called, was_tried }
    }

    /// Takes up a message.
    pub(crate) fn push(&self, made: Time, stamp: Stamp, text: &[u8]) {
        self.session.borrow_mut().push(made, stamp, text);
        self.bell.ring();
    }

    /// How many messages have no answer yet.
    pub(crate) fn unanswered(&self) -> usize {
        self.session.borrow().unanswered()
    }

    /// Whether any message has no answer yet.
    pub(crate) fn owes(&self) -> bool {
        self.unanswered() > 0
    }

    /// Whether the host is passed over for now.
    pub(crate) fn is_skipped(&self) -> bool {
        self.is_skipped.get()
    }

    /// Sets whether the host is passed over; `true` where it was before.
    pub(crate) fn skip(&self, skip: bool) -> bool {
        self.is_skipped.replace(skip)
    }

    /// The lane is to dial now, so that the first message does not wait for it.
    pub(crate) fn call(&self) {
        self.is_called.set(true);
        self.bell.ring();
    }

    /// The lane's host has answered, or could not be reached; `true` where that was known before.
    pub(crate) fn tried(&self) -> bool {
        self.was_tried.replace(true)
    }

    /// Whether the lane's host has ever answered, or could not be reached.
    pub(crate) fn was_tried(&self) -> bool {
        self.was_tried.get()
    }

    /// A lane dials when it has something to send, when it is called, or to see whether its host is back.
    async fn wanted(&self) {
        while !self.owes() && !self.is_skipped() && !self.is_called.take() {
            self.bell.wait().await;
        }
    }

    /// Whether an answer came since so many messages were done with.
    fn has_moved(&self, done: u64) -> bool {
        self.session.borrow().done() > done
    }
}

/// Gets the lane's messages answered, as long as the run lasts.
///
/// A host that was reached and lost is dialled again, for it may only have been restarted. When that brings no
/// answer either, the lane goes to the other hosts, if there is one; else the host is tried until the timeout.
pub(crate) async fn serve(client: Rc<Client>, index: usize) {
    let lane = &client.lanes[index];
    let mut patience = Patience::new(client.timeout, index);
    loop {
        lane.wanted().await;
        let done = lane.session.borrow().done();
        let limit = patience.left(client.now(), lane);
        let end = connection(&client, lane, lane.host, limit, Until::Lost).await;
        client.tried(lane);
        let is_answering = lane.has_moved(done) || !lane.owes();
        if is_answering {
            patience.renew();
        }
        if matches!(end, End::WornOut) {
            continue;
        }
        let stays = matches!(end, End::Lost(_)) && (is_answering || !client.has_another(lane.host));
        let pause = patience.pause(client.now(), lane).filter(|_| stays);
        if lane.is_skipped() {
            rt::sleep(PROBE_EVERY).await;
        } else if let Some(pause) = pause {
            rt::sleep(pause).await;
        } else {
            let why = end.to_string();
            client.skip(lane, &why);
            elsewhere(&client, lane, &why).await;
            patience.renew();
        }
    }
}

/// Takes what the lane's own host did not answer to the other hosts, which know its session: what was taken
/// there already is not written twice. One after the other, for numbers that many hosts take at once would tear
/// holes into the session.
async fn elsewhere(client: &Client, lane: &Lane, why: &str) {
    if client.targets.len() == 1 {
        return client.give_up(lane, why);
    }
    let mut patience = Patience::new(client.timeout, lane.host);
    while lane.owes() {
        let done = lane.session.borrow().done();
        let limit = patience.left(client.now(), lane);
        let mut last = String::new();
        for host in client.in_order_of_hope(lane.host) {
            let end = connection(client, lane, host, limit, Until::Answered).await;
            if !lane.owes() {
                return;
            }
            last = format!("{}: {end}", client.name(host));
        }
        if lane.has_moved(done) {
            patience.renew();
        }
        match patience.pause(client.now(), lane) {
            Some(pause) => rt::sleep(pause).await,
            None => client.give_up(lane, &format!("{why}; at last {last}")),
        }
    }
}

/// How long a host is tried, and how long the pauses in between are.
struct Patience {
    timeout: Duration,
    since: Option<Time>,
    backoff: Duration,
    rng: Xoshiro256PlusPlus,
}

impl Patience {
    fn new(timeout: Duration, index: usize) -> Patience {
        let rng = Xoshiro256PlusPlus::seed_from_u64(u64::from(std::process::id()) << 16 | index as u64);
        Patience { timeout, since: None, backoff: BACKOFF_MIN, rng }
    }

    /// What is left of the timeout. It runs from the first call on; after `renew`, from the call behind that.
    /// While the host owed nothing, it did not run.
    fn left(&mut self, now: Time, lane: &Lane) -> Duration {
        let owes_since = lane.session.borrow().oldest().unwrap_or_default();
        let since = (*self.since.get_or_insert(now)).max(owes_since);
        (since + self.timeout) - now
    }

    fn renew(&mut self) {
        self.since = None;
        self.backoff = BACKOFF_MIN;
    }

    /// The pause before the next attempt; `None` where there is no time left for one.
    fn pause(&mut self, now: Time, lane: &Lane) -> Option<Duration> {
        let pause = self.backoff.mul_f64(self.rng.random_range(0.5..1.0));
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        (pause + ATTEMPT_MIN <= self.left(now, lane)).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_after_the_timeout_and_begins_anew_with_each_answer() {
        let lane = Lane::new(0, "T");
        let mut patience = Patience::new(Duration::from_secs(5), 0);
        assert_eq!(patience.left(Time(1_000_000), &lane), Duration::from_secs(5));
        assert_eq!(patience.left(Time(6_000_000), &lane), Duration::ZERO);
        patience.renew();
        assert_eq!(patience.left(Time(7_000_000), &lane), Duration::from_secs(5));
    }

    #[test]
    fn patience_does_not_run_while_the_host_owes_nothing() {
        let lane = Lane::new(0, "T");
        let mut patience = Patience::new(Duration::from_secs(5), 0);
        patience.left(Time(0), &lane);
        lane.push(Time(3_600_000_000), Stamp::of_utc_seconds(0), b"text");
        assert_eq!(patience.left(Time(3_601_000_000), &lane), Duration::from_secs(4));
    }

    #[test]
    fn pauses_grow_with_jitter_up_to_a_bound() {
        let lane = Lane::new(0, "T");
        let mut patience = Patience::new(Duration::from_secs(5), 0);
        for expected_ms in [100, 200, 400, 800, 1600, 2000, 2000] {
            let pause = patience.pause(Time(0), &lane).unwrap().as_millis();
            assert!(pause >= expected_ms / 2 && pause <= expected_ms, "{pause} of {expected_ms}");
        }
        assert_eq!(patience.pause(Time(4_000_000), &lane), None);
    }
}
