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

/// Sessions that a host remembers; the first message of one more is told to come again later. What other hosts have
/// taken is remembered beyond it.
pub const SESSIONS_MAX: usize = 32_768;

/// Holes in the numbers of one session, 16 bytes each; a number that would make another one is told to come again
/// later.
pub const SESSION_HOLES_MAX: usize = 1024;

/// Numbers of one session that were refused here, where those in a row count once; whoever has had so many is told to
/// come again later. They do not travel: all other hosts see a hole for each, 16 bytes in memory and some 20 in the
/// head of every segment.
pub const SESSION_REFUSED_MAX: u32 = 4096;

/// The last numbers of a session for which it is remembered where the message stands, and its text (as a hash), to
/// tell a repeat from a conflict. 32 bytes each.
pub const SESSION_RECENT: usize = 1024;

/// A session that is not used for so long (running time) is forgotten, if nobody can have anything of it any more
/// that is not known here …
pub const SESSION_AGE: Duration = Duration::from_secs(24 * 3600);

/// … or already after this time, when there are too many.
pub const SESSION_AGE_MIN: Duration = Duration::from_secs(3600);

/// A client's time may be so far off this host's clock, in seconds.
pub const CLIENT_SKEW_SECONDS: u64 = 12 * 3600;

/// A connection to the ring port says `HELLO`, and is answered, within this time.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

/// A link in question answers a `KEEPALIVE` within this time or gives way to the newcomer.
pub const PROBE: Duration = Duration::from_secs(1);

/// Connections to the ring port that have not said `HELLO` yet; one more is closed at once. All other hosts of the largest
/// ring may begin two at one time; how many may come from one address is the driver's to bound.
pub const HANDSHAKES_MAX: usize = 2 * HOSTS_MAX;

/// A version 1 peer that says nothing for so long is closed (seed: a keep-alive at least every 300 s) …
pub const VERSION_1_SILENCE: Duration = Duration::from_secs(300);

/// … and gets a `KEEPALIVE` so often.
pub const VERSION_1_KEEPALIVE: Duration = Duration::from_secs(100);

/// A host syncs so soon after an append, whatever the level: what a loss of power may take of level `journaled`. Each sync
/// takes a processor for up to some milliseconds, for which messages wait.
pub const SYNC_WITHIN: Duration = Duration::from_secs(1);

/// A host syncs so soon already where much was appended: so files are released sooner, and used again …
pub const SYNC_MUCH_WITHIN: Duration = Duration::from_millis(80);

/// … much: so many bytes.
pub const SYNC_MUCH_BYTES: u32 = 4 << 20;

/// A watermark is told to the stream's origin after so many messages …
pub const TELL_MESSAGES: u64 = 512;

/// … or after so long, whichever is first.
pub const TELL_WITHIN: Duration = Duration::from_millis(100);

/// What else of a host's watermarks has changed is told to every other host after this time at the latest.
pub const TELL_ALL_WITHIN: Duration = Duration::from_secs(1);

/// A host that is a window behind is waited for as long as it gets on by a sixteenth of a window in this time.
pub const STUCK: Duration = Duration::from_secs(1);

/// A host that knows that it lacks messages asks for them when nothing of that stream has come for so long.
pub const WANT_AFTER: Duration = Duration::from_millis(50);

/// Whoever was asked gets on with it in this time, or the next one is asked.
pub const WANT_AGAIN: Duration = Duration::from_secs(1);

/// After a host had to be served directly in place of its relay, the relay is not trusted with it for so long …
pub const HOLD_DOWN: Duration = Duration::from_secs(1);

/// … doubled at each relapse up to this …
pub const HOLD_DOWN_MAX: Duration = Duration::from_secs(60);

/// … and forgotten after so long without one.
pub const HOLD_DOWN_FORGET: Duration = Duration::from_secs(3600);

/// Bytes of the journal that are read at a time to serve a host, if a record is not longer.
pub const SERVE_BYTES: u32 = 256 << 10;

