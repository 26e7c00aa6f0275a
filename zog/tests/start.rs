//! What `zog run` does before its ports are open.
#![allow(clippy::unwrap_used)] // also in the helpers of tests

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Opening a taken port is given up after 5 s.
const QUICKLY: Duration = Duration::from_secs(3);

#[test]
fn sigterm_is_obeyed_while_a_taken_port_is_waited_for() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let ring = format!(
        "[[host]]\nname = \"A\"\naddress = \"127.0.0.1\"\nring_port = {port}\nclient_port = 1\nhttp_port = 0\n"
    );
    fs::write(dir.path().join("ring.toml"), ring).unwrap();

    let mut zog = Command::new(env!("CARGO_BIN_EXE_zog"))
        .args(["run", "-c", "ring.toml", "-n", "A", "--state-dir", "state", "--log-dir", "log"])
        .args(["--log-level", "warn"])
        .current_dir(dir.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut warnings = BufReader::new(zog.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(warnings.any(|line| line.contains("is taken")));

    let terminated = Instant::now();
    assert!(Command::new("kill").arg(zog.id().to_string()).status().unwrap().success());
    assert_eq!(zog.wait().unwrap().code(), Some(0));
    assert!(terminated.elapsed() < QUICKLY, "{:?}", terminated.elapsed());
}
