//! Makes messages, each when it is due, and hands them to the lanes.

use crate::cli::Cli;
use crate::client::Client;
use crate::exit::Failure;
use crate::lane::Lane;
use crate::pace::Pace;
use crate::rt;
use crate::source::Source;
use crate::target::Choice;
use pzog::Stamp;
use std::time::SystemTime;

/// Apart from each other, so that neither depends on how often another one draws.
const CHOICE_STREAM: u64 = 0x9e37_79b9_7f4a_7c15;
const JITTER_STREAM: u64 = 0xd1b5_4a32_d192_ed03;

/// Why no more messages are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stopped {
    /// There are no more.
    Done,
    /// No host can be reached.
    NoHost,
    /// Nobody reads standard output, and there would be no end.
    Unread,
    /// A signal came.
    Signal,
}

/// What makes messages.
pub(crate) struct Feed {
    source: Source,
    choice: Choice,
    pace: Pace,
    count: u64,
    is_finite: bool,
}

impl Feed {
    /// As the options say; the same seed gives the same messages to the same hosts.
    pub(crate) fn new(cli: &Cli, seed: u64, client: &Client) -> Feed {
        let jitter_seed = cli.messages.jitter.then_some(seed ^ JITTER_STREAM);
        Feed {
            source: Source::new(&cli.messages, seed),
            choice: Choice::new(&cli.ring, seed ^ CHOICE_STREAM),
            pace: Pace::new(client.now(), cli.interval(), jitter_seed),
            count: cli.messages.count.unwrap_or(u64::MAX),
            is_finite: cli.is_finite(),
        }
    }

    /// Makes messages until there are no more, or nobody to send them to.
    pub(crate) async fn run(&mut self, client: &Client) -> Result<Stopped, Failure> {
        let mut text = Vec::new();
        for _ in 0..self.count {
            let wait = self.pace.wait(client.now());
            if !wait.is_zero() {
                rt::sleep(wait).await;
            }
            if !self.is_finite && client.ledger.borrow().is_unread() {
                return Ok(Stopped::Unread);
            }
            match self.source.next(&mut text).await? {
                None => return Ok(Stopped::Done),
                Some(Err(reason)) => client.ledger.borrow_mut().unfit(client.now(), &text, &reason),
                Some(Ok(())) => match self.room(client).await {
                    Some(lane) => lane.push(client.now(), stamp(), &text),
                    None => {
                        client.ledger.borrow_mut().no_host(&text);
                        return Ok(Stopped::NoHost);
                    }
                },
            }
            self.pace.sent(client.now());
        }
        Ok(Stopped::Done)
    }

    /// The lane for the next message, once it has room. Where no host can be reached, there is none, unless
    /// sending has no end and began well: then a host is waited for.
    async fn room<'a>(&mut self, client: &'a Client) -> Option<&'a Lane> {
        loop {
            match self.choice.next(client.lanes.len(), |host| client.is_reachable(host)) {
                Some(host) => {
                    let lane = &client.lanes[host];
                    while lane.unanswered() >= client.window && !lane.is_skipped() {
                        client.moved.wait().await;
                    }
                    if !lane.is_skipped() {
                        return Some(lane);
                    }
                }
                None if self.is_finite || !client.was_reached() => return None,
                None => client.moved.wait().await,
            }
        }
    }
}

/// The present second.
pub(crate) fn stamp() -> Stamp {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Stamp::of_utc_seconds(since_1970.map_or(0, |d| d.as_secs()))
}
