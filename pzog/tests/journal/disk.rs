//! A disk that loses its power: every mixture of old and new sectors that may be left of what was written to it.
//!
//! A sync brings to the disk what had been written when it began, once it has ended. Of anything else each sector of
//! 512 bytes may be there or not, by itself, in any version it has had since; and the power may go within a sector.

use rand::RngExt as _;
use rand::rngs::SmallRng;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

/// What a disk writes at once.
const SECTOR_BYTES: usize = 512;

/// Files by their number.
pub(crate) type Files = BTreeMap<u64, Vec<u8>>;

/// Something that was asked of the disk, or that the disk has said.
pub(crate) enum Event {
    /// A file is there from now on, for certain.
    Made {
        file: u64,
        bytes: Vec<u8>,
    },
    /// A file is removed, but may come back.
    Removed {
        file: u64,
    },
    Write(Write),
    SyncBegun,
    SyncEnded,
}

#[derive(Clone)]
pub(crate) struct Write {
    pub(crate) file: u64,
    pub(crate) offset: u32,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Disk {
    /// What is certain.
    files: Files,
    /// Removed since the last sync ended.
    removed: Vec<u64>,
    /// Written since what is certain, in order.
    writes: Vec<Write>,
    /// So many of them are covered by the sync that runs.
    covered: usize,
    /// All of it, as whoever reads it now sees it.
    now: Files,
}

impl Disk {
    pub(crate) fn of(files: Files) -> Disk {
        Disk { now: files.clone(), files, ..Disk::default() }
    }

    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::Made { file, bytes } => {
                self.files.insert(*file, bytes.clone());
                self.now.insert(*file, bytes.clone());
            }
            Event::Removed { file } => {
                self.now.remove(file);
                self.removed.push(*file);
            }
            Event::Write(write) => {
                put(&mut self.now, write);
                self.writes.push(write.clone());
            }
            Event::SyncBegun => self.covered = self.writes.len(),
            Event::SyncEnded => self.settle(),
        }
    }

    /// The files as whoever reads them now sees them.
    pub(crate) fn now(&self) -> &Files {
        &self.now
    }

    fn settle(&mut self) {
        for write in self.writes.drain(..self.covered) {
            put(&mut self.files, &write);
        }
        for file in self.removed.drain(..) {
            self.files.remove(&file);
            self.writes.retain(|write| write.file != file);
        }
        self.covered = 0;
    }

    /// What may be left if the power goes now, or, with a `torn` write, when it has come to this byte of it.
    pub(crate) fn lost_power(&self, torn: Option<(&Write, usize)>) -> Remains {
        let mut sectors = BTreeMap::new();
        let mut now = self.files.clone();
        for write in &self.writes {
            put(&mut now, write);
            self.add_versions(&mut sectors, &now, write);
        }
        if let Some((write, cut)) = torn {
            let begun = Write { bytes: write.bytes[..cut].to_vec(), ..write.clone() };
            for part in [&begun, write] {
                put(&mut now, part);
                self.add_versions(&mut sectors, &now, part);
            }
        }
        Remains {
            files: self.files.clone(),
            removed: self.removed.clone(),
            sectors: sectors.into_iter().collect(),
        }
    }

    fn add_versions(&self, sectors: &mut BTreeMap<SectorAt, Vec<Vec<u8>>>, now: &Files, write: &Write) {
        let (start, end) = (write.offset as usize, write.offset as usize + write.bytes.len());
        for at in (start - start % SECTOR_BYTES..end).step_by(SECTOR_BYTES) {
            let range = at..(at + SECTOR_BYTES).min(now[&write.file].len());
            let old = || vec![self.files[&write.file][range.clone()].to_vec()];
            let versions = sectors.entry((write.file, at)).or_insert_with(old);
            let new = now[&write.file][range.clone()].to_vec();
            if versions.last() != Some(&new) {
                versions.push(new);
            }
        }
    }
}

/// File and offset.
type SectorAt = (u64, usize);

/// What may be left on a disk that lost its power: each of these sectors in any of its versions.
pub(crate) struct Remains {
    files: Files,
    removed: Vec<u64>,
    sectors: Vec<(SectorAt, Vec<Vec<u8>>)>,
}

impl Remains {
    /// Calls `look` with every image if there are not more than so many, else with so many that are drawn. Returns
    /// how many.
    pub(crate) fn each_image(mut self, dice: &mut SmallRng, max: u64, mut look: impl FnMut(&Files)) -> u64 {
        self.lose_removed(dice);
        let all =
            self.sectors.iter().fold(1_u64, |all, (_, versions)| all.saturating_mul(versions.len() as u64));
        for image in 0..all.min(max) {
            let mut rest = image;
            self.choose(|versions| {
                if all > max {
                    return dice.random_range(0..versions);
                }
                let version = rest % versions as u64;
                rest /= versions as u64;
                version as usize
            });
            look(&self.files);
        }
        all.min(max)
    }

    /// One image, drawn.
    pub(crate) fn any_image(mut self, dice: &mut SmallRng) -> Files {
        self.lose_removed(dice);
        self.choose(|versions| dice.random_range(0..versions));
        self.files
    }

    /// Each of the files that were removed is gone, or still there as a whole.
    fn lose_removed(&mut self, dice: &mut SmallRng) {
        for file in std::mem::take(&mut self.removed) {
            if dice.random_bool(0.5) {
                self.files.remove(&file);
                self.sectors.retain(|((of, _), _)| *of != file);
            }
        }
    }

    fn choose(&mut self, mut version_of: impl FnMut(usize) -> usize) {
        for ((file, at), versions) in &self.sectors {
            let version = &versions[version_of(versions.len())];
            let bytes = self.files.get_mut(file).expect("sectors are of files that are there");
            bytes[*at..at + version.len()].copy_from_slice(version);
        }
    }
}

fn put(files: &mut Files, write: &Write) {
    let start = write.offset as usize;
    let bytes = files.get_mut(&write.file).expect("only files that are there are written to");
    bytes[start..start + write.bytes.len()].copy_from_slice(&write.bytes);
}
