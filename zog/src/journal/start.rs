//! The start: the journal is read, brought to the disk, and access.log is brought to what it says.

use super::{path_of, prepare};
use crate::exit::{Exit, Failed};
use crate::{log_start, state_dir};
use pzog::journal::{Recovered, Recovery};
use pzog::{HostIndex, Prepare};
use ringfile::RingFile;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

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
    let segments = segments(dir).map_err(failed)?;
    let mut recovery = Recovery::new(&file.ring(), me);
    for (number, path) in &segments {
        let bytes = fs::read(path).map_err(failed)?;
        recovery.segment(*number, &bytes).map_err(|e| wrong_journal(dir, &e))?;
    }
    let recovered = recovery.finish().map_err(|e| wrong_journal(dir, &e))?;
    let mut findings = recovered.findings().to_vec();
    // Nothing is made of it before it is certain that it stays.
    sync_all(dir, &segments).map_err(failed)?;
    for number in recovered.unreadable() {
        let path = path_of(dir, *number);
        fs::rename(&path, path.with_extension("unreadable")).map_err(failed)?;
    }
    let lines = missing_lines(&recovered, &segments).map_err(failed)?;
    findings.extend(log_start::complete(logs, &recovered, &lines, is_doubted)?);
    let first = Prepare { segment: recovered.first_segment(), bytes: file.settings.segment_bytes };
    prepare(dir, first).map_err(failed)?;
    Ok(Found { recovered, findings })
}

fn wrong_journal(dir: &Path, e: &pzog::journal::JournalError) -> Failed {
    Failed::new(Exit::Config, format!("the journal in {} cannot be used: {e}", dir.display()))
}

/// The segments, ascending.
fn segments(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if let Some(number) = number_of(&path) {
            segments.push((number, path));
        }
    }
    segments.sort();
    Ok(segments)
}

fn number_of(path: &Path) -> Option<u64> {
    let digits = path.file_stem()?.to_str().filter(|s| s.len() == 16)?;
    let is_segment = path.extension()? == "seg";
    is_segment.then(|| u64::from_str_radix(digits, 16).ok())?
}

fn sync_all(dir: &Path, segments: &[(u64, PathBuf)]) -> io::Result<()> {
    for (_, path) in segments {
        File::open(path)?.sync_all()?;
    }
    File::open(dir)?.sync_all()
}

fn missing_lines(recovered: &Recovered, segments: &[(u64, PathBuf)]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for (number, path) in segments.iter().filter(|(number, _)| !recovered.unreadable().contains(number)) {
        // Most segments lie before the mark, and need not be read again.
        if recovered.is_logged(*number) {
            continue;
        }
        recovered.log_lines(*number, &fs::read(path)?, &mut lines);
    }
    Ok(lines)
}
