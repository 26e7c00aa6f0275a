//! Scenarios: what a run is made of, as data (`scenarios.toml`).

use crate::rollout::Rollout;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// The scenarios that come with the simulator.
const BUILT_IN: &str = include_str!("../scenarios.toml");

/// Hosts of a ring, a copy of one among them: who is to have a message is told by one bit for each.
const HOSTS_MAX: u8 = 64;

/// Everything that a run depends on, but its seed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: String,
    /// What it shows, in one line.
    pub about: String,
    /// Hosts of the ring.
    #[serde(default = "five")]
    pub hosts: u8,
    /// The wrapping table is read as offsets from the origin.
    #[serde(default)]
    pub origin_scheme: bool,
    /// This host, counted from 0, has the hosts of its ring.toml in another order.
    pub other_order: Option<u8>,
    /// How the ring changes while it works.
    pub rollout: Option<Rollout>,
    /// Virtual seconds of traffic and faults, before everything is healed.
    pub seconds: u32,
    /// Virtual seconds after which all must have converged.
    #[serde(default = "converge_seconds")]
    pub converge_seconds: u32,
    /// Data lines that a host may receive for each message, on average.
    pub lines_max: Option<f64>,
    /// The bounds of the journal are reached: something must be given up, and told.
    #[serde(default)]
    pub gives_up: bool,
    /// Clients and what they say.
    pub clients: Clients,
    /// The network as it is without faults.
    #[serde(default)]
    pub network: Network,
    /// The disks as they are without faults.
    #[serde(default)]
    pub disk: Disk,
    /// Settings of all nodes.
    #[serde(default)]
    pub node: Node,
    /// Mean seconds between two faults of each kind, anywhere in the ring; what is missing never happens.
    #[serde(default)]
    pub faults: Faults,
    /// How long faults last.
    #[serde(default)]
    pub lasting: Lasting,
}

/// Who talks to the ring.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// How many at a time.
    pub count: u16,
    /// Mean milliseconds between two bursts of one client.
    pub pause_ms: u64,
    /// Lines of a burst, at most.
    #[serde(default = "burst")]
    pub burst: u64,
    /// Levels; each client has one of them.
    #[serde(default = "ladder")]
    pub levels: Vec<String>,
    /// Share of `MSG` lines.
    #[serde(default)]
    pub msg: f64,
    /// Share of wrapped lines (`0`, `1`, `2`).
    #[serde(default)]
    pub wrapped: f64,
    /// Share of lines that are not to be accepted.
    #[serde(default)]
    pub wrong: f64,
    /// Share of bursts before which a client goes to another host though nothing is wrong.
    #[serde(default)]
    pub restless: f64,
    /// Share of bursts after which a client leaves for good.
    #[serde(default)]
    pub vanish: f64,
    /// Clients talk to these hosts only, counted from 0; to all if empty.
    #[serde(default)]
    pub only: Vec<u8>,
    /// Messages that must have been answered `OK`, or the run is void.
    pub answered_min: u32,
}

/// How bytes travel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Microseconds that a byte needs at least …
    pub latency_us: u64,
    /// … and how many more, at most.
    pub jitter_us: u64,
    /// Bytes a millisecond of one connection.
    pub bytes_ms: u64,
    /// Bytes that a connection takes before it is blocked.
    pub window: usize,
    /// Probability that what arrives is cut in two anywhere.
    pub split: f64,
}

/// How fast disks are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disk {
    /// Mean microseconds of a sync.
    pub sync_us: u64,
    /// Mean microseconds until a segment is ready.
    pub prepare_us: u64,
}

/// Settings of the nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// Bytes of a segment of the journal.
    pub segment_bytes: u32,
    /// Bytes of the whole journal.
    pub journal_bytes: u64,
    /// Seconds that a segment is kept for hosts that are away.
    pub journal_age_s: u64,
    /// Milliseconds between keep-alives.
    pub keepalive_ms: u64,
    /// Milliseconds after which a silent link is closed.
    pub silence_ms: u64,
    /// Links are made on demand.
    pub on_demand: bool,
}

