//! What a client may say on port 55552, and what it is answered.

use pzog::Stamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tests::{Connection, Plan, Ring, count_of, wait_until};

/// The time so many seconds from now, as it stands on the wire.
fn stamp_in(seconds: i64) -> Stamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
    Stamp::of_utc_seconds(now.saturating_add_signed(seconds))
}

fn ring_of_three() -> Ring {
    Plan::of(3).start()
}

/// A connection on which a session was opened.
fn session(ring: &Ring, host: usize, hello: &str) -> Connection {
    let mut client = ring.client(host);
    let answer = client.ask(&format!("HELLO {hello}"));
    assert!(answer.starts_with("OK "), "the answer to HELLO {hello}: {answer}");
    client
}

#[test]
fn answers_come_in_the_order_of_the_lines() {
    let ring = ring_of_three();
    let mut client = ring.client(0);
    let lines: String =
        (0..500).map(|n| if n % 50 == 7 { "3no\r\n".into() } else { format!("MSG m{n}\r\n") }).collect();
    client.send(lines);
    for n in 0..500 {
        let answer = client.line();
        let expected = if n % 50 == 7 { "ERR 400 " } else { "OK" };
        assert!(answer.starts_with(expected), "answer {n}: {answer}");
    }
    ring.wait_for_lines(&[0, 1, 2], 490);
    ring.assert_equal_logs(&[0, 1, 2]);
}

#[test]
fn verbs_are_matched_without_regard_to_case() {
    let ring = ring_of_three();
    let mut client = ring.client(0);
    client.expect("msg lower", "OK");
    client.expect("keepAlive", "ACK");
    client.expect("Quit", "OK");
    ring.wait_for_text(&[0, 1, 2], "lower");
}

#[test]
fn a_keep_alive_of_a_client_is_answered_and_goes_nowhere() {
    let ring = ring_of_three();
    let mut client = ring.client(0);
    client.expect("KEEPALIVE", "ACK");
    client.expect("MSG after", "OK");
    ring.wait_for_text(&[0, 1, 2], "after");
    ring.wait_for_lines(&[0, 1, 2], 1);
}

#[test]
fn quit_is_answered_and_closes_the_connection() {
    let ring = ring_of_three();
    let mut client = ring.client(0);
    client.send("MSG before\r\nQUIT\r\nMSG never read\r\n");
    assert_eq!(client.rest(), "OK\r\nOK\r\n");
    ring.wait_for_text(&[0, 1, 2], "before");
    ring.wait_for_lines(&[0, 1, 2], 1);
}

#[test]
fn a_message_keeps_the_time_that_its_client_gave_it() {
    let ring = ring_of_three();
    let time = stamp_in(-3600);
    ring.client(0).expect(&format!("AT {time} an hour ago"), "OK");
    ring.wait_for_text(&[0, 1, 2], "an hour ago");
    for host in 0..3 {
        assert_eq!(ring.access_log(host), format!("{time} an hour ago\n"));
    }
}

#[test]
fn a_new_session_is_told_that_nothing_of_it_is_known() {
    let ring = ring_of_three();
    ring.client(0).expect("HELLO fresh", "OK 0");
    ring.client(1).expect("HELLO other next=1", "OK 0");
}

#[test]
fn a_number_repeated_on_the_same_host_is_logged_once() {
    let ring = ring_of_three();
    let at = format!("AT {} once", stamp_in(0));
    session(&ring, 0, "tok").expect(&at, "OK");
    let mut again = session(&ring, 0, "tok next=1");
    again.expect(&at, "OK");
    again.expect(&format!("AT {} fence", stamp_in(0)), "OK");
    ring.wait_for_text(&[0, 1, 2], "fence");
    ring.wait_for_lines(&[0, 1, 2], 2);
}

#[test]
fn a_number_repeated_through_another_host_is_logged_once() {
    let ring = ring_of_three();
    let at = format!("AT {} once", stamp_in(0));
    session(&ring, 0, "tok").expect(&at, "OK");
    ring.wait_for_text(&[0, 1, 2], "once");
    let mut again = session(&ring, 1, "tok next=1");
    again.expect(&at, "OK");
    again.expect(&format!("AT {} fence", stamp_in(0)), "OK");
    ring.wait_for_text(&[0, 1, 2], "fence");
    ring.wait_for_lines(&[0, 1, 2], 2);
    ring.assert_equal_logs(&[0, 1, 2]);
}

#[test]
fn a_session_tells_up_to_where_it_is_known() {
    let ring = ring_of_three();
    let mut client = session(&ring, 0, "tok");
    for n in 1..=3 {
        client.expect(&format!("AT {} number {n}", stamp_in(0)), "OK");
    }
    ring.client(0).expect("HELLO tok next=4", "OK 3");
}

#[test]
fn a_number_that_comes_again_with_another_text_is_a_conflict() {
    let ring = ring_of_three();
    let time = stamp_in(0);
    session(&ring, 0, "tok").expect(&format!("AT {time} one text"), "OK");
    let answer = session(&ring, 0, "tok next=1").ask(&format!("AT {time} another text"));
    assert!(answer.starts_with("ERR 409 "), "{answer}");
    ring.client(0).expect("MSG after", "OK");
    ring.wait_for_text(&[0, 1, 2], "after");
    assert_eq!(count_of(&ring.access_log(0), "another text"), 0);
}

