//! The whole client against scripted daemons: what it says on the wire, what it tells, how it ends.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod failover;
mod fake;
mod questions;

use fake::{
    Fake, NOBODY, NOBODY_EITHER, Ring, Script, assert_exit, read_until, signal, sprog_in, stderr, stdout,
};
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// `AT <time> <text>` without the time.
pub(crate) fn text(line: &str) -> &str {
    &line["AT 20261121T025142Z ".len()..]
}

pub(crate) fn messages(fake: &Fake) -> Vec<String> {
    fake.heard().into_iter().filter(|line| line.starts_with("AT ")).collect()
}

#[test]
fn every_message_is_sent_in_turn_and_answered() {
    let (a, b) = (Fake::polite(), Fake::polite());
    let output = Ring::of(&[("A", a.port), ("B", b.port)]).run("-r -n 10 -i 0 --seed 1 --ack majority");
    assert_exit(&output, 0);
    for fake in [&a, &b] {
        let heard = fake.heard();
        let hello: Vec<&str> = heard[0].split(' ').collect();
        assert_eq!((hello[0], hello[1].len(), &hello[2..]), ("HELLO", 32, &["next=1", "ack=majority"][..]));
        assert_eq!(messages(fake).len(), 5);
        assert!(messages(fake).iter().all(|line| (32..=63).contains(&text(line).len())));
    }
    assert_ne!(a.heard()[0], b.heard()[0]);
    let told = stdout(&output);
    assert!(told.contains("10 messages") && told.contains("10 OK"), "{told}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_line_is_printed_for_each_message() {
    let a = Fake::polite();
    let output = Ring::of(&[("A", a.port)]).run("-n 2 -i 10ms -m hello");
    assert_exit(&output, 0);
    let told = stdout(&output);
    let lines: Vec<&str> =
        told.lines().filter(|l| l.starts_with("A OK ") && l.ends_with("Z hello")).collect();
    assert_eq!(lines.len(), 2, "{told}");
}

#[test]
fn messages_are_pipelined_up_to_the_window() {
    let a = Fake::always(|c| {
        c.greet();
        for _ in 0..4 {
            (0..8).for_each(|_| drop(c.hear()));
            (0..8).for_each(|_| c.say("OK"));
        }
        c.be_silent();
    });
    let output = Ring::of(&[("A", a.port)]).run("-n 32 -i 0 --window 8");
    assert_exit(&output, 0);
}

#[test]
fn the_same_seed_sends_the_same_texts_to_the_same_hosts() {
    let texts = |seed: u32| {
        let fakes = [Fake::polite(), Fake::polite(), Fake::polite()];
        let ring = Ring::of(&[("A", fakes[0].port), ("B", fakes[1].port), ("C", fakes[2].port)]);
        assert_exit(&ring.run(&format!("-n 60 -i 0 --seed {seed}")), 0);
        fakes.map(|f| messages(&f).iter().map(|m| text(m).to_owned()).collect::<Vec<_>>())
    };
    let first = texts(1);
    assert!(first.iter().all(|texts| !texts.is_empty()));
    assert_eq!(first, texts(1));
    assert_ne!(first, texts(2));
}

#[test]
fn after_a_cut_the_unanswered_messages_are_repeated_unchanged() {
    let cut: Script = Box::new(|c| {
        c.greet();
        (0..3).for_each(|_| drop(c.hear()));
        c.say("OK");
    });
    let a = Fake::scripted(vec![cut, Box::new(|c| c.be_polite())]);
    let output = Ring::of(&[("A", a.port)]).run("-n 3 -i 0");
    assert_exit(&output, 0);
    let heard = a.heard();
    let token = heard[0].split(' ').nth(1).unwrap();
    assert_eq!(heard[4], format!("HELLO {token} next=2"));
    assert_eq!(heard[5..], heard[2..4]);
}

#[test]
fn a_host_that_cannot_be_reached_is_skipped_with_a_warning() {
    let b = Fake::polite();
    let output = Ring::of(&[("A", NOBODY), ("B", b.port)]).run("-r -n 20 -i 0 --window 2 --timeout 200ms");
    assert_exit(&output, 0);
    assert_eq!(messages(&b).len(), 20);
    assert!(stderr(&output).contains("A (127.0.0.1, port 1) is skipped: "), "{}", stderr(&output));
}

#[test]
fn a_host_that_accepts_and_says_nothing_is_skipped() {
    let (a, b) = (Fake::always(fake::Conversation::be_silent), Fake::polite());
    let output = Ring::of(&[("A", a.port), ("B", b.port)]).run("-r -n 4 -i 0 --timeout 200ms");
    assert_exit(&output, 0);
    assert_eq!(messages(&b).len(), 4);
    assert!(stderr(&output).contains("is skipped: no answer"), "{}", stderr(&output));
}

#[test]
fn a_host_that_stops_answering_is_left_for_another_one() {
    let mute = Fake::always(|c| {
        c.greet();
        c.be_silent();
    });
    let b = Fake::polite();
    let ring = Ring::of(&[("A", mute.port), ("B", b.port)]).with("limits.ack_timeout = \"100ms\"");
    let output = ring.run("-r -n 4 -i 0 --timeout 200ms");
    assert_exit(&output, 0);
    assert_eq!(messages(&b).len(), 4);
}

#[test]
fn a_skipped_host_is_used_again_when_it_is_back() {
    let is_well = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_well);
    let a = Fake::always(move |c| {
        if asked.load(Ordering::Acquire) {
            c.be_polite();
        }
    });
    let b = Fake::polite();
    let ring = Ring::of(&[("A", a.port), ("B", b.port)]);
    let mut child = ring.sprog("-r -i 2ms --timeout 200ms").spawn().unwrap();
    let mut warnings = child.stderr.take().unwrap();
    read_until(&mut warnings, "is skipped");
    is_well.store(true, Ordering::Release);
    read_until(&mut warnings, "is back");
    a.wait_for(3, "AT ");
    signal(&child, "INT");
    assert_exit(&child.wait_with_output().unwrap(), 0);
}

