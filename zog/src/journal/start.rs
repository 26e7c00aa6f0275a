//! The start: the journal is read, brought to the disk, and access.log is brought to what it says.

use super::{path_of, prepare};
use crate::exit::{Exit, Failed};
use crate::{log_start, state_dir};
use pzog::journal::{JournalError, Recovered, recover};
use pzog::{HostIndex, Prepare};
use ringfile::RingFile;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// What a start has found.
pub(crate) struct Found {
    /// For the node.
    pub(crate) recovered: Recovered,
    /// For error.log.
    pub(crate) findings: Vec<String>,
}

/// Reads the journal, brings it to the disk, completes access.log (`is_doubted` after a sync has
/// failed), and makes the next segment ready; blocks.
pub(crate) fn read_all(
    file: &RingFile,
    me: HostIndex,
    dir: &Path,
    logs: &Path,
    is_doubted: bool,
) -> Result<Found, Failed> {
    state_dir::create(dir, "--state-dir")?;
    let failed =
        |e: io::Error| Failed::new(Exit::Io, format!("cannot use the journal in {}: {e}", dir.display()));
    prepare::remove_unfinished(dir).map_err(failed)?;
    let segments = segments(dir).map_err(failed)?;
    let read = |number, most, into: &mut Vec<u8>| Ok(read_first(&path_of(dir, number), most, into)?);
    let recovered = recover(&file.ring(), me, &segments, read).map_err(|e| match e {
        Unusable::Unread(e) => failed(e),
        Unusable::Wrong(e) => wrong_journal(dir, &e),
    })?;
    let mut findings = recovered.findings().to_vec();
    // Nothing is made of it before it is certain that it stays.
    let unproved = segments.partition_point(|number| *number < recovered.unproved());
    sync(dir, &segments[unproved..]).map_err(failed)?;
    for number in recovered.unreadable() {
        let path = path_of(dir, *number);
        fs::rename(&path, path.with_extension("unreadable")).map_err(failed)?;
    }
    let lines = missing_lines(&recovered, dir, &segments).map_err(failed)?;
    findings.extend(log_start::complete(logs, &recovered, &lines, is_doubted)?);
    let first = Prepare { segment: recovered.first_segment(), bytes: file.settings.segment_bytes };
    prepare(dir, first).map_err(failed)?;
    Ok(Found { recovered, findings })
}

/// Why a journal cannot be used.
enum Unusable {
    Unread(io::Error),
    Wrong(JournalError),
}

impl From<io::Error> for Unusable {
    fn from(e: io::Error) -> Unusable {
        Unusable::Unread(e)
    }
}

impl From<JournalError> for Unusable {
    fn from(e: JournalError) -> Unusable {
        Unusable::Wrong(e)
    }
}

fn wrong_journal(dir: &Path, e: &JournalError) -> Failed {
    Failed::new(Exit::Config, format!("the journal in {} cannot be used: {e}", dir.display()))
}

/// The first bytes of a file, so many or all that it has; returns its size.
fn read_first(path: &Path, most: u32, into: &mut Vec<u8>) -> io::Result<u32> {
    let file = File::open(path)?;
    let size = u32::try_from(file.metadata()?.len()).map_err(|_| {
        io::Error::other(format!("{}: no segment is larger than 4 GiB; is it one?", path.display()))
    })?;
    super::read(&file, 0, into, most.min(size))?;
    Ok(size)
}

/// The numbers of the segments, ascending.
fn segments(dir: &Path) -> io::Result<Vec<u64>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        segments.extend(number_of(&entry?.path()));
    }
    segments.sort_unstable();
    Ok(segments)
}

fn number_of(path: &Path) -> Option<u64> {
    let digits = path.file_stem()?.to_str().filter(|s| s.len() == 16)?;
    let is_segment = path.extension()? == "seg";
    is_segment.then(|| u64::from_str_radix(digits, 16).ok())?
}

fn sync(dir: &Path, segments: &[u64]) -> io::Result<()> {
    for number in segments {
        File::open(path_of(dir, *number))?.sync_all()?;
    }
    File::open(dir)?.sync_all()
}

fn missing_lines(recovered: &Recovered, dir: &Path, segments: &[u64]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    // Most segments lie before the mark, and need not be read.
    let is_needed =
        |number: &&u64| !recovered.is_logged(**number) && !recovered.unreadable().contains(number);
    for number in segments.iter().filter(is_needed) {
        recovered.log_lines(*number, &fs::read(path_of(dir, *number))?, &mut lines);
    }
    Ok(lines)
}
