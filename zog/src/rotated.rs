//! Rotated log files: the newest are kept, compressed if so wished, the others deleted.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The time in a rotated file's name, in the words of `chrono`; names sort as times do.
pub(crate) const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// Does [`tidy`] in a thread of its own, so that nothing waits for it. An error is told on stderr; the next
/// rotation tries again.
pub(crate) fn tidy_in_background(dir: &Path, stem: &'static str, keep: usize, compress: bool) {
    let dir = dir.to_owned();
    // Two at a time would write the same compressed file.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let work = move || {
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(e) = tidy(&dir, stem, keep, compress) {
            log::error!("cannot tidy the rotated {stem} logs in {}: {e}", dir.display());
        }
    };
    if let Err(e) = thread::Builder::new().name("tidy logs".into()).spawn(work) {
        log::error!("cannot tidy the rotated {stem} logs: {e}");
    }
}

/// Keeps the newest `keep` rotated files.
fn tidy(dir: &Path, stem: &str, keep: usize, compress: bool) -> io::Result<()> {
    let mut pieces = pieces(dir, stem)?;
    pieces.sort();
    let (old, kept) = pieces.split_at(pieces.len().saturating_sub(keep));
    for piece in old {
        remove(piece)?;
    }
    for piece in kept.iter().filter(|p| compress && p.extension().is_some_and(|e| e == "log")) {
        compress_file(dir, piece)?;
    }
    Ok(())
}

/// The rotated files of a log in any order, compressed or not.
pub(crate) fn pieces(dir: &Path, stem: &str) -> io::Result<Vec<PathBuf>> {
    let mut pieces = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| is_piece(name, stem)) {
            pieces.push(entry.path());
        }
    }
    Ok(pieces)
}

/// `access_20261121T031537Z.log`, `….restart-0001.log` for a second one in that second, or either with `.gz`.
fn is_piece(name: &str, stem: &str) -> bool {
    let time = name.strip_prefix(stem).and_then(|n| n.strip_prefix('_'));
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    plain.ends_with(".log")
        && time.and_then(|t| t.split('.').next()).is_some_and(|t| pzog::Stamp::parse(t.as_bytes()).is_some())
}

/// The compressed file is on the disk before the plain one goes: a line that was synced stays so.
fn compress_file(dir: &Path, piece: &Path) -> io::Result<()> {
    let target = with_suffix(piece, ".gz");
    let unfinished = with_suffix(piece, ".gz.new");
    let mut encoder = GzEncoder::new(File::create(&unfinished)?, Compression::default());
    io::copy(&mut File::open(piece)?, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(&unfinished, &target)?;
    File::open(dir)?.sync_all()?;
    remove(piece)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Somebody may have taken it away meanwhile.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    fn dir_with(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(dir.path().join(name), name).unwrap();
        }
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_go_and_nothing_else_does() {
        let dir = dir_with(&[
            "access.log",
            "access.log.1",
            "access_notes.log",
            "access_20261121T031537Z.log",
            "access_20261121T031537Z.restart-0000.log",
            "access_20261121T031536Z.log.gz",
            "access_20261121T031538Z.log",
            "error_20261121T031530Z.log",
        ]);
        tidy(dir.path(), "access", 2, false).unwrap();
        assert_eq!(
            names(dir.path()),
            [
                "access.log",
                "access.log.1",
                "access_20261121T031537Z.restart-0000.log",
                "access_20261121T031538Z.log",
                "access_notes.log",
                "error_20261121T031530Z.log",
            ]
        );
    }

    #[test]
    fn kept_files_are_compressed_once() {
        let dir = dir_with(&["access_20261121T031537Z.log", "access_20261121T031536Z.log.gz"]);
        tidy(dir.path(), "access", 5, true).unwrap();
        assert_eq!(names(dir.path()), ["access_20261121T031536Z.log.gz", "access_20261121T031537Z.log.gz"]);
        let mut text = String::new();
        let file = File::open(dir.path().join("access_20261121T031537Z.log.gz")).unwrap();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "access_20261121T031537Z.log");
    }
}
