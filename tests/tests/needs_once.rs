//! What users of comparable systems ask for: everything once, at once, and nothing twice. The number in a name is that
//! of the need; the comment cites threads in which it was asked for.

use tests::{Clients, Connection, Plan, Random, Ring, Way, assert_account, wait_until};

const ALL: [usize; 3] = [0, 1, 2];

/// Three hosts with a net between them. A silent link is kept for the whole test.
fn patient_plan() -> Plan {
    Plan::of(3).with_net().with("peer_silence = \"5m\"").with("redial_min = \"20ms\"")
}

/// Do not resend what was already acknowledged: rsyslog/rsyslog#979, rsyslog/librelp#47, librelp#56.
#[test]
fn need_06_what_was_acknowledged_is_not_sent_again_after_an_outage() {
    let ring = patient_plan().with("ack = \"all\"").start();
    let sent = ring.send(0, &"on every disk ".repeat(30), 2_000);
    let ways = [(0, 1), (0, 2), (1, 2)];
    let passed = || ways.iter().map(|&(a, b)| ring.net().passed(a, b) + ring.net().passed(b, a)).sum::<u64>();
    let before = passed();
    assert!(before > 1_000_000, "only {before} bytes went from host to host");
    for (a, b) in ways {
        ring.net().set_both(a, b, Way::Reset);
    }
    ring.net().heal();
    wait_until("every link was cut and is back", || {
        ALL.iter().all(|&a| ALL.iter().all(|&b| a == b || ring.times_linked(a, b) == 2))
    });
    ring.assert_each_once(&ALL, &sent);
    let again = passed() - before;
    assert!(again < 50_000, "{again} bytes went from host to host after the outage");
}

/// Give me exactly once: rsyslog/rsyslog#2736, #3087. The client's connection breaks before it has its answers, and it
/// repeats everything through another host at once.
#[test]
fn need_07_what_is_repeated_through_another_host_is_logged_once() {
    let ring = patient_plan().start();
    let mut sent = Vec::new();
    for round in 0..20 {
        let texts: Vec<_> = (0..20).map(|n| format!("round {round} number {n}")).collect();
        let lines: String = texts.iter().map(|text| format!("AT {} {text}\r\n", now())).collect();
        let hello = format!("HELLO repeated-{round} next=1\r\n");
        for host in ALL {
            // The connection breaks at once; the last one does not.
            let mut client = ring.client(host);
            client.send(format!("{hello}{lines}"));
            if host == ALL.len() - 1 {
                expect_all_ok(&mut client, texts.len());
            }
        }
        sent.extend(texts);
    }
    ring.assert_each_once(&ALL, &sent);
}

#[track_caller]
fn expect_all_ok(client: &mut Connection, messages: usize) {
    let hello = client.line();
    assert!(hello.starts_with("OK "), "{hello}");
    for _ in 0..messages {
        assert_eq!(client.line(), "OK");
    }
}

fn now() -> pzog::Stamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
    pzog::Stamp::of_utc_seconds(now.as_secs())
}

/// A rolling restart must neither lose nor double: nats-io/nats-server#3006.
#[test]
fn need_08_a_rolling_restart_neither_loses_nor_doubles() {
    let mut ring = patient_plan().start();
    let addresses = ALL.map(|host| ring.client_address(host));
    let clients = Clients::start(&addresses, 4, "rolling", &mut Random::new(8));
    for _ in 0..2 {
        for host in ALL {
            let goal = clients.answered() + 100;
            wait_until("the load goes on", || clients.answered() >= goal);
            assert!(ring.stop(host).success());
            ring.start_hosts(&[host]);
        }
    }
    let messages = clients.stop();
    ring.fence(&ALL);
    let tally = assert_account(&ring, &messages);
    assert!(tally.repeated > 0, "no client had to go to another host: {tally:?}");
}

/// Retransmit when the ack is late, not only after a disconnect: eclipse-mosquitto/mosquitto#2176, #3275. A relay that
/// is stuck is no disconnect: each host gets what should have come through it from another one.
#[test]
fn need_09_what_a_stuck_relay_keeps_is_had_from_another_host_without_a_disconnect() {
    let ring = patient_plan().start();
    let mut sent = Vec::new();
    for relay in ALL {
        // A message that the host before it takes is passed on by the relay to the host behind it.
        let (origin, charge) = ((relay + 2) % 3, (relay + 1) % 3);
        ring.net().set(relay, charge, Way::Stalled);
        let texts = ring.send(origin, &format!("past {}", ring.name(relay)), 100);
        ring.wait_for_text(&ALL, &texts[99]);
        sent.extend(texts);
        ring.net().heal();
    }
    ring.assert_each_once(&ALL, &sent);
    assert_never_down(&ring);
}

#[track_caller]
fn assert_never_down(ring: &Ring) {
    for host in ALL {
        let down = ring.error_lines(host, &[" DOWN "]);
        assert!(down.is_empty(), "{} lost a link: {down:?}", ring.name(host));
    }
}

/// Sending too fast must push back, not drop: nats-io/nats-server#1520, nuts-foundation/nuts-node#2401.
#[test]
fn need_20_what_is_sent_faster_than_the_hosts_can_pass_it_on_is_not_dropped() {
    let ring = patient_plan().with_limit("window = 64").start();
    // The first is slow enough to be waited for; behind the second 6 MB fill every buffer.
    for (way, messages) in [(Way::Trickle(300_000), 3_000), (Way::Stalled, 12_000)] {
        for other in [1, 2] {
            ring.net().set(0, other, way);
        }
        let sent = ring.send(0, &format!("{way:?} {}", "too fast ".repeat(50)), messages);
        ring.net().heal();
        ring.assert_each_once(&ALL, &sent);
    }
    assert_never_down(&ring);
}

/// … and who does not take its answers is not read any more, until it does.
#[test]
fn need_20_who_does_not_take_its_answers_has_to_wait_and_loses_nothing() {
    let ring = patient_plan().start();
    let mut client = ring.client(0);
    // At this level nothing waits for the disk; what does is bounded by itself.
    client.expect("HELLO held-back ack=journaled", "OK 0");
    let (mut texts, mut taken) = (Vec::new(), true);
    while taken {
        // What is refused at once: its answers fill the way back.
        let text = format!("held back {}", texts.len());
        let lines = format!("AT {} {text}\r\n{}", now(), format!("{}\r\n", "x".repeat(50)).repeat(1_000));
        texts.push(text);
        let room_for = client.send_some(lines.as_bytes());
        taken = room_for == lines.len();
        if !taken {
            let rest = lines[room_for..].to_owned();
            client.send_in_background(rest);
        }
        assert!(texts.len() < 10_000, "the daemon reads on and on");
    }
    for text in &texts {
        assert_eq!(client.line(), "OK", "the answer to {text:?}");
        for _ in 0..1_000 {
            let refused = client.line();
            assert!(refused.starts_with("ERR 400 "), "{refused}");
        }
    }
    ring.assert_each_once(&ALL, &texts);
}
