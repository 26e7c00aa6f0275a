//! `sprog who` and `sprog status`, and where ring.toml is looked for.

use crate::fake::{Conversation, Fake, NOBODY, Ring, assert_exit, sprog_in, stderr, stdout};

const ID: &str = "A/00000000000000a1.17";
const EVERYWHERE: &[&str] = &["+ A synced", "+ B synced", "OK"];
const NOT_B: &[&str] = &["+ A synced", "+ B missing for_s=182 down", "OK"];
const FOUND: &[&str] = &["+ A/00000000000000a1.17 20261121T025142Z hello world", "OK"];

/// A daemon with these answers.
fn knowing(answers: &'static [(&'static str, &'static [&'static str])]) -> Fake {
    Fake::always(move |c| c.answer(answers))
}

#[test]
fn who_shows_a_line_for_each_host_and_ends_with_0_where_all_have_it() {
    let a = knowing(&[("WHO A/00000000000000a1.17", EVERYWHERE), ("WHO", NOT_B)]);
    let ring = Ring::of(&[("A", a.port), ("B", NOBODY)]);
    let output = ring.run(&format!("who {ID}"));
    assert_exit(&output, 0);
    let table = "host  state   for  why\nA     synced\nB     synced\n";
    assert_eq!(stdout(&output), format!("{ID}\n{table}"));
    let output = ring.run("who A/00000000000000a1.18");
    assert_exit(&output, 1);
    assert!(stdout(&output).ends_with("B     missing  3m 2s  down\n"), "{}", stdout(&output));
}

#[test]
fn who_finds_a_message_by_its_text() {
    let a = knowing(&[("FIND hello world", FOUND), ("WHO A/00000000000000a1.17", EVERYWHERE)]);
    let ring = Ring::of(&[("A", a.port)]);
    let output = ring.sprog("who").arg("hello world").output().unwrap();
    assert_exit(&output, 0);
    assert!(
        stdout(&output).starts_with(&format!("{ID} 20261121T025142Z hello world\n")),
        "{}",
        stdout(&output)
    );
}

#[test]
fn who_goes_to_the_next_host_where_one_is_down_or_does_not_know() {
    let b = knowing(&[("FIND", &["OK"])]);
    let c = knowing(&[("FIND", FOUND), ("WHO", EVERYWHERE)]);
    let ring = Ring::of(&[("A", NOBODY), ("B", b.port), ("C", c.port)]);
    for question in ["who hello", "who A/00000000000000a1.17"] {
        let output = ring.run(question);
        assert_exit(&output, 0);
        assert!(stderr(&output).contains("A (127.0.0.1, port 1): Connection refused"), "{}", stderr(&output));
    }
    assert_exit(&ring.run("who hello -s B"), 3);
}

#[test]
fn a_message_that_nobody_knows_ends_with_3() {
    let a = knowing(&[("FIND", &["OK"])]);
    let ring = Ring::of(&[("A", a.port), ("B", NOBODY)]);
    for question in ["who hello", "who A/00000000000000a1.17"] {
        let output = ring.run(question);
        assert_exit(&output, 3);
        assert!(stderr(&output).contains("knows the message"), "{}", stderr(&output));
    }
}

#[test]
fn who_all_asks_all_and_shows_who_says_what() {
    let a = knowing(&[("WHO", NOT_B)]);
    let b = knowing(&[("WHO", EVERYWHERE)]);
    let ring = Ring::of(&[("A", a.port), ("B", b.port)]);
    let output = ring.run(&format!("who {ID} --all"));
    assert_exit(&output, 0);
    let told = stdout(&output);
    assert!(
        told.contains("A      B     missing  3m 2s  down\n") && told.contains("B      B     synced\n"),
        "{told}"
    );
    assert_exit(&ring.run(&format!("who {ID}")), 1);
}