/// Mean seconds between two faults of a kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// A process is killed.
    pub kill: Option<f64>,
    /// A host loses power.
    pub power: Option<f64>,
    /// All hosts lose power at once.
    pub power_all: Option<f64>,
    /// A host is killed, starts, and loses power at once.
    pub kill_then_power: Option<f64>,
    /// A connection between hosts breaks; what was on its way is lost.
    pub cut: Option<f64>,
    /// A connection of a client breaks.
    pub cut_client: Option<f64>,
    /// One end of a connection vanishes, and the other end does not hear of it.
    pub half_open: Option<f64>,
    /// Nothing passes between two hosts.
    pub partition: Option<f64>,
    /// Nothing passes from one host to another.
    pub one_way: Option<f64>,
    /// Nothing passes to or from one host.
    pub isolate: Option<f64>,
    /// The way from the first host's relay to its charge is cut and comes back.
    pub flap: Option<f64>,
    /// A process stands still.
    pub pause: Option<f64>,
    /// A disk takes its time for a sync.
    pub hang: Option<f64>,
    /// A sync fails.
    pub sync_fails: Option<f64>,
    /// An append fails half-way.
    pub append_fails: Option<f64>,
    /// A disk is full.
    pub full: Option<f64>,
    /// access.log is renamed, and the daemon told.
    pub rotate: Option<f64>,
    /// access.log is renamed, and the daemon not told before it ends.
    pub rename: Option<f64>,
    /// A wall clock is turned.
    pub clock: Option<f64>,
    /// Bytes of the journal on a disk change, and the host starts anew.
    pub rot: Option<f64>,
    /// A host's disk is lost; it comes back with an empty one.
    pub disk_lost: Option<f64>,
    /// A host comes back with an old copy of its disk.
    pub old_copy: Option<f64>,
    /// A second process runs with a copy of a host's disk.
    pub clone: Option<f64>,
    /// Many faults of all kinds that heal by themselves, within moments.
    pub storm: Option<f64>,
    /// A host alters a message of another origin that it passes on, or says one that its origin never said. Such a host, and
    /// whoever believed it, must not end before that is told.
    pub alter: Option<f64>,
}

/// How long faults last, in mean milliseconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lasting {
    /// A host is down.
    pub down_ms: u64,
    /// Nothing passes.
    pub cut_ms: u64,
    /// A process stands still.
    pub pause_ms: u64,
    /// A disk hangs or is full.
    pub disk_ms: u64,
    /// A copy of a disk is so old.
    pub copy_ms: u64,
}

fn five() -> u8 {
    5
}

fn converge_seconds() -> u32 {
    60
}

fn burst() -> u64 {
    8
}

fn ladder() -> Vec<String> {
    pzog::Level::LADDER.iter().map(|level| level.word().to_owned()).collect()
}

impl Default for Network {
    fn default() -> Network {
        Network { latency_us: 200, jitter_us: 300, bytes_ms: 10_000, window: 64 << 10, split: 0.2 }
    }
}

impl Default for Disk {
    fn default() -> Disk {
        Disk { sync_us: 1_000, prepare_us: 2_000 }
    }
}

impl Default for Node {
    fn default() -> Node {
        Node {
            segment_bytes: 64 << 10,
            journal_bytes: 64 << 20,
            journal_age_s: 7 * 24 * 3600,
            keepalive_ms: 5_000,
            silence_ms: 15_000,
            on_demand: false,
        }
    }
}

impl Default for Lasting {
    fn default() -> Lasting {
        Lasting { down_ms: 2_000, cut_ms: 3_000, pause_ms: 2_000, disk_ms: 1_000, copy_ms: 5_000 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scenario: Vec<Scenario>,
}

impl Scenario {
    /// All scenarios that come with the simulator.
    ///
    /// # Errors
    /// The file is broken, which its test excludes.
    pub fn built_in() -> Result<Vec<Scenario>> {
        Scenario::read(BUILT_IN).context("sim/scenarios.toml")
    }

    /// The scenarios of a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Vec<Scenario>> {
        let File { scenario: all } = toml::from_str(text)?;
        for scenario in &all {
            scenario.check().with_context(|| format!("scenario {}", scenario.name))?;
        }
        Ok(all)
    }

    fn check(&self) -> Result<()> {
        let places = self.hosts.saturating_add(u8::from(self.faults.clone.is_some()));
        ensure!(self.hosts > 0 && places <= HOSTS_MAX, "hosts: 1 to {HOSTS_MAX}");
        ensure!(
            self.clients.count > 0 && self.clients.burst > 0,
            "clients: at least one, with bursts of one"
        );
        ensure!(!self.levels()?.is_empty(), "levels: at least one");
        let are_hosts = self.clients.only.iter().chain(&self.other_order).all(|host| *host < self.hosts);
        ensure!(
            self.faults.clone.is_none() || self.hosts > crate::twin::ORIGINAL,
            "clone: two hosts at least"
        );
        ensure!(
            self.faults.alter.is_none() || self.hosts == 5 && !self.origin_scheme,
            "alter: five hosts, of which each relays to its +2 peer alone"
        );
        ensure!(are_hosts, "there are {} hosts, counted from 0", self.hosts);
        self.rollout.as_ref().map_or(Ok(()), |rollout| rollout.check(self.hosts))
    }

    /// The levels of the clients.
    pub(crate) fn levels(&self) -> Result<Vec<pzog::Level>> {
        let level = |word: &String| {
            pzog::Level::of_word(word.as_bytes())
                .with_context(|| format!("{word}: a level is journaled, synced, majority or all"))
        };
        self.clients.levels.iter().map(level).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_scenarios_can_be_read_and_have_different_names() {
        let mut names: Vec<String> =
            Scenario::built_in().unwrap().into_iter().map(|scenario| scenario.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        let error = Scenario::read("[[scenario]]\nname = \"x\"\nhostss = 5\n").unwrap_err();
        assert!(format!("{error:#}").contains("hostss"), "{error:#}");
    }
}
