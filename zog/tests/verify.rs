//! `zog verify` as a command, and `scripts/logdiff`, which has to come to the same verdict by other means.
#![allow(clippy::unwrap_used)] // also in the helpers of tests

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const LOGDIFF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/logdiff");
const LINES: &str = "20261121T025142Z one\n20261121T025142Z two\n20261121T025143Z three\n";

/// The logs of MV, with these lines, and of PA.
fn logs(dir: &Path, pa: &[u8]) -> [PathBuf; 2] {
    [("MV", LINES.as_bytes()), ("PA", pa)].map(|(name, text)| {
        fs::create_dir(dir.join(name)).unwrap();
        let log = dir.join(name).join("access.log");
        fs::write(&log, text).unwrap();
        log
    })
}

fn verify(args: &[&str], logs: &[PathBuf]) -> (Option<i32>, String, String) {
    outcome(&Command::new(env!("CARGO_BIN_EXE_zog")).arg("verify").args(args).args(logs).output().unwrap())
}

fn logdiff(logs: &[PathBuf]) -> (Option<i32>, String, String) {
    outcome(&Command::new(LOGDIFF).args(logs).output().unwrap())
}

fn outcome(output: &Output) -> (Option<i32>, String, String) {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output.status.code(), out, err)
}

#[test]
fn equal_logs_end_in_one_line_and_exit_code_0() {
    let dir = tempfile::tempdir().unwrap();
    let logs = logs(dir.path(), LINES.as_bytes());
    let (code, out, err) = verify(&[], &logs);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out.lines().last(), Some("PROVED: 2 hosts have the same 3 lines, each once"));
    assert_eq!(
        logdiff(&logs),
        (Some(0), "logdiff: 2 logs hold the same 3 lines\n".to_owned(), String::new())
    );
}

#[test]
fn unequal_logs_are_told_by_both_with_exit_code_1() {
    let cases: [(&[u8], &str); 6] = [
        (b"20261121T025142Z one\n20261121T025142Z two\n", "NOT PROVED: 1 missing"),
        (
            b"20261121T025142Z one\n20261121T025142Z two\n20261121T025143Z three\n20261121T025142Z two\n",
            "NOT PROVED: 1 doubled",
        ),
        (b"20261121T025142Z one\n20261121T025142Z two\n20261121T025144Z three\n", "NOT PROVED: 1 altered"),
        (
            b"20261121T025142Z one\n20261121T025142Z two\n20261121T025143Z three",
            "NOT PROVED: 1 missing, 1 torn",
        ),
        (
            b"20261121T025142Z one\n20261121T025142Z two\n20261121T025143Z three\n\0\x1b[2J\xc2\x9b\xff\n",
            "NOT PROVED: 1 torn",
        ),
        (b"", "NOT PROVED: 3 missing"),
    ];
    for (pa, verdict) in cases {
        let dir = tempfile::tempdir().unwrap();
        let logs = logs(dir.path(), pa);
        let (code, out, err) = verify(&[], &logs);
        assert_eq!((code, out.lines().last(), err.as_str()), (Some(1), Some(verdict), ""), "{out}");
        assert!(!out.contains(['\x1b', '\u{9b}']), "what is shown cannot reach the terminal");
        let (code, out, err) = logdiff(&logs);
        assert_eq!((code, err.as_str()), (Some(1), ""), "{verdict}: {out}");
        assert!(!out.contains(['\x1b', '\u{9b}']), "what is shown cannot reach the terminal");
    }
}

#[test]
fn rotated_pieces_are_found_by_both() {
    let dir = tempfile::tempdir().unwrap();
    let logs = logs(dir.path(), b"20261121T025143Z three\n");
    assert_eq!(verify(&[], &logs).0, Some(1));
    fs::write(dir.path().join("PA/access.log.1"), "20261121T025142Z two\n").unwrap();
    fs::write(dir.path().join("PA/access_2026-11-21_02-51-42.log"), "20261121T025142Z one\n").unwrap();
    fs::write(dir.path().join("PA/access.log.1.gz"), "a piece that is just being packed").unwrap();
    assert_eq!(verify(&[], &logs).0, Some(0));
    assert_eq!(logdiff(&logs).0, Some(0));
    let folders = ["MV", "PA"].map(|name| dir.path().join(name));
    assert_eq!(verify(&[], &folders).0, Some(0));
    assert_eq!(logdiff(&folders).0, Some(0));
}

#[test]
fn the_first_few_faults_are_named_with_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let logs = logs(dir.path(), b"");
    let (_, out, _) = verify(&["--show", "2"], &logs);
    let named: Vec<&str> = out.lines().filter(|line| line.starts_with("missing on PA: ")).collect();
    let mv = logs[0].display();
    assert_eq!(
        named,
        [
            format!("missing on PA: 20261121T025142Z one  ({mv}:1)"),
            format!("missing on PA: 20261121T025142Z two  ({mv}:2)"),
        ]
    );
}

#[test]
fn json_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, _) = verify(&["--json"], &logs(dir.path(), b"20261121T025142Z one\n"));
    assert_eq!(code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["proved"], false);
    assert_eq!(json["hosts"][1]["name"], "PA");
    assert_eq!(json["hosts"][1]["missing"], 2);
    assert_eq!(json["faults"][0]["text"], "20261121T025142Z two");
}

#[test]
fn what_cannot_be_read_is_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let [mv, _] = logs(dir.path(), b"");
    let nowhere = dir.path().join("S/access.log");
    for (logs, says) in [
        (vec![mv.clone(), nowhere], "cannot list"),
        (vec![mv.clone(), dir.path().to_owned()], "there is no such log"),
        (vec![mv], "one log alone proves nothing"),
    ] {
        let (code, out, err) = verify(&[], &logs);
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(err.contains(says), "{err}");
        assert_eq!(logdiff(&logs).0, Some(2));
    }
}
