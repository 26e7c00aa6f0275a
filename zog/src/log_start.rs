//! access.log at a start: it is derived from the journal, and is brought to what that says.
//!
//! The journal's last mark tells a file and how much of it is certain. What stands behind that in the file, and the
//! lines that the journal has behind the mark, must begin alike; the file is completed. What the journal does not
//! have (a crash lost it there, or the state directory is an old copy) does not stay: a little is cut off, more is
//! moved aside with all of its file, so that a mistake destroys nothing.

use crate::clock;
use crate::exit::{Exit, Failed};
use pzog::LogFile;
use pzog::journal::Recovered;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes that are cut off; what is more is moved aside.
const CUT_MAX: u64 = 1 << 20;

/// Completes access.log in this directory; `is_doubted` after a sync of it has failed, when the system may hold for
/// written what is not. Returns what error.log is to be told.
pub(crate) fn complete(
    dir: &Path,
    recovered: &Recovered,
    lines: &[u8],
    is_doubted: bool,
) -> Result<Vec<String>, Failed> {
    let failed = |e: io::Error| {
        Failed::new(
            Exit::Io,
            format!(
                "cannot complete access.log in {}: {e}; name another directory with --log-dir",
                dir.display()
            ),
        )
    };
    try_complete(dir, recovered.log(), lines, is_doubted).map_err(failed)
}

fn try_complete(
    dir: &Path,
    marked: Option<LogFile>,
    lines: &[u8],
    is_doubted: bool,
) -> io::Result<Vec<String>> {
    let current = dir.join("access.log");
    let mut findings = Vec::new();
    let target = match marked {
        Some(log) => match find(dir, &log)?.map(|path| (path, CUT_MAX)).or_else(|| copy_of(&current, &log)) {
            Some((path, _)) if is_doubted => {
                OpenOptions::new().write(true).open(&path)?.set_len(log.bytes)?;
                append(&path, lines)?;
                path
            }
            Some((path, cut_max)) => bring_to(&path, log.bytes, cut_max, lines, &mut findings)?,
            None => {
                findings.push(
                    "MISSING the file that access.log was when it was marked last is not in the directory; its \
                     last lines go to access.log"
                        .into(),
                );
                append(&current, lines)?;
                current
            }
        },
        None if current.metadata().is_ok_and(|m| m.len() > 0) => {
            let aside = move_aside(&current)?;
            findings.push(format!(
                "MOVED ASIDE access.log to {}: the journal does not know of it, and would log again what stands in it",
                aside.display()
            ));
            append(&current, lines)?;
            current
        }
        None => {
            append(&current, lines)?;
            current
        }
    };
    File::open(target)?.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(findings)
}

/// The file that was marked, under whatever name it has now.
fn find(dir: &Path, log: &LogFile) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let name = entry.file_name();
        let is_log = name.to_str().is_some_and(|n| n.starts_with("access") && !n.ends_with(".gz"));
        if is_log && metadata.is_file() && (metadata.dev(), metadata.ino()) == (log.device, log.inode) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// A directory that was copied has other inodes: access.log is the file if it is long enough to be.
/// Nothing is cut off it, since it may be another file.
fn copy_of(current: &Path, log: &LogFile) -> Option<(PathBuf, u64)> {
    let is_long_enough = current.metadata().is_ok_and(|m| m.len() >= log.bytes);
    is_long_enough.then(|| (current.to_owned(), 0))
}

/// Brings a file to `certain` bytes followed by these lines. Returns the file that has them now.
fn bring_to(
    path: &Path,
    certain: u64,
    cut_max: u64,
    lines: &[u8],
    findings: &mut Vec<String>,
) -> io::Result<PathBuf> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    if length < certain {
        findings.push(format!(
            "CUT BY SOMEBODY ELSE {} has {length} bytes, fewer than the {certain} that were certain",
            path.display()
        ));
        append(path, lines)?;
        return Ok(path.to_owned());
    }
    let same = common(&mut file, certain, lines)?;
    let keep = certain + same;
    match length - keep {
        0 => {}
        surplus if surplus <= cut_max => {
            findings.push(format!(
                "CUT {surplus} bytes off {}: the journal does not have them; they are logged when they come again",
                path.display()
            ));
            file.set_len(keep)?;
        }
        surplus => {
            let aside = move_aside(path)?;
            findings.push(format!(
                "MOVED ASIDE {} to {}: the journal does not have its last {surplus} bytes; is it an old copy?",
                path.display(),
                aside.display()
            ));
            append(path, lines)?;
            return Ok(path.to_owned());
        }
    }
    file.seek(SeekFrom::Start(keep))?;
    file.write_all(&lines[same as usize..])?;
    Ok(path.to_owned())
}

/// How many bytes of the file from there on are those of `lines`.
fn common(file: &mut File, from: u64, lines: &[u8]) -> io::Result<u64> {
    file.seek(SeekFrom::Start(from))?;
    let mut block = vec![0; 64 << 10];
    let mut same = 0;
    loop {
        let read = file.read(&mut block)?;
        let expected = &lines[same..lines.len().min(same + read)];
        let equal = block[..read].iter().zip(expected).take_while(|(a, b)| a == b).count();
        same += equal;
        if read == 0 || equal < read {
            // Whole lines only.
            let end = memchr::memrchr(b'\n', &lines[..same]).map_or(0, |at| at + 1);
            return Ok(end as u64);
        }
    }
}

fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(path)?.write_all(lines)
}

fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let seconds = clock::utc_seconds();
    let name = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        let stamp = pzog::Stamp::of_utc_seconds(seconds);
        name.push(if n == 0 { format!(".{stamp}.aside") } else { format!(".{stamp}-{n}.aside") });
        PathBuf::from(name)
    };
    let aside = (0..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0));
    fs::rename(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(path: &Path, bytes: u64) -> Option<LogFile> {
        let metadata = path.metadata().unwrap();
        Some(LogFile { device: metadata.dev(), inode: metadata.ino(), bytes })
    }

    fn log_with(content: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        fs::write(&path, content).unwrap();
        (dir, path)
    }

    #[test]
    fn a_log_is_completed_and_what_the_journal_lacks_is_cut() {
        for (content, certain, lines, expected, is_cut) in [
            ("one\n", 4, "", "one\n", false),
            ("one\n", 4, "two\nthree\n", "one\ntwo\nthree\n", false),
            ("one\ntwo\n", 4, "two\nthree\n", "one\ntwo\nthree\n", false),
            ("one\ntwo\nth", 4, "two\nthree\n", "one\ntwo\nthree\n", true),
            ("one\ntwo\nlost\n", 4, "two\n", "one\ntwo\n", true),
            ("one\nlost\n", 4, "two\n", "one\ntwo\n", true),
            ("one\ntwo\n", 4, "", "one\n", true),
            ("", 0, "one\n", "one\n", false),
        ] {
            let (dir, path) = log_with(content);
            let findings = try_complete(dir.path(), marked(&path, certain), lines.as_bytes(), false).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), expected, "{content:?} {lines:?}");
            assert_eq!(findings.iter().any(|f| f.starts_with("CUT ")), is_cut, "{findings:?}");
        }
    }

    #[test]
    fn after_a_failed_sync_the_end_is_written_again() {
        let (dir, path) = log_with("one\nperhaps\n");
        let findings = try_complete(dir.path(), marked(&path, 4), b"two\n", true).unwrap();
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn only_a_file_of_that_name_is_the_log() {
        let (dir, path) = log_with("one\n");
        let error_log = dir.path().join("error.log");
        fs::rename(&path, &error_log).unwrap();
        let findings = try_complete(dir.path(), marked(&error_log, 4), b"two\n", false).unwrap();
        assert!(findings[0].starts_with("MISSING"), "{findings:?}");
        assert_eq!(fs::read_to_string(&error_log).unwrap(), "one\n");
    }

    #[test]
    fn the_file_is_found_under_its_new_name() {
        let (dir, path) = log_with("one\ntwo\n");
        let log = marked(&path, 4);
        let renamed = dir.path().join("access.log.1");
        fs::rename(&path, &renamed).unwrap();
        try_complete(dir.path(), log, b"two\nthree\n", false).unwrap();
        assert_eq!(fs::read_to_string(renamed).unwrap(), "one\ntwo\nthree\n");
        assert!(!path.exists());
    }

    #[test]
    fn a_copy_of_the_directory_is_the_log_too() {
        let (dir, path) = log_with("one\ntwo\n");
        let log = LogFile { inode: u64::MAX, ..marked(&path, 4).unwrap() };
        let findings = try_complete(dir.path(), Some(log), b"two\nthree\n", false).unwrap();
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    }

    #[test]
    fn much_that_the_journal_lacks_is_moved_aside() {
        let old = "one\n".to_owned() + &"kept for a person\n".repeat(100_000);
        let (dir, path) = log_with(&old);
        let findings = try_complete(dir.path(), marked(&path, 4), b"two\n", false).unwrap();
        assert!(findings[0].starts_with("MOVED ASIDE"), "{findings:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        let aside =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).find(|p| *p != path).unwrap();
        assert_eq!(fs::read_to_string(aside).unwrap(), old);
    }

    #[test]
    fn a_log_without_a_journal_is_moved_aside() {
        let (dir, path) = log_with("one\n");
        let findings = try_complete(dir.path(), None, b"", false).unwrap();
        assert!(findings[0].starts_with("MOVED ASIDE"), "{findings:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn a_log_that_is_gone_or_too_short_is_reported_and_goes_on() {
        let (dir, path) = log_with("one\ntwo\n");
        let log = marked(&path, 8).unwrap();
        fs::write(&path, "one\n").unwrap();
        let findings = try_complete(dir.path(), Some(log), b"three\n", false).unwrap();
        assert!(findings[0].starts_with("CUT BY SOMEBODY ELSE"), "{findings:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nthree\n");

        let gone = LogFile { inode: u64::MAX, bytes: 80, ..log };
        let findings = try_complete(dir.path(), Some(gone), b"four\n", false).unwrap();
        assert!(findings[0].starts_with("MISSING"), "{findings:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nthree\nfour\n");
    }
}
