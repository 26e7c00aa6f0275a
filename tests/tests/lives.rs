//! One life of a daemon after another: what a failing disk ends, what it does not, and what the next life begins with.

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tests::{Plan, Ring, texts, wait_until};

/// An orderly stop takes at most 5 s; a machine that runs many tests may see it late.
const STOP: Duration = Duration::from_secs(6);

/// A daemon that was hurt may be silent for so long, for all one knows of it.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_term_ends_a_start_that_waits_for_the_disk() {
    let mut ring = Plan::of(1).set_up();
    let journal = ring.state_dir(0).join("journal");
    fs::create_dir_all(&journal).expect("a state directory");
    // Nobody ever writes to it: whoever opens it to read waits for ever.
    let fifo = journal.join(format!("{:016x}.seg", 1));
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).expect("a FIFO");
    ring.spawn(0);
    wait_until("its ports are open", || TcpStream::connect(ring.client_address(0)).is_ok());
    ring.daemon(0).signal(Signal::TERM);
    let (status, took) = ring.daemon(0).wait();
    assert!(status.success(), "{status}");
    assert!(took < STOP, "{took:?}");
    assert_eq!(ring.daemon(0).stdout(), "", "it was never ready");
}

#[test]
fn a_journal_that_cannot_be_written_ends_the_life_and_the_next_one_goes_on_with_the_reloaded_settings() {
    let mut ring = Plan::of(1).with("ack = \"journaled\"").with_journal("segment = \"1MiB\"").start();
    ring.client(0).expect("MSG before", "OK");
    let reloaded = fs::read_to_string(ring.config()).expect("ring.toml");
    fs::write(ring.config(), format!("client_idle = \"2s\"\n{reloaded}")).expect("ring.toml");
    ring.daemon(0).signal(Signal::HUP);
    ring.wait_for_error(0, &["RELOAD done"]);

    let in_the_way = replace_next_segment(&ring);
    fill_segment(&ring);
    ring.wait_for_error(0, &["JOURNAL FAILED"]);
    fs::remove_dir(&in_the_way).expect("what is in the way");
    ring.wait_for_error(0, &["BEGUN AGAIN"]);
    assert_eq!(ring.daemon(0).stdout().matches(" ready ").count(), 1, "{}", ring.daemon(0).stdout());

    let mut idle = ring.client(0);
    idle.expect("MSG after", "OK");
    assert!(idle.rest().contains("no line for too long"), "the reloaded client_idle holds");
    let log = ring.access_log(0);
    let own: Vec<_> = texts(&log).into_iter().filter(|text| !text.starts_with("filling ")).collect();
    assert_eq!(own, ["before", "after"]);
}

/// Puts a directory where the segment is that the daemon will write next.
fn replace_next_segment(ring: &Ring) -> PathBuf {
    let next = ring.state_dir(0).join("journal").join(format!("{:016x}.seg", 2));
    wait_until("the next segment is made ready", || next.exists());
    fs::remove_file(&next).expect("a segment");
    fs::create_dir(&next).expect("a directory in its place");
    next
}

/// Sends more messages than fit into a segment, and waits for their answers or the end.
fn fill_segment(ring: &Ring) {
    let text = "x".repeat(400);
    let lines: String = (0..3000).map(|n| format!("MSG filling {n} {text}\r\n")).collect();
    let mut client = ring.client(0);
    client.send_in_background(lines + "QUIT\r\n");
    let _answers = client.rest();
}

#[test]
fn what_was_left_unfinished_is_removed_and_what_cannot_be_made_ready_is_named_once() {
    let mut ring = Plan::of(1).with("ack = \"journaled\"").with_journal("segment = \"1MiB\"").set_up();
    let journal = ring.state_dir(0).join("journal");
    fs::create_dir_all(&journal).expect("a state directory");
    let unfinished = journal.join(format!("{:016x}.new", 7));
    fs::write(&unfinished, "half a segment").expect("a file");
    ring.start_hosts(&[0]);
    assert!(!unfinished.exists(), "what a crash left is removed");
    let second = journal.join(format!("{:016x}.seg", 2));
    wait_until("the second segment is made ready", || second.exists());
    // The third one has no place to be made in.
    let in_the_way = journal.join(format!("{:016x}.new", 3));
    fs::create_dir(&in_the_way).expect("a directory");
    fill_segment(&ring);
    ring.wait_for_error(0, &["TROUBLE with making the next segment"]);
    let tries = ring.client(0).report("STATUS");
    assert!(tries.is_some_and(|lines| lines[0].contains(" journal=full ")), "STATUS says it, too");
    fs::remove_dir(&in_the_way).expect("what is in the way");
    ring.wait_for_error(0, &["TROUBLE OVER with making the next segment"]);
    ring.client(0).expect("MSG after", "OK");
    ring.wait_for_error(0, &["JOURNAL HAS ROOM"]);
    let errors = ring.error_log(0);
    for once in ["TROUBLE with", "JOURNAL FULL"] {
        assert_eq!(errors.matches(once).count(), 1, "once, however often it is tried: {errors}");
    }
}

#[test]
fn a_daemon_whose_standard_error_cannot_be_written_lives() {
    let ring = Plan::of(1).set_up();
    let full = File::options().write(true).open("/dev/full").expect("a device");
    let mut daemon = ring.command(0).stdout(Stdio::null()).stderr(full).spawn().expect("zog can be started");
    let is_over = |d: &mut std::process::Child| d.try_wait().is_ok_and(|status| status.is_some());
    wait_until("its port is open", || {
        is_over(&mut daemon) || TcpStream::connect(ring.client_address(0)).is_ok()
    });
    let mut client = ring.client(0);
    let told = ["what it refuses", "MSG what it takes"].map(|line| {
        let is_sent = client.try_send(format!("{line}\r\n")).is_ok() && !client.is_silent_for(PATIENCE);
        is_sent.then(|| client.next_line()).flatten().unwrap_or_default()
    });
    let has_ended = is_over(&mut daemon);
    daemon.kill().and_then(|()| daemon.wait()).expect("it was started here");
    assert!(!has_ended && told[0].starts_with("ERR 400 ") && told[1] == "OK", "{told:?}");
}
