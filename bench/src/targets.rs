//! What zog must reach, and wants to, beside what it reached.

use crate::runs::{Figure, Runs};

/// The rivals of which the fastest counts; JetStream promises more than they do.
const RIVALS: [&str; 3] = ["redis", "rsyslog", "nats"];

/// One target.
struct Target {
    name: &'static str,
    test: &'static str,
    system: &'static str,
    base: Base,
    figure: Figure,
    must: Bound,
    wants: Bound,
}

/// What the figure is compared with.
#[derive(Clone, Copy)]
enum Base {
    /// With the same figure of this system in the same round.
    System(&'static str),
    /// With the median of the rival that has the most of it.
    FastestRival,
    /// With nothing.
    Absolute,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// This one is not a target of this row.
    None,
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtLeast(bound) => value >= bound,
            Bound::AtMost(bound) => value <= bound,
            Bound::None => true,
        }
    }

    fn written(self) -> String {
        match self {
            Bound::AtLeast(bound) => format!("≥ {bound:.2}"),
            Bound::AtMost(bound) => format!("≤ {bound:.2}"),
            Bound::None => String::new(),
        }
    }
}

const PER_SECOND: Figure = |run| run.messages_per_s;
const CPU: Figure = |run| Some(run.cpu_us);
const P50: Figure = |run| run.latency.map(|latency| latency.p50_us);
const P99: Figure = |run| run.latency.map(|latency| latency.p99_us);
const PEAK: Figure = |run| Some(run.peak_mib);

const JOURNALED: &str = "zog-journaled";
const SYNCED: &str = "zog-synced";

use Base::{Absolute, FastestRival, System};
use Bound::{AtLeast, AtMost, None as No};

#[rustfmt::skip]
const TARGETS: [Target; 13] = [
    Target { name: "flood, messages/s to the fastest rival's", test: "flood-one", system: JOURNALED, base: FastestRival, figure: PER_SECOND, must: AtLeast(4.0), wants: No },
    Target { name: "flood, messages/s to the floor's", test: "flood-one", system: JOURNALED, base: System("floor"), figure: PER_SECOND, must: No, wants: AtLeast(1.0 / 3.0) },
    Target { name: "flood, CPU to floor+ok's", test: "flood-one", system: JOURNALED, base: System("floor+ok"), figure: CPU, must: AtMost(3.5), wants: AtMost(2.8) },
    Target { name: "flood of five clients, CPU to floor+ok's", test: "flood-five", system: JOURNALED, base: System("floor+ok"), figure: CPU, must: AtMost(3.5), wants: AtMost(2.8) },
    Target { name: "flood, messages/s `synced` to `journaled`", test: "flood-one", system: SYNCED, base: System(JOURNALED), figure: PER_SECOND, must: AtLeast(0.7), wants: AtLeast(0.85) },
    Target { name: "1 000/s, p50 to the floor's", test: "rate-1000", system: JOURNALED, base: System("floor"), figure: P50, must: AtMost(1.2), wants: AtMost(1.05) },
    Target { name: "1 000/s, p99 to the floor's", test: "rate-1000", system: JOURNALED, base: System("floor"), figure: P99, must: AtMost(1.5), wants: AtMost(1.1) },
    Target { name: "1 000/s, p50 of `synced` to the floor's", test: "rate-1000", system: SYNCED, base: System("floor"), figure: P50, must: AtMost(2.0), wants: AtMost(1.5) },
    Target { name: "1 000/s, CPU to the floor's", test: "rate-1000", system: JOURNALED, base: System("floor"), figure: CPU, must: AtMost(1.5), wants: AtMost(1.13) },
    Target { name: "50 000/s, p50 to the floor's", test: "rate-50000", system: JOURNALED, base: System("floor"), figure: P50, must: AtMost(1.3), wants: AtMost(1.0) },
    Target { name: "50 000/s, p99 to the floor's", test: "rate-50000", system: JOURNALED, base: System("floor"), figure: P99, must: AtMost(1.3), wants: AtMost(1.0) },
    Target { name: "flood, resident memory of a daemon, MiB", test: "flood-one", system: JOURNALED, base: Absolute, figure: PEAK, must: AtMost(8.0), wants: AtMost(5.0) },
    Target { name: "flood of five clients, resident memory, MiB", test: "flood-five", system: JOURNALED, base: Absolute, figure: PEAK, must: AtMost(8.0), wants: AtMost(5.0) },
];

/// The targets of which something was measured; empty if of none.
#[must_use]
pub fn table(runs: &Runs) -> String {
    let lines: String = TARGETS.iter().filter_map(|target| line(runs, target)).collect();
    if lines.is_empty() {
        return lines;
    }
    format!("| zog | measured | must | wants | |\n| --- | --- | --- | --- | --- |\n{lines}")
}

fn line(runs: &Runs, target: &Target) -> Option<String> {
    let value = value(runs, target)?;
    let (must, wants) = (target.must, target.wants);
    let verdict = match (must.holds(value), wants.holds(value)) {
        (false, _) => "**missed**",
        (true, false) if matches!(must, No) => "not yet",
        (true, false) => "holds",
        (true, true) if matches!(wants, No) => "holds",
        (true, true) => "as wanted",
    };
    Some(format!("| {} | {value:.2} | {} | {} | {verdict} |\n", target.name, must.written(), wants.written()))
}

fn value(runs: &Runs, target: &Target) -> Option<f64> {
    let Target { test, system, figure, .. } = *target;
    let median = |system| Some(runs.spread(test, system, figure)?.median);
    match target.base {
        System(base) => runs.ratio(test, system, base, figure),
        FastestRival => {
            let fastest = RIVALS.into_iter().filter_map(median).max_by(f64::total_cmp)?;
            Some(median(system)? / fastest)
        }
        Absolute => median(system),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Measured, Outcome, Record};

    fn flood(system: &str, messages_per_s: f64, cpu_us: f64) -> Record {
        let measured = Measured { messages_per_s: Some(messages_per_s), cpu_us, ..Measured::default() };
        let (system, test) = (system.to_owned(), "flood-one".to_owned());
        Record { system, test, round: 0, busy_cores: 0.0, outcome: Outcome::Measured(measured) }
    }

    #[test]
    fn a_target_is_missed_held_or_as_wanted() {
        let verdict = |zog_cpu| {
            let records = [flood("floor+ok", 6e6, 0.2), flood(JOURNALED, 3e6, zog_cpu)];
            let table = table(&Runs::new(&records));
            let line = table.lines().find(|line| line.contains("CPU")).unwrap().to_owned();
            line.rsplit(" | ").next().unwrap().to_owned()
        };
        assert_eq!(verdict(0.71), "**missed** |");
        assert_eq!(verdict(0.69), "holds |");
        assert_eq!(verdict(0.55), "as wanted |");
    }

    #[test]
    fn the_fastest_rival_counts() {
        let records = [flood("redis", 5e5, 3.0), flood("nats", 6e5, 4.0), flood(JOURNALED, 3e6, 0.5)];
        let table = table(&Runs::new(&records));
        assert!(table.contains("rival's | 5.00 |"), "{table}");
    }

    #[test]
    fn what_was_not_measured_has_no_line() {
        assert_eq!(table(&Runs::new(&[])), "");
    }
}
