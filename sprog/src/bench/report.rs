//! What is told at the end.

use crate::summary::{Counts, Latency, Summary, shown};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What was asked for, and made of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Terms {
    /// How many clients sent.
    pub(crate) clients: u32,
    /// Messages of each that could be unanswered.
    pub(crate) window: u64,
    /// Messages a second; `None`: as fast as they were answered.
    pub(crate) rate: Option<u32>,
    /// The level that was asked for; `None`: that of the host.
    pub(crate) ack: Option<&'static str>,
    /// Bytes of all texts.
    pub(crate) text_bytes: u64,
    /// Whether the text form is that of a table for programs.
    #[serde(skip)]
    pub(crate) csv: bool,
}

/// The whole of it; its text form is for people, or comma-separated.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    #[serde(flatten)]
    terms: &'a Terms,
    text_bytes_per_second: f64,
}

impl<'a> Report<'a> {
    /// Of a run that was told as this summary.
    pub(crate) fn new(terms: &'a Terms, mut summary: Summary<'a>) -> Report<'a> {
        let text_bytes_per_second = terms.text_bytes as f64 / summary.seconds.max(1e-6);
        summary.kind = "bench";
        Report { summary, terms, text_bytes_per_second }
    }

    fn for_people(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Terms { clients, window, rate, ack, .. } = self.terms;
        write!(f, "{}\n{:.1} MB of text a second from ", self.summary, self.text_bytes_per_second / 1e6)?;
        write!(
            f,
            "{clients} client{}, each with {window} unanswered at most",
            if *clients == 1 { "" } else { "s" }
        )?;
        match rate {
            Some(rate) => write!(f, ", {rate} a second due")?,
            None => write!(f, ", as fast as answered")?,
        }
        ack.map_or(Ok(()), |level| write!(f, ", ack={level}"))?;
        let Latency { min, p50, p90, p99, p999, max } = self.summary.latency_us;
        let names = ["min", "p50", "p90", "p99", "p99.9", "max"];
        f.write_str("\nlatency:")?;
        names.iter().zip([min, p50, p90, p99, p999, max]).enumerate().try_for_each(|(index, (name, us))| {
            write!(f, "{} {name} {}", if index == 0 { "" } else { "," }, shown(Duration::from_micros(us)))
        })
    }

    fn for_programs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host,seconds,per_second,sent,ok,pending,refused,lost,repeated")?;
        write!(f, ",min_us,p50_us,p90_us,p99_us,p999_us,max_us")?;
        for host in &self.summary.hosts {
            self.line(f, host.host, &host.counts, &host.latency_us)?;
        }
        self.line(f, "all", &self.summary.counts, &self.summary.latency_us)
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, name: &str, counts: &Counts, us: &Latency) -> fmt::Result {
        let seconds = self.summary.seconds;
        write!(f, "\n{name},{seconds:.6},{:.1}", counts.ended() as f64 / seconds.max(1e-6))?;
        let Counts { sent, repeated, ok, pending, refused, lost } = *counts;
        let latencies = [us.min, us.p50, us.p90, us.p99, us.p999, us.max];
        let counts = [sent, ok, pending, refused, lost, repeated];
        counts.into_iter().chain(latencies).try_for_each(|number| write!(f, ",{number}"))
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.terms.csv { self.for_programs(f) } else { self.for_people(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Answer;
    use crate::summary::Tally;

    fn tally() -> Tally {
        let mut tally = Tally::new(["MV", "PA"].into_iter());
        for ms in 1..=1000 {
            tally.sent(0, false);
            tally.answered(0, &Answer::Ok, Duration::from_millis(ms));
        }
        tally.sent(1, false);
        tally.answered(1, &Answer::Pending("1/3"), Duration::from_millis(4));
        tally
    }

    fn told(csv: bool) -> (String, serde_json::Value) {
        let tally = tally();
        let terms =
            Terms { clients: 2, window: 8, rate: Some(500), ack: Some("all"), text_bytes: 2_002_000, csv };
        let report = Report::new(&terms, tally.summary(Duration::from_secs(2), 1));
        (report.to_string(), serde_json::to_value(&report).unwrap())
    }

    #[test]
    fn people_read_throughput_and_latencies() {
        let (text, _) = told(false);
        let (_, last) =
            text.split_once("1001 messages in 2.000 s, 500 a second: 1000 OK, 1 PENDING\n").unwrap();
        let expected = "1.0 MB of text a second from 2 clients, each with 8 unanswered at most, 500 a second due, \
                        ack=all\nlatency: min 1.0ms, p50 500.2ms, p90 900.1ms, p99 990.2ms, p99.9 999.4ms, max 1.0s";
        assert_eq!(last, expected);
    }

    #[test]
    fn every_line_of_the_csv_has_a_value_for_each_name() {
        let (text, _) = told(true);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.iter().map(|line| line[0]).collect::<Vec<_>>(), ["host", "MV", "PA", "all"]);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()));
        let column = |name| lines[0].iter().position(|head| *head == name).unwrap();
        assert_eq!((lines[1][column("ok")], lines[2][column("pending")]), ("1000", "1"));
        assert_eq!((lines[1][column("min_us")], lines[2][column("min_us")]), ("1000", "4000"));
        assert_eq!(lines[3][column("per_second")], "500.5");
    }

    #[test]
    fn the_json_has_terms_and_results() {
        let (_, json) = told(false);
        assert_eq!(
            (&json["type"], &json["window"], &json["ack"]),
            (&"bench".into(), &8.into(), &"all".into())
        );
        assert_eq!((&json["ok"], &json["hosts"][1]["pending"]), (&1000.into(), &1.into()));
        assert!(json["latency_us"]["p999"].as_u64().unwrap() >= 999_000);
        assert!(json.get("csv").is_none());
    }
}
