//! The disk of a host: the segments of its journal and the files of its access.log, as processes see them and as
//! they are after a loss of power.
//!
//! What was written and not synced survives a loss of power by sectors of 512 bytes, each by itself: as it was at
//! any time since the last sync, torn in the middle, or in place of another one. What was synced stays.

use crate::dice::Die;
use pzog::{LogFile, Place};
use std::collections::BTreeMap;

const SECTOR: usize = 512;

/// Cut segments that are kept to be used again.
const SPARES_MAX: usize = 4;

/// One segment of the journal.
#[derive(Clone, Default)]
pub(crate) struct Segment {
    pub(crate) bytes: Vec<u8>,
    /// As it is on the platter.
    durable: Vec<u8>,
    /// Where each write since the last sync ended.
    writes: Vec<usize>,
    synced: usize,
    written: usize,
    /// How far it was ever written.
    used: usize,
}

impl Segment {
    fn new(bytes: Vec<u8>) -> Segment {
        Segment { durable: bytes.clone(), bytes, ..Segment::default() }
    }

    fn sync(&mut self, upto: usize) {
        if upto > self.synced {
            self.durable[self.synced..upto].copy_from_slice(&self.bytes[self.synced..upto]);
            self.synced = upto;
            self.writes.retain(|end| *end > upto);
        }
    }

    fn sync_all(&mut self) {
        self.durable.clone_from(&self.bytes);
        self.end();
    }

    /// Nothing more is written to it.
    fn end(&mut self) {
        (self.synced, self.written) = (0, 0);
        self.writes.clear();
    }

    fn lose_power(&mut self, die: &mut Die) {
        let (from, to) = (self.synced, self.written);
        if from < to {
            // All, nothing, or any of it.
            let kept = [1.0, 0.0, 0.5, 0.9][die.below(4)];
            for sector in from / SECTOR..=(to - 1) / SECTOR {
                self.lose_sector(sector, kept, die);
            }
        }
        self.bytes.clone_from(&self.durable);
        self.sync_all();
    }

    fn lose_sector(&mut self, sector: usize, kept: f64, die: &mut Die) {
        let start = (sector * SECTOR).max(self.synced);
        let sector_end = ((sector + 1) * SECTOR).min(self.written);
        if !die.chance(kept) {
            return;
        }
        let mut end = sector_end;
        if die.chance(0.3) {
            // As it was after one of the writes that touched it.
            let ends: Vec<usize> = self.writes.iter().copied().filter(|e| (start..end).contains(e)).collect();
            end = die.one_of(&ends).unwrap_or(end);
        }
        if die.chance(0.05) {
            end = start + die.below(end - start + 1);
        }
        if die.chance(0.01) {
            // Another sector of the same write came here.
            let from = self.synced + die.below(self.written - self.synced);
            let count = (end - start).min(self.written - from);
            self.durable[start..start + count].copy_from_slice(&self.bytes[from..from + count]);
            return;
        }
        self.durable[start..end].copy_from_slice(&self.bytes[start..end]);
    }
}

/// A file that access.log is or was.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) inode: u64,
    pub(crate) bytes: Vec<u8>,
    synced: usize,
    /// It is called access.log.
    pub(crate) is_named: bool,
}

impl Log {
    pub(crate) fn sync(&mut self, upto: usize) {
        self.synced = self.synced.max(upto);
    }

    pub(crate) fn truncate(&mut self, bytes: usize) {
        self.bytes.truncate(bytes);
        self.synced = self.synced.min(bytes);
    }

    fn lose_power(&mut self, die: &mut Die) {
        let kept = self.synced + die.below(self.bytes.len() - self.synced + 1);
        self.bytes.truncate(if die.chance(0.2) { self.synced } else { kept });
        let mut at = self.synced;
        while at < self.bytes.len() {
            let end = ((at / SECTOR + 1) * SECTOR).min(self.bytes.len());
            if die.chance(0.3) {
                self.bytes[at..end].fill(0);
            }
            at = end;
        }
        self.synced = self.bytes.len();
    }
}

/// All that lasts on one host.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// Bytes of released segments, to be written over.
    spares: Vec<Vec<u8>>,
    /// Unlinked, and the directory was not synced since.
    unlinked: Vec<(u64, Segment)>,
    /// In the order in which they were begun.
    pub(crate) logs: Vec<Log>,
    /// A rename that is not in the directory on the platter: it was called access.log before.
    renamed: Option<u64>,
    inodes: u64,
    /// The first segment of this life: syncs cover no earlier one.
    first: u64,
}

