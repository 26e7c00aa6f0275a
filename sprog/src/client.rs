//! What the tasks of a run share: the hosts, a lane to each, the books. One thread; nothing here is borrowed
//! across an `await`.

use crate::bell::Bell;
use crate::exit::Failure;
use crate::lane::Lane;
use crate::ledger::{At, Ledger};
use crate::target::Target;
use pzog::{Level, Settings, Time};
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// A connection on which nothing was said for so long says `KEEPALIVE`, sooner where the daemon's patience with
/// silent clients is short.
const KEEPALIVE_MAX: Duration = Duration::from_secs(60);

/// How messages are handed to hosts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// A host that gives no sign for so long is skipped.
    pub(crate) timeout: Duration,
    /// Messages of one session that may be unanswered at a time.
    pub(crate) window: u64,
    /// The level to ask for.
    pub(crate) ack: Option<Level>,
}

/// A run of sprog.
pub(crate) struct Client {
    /// The hosts to choose from, in ring order.
    pub(crate) targets: Vec<Target>,
    /// At least one for each of them; in turn, so that the first lanes are those of the hosts in order.
    pub(crate) lanes: Vec<Lane>,
    /// What became of every message.
    pub(crate) ledger: RefCell<Ledger>,
    /// Rung when answers came, or a host was skipped or is back. The main task waits for it.
    pub(crate) moved: Bell,
    /// A host that gives no sign for so long is skipped.
    pub(crate) timeout: Duration,
    /// A connection that owes an answer is silent for at most so long: the daemon itself waits this much for
    /// other hosts before it says `PENDING`.
    pub(crate) silence: Duration,
    /// A connection on which nothing was said for so long says `KEEPALIVE`.
    pub(crate) keepalive: Duration,
    /// Messages to one host that may be unanswered at a time.
    pub(crate) window: usize,
    /// The level to ask for.
    pub(crate) ack: Option<Level>,
    started: Instant,
    was_reached: Cell<bool>,
    failure: RefCell<Option<Failure>>,
    failed: Bell,
}

impl Client {
    /// A run with these hosts, and as many sessions as tokens, the hosts in turn; nothing is dialled yet.
    pub(crate) fn new(
        manner: &Manner,
        targets: Vec<Target>,
        settings: &Settings,
        ledger: Ledger,
        tokens: &[String],
    ) -> Client {
        let lane = |(index, token): (usize, &String)| Lane::new(index % targets.len(), token);
        Client {
            lanes: tokens.iter().enumerate().map(lane).collect(),
            targets,
            ledger: RefCell::new(ledger),
            moved: Bell::default(),
            timeout: manner.timeout,
            silence: settings.ack_timeout + manner.timeout,
            keepalive: KEEPALIVE_MAX.min(settings.client_idle / 2),
            window: usize::try_from(manner.window).unwrap_or(usize::MAX),
            ack: manner.ack,
            started: Instant::now(),
            was_reached: Cell::new(false),
            failure: RefCell::new(None),
            failed: Bell::default(),
        }
    }

    /// Time since the start of the run.
    pub(crate) fn now(&self) -> Time {
        Time::default() + self.started.elapsed()
    }

    /// A host as people know it: name and where it is.
    pub(crate) fn name(&self, host: usize) -> String {
        let Target { name, address, port, .. } = &self.targets[host];
        format!("{name} ({address}, port {port})")
    }

    /// Whether any host ever answered a `HELLO`.
    pub(crate) fn was_reached(&self) -> bool {
        self.was_reached.get()
    }

    /// Whether this host is one to send to.
    pub(crate) fn is_reachable(&self, host: usize) -> bool {
        self.lanes_of(host).any(|lane| !lane.is_skipped())
    }

    fn lanes_of(&self, host: usize) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().skip(host).step_by(self.targets.len())
    }

    /// Whether there is a host to send to besides this one.
    pub(crate) fn has_another(&self, host: usize) -> bool {
        (0..self.targets.len()).any(|other| other != host && self.is_reachable(other))
    }

    /// All hosts, as they are to be tried for the messages of a host that is skipped: first those that can be
    /// reached, in ring order from that one on, then those that could not, itself at last.
    pub(crate) fn in_order_of_hope(&self, skipped: usize) -> Vec<usize> {
        let count = self.targets.len();
        let mut hosts: Vec<usize> = (1..=count).map(|step| (skipped + step) % count).collect();
        hosts.sort_by_key(|host| !self.is_reachable(*host));
        hosts
    }

    /// A host has answered a `HELLO`.
    pub(crate) fn reached(&self) {
        self.was_reached.set(true);
    }

    /// The lane's own host is one to send to, perhaps again.
    pub(crate) fn is_back(&self, lane: &Lane) {
        let was_skipped = lane.skip(false);
        if was_skipped && !self.lanes_of(lane.host).any(Lane::is_skipped) {
            self.ledger.borrow_mut().tell(&format!("{} is back", self.name(lane.host)));
        }
        if was_skipped {
            self.moved.ring();
        }
        self.tried(lane);
    }

    /// It is known now whether the lane's host can be reached.
    pub(crate) fn tried(&self, lane: &Lane) {
        if !lane.tried() {
            self.moved.ring();
        }
    }

    /// No more messages for this host until it can be reached again.
    pub(crate) fn skip(&self, lane: &Lane, why: &str) {
        let is_news = !self.lanes_of(lane.host).any(Lane::is_skipped);
        lane.skip(true);
        if is_news {
            let warning = format!("{} is skipped: {why}", self.name(lane.host));
            self.ledger.borrow_mut().tell(&warning);
        }
        self.moved.ring();
    }

    /// Nobody waits for the answers to this lane's messages any more.
    pub(crate) fn give_up(&self, lane: &Lane, why: &str) {
        let mut session = lane.session.borrow_mut();
        let token = session.token();
        let mut ledger = self.ledger.borrow_mut();
        while let Some(message) = session.pop() {
            ledger.lost(At { host: lane.host, session: &token }, &message, why, self.now());
        }
        drop(ledger);
        self.commit();
        self.moved.ring();
    }

    /// Hands what was booked to the system; `false` where that failed, and the run ends.
    pub(crate) fn commit(&self) -> bool {
        let flushed = self.ledger.borrow_mut().flush();
        flushed.map_err(|failure| self.fail(failure)).is_ok()
    }

    /// Ends the run.
    pub(crate) fn fail(&self, failure: Failure) {
        self.failure.borrow_mut().get_or_insert(failure);
        self.failed.ring();
    }

    /// Waits for a failure that ends the run.
    pub(crate) async fn failed(&self) -> Failure {
        loop {
            if let Some(failure) = self.failure.take() {
                return failure;
            }
            self.failed.wait().await;
        }
    }

    /// Waits until every message has ended.
    pub(crate) async fn drained(&self) {
        while self.lanes.iter().any(Lane::owes) {
            self.moved.wait().await;
        }
    }
}