#[test]
fn a_refused_line_takes_its_number() {
    let ring = ring_of_three();
    let mut client = session(&ring, 0, "tok");
    let refused = client.ask(&format!("AT {} no\ttabs", stamp_in(0)));
    assert!(refused.starts_with("ERR 422 "), "{refused}");
    client.expect(&format!("AT {} second", stamp_in(0)), "OK");
    let second = format!("AT {} second", stamp_in(0));
    let mut again = session(&ring, 0, "tok next=2");
    let answer = again.ask(&second.replace("second", "not the second"));
    assert!(answer.starts_with("ERR 409 "), "{answer}");
}

#[test]
fn a_time_that_is_hours_off_is_refused() {
    let ring = ring_of_three();
    for hours in [-13, 13] {
        let answer = ring.client(0).ask(&format!("AT {} off", stamp_in(hours * 3600)));
        assert!(answer.starts_with("ERR 410 "), "{hours} h off: {answer}");
    }
    ring.client(0).expect(&format!("AT {} near", stamp_in(11 * 3600)), "OK");
    ring.wait_for_text(&[0, 1, 2], "near");
    ring.wait_for_lines(&[0, 1, 2], 1);
}

#[test]
fn a_known_session_without_a_number_is_refused() {
    let ring = ring_of_three();
    session(&ring, 0, "tok").expect(&format!("AT {} first", stamp_in(0)), "OK");
    let answer = ring.client(0).ask("HELLO tok");
    assert!(answer.starts_with("ERR 409 "), "{answer}");
}

#[test]
fn the_newest_connection_of_a_session_closes_the_older_one() {
    let ring = ring_of_three();
    let mut older = session(&ring, 0, "tok");
    let mut newer = session(&ring, 0, "tok next=1");
    let _ = older.rest();
    newer.expect(&format!("AT {} still here", stamp_in(0)), "OK");
}

#[test]
fn each_level_is_answered_once_it_is_reached() {
    let ring = ring_of_three();
    for level in ["journaled", "synced", "majority", "all"] {
        let mut client = session(&ring, 0, &format!("tok-{level} ack={level}"));
        client.expect(&format!("AT {} at {level}", stamp_in(0)), "OK");
    }
    ring.wait_for_lines(&[0, 1, 2], 4);
    ring.assert_equal_logs(&[0, 1, 2]);
}

#[test]
fn with_a_host_down_all_is_pending_and_majority_is_reached() {
    let mut ring = Plan::of(3).with_limit("ack_timeout = \"300ms\"").start();
    assert!(ring.stop(2).success());
    let mut all = session(&ring, 0, "a ack=all");
    all.expect(&format!("AT {} all", stamp_in(0)), "PENDING 2/3");
    let mut majority = session(&ring, 0, "m ack=majority");
    majority.expect(&format!("AT {} majority", stamp_in(0)), "OK");
    ring.start_hosts(&[2]);
    ring.wait_for_lines(&[0, 1, 2], 2);
    ring.assert_equal_logs(&[0, 1, 2]);
}

#[test]
fn the_level_of_ring_toml_holds_for_clients_that_name_none() {
    let mut ring = Plan::of(3).with("ack = \"all\"").with_limit("ack_timeout = \"300ms\"").start();
    ring.client(0).expect("MSG with all", "OK");
    assert!(ring.stop(2).success());
    ring.client(0).expect("MSG with two", "PENDING 2/3");
}

#[test]
fn a_client_that_says_nothing_is_closed_after_client_idle() {
    let ring = Plan::of(1).with("client_idle = \"300ms\"").start();
    let mut client = ring.client(0);
    let said = client.rest();
    assert!(said.is_empty() || said.starts_with("ERR 300 "), "{said}");
    ring.client(0).expect("MSG next", "OK");
}

#[test]
fn a_client_that_sends_bytes_and_never_ends_a_line_is_closed_after_client_idle() {
    let ring = Plan::of(2).with("client_idle = \"300ms\"").start();
    let mut slow = ring.client(0);
    let mut messages = 0;
    wait_until("the slow client is closed", || {
        // Fails once the daemon has closed; what counts is that it does.
        let _ = slow.try_send("x");
        ring.client(0).expect("MSG of another client", "OK");
        messages += 1;
        !slow.is_silent_for(Duration::from_millis(20))
    });
    // A byte that crosses the end takes the answer away: TCP resets the connection.
    let said = slow.rest();
    assert!(said.is_empty() || said.starts_with("ERR 300 "), "{said}");
    let address = slow.local_address().to_string();
    ring.wait_for_error(0, &[&address, "CLOSED 300 "]);
    assert_eq!(ring.error_lines(0, &[&address]).len(), 1, "one line in error.log for one client closed");
    ring.wait_for_lines(&[0, 1], messages);
    ring.assert_equal_logs(&[0, 1]);
}
