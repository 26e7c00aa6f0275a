//! The files of the journal: `<16 hexadecimal digits>.seg` in the state directory's `journal`, each of a size that
//! is reserved before anything is written to it.
//!
//! What stands in them is the core's ([`pzog::journal`]). Here they are made ready, appended to with one write a
//! turn, synced together, read, and used again.

mod prepare;
mod start;

pub(crate) use prepare::prepare;
pub(crate) use start::{Found, read_all};

use crate::gather;
use pzog::{Outputs, Place, Slice};
use rustix::io::pwritev;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pieces of one `pwritev`; more of them take another one.
const PIECES: usize = 16;

/// Segments that are kept open to be read again; there may be thousands, and each is a descriptor.
pub(crate) const OPEN_MAX: usize = 8;

/// Files that wait to be used again: as many as a flood lets go at a time.
const SPARES_MAX: usize = 4;

/// The segments of this host.
pub(crate) struct Journal {
    dir: PathBuf,
    /// The last ones that were opened, in that order.
    open: Vec<Segment>,
    /// Those with bytes that may not be on the disk, oldest first …
    unsynced: Vec<Segment>,
    /// … and those that a sync under way brings there.
    syncing: Vec<Segment>,
}

#[derive(Clone)]
struct Segment {
    number: u64,
    file: Arc<File>,
}

/// Segments to be brought to the disk.
pub(crate) struct Unsynced(Vec<Segment>);

impl Unsynced {
    /// Brings them to the disk, the oldest first; blocks.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.0.iter().try_for_each(|segment| segment.file.sync_data())
    }
}

/// Segments whose files may go.
pub(crate) struct Released {
    dir: PathBuf,
    numbers: Vec<u64>,
}

impl Released {
    /// Each file waits to be used again, or goes. Blocks, for as long as the system writes the directory to the disk.
    pub(crate) fn let_go(&self) -> io::Result<()> {
        let mut done = Ok(());
        for number in &self.numbers {
            done = done.and(self.let_one_go(*number)); // one that cannot go keeps no other
        }
        done
    }

    fn let_one_go(&self, number: u64) -> io::Result<()> {
        let path = path_of(&self.dir, number);
        let done = match prepare::spares(&self.dir)?.len() {
            n if n < SPARES_MAX => fs::rename(&path, path.with_extension("spare")),
            _ => fs::remove_file(&path),
        };
        match done {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

impl Journal {
    /// The journal in this directory.
    pub(crate) fn new(dir: &Path) -> Journal {
        Journal { dir: dir.to_owned(), open: Vec::new(), unsynced: Vec::new(), syncing: Vec::new() }
    }

    /// Where it is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes the record of a turn, if there is one.
    pub(crate) fn append(&mut self, outputs: &Outputs, input: &[u8]) -> io::Result<()> {
        if outputs.append.is_empty() {
            return Ok(());
        }
        let Place { segment, offset } = outputs.append_at;
        let segment = self.open(segment)?;
        if self.unsynced.iter().all(|s| s.number != segment.number) {
            self.unsynced.push(segment.clone());
        }
        write_pieces(&segment.file, u64::from(offset), &outputs.append, outputs, input)
    }

    /// What was written since the last call. [`Journal::synced`] or [`Journal::put_back`] says how it went.
    pub(crate) fn take_unsynced(&mut self) -> Unsynced {
        self.syncing = std::mem::take(&mut self.unsynced);
        Unsynced(self.syncing.clone())
    }

    /// The sync has ended well.
    pub(crate) fn synced(&mut self) {
        self.syncing.clear();
    }

    /// The sync has failed: what it covered may still not be on the disk.
    pub(crate) fn put_back(&mut self) {
        let newer = std::mem::replace(&mut self.unsynced, std::mem::take(&mut self.syncing));
        let is_new = |s: &Segment| self.unsynced.iter().all(|u| u.number != s.number);
        let newer: Vec<Segment> = newer.into_iter().filter(is_new).collect();
        self.unsynced.extend(newer);
    }

    /// Brings all that was written to the disk, now, also what a sync under way would; blocks.
    pub(crate) fn sync_now(&mut self) -> io::Result<()> {
        Unsynced(self.syncing.clone()).sync()?;
        Unsynced(self.unsynced.clone()).sync()?;
        self.unsynced.clear();
        Ok(())
    }

    /// Whatever may not be on the disk is written anew, to other blocks of it: after a failed sync the system may
    /// hold for written what is not.
    pub(crate) fn rewrite_unsynced(&mut self) -> io::Result<()> {
        self.put_back();
        for segment in &self.unsynced {
            let path = path_of(&self.dir, segment.number);
            let unfinished = path.with_extension("new");
            let written = File::create(&unfinished).and_then(|mut new| {
                new.write_all(&fs::read(&path)?)?;
                new.sync_all()?;
                fs::rename(&unfinished, &path)
            });
            if let Err(e) = written {
                // What is left of it would keep the room that is lacking.
                fs::remove_file(&unfinished).unwrap_or_else(|e| log::debug!("{}: {e}", unfinished.display()));
                return Err(e);
            }
        }
        File::open(&self.dir)?.sync_all()?;
        self.unsynced.clear();
        self.open.clear();
        Ok(())
    }

    /// A segment to be read.
    pub(crate) fn file(&mut self, number: u64) -> io::Result<Arc<File>> {
        self.open(number).map(|segment| segment.file)
    }

    /// Nobody needs these segments any more; what is returned lets their files go.
    pub(crate) fn release(&mut self, numbers: &[u64]) -> Released {
        for segments in [&mut self.open, &mut self.unsynced, &mut self.syncing] {
            segments.retain(|s| !numbers.contains(&s.number));
        }
        Released { dir: self.dir.clone(), numbers: numbers.to_vec() }
    }

    fn open(&mut self, number: u64) -> io::Result<Segment> {
        if let Some(segment) = self.open.iter().rev().find(|s| s.number == number) {
            return Ok(segment.clone());
        }
        let file = OpenOptions::new().read(true).write(true).open(path_of(&self.dir, number))?;
        let segment = Segment { number, file: Arc::new(file) };
        if self.open.len() == OPEN_MAX {
            // Whoever reads or syncs it just now has it open until that is done.
            self.open.remove(0);
        }
        self.open.push(segment.clone());
        Ok(segment)
    }
}

/// Reads a piece of a segment into `bytes`; blocks. Fewer where the file ends.
pub(crate) fn read(file: &File, offset: u32, bytes: &mut Vec<u8>, count: u32) -> io::Result<()> {
    bytes.resize(count as usize, 0);
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], u64::from(offset) + read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => {
                bytes.clear();
                return Err(e);
            }
        }
    }
    bytes.truncate(read);
    Ok(())
}

fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.seg"))
}

/// Writes all pieces, one behind the other.
fn write_pieces(
    file: &File,
    mut offset: u64,
    pieces: &[Slice],
    outputs: &Outputs,
    input: &[u8],
) -> io::Result<()> {
    for pieces in pieces.chunks(PIECES) {
        let mut parts = [IoSlice::new(&[]); PIECES];
        for (part, piece) in parts.iter_mut().zip(pieces) {
            *part = IoSlice::new(gather::bytes(*piece, outputs, input));
        }
        offset = write_parts(file, offset, &mut parts[..pieces.len()])?;
    }
    Ok(())
}

fn write_parts(file: &File, mut offset: u64, mut parts: &mut [IoSlice<'_>]) -> io::Result<u64> {
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match pwritev(file, parts, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => {
                offset += n as u64;
                IoSlice::advance_slices(&mut parts, n);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pzog::{Prepare, Span};

    fn outputs(text: &[u8], at: Place) -> Outputs {
        let span = |start, end| Slice::Small(Span { start, end });
        let half = text.len() as u32 / 2;
        let append = vec![span(0, half), span(half, half), span(half, text.len() as u32)];
        Outputs { small: text.to_vec(), append, append_at: at, ..Outputs::default() }
    }

    #[test]
    fn what_is_appended_is_read_again_and_a_file_is_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::new(dir.path());
        let first = Place { segment: 1, offset: 4096 };
        assert!(journal.append(&outputs(b"too early", first), b"").is_err());
        prepare(dir.path(), Prepare { segment: 1, bytes: 65536 }).unwrap();
        journal.append(&outputs(b"hello", first), b"").unwrap();
        journal.append(&outputs(b" world", Place { offset: 4101, ..first }), b"").unwrap();
        journal.sync_now().unwrap();
        let mut bytes = Vec::new();
        read(&journal.file(1).unwrap(), 4096, &mut bytes, 11).unwrap();
        assert_eq!(bytes, b"hello world");
        read(&journal.file(1).unwrap(), 65530, &mut bytes, 100).unwrap();
        assert_eq!(bytes.len(), 6);

        journal.release(&[1]).let_go().unwrap();
        assert!(journal.file(1).is_err());
        prepare(dir.path(), Prepare { segment: 2, bytes: 4096 }).unwrap();
        prepare(dir.path(), Prepare { segment: 3, bytes: 65536 }).unwrap();
        assert!(prepare::spares(dir.path()).unwrap().is_empty(), "the file of the same size was taken");
        read(&journal.file(3).unwrap(), 4096, &mut bytes, 5).unwrap();
        assert_eq!(bytes, b"hello");
    }

    #[test]
    fn few_files_are_open_however_many_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::new(dir.path());
        for segment in 1..=2 * OPEN_MAX as u64 {
            prepare(dir.path(), Prepare { segment, bytes: 4096 }).unwrap();
            journal.append(&outputs(b"hello", Place { segment, offset: 0 }), b"").unwrap();
        }
        journal.sync_now().unwrap();
        let mut bytes = Vec::new();
        for segment in 1..=2 * OPEN_MAX as u64 {
            read(&journal.file(segment).unwrap(), 0, &mut bytes, 5).unwrap();
            assert_eq!(bytes, b"hello");
        }
        assert_eq!(journal.open.len(), OPEN_MAX);
    }

    #[test]
    fn few_files_wait_to_be_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::new(dir.path());
        for segment in 1..=5 {
            prepare(dir.path(), Prepare { segment, bytes: 4096 }).unwrap();
        }
        journal.release(&[1, 2, 3, 4, 5]).let_go().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), SPARES_MAX);
    }

    #[test]
    fn what_a_failed_sync_left_is_written_to_another_file() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::new(dir.path());
        prepare(dir.path(), Prepare { segment: 1, bytes: 4096 }).unwrap();
        journal.append(&outputs(b"hello", Place { segment: 1, offset: 0 }), b"").unwrap();
        let _sync_that_fails = journal.take_unsynced();
        let path = path_of(dir.path(), 1);
        let before = path.metadata().unwrap().ino();
        journal.rewrite_unsynced().unwrap();
        assert_ne!(path.metadata().unwrap().ino(), before);
        assert!(fs::read(&path).unwrap().starts_with(b"hello"));
        assert_eq!(path.metadata().unwrap().len(), 4096);
    }
}
