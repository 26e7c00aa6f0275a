//! A disk that fails at one point and is well again: nobody is told what is not so, and nothing is lost or doubled.
//!
//! A symbolic link to /dev/null stands for a disk that takes what is written and cannot bring it to stay: to sync it fails
//! (`EINVAL`), and nothing of it can be read again. That a write fails is in `lives.rs`.

use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::{Plan, Ring, counts, texts, wait_until, with_own_mounts};

/// More messages than a segment of 1 MiB holds.
const MESSAGES: usize = 3000;

#[test]
fn a_sync_of_the_journal_that_fails_answers_nobody_and_the_next_life_goes_on_with_what_the_disk_has() {
    let ring = Plan::of(1).with("ack = \"synced\"").with_journal("segment = \"1MiB\"").start();
    let lost = put_in_place_of(&segment(&ring, 2));
    let answered = send_many(&ring);
    assert!(answered < MESSAGES, "what the second segment held was answered OK");
    ring.wait_for_error(0, &["JOURNAL FAILED the journal cannot be synced"]);
    ring.wait_for_error(0, &["BEGUN AGAIN"]);
    assert!(!lost.is_symlink(), "what may not be on the disk was not written anew");
    ring.client(0).expect("MSG after", "OK");
    let log = ring.access_log(0);
    let all = texts(&log);
    assert!(counts(&log).values().all(|count| *count == 1), "something stands there twice");
    assert_eq!(all.last(), Some(&"after"));
    assert!(all.len() > answered, "{} lines, {answered} answered OK", all.len());
    assert!((0..answered).all(|n| all[n].starts_with(&format!("many {n} "))));
}

fn segment(ring: &Ring, number: u64) -> PathBuf {
    ring.state_dir(0).join("journal").join(format!("{number:016x}.seg"))
}

/// Waits for a file, and puts a disk that loses everything in its place.
fn put_in_place_of(path: &Path) -> PathBuf {
    wait_until("the file is there", || path.exists());
    fs::remove_file(path).expect("a file");
    symlink("/dev/null", path).expect("a symbolic link");
    path.to_owned()
}

/// Sends many messages, and returns how many were answered `OK` before the end.
fn send_many(ring: &Ring) -> usize {
    let text = "x".repeat(400);
    let lines: String = (0..MESSAGES).map(|n| format!("MSG many {n} {text}\r\n")).collect();
    let mut client = ring.client(0);
    client.send_in_background(lines + "QUIT\r\n");
    let answers = client.rest();
    answers.lines().filter(|answer| *answer == "OK").count()
}

#[test]
fn a_sync_of_access_log_that_fails_costs_no_line() {
    let mut ring = Plan::of(1).start();
    ring.client(0).expect("MSG before", "OK");
    let path = ring.log_dir(0).join("access.log");
    fs::rename(&path, ring.log_dir(0).join("access.log.1")).expect("it is there");
    symlink("/dev/null", &path).expect("a symbolic link");
    ring.daemon(0).signal(Signal::HUP);
    ring.wait_for_error(0, &["RELOAD done"]);
    ring.client(0).expect("MSG what the disk loses", "OK");
    ring.wait_for_error(0, &["JOURNAL FAILED access.log cannot be synced"]);
    fs::remove_file(&path).expect("a symbolic link");
    ring.wait_for_error(0, &["BEGUN AGAIN"]);
    ring.client(0).expect("MSG after", "OK");
    assert_eq!(texts(&ring.access_log(0)), ["what the disk loses", "after"]);
}

#[test]
fn a_rotation_that_fails_is_told_once_and_the_old_file_is_written_on() {
    with_own_mounts("a_rotation_that_fails_is_told_once_and_the_old_file_is_written_on", || {
        let mut ring = Plan::of(1).with_log("rotate_size = \"10KiB\"").set_up();
        let path = ring.log_dir(0).join("access.log");
        fs::create_dir_all(ring.log_dir(0)).expect("a directory");
        fs::write(&path, "").expect("a file");
        // What something is mounted on cannot be renamed.
        mount(&["mount", "--bind"], &[&path, &path]);
        ring.start_hosts(&[0]);
        let text = "x".repeat(500);
        for n in 0..100 {
            ring.client(0).expect(&format!("MSG {n} {text}"), "OK");
        }
        ring.wait_for_error(0, &["TROUBLE with rotating access.log"]);
        assert_eq!(texts(&ring.access_log(0)).len(), 100, "all is in the old file");
        mount(&["umount", "--lazy"], &[&path]);
        wait_until("it is rotated", || {
            ring.client(0).expect(&format!("MSG then {text}"), "OK");
            !ring.error_lines(0, &["TROUBLE OVER with rotating access.log"]).is_empty()
        });
        assert_eq!(ring.error_lines(0, &["TROUBLE with rotating"]).len(), 1, "it is told once");
        let all = ring.all_access_logs(0);
        let numbered = |n: usize| all.matches(&format!("Z {n} x")).count();
        assert!((0..100).all(|n| numbered(n) == 1), "a line is lost or doubled");
    });
}

fn mount(command: &[&str], paths: &[&Path]) {
    let status = Command::new(command[0]).args(&command[1..]).args(paths).status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?} {paths:?}");
}
