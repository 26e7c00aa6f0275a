//! `zog check`, and what `zog run` says about a ring.toml that is not right.

use std::fs;
use std::process::Output;
use tests::{Plan, Ring, zog};

fn check(ring: &Ring) -> Output {
    zog().arg("check").arg("--config").arg(ring.config()).output().expect("zog can be started")
}

/// Changes ring.toml and expects that `zog check` finds fault with it in these words.
#[track_caller]
fn assert_faulty(change: impl Fn(&str) -> Vec<u8>, words: &[&str]) {
    let ring = Plan::of(3).set_up();
    let good = fs::read_to_string(ring.config()).expect("ring.toml");
    fs::write(ring.config(), change(&good)).expect("ring.toml can be written");
    let output = check(&ring);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    for word in ["ring.toml"].iter().chain(words) {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

#[test]
fn a_good_file_is_shown_as_it_was_understood() {
    let ring = Plan::of(3).set_up();
    let output = check(&ring);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for host in 0..3 {
        assert!(said.contains(&ring.client_address(host).port().to_string()), "{said}");
        assert!(said.contains(&ring.client_address(host).ip().to_string()), "{said}");
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    assert_faulty(|good| format!("keepalives = \"5s\"\n{good}").into(), &[":1", "keepalives", "keepalive"]);
}

#[test]
fn a_doubled_name_is_found() {
    assert_faulty(|good| good.replace("\"C\"", "\"B\"").into(), &["B"]);
}

#[test]
fn a_doubled_address_and_port_is_found() {
    assert_faulty(
        |good| {
            let b = good.split("[[host]]").nth(2).expect("B");
            let c = good.split("[[host]]").nth(3).expect("C");
            let c = c.split("[log]").next().expect("C alone");
            good.replace(c, &b.replace("\"B\"", "\"C\"")).into()
        },
        &["port"],
    );
}

#[test]
fn a_file_without_hosts_is_found() {
    assert_faulty(|_| b"scheme = \"receiver\"\n".to_vec(), &["host"]);
}

#[test]
fn a_binary_file_is_found() {
    assert_faulty(|_| vec![0x7f, b'E', b'L', b'F', 0, 0xff, 0xfe], &[]);
}

#[test]
fn a_missing_file_is_named_with_the_option_that_names_another() {
    let ring = Plan::of(1).set_up();
    fs::remove_file(ring.config()).expect("ring.toml");
    let output = check(&ring);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("ring.toml") && said.contains("-c"), "{said}");
}

#[test]
fn a_name_that_is_not_in_the_ring_is_refused_with_the_names_that_are() {
    let ring = Plan::of(3).set_up();
    let output = zog()
        .args(["run", "--config"])
        .arg(ring.config())
        .args(["--name", "nobody"])
        .current_dir(ring.dir())
        .output()
        .expect("zog can be started");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(["nobody", "A", "B", "C"].iter().all(|word| said.contains(word)), "{said}");
}
