//! What users of comparable systems ask for: to be told which host has what. The number in a name is that of the need;
//! the comment cites threads in which it was asked for.

use tests::{Plan, Ring, Way, field, wait_until};

const ALL: [usize; 3] = [0, 1, 2];

fn ring() -> Ring {
    let timing = Plan::of(3).with_net().with("redial_min = \"20ms\"").with("redial_max = \"100ms\"");
    timing.start()
}

/// What A knows of C: the line of its status that begins so.
fn line_of_status(ring: &Ring, begin: &str) -> Option<String> {
    ring.status(0).into_iter().find(|line| line.starts_with(begin))
}

/// Some subscribers get only part: which link is missing? nats-io/nats-server#6051, #22.
#[test]
fn need_16_a_host_says_which_peer_is_down_and_how_much_it_lacks() {
    let ring = ring();
    ring.net().set_around(2, Way::Reset);
    wait_until("A says that C is down", || {
        line_of_status(&ring, "peer C down ").is_some_and(|line| field(&line, "for_s").is_some())
    });
    ring.send(0, "without C", 50);
    wait_until("A says what C lacks, and B does not", || {
        let missing = |peer| line_of_status(&ring, peer).and_then(|line| field(&line, "missing"));
        missing("mark C A/") == Some(50) && missing("mark B A/") == Some(0)
    });
    ring.net().heal();
    ring.fence(&ALL);
    ring.assert_books_balance(&ALL);
    wait_until("A says that C lacks nothing", || {
        line_of_status(&ring, "mark C A/").and_then(|line| field(&line, "missing")) == Some(0)
    });
}

/// Follow one message through the cluster: nats-io/nats-server#5014, nats-io/nats-general#72,
/// nats-io/nats-architecture-and-design#267.
#[test]
fn need_17_each_host_says_who_has_a_message_and_who_has_not() {
    let ring = ring();
    ring.net().set_around(2, Way::Reset);
    let text = &ring.send(0, "who has it", 1)[0];
    ring.wait_for_text(&[0, 1], text);
    let found = ring.client(1).report(&format!("FIND {text}")).expect("FIND is answered");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with(&format!(" {text}")), "{found:?}");
    let id = found[0].split(' ').next().expect("the id of the message");
    let who = || ring.client(0).report(&format!("WHO {id}")).expect("WHO is answered");
    let says = |begin: &str, end: &str| who().iter().any(|l| l.starts_with(begin) && l.ends_with(end));
    wait_until("A says that C is down and lacks it", || {
        says("A synced", "") && says("B synced", "") && says("C missing for_s=", " down")
    });
    ring.net().heal();
    ring.fence(&ALL);
    wait_until("A says that C has it", || says("C synced", ""));
    assert_eq!(who().len(), ring.len(), "a line for each host: {:?}", who());
    assert_eq!(ring.client(0).report("FIND nobody said this"), Some(Vec::new()));
}
