//! Define what happens when the disk is full: rsyslog/rsyslog#4546, syslog-ng/syslog-ng#3551 (need 26).

use std::time::Duration;
use tests::{
    Clients, Connection, Disk, Plan, Random, Ring, assert_account, texts, wait_until, with_own_mounts,
};

const ALL: [usize; 3] = [0, 1, 2];

/// Bytes of the disk that is filled.
const DISK: usize = 8 << 20;

/// A host whose disk is full is asked so often whether it takes messages …
const ATTEMPTS: usize = 5;

/// … and may be silent for so long.
const PATIENCE: Duration = Duration::from_secs(1);

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
            fill_and_free(ring, &disk, false);
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
/// nothing was lost, doubled or torn. C is away meanwhile, so that A's journal has to keep everything.
fn fill_and_free(mut ring: Ring, disk: &Disk, in_status: bool) {
    ring.start_hosts(&ALL);
    let clients = Clients::start(&[ring.client_address(0)], 4, "full", &mut Random::new(26));
    wait_until("the load runs", || clients.answered() > 200);
    ring.kill(2);
    disk.fill();
    wait_until("A does not take many messages any more", || !takes(&ring, 0, 200));
    wait_until("A takes no message any more", || !takes(&ring, 0, 1));
    if in_status {
        wait_until("A says that its journal is full", || says_full(&ring));
    }
    for _ in 0..ATTEMPTS {
        assert!(!takes(&ring, 0, 1), "a message was answered OK though the disk is full");
    }
    // Like fences, so that the account of the clients does not have to know of them.
    let past = ring.send(1, "fence#past the full host", 100);
    disk.free();
    wait_until("A takes messages again", || takes(&ring, 0, 1));
    let goal = clients.answered() + 200;
    wait_until("the load runs again", || clients.answered() >= goal);
    ring.assert_runs(0);
    let messages = clients.stop();
    ring.start_hosts(&[2]);
    ring.wait_for_text(&ALL, &past[99]);
    ring.fence(&ALL);
    assert_account(&ring, &messages);
}

/// Whether a host answers so many long messages `OK`. If not, it may still have taken some.
fn takes(ring: &Ring, host: usize, messages: usize) -> bool {
    let mut client = ring.client(host);
    let lines = format!("MSG fence#{}\r\n", "may be refused ".repeat(30)).repeat(messages);
    client.try_send(lines).is_ok()
        && (0..messages)
            .all(|_| !client.is_silent_for(PATIENCE) && client.next_line().as_deref() == Some("OK"))
}

fn says_full(ring: &Ring) -> bool {
    let report = ring.client(0).report("STATUS");
    report.is_some_and(|lines| lines.iter().any(|l| l.starts_with("node ") && l.contains(" journal=full ")))
}

/// What A answers to `/readyz`.
fn readyz(ring: &Ring) -> String {
    let mut connection = Connection::to(ring.http_address(0));
    connection.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.rest()
}

#[test]
fn need_26_what_keep_free_says_stays_free_and_then_it_goes_on() {
    with_own_mounts("need_26_what_keep_free_says_stays_free_and_then_it_goes_on", || {
        let mut ring = plan().with_http().with_journal("keep_free = \"4MiB\"").set_up();
        let disk = Disk::mount(&ring.host_dir(0), 16 << 20);
        ring.start_hosts(&ALL);
        ring.client(0).expect("MSG with room", "OK");
        wait_until("A is ready", || readyz(&ring).starts_with("HTTP/1.1 200 "));
        disk.fill_up_to(3 << 20);
        let text = "x".repeat(500);
        let mut sent = 0;
        let refused = loop {
            match ring.client(0).ask(&format!("MSG {sent} {text}")) {
                answer if answer == "OK" => sent += 1,
                answer => break answer,
            }
            assert!(sent < 10_000, "5 MB went to a disk of which 4 MiB should stay free");
        };
        assert!(refused.starts_with("ERR 300 ") && refused.contains("room"), "{refused}");
        ring.wait_for_error(0, &["TROUBLE with making", "journal.keep_free"]);
        let why = readyz(&ring);
        assert!(why.starts_with("HTTP/1.1 503 ") && why.contains("\"keep_free\""), "{why}");
        ring.client(1).expect("MSG to another host", "OK");
        disk.free();
        // A message that is short enough may be taken before, into what is left of the segment.
        ring.wait_for_error(0, &["JOURNAL HAS ROOM"]);
        wait_until("A is ready again", || readyz(&ring).starts_with("HTTP/1.1 200 "));
        ring.client(0).expect("MSG room again", "OK");
        ring.wait_for_text(&ALL, "to another host");
        ring.wait_for_text(&ALL, "room again");
        ring.wait_for_lines(&ALL, sent + 3);
    });
}

#[test]
fn need_26_with_the_logs_disk_full_facts_are_told_in_their_turn_and_messages_are_refused() {
    with_own_mounts(
        "need_26_with_the_logs_disk_full_facts_are_told_in_their_turn_and_messages_are_refused",
        || {
            for level in ["journaled", "synced"] {
                let mut ring = plan().with(&format!("ack = \"{level}\"")).set_up();
                let disk = Disk::mount(&ring.log_dir(0), DISK);
                ring.start_hosts(&[0]);
                facts_are_told(&ring, &disk);
            }
        },
    );
}

/// Fills the disk of A's logs, and asks it then: whoever waits for an `OK` waits with all that comes behind it, and
/// nobody else does.
fn facts_are_told(ring: &Ring, disk: &Disk) {
    let (mut waiting, mut asking) = (ring.client(0), ring.client(0));
    asking.expect("MSG with room", "OK");
    disk.fill();
    // More than a page, of which the last one may have room left; small enough to be read at once.
    let messages = 12;
    let lines: String = (0..messages).map(|n| format!("MSG {n:0500}\r\n")).collect();
    waiting.send(lines + "STATUS\r\n");
    wait_until("STATUS says that access.log is halted", || {
        asking.report("STATUS").is_some_and(|facts| facts[0].contains(" access_log=halted "))
    });
    assert!(waiting.is_silent_for(PATIENCE), "not even a STATUS goes before an OK that must wait");
    assert!(asking.ask("WHO A/0123456789abcdef.1").starts_with("ERR 404 "));
    asking.expect("KEEPALIVE", "ACK");
    let why = "ERR 300 access.log cannot be written";
    ring.client(0).expect("HELLO t", why);
    asking.expect("MSG without room", why);
    assert_eq!(asking.rest(), "", "it is closed");
    disk.free();
    for n in 0..messages {
        assert_eq!(waiting.line(), "OK", "{n}");
    }
    assert!(waiting.line().starts_with("+ node A "), "then what came behind");
    wait_until("messages are taken again", || ring.client(0).ask("MSG room again") == "OK");
    assert_eq!(texts(&ring.access_log(0)).len(), messages + 2);
}