impl Disk {
    /// Writes into a segment; how many bytes were written before something was in the way.
    pub(crate) fn append(&mut self, at: Place, bytes: &[u8]) -> Result<(), String> {
        let segment = self.segments.get_mut(&at.segment).ok_or("appends to a segment that is not there")?;
        let (start, end) = (at.offset as usize, at.offset as usize + bytes.len());
        let place = segment.bytes.get_mut(start..end).ok_or("appends beyond the end of a segment")?;
        if start != segment.written {
            return Err(format!("appends at {start} of a segment that ends at {}", segment.written));
        }
        place.copy_from_slice(bytes);
        (segment.written, segment.used) = (end, end);
        segment.writes.push(end);
        Ok(())
    }

    /// Where the last segment ends: what a sync that begins now covers.
    pub(crate) fn end(&self) -> (u64, u32) {
        let last = self.segments.iter().rev().find(|(_, s)| s.written > 0);
        last.map_or((0, 0), |(number, segment)| (*number, segment.written as u32))
    }

    /// A sync has ended that began when the journal ended there.
    pub(crate) fn sync(&mut self, end: (u64, u32)) {
        let first = self.first.min(end.0);
        for (number, segment) in self.segments.range_mut(first..=end.0) {
            let upto = if *number == end.0 { end.1 as usize } else { segment.written };
            segment.sync(upto);
        }
    }

    /// Makes a segment: file, room and directory entry are on the disk then.
    pub(crate) fn prepare(&mut self, number: u64, bytes: u32, die: &mut Die) {
        let spare = self.spares.iter().position(|s| s.len() == bytes as usize && die.chance(0.8));
        let bytes = spare.map_or_else(|| vec![0; bytes as usize], |at| self.spares.swap_remove(at));
        self.segments.insert(number, Segment::new(bytes));
        self.sync_directory();
    }

    pub(crate) fn release(&mut self, number: u64, die: &mut Die) -> bool {
        let Some(segment) = self.segments.remove(&number) else { return false };
        if self.spares.len() < SPARES_MAX && die.chance(0.7) {
            self.spares.push(segment.bytes);
            self.sync_directory();
        } else {
            self.unlinked.push((number, segment));
        }
        true
    }

    fn sync_directory(&mut self) {
        self.unlinked.clear();
        self.renamed = None;
    }

    /// What stands there: fewer bytes than asked for where the segment ends, none where it is not there.
    pub(crate) fn read(&self, at: Place, bytes: u32) -> &[u8] {
        let segment = self.segments.get(&at.segment).map(|s| &s.bytes);
        let start = at.offset as usize;
        segment.and_then(|s| s.get(start..(start + bytes as usize).min(s.len()))).unwrap_or_default()
    }

    /// The first bytes of a segment's file; returns its size.
    pub(crate) fn read_segment(&self, number: u64, most: u32, into: &mut Vec<u8>) -> u32 {
        let bytes = &self.segments[&number].bytes;
        into.clear();
        into.extend_from_slice(&bytes[..bytes.len().min(most as usize)]);
        bytes.len() as u32
    }

    /// The file that is called access.log, made if there is none; its place in `logs`.
    pub(crate) fn open_log(&mut self) -> usize {
        if let Some(at) = self.logs.iter().position(|log| log.is_named) {
            return at;
        }
        self.inodes += 1;
        self.logs.push(Log { inode: self.inodes, bytes: Vec::new(), synced: 0, is_named: true });
        self.sync_directory();
        self.logs.len() - 1
    }

    /// access.log gets another name.
    pub(crate) fn rename_log(&mut self) {
        if let Some(log) = self.logs.iter_mut().find(|log| log.is_named) {
            log.is_named = false;
            self.renamed = Some(log.inode);
        }
    }

    pub(crate) fn log_file(&self, at: usize, bytes: usize) -> LogFile {
        LogFile { device: 7, inode: self.logs[at].inode, bytes: bytes as u64 }
    }

    /// All that was written is on the disk.
    pub(crate) fn sync_journal(&mut self) {
        self.sync((u64::MAX, 0));
    }

