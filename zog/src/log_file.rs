//! A log file: whole batches or nothing, rotated, reopened, synced.
//!
//! flexi_logger renames and reopens. When to rotate, what a failed write left behind and which files still have to
//! reach the disk is decided here, with a second handle on the same file, through which all is written: flexi_logger would
//! lock, and look whether to rotate, at each turn.

use crate::rotated;
use flexi_logger::writers::{ArcFileLogWriter, FileLogWriter};
use flexi_logger::{Cleanup, Criterion, FileSpec, FlexiLoggerError, Naming};
use ringfile::{LogSettings, RotateAge};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Seconds until a rotation that failed is tried again.
const ROTATE_AGAIN_SECONDS: u64 = 1;

/// Bytes of room that are asked for ahead of a file: as many as it has, but not more …
const RESERVE_MAX: u64 = 4 << 20;

/// … and none where it has not so many.
const RESERVE_MIN: u64 = 64 << 10;

/// What writes to the file; a trait, so that tests can fill the disk.
pub(crate) trait Writer {
    /// Writes all of it to the end of the file.
    fn append(&self, file: &File, lines: &[u8]) -> io::Result<()>;
    /// Renames the file and begins a new one.
    fn rotate(&self) -> io::Result<()>;
    /// Opens (or creates) what has the file's name now.
    fn reopen(&self) -> io::Result<()>;
}

impl Writer for ArcFileLogWriter {
    fn append(&self, file: &File, mut lines: &[u8]) -> io::Result<()> {
        // By the system's own call, as in `rt`.
        while !lines.is_empty() {
            match rustix::io::write(file, lines) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => lines = &lines[written..],
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        FileLogWriter::rotate(self).map_err(io_error)
    }

    fn reopen(&self) -> io::Result<()> {
        self.reopen_outputfile().map_err(io_error)
    }
}

fn io_error(error: FlexiLoggerError) -> io::Error {
    match error {
        FlexiLoggerError::OutputIo(e) => e,
        other => io::Error::other(other),
    }
}

/// A log file that grows by batches of whole lines.
pub(crate) struct LogFile {
    dir: PathBuf,
    stem: &'static str,
    settings: LogSettings,
    writer: Box<dyn Writer>,
    /// The file that `writer` has open.
    file: Arc<File>,
    /// Kept open, so that a sync needs no new file descriptor.
    directory: Arc<File>,
    /// The hour or day in which the file was begun.
    period: u64,
    /// No rotation before this second (UTC), because one has failed.
    rotate_after: u64,
    /// Bytes that were written to it, or were there before.
    length: u64,
    /// Up to here room was asked for.
    reserved: u64,
    /// What lies beyond `length` is left from a failed write.
    is_torn: bool,
    unsynced: Unsynced,
}

impl LogFile {
    /// Opens `dir/stem.log` to append to it. A last line without its end is cut off; returns its length too.
    pub(crate) fn open(dir: &Path, stem: &'static str, settings: &LogSettings) -> io::Result<(LogFile, u64)> {
        let path = path_of(dir, stem);
        let torn = cut_torn_line(&path)?;
        let writer = flexi_writer(dir, stem)?;
        let file = Arc::new(open_append(&path)?);
        let directory = Arc::new(File::open(dir)?);
        let mut log = LogFile {
            dir: dir.to_owned(),
            stem,
            settings: settings.clone(),
            writer: Box::new(writer),
            period: 0,
            rotate_after: 0,
            length: file.metadata()?.len(),
            reserved: 0,
            is_torn: false,
            unsynced: Unsynced { files: vec![Arc::clone(&file)], directory: Some(Arc::clone(&directory)) },
            file,
            directory,
        };
        log.period = log.period_of(begun(&log.file)?);
        log.tidy();
        Ok((log, torn))
    }

    /// Appends whole lines with one write. After an error the file is as it was before.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.cut()?;
        self.unsynced.add(&self.file);
        self.reserve(lines.len() as u64);
        let written = self.writer.append(&self.file, lines);
        match written {
            Ok(()) => self.length += lines.len() as u64,
            Err(_) => {
                self.is_torn = true;
                // Where even this fails it is done again before the next write.
                if let Err(e) = self.cut() {
                    log::error!("{}: cannot cut off what a failed write left: {e}", self.path().display());
                }
            }
        }
        written
    }

