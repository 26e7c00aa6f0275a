//! One frame of a segment: a header of 16 bytes, then the payload.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | magic `F5 7A 6F 67`; `F5` occurs in no UTF-8, so in no payload |
//! | 4 | length of the payload in bytes |
//! | 4 | *synced*: up to this offset of the segment a sync had ended when the frame was written |
//! | 4 | CRC-32 over segment (8 bytes), offset (4), length, synced, and payload |
//!
//! All numbers little-endian.

use crate::event::{Place, Span};
use crc32fast::Hasher;

/// What begins every frame.
pub(super) const MAGIC: [u8; 4] = *b"\xf5zog";

/// The bytes of a frame before its payload.
pub const HEADER_BYTES: usize = 16;

/// A frame that was read and checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// Where its header begins, in bytes from the beginning of the segment.
    pub offset: u32,
    /// Up to this offset of the segment a sync had ended when it was written; never beyond its own.
    pub synced: u32,
    /// Its payload within the bytes that were given; the next frame begins where it ends.
    pub payload: Span,
}

/// Why there is no frame at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadFrame {
    /// Nothing there begins like a frame: zeros, or something from the middle of a file's former life.
    None,
    /// The bytes given end before the frame does.
    Incomplete {
        /// So many bytes from its beginning would do, or at least tell more.
        needs: u32,
    },
    /// It begins like a frame, but its check fails: torn, rotten, or written for another place.
    Damaged,
}

/// The header of a frame at this place, by the check of its segment, whose payload is these parts, one behind the other;
/// together they have to end within a segment, so within 4 GiB.
pub(crate) fn header_by<'a>(
    check: &Check,
    at: Place,
    synced: u32,
    parts: impl Iterator<Item = &'a [u8]> + Clone,
) -> [u8; HEADER_BYTES] {
    let length = parts.clone().map(|part| part.len() as u32).sum();
    let mut hasher = check.0.clone();
    hasher.update(&place_in_segment(at.offset, length, synced));
    parts.for_each(|part| hasher.update(part));

    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..12].copy_from_slice(&synced.to_le_bytes());
    header[12..].copy_from_slice(&hasher.finalize().to_le_bytes());
    header
}

/// The same, for a frame or two.
#[cfg(test)]
pub(crate) fn header<'a>(
    at: Place,
    synced: u32,
    parts: impl Iterator<Item = &'a [u8]> + Clone,
) -> [u8; HEADER_BYTES] {
    header_by(&Check::of(at.segment), at, synced, parts)
}

/// The check of the frames of one segment, as it begins: finding out how the processor can do it takes as long as a message.
#[derive(Clone, Debug)]
pub(crate) struct Check(Hasher);

impl Check {
    pub(crate) fn of(segment: u64) -> Check {
        Check(hasher_of(segment))
    }
}

/// Reads the frame that begins at `at` of `bytes`, whose first is at the offset `base` of the segment.
pub(crate) fn read(segment: u64, base: u32, bytes: &[u8], at: usize) -> Result<Frame, BadFrame> {
    if !begins_like_a_frame(bytes, at) {
        return Err(BadFrame::None);
    }
    let whole = Unchecked::read(base, bytes, at)?;
    if whole.is_of(segment, bytes) { Ok(whole.frame) } else { Err(BadFrame::Damaged) }
}

/// How many of the bytes at `at`, from there to the end of the segment, look like a frame that a crash has cut off.
/// None if there is nothing that looks like one, or a whole one from when the file was an earlier segment.
pub(super) fn cut_off(segment: u64, bytes: &[u8], at: usize) -> Option<u32> {
    let begins = begins_like_a_frame(bytes, at);
    match Unchecked::read(0, bytes, at) {
        Err(_) => begins.then_some((bytes.len() - at) as u32),
        Ok(whole) => {
            let ours =
                if begins { !whole.is_of_former_life(segment, bytes) } else { whole.is_of(segment, bytes) };
            ours.then_some(whole.frame.payload.end - at as u32)
        }
    }
}

