//! The account that the kills are proved by sees each way in which a promise can be broken.

use std::fs;
use tests::{Answer, Message, Plan, Ring, Tally, assert_account, write_sent_log, zog};

const TIME: &str = "20261121T030000Z";

/// Six messages of two sessions: `s.1` to `s.3` were given to A alone, `t.1` to both hosts.
fn messages() -> Vec<Message> {
    let message = |session: &str, number, given_to: &[usize], answer| Message {
        session: session.to_owned(),
        number,
        time: TIME.to_owned(),
        text: format!("{session}.{number} text"),
        bad: answer == Some(Answer::Refused),
        given_to: given_to.to_vec(),
        answer,
    };
    vec![
        message("s", 1, &[0], Some(Answer::Ok)),
        message("s", 2, &[0], Some(Answer::Pending)),
        message("s", 3, &[0], Some(Answer::Refused)),
        message("t", 1, &[0, 1], Some(Answer::Ok)),
        message("t", 2, &[1], None),
        message("t", 3, &[1], None),
    ]
}

/// Two hosts that do not run, with these lines in their logs: ids, or whole lines.
fn ring(logs: [&[&str]; 2]) -> Ring {
    let ring = Plan::of(2).set_up();
    for (host, lines) in logs.iter().enumerate() {
        let dir = ring.log_dir(host);
        fs::create_dir_all(&dir).expect("a log directory");
        let line = |id: &&str| if id.len() > 4 { (*id).to_owned() } else { format!("{TIME} {id} text\n") };
        fs::write(dir.join("access.log"), lines.iter().map(line).collect::<String>()).expect("a log");
    }
    ring
}

#[test]
fn what_was_promised_is_proved_and_counted() {
    // What was given to both hosts may stand in any order, and so may messages of different hosts.
    let ring = ring([&["s.1", "t.1", "s.2", "t.2"], &["t.2", "s.1", "s.2", "t.1"]]);
    let tally = assert_account(&ring, &messages());
    let expected = Tally {
        ok: 2,
        pending: 1,
        refused: 1,
        unanswered_and_logged: 1,
        unanswered_and_lost: 1,
        repeated: 1,
    };
    assert_eq!(tally, expected);
    let sent = ring.dir().join("sent");
    write_sent_log(&ring, &messages(), &sent);
    let mut verify = zog();
    verify.arg("verify").arg("--sent").arg(sent).args([ring.log_dir(0), ring.log_dir(1)]);
    assert!(verify.status().expect("zog verify").success());
}

#[test]
#[should_panic(expected = "1 faults:\n[1, 0] times in the logs: Message { session: \"s\", number: 2")]
fn a_lost_message_is_seen() {
    assert_account(&ring([&["s.1", "s.2", "t.1"], &["s.1", "t.1"]]), &messages());
}

#[test]
#[should_panic(expected = "1 faults:\n[0, 0] times in the logs: Message { session: \"s\", number: 1")]
fn a_message_that_all_lost_is_seen() {
    assert_account(&ring([&["s.2", "t.1"], &["s.2", "t.1"]]), &messages());
}

#[test]
#[should_panic(expected = "1 faults:\n[2, 2] times in the logs: Message { session: \"t\", number: 1")]
fn a_message_that_all_doubled_is_seen() {
    assert_account(&ring([&["s.1", "s.2", "t.1", "t.1"], &["s.1", "t.1", "s.2", "t.1"]]), &messages());
}

#[test]
#[should_panic(expected = "1 faults:\n[1, 0] times in the logs: Message { session: \"t\", number: 2")]
fn an_unanswered_message_that_one_host_has_is_seen() {
    assert_account(&ring([&["s.1", "s.2", "t.1", "t.2"], &["s.1", "s.2", "t.1"]]), &messages());
}

#[test]
#[should_panic(expected = "1 faults:\n[1, 1] times in the logs: Message { session: \"s\", number: 3")]
fn a_refused_message_that_was_logged_is_seen() {
    assert_account(&ring([&["s.1", "s.2", "s.3", "t.1"], &["s.1", "s.2", "s.3", "t.1"]]), &messages());
}

#[test]
#[should_panic(expected = "of what A was given, B has \"s.2 text\" where A has \"s.1 text\"")]
fn messages_of_one_host_in_another_order_are_seen() {
    assert_account(&ring([&["s.1", "s.2", "t.1"], &["s.2", "s.1", "t.1"]]), &messages());
}

#[test]
#[should_panic(expected = "nobody sent it")]
fn a_line_that_nobody_sent_is_seen() {
    let foreign = format!("{TIME} u.1 text\n");
    assert_account(&ring([&["s.1", "s.2", "t.1", &foreign], &["s.1", "s.2", "t.1"]]), &messages());
}

#[test]
#[should_panic(expected = "with another time or text")]
fn another_time_is_seen() {
    assert_account(
        &ring([&["s.1", "s.2", "20261121T030001Z t.1 text\n"], &["s.1", "s.2", "t.1"]]),
        &messages(),
    );
}

#[test]
#[should_panic(expected = "a torn line")]
fn a_torn_line_is_seen() {
    assert_account(&ring([&["s.1", "s.2", "t.1", "20261121T03"], &["s.1", "s.2", "t.1"]]), &messages());
}
