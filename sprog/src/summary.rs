//! What became of all messages, in numbers, per host.

use crate::answer::Answer;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt::{self, Write};
use std::time::Duration;

/// Longer latencies count as this much: an hour, in microseconds.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// Digits to which latencies are kept.
const LATENCY_DIGITS: u8 = 3;

/// Counts of messages.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Counts {
    /// Put on the wire, each counted once, at the first host that it was sent to.
    pub(crate) sent: u64,
    /// Put on the wire again, after a lost connection.
    pub(crate) repeated: u64,
    /// Answered `OK`.
    pub(crate) ok: u64,
    /// Answered `PENDING`.
    pub(crate) pending: u64,
    /// Answered `ERR`, or impossible to send.
    pub(crate) refused: u64,
    /// Given up without an answer.
    pub(crate) lost: u64,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.sent += other.sent;
        self.repeated += other.repeated;
        self.ok += other.ok;
        self.pending += other.pending;
        self.refused += other.refused;
        self.lost += other.lost;
    }

    /// How many messages have ended, in whatever way.
    pub(crate) fn ended(&self) -> u64 {
        self.ok + self.pending + self.refused + self.lost
    }
}

/// Everything counted so far.
pub(crate) struct Tally {
    hosts: Vec<HostTally>,
    /// Messages that never got as far as a host.
    elsewhere: Counts,
}

struct HostTally {
    name: String,
    counts: Counts,
    latency: Histogram<u64>,
}

fn histogram() -> Histogram<u64> {
    let made = Histogram::new_with_bounds(1, LATENCY_MAX_US, LATENCY_DIGITS);
    made.expect("constant bounds that hdrhistogram takes")
}

impl Tally {
    /// Nothing counted yet, for hosts of these names.
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Tally {
        let host =
            |name: &str| HostTally { name: name.into(), counts: Counts::default(), latency: histogram() };
        Tally { hosts: names.map(host).collect(), elsewhere: Counts::default() }
    }

    /// A message went on the wire.
    pub(crate) fn sent(&mut self, host: usize, is_repeat: bool) {
        let counts = &mut self.hosts[host].counts;
        if is_repeat { counts.repeated += 1 } else { counts.sent += 1 }
    }

    /// A message has its answer.
    pub(crate) fn answered(&mut self, host: usize, answer: &Answer, latency: Duration) {
        let host = &mut self.hosts[host];
        match answer {
            Answer::Ok => host.counts.ok += 1,
            Answer::Pending(_) => host.counts.pending += 1,
            Answer::Refused(_) | Answer::ComeAgain(_) | Answer::Ack => host.counts.refused += 1,
        }
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        host.latency.saturating_record(latency_us.max(1));
    }

    /// A message was given up.
    pub(crate) fn lost(&mut self, host: Option<usize>) {
        host.map_or(&mut self.elsewhere, |host| &mut self.hosts[host].counts).lost += 1;
    }

    /// A message could not be sent as it is.
    pub(crate) fn refused_here(&mut self) {
        self.elsewhere.refused += 1;
    }

    /// The counts of all hosts together.
    pub(crate) fn total(&self) -> Counts {
        let mut total = self.elsewhere;
        self.hosts.iter().for_each(|host| total.add(&host.counts));
        total
    }

    /// The summary after so long a time.
    pub(crate) fn summary(&self, took: Duration, seed: u64) -> Summary<'_> {
        let mut latency = histogram();
        for host in &self.hosts {
            latency.add(&host.latency).expect("histograms of the same bounds");
        }
        let counts = self.total();
        let row = |h| HostSummary::of(h);
        Summary {
            kind: "summary",
            seconds: took.as_secs_f64(),
            per_second: counts.ended() as f64 / took.as_secs_f64().max(1e-6),
            seed,
            counts,
            latency_us: Latency::of(&latency),
            hosts: self.hosts.iter().map(row).collect(),
        }
    }
}

/// What is shown at the end.
#[derive(Serialize)]
pub(crate) struct Summary<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) seconds: f64,
    per_second: f64,
    seed: u64,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    pub(crate) latency_us: Latency,
    pub(crate) hosts: Vec<HostSummary<'a>>,
}

/// What came of the messages for one host.
#[derive(Serialize)]
pub(crate) struct HostSummary<'a> {
    pub(crate) host: &'a str,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    pub(crate) latency_us: Latency,
}

