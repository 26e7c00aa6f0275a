//! Which segments a start reads whole, and what the heads of the others say.
//!
//! Each segment begins with a snapshot of all that is known, so of most it is enough to read the head: it tells how
//! far every stream was, and where the segment before ended. Whole are read the newest ones,
//!
//! - back to the place of the last mark, since access.log may lack what stands behind it;
//! - back to a segment that proves that all before it is on the disk: a crash can have cut off nothing there;
//! - at least [`WHOLE_MIN`], so that repeats within sessions are still told from conflicts.
//!
//! Older ones are passed over only while each head names the segment before it. Where one does not, since it rots or
//! a file is missing, everything is read. What rots behind a head that was read is found when it is served.

use super::frame::{self, BadFrame};
use super::record::{Line, lines};
use super::recovery::JournalError;
use super::scan::scan;
use crate::event::Place;
use crate::ring::{HostIndex, Ring};
use crate::wire::StreamName;
use alloc::string::{String, ToString};
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

impl<Read> Survey<'_, Read> {
    /// The heads of the oldest segments, which need not be read whole, and then that of the first one which has to
    /// be. None if all have to be.
    pub(super) fn heads<E>(&mut self) -> Result<Vec<Head>, E>
    where
        Read: FnMut(u64, u32, &mut Vec<u8>) -> Result<u32, E>,
        E: From<JournalError>,
    {
        let Some((proof, mark)) = self.newest_proof()? else { return Ok(Vec::new()) };
        let marked = self.segments.partition_point(|number| *number <= mark.segment).saturating_sub(1);
        let marked = if planted!(MarkPassedOver) { proof } else { marked };
        let first_whole = marked.min(proof).min(self.segments.len().saturating_sub(WHOLE_MIN));
        if first_whole == 0 {
            return Ok(Vec::new());
        }
        let mut heads = Vec::new();
        for at in (0..=proof).rev() {
            let Some(head) = self.head(self.segments[at])? else { return Ok(Vec::new()) };
            let named = head.before.map(|before| before.segment);
            if at > 0 && named != Some(self.segments[at - 1]) {
                return Ok(Vec::new());
            }
            if at <= first_whole {
                heads.push(head);
            }
        }
        heads.reverse();
        Ok(heads)
    }

    /// The newest segment that proves a sync since it was begun and tells how far access.log is certain: its place
    /// among the segments, and that mark.
    fn newest_proof<E>(&mut self) -> Result<Option<(usize, Place)>, E>
    where
        Read: FnMut(u64, u32, &mut Vec<u8>) -> Result<u32, E>,
    {
        let mut bytes = Vec::new();
        for (at, number) in self.segments.iter().enumerate().rev() {
            (self.read)(*number, u32::MAX, &mut bytes)?;
            if let Some(mark) = proved_mark(*number, &bytes) {
                return Ok(Some((at, mark)));
            }
        }
        Ok(None)
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

/// The last mark that a segment tells, if it proves that a sync has ended since it was begun.
fn proved_mark(segment: u64, bytes: &[u8]) -> Option<Place> {
    let frames = scan(segment, bytes, None).frames;
    let mark = |line: &[u8]| match Line::parse(line) {
        Some(Line::Mark(mark)) => Some(mark.place),
        _ => None,
    };
    let is_proof = frames.iter().any(|frame| frame.synced > 0);
    let mut newest_first = frames.iter().rev().filter(|_| is_proof);
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
    let Some(Line::Head { host, running_seconds, .. }) = lines.next().and_then(Line::parse) else {
        return Ok(None);
    };
    check_host(segment, host, ring, me)?;
    let mut head = Head { segment, size, running_seconds, before: None, journaled: Vec::new() };
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

/// A journal says whose it is.
pub(super) fn check_host(segment: u64, host: &[u8], ring: &Ring, me: HostIndex) -> Result<(), JournalError> {
    if host == ring.name(me).as_bytes() {
        return Ok(());
    }
    let host: String = String::from_utf8_lossy(host).to_string();
    Err(JournalError::OtherHost { segment, host })
}
