//! What must hold: the promises P1 to P7 (DESIGN 2), looked at while a run goes on and at its end. Here is what is known
//! of messages and hosts; each promise has a file of its own.
//!
//! | module | its job |
//! | --- | --- |
//! | `holding` | which host has which message, on its disk or not yet, and what takes it away |
//! | `lines`, `logs` | P1, P2, P4: each line of a log is whole, known, for this host, and there once |
//! | `answers` | P1: an `OK` is true when it is heard |
//! | `arrival` | P1, P2: what was answered, or is in one log, is in all |
//! | `order` | P3: what one host said stands in one order |
//! | `altered` | what a lying host made others take is told by them |
//! | `reports`, `bounds` | P6, P7: what is refused, released or given up is told |

mod altered;
mod answers;
mod arrival;
mod bounds;
mod holding;
mod lines;
mod logs;
mod order;
mod reports;

use crate::event::{Moment, SECOND, Side};
use altered::Lies;
use bounds::Bounds;
use logs::Logs;
use pzog::Level;
use pzog::time::STAMP_LEN;
use std::collections::VecDeque;

/// Bytes that may wait on a connection of the ring, however slow its other end: what is in it, and some turns.
const BACKLOG_MAX: usize = 1 << 20;

/// An answer is on its way to a client for so long, at most.
const ANSWER_UNDER_WAY: Moment = 2 * SECOND;

/// Who is to have a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// All hosts; the host that takes it gives it its time.
    All,
    /// All hosts, with this time, and at most once however often it is said.
    Numbered([u8; STAMP_LEN]),
    /// Hosts with their bits set.
    Only(u64),
}

/// What a client said.
pub(crate) struct Said {
    pub(crate) text: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) level: Level,
    pub(crate) at: Moment,
}

/// One message and what became of it.
pub(crate) struct Message {
    pub(crate) said: Said,
    /// Its time in the logs, once it is in any.
    pub(crate) stamp: Option<[u8; STAMP_LEN]>,
    /// Who answered `OK` or `PENDING`, and when.
    answered: Option<(u8, Moment, Level)>,
    /// Its host, that host's life and its number there; how often it was published.
    origin: (u8, u32, u64),
    published: u32,
    /// Who published it, and the hosts of its ring then, one bit each.
    owed: Vec<(u8, u64)>,
    /// What had it for certain was lost with a disk.
    is_orphan: bool,
    /// An append of it was cut short, and may be whole.
    may_be_cut_short: bool,
}

/// How far a host has a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Has {
    Not,
    Appended,
    Synced,
}

/// What is known of one host.
#[derive(Default)]
struct HostChecks {
    has: Vec<Has>,
    /// Appended and not synced: where the journal ended then.
    fresh: VecDeque<((u64, u32), u32)>,
    logs: Logs,
    /// Losses of power: what was appended since then may be lost, and when.
    losses: Vec<(Moment, Moment)>,
    /// When its disk was lost, damaged or replaced by an old copy.
    reset: Option<Moment>,
    /// The hosts of its ring.toml, one bit each.
    ring: u64,
    refusals_reported: u64,
    refusals_answered: u64,
}

pub(crate) struct Checks {
    pub(crate) messages: Vec<Message>,
    /// Those of the ring, then the copy of one of them, if there may be one.
    hosts: Vec<HostChecks>,
    /// How many are of the ring.
    ring: usize,
    /// Those that are of the ring at the end, and those of them that were not at the beginning, one bit each.
    members: u64,
    newcomers: u64,
    /// The first thing that must not happen and did.
    pub(crate) broken: Option<(Moment, String)>,
    /// How many disks were lost.
    resets: u32,
    /// How often a host has told that two processes bear one name.
    pub(crate) clones_told: u32,
    /// Messages were given up although nothing was lost.
    given_up: Option<String>,
    may_give_up: bool,
    /// What may be given up because of the bounds of the journal, if the scenario is about them.
    bounds: Option<Bounds>,
    /// What hosts that lie made others take, if the scenario has such.
    lies: Option<Lies>,
}

impl Checks {
    pub(crate) fn new(ring: usize, twin: Option<u8>, has_bounds: bool) -> Checks {
        let hosts = ring + usize::from(twin.is_some());
        Checks {
            messages: Vec::new(),
            hosts: (0..hosts).map(|_| HostChecks::default()).collect(),
            ring,
            members: u64::MAX,
            newcomers: 0,
            broken: None,
            resets: 0,
            clones_told: 0,
            given_up: None,
            may_give_up: false,
            bounds: has_bounds.then(Bounds::default),
            lies: None,
        }
    }

    /// Who is of the ring in the end, and who of them joins it.
    pub(crate) fn membership(&mut self, members: u64, newcomers: u64) {
        (self.members, self.newcomers) = (members, newcomers);
    }

    /// A host starts with this ring.
    pub(crate) fn set_ring(&mut self, place: u8, ring: u64) {
        self.hosts[usize::from(place)].ring = ring;
    }

    pub(crate) fn fail(&mut self, at: Moment, what: String) {
        self.broken.get_or_insert((at, what));
    }

    pub(crate) fn next_id(&self) -> u32 {
        self.messages.len() as u32
    }

    pub(crate) fn say(&mut self, said: Said) -> u32 {
        let stamp = match said.kind {
            Kind::Numbered(stamp) => Some(stamp),
            Kind::All | Kind::Only(_) => None,
        };
        let (answered, origin) = (None, (0, 0, 0));
        self.messages.push(Message {
            said,
            stamp,
            answered,
            origin,
            published: 0,
            owed: Vec::new(),
            is_orphan: false,
            may_be_cut_short: false,
        });
        self.hosts.iter_mut().for_each(|host| host.has.push(Has::Not));
        self.messages.len() as u32 - 1
    }

    /// P5: what waits for a slow peer has a bound.
    pub(crate) fn backlog(&mut self, to: Side, bytes: usize, now: Moment) {
        if bytes > BACKLOG_MAX {
            self.fail(now, format!("{bytes} bytes wait on a connection ({to:?}) (P5)"));
        }
    }

    /// All that can be seen only when all is over.
    pub(crate) fn conclude(&mut self, now: Moment) {
        let places = 0..self.hosts.len();
        let of_hosts = places.flat_map(|place| [self.disorder(place), self.unreported(place)]);
        let first = self.missing().into_iter().chain(of_hosts.flatten()).next();
        if let Some(what) = first.or_else(|| self.untold(now)).or_else(|| self.lost_for_nothing()) {
            self.fail(now, what);
        }
    }
}