impl HostSummary<'_> {
    fn of(host: &HostTally) -> HostSummary<'_> {
        HostSummary { host: &host.name, counts: host.counts, latency_us: Latency::of(&host.latency) }
    }
}

/// From making a message to its answer, in microseconds; 0 where there was none.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Latency {
    pub(crate) min: u64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Latency {
        let at = |quantile| histogram.value_at_quantile(quantile);
        let (min, max) = (if histogram.is_empty() { 0 } else { histogram.min() }, histogram.max());
        Latency { min, p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max }
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ended, c) = (self.counts.ended(), &self.counts);
        let heads = ["sent", "OK", "PENDING", "refused", "lost", "repeated", "p50", "p90", "p99", "max"];
        let width = self.hosts.iter().map(|h| h.host.len()).max().unwrap_or(0).max("host".len());
        write!(f, "{:width$}", "host")?;
        heads.iter().try_for_each(|head| write!(f, " {head:>8}"))?;
        f.write_char('\n')?;
        for host in &self.hosts {
            write!(f, "{:width$}", host.host)?;
            row(f, &host.counts, &host.latency_us)?;
        }
        if self.hosts.len() > 1 {
            write!(f, "{:width$}", "all")?;
            row(f, c, &self.latency_us)?;
        }
        write!(f, "{ended} messages in {:.3} s, {:.0} a second: {} OK", self.seconds, self.per_second, c.ok)?;
        for (count, word) in [(c.pending, "PENDING"), (c.refused, "refused"), (c.lost, "lost")] {
            if count > 0 {
                write!(f, ", {count} {word}")?;
            }
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, counts: &Counts, latency: &Latency) -> fmt::Result {
    let Counts { sent, repeated, ok, pending, refused, lost } = counts;
    for count in [sent, ok, pending, refused, lost, repeated] {
        write!(f, " {count:>8}")?;
    }
    for latency_us in [latency.p50, latency.p90, latency.p99, latency.max] {
        match latency_us {
            0 => write!(f, " {:>8}", "-")?,
            _ => write!(f, " {:>8}", shown(Duration::from_micros(latency_us)))?,
        }
    }
    f.write_char('\n')
}

/// A latency as people read it: three digits or so.
pub(crate) fn shown(latency: Duration) -> String {
    format!("{latency:.1?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        let mut tally = Tally::new(["MV", "PA"].into_iter());
        for ms in 1..=100 {
            tally.sent(0, false);
            tally.answered(0, &Answer::Ok, Duration::from_millis(ms));
        }
        tally.sent(1, true);
        tally.answered(1, &Answer::Pending("1/3"), Duration::from_millis(1));
        tally.answered(1, &Answer::Refused("400 no"), Duration::from_secs(7200));
        tally.lost(Some(1));
        tally.lost(None);
        tally.refused_here();
        tally
    }

    #[test]
    fn every_message_is_counted_where_it_ended() {
        let tally = tally();
        let all = Counts { sent: 100, repeated: 1, ok: 100, pending: 1, refused: 2, lost: 2 };
        assert_eq!(tally.total(), all);
        assert_eq!(tally.total().ended(), 105);
    }

    #[test]
    fn the_text_has_a_row_for_each_host_and_one_for_all() {
        let text = tally().summary(Duration::from_secs(2), 1).to_string();
        let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(
            rows[1],
            ["MV", "100", "100", "0", "0", "0", "0", "50.0ms", "90.0ms", "99.0ms", "100.0ms"]
        );
        assert_eq!(rows[2][..7], ["PA", "0", "0", "1", "1", "1", "1"]);
        assert_eq!(rows[3][..7], ["all", "100", "100", "1", "2", "2", "1"]);
        assert!(Tally::new(["G"].into_iter()).summary(Duration::ZERO, 1).to_string().contains("  - "));
        assert!(text.ends_with("105 messages in 2.000 s, 52 a second: 100 OK, 1 PENDING, 2 refused, 2 lost"));
    }

    #[test]
    fn the_json_has_the_same_numbers() {
        let json = serde_json::to_value(tally().summary(Duration::from_secs(2), 9)).unwrap();
        assert_eq!((&json["type"], &json["ok"], &json["seed"]), (&"summary".into(), &100.into(), &9.into()));
        assert_eq!(json["hosts"][1]["host"], "PA");
        assert_eq!(json["hosts"][1]["lost"], 1);
        assert!(json["latency_us"]["p99"].as_u64().unwrap() >= 99_000);
    }
}
