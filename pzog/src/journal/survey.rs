//! What a start has to read: which segments whole, and the heads of the others.
//!
//! Each segment begins with a snapshot of all that is known, so of most it is enough to read the head: it tells how
//! far every stream was, and where the segment before ended. Whole are read the newest ones,
//!
//! - back to the place of the last mark, since access.log may lack what stands behind it;
//! - back to a segment that proves that all before it is on the disk: a crash can have cut off nothing there;
//! - at least [`WHOLE_MIN`], so that repeats within sessions are still told from conflicts.
//!
//! A segment is such a proof if one of its records was written after a sync, or if a life begins with it: whatever it
//! names as before it had been brought to the disk. From there on back, each head names the segment before it. Where
//! one does not, since it rots or a file is missing, everything is read. What rots behind a head that was read is found
//! when it is served.

use super::frame::{self, BadFrame, Frame};
use super::owner::{JournalError, check_host};
use super::record::{Line, lines};
use super::scan::scan;
use crate::event::Place;
use crate::ring::{HostIndex, Ring};
use crate::wire::StreamName;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// So many of the newest segments are read whole, whatever they say.
const WHOLE_MIN: usize = 2;

/// Bytes that are read for a head at first: it holds a line for each stream and each session.
const HEAD_BYTES: u32 = 16 << 10;

/// What the head of a segment says, but for the sessions.
pub(super) struct Head {
    pub(super) segment: u64,
    /// The size of its file.
    pub(super) size: u32,
    incarnation: u64,
    pub(super) running_seconds: u64,
    /// Where the segment before ended.
    pub(super) before: Option<Place>,
    /// How far each stream was.
    pub(super) journaled: Vec<(StreamName, u64)>,
}

/// Where a journal is read: whose it is, its segments, ascending, and how the first bytes of one are had.
pub(super) struct Survey<'a, Read> {
    pub(super) ring: &'a Ring,
    pub(super) me: HostIndex,
    pub(super) segments: &'a [u64],
    pub(super) read: &'a mut Read,
}

/// What was found.
#[derive(Default)]
pub(super) struct Surveyed {
    /// The heads of the oldest segments, which need not be read whole, and then that of the first one which has to be.
    /// None if all have to be.
    pub(super) heads: Vec<Head>,
    pub(super) chain: Chain,
}

/// Segments of which it is certain that they are on the disk, each named by the one behind it.
#[derive(Default, Debug)]
pub(super) struct Chain {
    /// Where each of them ends, but the last …
    ends: BTreeMap<u64, u32>,
    /// … which proves all this.
    last: Option<u64>,
}

impl Chain {
    /// Where this segment ends, if that is certain.
    pub(super) fn end_of(&self, segment: u64) -> Option<u32> {
        self.ends.get(&segment).copied()
    }

    /// All before this segment is on the disk; 0 if nothing proves any of it.
    pub(super) fn proof(&self) -> u64 {
        self.last.unwrap_or(0)
    }

    /// Whether a segment lies between two that follow each other without it.
    pub(super) fn leaves_out(&self, segment: u64) -> bool {
        let first = self.ends.keys().next();
        let is_between =
            first.is_some_and(|first| *first < segment) && self.last.is_some_and(|last| segment < last);
        is_between && !self.ends.contains_key(&segment)
    }
}

