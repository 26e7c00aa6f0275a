//! A piece of a segment that was read to be served or searched: its records one after the other, and how damage is
//! passed over.

use super::frame::{self, BadFrame, Frame, MAGIC};
use crate::event::Place;
use memchr::memmem;

/// What stands at a place of a piece.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// A record. The next one is looked for where its payload ends.
    Record(Frame),
    /// Something that cannot be read, up to where the next record may begin.
    Damage {
        /// Bytes from the beginning of the piece.
        upto: usize,
    },
    /// The piece ends before the record does.
    Cut {
        /// So many bytes from its beginning would do, or at least tell more.
        needs: u32,
    },
}

/// What stands `at` bytes behind the beginning of a piece that was read at `base`. `may_grow` says that more of the
/// segment can be read from there.
pub(crate) fn find(base: Place, bytes: &[u8], at: usize, may_grow: bool) -> Found {
    match frame::read(base.segment, base.offset, bytes, at) {
        Ok(frame) => Found::Record(frame),
        Err(BadFrame::Incomplete { needs }) if at > 0 || may_grow => Found::Cut { needs },
        Err(_) => Found::Damage { upto: next_magic(bytes, at + 1) },
    }
}

/// Where the next record may begin, at this byte or behind it; its first bytes may be the last of the piece.
fn next_magic(bytes: &[u8], from: usize) -> usize {
    let found = bytes.get(from..).and_then(|rest| memmem::find(rest, &MAGIC));
    let or_cut = bytes.len().saturating_sub(MAGIC.len() - 1);
    found.map_or(or_cut.max(from), |distance| from + distance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::frame::{HEADER_BYTES, header};
    use alloc::vec::Vec;

    const PAYLOAD: &[u8] = b"0MV/00000000000000a1.1 20261121T025142Z hello\r\n";
    const FRAME: usize = HEADER_BYTES + PAYLOAD.len();

    /// Three records, of which the second is read at a place that is not the segment's beginning.
    fn piece() -> (Place, Vec<u8>) {
        let base = Place { segment: 7, offset: 4096 };
        let mut bytes = Vec::new();
        for number in 0..3 {
            let offset = base.offset + number * FRAME as u32;
            bytes.extend_from_slice(&header(Place { offset, ..base }, 0, [PAYLOAD].into_iter()));
            bytes.extend_from_slice(PAYLOAD);
        }
        (base, bytes)
    }

    /// Where records are found, and where damage ends.
    fn walk(base: Place, bytes: &[u8]) -> (Vec<usize>, Vec<usize>) {
        let (mut records, mut damage, mut at) = (Vec::new(), Vec::new(), 0);
        while at < bytes.len() {
            match find(base, bytes, at, false) {
                Found::Record(frame) => {
                    records.push(at);
                    at = frame.payload.end as usize;
                }
                Found::Damage { upto } => {
                    assert!(upto > at, "it gets on");
                    damage.push(upto);
                    at = upto;
                }
                Found::Cut { .. } => break,
            }
        }
        (records, damage)
    }

    #[test]
    fn whatever_bit_rots_costs_its_record_alone() {
        let (base, mut bytes) = piece();
        assert_eq!(walk(base, &bytes).0, [0, FRAME, 2 * FRAME]);
        for bit in 0..2 * FRAME * 8 {
            let (at, rotten) = (bit / 8, usize::from(bit / 8 >= FRAME));
            bytes[at] ^= 1 << (bit % 8);
            let (records, damage) = walk(base, &bytes);
            // A length that reaches beyond the piece is asked for again from there, and is damage then.
            let is_cut = damage.is_empty();
            assert!(
                is_cut && rotten == 1
                    || records
                        == [0, FRAME, 2 * FRAME]
                            .map(|at| at)
                            .into_iter()
                            .enumerate()
                            .filter(|(n, _)| *n != rotten)
                            .map(|(_, at)| at)
                            .collect::<Vec<_>>(),
                "bit {bit}"
            );
            bytes[at] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_record_that_the_piece_cuts_is_read_again_and_one_without_an_end_is_damage() {
        let (base, bytes) = piece();
        let cut = &bytes[..2 * FRAME + 20];
        assert_eq!(find(base, cut, 2 * FRAME, false), Found::Cut { needs: FRAME as u32 });
        let whole = &bytes[..20];
        assert_eq!(find(base, whole, 0, true), Found::Cut { needs: FRAME as u32 });
        assert_eq!(find(base, whole, 0, false), Found::Damage { upto: 17 });
    }

    #[test]
    fn a_magic_at_the_end_of_a_piece_is_read_again() {
        let (base, bytes) = piece();
        for kept in 1..4 {
            let cut = &bytes[1..FRAME + kept];
            let Found::Damage { upto } = find(base, cut, 0, false) else { panic!("it is damaged") };
            assert!(upto < FRAME, "{kept}");
        }
    }
}
