//! Segments after a power loss, and with rotten bits: what is read is what was written, up to what is told.

#[expect(dead_code, reason = "tests/journal needs more of it")]
#[path = "../../tests/journal/disk.rs"]
mod disk;

use super::frame::{Frame, HEADER_BYTES, header, read};
use super::scan::{Scanned, scan};
use crate::event::{Place, Span};
use alloc::vec::Vec;
use disk::{Disk, Event, Files, Write};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use std::vec;

const SEGMENT: u64 = 9;

const BYTES: usize = 4096;

/// As many images of one moment are looked at: all of 12 sectors, each of them old or new.
const IMAGES_MAX: u64 = 1 << 12;

/// What stands in a segment, frame by frame.
#[derive(Default)]
struct Frames {
    /// Where each begins, and its payload.
    frames: Vec<(u32, Vec<u8>)>,
    end: u32,
}

impl Frames {
    /// The next frame of a segment of which all before `synced` is synced.
    fn append(&mut self, segment: u64, synced: u32, payload: Vec<u8>) -> Write {
        let offset = self.end;
        let mut bytes = header(Place { segment, offset }, synced, [&payload[..]].into_iter()).to_vec();
        bytes.extend_from_slice(&payload);
        self.end += bytes.len() as u32;
        self.frames.push((offset, payload));
        Write { file: SEGMENT, offset, bytes }
    }

    /// The number of the frame that this byte is in.
    fn at(&self, offset: u32) -> usize {
        self.frames.partition_point(|frame| frame.0 <= offset) - 1
    }

    fn span(&self, number: usize) -> Span {
        let start_of = |number: usize| self.frames.get(number).map_or(self.end, |frame| frame.0);
        Span { start: start_of(number), end: start_of(number + 1) }
    }

    /// Panics unless what was read are frames as they were written; returns their numbers.
    fn numbers(&self, scanned: &Scanned, bytes: &[u8]) -> Vec<usize> {
        let number = |frame: &Frame| {
            let found = self.frames.binary_search_by_key(&frame.offset, |written| written.0);
            let number = found.expect("frames begin where they were written");
            assert_eq!(bytes[frame.payload.range()], self.frames[number].1, "frame {number}");
            number
        };
        scanned.frames.iter().map(number).collect()
    }
}

fn payload(dice: &mut SmallRng, bytes_max: usize) -> Vec<u8> {
    let length = dice.random_range(0..=bytes_max);
    (0..length).map(|_| dice.random_range(b' '..=b'~')).collect()
}

/// The bytes of a segment that has been another one before.
fn used(dice: &mut SmallRng, bytes: usize) -> Vec<u8> {
    let mut frames = Frames::default();
    let mut used = Vec::new();
    while used.len() < bytes {
        let payload = payload(dice, 600);
        used.extend(frames.append(SEGMENT - 2, 0, payload).bytes);
    }
    used.truncate(bytes);
    used
}

/// Looks at all images of all moments of one segment being written; returns how many.
fn images_of_a_segment(seed: u64) -> u64 {
    let mut dice = SmallRng::seed_from_u64(seed);
    let before = if seed.is_multiple_of(2) { vec![0; BYTES] } else { used(&mut dice, BYTES) };
    let mut disk = Disk::of(Files::from([(SEGMENT, before)]));
    let mut frames = Frames::default();
    let (mut syncing, mut synced) = (None, 0);
    let (mut synced_frames, mut images) = (0, 0);
    loop {
        let event = match syncing {
            None if dice.random_bool(0.3) => {
                syncing = Some((frames.end, frames.frames.len()));
                Event::SyncBegun
            }
            Some((end, count)) if dice.random_bool(0.3) => {
                (syncing, synced, synced_frames) = (None, end, count);
                Event::SyncEnded
            }
            _ => {
                let payload = payload(&mut dice, 700);
                if frames.end as usize + HEADER_BYTES + payload.len() > BYTES {
                    return images;
                }
                Event::Write(frames.append(SEGMENT, synced, payload))
            }
        };
        if let Event::Write(write) = &event {
            let cut = dice.random_range(0..write.bytes.len());
            let remains = disk.lost_power(Some((write, cut)));
            images +=
                remains.each_image(&mut dice, IMAGES_MAX, |files| check_image(files, &frames, synced_frames));
        }
        disk.apply(&event);
        let remains = disk.lost_power(None);
        images +=
            remains.each_image(&mut dice, IMAGES_MAX, |files| check_image(files, &frames, synced_frames));
    }
}

