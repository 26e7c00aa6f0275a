//! Making a segment ready: its room is reserved and its name is on the disk before anything is written to it.

use super::path_of;
use pzog::Prepare;
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Makes a segment ready, from a file that waits to be used again if one has its size; blocks. After an error there
/// is no such segment.
pub(crate) fn prepare(dir: &Path, segment: Prepare) -> io::Result<()> {
    let path = path_of(dir, segment.segment);
    match spare_of(dir, segment.bytes)? {
        Some(spare) => fs::rename(spare, &path)?,
        None => create(&path, segment.bytes)?,
    }
    File::open(dir)?.sync_all()
}

fn create(path: &Path, bytes: u32) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let created = File::create(&unfinished).and_then(|file| {
        fallocate(&file, FallocateFlags::empty(), 0, u64::from(bytes))?;
        // The first sync of what is appended brings what the system knows of the file to the disk, too.
        fs::rename(&unfinished, path)
    });
    created.inspect_err(|_| {
        // What is left of it would keep the room that it did not get.
        if let Err(e) = fs::remove_file(&unfinished) {
            log::debug!("{}: {e}", unfinished.display());
        }
    })
}

/// Removes what a prepare, or writing anew, left unfinished when the process ended in the middle of it.
pub(super) fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for path in with_extension(dir, "new")? {
        fs::remove_file(path)?;
    }
    Ok(())
}

fn spare_of(dir: &Path, bytes: u32) -> io::Result<Option<PathBuf>> {
    let is_fit = |path: &PathBuf| path.metadata().is_ok_and(|m| m.len() == u64::from(bytes));
    Ok(spares(dir)?.into_iter().find(is_fit))
}

/// The files that wait to be used again.
pub(super) fn spares(dir: &Path) -> io::Result<Vec<PathBuf>> {
    with_extension(dir, "spare")
}

fn with_extension(dir: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    Ok(found)
}
