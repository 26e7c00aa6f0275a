//! What was found in a journal: all that a node begins with, and what the driver has to know before.

use super::record::{Line, Mark, lines};
use super::scan::scan;
use super::writer::{Entry, Segment};
use crate::event::{LogFile, Place};
use crate::ring::{HostIndex, Ring};
use crate::session::Sessions;
use crate::stream::{Numbers, Stream, Streams};
use crate::wire::StreamName;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    pub(crate) streams: Streams,
    pub(crate) sessions: Sessions,
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) index: VecDeque<Entry>,
    pub(crate) mark: Option<Mark>,
    pub(crate) certain: Certain,
    pub(crate) running_seconds: u64,
    /// Its host has not yet heard all others since the journal began.
    pub(super) is_young: bool,
    pub(super) last_segment: Option<u64>,
    /// All before this segment is on the disk.
    pub(super) proof: u64,
    pub(super) unreadable: Vec<u64>,
    /// Segments that came after one that a crash has cut, or that were not begun.
    pub(crate) dead: Vec<u64>,
    pub(super) findings: Vec<String>,
}

/// What access.log has for certain of each stream: all up to a number but for some holes.
pub(crate) type Certain = Vec<(u64, Vec<Numbers>)>;

impl Recovered {
    /// Nothing but a place for the stream of the life that begins.
    pub(super) fn blank(ring: &Ring, me: HostIndex) -> Recovered {
        let mut blank = Recovered::default();
        blank.streams.set_own(Stream::new(StreamName { origin: me, addressee: None, incarnation: 0 }, ring));
        blank
    }

    /// access.log as it was marked last: this file has these many bytes that are certain. What follows in it is to
    /// be cut off, and [`Recovered::log_lines`] to be appended.
    #[must_use]
    pub fn log(&self) -> Option<LogFile> {
        self.mark.map(|mark| mark.log)
    }

    /// The lines of access.log that a segment holds beyond the last mark. To be asked for all segments that are not
    /// [`Recovered::is_logged`], ascending, with all their bytes.
    pub fn log_lines(&self, number: u64, bytes: &[u8], out: &mut Vec<u8>) {
        let from = self.mark.map_or(Place::default(), |mark| mark.place);
        if number < from.segment {
            return;
        }
        let Some(segment) = self.segments.iter().find(|s| s.number == number) else { return };
        let scanned = scan(number, bytes, Some(segment.end));
        for frame in scanned.frames {
            if (Place { segment: number, offset: frame.offset }) < from {
                continue;
            }
            for line in lines(&bytes[frame.payload.range()]) {
                if let (Some(Line::Data(_, true)), Some(space)) =
                    (Line::parse(line), memchr::memchr(b' ', line))
                {
                    out.extend_from_slice(&line[space + 1..]);
                    out.push(b'\n');
                }
            }
        }
    }

    /// Whether everything in a segment is certain to be in access.log, so that [`Recovered::log_lines`] finds nothing.
    #[must_use]
    pub fn is_logged(&self, number: u64) -> bool {
        self.mark.is_some_and(|mark| number < mark.place.segment)
    }

    /// Segments from this number on may not be on the disk; those before it are, as a later one proves. The driver
    /// brings them there before it makes a node of this.
    #[must_use]
    pub fn unproved(&self) -> u64 {
        self.proof
    }

    /// The number of the segment that is to be made ready before the node starts.
    #[must_use]
    pub fn first_segment(&self) -> u64 {
        self.last_segment.map_or(1, |last| last + 1)
    }

    /// What error.log is to be told.
    #[must_use]
    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    /// Whether there was no journal, or none that could be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Whether what this host never had of others may be before its time.
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_empty() || self.is_young
    }

    /// Segments of which nothing can be used, to be moved aside.
    #[must_use]
    pub fn unreadable(&self) -> &[u64] {
        &self.unreadable
    }
}