impl<Read> Survey<'_, Read> {
    /// Reads what is needed to know what is to be read.
    pub(super) fn look<E>(&mut self) -> Result<Surveyed, E>
    where
        Read: FnMut(u64, u32, &mut Vec<u8>) -> Result<u32, E>,
        E: From<JournalError>,
    {
        let Some((proof, mark)) = self.newest_proof()? else { return Ok(Surveyed::default()) };
        let marked = self.segments.partition_point(|number| *number <= mark.segment).saturating_sub(1);
        let first_whole = marked.min(proof).min(self.segments.len().saturating_sub(WHOLE_MIN));
        let mut heads = Vec::new();
        let mut chain = Chain { last: Some(self.segments[proof]), ..Chain::default() };
        let mut next = Some(proof);
        let mut is_unbroken = true;
        while let Some(at) = next {
            let head = self.head(self.segments[at])?;
            let before = head.as_ref().and_then(|head| head.before);
            next = before
                .and_then(|before| self.segments.binary_search(&before.segment).ok())
                .filter(|b| *b < at);
            if let (Some(_), Some(before)) = (next, before) {
                chain.ends.insert(before.segment, before.offset);
            }
            is_unbroken &= head.is_some() && (at == 0 || next == Some(at - 1));
            heads.extend(head.filter(|_| at <= first_whole));
        }
        heads.reverse();
        let suffice = is_unbroken && first_whole > 0;
        Ok(Surveyed { heads: if suffice { heads } else { Vec::new() }, chain })
    }

    /// The newest segment that proves that all before it is on the disk, and tells how far access.log is certain: its
    /// place among the segments, and that mark.
    fn newest_proof<E>(&mut self) -> Result<Option<(usize, Place)>, E>
    where
        Read: FnMut(u64, u32, &mut Vec<u8>) -> Result<u32, E>,
        E: From<JournalError>,
    {
        let mut bytes = Vec::new();
        for (at, number) in self.segments.iter().enumerate().rev() {
            (self.read)(*number, u32::MAX, &mut bytes)?;
            let frames = scan(*number, &bytes, None).frames;
            let is_proof = frames.iter().any(|frame| frame.synced > 0) || self.begins_a_life(at)?;
            if let (true, Some(mark)) = (is_proof, last_mark(&frames, &bytes)) {
                return Ok(Some((at, mark)));
            }
        }
        Ok(None)
    }

    /// Whether the segment before is of a former life, and so was on the disk before this one was begun.
    fn begins_a_life<E>(&mut self, at: usize) -> Result<bool, E>
    where
        Read: FnMut(u64, u32, &mut Vec<u8>) -> Result<u32, E>,
        E: From<JournalError>,
    {
        let Some(head) = self.head(self.segments[at])? else { return Ok(false) };
        let before =
            head.before.map(|before| before.segment).filter(|b| self.segments.binary_search(b).is_ok());
        let Some(before) = before else { return Ok(false) };
        Ok(self.head(before)?.is_some_and(|before| before.incarnation != head.incarnation))
    }

    /// The head of a segment, if one of its copies can be read.
    fn head<E>(&mut self, segment: u64) -> Result<Option<Head>, E>
    where
        Read: FnMut(u64, u32, &mut Vec<u8>) -> Result<u32, E>,
        E: From<JournalError>,
    {
        let mut bytes = Vec::new();
        let mut size = (self.read)(segment, HEAD_BYTES, &mut bytes)?;
        if let Err(BadFrame::Incomplete { needs }) = frame::read(segment, 0, &bytes, 0) {
            size = (self.read)(segment, needs, &mut bytes)?;
        }
        let payload = match frame::read(segment, 0, &bytes, 0) {
            Ok(frame) => frame.payload,
            Err(_) => {
                (self.read)(segment, u32::MAX, &mut bytes)?;
                let Some(first) = scan(segment, &bytes, None).frames.first().map(|frame| frame.payload)
                else {
                    return Ok(None);
                };
                first
            }
        };
        Ok(parse(segment, size, &bytes[payload.range()], self.ring, self.me)?)
    }
}

/// The last mark that these records tell.
fn last_mark(frames: &[Frame], bytes: &[u8]) -> Option<Place> {
    let mark = |line: &[u8]| match Line::parse(line) {
        Some(Line::Mark(mark)) => Some(mark.place),
        _ => None,
    };
    let mut newest_first = frames.iter().rev();
    newest_first.find_map(|frame| lines(&bytes[frame.payload.range()]).filter_map(mark).last())
}

fn parse(
    segment: u64,
    size: u32,
    payload: &[u8],
    ring: &Ring,
    me: HostIndex,
) -> Result<Option<Head>, JournalError> {
    let mut lines = lines(payload);
    let Some(Line::Head { host, incarnation, running_seconds }) = lines.next().and_then(Line::parse) else {
        return Ok(None);
    };
    check_host(segment, host, ring, me)?;
    let mut head = Head { segment, size, incarnation, running_seconds, before: None, journaled: Vec::new() };
    for line in lines {
        match line.first() {
            Some(b'E') => head.before = before(line),
            Some(b'S') => head.journaled.extend(journaled(line, ring)),
            Some(b'T') => break, // sessions come last
            _ => {}
        }
    }
    Ok(Some(head))
}

fn before(line: &[u8]) -> Option<Place> {
    match Line::parse(line)? {
        Line::End(place) => Some(place),
        _ => None,
    }
}

/// How far a stream was, if it is of a host that is still in ring.toml.
fn journaled(line: &[u8], ring: &Ring) -> Option<(StreamName, u64)> {
    match Line::parse(line)? {
        Line::Stream(line) => Some((StreamName::parse(line.name, ring).ok()?, line.journaled)),
        _ => None,
    }
}