#[test]
fn a_host_that_refuses_the_session_is_skipped_at_once() {
    let a = Fake::always(|c| {
        c.hear();
        c.say("ERR 409 this session is another one's");
    });
    let b = Fake::polite();
    let output = Ring::of(&[("A", a.port), ("B", b.port)]).run("-r -n 2 -i 0 --timeout 1h");
    assert_exit(&output, 0);
    let expected = "is skipped: it refuses the session: ERR 409 this session is another one's";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn come_again_is_tried_again_with_the_same_number() {
    let full: Script = Box::new(|c| {
        c.greet();
        c.hear();
        c.say("ERR 300 disk full");
    });
    let a = Fake::scripted(vec![full, Box::new(|c| c.be_polite())]);
    let output = Ring::of(&[("A", a.port)]).run("-n 1 -i 0");
    assert_exit(&output, 0);
    let heard = a.heard();
    assert_eq!(heard[..2], heard[2..]);
}

#[test]
fn refused_and_pending_messages_are_told_with_their_reason() {
    let a = Fake::always(|c| {
        c.greet();
        for answer in ["OK", "PENDING 1/3", "ERR 410 your clock is off"] {
            c.hear();
            c.say(answer);
        }
        c.be_silent();
    });
    let ring = Ring::of(&[("A", a.port)]);
    let output = ring.run("-n 3 -i 0 -m hello");
    assert_exit(&output, 1);
    let (told, warned) = (stdout(&output), stderr(&output));
    assert!(told.contains("1 OK, 1 PENDING, 1 refused"), "{told}");
    assert!(
        warned.contains("A: PENDING 1/3: ") && warned.contains("A: ERR 410 your clock is off: "),
        "{warned}"
    );
    assert_exit(&ring.run("-n 2 -i 0"), 0);
}

#[test]
fn the_log_tells_what_was_sent_and_what_became_of_it() {
    let cut: Script = Box::new(|c| {
        c.greet();
        c.hear();
    });
    let second: Script = Box::new(|c| {
        c.greet();
        c.hear();
        c.say("PENDING 2/3");
        c.hear();
        c.say("ERR 400 no");
        c.hear();
    });
    let a = Fake::scripted(vec![cut, second]);
    let ring = Ring::of(&[("A", a.port)]);
    let output = ring.run("-n 3 -i 0 -m hello --window 1 --timeout 200ms --log sent.log");
    assert_exit(&output, 1);
    let heard = a.heard();
    let token = heard[0].split(' ').nth(1).unwrap();
    let entry = |i: usize| heard[i].strip_prefix("AT ").unwrap();
    let log = std::fs::read_to_string(ring.path("sent.log")).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(
        lines[..6],
        [
            format!("SENT {token} 1 A {}", entry(1)),
            format!("SENT {token} 1 A {}", entry(3)),
            format!("ANSWERED {token} 1 A PENDING 2/3"),
            format!("SENT {token} 2 A {}", entry(4)),
            format!("ANSWERED {token} 2 A ERR 400 no"),
            format!("SENT {token} 3 A {}", entry(5)),
        ]
    );
    assert!(lines[6].starts_with(&format!("ANSWERED {token} 3 A LOST ")), "{log}");
    assert_eq!(lines.len(), 7);
}

#[test]
fn each_line_of_standard_input_is_a_message() {
    let a = Fake::polite();
    let ring = Ring::of(&[("A", a.port)]);
    let mut input = b"one\r\n\ntwo \xff\n".to_vec();
    input.extend([b'x'; 2000]);
    input.extend(b"\nlast");
    let output = ring.run_with("--stdin", &input);
    assert_exit(&output, 1);
    let texts: Vec<String> = messages(&a).iter().map(|line| text(line).to_owned()).collect();
    assert_eq!(texts, ["one", "", "two \u{fffd}", "last"]);
    assert!(stderr(&output).contains("not sent, it has 2000 bytes"), "{}", stderr(&output));
    assert_exit(&ring.run_with("--stdin", b""), 0);
}

#[test]
fn json_has_a_line_for_each_message_and_a_summary() {
    let a = Fake::polite();
    let output = Ring::of(&[("A", a.port)]).run("-n 2 -i 0 -v --json -m hello");
    assert_exit(&output, 0);
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[1]["answer"], &lines[1]["number"]), (&"OK".into(), &2.into()));
    assert_eq!(lines[1]["text"], "hello");
    assert_eq!((&lines[2]["type"], &lines[2]["ok"]), (&"summary".into(), &2.into()));
}

