//! Every bound of the protocol, with its unit and its reason.

use crate::time::Duration;

/// Bytes of a message's text: less than 512 (seed).
pub const TEXT_MAX: usize = 511;

/// Bytes of a line without its end, for clients and peers: room for the longest head in front of the longest
/// text. What is longer without a line end is refused and skipped up to the next line end.
pub const LINE_MAX: usize = 1024;

/// Hosts in a ring. Every host keeps a link to every other, so this is far beyond what a full mesh is good for.
pub const HOSTS_MAX: usize = 64;

/// Bytes of a host's name. It stands in every line between peers.
pub const NAME_MAX: usize = 32;

/// Bytes of a session token.
pub const TOKEN_MAX: usize = 32;

/// Sessions that a host remembers; a `HELLO` beyond them is told to come again later.
pub const SESSIONS_MAX: usize = 8192;

/// Holes in the numbers of one session, 16 bytes each; a number that would make another one is told to come again
/// later. Other hosts see a hole for each number that was refused, as it does not travel.
pub const SESSION_HOLES_MAX: usize = 1024;

/// The last numbers of a session for which the text is remembered (as a hash), to tell a repeat from a conflict.
/// 16 bytes each: with all sessions full, 128 MiB.
pub const SESSION_RECENT: usize = 1024;

/// A session that is not used for so long (running time) gives way when there are too many: longer than any client
/// goes on repeating, and short enough that one-message sessions, two a second, never fill the table.
pub const SESSION_AGE: Duration = Duration::from_secs(3600);

/// A client's time may be so far off this host's clock, in seconds.
pub const CLIENT_SKEW_SECONDS: u64 = 12 * 3600;

/// A connection to the ring port says `HELLO`, and is answered, within this time.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

/// A link in question answers a `KEEPALIVE` within this time or gives way to the newcomer.
pub const PROBE: Duration = Duration::from_secs(1);

/// Connections to the ring port that have not said `HELLO` yet; one more is closed at once.
pub const HANDSHAKES_MAX: usize = 32;

/// A version 1 peer that says nothing for so long is closed (seed: a keep-alive at least every 300 s) …
pub const VERSION_1_SILENCE: Duration = Duration::from_secs(300);

/// … and gets a `KEEPALIVE` so often.
pub const VERSION_1_KEEPALIVE: Duration = Duration::from_secs(100);

/// A host syncs so soon after it logged, whatever the level.
pub const SYNC_WITHIN: Duration = Duration::from_millis(20);

/// A watermark is told to the stream's origin after so many messages …
pub const TELL_MESSAGES: u64 = 512;

/// … or after so long, whichever is first.
pub const TELL_WITHIN: Duration = Duration::from_millis(100);

/// How long lines for a host wait for it to have had all that went by its relay, when the way to it changes.
pub const REROUTE: Duration = Duration::from_secs(1);

/// An orderly stop takes at most this; then the node stops with what is left undone.
pub const STOP: Duration = Duration::from_secs(4);

/// Bytes of a refused line that error.log shows, before escaping.
pub const EXCERPT_MAX: usize = 64;

/// Incarnations of one origin (or of one origin for this host alone) whose streams a host keeps apart. Only the last
/// can still grow; the one before may still be on its way through a relay.
pub const INCARNATIONS_MAX: usize = 8;

/// Answers of one client that wait for a level, where `OK`s that wait for the same count once. A client beyond it
/// sends faster than it may and is closed with `ERR 300`.
pub const ANSWERS_MAX: usize = 16_384;

/// The highest number that a client may begin its session with; far from where counting would overflow.
pub const SESSION_NEXT_MAX: u64 = 1_000_000_000_000_000_000;
