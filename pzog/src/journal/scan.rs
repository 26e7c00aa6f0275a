//! A segment read after a crash: which frames are there, which are lost, and where it ends.
//!
//! What a crash leaves behind the last sync is any mixture of what was written and what was there before, so there
//! the first bad frame ends the segment, whatever comes behind it. What had been synced has to be there. A segment
//! proves this itself: each frame tells up to where a sync had ended when it was written. And a segment is *sealed*
//! once a sync has ended after its successor was begun: the successor's head tells its end, and any frame of the
//! successor whose `synced` is not 0 proves that sync. The head alone proves nothing: a crash may leave it, and not
//! the end of the segment before; then that one is cut, and what its successors hold is behind the cut.

use super::frame::{self, Frame, HEADER_BYTES, MAGIC};
use crate::event::Span;
use alloc::vec::Vec;
use memchr::memmem;

/// What a segment holds.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Scanned {
    /// All that can be read, ascending, before `end`.
    pub frames: Vec<Frame>,
    /// What had been synced and cannot be read: offsets in the segment, ascending, before `end`.
    pub damaged: Vec<Span>,
    /// Where the segment ends: behind it nothing counts.
    pub end: u32,
    /// So many bytes behind the end look like frames, cut off by a crash or behind one that was.
    pub torn: Option<u32>,
}

/// Reads a whole segment. `bytes` begin at its offset 0 and may be fewer than it has had, as after a truncation;
/// fewer than 4 GiB. `sealed` is its end, if a later segment tells and proves it.
pub(crate) fn scan(segment: u64, bytes: &[u8], sealed: Option<u32>) -> Scanned {
    match sealed {
        Some(end) => scan_sealed(segment, bytes, end),
        None => scan_last(segment, bytes),
    }
}

fn scan_sealed(segment: u64, bytes: &[u8], end: u32) -> Scanned {
    let bytes = &bytes[..bytes.len().min(end as usize)];
    let Readable { frames, mut gaps, end: read } = readable(segment, bytes);
    if read < end {
        gaps.push(Span { start: read, end });
    }
    Scanned { frames, damaged: gaps, end, torn: None }
}

fn scan_last(segment: u64, bytes: &[u8]) -> Scanned {
    let Readable { mut frames, gaps, mut end } = readable(segment, bytes);
    let synced = frames.iter().map(|frame| frame.synced).max().unwrap_or_default();
    if let Some(gap) = gaps.iter().find(|gap| gap.end > synced && !planted!(TailKept)) {
        end = gap.start.max(synced);
    }
    let dropped = frames.last().filter(|last| last.offset >= end).map(|last| last.payload.end - end);
    let torn = dropped.or_else(|| frame::cut_off(segment, bytes, end as usize));
    frames.truncate(frames.partition_point(|frame| frame.offset < end));
    let damaged = gaps.into_iter().filter(|gap| gap.start < end);
    let damaged = damaged.map(|gap| Span { end: gap.end.min(end), ..gap }).collect();
    Scanned { frames, damaged, end, torn }
}

/// The valid frames of some bytes and what is between them.
struct Readable {
    frames: Vec<Frame>,
    gaps: Vec<Span>,
    /// The end of the last frame.
    end: u32,
}

fn readable(segment: u64, bytes: &[u8]) -> Readable {
    let mut found = Readable { frames: Vec::new(), gaps: Vec::new(), end: 0 };
    while let Some(frame) = next(segment, bytes, found.end as usize) {
        if frame.offset > found.end {
            found.gaps.push(Span { start: found.end, end: frame.offset });
        }
        found.end = frame.payload.end;
        found.frames.push(frame);
    }
    found
}

/// The first valid frame at `from` or behind it.
///
/// No payload holds the magic, so whatever has another one inside is no frame: that is seen without looking at its
/// check. So it takes no longer than to read the bytes a few times, whatever they are.
fn next(segment: u64, bytes: &[u8], from: usize) -> Option<Frame> {
    let finder = memmem::Finder::new(&MAGIC);
    let find = |from: usize| finder.find(bytes.get(from..)?).map(|distance| from + distance);
    let mut at = find(from)?;
    loop {
        let end = find(at + HEADER_BYTES).unwrap_or(bytes.len());
        if let Ok(frame) = frame::read(segment, 0, &bytes[..end], at) {
            return Some(frame);
        }
        at = find(at + 1)?;
    }
}

#[cfg(test)]
mod tests;
