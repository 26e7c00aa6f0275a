//! What users of comparable systems ask for: that what was acknowledged is on a disk, and is found there again. The
//! number in a name is that of the need; the comment cites threads in which it was asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tests::{Connection, Plan, Ring, Way};

const ALL: [usize; 3] = [0, 1, 2];

fn plan() -> Plan {
    Plan::of(3).with("redial_min = \"20ms\"").with("redial_max = \"100ms\"")
}

/// The segments of a host's journal, oldest first.
fn segments(ring: &Ring, host: usize) -> Vec<PathBuf> {
    let entries = fs::read_dir(ring.state_dir(host).join("journal")).expect("the journal's directory");
    let mut files: Vec<_> = entries.map(|e| e.expect("an entry of the journal's directory").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "seg"));
    files.sort();
    files
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// A session with this level.
fn session(ring: &Ring, host: usize, token: &str, level: &str) -> Connection {
    let mut client = ring.client(host);
    client.expect(&format!("HELLO {token} ack={level}"), "OK 0");
    client
}

fn at(text: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    format!("AT {} {text}", pzog::Stamp::of_utc_seconds(now.as_secs()))
}

/// "Acknowledged" must mean on disk: nats-io/nats-server#7564, #7567; nsqio/nsq#755, #1142, #1391, #1386.
#[test]
fn need_12_what_is_acknowledged_stands_in_the_journal() {
    let ring = plan().start();
    for level in ["journaled", "synced", "majority", "all"] {
        let text = format!("at level {level}");
        session(&ring, 0, level, level).expect(&at(&text), "OK");
        let holders = if level == "all" { &ALL[..] } else { &ALL[..1] };
        for &host in holders {
            let found = segments(&ring, host)
                .iter()
                .any(|file| position(&fs::read(file).expect("a segment"), text.as_bytes()).is_some());
            assert!(found, "{text:?} was answered OK and is not in the journal of {}", ring.name(host));
        }
    }
}

/// kill -9 must not erase the queue or the stream: nats-io/nats-server#6888, #5382, #6236; nsqio/nsq#1354, #1459.
#[test]
fn need_13_what_only_one_host_has_survives_its_kill() {
    let mut ring = plan().start();
    ring.kill(1);
    ring.kill(2);
    let mut sent = Vec::new();
    for kill in 1..=3 {
        sent.extend(ring.send(0, &format!("only A has it, before kill {kill}"), 300));
        ring.kill(0);
        ring.start_unlinked(&[0]);
    }
    ring.start_hosts(&[1, 2]);
    ring.assert_each_once(&ALL, &sent);
}

/// The same, of all hosts at once.
#[test]
fn need_13_nothing_acknowledged_is_lost_when_all_hosts_are_killed_at_once() {
    let mut ring = plan().start();
    let mut sent = Vec::new();
    for round in 1..=3 {
        for host in ALL {
            sent.extend(ring.send(host, &format!("round {round} through {}", ring.name(host)), 200));
        }
        for host in ALL {
            ring.kill(host);
        }
        ring.start_hosts(&ALL);
    }
    ring.assert_each_once(&ALL, &sent);
}

/// If one box burns, the message must exist elsewhere: nsqio/nsq#981, #678, #1414 (answered by #510).
#[test]
fn need_14_what_a_majority_has_survives_the_loss_of_a_host_and_its_disk() {
    let mut ring = plan().start();
    ring.kill(2);
    let mut client = session(&ring, 0, "burnt", "majority");
    let texts: Vec<_> = (0..100).map(|n| format!("two disks have it {n}")).collect();
    for text in &texts {
        client.expect(&at(text), "OK");
    }
    ring.kill(0);
    fs::remove_dir_all(ring.host_dir(0)).expect("a disk to burn");
    ring.start_hosts(&[2]);
    ring.assert_each_once(&[1, 2], &texts);
}

/// Hosts that hold different data must notice and heal: nats-io/nats-server#5576, #5646, #2642, #4174. Here because
/// they were cut off from each other.
#[test]
fn need_15_hosts_that_were_cut_off_from_each_other_hold_the_same_again() {
    let ring = Plan::of(5).with_net().with("redial_min = \"20ms\"").with("redial_max = \"100ms\"").start();
    let mut sent = Vec::new();
    for round in 0..3 {
        for (a, b) in [(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)] {
            ring.net().set_both(a, b, Way::Reset);
        }
        for host in 0..5 {
            sent.extend(ring.send(host, &format!("{round} in the part of {}", ring.name(host)), 100));
        }
        ring.net().heal();
        ring.assert_each_once(&[0, 1, 2, 3, 4], &sent);
    }
}