fn check_image(files: &Files, frames: &Frames, synced: usize) {
    let bytes = &files[&SEGMENT];
    let scanned = scan(SEGMENT, bytes, None);
    let numbers = frames.numbers(&scanned, bytes);
    assert!(numbers.len() >= synced, "a synced frame is lost");
    assert!(numbers.iter().copied().eq(0..numbers.len()), "a frame is missing before the end");
    assert_eq!(scanned.damaged, [], "a crash is no damage");
    let end = frames.frames.get(numbers.len()).map_or(frames.end, |frame| frame.0);
    assert_eq!(scanned.end, end);
    let begun = frames.frames.get(numbers.len()).is_some() && bytes[end as usize..].starts_with(b"\xf5zog");
    assert!(scanned.torn.is_some() || !begun || is_former(bytes, end), "a torn frame is not told");
    assert_eq!(scan(SEGMENT, bytes, Some(end)).frames, scanned.frames, "once a successor tells the end");
}

fn is_former(bytes: &[u8], at: u32) -> bool {
    read(SEGMENT - 2, 0, bytes, at as usize).is_ok()
}

#[test]
fn after_a_power_loss_every_synced_frame_is_there_and_no_other_bytes_pass_for_one() {
    let images: u64 = (0..4).map(images_of_a_segment).sum();
    assert!(images > 10_000, "{images}");
}

/// A whole segment, the first half of its frames proved synced.
fn segment(dice: &mut SmallRng) -> (Frames, Vec<u8>, u32) {
    let mut bytes = used(dice, BYTES);
    let mut frames = Frames::default();
    let mut synced = 0;
    while frames.end as usize + HEADER_BYTES + 200 < BYTES {
        let write = frames.append(SEGMENT, synced, payload(dice, 200));
        bytes[write.offset as usize..][..write.bytes.len()].copy_from_slice(&write.bytes);
        if synced == 0 && frames.end as usize > BYTES / 2 {
            synced = frames.end;
        }
    }
    (frames, bytes, synced)
}

#[test]
fn every_rotten_bit_costs_its_frame_alone_or_cuts_the_tail_and_is_told() {
    let (frames, mut bytes, synced) = segment(&mut SmallRng::seed_from_u64(1));
    for bit in 0..BYTES * 8 {
        let at = bit / 8;
        bytes[at] ^= 1 << (bit % 8);
        let bad = if at < frames.end as usize { frames.at(at as u32) } else { frames.frames.len() };
        for sealed in [None, Some(frames.end)] {
            let scanned = scan(SEGMENT, &bytes, sealed);
            let numbers = frames.numbers(&scanned, &bytes);
            let cuts = sealed.is_none() && at as u32 >= synced;
            let all_but_bad =
                (0..frames.frames.len()).filter(|number| *number < bad || *number > bad && !cuts);
            assert!(numbers.into_iter().eq(all_but_bad), "bit {bit}");
            let told = if cuts { scanned.torn.is_some() } else { scanned.damaged == [frames.span(bad)] };
            assert!(told || bad == frames.frames.len(), "bit {bit}");
        }
        bytes[at] ^= 1 << (bit % 8);
    }
}

#[test]
fn every_missing_end_cuts_the_tail_or_is_damage() {
    let (frames, bytes, _) = segment(&mut SmallRng::seed_from_u64(2));
    for length in 0..frames.end {
        let left = &bytes[..length as usize];
        let whole = frames.at(length);
        let scanned = scan(SEGMENT, left, None);
        assert!(frames.numbers(&scanned, left).into_iter().eq(0..whole), "{length}");
        assert_eq!((scanned.damaged, scanned.end), (vec![], frames.frames[whole].0), "{length}");
        assert_eq!(scanned.torn.is_some(), length > scanned.end, "{length}");

        let scanned = scan(SEGMENT, left, Some(frames.end));
        assert!(frames.numbers(&scanned, left).into_iter().eq(0..whole), "{length}");
        let lost = Span { start: frames.frames[whole].0, end: frames.end };
        assert_eq!((scanned.damaged, scanned.end), (vec![lost], frames.end), "{length}");
    }
}
