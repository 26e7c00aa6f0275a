//! Makes the messages: each as soon as its client may send one, or when it is due.

use super::BenchArgs;
use crate::client::Client;
use crate::exit::Failure;
use crate::feed::{Stopped, stamp};
use crate::lane::Lane;
use crate::payload::Payload;
use crate::rt;
use pzog::Time;
use std::time::Duration;

/// What makes messages.
pub(super) struct Feed {
    payload: Payload,
    messages: u64,
    clients: usize,
    /// How many messages each client is still to send.
    shares: Vec<u64>,
    rate: Option<u32>,
    /// The lane that is looked at first.
    next: usize,
    started: Time,
    text_bytes: u64,
}

impl Feed {
    /// As the options say.
    pub(super) fn new(args: &BenchArgs, seed: u64, now: Time) -> Feed {
        Feed {
            payload: Payload::new(seed, args.size.clone()),
            messages: args.messages,
            clients: args.clients as usize,
            shares: shares(args.messages, u64::from(args.clients)),
            rate: args.rate,
            next: 0,
            started: now,
            text_bytes: 0,
        }
    }

    /// When the first message was due.
    pub(super) fn started(&self) -> Time {
        self.started
    }

    /// Bytes of all texts so far.
    pub(super) fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// Makes all messages, unless no host can be reached.
    pub(super) async fn run(&mut self, client: &Client) -> Result<Stopped, Failure> {
        self.connect(client).await;
        self.started = client.now();
        let mut text = Vec::new();
        for number in 0..self.messages {
            let due = self.rate.map(|rate| self.started + since_start(number, rate));
            let wait = due.map_or(Duration::ZERO, |due| due - client.now());
            if !wait.is_zero() {
                rt::sleep(wait).await;
            }
            self.payload.draw(&mut text);
            let Some(lane) = self.room(client).await else {
                client.ledger.borrow_mut().no_host(&text);
                return Ok(Stopped::NoHost);
            };
            // From when it was due on: what a slow ring keeps waiting here is not to look faster for it.
            lane.push(due.unwrap_or_else(|| client.now()), stamp(), &text);
            self.text_bytes += text.len() as u64;
        }
        Ok(Stopped::Done)
    }

    /// Every client dials, so that no message waits for that, unless a host cannot be reached.
    async fn connect(&self, client: &Client) {
        let lanes = &client.lanes[..self.clients];
        lanes.iter().for_each(Lane::call);
        while !lanes.iter().all(Lane::was_tried) {
            client.moved.wait().await;
        }
    }

    /// A client that may send, once there is one; `None` where no host can be reached.
    async fn room<'a>(&mut self, client: &'a Client) -> Option<&'a Lane> {
        loop {
            let lanes = &client.lanes[..self.clients];
            if let Some(index) = self.with_room(client, lanes) {
                self.shares[index] = self.shares[index].saturating_sub(1);
                // At a rate the clients take turns; else one after the other fills its window.
                self.next = (index + usize::from(self.rate.is_some())) % self.clients;
                return Some(&lanes[index]);
            }
            if lanes.iter().all(Lane::is_skipped) {
                return None;
            }
            client.moved.wait().await;
        }
    }

    /// A client whose window has room and whose share is not sent. Where only clients of skipped hosts have some of
    /// theirs left, the others send it.
    fn with_room(&self, client: &Client, lanes: &[Lane]) -> Option<usize> {
        let has_share = |index: usize| self.shares[index] > 0 && !lanes[index].is_skipped();
        let has_room = |index: usize| !lanes[index].is_skipped() && lanes[index].unanswered() < client.window;
        let in_turn = || (0..self.clients).map(|step| (self.next + step) % self.clients);
        let own = in_turn().find(|index| has_share(*index) && has_room(*index));
        own.or_else(|| {
            let is_left_over = !in_turn().any(has_share);
            in_turn().find(|index| is_left_over && has_room(*index))
        })
    }
}

/// Equal shares; the first clients have one more where that does not come out even.
fn shares(messages: u64, clients: u64) -> Vec<u64> {
    (0..clients).map(|client| messages / clients + u64::from(client < messages % clients)).collect()
}

/// When a message is due, counted from the first.
fn since_start(number: u64, rate: u32) -> Duration {
    let rate = u64::from(rate);
    Duration::from_secs(number / rate) + Duration::from_nanos(number % rate * 1_000_000_000 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_in_a_share() {
        assert_eq!(shares(11, 4), [3, 3, 3, 2]);
        assert_eq!(shares(2, 3), [1, 1, 0]);
    }

    #[test]
    fn messages_are_due_at_even_distances_without_drift() {
        assert_eq!(since_start(0, 3), Duration::ZERO);
        assert_eq!(since_start(1, 1000), Duration::from_millis(1));
        assert_eq!(since_start(1_000_000_000, 3), Duration::new(333_333_333, 333_333_333));
    }
}