#[test]
fn quiet_prints_nothing() {
    let a = Fake::polite();
    let output = Ring::of(&[("A", a.port)]).run("-n 2 -i 0 -q");
    assert_exit(&output, 0);
    assert_eq!((stdout(&output), stderr(&output)), (String::new(), String::new()));
}

#[test]
fn a_broken_pipe_is_no_error_and_the_messages_are_sent_all_the_same() {
    let a = Fake::polite();
    let ring = Ring::of(&[("A", a.port)]);
    let mut child = ring.sprog("-n 500 -i 0 -v").spawn().unwrap();
    drop(child.stdout.take());
    assert_exit(&child.wait_with_output().unwrap(), 0);
    assert_eq!(messages(&a).len(), 500);
}

#[test]
fn without_an_end_sprog_stops_when_nobody_reads_its_output() {
    let a = Fake::polite();
    let ring = Ring::of(&[("A", a.port)]);
    let mut child = ring.sprog("-i 1ms -v").spawn().unwrap();
    drop(child.stdout.take());
    assert_exit(&child.wait_with_output().unwrap(), 0);
}

#[test]
fn a_signal_ends_the_sending_and_the_answers_are_waited_for() {
    for name in ["INT", "TERM"] {
        let a = Fake::polite();
        let ring = Ring::of(&[("A", a.port)]);
        let child = ring.sprog("-i 1ms").spawn().unwrap();
        a.wait_for(10, "AT ");
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_exit(&output, 0);
        let counted = format!("{} messages in", messages(&a).len());
        assert!(stdout(&output).contains(&counted), "{counted}: {}", stdout(&output));
    }
}

#[test]
fn an_idle_connection_is_kept_alive() {
    let a = Fake::polite();
    let ring = Ring::of(&[("A", a.port)]).with("client_idle = \"100ms\"");
    let child = ring.sprog("-i 1h").spawn().unwrap();
    a.wait_for(3, "KEEPALIVE");
    signal(&child, "INT");
    assert_exit(&child.wait_with_output().unwrap(), 0);
    assert_eq!(a.heard().iter().filter(|line| line.starts_with("HELLO")).count(), 1);
}