/// The journal remembers where in it how much of each stream stands, once in so many bytes.
pub const INDEX_BYTES: u32 = 256 << 10;

/// Bytes of a record that are not messages: marks, what was passed over.
pub const NOTES_BYTES: u32 = 8 << 10;

/// Bytes of the journal that one byte of a client's line can become: the longest head in front of the shortest line.
pub const LINE_GROWTH: u32 = 40;

/// … and one byte of a link's lines: they stand as they came, but for records that are cut in two.
pub const PEER_GROWTH: u32 = 2;

/// What is read of one connection in a turn is at most this part of a segment of the journal.
pub const READS_IN_SEGMENT: u32 = 64;

/// Bytes of the journal that one byte of a client's lines mostly becomes, at most.
pub const TYPICAL_GROWTH: u32 = 8;

/// access.log is synced, and where it stands is noted in the journal, so soon after something was logged; sooner where
/// there are segments that only wait for that. What is behind the last mark a start has to compare.
pub const MARK_WITHIN: Duration = Duration::from_secs(10);

/// How often it is looked whether segments can be released and sessions forgotten, if nothing calls for it sooner.
pub const UPKEEP: Duration = Duration::from_secs(10);

/// With more segments than this, it is looked again …
pub const SEGMENTS_IDLE: usize = 2;

/// … so soon after a host has told that it has more: files that are used again stay in the system's cache, new ones
/// do not.
pub const RELEASE_WITHIN: Duration = Duration::from_millis(20);

/// Peers are not read for so long at most while a segment is late: far less than the silence that ends a link, by default.
pub const PREPARE_WAIT: Duration = Duration::from_millis(500);

/// Room for another segment is asked for again after this time.
pub const PREPARE_AGAIN: Duration = Duration::from_secs(1);

/// Streams that a host knows: every incarnation of every host, for ever, at some hundred bytes each.
pub const STREAMS_MAX: usize = 65_536;

/// An orderly stop takes at most this; then the node stops with what is left undone.
pub const STOP: Duration = Duration::from_secs(4);

/// Bytes of a refused line that error.log shows, before escaping.
pub const EXCERPT_MAX: usize = 64;

/// Former incarnations that the first message of a new one names: there is one, unless copies of a journal ran.
pub const NAMED_MAX: usize = 8;

/// Answers of one client that wait for a level, where `OK`s that wait for the same count once. A client beyond it
/// sends faster than it may and is closed with `ERR 300`.
pub const ANSWERS_MAX: usize = 16_384;

/// Bytes of one client's answers that wait behind one that waits, and of the facts (`STATUS`, `WHO`) and refusals that it
/// is told in one turn; whoever asks for more is closed with `ERR 300`. What is asked in a few bytes is told in many.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Searches for a text in the journal at one time.
pub const FINDS_MAX: usize = 4;

/// Messages that a search tells, the newest.
pub const FOUND_MAX: usize = 100;

/// The highest number that a client may begin its session with; far from where counting would overflow.
pub const SESSION_NEXT_MAX: u64 = 1_000_000_000_000_000_000;

/// The newest revision of the protocol between peers that this core speaks: the minor number in `HELLO`. What each of
/// them adds stands in `docs/PROTOCOL.md`.
pub const REVISION: u8 = 2;

/// The oldest revision that it still speaks.
pub const REVISION_MIN: u8 = 0;

/// An origin tells a sum of its newest messages so soon after it has sent some …
pub const SUM_WITHIN: Duration = Duration::from_secs(1);

/// … of so many at most: beyond that many in a second it is a sample.
pub const SUM_MESSAGES: u64 = 512;

/// Messages that a sum is about may still be on their way: they are waited for so long, then it is not compared.
pub const SUM_WAIT: Duration = Duration::from_secs(1);

/// Sums that wait to be compared; beyond that the oldest is not.
pub const SUMS_MAX: usize = 256;

/// Pieces of the journal that are read for one sum, of [`SERVE_BYTES`] each.
pub const SUM_PIECES: u32 = 16;