    /// Follows a file that was renamed: opens what has its name now. After an error the old file is written on.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.cut()?;
        self.writer.reopen()?;
        self.follow()
    }

    /// Which file it is, and its length with all that was written.
    pub(crate) fn identity(&self) -> io::Result<pzog::LogFile> {
        let metadata = self.file.metadata()?;
        Ok(pzog::LogFile { device: metadata.dev(), inode: metadata.ino(), bytes: self.length })
    }

    /// Whether it has become too long or too old.
    pub(crate) fn is_rotation_due(&self, utc_seconds: u64) -> bool {
        let too_long = self.settings.rotate_size.is_some_and(|max| self.length > max);
        let too_old = self.settings.rotate_age.is_some() && self.period_of(utc_seconds) != self.period;
        self.length > 0 && (too_long || too_old) && utc_seconds >= self.rotate_after
    }

    /// Renames the file and begins a new one. Where it fails, the file is written on and only grows too long.
    pub(crate) fn rotate(&mut self, utc_seconds: u64) -> io::Result<()> {
        self.rotate_after = utc_seconds + ROTATE_AGAIN_SECONDS;
        self.writer.rotate().and_then(|()| self.follow())?;
        self.rotate_after = 0;
        self.period = self.period_of(utc_seconds);
        self.tidy();
        Ok(())
    }

    /// New settings for rotation; they hold from the next write on.
    pub(crate) fn configure(&mut self, settings: &LogSettings, utc_seconds: u64) {
        self.settings = settings.clone();
        self.period = self.period_of(begun(&self.file).unwrap_or(utc_seconds));
    }

    /// What was written since the last call, to be synced.
    pub(crate) fn take_unsynced(&mut self) -> Unsynced {
        mem::take(&mut self.unsynced)
    }

    /// Brings the file, and its name, to the disk, now, also what a sync under way would; blocks.
    pub(crate) fn sync_now(&mut self) -> io::Result<()> {
        drop(self.take_unsynced());
        self.file.sync_data()?;
        self.directory.sync_all()
    }

    /// The file's name.
    pub(crate) fn path(&self) -> PathBuf {
        path_of(&self.dir, self.stem)
    }

    fn cut(&mut self) -> io::Result<()> {
        if self.is_torn {
            // Somebody may have made it shorter.
            self.length = self.length.min(self.file.metadata()?.len());
            self.file.set_len(self.length)?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Asks for room for what comes next. Where a file grows by one page after the other, each of them waits while a sync
    /// finds places on the disk for those before it; where there is room already, none does (ext4). A system that
    /// cannot do it, or a disk that is nearly full, is told by the writes themselves.
    fn reserve(&mut self, bytes: u64) {
        let ahead = self.length.min(RESERVE_MAX);
        if self.length + bytes <= self.reserved || ahead < RESERVE_MIN {
            return;
        }
        self.reserved = self.length + bytes + ahead;
        if let Err(e) = fallocate(&*self.file, FallocateFlags::KEEP_SIZE, self.length, bytes + ahead) {
            log::debug!("{}: no room ahead: {e}", self.path().display());
        }
    }

    /// Gives back what was asked for and not used.
    fn give_back(&mut self) {
        if mem::take(&mut self.reserved) > 0
            && let Err(e) = self.file.metadata().and_then(|metadata| self.file.set_len(metadata.len()))
        {
            log::debug!("{}: room that is not used stays reserved: {e}", self.path().display());
        }
    }

    fn follow(&mut self) -> io::Result<()> {
        let next = Arc::new(open_append(&self.path())?);
        self.give_back();
        self.file = next;
        self.length = self.file.metadata()?.len();
        self.unsynced.directory = Some(Arc::clone(&self.directory));
        Ok(())
    }

    fn period_of(&self, utc_seconds: u64) -> u64 {
        match self.settings.rotate_age {
            None => 0,
            Some(RotateAge::Hour) => utc_seconds / 3600,
            Some(RotateAge::Day) => utc_seconds / 86_400,
        }
    }

    fn tidy(&self) {
        if self.settings.rotate_size.is_some() || self.settings.rotate_age.is_some() {
            rotated::tidy_in_background(&self.dir, self.stem, self.settings.keep, self.settings.compress);
        }
    }
}

/// Files that were written but perhaps are not on the disk yet.
#[derive(Default)]
pub(crate) struct Unsynced {
    files: Vec<Arc<File>>,
    /// Set when a file was created or renamed.
    directory: Option<Arc<File>>,
}

impl Unsynced {
    fn add(&mut self, file: &Arc<File>) {
        if !self.files.iter().any(|f| Arc::ptr_eq(f, file)) {
            self.files.push(Arc::clone(file));
        }
    }

    /// Brings all to the disk; blocks.
    pub(crate) fn sync(self) -> io::Result<()> {
        for file in &self.files {
            file.sync_data()?;
        }
        self.directory.map_or(Ok(()), |directory| directory.sync_all())
    }
}

fn path_of(dir: &Path, stem: &str) -> PathBuf {
    dir.join(format!("{stem}.log"))
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Renames to `stem_YYYYMMDDTHHMMSSZ.log`, by the time at which the file was begun.
fn flexi_writer(dir: &Path, stem: &str) -> io::Result<ArcFileLogWriter> {
    let naming = Naming::TimestampsCustomFormat { current_infix: Some(""), format: rotated::TIME_FORMAT };
    let spec = FileSpec::default().directory(dir).basename(stem).suffix("log").suppress_timestamp();
    let builder = FileLogWriter::builder(spec).append().use_utc();
    let builder = builder.rotate(Criterion::Size(u64::MAX), naming, Cleanup::Never);
    let (mut writer, _) = builder.try_build_with_handle().map_err(io_error)?;
    // It opens the file at the first write, which is too late to say that it cannot be opened, and renames none before.
    let _nothing = writer.write(&[])?;
    Ok(writer)
}

fn begun(file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    let time = metadata.created().or_else(|_| metadata.modified())?;
    Ok(time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()))
}

/// Cuts what stands behind the last line end, which a crash in the middle of a write leaves.
fn cut_torn_line(path: &Path) -> io::Result<u64> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let len = file.metadata()?.len();
    let whole = end_of_last_line(&mut file, len)?;
    if whole < len {
        file.set_len(whole)?;
    }
    Ok(len - whole)
}

