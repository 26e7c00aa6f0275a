//! What is measured: which tests, how much of each.

use crate::systems::System;
use anyhow::bail;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Test {
    /// So many clients, each node's in turn from node 0 on, send as fast as they may.
    Flood {
        /// How many.
        clients: usize,
    },
    /// One client at node 0 sends so many messages a second.
    Rate(u32),
}

impl Test {
    /// How many clients send.
    #[must_use]
    pub fn clients(self) -> usize {
        match self {
            Test::Flood { clients } => clients,
            Test::Rate(_) => 1,
        }
    }

    /// Messages a second, where that is set.
    #[must_use]
    pub fn rate(self) -> Option<u32> {
        match self {
            Test::Flood { .. } => None,
            Test::Rate(rate) => Some(rate),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Test::Flood { clients: 1 } => f.write_str("flood-one"),
            Test::Flood { clients: 5 } => f.write_str("flood-five"),
            Test::Flood { clients } => write!(f, "flood-{clients}"),
            Test::Rate(rate) => write!(f, "rate-{rate}"),
        }
    }
}

impl FromStr for Test {
    type Err = anyhow::Error;

    fn from_str(written: &str) -> Result<Test, anyhow::Error> {
        match written {
            "flood-one" => Ok(Test::Flood { clients: 1 }),
            "flood-five" => Ok(Test::Flood { clients: 5 }),
            _ => match written.split_once('-').map(|(kind, number)| (kind, number.parse())) {
                Some(("rate", Ok(rate @ 1..=1_000_000))) => Ok(Test::Rate(rate)),
                Some(("flood", Ok(clients @ 1..=10_000))) => Ok(Test::Flood { clients: clients as usize }),
                _ => bail!(
                    "a test is flood-one, flood-five, flood-1 to flood-10000, or rate-1 to rate-1000000"
                ),
            },
        }
    }
}

/// How much of everything.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where files of runs and records are.
    pub dir: PathBuf,
    /// Nodes of a ring.
    pub nodes: usize,
    /// Messages of a flood, of all clients together; `None`: as many as the system asks for.
    pub messages: Option<u32>,
    /// Bytes of a message.
    pub size: usize,
    /// Messages of a client that may be unanswered; `None`: as the protocol bids.
    pub window: Option<u32>,
    /// How long messages are sent at a rate, in seconds; `None`: as long as the rate asks for.
    pub seconds: Option<u32>,
    /// A tenth of everything.
    pub quick: bool,
}

impl Plan {
    /// How many messages each client sends.
    #[must_use]
    pub fn each(&self, system: &dyn System, test: Test) -> u32 {
        let all = match test {
            Test::Flood { .. } => self.messages.unwrap_or(system.flood() / self.part()),
            Test::Rate(rate) => {
                rate.saturating_mul(self.seconds.unwrap_or(seconds(rate).div_ceil(self.part())))
            }
        };
        (all / test.clients() as u32).max(1)
    }

    fn part(&self) -> u32 {
        if self.quick { 10 } else { 1 }
    }
}

/// At a low rate it takes longer until there are messages enough for a 99th percentile.
fn seconds(rate: u32) -> u32 {
    if rate < 10_000 { 10 } else { 4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_read_as_they_are_written() {
        for name in ["flood-one", "flood-five", "flood-10000", "rate-1000", "rate-50000"] {
            assert_eq!(name.parse::<Test>().unwrap().to_string(), name);
        }
        for wrong in ["", "flood", "rate-", "rate-0", "flood-0", "flood-10001", "rate-x", "rate-9999999"] {
            assert!(wrong.parse::<Test>().is_err(), "{wrong}");
        }
    }
}