fn begins_like_a_frame(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    let begun = rest.len().min(MAGIC.len());
    begun > 0 && rest[..begun] == MAGIC[..begun]
}

/// So many numbers back a file that is used again is looked for: enough for any journal, and few enough that a torn
/// frame hardly passes for one by chance (1 in a million).
const FORMER_LIVES_MAX: usize = 4096;

/// A frame that is there as a whole, its magic and its check not yet looked at.
struct Unchecked {
    frame: Frame,
    check: u32,
}

impl Unchecked {
    fn read(base: u32, bytes: &[u8], at: usize) -> Result<Self, BadFrame> {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return Err(BadFrame::Incomplete { needs: HEADER_BYTES as u32 });
        };
        let [_, length, synced, check] = words(header);
        let offset = base + at as u32;
        let needs = length.checked_add(HEADER_BYTES as u32).ok_or(BadFrame::Damaged)?;
        if synced > offset || offset.checked_add(needs).is_none() {
            return Err(BadFrame::Damaged);
        }
        if behind.len() < length as usize {
            return Err(BadFrame::Incomplete { needs });
        }
        let start = (at + HEADER_BYTES) as u32;
        let frame = Frame { offset, synced, payload: Span { start, end: start + length } };
        Ok(Self { frame, check })
    }

    fn is_of(&self, segment: u64, bytes: &[u8]) -> bool {
        let mut hasher = hasher_of(segment);
        self.hash(bytes, &mut hasher);
        hasher.finalize() == self.check || planted!(CheckIgnored)
    }

    fn is_of_former_life(&self, segment: u64, bytes: &[u8]) -> bool {
        let mut rest = Hasher::new();
        self.hash(bytes, &mut rest);
        (0..segment).rev().take(FORMER_LIVES_MAX).any(|former| {
            let mut hasher = hasher_of(former);
            hasher.combine(&rest);
            hasher.finalize() == self.check
        })
    }

    /// All that its check covers but the segment, which comes before it.
    fn hash(&self, bytes: &[u8], hasher: &mut Hasher) {
        let Frame { offset, synced, payload } = self.frame;
        hasher.update(&place_in_segment(offset, payload.end - payload.start, synced));
        hasher.update(&bytes[payload.range()]);
    }
}

/// What has seen the first of what a check covers.
fn hasher_of(segment: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher
}

/// What the check covers between segment and payload.
fn place_in_segment(offset: u32, length: u32, synced: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&offset.to_le_bytes());
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes[8..].copy_from_slice(&synced.to_le_bytes());
    bytes
}

