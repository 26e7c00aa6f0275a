//! `zog top` on a terminal.

use tests::{Plan, Ring, Terminal, wait_until, zog};

fn top(ring: &Ring, columns: u16, rows: u16) -> Terminal {
    let mut command = zog();
    command.arg("top").arg("--config").arg(ring.config());
    Terminal::run(&command, columns, rows)
}

/// The pictures that were drawn, each to its end.
fn frames(terminal: &Terminal) -> Vec<String> {
    let shown = terminal.shown();
    let frames = shown.split("\x1b[H").skip(1);
    frames.filter_map(|frame| Some(frame.split_once("\x1b[J")?.0.replace("\x1b[K", ""))).collect()
}

#[track_caller]
fn wait_for_frames(terminal: &Terminal, count: usize) {
    wait_until(&format!("{count} pictures are drawn"), || frames(terminal).len() >= count);
}

#[test]
fn it_draws_again_and_again_until_q_or_ctrl_c_and_leaves_the_terminal_as_it_was() {
    let ring = Plan::of(3).start();
    for key in [b"q", b"\x03"] {
        let mut terminal = top(&ring, 120, 24);
        wait_for_frames(&terminal, 1);
        assert!(!terminal.is_plain(), "keys are heard at once");
        ring.send(0, "seen", 1000);
        wait_until("what came since is drawn", || {
            let drawn = frames(&terminal);
            let of_a = drawn.iter().flat_map(|frame| frame.lines()).filter(|line| line.starts_with("A "));
            of_a.filter(|line| line.split_whitespace().nth(1) != Some("0")).count() > 0
        });
        let last = frames(&terminal).pop().expect("a picture");
        for shown in ["host", "furthest behind", "A  ", "B  ", "C  ", "2 of 2", "q ends it"] {
            assert!(last.contains(shown), "{shown} is missing in {last}");
        }
        terminal.hit(key);
        assert!(terminal.wait().success());
        assert!(terminal.is_plain(), "the terminal is not as before");
        wait_until("what comes next begins in a line of its own", || terminal.shown().ends_with('\n'));
    }
}

#[test]
fn on_a_narrow_terminal_nothing_reaches_beyond_its_edges() {
    let ring = Plan::of(3).start();
    for (columns, rows) in [(20, 3), (1, 1)] {
        let mut terminal = top(&ring, columns, rows);
        wait_for_frames(&terminal, 2);
        for frame in frames(&terminal) {
            assert!(frame.split("\r\n").all(|line| line.chars().count() <= columns.into()), "{frame:?}");
            assert!(frame.split("\r\n").count() <= rows.into(), "{frame:?}");
        }
        terminal.hit(b"q");
        assert!(terminal.wait().success());
    }
}