    /// A life begins, with this segment.
    pub(crate) fn begin_life(&mut self, segment: u64) {
        self.first = segment;
    }

    /// A start: what is there is synced from this segment on, the rest is taken to be, and nothing more is written.
    pub(crate) fn seal(&mut self, unproved: u64) {
        self.segments.range_mut(..unproved).for_each(|(_, segment)| segment.end());
        self.segments.range_mut(unproved..).for_each(|(_, segment)| segment.sync_all());
    }

    pub(crate) fn lose_power(&mut self, die: &mut Die) {
        if die.chance(0.5) {
            for (number, segment) in self.unlinked.drain(..) {
                self.segments.entry(number).or_insert(segment);
            }
            let renamed = self.renamed.take();
            if let Some(log) = self.logs.iter_mut().find(|log| Some(log.inode) == renamed) {
                log.is_named = true;
            }
        }
        self.sync_directory();
        self.segments.values_mut().for_each(|segment| segment.lose_power(die));
        self.logs.iter_mut().for_each(|log| log.lose_power(die));
    }

    /// Somewhere in what was synced some bytes change. Says whether there was anything.
    pub(crate) fn rot(&mut self, die: &mut Die) -> bool {
        let certain = |s: &Segment| if s.written > 0 { s.synced } else { s.used };
        let numbers: Vec<u64> =
            self.segments.iter().filter(|(_, s)| certain(s) > 0).map(|(n, _)| *n).collect();
        let Some(segment) = die.one_of(&numbers).and_then(|n| self.segments.get_mut(&n)) else {
            return false;
        };
        let certain = certain(segment);
        let at = die.below(certain);
        let end = if die.chance(0.5) { at + 1 } else { ((at / SECTOR + 1) * SECTOR).min(certain) };
        for byte in at..end {
            let bits = 1 + die.below(255) as u8;
            segment.bytes[byte] ^= bits;
            segment.durable[byte] = segment.bytes[byte];
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    fn disk() -> (Disk, Die) {
        let (mut disk, mut die) = (Disk::default(), Dice::new(1).disk);
        disk.prepare(1, 4096, &mut die);
        (disk, die)
    }

    fn at(offset: u32) -> Place {
        Place { segment: 1, offset }
    }

    #[test]
    fn what_was_synced_survives_a_loss_of_power_and_the_rest_only_in_part() {
        let (mut lost, mut kept) = (0, 0);
        for _ in 0..200 {
            let (mut disk, _) = disk();
            let mut die = Dice::new(lost * 1000 + kept).disk;
            disk.append(at(0), &[1; 700]).unwrap();
            let covered = disk.end();
            disk.append(at(700), &[2; 700]).unwrap();
            disk.sync(covered);
            disk.lose_power(&mut die);
            let bytes = disk.read(at(0), 1400);
            assert_eq!(bytes[..700], [1; 700]);
            if bytes[700..] == [2; 700] { kept += 1 } else { lost += 1 }
        }
        assert!(lost > 20 && kept > 20, "{lost} lost, {kept} kept");
    }

    #[test]
    fn a_log_keeps_what_was_synced() {
        let (mut disk, mut die) = disk();
        let log = disk.open_log();
        disk.logs[log].bytes.extend_from_slice(&[b'a'; 1000]);
        disk.logs[log].sync(600);
        disk.lose_power(&mut die);
        assert!(disk.logs[log].bytes.len() >= 600);
        assert_eq!(disk.logs[log].bytes[..600], [b'a'; 600]);
    }

    #[test]
    fn a_write_at_the_wrong_place_is_refused() {
        let (mut disk, _) = disk();
        disk.append(at(0), b"abc").unwrap();
        assert!(disk.append(at(2), b"d").is_err());
        assert!(disk.append(at(3), &[0; 4096]).is_err());
        assert!(disk.append(Place { segment: 2, offset: 0 }, b"d").is_err());
    }

    #[test]
    fn a_released_segment_may_come_back_with_a_loss_of_power() {
        let mut came_back = 0;
        for seed in 0..100 {
            let (mut disk, _) = disk();
            let mut die = Dice::new(seed).disk;
            disk.release(1, &mut die);
            disk.lose_power(&mut die);
            came_back += usize::from(disk.segments.contains_key(&1));
        }
        assert!((1..100).contains(&came_back));
    }
}
