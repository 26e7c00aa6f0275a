//! Clients whose cable is pulled: nobody tells the daemon, and it finds out (need 22, eclipse-mosquitto/mosquitto#2230).
//! What becomes of links so is in `links.rs`.

use std::thread;
use std::time::{Duration, Instant};
use tests::{Plan, established_on, set_network, with_own_network};

/// What docs/OPERATIONS.md says, and as much again as a busy machine may need.
const FOUND_WITHIN: Duration = Duration::from_secs(75 + 25);

#[test]
#[ignore = "takes 75 s: `cargo nextest run -p tests --run-ignored only clients_that_are_gone`"]
fn clients_that_are_gone_without_a_word_are_found_whether_idle_or_waiting() {
    let test = "clients_that_are_gone_without_a_word_are_found_whether_idle_or_waiting";
    with_own_network(test, || {
        // B is never there: whoever wants `all` is told PENDING after a while.
        let mut ring = Plan::of(2).with_limit("ack_timeout = \"2s\"").set_up();
        ring.start_unlinked(&[0]);
        let held = || established_on(&[ring.client_address(0).port()]);
        let mut idle = ring.client(0);
        idle.expect("KEEPALIVE", "ACK");
        let mut waiting = ring.client(0);
        waiting.expect("HELLO cable ack=all", "OK 0");
        waiting.send("MSG on its way\r\n");
        ring.wait_for_text(&[0], "on its way");
        assert_eq!(held(), 2);
        set_network("down");
        let begun = Instant::now();
        while held() > 0 {
            assert!(
                begun.elapsed() < FOUND_WITHIN,
                "the daemon still holds connections of clients that are gone"
            );
            thread::sleep(Duration::from_millis(100));
        }
        eprintln!("found after {:?}", begun.elapsed());
    });
}
