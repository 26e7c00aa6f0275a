//! Which files are one host's log: the log itself and what rotation has made of its older parts.
//!
//! Of `access.log` these are pieces, each also with `.gz` behind it, oldest first:
//! `access_2026-11-21_03-00-00.log` (by name), `access.log.3`, `access.log.2` … or `access.log-20261121`, and
//! `access.log` itself. A folder stands for the `access.log` in it.

use anyhow::{Context as _, bail};
use std::cmp::Reverse;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The name of the log in a folder.
const IN_FOLDER: &str = "access.log";

/// A log: its pieces, oldest first, read as one.
pub(super) struct Log {
    /// What tells it from the other logs.
    pub(super) name: String,
    pub(super) pieces: Vec<PathBuf>,
    /// For each piece that was read, the number of lines in all pieces before it.
    pub(super) starts: Vec<u64>,
}

impl Log {
    /// The one file `path`.
    pub(super) fn file(path: &Path) -> Log {
        Log { name: path.display().to_string(), pieces: vec![path.to_owned()], starts: Vec::new() }
    }

    /// The piece that holds a line, and the line's place in it, both counted from 0.
    pub(super) fn locate(&self, position: u64) -> (usize, u64) {
        let piece = self.starts.partition_point(|start| *start <= position) - 1;
        (piece, position - self.starts[piece])
    }
}

/// The logs that were named on the command line. A log named twice is one, and pieces named beside their log, as
/// `access*.log*` does, are part of it.
pub(super) fn logs(named: &[PathBuf]) -> anyhow::Result<Vec<Log>> {
    let mut logs: Vec<Named> = Vec::new();
    for path in named {
        let log = Named::find(path)?;
        if !logs.iter().any(|other| other.holds(&log)) {
            logs.retain(|other| !log.holds(other));
            logs.push(log);
        }
    }
    let names = distinct_names(&logs.iter().map(|log| log.path.as_path()).collect::<Vec<_>>());
    let log = |(log, name): (Named, String)| Log { name, pieces: log.pieces, starts: Vec::new() };
    Ok(logs.into_iter().zip(names).map(log).collect())
}

/// A log as it was named, which may be a piece of another one.
struct Named {
    path: PathBuf,
    pieces: Vec<PathBuf>,
    /// The pieces without links, by which they can be told apart.
    files: Vec<PathBuf>,
}

impl Named {
    fn find(path: &Path) -> anyhow::Result<Named> {
        let path = if path.is_dir() { path.join(IN_FOLDER) } else { path.to_owned() };
        let pieces = pieces(&path)?;
        if pieces.is_empty() {
            bail!("{}: there is no such log; name the log of a host, or the folder it is in", path.display());
        }
        let files = pieces.iter().map(|piece| piece.canonicalize()).collect::<Result<_, _>>();
        let files = files.with_context(|| format!("{}: cannot follow a link", path.display()))?;
        Ok(Named { path, pieces, files })
    }

    /// Whether `other` is this log, or a piece of it.
    fn holds(&self, other: &Named) -> bool {
        other.files.last().is_some_and(|youngest| self.files.contains(youngest))
    }
}

/// All pieces of the log at `path`, oldest first. Of a piece that is there both plain and packed, as one that is
/// just being packed, only the plain one.
fn pieces(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let entries = folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| format!("cannot list {}", folder.display()))?.file_name();
        if let Some(age) = age(path.file_name().unwrap_or_default(), &name) {
            found.push((age, path.with_file_name(name)));
        }
    }
    found.sort();
    found.dedup_by(|later, earlier| later.0 == earlier.0);
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Where a piece stands among the others: dated ones by their names, then numbered ones with the highest number
/// first, then the log itself.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Dated(String),
    Numbered(Reverse<u64>),
    Current,
}

