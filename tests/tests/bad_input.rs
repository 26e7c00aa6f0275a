//! Lines of clients that are not accepted: each is told once in error.log with address and reason, is answered,
//! leaves the line after it alone and disturbs nobody else.

use std::net::SocketAddr;
use tests::{Connection, Plan, Ring, texts, wait_until};

/// Sends `bytes`, which are one line that is refused, and a good message after it.
#[track_caller]
fn assert_refused(bytes: &[u8], code: u16) {
    let ring = Plan::of(2).start();
    let mut other = ring.client(1);
    let mut client = ring.client(0);
    client.send([bytes, b"MSG next line\r\n"].concat());
    let answer = client.line();
    assert!(answer.starts_with(&format!("ERR {code} ")), "the answer to {}: {answer}", bytes.escape_ascii());
    assert_eq!(client.line(), "OK", "the answer to the next line");
    other.expect("MSG of another client", "OK");
    ring.wait_for_lines(&[0, 1], 2);
    ring.wait_for_text(&[0, 1], "next line");
    ring.assert_equal_logs(&[0, 1]);
    assert_told_once(&ring, client.local_address(), code);
}

#[track_caller]
fn assert_told_once(ring: &Ring, address: SocketAddr, code: u16) {
    let words = [&address.to_string(), &format!("REFUSED {code} ")[..]];
    ring.wait_for_error(0, &words);
    let told = ring.error_lines(0, &words);
    assert_eq!(told.len(), 1, "lines in error.log: {told:#?}");
    let printing = told[0].bytes().all(|b| (b' '..=b'~').contains(&b));
    assert!(printing, "error.log shows what was refused in printing ASCII: {}", told[0]);
    assert_eq!(ring.error_lines(1, &["client"]), [""; 0], "host B was not bothered");
}

/// A whole line with this text.
fn msg(text: &[u8]) -> Vec<u8> {
    [b"MSG ", text, b"\r\n"].concat()
}

#[track_caller]
fn assert_accepted(text: &str) {
    let ring = Plan::of(2).start();
    ring.client(0).expect(&format!("MSG {text}"), "OK");
    ring.wait_for_lines(&[0, 1], 1);
    assert_eq!(texts(&ring.access_log(1)), [text]);
}

#[test]
fn an_empty_line() {
    assert_refused(b"\r\n", 400);
}

#[test]
fn a_message_without_text() {
    assert_refused(b"MSG \r\n", 422);
}

#[test]
fn a_verb_alone() {
    assert_refused(b"MSG\r\n", 422);
}

#[test]
fn a_line_that_ends_in_lf_alone() {
    assert_refused(b"MSG with lf alone\n", 400);
}

#[test]
fn a_line_end_of_cr_alone_ends_no_line() {
    assert_refused(b"MSG one\rMSG two\r\n", 422);
}

#[test]
fn a_text_of_511_bytes_is_accepted() {
    assert_accepted(&"x".repeat(511));
}

#[test]
fn a_text_of_512_bytes() {
    assert_refused(&msg(&[b'x'; 512]), 413);
}

#[test]
fn a_text_of_513_bytes() {
    assert_refused(&msg(&[b'x'; 513]), 413);
}

#[test]
fn a_text_of_511_characters_that_are_more_bytes() {
    assert_refused(&msg("ü".repeat(511).as_bytes()), 413);
}

#[test]
fn a_line_of_10_000_bytes() {
    assert_refused(&msg(&[b'x'; 10_000]), 413);
}

#[test]
fn control_characters() {
    for control in [0x00, 0x07, 0x08, 0x09, 0x0b, 0x0c, 0x1f, 0x7f] {
        assert_refused(&msg(&[b'a', control, b'b']), 422);
    }
}

#[test]
fn terminal_escapes() {
    assert_refused(&msg(b"\x1b]0;title\x07 \x1b[2J\x1b[31mred"), 422);
}

#[test]
fn c1_controls() {
    assert_refused(&msg("a\u{9b}31mb".as_bytes()), 422);
    assert_refused(&msg("a\u{85}b".as_bytes()), 422);
}

#[test]
fn every_class_of_invalid_utf_8() {
    let invalid: [&[u8]; 9] = [
        b"a\x80b",             // a continuation byte alone
        b"a\xc3",              // a sequence that is cut off by the end
        b"a\xe2\x82b",         // a sequence that is cut off by another character
        b"a\xc0\xafb",         // an overlong form of two bytes
        b"a\xe0\x80\xafb",     // an overlong form of three bytes
        b"a\xf0\x80\x80\xafb", // an overlong form of four bytes
        b"a\xed\xa0\x80b",     // a surrogate
        b"a\xf4\x90\x80\x80b", // beyond U+10FFFF
        b"a\xffb",             // a byte that never occurs
    ];
    for text in invalid {
        assert_refused(&msg(text), 422);
    }
}

#[test]
fn marks_that_reorder_text_or_have_no_width() {
    for mark in
        ['\u{202e}', '\u{2066}', '\u{200f}', '\u{061c}', '\u{200b}', '\u{2060}', '\u{feff}', '\u{2028}']
    {
        assert_refused(&msg(format!("a{mark}b").as_bytes()), 422);
    }
}

#[test]
fn an_unknown_verb() {
    assert_refused(b"DELETE everything\r\n", 400);
}

#[test]
fn a_wrapping_beyond_2() {
    assert_refused(b"3text\r\n", 400);
}

#[test]
fn a_time_that_is_none() {
    assert_refused(b"AT 20260230T000000Z a day that never was\r\n", 400);
}

#[test]
fn a_hello_that_is_none() {
    assert_refused(b"HELLO two words\r\n", 400);
}

#[test]
fn a_line_that_comes_byte_by_byte_is_a_line() {
    let ring = Plan::of(2).start();
    let mut client = ring.client(0);
    for byte in b"MSG byte by byte\r\nKEEPALIVE\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.line(), "OK");
    assert_eq!(client.line(), "ACK");
    ring.wait_for_text(&[0, 1], "byte by byte");
}

#[test]
fn a_line_that_is_cut_off_by_the_end_of_the_connection() {
    let ring = Plan::of(2).start();
    let mut client: Connection = ring.client(0);
    client.send("MSG whole\r\nMSG cut o");
    let address = client.local_address();
    assert_eq!(client.line(), "OK");
    drop(client);
    assert_told_once(&ring, address, 400);
    ring.wait_for_lines(&[0, 1], 1);
}

#[test]
fn a_flood_of_refused_lines_is_told_in_part_and_counted_in_full() {
    let ring = Plan::of(1).start();
    let mut client = ring.client(0);
    client.send("nonsense\r\n".repeat(1000));
    for _ in 0..1000 {
        assert!(client.line().starts_with("ERR 400 "));
    }
    let address = client.local_address().to_string();
    let suppressed = |line: &String| -> usize {
        let count = line.split("SUPPRESSED ").nth(1).and_then(|rest| rest.split(' ').next());
        count.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("SUPPRESSED <count> …: {line}"))
    };
    wait_until("shown and suppressed lines are 1000", || {
        let shown = ring.error_lines(0, &["REFUSED 400", &address]).len();
        assert!(shown <= 200, "{shown} of 1000 lines are shown");
        shown + ring.error_lines(0, &["SUPPRESSED "]).iter().map(suppressed).sum::<usize>() == 1000
    });
}
