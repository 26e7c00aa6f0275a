//! What is wrong with a ring.toml, in words for the person who wrote it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a ring.toml is not accepted: every fault on a line of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    path: PathBuf,
    faults: Vec<Fault>,
}

/// One thing that is wrong, and what would be right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// Counted from 1; none where the file as a whole is meant.
    pub(crate) line: Option<usize>,
    /// With the table it stands in: `log.keep`.
    pub(crate) key: Option<String>,
    pub(crate) wrong: String,
    pub(crate) right: String,
}

impl Error {
    /// The faults in the order of the file.
    pub(crate) fn new(path: &Path, mut faults: Vec<Fault>) -> Error {
        faults.sort_by_key(|fault| fault.line);
        faults.dedup();
        Error { path: path.to_owned(), faults }
    }

    /// A fault of the file as a whole.
    pub(crate) fn of_file(path: &Path, wrong: impl Into<String>, right: impl Into<String>) -> Error {
        Error::new(path, vec![Fault { line: None, key: None, wrong: wrong.into(), right: right.into() }])
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", self.path.display())?;
            if let Some(line) = fault.line {
                write!(f, ":{line}")?;
            }
            if let Some(key) = &fault.key {
                write!(f, ": key `{key}`")?;
            }
            write!(f, ": {}; {}", fault.wrong, fault.right)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