#[test]
fn who_as_json_has_an_object_for_each_answer() {
    let a = knowing(&[("FIND", FOUND), ("WHO", NOT_B)]);
    let output = Ring::of(&[("A", a.port)]).run("who hello --json");
    assert_exit(&output, 1);
    let json: serde_json::Value = serde_json::from_str(stdout(&output).trim_end()).unwrap();
    let expected = serde_json::json!({"asked": "A", "message": ID, "entry": "20261121T025142Z hello world",
        "hosts": [{"host": "A", "state": "synced"},
            {"host": "B", "state": "missing", "for_s": 182, "why": "down"}]});
    assert_eq!(json, expected);
}

#[test]
fn a_host_that_hangs_or_speaks_otherwise_is_passed_over() {
    let hangs = Fake::always(Conversation::be_silent);
    let odd = knowing(&[("", &["220 mail.example ESMTP"])]);
    let c = knowing(&[("WHO", EVERYWHERE)]);
    let ring = Ring::of(&[("A", hangs.port), ("B", odd.port), ("C", c.port)]);
    let output = ring.run(&format!("who {ID} --timeout 200ms"));
    assert_exit(&output, 0);
    let told = stderr(&output);
    assert!(told.contains("no answer within 200ms") && told.contains("is it a zog daemon?"), "{told}");
}

const STATUS_OF_A: &[&str] = &[
    "+ node A incarnation=00000000000000a1 journal=ok bytes=1048576 segments=1",
    "+ peer B down for_s=60",
    "+ stream A/00000000000000a1 told=9 logged=9 repeats=0 given_up=0 missing=0",
    "+ mark B A/00000000000000a1 journaled=5 synced=5 missing=4 for_s=60",
    "OK",
];

#[test]
fn status_shows_the_first_host_that_answers() {
    let b = knowing(&[("STATUS", STATUS_OF_A)]);
    let ring = Ring::of(&[("A", NOBODY), ("B", b.port)]);
    let output = ring.run("status");
    assert_exit(&output, 0);
    let head = "A: incarnation 00000000000000a1, journal ok, 1.00 MiB in 1 segments\n";
    assert!(stdout(&output).starts_with(head), "{}", stdout(&output));
    assert!(stderr(&output).contains("Connection refused"), "{}", stderr(&output));
    assert_exit(&ring.run("status -s A"), 69);
}

#[test]
fn status_all_shows_what_each_thinks_of_each() {
    let a = knowing(&[("STATUS", STATUS_OF_A)]);
    let b = knowing(&[("STATUS", &["+ node B", "+ peer A up for_s=3", "OK"])]);
    let ring = Ring::of(&[("A", a.port), ("B", b.port)]);
    let output = ring.run("status --all");
    assert_exit(&output, 0);
    let square = "asked  A   B\nA      -   down 1m, 4 missing\nB      up  -\n\nA: incarnation";
    assert!(stdout(&output).starts_with(square), "{}", stdout(&output));
    let ring = Ring::of(&[("A", a.port), ("B", b.port), ("C", NOBODY)]);
    assert_exit(&ring.run("status -a"), 1);
}

#[test]
fn status_as_json_has_an_object_for_each_line() {
    let a = knowing(&[("STATUS", STATUS_OF_A)]);
    let output = Ring::of(&[("A", a.port)]).run("status --json");
    assert_exit(&output, 0);
    let facts: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(facts.len(), 4);
    assert_eq!((&facts[3]["type"], &facts[3]["missing"]), (&"mark".into(), &4.into()));
}

#[test]
fn the_ring_file_is_looked_for_where_the_daemon_looks_for_it() {
    let a = knowing(&[("STATUS", STATUS_OF_A)]);
    let ring = Ring::of(&[("A", a.port)]);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut status = sprog_in(elsewhere.path(), "status");
    assert_exit(&status.env("ZOG_CONFIG", ring.path("ring.toml")).output().unwrap(), 0);
    let mut status = ring.sprog("status -c ring.toml");
    assert_exit(&status.env("ZOG_CONFIG", "missing.toml").output().unwrap(), 0);
    assert_exit(&ring.sprog("status").env("ZOG_CONFIG", "missing.toml").output().unwrap(), 78);
}
