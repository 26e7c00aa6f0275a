//! The disk of a host: its journal and its access.log, as written and as they would be after a loss of power.

use pzog::journal::JournalError;
use pzog::{HostIndex, LogFile, Place, Ring};
use std::collections::BTreeMap;

/// What a disk does when it is to sync.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Mood {
    #[default]
    Works,
    /// The sync does not end before the disk works again, or fails.
    Hangs,
    Fails,
    /// It has no room for another segment.
    Full,
}

/// All that lasts.
#[derive(Clone, Default)]
struct Files {
    journal: BTreeMap<u64, Vec<u8>>,
    log: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) mood: Mood,
    written: Files,
    synced: Files,
    /// What the syncs under way cover.
    syncing: Option<BTreeMap<u64, Vec<u8>>>,
    marking: Option<usize>,
}

/// access.log is always the same file.
const INODE: u64 = 1;

impl Disk {
    pub(crate) fn append(&mut self, at: Place, bytes: &[u8]) -> Result<(), String> {
        let segment =
            self.written.journal.get_mut(&at.segment).ok_or("appends to a segment that is not there")?;
        let offset = at.offset as usize;
        let place =
            segment.get_mut(offset..offset + bytes.len()).ok_or("appends beyond the end of a segment")?;
        place.copy_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn log(&mut self, lines: &[u8]) {
        self.written.log.extend_from_slice(lines);
    }

    pub(crate) fn access_log(&self) -> &[u8] {
        &self.written.log
    }

    pub(crate) fn take_log(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.written.log)
    }

    pub(crate) fn log_file(&self) -> LogFile {
        LogFile { device: 0, inode: INODE, bytes: self.written.log.len() as u64 }
    }

    pub(crate) fn prepare(&mut self, segment: u64, bytes: u32) -> bool {
        let ok = self.mood != Mood::Full;
        if ok {
            let zeros = vec![0; bytes as usize];
            self.written.journal.insert(segment, zeros.clone());
            self.synced.journal.insert(segment, zeros);
        }
        ok
    }

    pub(crate) fn release(&mut self, segment: u64) {
        self.written.journal.remove(&segment);
        self.synced.journal.remove(&segment);
    }

    pub(crate) fn read(&self, at: Place, bytes: u32) -> Vec<u8> {
        let segment = self.written.journal.get(&at.segment);
        let start = at.offset as usize;
        segment.and_then(|s| s.get(start..(start + bytes as usize).min(s.len()))).unwrap_or_default().to_vec()
    }

    /// Returns whether a sync is under way already.
    pub(crate) fn begin_sync(&mut self) -> bool {
        self.syncing.replace(self.written.journal.clone()).is_some()
    }

    pub(crate) fn end_sync(&mut self) {
        if let Some(covered) = self.syncing.take() {
            let kept = covered.into_iter().filter(|(segment, _)| self.written.journal.contains_key(segment));
            self.synced.journal.extend(kept);
        }
    }

    pub(crate) fn begin_mark(&mut self) {
        self.marking = Some(self.written.log.len());
    }

    pub(crate) fn end_mark(&mut self) -> Option<LogFile> {
        let bytes = self.marking.take()?;
        self.synced.log = self.written.log[..bytes].to_vec();
        Some(LogFile { device: 0, inode: INODE, bytes: bytes as u64 })
    }

    /// The process ends.
    pub(crate) fn forget(&mut self) {
        (self.syncing, self.marking) = (None, None);
    }

    /// The power goes: what was not synced is lost.
    pub(crate) fn lose_unsynced(&mut self) {
        self.written = self.synced.clone();
    }

    /// What a driver does at the start. Returns what was recovered, and what error.log is told.
    pub(crate) fn recover(&mut self, ring: &Ring, me: HostIndex, size: u32) -> pzog::journal::Recovered {
        let numbers: Vec<u64> = self.written.journal.keys().copied().collect();
        let read = |number, most, into: &mut Vec<u8>| {
            let bytes = &self.written.journal[&number];
            into.clear();
            into.extend_from_slice(&bytes[..bytes.len().min(most as usize)]);
            Ok::<_, JournalError>(bytes.len() as u32)
        };
        let recovered = pzog::journal::recover(ring, me, &numbers, read).expect("the journal is this host's");
        if let Some(log) = recovered.log() {
            assert!(self.written.log.len() as u64 >= log.bytes, "access.log is shorter than it was marked");
            self.written.log.truncate(log.bytes as usize);
        }
        for (number, bytes) in &self.written.journal {
            recovered.log_lines(*number, bytes, &mut self.written.log);
        }
        self.synced = self.written.clone();
        self.prepare_first(recovered.first_segment(), size);
        recovered
    }

    fn prepare_first(&mut self, segment: u64, size: u32) {
        self.written.journal.insert(segment, vec![0; size as usize]);
        self.synced.journal.insert(segment, vec![0; size as usize]);
    }

    /// Whether a message with this text is in the journal or, where that was released, in access.log: as they are,
    /// or, if not `written`, as they certainly are on the disk.
    pub(crate) fn has_text(&self, text: &[u8], written: bool) -> bool {
        let files = if written { &self.written } else { &self.synced };
        let line = [b" ", text, b"\r\n"].concat();
        let in_journal = files.journal.values().any(|s| memchr::memmem::find(s, &line).is_some());
        in_journal || files.log.split(|b| *b == b'\n').any(|l| l.get(17..) == Some(text))
    }
}