/// … and here because one of them was restored from an old copy of its disk.
#[test]
fn need_15_a_host_restored_from_an_old_copy_gets_what_it_lacks() {
    let mut ring = plan().start();
    let mut sent = ring.send(0, "before the copy", 100);
    sent.extend(ring.send(1, "its own before the copy", 100));
    ring.fence(&ALL);
    ring.kill(1);
    let (disk, copy) = (ring.host_dir(1), ring.dir().join("copy"));
    copy_directory(&disk, &copy);
    ring.start_hosts(&[1]);
    sent.extend(ring.send(0, "after the copy", 100));
    sent.extend(ring.send(1, "its own after the copy", 100));
    ring.fence(&ALL);
    ring.kill(1);
    fs::remove_dir_all(&disk).expect("a disk to lose");
    copy_directory(&copy, &disk);
    ring.start_hosts(&[1]);
    sent.extend(ring.send(1, "its own after the restore", 100));
    ring.assert_each_once(&ALL, &sent);
}

/// With owners and links as they are: no inode is what it was.
fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory for a copy");
    for entry in fs::read_dir(from).expect("a directory to copy") {
        let entry = entry.expect("an entry of a directory");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("the type of a file").is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy of a file");
        }
    }
}

/// A damaged queue file must not stop start-up or be thrown away in silence: rsyslog/rsyslog#5771, #1845, #868, #2654,
/// #2655; syslog-ng/syslog-ng#1770, #4069. What it held is had from the others.
#[test]
fn need_24_a_damaged_journal_is_reported_and_repaired_from_the_others() {
    let mut ring = plan().start();
    let mut sent = ring.send(0, "to be damaged", 300);
    ring.fence(&ALL);
    ring.kill(1);
    damage(&ring, 1, "to be damaged 150");
    ring.start_hosts(&[1]);
    ring.wait_for_error(1, &["DAMAGED"]);
    sent.extend(ring.send(1, "after the damage", 10));
    ring.assert_each_once(&ALL, &sent);
}

/// The same of the host that the messages came from, which the others never heard of.
#[test]
fn need_24_what_a_damaged_journal_held_alone_is_named() {
    let mut ring = plan().start();
    ring.kill(1);
    ring.kill(2);
    let sent = ring.send(0, "only A has it", 300);
    ring.kill(0);
    damage(&ring, 0, "only A has it 150");
    ring.start_unlinked(&[0]);
    ring.wait_for_error(0, &["DAMAGED"]);
    ring.start_hosts(&[1, 2]);
    ring.fence(&ALL);
    let log = ring.all_access_logs(1);
    let lost: Vec<_> = sent.iter().filter(|text| !log.contains(&format!(" {text}\n"))).collect();
    assert!(!lost.is_empty() && lost.len() < sent.len(), "{} of {} are lost", lost.len(), sent.len());
    for host in [1, 2] {
        ring.wait_for_error(host, &["GIVEN UP "]);
    }
    ring.assert_equal_logs(&[1, 2]);
}

/// Alters the bytes of one message in a host's journal.
#[track_caller]
fn damage(ring: &Ring, host: usize, text: &str) {
    let mut done = false;
    for file in segments(ring, host) {
        let mut bytes = fs::read(&file).expect("a segment");
        if let Some(at) = position(&bytes, text.as_bytes()) {
            bytes[at] ^= 0x20;
            fs::write(&file, bytes).expect("a segment to damage");
            done = true;
        }
    }
    assert!(done, "{text:?} is not in the journal of {}", ring.name(host));
}

/// Queued data must survive an ordinary reboot: syslog-ng/syslog-ng#5714, #1734; rsyslog/rsyslog#5364, #1269, #4018.
#[test]
fn need_25_what_waits_for_a_host_survives_an_orderly_stop_of_all() {
    let mut ring = plan().start();
    assert!(ring.stop(2).success());
    let mut sent = ring.send(0, "waits in A", 300);
    sent.extend(ring.send(1, "waits in B", 300));
    for host in [0, 1] {
        assert!(ring.stop(host).success());
    }
    ring.start_hosts(&[2]);
    ring.start_hosts(&[0, 1]);
    ring.assert_each_once(&ALL, &sent);
}
