//! Wrong files: each file in `invalid/` is refused with exactly the words in the `.err` beside it.
//!
//! After a change of words, `UPDATE_GOLDEN=1 cargo test -p ringfile` writes them anew; read the difference.
#![allow(clippy::unwrap_used)] // also in the helpers of tests

use ringfile::RingFile;
use std::fs;
use std::path::{Path, PathBuf};

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/invalid");

fn files_ending(ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(DIR).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == ending));
    files.sort();
    files
}

/// The message about a file, with the file's name alone in place of its path.
fn message(path: &Path) -> String {
    let error = RingFile::load(path).expect_err(&format!("{} is accepted", path.display()));
    format!("{error}\n").replace(&format!("{DIR}/"), "")
}

#[test]
fn each_wrong_file_is_explained() {
    let mut differing = Vec::new();
    for path in files_ending("toml") {
        let (golden, message) = (path.with_extension("err"), message(&path));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &message).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_else(|_| "(no .err file)\n".to_owned());
        if message != expected {
            differing.push(format!("expected: {expected}found:    {message}"));
        }
    }
    assert!(differing.is_empty(), "\n{}", differing.join("\n"));
}

#[test]
fn every_expectation_has_its_file() {
    for path in files_ending("err") {
        assert!(path.with_extension("toml").exists(), "{} stands alone", path.display());
    }
    assert!(files_ending("toml").len() >= 40);
}

#[test]
fn every_message_names_file_and_line() {
    for path in files_ending("toml") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for line in message(&path).lines() {
            let rest = line.strip_prefix(&format!("{name}:")).unwrap_or_else(|| panic!("{line}"));
            assert!(rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains("; "), "{line}");
        }
    }
}

#[test]
fn a_missing_file_is_named_with_its_whole_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ring.toml");
    let error = RingFile::load(&path).unwrap_err().to_string();
    assert_eq!(error, format!("{0}: there is no file {0}; name another file with -c", path.display()));
}

#[test]
fn a_directory_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let error = RingFile::load(dir.path()).unwrap_err().to_string();
    assert_eq!(error, format!("{}: is a directory; name the file in it with -c", dir.path().display()));
}

#[test]
fn a_huge_file_is_not_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ring.toml");
    fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    let error = RingFile::load(&path).unwrap_err().to_string();
    assert!(error.ends_with("longer than 1 MiB, so no ring.toml; name the right file with -c"), "{error}");
}
