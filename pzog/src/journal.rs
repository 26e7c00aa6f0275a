//! The bytes of the journal: what a segment holds, and how it is read after a crash.
//!
//! The journal is a row of *segments*, numbered, each a file of fixed size. A segment is a run of *frames* from its
//! beginning, each with the place it was written to in its check, so that bytes at another place, or of what the
//! file held when it was another segment, never pass for a frame. What is behind the last frame may be anything.
//!
//! `scan` reads a segment after a crash, and tells apart what a crash may leave (a *torn* tail: bytes that no sync
//! had covered) from what it may not (*damage*: bytes that had been synced, or that lie before the end a later
//! segment tells).
//!
//! `record` has the lines in a frame, `writer` how the journal grows, `piece` how it is read to be served. What it says
//! after a start comes from [`recover`]: `survey` has which segments are read whole, `recovery` which count, `replay` what
//! their records say, and `recovered` what is found.

#[cfg(test)]
mod crash_tests;
pub(crate) mod frame;
mod owner;
pub(crate) mod piece;
pub(crate) mod record;
pub(crate) mod recovered;
mod recovery;
mod replay;
pub(crate) mod scan;
mod survey;
pub(crate) mod writer;

pub use frame::HEADER_BYTES;
pub use owner::JournalError;
pub use recovered::Recovered;
pub use recovery::recover;
