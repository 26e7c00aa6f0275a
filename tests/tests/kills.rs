//! Five daemons under load from clients that fail over, while daemons are killed and ways between them cut: not one
//! message is lost, doubled or out of order. `scripts/kills` runs it for as long as one likes.

use std::env;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Instant;
use tests::{Chaos, Clients, Done, Plan, Random, Ring, Tally, Weights, assert_account, write_sent_log, zog};

const HOSTS: usize = 5;
const CLIENTS: usize = 8;

/// Without `ZOG_KILLS`: about a minute.
const KILLS: usize = 60;

/// After so many kills everything is healed and proved, and goes on with new clients.
const ROUND: usize = 100;

#[test]
fn nothing_is_lost_or_doubled_while_daemons_are_killed_and_ways_are_cut() {
    let weights = Weights { kill: 6, stop: 1, fault: 3, rotate: 1 };
    let (done, _) = run("kills", "ZOG_KILLS", KILLS, weights, |done| done.kills);
    assert!(done.faults * 6 > done.kills, "too few ways were cut: {done:?}");
    assert!(done.rotations > 0 && done.stops > 0, "nothing but kills: {done:?}");
}

/// rsyslog#4511, #4337, #2640, #1417, #4797.
#[test]
fn need_23_logs_rotated_under_load_lose_nothing_though_daemons_are_killed_meanwhile() {
    let weights = Weights { kill: 1, stop: 0, fault: 0, rotate: 8 };
    let (done, _) = run("rotations", "ZOG_ROTATIONS", 50, weights, |done| done.rotations);
    assert!(done.kills * 10 > done.rotations, "too few kills: {done:?}");
}

/// Goes on until `count` says that as much was done as the variable (or else `default`) wants.
#[track_caller]
fn run(
    name: &str,
    variable: &str,
    default: usize,
    weights: Weights,
    count: impl Fn(&Done) -> usize,
) -> (Done, Tally) {
    let wanted = from_environment(variable, default);
    let seed = from_environment("ZOG_SEED", u64::from(std::process::id()));
    eprintln!("{name}: seed {seed}; ZOG_SEED={seed} draws the same lots");
    let mut random = Random::new(seed);
    let mut ring = plan().start();
    let mut chaos = Chaos::new(HOSTS, weights, random.split());
    let mut all = Vec::new();
    let (start, mut tally, mut round) = (Instant::now(), Tally::default(), 0);
    while count(&chaos.done) < wanted {
        let goal = wanted.min(count(&chaos.done) + ROUND);
        round += 1;
        let addresses: Vec<_> = (0..HOSTS).map(|host| ring.client_address(host)).collect();
        let clients = Clients::start(&addresses, CLIENTS, &format!("{name}{round}"), &mut random);
        while count(&chaos.done) < goal {
            chaos.step(&mut ring);
        }
        chaos.end(&mut ring);
        all.extend(clients.stop());
        tally = prove(&ring, &all);
        println!("{name}: {:.0?}: {:?}, {tally:?}", start.elapsed(), chaos.done);
    }
    assert_not_void(wanted, &tally);
    (chaos.done, tally)
}

/// Times so short that links come and go all the time.
fn plan() -> Plan {
    Plan::of(HOSTS)
        .with_net()
        .with("keepalive = \"300ms\"")
        .with("peer_silence = \"1s\"")
        .with("redial_min = \"50ms\"")
        .with("redial_max = \"300ms\"")
        .with_limit("ack_timeout = \"1s\"")
}

#[track_caller]
fn prove(ring: &Ring, messages: &[tests::Message]) -> Tally {
    let hosts: Vec<_> = (0..HOSTS).collect();
    ring.fence(&hosts);
    let tally = assert_account(ring, messages);
    ring.assert_books_balance(&hosts);
    for host in 0..HOSTS {
        // The system goes on when a process is killed: nothing that was written is damaged, and nobody was away for
        // so long that anything had to be given up.
        for alarm in ["DAMAGED", "GIVEN UP"] {
            let lines = ring.error_lines(host, &[alarm]);
            assert!(lines.is_empty(), "{}: {lines:?}", ring.name(host));
        }
    }
    let sent = ring.dir().join("sent.log");
    write_sent_log(ring, messages, &sent);
    let mut verify = zog();
    verify.arg("verify").arg("--others").arg("--sent").arg(sent);
    let output = verify.args(hosts.iter().map(|&host| ring.log_dir(host))).output().expect("zog verify");
    assert!(output.status.success(), "zog verify:\n{}", String::from_utf8_lossy(&output.stdout));
    tally
}

/// A run in which little happened proves nothing.
#[track_caller]
fn assert_not_void(wanted: usize, tally: &Tally) {
    assert!(tally.ok > 50 * wanted, "too few messages: {tally:?}");
    assert!(tally.repeated > wanted, "too few repeats: {tally:?}");
    assert!(tally.pending > 0, "nothing was pending: {tally:?}");
    assert!(tally.refused > 0, "nothing was refused: {tally:?}");
    assert!(tally.unanswered_and_logged + tally.unanswered_and_lost > 0, "all was answered: {tally:?}");
}

fn from_environment<T: FromStr<Err: Display>>(variable: &str, default: T) -> T {
    match env::var(variable) {
        Ok(value) => value.parse().unwrap_or_else(|e| panic!("{variable}={value}: {e}")),
        Err(_) => default,
    }
}
