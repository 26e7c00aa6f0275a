//! The series of `scripts/bench growth`: what grows, how it is measured, what is drawn of it.

use crate::cli::GrowthArgs;
use crate::record::{CatchUp, Measured};
use crate::site::NODES;

/// One thing that grows while all others stay as they are.
pub(super) struct Series {
    /// Its name in options and records.
    pub(super) name: &'static str,
    steps: &'static [u32],
    /// How it is measured.
    pub(super) course: Course,
    /// What is drawn of it.
    pub(super) plots: &'static [Drawing],
}

/// How a series is measured.
#[derive(Clone, Copy)]
pub(super) enum Course {
    /// Each step is a flood: so many nodes, bytes of a message and clients.
    Flood(fn(u32) -> (usize, usize, usize)),
    /// At each step a host misses so many million messages.
    CatchUp,
    /// One flood of so many million messages.
    Memory,
    /// A journal that grows to so many million messages.
    Journals,
}

impl Course {
    /// Whether all steps are stations of one run, which is made once.
    #[must_use]
    pub(super) fn is_long(&self) -> bool {
        matches!(self, Course::Memory | Course::Journals)
    }
}

/// What is drawn of a series.
pub(super) struct Drawing {
    /// Where.
    pub(super) file: &'static str,
    /// What stands over it.
    pub(super) title: &'static str,
    /// What grows.
    pub(super) x: &'static str,
    /// The figure, in words.
    pub(super) y: &'static str,
    /// The figure; `None` where a run has none.
    pub(super) figure: fn(&Measured, u32) -> Option<f64>,
    /// What it must reach at each step.
    pub(super) must: Option<Must>,
}

/// What a figure must be.
#[derive(Clone, Copy)]
pub(super) enum Must {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
}

impl Must {
    /// Whether a figure is so.
    #[must_use]
    pub(super) fn holds(self, value: f64) -> bool {
        match self {
            Must::AtLeast(bound) => value >= bound,
            Must::AtMost(bound) => value <= bound,
        }
    }
}

impl Series {
    /// Its steps, without those that are too long for this call.
    #[must_use]
    pub(super) fn steps(&self, args: &GrowthArgs) -> Vec<u32> {
        let is_bounded = !matches!(self.course, Course::Flood(_));
        self.steps.iter().copied().filter(|step| !is_bounded || *step <= args.most).collect()
    }

    /// The figures of a run, in a line.
    #[must_use]
    pub(super) fn told(&self, run: &Measured, step: u32) -> String {
        let figure = |plot: &Drawing| Some(format!("{:.3} {}", (plot.figure)(run, step)?, plot.y));
        self.plots.iter().filter_map(figure).collect::<Vec<_>>().join(", ")
    }
}

/// How a run of a series is named.
#[must_use]
pub(super) fn test_name(series: &Series, step: u32) -> String {
    format!("{}-{step}", series.name)
}

const PEAK: fn(&Measured, u32) -> Option<f64> = |run, _| Some(run.peak_mib);
const CPU: fn(&Measured, u32) -> Option<f64> = |run, _| Some(run.cpu_us);

/// Live messages without which there is no 99th percentile.
const ENOUGH: usize = 200;

const P99_RATIO: fn(&Measured, u32) -> Option<f64> = |run, _| {
    let CatchUp { before, during } = run.catch_up?;
    (during.messages >= ENOUGH).then_some(during.p99_us / before.p99_us)
};

/// All series.
pub(super) const SERIES: [Series; 6] = [
    Series {
        name: "hosts",
        steps: &[2, 3, 5, 9, 15, 25],
        course: Course::Flood(|hosts| (hosts as usize, 60, 1)),
        plots: &[Drawing {
            file: "growth-hosts.svg",
            title: "A flood of one client: what each host spends on a message",
            x: "hosts",
            y: "CPU µs per message and host",
            figure: |run, hosts| Some(run.cpu_us / f64::from(hosts)),
            must: None,
        }],
    },
    Series {
        name: "sizes",
        steps: &[1, 8, 28, 64, 128, 256, 511],
        course: Course::Flood(|size| (NODES, size as usize, 1)),
        plots: &[Drawing {
            file: "growth-sizes.svg",
            title: "Five hosts, a flood of one client: what all spend on a message",
            x: "bytes of a message",
            y: "CPU µs per message",
            figure: CPU,
            must: None,
        }],
    },
    Series {
        name: "clients",
        steps: &[1, 10, 100, 1000, 10_000],
        course: Course::Flood(|clients| (NODES, 60, clients as usize)),
        plots: &[
            Drawing {
                file: "growth-clients.svg",
                title: "Five hosts, a flood: what all spend on a message",
                x: "clients",
                y: "CPU µs per message",
                figure: CPU,
                must: None,
            },
            Drawing {
                file: "growth-memory.svg",
                title: "Five hosts, a flood: the largest daemon",
                x: "clients",
                y: "resident memory, MiB",
                figure: PEAK,
                must: None,
            },
        ],
    },
    Series {
        name: "catch-up",
        steps: &[1, 4],
        course: Course::CatchUp,
        plots: &[
            Drawing {
                file: "growth-catch-up.svg",
                title: "Five hosts, 5 000 live messages/s: one was away and catches up",
                x: "million messages missed",
                y: "million messages/s",
                figure: |run, _| run.messages_per_s.map(|speed| speed / 1e6),
                must: Some(Must::AtLeast(1.0)),
            },
            Drawing {
                file: "growth-catch-up-p99.svg",
                title: "Live messages while a host catches up: p99 to that of before",
                x: "million messages missed",
                y: "p99 during it / before",
                figure: P99_RATIO,
                must: Some(Must::AtMost(1.5)),
            },
        ],
    },
    Series {
        name: "memory",
        steps: &[1, 2, 5, 10],
        course: Course::Memory,
        plots: &[Drawing {
            file: "growth-flood.svg",
            title: "Five hosts, one long flood: the largest daemon",
            x: "million messages",
            y: "resident memory, MiB",
            figure: PEAK,
            must: Some(Must::AtMost(8.0)),
        }],
    },
    Series {
        name: "journals",
        steps: &[1, 10, 100],
        course: Course::Journals,
        plots: &[
            Drawing {
                file: "growth-journals.svg",
                title: "From the start of a daemon until it is ready",
                x: "million messages in the journal",
                y: "seconds",
                figure: |run, _| run.start_s,
                must: Some(Must::AtMost(1.0)),
            },
            Drawing {
                file: "growth-journals-memory.svg",
                title: "Memory of a daemon at its start",
                x: "million messages in the journal",
                y: "resident memory at most, MiB",
                figure: PEAK,
                must: None,
            },
        ],
    },
];
