//! Messages reach every host exactly once, whatever the ring is like.

use tests::{Connection, Plan, Ring, count_of, counts, texts};

/// Gives each host `each` messages over one connection and returns all texts.
fn send_through_every_host(ring: &Ring, each: usize) -> Vec<String> {
    let mut all = Vec::new();
    for host in 0..ring.len() {
        let mut client = ring.client(host);
        for n in 0..each {
            let text = format!("message {n} through {}", ring.name(host));
            client.expect(&format!("MSG {text}"), "OK");
            all.push(text);
        }
    }
    all
}

fn assert_everywhere_exactly_once(ring: &Ring, sent: &[String]) {
    let hosts: Vec<_> = (0..ring.len()).collect();
    ring.wait_for_lines(&hosts, sent.len());
    ring.assert_equal_logs(&hosts);
    for host in hosts {
        let log = ring.access_log(host);
        let counts = counts(&log);
        for text in sent {
            assert_eq!(counts.get(text.as_str()), Some(&1), "{text:?} in the log of {}", ring.name(host));
        }
    }
}

/// The texts in a log that went through one host, in the order of the log.
fn through<'a>(log: &'a str, name: &str) -> Vec<&'a str> {
    texts(log).into_iter().filter(|text| text.ends_with(&format!("through {name}"))).collect()
}

#[test]
fn a_message_given_to_any_host_is_in_every_log_exactly_once() {
    let ring = Plan::of(5).start();
    let sent = send_through_every_host(&ring, 20);
    assert_everywhere_exactly_once(&ring, &sent);
}

#[test]
fn the_messages_of_one_host_stand_in_the_same_order_everywhere() {
    let ring = Plan::of(5).start();
    let sent = send_through_every_host(&ring, 20);
    ring.wait_for_lines(&[0, 1, 2, 3, 4], sent.len());
    for host in 0..5 {
        let log = ring.access_log(host);
        for origin in 0..5 {
            let name = ring.name(origin);
            let in_order: Vec<_> = (0..20).map(|n| format!("message {n} through {name}")).collect();
            assert_eq!(through(&log, &name), in_order, "in the log of {}", ring.name(host));
        }
    }
}

#[test]
fn messages_in_any_language_arrive_unchanged() {
    let ring = Plan::of(3).start();
    let sent = ["a b~!", "grüß dich", "中文", "שלום", "می‌خواهم", "👩‍👩‍👧 ❤️", "  spaces  at both ends  "]
        .map(String::from);
    for text in &sent {
        ring.client(1).expect(&format!("MSG {text}"), "OK");
    }
    assert_everywhere_exactly_once(&ring, &sent);
}

#[test]
fn a_ring_of_one_logs_what_it_gets() {
    let ring = Plan::of(1).start();
    let sent = send_through_every_host(&ring, 10);
    assert_everywhere_exactly_once(&ring, &sent);
}

#[test]
fn a_ring_of_two_delivers() {
    let ring = Plan::of(2).start();
    let sent = send_through_every_host(&ring, 10);
    assert_everywhere_exactly_once(&ring, &sent);
}

#[test]
fn a_ring_of_nine_delivers() {
    let ring = Plan::of(9).start();
    let sent = send_through_every_host(&ring, 10);
    assert_everywhere_exactly_once(&ring, &sent);
}

#[test]
fn the_scheme_that_counts_from_the_origin_delivers() {
    for hosts in [4, 5, 7] {
        let ring = Plan::of(hosts).with("scheme = \"origin\"").start();
        let sent = send_through_every_host(&ring, 5);
        assert_everywhere_exactly_once(&ring, &sent);
    }
}

#[test]
fn links_on_demand_deliver() {
    let mut ring = Plan::of(5).with("connect = \"on-demand\"").set_up();
    ring.start_unlinked(&[0, 1, 2, 3, 4]);
    let sent = send_through_every_host(&ring, 10);
    assert_everywhere_exactly_once(&ring, &sent);
}

#[test]
fn a_wrapped_line_of_a_client_reaches_exactly_the_hosts_of_the_table() {
    let ring = Plan::of(5).start();
    for (line, reached) in [("0zero", &[1][..]), ("1one", &[1, 2]), ("2two", &[1, 3])] {
        let mut client: Connection = ring.client(1);
        client.expect(line, "OK");
        ring.wait_for_text(reached, &line[1..]);
        // What comes after it through the same host shows that nothing of it is still on its way.
        let fence = format!("after {line}");
        client.expect(&format!("MSG {fence}"), "OK");
        ring.wait_for_text(&[0, 1, 2, 3, 4], &fence);
        for host in 0..5 {
            let expected = usize::from(reached.contains(&host));
            assert_eq!(
                count_of(&ring.access_log(host), &line[1..]),
                expected,
                "{line} at {}",
                ring.name(host)
            );
        }
    }
}
