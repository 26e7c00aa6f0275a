//! Define what happens when the disk is full: rsyslog/rsyslog#4546, syslog-ng/syslog-ng#3551 (need 26).

use std::thread;
use std::time::Duration;
use tests::{Clients, Disk, Plan, Random, Ring, assert_account, wait_until, with_own_mounts};

const ALL: [usize; 3] = [0, 1, 2];

/// Bytes of the disk that is filled.
const DISK: usize = 8 << 20;

/// A host whose disk is full is asked so often whether it takes messages.
const ATTEMPTS: usize = 20;

#[test]
fn need_26_with_the_journal_s_disk_full_nothing_is_acknowledged_until_there_is_room() {
    with_own_mounts(
        "need_26_with_the_journal_s_disk_full_nothing_is_acknowledged_until_there_is_room",
        || {
            let ring = plan().set_up();
            let disk = Disk::mount(&ring.state_dir(0), DISK);
            fill_and_free(ring, &disk, true);
        },
    );
}

#[test]
fn need_26_with_the_disk_of_journal_and_logs_full_nothing_is_acknowledged_until_there_is_room() {
    with_own_mounts(
        "need_26_with_the_disk_of_journal_and_logs_full_nothing_is_acknowledged_until_there_is_room",
        || {
            let ring = plan().set_up();
            let disk = Disk::mount(&ring.host_dir(0), DISK);
            fill_and_free(ring, &disk, true);
        },
    );
}

#[test]
fn need_26_with_the_logs_disk_full_no_line_is_lost_or_torn() {
    with_own_mounts("need_26_with_the_logs_disk_full_no_line_is_lost_or_torn", || {
        let ring = plan().set_up();
        let disk = Disk::mount(&ring.log_dir(0), DISK);
        fill_and_free(ring, &disk, false);
    });
}

fn plan() -> Plan {
    Plan::of(3)
        .with("redial_min = \"20ms\"")
        .with("redial_max = \"100ms\"")
        .with_limit("ack_timeout = \"500ms\"")
        .with_journal("segment = \"1MiB\"")
}

/// Fills A's disk under load, sees that A takes nothing while the others go on, gives the room back, and proves that
/// nothing was lost, doubled or torn.
fn fill_and_free(mut ring: Ring, disk: &Disk, journal: bool) {
    ring.start_hosts(&ALL);
    let clients = Clients::start(&[ring.client_address(0)], 4, "full", &mut Random::new(26));
    wait_until("the load runs", || clients.answered() > 200);
    disk.fill();
    wait_until("A takes nothing more", || !takes(&ring, 0));
    if journal {
        wait_until("A says that its journal is full", || says_full(&ring));
    }
    let answered = clients.answered();
    for _ in 0..ATTEMPTS {
        assert!(!takes(&ring, 0), "a message was answered OK though the disk is full");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(clients.answered(), answered, "messages answered though the disk is full");
    // Like a fence, so that the account of the clients does not have to know of it.
    let past = ring.send(1, "fence#past the full host", 100);
    ring.wait_for_text(&[1, 2], &past[99]);
    disk.free();
    wait_until("A takes messages again", || takes(&ring, 0));
    let goal = clients.answered() + 200;
    wait_until("the load runs again", || clients.answered() >= goal);
    ring.assert_runs(0);
    let messages = clients.stop();
    ring.wait_for_text(&ALL, &past[99]);
    ring.fence(&ALL);
    assert_account(&ring, &messages);
}

/// Whether a host answers a message `OK`. If not, it may still have taken it.
fn takes(ring: &Ring, host: usize) -> bool {
    let mut client = ring.client(host);
    client.try_send("MSG fence#may be refused\r\n").is_ok() && client.next_line().as_deref() == Some("OK")
}

fn says_full(ring: &Ring) -> bool {
    let report = ring.client(0).report("STATUS");
    report.is_some_and(|lines| lines.iter().any(|l| l.starts_with("node ") && l.contains(" journal=full ")))
}
