//! What the hosts of a ring send each other, by kind: for rings of any size, in which nothing goes wrong.

use crate::event::SECOND;
use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::trace::Tracing;
use crate::world::World;
use anyhow::Result;
use memchr::memchr_iter;

/// What a line between hosts is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A message.
    Data,
    /// How far its sender has a stream.
    Watermark,
    /// `WANT`, `ENOUGH`, `GONE`.
    Repair,
    /// `KEEPALIVE` and what answers it.
    Alive,
    /// `HELLO` and what answers it; the end of a link.
    Link,
}

/// In the order in which they are counted.
pub const KINDS: [Kind; 5] = [Kind::Data, Kind::Watermark, Kind::Repair, Kind::Alive, Kind::Link];

/// What one host sent to others.
#[derive(Clone, Copy, Default, Debug)]
pub struct Traffic {
    lines: [u64; KINDS.len()],
    bytes: [u64; KINDS.len()],
}

impl Traffic {
    /// Counts whole lines.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            let kind = kind_of(&bytes[start..=end]) as usize;
            self.lines[kind] += 1;
            self.bytes[kind] += (end + 1 - start) as u64;
            start = end + 1;
        }
    }

    /// Lines of a kind.
    #[must_use]
    pub fn lines(&self, kind: Kind) -> u64 {
        self.lines[kind as usize]
    }

    /// Bytes of a kind.
    #[must_use]
    pub fn bytes(&self, kind: Kind) -> u64 {
        self.bytes[kind as usize]
    }

    /// Bytes of all kinds.
    #[must_use]
    pub fn all_bytes(&self) -> u64 {
        self.bytes.iter().sum()
    }
}

fn kind_of(line: &[u8]) -> Kind {
    match line {
        [b'0'..=b'2', ..] => Kind::Data,
        _ if line.starts_with(b"OK org.") => Kind::Link,
        _ if line.starts_with(b"OK ") => Kind::Watermark,
        _ if [&b"WANT "[..], b"ENOUGH ", b"GONE "].iter().any(|verb| line.starts_with(verb)) => Kind::Repair,
        _ if line.starts_with(b"KEEPALIVE") || line.starts_with(b"ACK") => Kind::Alive,
        _ => Kind::Link,
    }
}

/// What a ring costs.
#[derive(Clone, Debug)]
pub struct Cost {
    /// What each host sent until all links were up and quiet, from the start on.
    pub linking: Vec<Traffic>,
    /// What each host sent in the time measured.
    pub steady: Vec<Traffic>,
    /// Messages that clients gave in that time.
    pub messages: u64,
    /// How the run ended.
    pub outcome: Outcome,
}

/// Seconds until all links are up and what begins with them is over.
const LINKING: u64 = 10;

/// Runs a ring of so many hosts, of which the first `origins` are given about `rate` messages a second together, for so
/// many seconds of virtual time.
///
/// # Errors
/// A ring that cannot be.
pub fn cost(hosts: u8, origins: u8, rate: u32, seconds: u32, seed: u64) -> Result<Cost> {
    let mut world = World::new(scenario(hosts, origins, rate, seconds)?, seed, Tracing::Hash);
    let quiet = vec![Traffic::default(); usize::from(hosts)];
    world.traffic.clone_from(&quiet);
    world.scenario.clients.count = 0;
    world.begin();
    world.run_until(LINKING * SECOND);
    let linking = std::mem::replace(&mut world.traffic, quiet);
    world.begin_clients(CLIENTS);
    // The first second is not like the others: some streams are not in being yet.
    world.run_until((LINKING + 2) * SECOND);
    world.traffic.fill(Traffic::default());
    let before = world.counts.said;
    world.run_until((LINKING + 2 + u64::from(seconds)) * SECOND);
    let (steady, messages) = (world.traffic.clone(), world.counts.said - before);
    Ok(Cost { linking, steady, messages, outcome: world.conclude() })
}

/// More than there are hosts, so that none of the origins is without.
const CLIENTS: u16 = 256;

/// Bytes of a segment: with few, watermarks are told whenever one is full.
const SEGMENT: u32 = 1 << 20;

fn scenario(hosts: u8, origins: u8, rate: u32, seconds: u32) -> Result<Scenario> {
    let only: Vec<u8> = (0..origins).collect();
    let pause_ms = u64::from(CLIENTS) * 1000 / u64::from(rate.max(1));
    let seconds = LINKING + 2 + u64::from(seconds);
    let text = format!(
        "[[scenario]]\nname = \"cost\"\nabout = \"what hosts send each other\"\nhosts = {hosts}\nseconds = {seconds}\n\
         clients = {{ count = 1, pause_ms = {pause_ms}, burst = 1, levels = [\"synced\"], only = {only:?}, \
         answered_min = 1 }}\nnode = {{ segment_bytes = {SEGMENT}, journal_bytes = {} }}\n",
        64 * SEGMENT
    );
    Ok(Scenario::read(&text)?.remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_costs_as_many_lines_as_there_are_other_hosts() {
        for hosts in [2, 5, 11] {
            let Cost { steady, messages, outcome, .. } = cost(hosts, hosts, 200, 10, 1).unwrap();
            assert_eq!(outcome.broken, None);
            let lines: u64 = steady.iter().map(|traffic| traffic.lines(Kind::Data)).sum();
            let whole = messages * u64::from(hosts - 1);
            // Some were under way when counting began, or ended.
            assert!(lines.abs_diff(whole) < whole / 20, "{hosts} hosts: {lines} lines of {whole}");
        }
    }

    #[test]
    fn a_link_costs_one_handshake_and_no_repair() {
        let Cost { linking, steady, .. } = cost(7, 2, 50, 5, 1).unwrap();
        let lines = |of: &[Traffic], kind| of.iter().map(|traffic| traffic.lines(kind)).sum::<u64>();
        assert!(lines(&linking, Kind::Link) >= 2 * 21, "each of 21 links is a HELLO and an OK at least");
        assert_eq!(lines(&steady, Kind::Repair) + lines(&steady, Kind::Link), 0);
        assert!(lines(&steady, Kind::Watermark) > 0 && lines(&steady, Kind::Alive) > 0);
    }
}