/// The four numbers of a header.
fn words(header: &[u8; HEADER_BYTES]) -> [u32; 4] {
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    [word(0), word(4), word(8), word(12)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    const PAYLOAD: &[u8] = b"0MV/00000000000000a1.1 20261121T025142Z hello\r\n";

    fn written(at: Place, synced: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = header(at, synced, [payload].into_iter()).to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn a_frame_is_read_as_it_was_written_in_any_parts_from_any_base() {
        let at = Place { segment: 7, offset: 1000 };
        let bytes = written(at, 900, PAYLOAD);
        let parts = [&PAYLOAD[..3], &[], &PAYLOAD[3..]];
        assert_eq!(header(at, 900, parts.into_iter()), bytes[..HEADER_BYTES]);

        for (base, before) in [(1000, 0), (990, 10), (0, 1000)] {
            let mut all = vec![0; before];
            all.extend_from_slice(&bytes);
            let frame = read(7, base, &all, before).unwrap();
            assert_eq!((frame.offset, frame.synced), (1000, 900));
            assert_eq!(&all[frame.payload.range()], PAYLOAD);
            assert_eq!(frame.payload.end as usize, all.len());
        }
    }

    #[test]
    fn an_empty_payload_is_one() {
        let bytes = written(Place::default(), 0, b"");
        let payload = Span { start: 16, end: 16 };
        assert_eq!(read(0, 0, &bytes, 0), Ok(Frame { offset: 0, synced: 0, payload }));
    }

    #[test]
    fn the_bytes_are_as_documented() {
        let bytes = written(Place { segment: 1, offset: 0x0102 }, 0x0101, b"M\r\n");
        let covered = b"\x01\0\0\0\0\0\0\0\x02\x01\0\0\x03\0\0\0\x01\x01\0\0M\r\n";
        let mut expected = b"\xf5zog\x03\0\0\0\x01\x01\0\0".to_vec();
        expected.extend_from_slice(&crc32fast::hash(covered).to_le_bytes());
        expected.extend_from_slice(b"M\r\n");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_frame_counts_only_where_it_was_written() {
        let bytes = written(Place { segment: 7, offset: 4096 }, 0, PAYLOAD);
        assert!(read(7, 4096, &bytes, 0).is_ok());
        for (segment, base) in [(6, 4096), (8, 4096), (7 + (1 << 32), 4096), (7, 0), (7, 4095), (7, 8192)] {
            assert_eq!(read(segment, base, &bytes, 0), Err(BadFrame::Damaged), "{segment} {base}");
        }
    }

    #[test]
    fn every_bit_is_checked() {
        let bytes = written(Place { segment: 7, offset: 64 }, 32, PAYLOAD);
        for bit in 0..bytes.len() * 8 {
            let mut rotten = bytes.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert!(read(7, 64, &rotten, 0).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_missing_end_is_incomplete_and_tells_what_it_needs() {
        let bytes = written(Place::default(), 0, PAYLOAD);
        for length in 1..bytes.len() {
            let needs = if length < HEADER_BYTES { HEADER_BYTES } else { bytes.len() } as u32;
            assert_eq!(read(0, 0, &bytes[..length], 0), Err(BadFrame::Incomplete { needs }), "{length}");
        }
        assert_eq!(read(0, 0, &[], 0), Err(BadFrame::None));
        assert_eq!(read(0, 0, &bytes, bytes.len() + 1), Err(BadFrame::None));
        assert_eq!(read(0, 0, &[0; 512], 0), Err(BadFrame::None));
    }

    #[test]
    fn a_length_or_sync_that_cannot_be_is_damage() {
        let mut huge = written(Place::default(), 0, PAYLOAD);
        huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(0, 0, &huge, 0), Err(BadFrame::Damaged));
        let late = u32::MAX - HEADER_BYTES as u32;
        let behind_the_end = written(Place { segment: 0, offset: late }, 0, PAYLOAD);
        assert_eq!(read(0, late, &behind_the_end, 0), Err(BadFrame::Damaged));
        let synced_beyond_itself = written(Place { segment: 0, offset: 64 }, 65, PAYLOAD);
        assert_eq!(read(0, 64, &synced_beyond_itself, 0), Err(BadFrame::Damaged));
    }

    #[test]
    fn what_is_cut_off_is_told_from_what_was_there_before() {
        let mut torn = written(Place { segment: 900, offset: 0 }, 0, PAYLOAD);
        let end = torn.len() as u32;
        assert_eq!(cut_off(901, &torn, 0), None, "the frame of a former life");
        torn.extend_from_slice(&[0; 100]);
        torn[0] = 0;
        assert_eq!(cut_off(900, &torn, 0), Some(end), "a magic that rots");
        assert_eq!(cut_off(901, &torn, 0), None);
        torn[0] = MAGIC[0];
        torn[40] = 0;
        assert_eq!(cut_off(900, &torn, 0), Some(end));
        assert_eq!(cut_off(901, &torn, 0), Some(end));
        assert_eq!(cut_off(900, &torn[..50], 0), Some(50), "a file that is shorter than it was");
        assert_eq!(cut_off(900, &torn[..2], 0), Some(2));
        assert_eq!(cut_off(900, &[0; 100], 0), None);
    }
}
