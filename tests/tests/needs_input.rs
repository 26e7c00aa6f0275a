//! What users of comparable systems ask for: input that is not as it should be. The number in a name is that of the
//! need; the comment cites threads in which it was asked for.

use tests::{Plan, Ring};

const ALL: [usize; 3] = [0, 1, 2];

/// An over-long line must not garble the next one, and must be reported: rsyslog/rsyslog#3638, #5179, #5078, #7603,
/// #1483, #3484.
#[test]
fn need_27_an_over_long_line_leaves_the_next_one_alone_and_is_reported() {
    let ring = Plan::of(3).start();
    let mut good = Vec::new();
    // One byte too long; longer than any line; longer than a packet, than a buffer, than all buffers together.
    for length in [512, 1_100, 70_000, 300_000, 20_000_000] {
        let mut client = ring.client(0);
        let address = client.local_address().to_string();
        let text = format!("behind {length} bytes");
        client.send(format!("MSG {}\r\nMSG {text}\r\n", "y".repeat(length)));
        let refused = client.line();
        assert!(refused.starts_with("ERR 413 "), "{length} bytes were answered {refused:?}");
        assert_eq!(client.line(), "OK", "the answer behind {length} bytes");
        ring.wait_for_error(0, &[&address, " 413 "]);
        good.push(text);
    }
    ring.assert_each_once(&ALL, &good);
    assert_only(&ring, good.len());
}

/// The same in pieces: wherever the line is split.
#[test]
fn need_27_an_over_long_line_in_pieces_is_one_line() {
    let ring = Plan::of(3).start();
    let line = format!("MSG {}\r\n", "z".repeat(1_500));
    let mut good = Vec::new();
    for split in (1..line.len()).step_by(97) {
        let mut client = ring.client(1);
        let text = format!("behind a line split at {split}");
        client.send(&line[..split]);
        // So that the daemon reads the first piece alone.
        ring.client(1).expect("KEEPALIVE", "ACK");
        client.send(format!("{}MSG {text}\r\n", &line[split..]));
        let refused = client.line();
        assert!(refused.starts_with("ERR 413 "), "split at {split}: {refused:?}");
        assert_eq!(client.line(), "OK", "the answer to {text:?}");
        good.push(text);
    }
    ring.assert_each_once(&ALL, &good);
    assert_only(&ring, good.len());
}

/// Of the long lines nothing is in any log.
#[track_caller]
fn assert_only(ring: &Ring, lines: usize) {
    for host in ALL {
        assert_eq!(ring.all_access_logs(host).lines().count(), lines, "log of {}", ring.name(host));
    }
}
