//! Clients that want too much: memory and the other clients stay as they are.

use std::env;
use std::time::Duration;
use tests::{Connection, Plan, open_files, peak_memory, raise_open_files, wait_until};

const MIB: usize = 1 << 20;

/// What a daemon may need more than before, whatever a client does.
const MEMORY: u64 = 16 << 20;

#[test]
fn a_line_of_1_gib_leaves_memory_flat() {
    let mut ring = Plan::of(2).start();
    let mut client = ring.client(0);
    client.expect("MSG before", "OK");
    let pid = ring.daemon(0).pid();
    let before = peak_memory(pid);
    let block = vec![b'x'; MIB];
    (0..1024).for_each(|_| client.send(&block));
    client.send("\r\n");
    assert!(client.line().starts_with("ERR 413 "));
    client.expect("MSG after", "OK");
    let after = peak_memory(pid);
    assert!(after - before < MEMORY, "memory grew from {before} to {after} bytes");
    ring.wait_for_lines(&[0, 1], 2);
    let address = client.local_address().to_string();
    assert_eq!(ring.error_lines(0, &[&address]).len(), 1, "one line in error.log for one line refused");
}

#[test]
fn a_client_that_never_reads_is_not_read_and_disturbs_nobody() {
    let mut ring = Plan::of(2).start();
    let pid = ring.daemon(0).pid();
    let before = peak_memory(pid);
    let mut deaf = ring.client(0);
    deaf.narrow();
    deaf.give_up_writing_after(Duration::from_millis(500));
    let block = "x\r\n".repeat(MIB / 3);
    let taken = (0..256).take_while(|_| deaf.try_send(&block).is_ok()).count();
    assert!(taken < 256, "the daemon read {taken} MiB from a client that never reads");
    ring.client(0).expect("MSG of another client", "OK");
    ring.wait_for_text(&[0, 1], "of another client");
    let after = peak_memory(pid);
    assert!(after - before < MEMORY, "memory grew from {before} to {after} bytes");
}

#[test]
fn ten_thousand_idle_clients_disturb_nobody() {
    const CLIENTS: usize = 10_000;
    if !raise_open_files(CLIENTS as u64 + 500) {
        let why = format!("the hard limit of open files is below {}: see `ulimit -Hn`", CLIENTS + 500);
        // Asked for by hand, so that nobody takes a test that did nothing for one that passed.
        let may_skip = env::var_os("ZOG_ALLOW_SKIPS").is_some_and(|value| value == "1");
        assert!(may_skip, "{why}; ZOG_ALLOW_SKIPS=1 skips this test");
        eprintln!("SKIPPED: {why}");
        return;
    }
    let mut ring = Plan::of(2).start();
    let pid = ring.daemon(0).pid();
    let before = open_files(pid);
    // Without the second handle that a `Connection` has.
    let address = ring.client_address(0);
    let idle: Vec<_> =
        (0..CLIENTS).map(|_| std::net::TcpStream::connect(address).expect("the daemon accepts")).collect();
    // The kernel connects them before the daemon has accepted them.
    wait_until("the daemon holds them all", || open_files(pid) >= before + CLIENTS);
    let mut client: Connection = ring.client(0);
    client.expect("MSG in the crowd", "OK");
    ring.wait_for_text(&[0, 1], "in the crowd");
    drop(idle);
    client.expect("MSG after the crowd", "OK");
    assert!(ring.daemon(0).try_wait().is_none());
}

#[test]
fn a_client_beyond_the_limit_is_told_to_come_again_later() {
    let ring = Plan::of(2).with_limit("clients = 3").start();
    let mut clients: Vec<_> = (0..3).map(|_| ring.client(0)).collect();
    clients.iter_mut().for_each(|client| client.expect("KEEPALIVE", "ACK"));
    let mut fourth = ring.client(0);
    let answer = fourth.line();
    assert!(answer.starts_with("ERR 300 "), "{answer}");
    assert_eq!(fourth.rest(), "");
    drop(fourth);
    clients.remove(0).expect("QUIT", "OK");
    wait_until("there is room for another client", || {
        let mut client = ring.client(0);
        client.try_send("KEEPALIVE\r\n").is_ok() && client.next_line().as_deref() == Some("ACK")
    });
}
