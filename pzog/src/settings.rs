//! What a person may turn, with the defaults that ring.toml takes where it is silent.

use crate::limits::REVISION;
use crate::time::Duration;

/// How far a message must have come before its client is answered `OK`: a ladder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Level {
    /// In this host's journal: it survives the end of the process.
    Journaled,
    /// On this host's disk: it survives a loss of power.
    #[default]
    Synced,
    /// On the disk of more than half of the hosts of the ring, this one among them.
    Majority,
    /// On the disk of every host of the ring.
    All,
}

impl Level {
    /// All levels, lowest first.
    pub const LADDER: [Level; 4] = [Level::Journaled, Level::Synced, Level::Majority, Level::All];

    /// The word on the wire, on the command line and in ring.toml.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Level::Journaled => "journaled",
            Level::Synced => "synced",
            Level::Majority => "majority",
            Level::All => "all",
        }
    }

    /// The level of a word, without regard to case.
    #[must_use]
    pub fn of_word(word: &[u8]) -> Option<Level> {
        Level::LADDER.into_iter().find(|l| word.eq_ignore_ascii_case(l.word().as_bytes()))
    }
}

/// When links to peers are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Connect {
    /// Always: a lost link is dialled again until it is back.
    #[default]
    Always,
    /// Once after the start, and then while there is something to send (pscom's on-demand connections).
    OnDemand,
}

/// The settings of a node that can change while it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The level for clients that name none.
    pub ack: Level,
    /// How long a client waits for `majority` or `all` before it is told `PENDING`.
    pub ack_timeout: Duration,
    /// When links are kept.
    pub connect: Connect,
    /// A `KEEPALIVE` is sent on every link so often.
    pub keepalive: Duration,
    /// A link on which a `KEEPALIVE` stays unanswered so long is closed. At most 300 s (seed).
    pub peer_silence: Duration,
    /// A client that sends no whole line for so long is closed.
    pub client_idle: Duration,
    /// A client that has sent nothing at all for so long is closed.
    pub first_byte: Duration,
    /// The first pause before a host is dialled again; doubled each time, with jitter …
    pub redial_min: Duration,
    /// … up to this.
    pub redial_max: Duration,
    /// Connections to the client port at one time.
    pub clients_max: u32,
    /// Messages of this host that the slowest linked peer may be behind before clients are no longer read.
    pub window_messages: u64,
    /// Bytes of one segment of the journal.
    pub segment_bytes: u32,
    /// Bytes of the whole journal. What hosts that are away lack beyond it is given up and reported.
    pub journal_bytes: u64,
    /// How long (running time) a segment is kept for hosts that are away.
    pub journal_age: Duration,
    /// The newest revision of the protocol that is spoken with peers: below [`REVISION`] this is a former build. It
    /// holds for links that come up from now on.
    pub revision: u8,
}

/// The longest `peer_silence` that the seed allows.
pub const PEER_SILENCE_MAX: Duration = Duration::from_secs(300);

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            ack: Level::default(),
            ack_timeout: Duration::from_secs(5),
            connect: Connect::default(),
            keepalive: Duration::from_secs(5),
            peer_silence: Duration::from_secs(15),
            client_idle: Duration::from_secs(300),
            first_byte: Duration::from_secs(60),
            redial_min: Duration::from_secs(1),
            redial_max: Duration::from_secs(5),
            clients_max: 16_384,
            window_messages: 16_384,
            segment_bytes: 16 << 20,
            journal_bytes: 1 << 30,
            journal_age: Duration::from_secs(7 * 24 * 3600),
            revision: REVISION,
        }
    }
}
