//! What the fuzz targets do with their bytes. Used by `fuzz/` and by the tests beside, so without the one's or the
//! other's tools.
//!
//! Whatever comes: nothing panics, what is kept of unfinished lines is bounded, what is logged is a log line, each
//! number of each stream is accounted for, and the same bytes in other pieces come to the same.

mod driver;
mod journal;
mod lines;

pub(crate) use journal::journal;
pub(crate) use lines::{client_lines, peer_lines};
