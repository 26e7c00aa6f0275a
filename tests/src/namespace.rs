//! Tests in a process with a namespace of its own: nobody else sees what they do to mounts or to the network, and the
//! kernel clears it away with the last process.

use rustix::process::geteuid;
use std::env;
use std::io;
use std::process::{Command, Output};

/// Set in the process that has the namespace.
const OWN: &str = "ZOG_TEST_HAS_OWN_NAMESPACE";

/// Runs the body of the test with this name once more, in a process with a namespace of its own: `kind` is the option of
/// unshare, and `probe` a command that can only work in one. Where the system allows none, says so and does nothing.
#[track_caller]
pub(crate) fn with_own(kind: &str, probe: &[&str], test: &str, body: impl FnOnce()) {
    if env::var_os(OWN).is_some() {
        return body();
    }
    if let Some(why) = refusal(unshare(kind).args(probe).output()) {
        eprintln!("SKIPPED {test}: a namespace (unshare {kind}) cannot be had here: {why}");
        return;
    }
    let this = env::current_exe().expect("the path of this test");
    let output = unshare(kind)
        .arg(this)
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(OWN, "1")
        .output()
        .expect("what ran just now runs again");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} failed in its own namespace:\n{said}");
    assert!(said.contains("1 passed"), "there is no test {test}:\n{said}");
}

/// Runs the body of the test with this name once more, in a process with a network of its own in which there is only
/// 127.0.0.0/8. Where the system allows none, says so and does nothing.
///
/// # Panics
/// If the test fails there.
#[track_caller]
pub fn with_own_network(test: &str, body: impl FnOnce()) {
    with_own("--net", &["ip", "link", "set", "lo", "up"], test, || {
        set_network("up");
        body();
    });
}

/// Gives the network of [`with_own_network`] another address; false where the system has no IPv6.
///
/// # Panics
/// If there is no `ip`.
#[must_use]
pub fn add_ipv6(address: &str) -> bool {
    let added = Command::new("ip").args(["-6", "address", "add", address, "dev", "lo", "nodad"]).output();
    added.expect("ip can be started").status.success()
}

/// Takes the network of [`with_own_network`] `up` or `down`: then all that is sent is lost, and nobody is told.
///
/// # Panics
/// If that fails.
pub fn set_network(state: &str) {
    let set = Command::new("ip").args(["link", "set", "lo", state]).output();
    assert_eq!(refusal(set), None, "ip link set lo {state}");
}

fn unshare(kind: &str) -> Command {
    let mut command = Command::new("unshare");
    command.arg(kind);
    if !geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
}

/// Why a command could not do its work.
pub(crate) fn refusal(output: io::Result<Output>) -> Option<String> {
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(e) => Some(e.to_string()),
    }
}