/// The age of the piece `name` of the log `log`; none if it is no piece of it.
fn age(log: &OsStr, name: &OsStr) -> Option<Age> {
    if log == name {
        return Some(Age::Current);
    }
    let (log, name) = (log.to_str()?, name.to_str()?);
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let dated =
        |date: &str| date.starts_with(|c: char| c.is_ascii_digit()).then(|| Age::Dated(date.to_owned()));
    match name.strip_prefix(log) {
        Some("") => return Some(Age::Current),
        Some(rest) if rest.starts_with('.') => {
            return rest[1..].parse().ok().map(|n| Age::Numbered(Reverse(n)));
        }
        Some(rest) => return dated(rest.strip_prefix('-')?),
        None => {}
    }
    let (stem, extension) = log.rsplit_once('.')?;
    let infix = name.strip_prefix(stem)?.strip_prefix('_')?.strip_suffix(extension)?.strip_suffix('.')?;
    dated(infix.strip_prefix('r').unwrap_or(infix))
}

/// What differs between the paths: `MV` and `PA` for `T/MV/access.log` and `T/PA/access.log`.
fn distinct_names(paths: &[&Path]) -> Vec<String> {
    let split: Vec<Vec<&OsStr>> = paths.iter().map(|path| path.iter().collect()).collect();
    let depth = split.first().map_or(0, Vec::len);
    let differing: Vec<usize> =
        (0..depth).filter(|i| split.iter().any(|s| s.get(*i) != split[0].get(*i))).collect();
    if differing.is_empty() || split.iter().any(|s| s.len() != depth) {
        return paths.iter().map(|path| path.display().to_string()).collect();
    }
    let name = |parts: &Vec<&OsStr>| {
        let parts: PathBuf = differing.iter().map(|i| parts[*i]).collect();
        let name = parts.display().to_string();
        name.strip_suffix(".log").unwrap_or(&name).to_owned()
    };
    split.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_and_read_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let oldest_first = [
            "access_2026-11-20_03-00-00.log.gz",
            "access_2026-11-21_03-00-00.log",
            "access_2026-11-21_03-00-00.restart-0001.log",
            "access.log.10.gz",
            "access.log.2",
            "access.log.1",
            "access.log",
        ];
        let others =
            ["error.log", "access.txt", "access_old.log", "access.log.swp", "xaccess.log", "access-1.log"];
        for name in oldest_first.iter().rev().chain(&others) {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let expected: Vec<PathBuf> = oldest_first.iter().map(|name| dir.path().join(name)).collect();
        for named in [dir.path().to_owned(), dir.path().join("access.log")] {
            assert_eq!(logs(&[named]).unwrap()[0].pieces, expected);
        }
        let all = logs(&expected).unwrap();
        assert_eq!(all.len(), 1, "a shell's pattern names one log");
        assert_eq!(all[0].pieces, expected);
    }

    #[test]
    fn a_log_named_twice_is_one() {
        let dir = tempfile::tempdir().unwrap();
        for host in ["MV", "PA"] {
            std::fs::create_dir(dir.path().join(host)).unwrap();
            std::fs::write(dir.path().join(host).join("access.log"), "").unwrap();
        }
        let named = ["MV", "PA", "MV/access.log", "PA/../MV/access.log"].map(|path| dir.path().join(path));
        let names: Vec<String> = logs(&named).unwrap().into_iter().map(|log| log.name).collect();
        assert_eq!(names, ["MV", "PA"]);
    }

    #[test]
    fn a_log_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = logs(&[dir.path().join("access.log")]).err().unwrap().to_string();
        assert!(error.contains("access.log: there is no such log"), "{error}");
    }

    #[test]
    fn logs_are_called_by_what_differs() {
        for (paths, names) in [
            (["t/MV/log/access.log", "t/PA/log/access.log"], ["MV", "PA"]),
            (["MV.log", "PA.log"], ["MV", "PA"]),
            (["a/MV/x.log", "b/PA/x.log"], ["a/MV", "b/PA"]),
            (["a/x.log", "x.log"], ["a/x.log", "x.log"]),
        ] {
            assert_eq!(distinct_names(&paths.map(Path::new)), names);
        }
    }
}