fn end_of_last_line(file: &mut File, len: u64) -> io::Result<u64> {
    let mut block = [0; 4096];
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = memchr::memrchr(b'\n', part) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell;
    use std::fs;
    use std::rc::Rc;

    /// Lets so many bytes through and then fails as a full disk does: a part of the batch is in the file.
    struct Budget {
        inner: ArcFileLogWriter,
        left: Rc<Cell<usize>>,
    }

    impl Writer for Budget {
        fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
            let part = bytes.len().min(self.left.get());
            self.left.set(self.left.get() - part);
            self.inner.append(file, &bytes[..part])?;
            if part == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
        }
        fn rotate(&self) -> io::Result<()> {
            self.inner.rotate()
        }
        fn reopen(&self) -> io::Result<()> {
            self.inner.reopen()
        }
    }

    /// A log on a disk with room for as many bytes as the cell says.
    pub(crate) fn on_small_disk(dir: &Path, settings: &LogSettings) -> (LogFile, Rc<Cell<usize>>) {
        let (mut log, _) = LogFile::open(dir, "access", settings).unwrap();
        let left = Rc::new(Cell::new(0));
        let inner = flexi_writer(dir, "access").unwrap();
        log.writer = Box::new(Budget { inner, left: Rc::clone(&left) });
        (log, left)
    }

    /// As error.log does it.
    fn append(log: &mut LogFile, lines: &[u8], utc_seconds: u64) -> io::Result<()> {
        if log.is_rotation_due(utc_seconds) {
            log.rotate(utc_seconds)?;
        }
        log.append(lines)
    }

    fn read(dir: &Path) -> String {
        fs::read_to_string(dir.join("access.log")).unwrap()
    }

    fn rotating(bytes: u64) -> LogSettings {
        LogSettings { rotate_size: Some(bytes), ..LogSettings::default() }
    }

    /// All pieces, oldest first.
    fn pieces(dir: &Path) -> Vec<String> {
        let mut names = rotated::pieces(dir, "access").unwrap();
        names.sort();
        names.iter().map(|p| fs::read_to_string(p).unwrap()).collect()
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, left) = on_small_disk(dir.path(), &LogSettings::default());
        left.set(12);
        append(&mut log, b"line 1\n", 0).unwrap();
        assert!(append(&mut log, b"line 2\nline 3\n", 0).is_err());
        assert_eq!(read(dir.path()), "line 1\n");
        left.set(100);
        append(&mut log, b"line 2\nline 3\n", 0).unwrap();
        assert_eq!(read(dir.path()), "line 1\nline 2\nline 3\n");
    }

    #[test]
    fn a_failed_write_after_a_rotation_cuts_the_new_file_only() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, left) = on_small_disk(dir.path(), &rotating(4));
        left.set(10);
        append(&mut log, b"line 1\n", 0).unwrap();
        assert!(append(&mut log, b"line 2\n", 0).is_err());
        assert_eq!(read(dir.path()), "");
        assert_eq!(pieces(dir.path()), ["line 1\n"]);
    }

    #[test]
    fn rotates_by_size_and_keeps_every_line() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = LogFile::open(dir.path(), "access", &rotating(10)).unwrap();
        for i in 0..5 {
            append(&mut log, format!("line {i}\n").as_bytes(), 0).unwrap();
        }
        assert_eq!(pieces(dir.path()), ["line 0\nline 1\n", "line 2\nline 3\n"]);
        assert_eq!(read(dir.path()), "line 4\n");
        let unsynced = log.take_unsynced();
        assert_eq!(unsynced.files.len(), 3, "every piece has to reach the disk");
        unsynced.sync().unwrap();
    }

    #[test]
    fn room_ahead_is_not_of_the_file_and_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = LogFile::open(dir.path(), "access", &rotating(1_000_000)).unwrap();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let begun = Arc::clone(&log.file);
        for lines in 1..=900 {
            append(&mut log, &line, 0).unwrap();
            assert_eq!(begun.metadata().unwrap().len(), lines * 1024);
        }
        let on_disk = |file: &File| file.metadata().unwrap().blocks() * 512;
        if on_disk(&begun) < 1_200_000 {
            return; // a file system that reserves nothing
        }
        (0..100).for_each(|_| append(&mut log, &line, 0).unwrap());
        assert_eq!((pieces(dir.path()).len(), begun.metadata().unwrap().len()), (1, 977 * 1024));
        assert!(on_disk(&begun) < 1_010_000, "{}", on_disk(&begun));
    }

    #[test]
    fn rotates_when_the_hour_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let settings = LogSettings { rotate_age: Some(RotateAge::Hour), ..LogSettings::default() };
        let (mut log, _) = LogFile::open(dir.path(), "access", &settings).unwrap();
        let begun = begun(&log.file).unwrap();
        let next_hour = (begun / 3600 + 1) * 3600;
        append(&mut log, b"one\n", begun).unwrap();
        append(&mut log, b"two\n", next_hour - 1).unwrap();
        append(&mut log, b"three\n", next_hour).unwrap();
        append(&mut log, b"four\n", next_hour + 1).unwrap();
        assert_eq!(pieces(dir.path()), ["one\ntwo\n"]);
        assert_eq!(read(dir.path()), "three\nfour\n");
    }

    #[test]
    fn reopening_loses_and_splits_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = LogFile::open(dir.path(), "access", &LogSettings::default()).unwrap();
        append(&mut log, b"one\n", 0).unwrap();
        let moved = dir.path().join("access.log.1");
        fs::rename(dir.path().join("access.log"), &moved).unwrap();
        append(&mut log, b"two\n", 0).unwrap();
        log.reopen().unwrap();
        append(&mut log, b"three\n", 0).unwrap();
        assert_eq!(fs::read_to_string(moved).unwrap(), "one\ntwo\n");
        assert_eq!(read(dir.path()), "three\n");
        assert_eq!(log.take_unsynced().files.len(), 2);
    }

    #[test]
    fn a_torn_last_line_is_cut_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let long = "x".repeat(10_000);
        for (content, whole) in [
            ("", ""),
            ("one\n", "one\n"),
            ("one\ntw", "one\n"),
            ("t", ""),
            (&format!("one\n{long}"), "one\n"),
        ] {
            fs::write(dir.path().join("access.log"), content).unwrap();
            let (_, torn) = LogFile::open(dir.path(), "access", &LogSettings::default()).unwrap();
            assert_eq!(read(dir.path()), whole);
            assert_eq!(torn as usize, content.len() - whole.len());
        }
    }
}
