use super::*;
use crate::event::Place;
use crate::journal::frame::header;
use alloc::vec;

const SEGMENT: u64 = 12;
const BYTES: usize = 2048;

/// A segment as it is written.
struct Writer {
    bytes: Vec<u8>,
    /// Where each frame begins, and where the next would.
    places: Vec<u32>,
    synced: u32,
}

impl Writer {
    fn on(bytes: Vec<u8>) -> Self {
        Self { bytes, places: vec![0], synced: 0 }
    }

    fn new() -> Self {
        Self::on(vec![0; BYTES])
    }

    fn end(&self) -> u32 {
        self.places[self.places.len() - 1]
    }

    fn append(mut self, segment: u64, payload: &[u8]) -> Self {
        let offset = self.end();
        let header = header(Place { segment, offset }, self.synced, [payload].into_iter());
        let start = offset as usize;
        self.bytes[start..start + HEADER_BYTES].copy_from_slice(&header);
        self.bytes[start + HEADER_BYTES..][..payload.len()].copy_from_slice(payload);
        self.places.push(offset + (HEADER_BYTES + payload.len()) as u32);
        self
    }

    fn sync(mut self) -> Self {
        self.synced = self.end();
        self
    }

    /// Four frames of different length; the first two are proved synced by the third and fourth.
    fn four() -> Self {
        let writer = Self::new().append(SEGMENT, b"H one\r\n").append(SEGMENT, b"0 the second\r\n").sync();
        writer.append(SEGMENT, b"0 the third one\r\n").append(SEGMENT, b"0 four\r\n")
    }

    fn rotten(mut self, frame: usize) -> Self {
        self.bytes[self.places[frame] as usize + HEADER_BYTES] ^= 1;
        self
    }

    fn span(&self, from: usize, to: usize) -> Span {
        Span { start: self.places[from], end: self.places[to] }
    }

    fn scan(&self) -> Scanned {
        scan(SEGMENT, &self.bytes, None)
    }

    fn scan_sealed(&self) -> Scanned {
        scan(SEGMENT, &self.bytes, Some(self.end()))
    }
}

fn offsets(scanned: &Scanned) -> Vec<u32> {
    scanned.frames.iter().map(|frame| frame.offset).collect()
}

#[test]
fn all_frames_of_a_whole_segment_are_read() {
    let writer = Writer::four();
    for scanned in [writer.scan(), writer.scan_sealed()] {
        assert_eq!(offsets(&scanned), writer.places[..4]);
        assert_eq!((scanned.damaged, scanned.end, scanned.torn), (vec![], writer.end(), None));
    }
}

#[test]
fn nothing_is_read_from_zeros_or_nothing() {
    for bytes in [&[][..], &[0; BYTES]] {
        let nothing = Scanned { frames: vec![], damaged: vec![], end: 0, torn: None };
        assert_eq!(scan(SEGMENT, bytes, None), nothing);
    }
}

#[test]
fn every_torn_end_cuts_the_tail_at_the_last_whole_frame() {
    let writer = Writer::four();
    for length in 0..=writer.bytes.len() {
        let whole = writer.places.iter().filter(|place| **place as usize <= length).count() - 1;
        let end = writer.places[whole];
        let torn = (length as u32).min(writer.end()) - end;
        let mut zeroed = writer.bytes[..length].to_vec();
        let scanned = scan(SEGMENT, &zeroed, None);
        assert_eq!(offsets(&scanned), writer.places[..whole], "{length}");
        assert_eq!((&scanned.damaged, scanned.end), (&vec![], end), "{length}");
        assert_eq!(scanned.torn, (torn > 0).then_some(torn), "{length}");

        zeroed.resize(BYTES, 0);
        let scanned = scan(SEGMENT, &zeroed, None);
        assert_eq!(offsets(&scanned), writer.places[..whole], "{length}");
        assert_eq!((scanned.damaged, scanned.end), (vec![], end), "{length}");
    }
}

#[test]
fn a_bad_frame_that_no_later_one_proves_synced_cuts_the_tail() {
    let writer = Writer::four().rotten(2);
    let scanned = writer.scan();
    assert_eq!(offsets(&scanned), writer.places[..2]);
    let torn = Some(writer.end() - writer.places[2]);
    assert_eq!((scanned.damaged, scanned.end, scanned.torn), (vec![], writer.places[2], torn));
}

