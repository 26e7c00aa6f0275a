//! access.log and error.log while they are rotated, and ring.toml while it is changed.

use rustix::process::Signal;
use std::fs;
use tests::{Load, Plan, Ring, wait_until};

/// All that was sent is in the logs of all hosts, rotated pieces taken together.
fn assert_all_logged(ring: &Ring, hosts: &[usize], load: Load) {
    let sent = load.stop();
    ring.wait_for_lines(hosts, sent.ok.len());
    ring.assert_equal_logs(hosts);
}

#[test]
fn hup_under_load_with_a_renamed_log_loses_and_splits_nothing() {
    let mut ring = Plan::of(3).start();
    let load = Load::start(ring.client_address(0), "load");
    let dir = ring.log_dir(1);
    for piece in 1..=5 {
        load.go_on_for(100);
        fs::rename(dir.join("access.log"), dir.join(format!("access.log.{piece}"))).expect("a log to rename");
        ring.daemon(1).signal(Signal::HUP);
        wait_until("access.log is opened anew", || dir.join("access.log").exists());
    }
    load.go_on_for(100);
    assert_all_logged(&ring, &[0, 1, 2], load);
    for piece in 1..=5 {
        let rotated = fs::read_to_string(dir.join(format!("access.log.{piece}"))).expect("a rotated log");
        assert!(rotated.ends_with('\n'), "piece {piece} ends with a whole line");
    }
}

#[test]
fn rotation_by_size_under_load_loses_nothing() {
    let ring = Plan::of(3).with_log("rotate_size = \"8KiB\"").with_log("keep = 1000").start();
    let load = Load::start(ring.client_address(0), "load with some more text to fill the log");
    load.go_on_for(2000);
    assert_all_logged(&ring, &[0, 1, 2], load);
    for host in 0..3 {
        let pieces = fs::read_dir(ring.log_dir(host)).expect("the log directory");
        let pieces = pieces
            .filter(|p| p.as_ref().is_ok_and(|p| p.file_name().to_string_lossy().starts_with("access")));
        assert!(pieces.count() > 10, "{} rotated", ring.name(host));
    }
}

#[test]
fn a_broken_ring_toml_at_hup_keeps_the_old_state_and_says_why() {
    let mut ring = Plan::of(3).start();
    let good = fs::read_to_string(ring.config()).expect("ring.toml");
    fs::write(ring.config(), format!("keepalive = \"soon\"\n{good}")).expect("ring.toml can be written");
    ring.daemon(0).signal(Signal::HUP);
    let why = ring.wait_for_error(0, &["ring.toml", "keepalive"]);
    assert!(why.contains(":1"), "it names the line: {why}");
    ring.client(0).expect("MSG goes on", "OK");
    ring.wait_for_text(&[0, 1, 2], "goes on");
}

#[test]
fn changed_settings_hold_from_a_hup_on() {
    let mut ring = Plan::of(1).start();
    let mut idle = ring.client(0);
    let good = fs::read_to_string(ring.config()).expect("ring.toml");
    fs::write(ring.config(), format!("client_idle = \"200ms\"\n{good}")).expect("ring.toml can be written");
    ring.daemon(0).signal(Signal::HUP);
    let _ = idle.rest();
    assert!(ring.daemon(0).try_wait().is_none(), "the daemon runs on");
}

#[test]
fn a_changed_order_of_hosts_at_hup_is_said_to_need_a_restart() {
    let mut ring = Plan::of(2).start();
    let good = fs::read_to_string(ring.config()).expect("ring.toml");
    let retired = "[[host]]\nname = \"Q\"\naddress = \"127.0.0.9\"\nretired = true\n";
    let changed = [good.replace("\"B\"", "\"Z\""), format!("{good}\n{retired}")];
    for (n, changed) in changed.iter().enumerate() {
        fs::write(ring.config(), changed).expect("ring.toml can be written");
        ring.daemon(0).signal(Signal::HUP);
        wait_until("it is said once more", || ring.error_lines(0, &["RELOAD", "restart"]).len() == n + 1);
    }
    ring.client(0).expect("MSG as before", "OK");
    ring.wait_for_text(&[0, 1], "as before");
}

#[test]
fn a_torn_last_line_is_cut_at_the_start_and_reported() {
    let mut ring = Plan::of(1).start();
    ring.client(0).expect("MSG whole", "OK");
    ring.kill(0);
    let whole = ring.access_log(0);
    fs::write(ring.log_dir(0).join("access.log"), format!("{whole}20261121T03")).expect("a log to tear");
    ring.start_hosts(&[0]);
    ring.wait_for_error(0, &["access.log"]);
    ring.client(0).expect("MSG next", "OK");
    ring.wait_for_lines(&[0], 2);
    assert!(ring.access_log(0).starts_with(&whole));
}