#[test]
fn a_signal_ends_the_waiting_for_standard_input() {
    let a = Fake::polite();
    let ring = Ring::of(&[("A", a.port)]);
    let mut child = ring.sprog("--stdin").stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"first\n").unwrap();
    a.wait_for(1, "AT ");
    signal(&child, "INT");
    // The input stays open until sprog has ended.
    assert_exit(&child.wait_with_output().unwrap(), 0);
    drop(input);
}

#[test]
fn a_second_signal_ends_at_once() {
    let a = Fake::always(|c| {
        c.greet();
        c.be_silent();
    });
    let ring = Ring::of(&[("A", a.port)]);
    let mut child = ring.sprog("-n 1 --timeout 1h").spawn().unwrap();
    a.wait_for(1, "AT ");
    signal(&child, "INT");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let a = Fake::polite();
    let ring = Ring::of(&[("A", a.port), ("B", NOBODY)]);
    for (options, code, told) in [
        ("--no-such-option", 2, "--no-such-option"),
        ("-s Z -n 1", 2, "has no host \"Z\"; it has A (127.0.0.1), B (127.0.0.1)"),
        ("-s B -n 1 --timeout 100ms", 69, "B (127.0.0.1, port 1) is skipped: Connection refused"),
        ("-n 1 --log no/such/directory", 74, "no/such/directory"),
        ("-c missing.toml", 78, "missing.toml"),
        ("-s A -n 1", 0, ""),
        ("--specificHost A -n 1", 0, ""),
        ("-T -n 1", 0, ""),
    ] {
        let output = ring.run(options);
        assert_exit(&output, code);
        assert!(stderr(&output).contains(told), "{options}: {}", stderr(&output));
    }
    assert_eq!(messages(&a).len(), 3);
}

#[test]
fn with_an_end_in_sight_sprog_does_not_wait_for_hosts_that_cannot_be_reached() {
    let ring = Ring::of(&[("A", NOBODY), ("B", NOBODY_EITHER)]);
    let output = ring.run("-n 100000 -i 0 --timeout 200ms");
    assert_exit(&output, 69);
    for warning in
        ["A (127.0.0.1, port 1) is skipped", "B (127.0.0.1, port 9) is skipped", "nothing behind it"]
    {
        assert!(stderr(&output).contains(warning), "{warning}: {}", stderr(&output));
    }
    assert!(stdout(&output).contains("0 OK, "), "{}", stdout(&output));
}

#[test]
fn a_full_disk_ends_the_run() {
    let a = Fake::polite();
    let ring = Ring::of(&[("A", a.port)]);
    let output = ring.run("-i 1ms --log /dev/full");
    assert_exit(&output, 74);
    assert!(stderr(&output).contains("/dev/full cannot be written"), "{}", stderr(&output));
    assert_eq!(messages(&a), [""; 0]);
}

#[test]
fn help_completions_and_the_manual_page_need_no_ring() {
    let dir = tempfile::tempdir().unwrap();
    let run = |options: &str| stdout(&sprog_in(dir.path(), options).output().unwrap());
    assert!(run("--help").contains("Exit codes:"));
    assert!(run("completions bash").contains("--round-robin"));
    assert!(run("completions bash").contains("--failover"));
    assert!(run("man").contains(".TH sprog"));
    for command in ["who", "status"] {
        assert!(run(&format!("{command} --help")).contains("Exit codes:"));
        assert!(
            run("completions bash").contains(command) && run("man").contains(&format!("sprog\\-{command}"))
        );
    }
    assert!(run("--version").starts_with("sprog "));
}

#[test]
fn warnings_are_bounded() {
    let a = Fake::always(|c| {
        c.greet();
        while c.hear().is_some() {
            c.say("ERR 400 no");
        }
    });
    let ring = Ring::of(&[("A", a.port)]);
    let mut child = ring.sprog("-n 5000 -i 0").spawn().unwrap();
    let mut warned = String::new();
    child.stderr.take().unwrap().read_to_string(&mut warned).unwrap();
    assert_exit(&child.wait_with_output().unwrap(), 1);
    assert!(warned.lines().count() < 500, "{}", warned.lines().count());
    assert!(warned.contains("more warnings were not shown"));
}