#[test]
fn a_bad_frame_that_any_later_one_proves_synced_is_damage() {
    for bad in [0, 1] {
        let writer = Writer::four().rotten(bad);
        let scanned = writer.scan();
        assert_eq!(scanned.damaged, [writer.span(bad, bad + 1)]);
        assert_eq!((scanned.frames.len(), scanned.end, scanned.torn), (3, writer.end(), None));
    }
    let both = Writer::four().rotten(0).rotten(1);
    assert_eq!(both.scan().damaged, [both.span(0, 2)]);
    let first_and_third = Writer::four().rotten(0).rotten(2);
    let scanned = first_and_third.scan();
    assert_eq!(scanned.damaged, [first_and_third.span(0, 1)], "the fourth proves the first");
    assert_eq!(
        (offsets(&scanned), scanned.end),
        (vec![first_and_third.places[1]], first_and_third.places[2])
    );
}

#[test]
fn a_bad_stretch_is_damage_up_to_where_it_was_synced_and_cut_there() {
    let writer = Writer::four().rotten(1).rotten(2);
    let scanned = writer.scan();
    assert_eq!((offsets(&scanned), &scanned.damaged), (vec![0], &vec![writer.span(1, 2)]));
    assert_eq!(scanned.end, writer.places[2]);
}

#[test]
fn in_a_sealed_segment_all_that_is_bad_is_damage() {
    for bad in 0..4 {
        let writer = Writer::four().rotten(bad);
        let scanned = writer.scan_sealed();
        assert_eq!(scanned.damaged, [writer.span(bad, bad + 1)]);
        assert_eq!((scanned.frames.len(), scanned.end, scanned.torn), (3, writer.end(), None));
    }
    let writer = Writer::four();
    for length in 0..writer.end() {
        let scanned = scan(SEGMENT, &writer.bytes[..length as usize], Some(writer.end()));
        let whole = writer.places.iter().filter(|place| **place <= length).count() - 1;
        assert_eq!(scanned.frames.len(), whole);
        assert_eq!(scanned.damaged, [writer.span(whole, 4)]);
    }
}

#[test]
fn nothing_behind_a_sealed_end_counts() {
    let writer = Writer::four();
    let scanned = scan(SEGMENT, &writer.bytes, Some(writer.places[2]));
    assert_eq!(offsets(&scanned), writer.places[..2]);
    assert_eq!((scanned.damaged, scanned.end, scanned.torn), (vec![], writer.places[2], None));
}

#[test]
fn frames_of_a_files_former_life_are_neither_read_nor_torn_nor_damage() {
    let former = ["H one\r\n", "0 the second\r\n", "0 the third one\r\n", "0 four\r\n", "0 five\r\n"];
    let former =
        former.iter().fold(Writer::new(), |writer, line| writer.append(SEGMENT - 4, line.as_bytes()));
    let nothing = Scanned { frames: vec![], damaged: vec![], end: 0, torn: None };
    assert_eq!(former.scan(), nothing, "prepared and not yet begun");

    let again = Writer::on(former.bytes.clone()).append(SEGMENT, b"H one\r\n");
    let scanned = again.scan();
    assert_eq!((offsets(&scanned), scanned.end, scanned.torn), (vec![0], again.end(), None), "same places");
    let again = Writer::on(former.bytes).append(SEGMENT, b"H other place\r\n");
    let scanned = again.scan();
    assert_eq!((offsets(&scanned), scanned.end, scanned.torn), (vec![0], again.end(), None), "other places");
}

#[test]
fn would_be_headers_all_over_a_segment_take_no_longer_than_to_read_it() {
    let mut bytes = vec![0; 4 << 20];
    let length = bytes.len() as u32;
    for (at, header) in bytes.chunks_exact_mut(HEADER_BYTES).enumerate() {
        header[..4].copy_from_slice(&MAGIC);
        header[4..8].copy_from_slice(&(length - (at as u32 + 1) * HEADER_BYTES as u32).to_le_bytes());
    }
    // A check of each would read 500 GiB.
    assert!(scan(SEGMENT, &bytes, None).frames.is_empty());
}
