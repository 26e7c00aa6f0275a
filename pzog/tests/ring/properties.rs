//! Whole rings with messages, deliveries and splits of the bytes drawn at random.

use crate::disk::Mood;
use crate::network::Port;
use crate::world::World;
use proptest::prelude::*;
use pzog::time::Duration;
use pzog::{Input, Level, Scheme, Settings};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

const NAMES: [&str; 9] = ["MV", "PA", "G", "LA", "S", "a", "Z", "x-1", "y_2"];

/// A world, and the dice that decide what happens in it next.
struct Chaos {
    world: World,
    dice: SmallRng,
    /// The clients of each host.
    clients: Vec<Vec<String>>,
    /// All messages that were said, in order, and to which host.
    texts: Vec<(usize, String)>,
}

impl Chaos {
    fn new(hosts: usize, scheme: Scheme, seed: u64) -> Chaos {
        // Nobody is told PENDING: with these times every message comes to every host before that.
        let settings = Settings {
            segment_bytes: 64 << 10,
            ack_timeout: Duration::from_secs(600),
            ..Settings::default()
        };
        let world = World::new(&NAMES[..hosts], scheme, settings);
        let dice = SmallRng::seed_from_u64(seed);
        Chaos { world, dice, clients: vec![Vec::new(); hosts], texts: Vec::new() }
    }

    fn a_host(&mut self, is_eligible: impl Fn(&Chaos, usize) -> bool) -> Option<usize> {
        let eligible: Vec<usize> = (0..self.clients.len()).filter(|host| is_eligible(self, *host)).collect();
        (!eligible.is_empty()).then(|| eligible[self.dice.random_range(0..eligible.len())])
    }

    fn runs(&self, host: usize) -> bool {
        self.world.hosts[host].node.is_some()
    }

    /// Lets some things happen, in any order, and some time pass.
    fn shake(&mut self) {
        let steps_max = self.dice.random_range(0..30);
        self.world.shuffle(&mut self.dice, steps_max);
        if self.dice.random_bool(0.3) {
            let micros = self.dice.random_range(0..30_000);
            self.world.pass(Duration::from_micros(micros), |_| ());
        }
    }

    /// A client of this host says something new, with any level.
    fn say(&mut self, host: usize) {
        // No two messages come at the very same microsecond.
        self.world.pass(Duration::from_micros(1), |_| ());
        let clients = self.clients[host].len();
        let which = self.dice.random_range(0..=clients.min(2));
        if which == clients {
            let name = format!("{} {clients}", self.world.hosts[host].name);
            let level = Level::LADDER[self.dice.random_range(0..Level::LADDER.len())];
            self.world.connect(&name, host, Port::Clients);
            let hello = format!("HELLO {}-{clients}-{} ack={}\r\n", host, self.texts.len(), level.word());
            assert!(self.world.say(&name, hello.as_bytes()));
            self.clients[host].push(name);
        }
        let text = format!("message {}", self.texts.len());
        let form = if self.dice.random_bool(0.5) { "MSG" } else { "AT 20261121T030000Z" };
        let line = format!("{form} {text}\r\n");
        if self.world.say(&self.clients[host][which], line.as_bytes()) {
            self.texts.push((host, text));
        }
    }

    /// Now and then a host dies or comes back, a link breaks or stalls, a disk hangs, time goes on.
    fn break_something(&mut self) {
        let host = self.dice.random_range(0..self.clients.len());
        let other = (host + self.dice.random_range(1..self.clients.len())) % self.clients.len();
        match self.dice.random_range(0..30) {
            0 => self.end(host, World::kill),
            1 => self.end(host, World::lose_power),
            2..=4 if !self.runs(host) => self.world.start(host),
            5 => self.world.cut(host, other),
            6 => drop(self.world.held.insert((host, other))),
            7..=9 => self.world.held.clear(),
            10 => self.world.hosts[host].disk.mood = Mood::Hangs,
            11..=13 => self.world.hosts[host].disk.mood = Mood::Works,
            14..=16 => self.world.pass(Duration::from_millis(self.dice.random_range(0..3000)), |_| ()),
            _ => {}
        }
    }

    fn end(&mut self, host: usize, how: impl Fn(&mut World, usize)) {
        how(&mut self.world, host);
        self.clients[host].clear();
    }

    /// A host must have logged everything that was taken, once. What was said to a host that had stopped reading
    /// was not.
    fn check_log(&self, host: usize, left: &[bool]) -> Result<(), TestCaseError> {
        let name = &self.world.hosts[host].name;
        let mut logged: Vec<&[u8]> = self.world.hosts[host].log_lines().map(|line| &line[17..]).collect();
        logged.sort_unstable();
        let was_taken = |(origin, text): &&(usize, String)| !left[*origin] || self.is_logged(text);
        let taken: Vec<&String> = self.texts.iter().filter(was_taken).map(|(_, text)| text).collect();
        let is_missing = |text: &&&String| logged.binary_search(&text.as_bytes()).is_err();
        let missing: Vec<&&String> = taken.iter().filter(is_missing).collect();
        prop_assert!(missing.is_empty(), "{name} has not logged {missing:?}\n{}", self.world.trace());
        prop_assert_eq!(logged.len(), taken.len(), "{} has logged more than was said", name);
        Ok(())
    }

    fn is_logged(&self, text: &str) -> bool {
        self.world.hosts.iter().any(|host| host.has_text(text.as_bytes()))
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let broken = self.world.checks.take_broken(&self.world.hosts);
        prop_assert!(broken.is_empty(), "{}\nafter\n{}", broken.join("\n"), self.world.trace());
        Ok(())
    }
}

/// 64 cases; `PROPTEST_CASES` divided by four, where that is set. A failure names the seed, which is all there is to
/// keep.
pub(crate) fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases / 4, failure_persistence: None, ..default }
}

fn a_scheme() -> impl Strategy<Value = Scheme> {
    prop_oneof![Just(Scheme::Receiver), Just(Scheme::Origin)]
}

proptest! {
    #![proptest_config(config())]

    /// Hosts start one after the other while messages flow already; nothing fails.
    #[test]
    fn every_log_has_every_message_once_and_every_client_is_answered_in_order(
        hosts in 1usize..=9,
        scheme in a_scheme(),
        messages in 1usize..60,
        seed: u64,
    ) {
        let mut chaos = Chaos::new(hosts, scheme, seed);
        for n in 0..messages {
            let starts = n == 0 || chaos.dice.random_bool(0.3);
            if let Some(host) = chaos.a_host(|c, h| starts && !c.runs(h)) {
                chaos.world.start(host);
            }
            if let Some(host) = chaos.a_host(Chaos::runs) {
                chaos.say(host);
            }
            chaos.shake();
            chaos.check()?;
        }
        (0..hosts).filter(|h| !chaos.runs(*h)).collect::<Vec<_>>().into_iter().for_each(|h| chaos.world.start(h));
        chaos.world.run(Duration::from_secs(30));
        chaos.check()?;
        for host in 0..hosts {
            chaos.check_log(host, &vec![false; hosts])?;
        }
        for (name, client) in &chaos.world.outsiders {
            prop_assert!(client.asked.is_empty(), "{} waits for {:?}\n{}", name, client.asked, chaos.world.trace());
            let refused = client.answers.iter().find(|a| !a.starts_with("OK"));
            prop_assert_eq!(refused, None, "{}", chaos.world.trace());
        }
    }

    /// Hosts stop in good order while messages flow, and come back. What was taken is in all logs of those that
    /// stayed, once.
    #[test]
    fn an_orderly_stop_loses_nothing_and_doubles_nothing(
        hosts in 2usize..=9,
        scheme in a_scheme(),
        leavers in 1usize..4,
        seed: u64,
    ) {
        let mut chaos = Chaos::new(hosts, scheme, seed);
        (0..hosts).for_each(|host| chaos.world.start(host));
        chaos.world.run(Duration::from_secs(1));
        let mut left = vec![false; hosts];
        for _ in 0..leavers {
            talk(&mut chaos, &left, 10)?;
            let leaver = chaos.dice.random_range(0..hosts);
            left[leaver] = true;
            chaos.world.give(leaver, Input::Stop);
            talk(&mut chaos, &left, 10)?;
            chaos.world.run(Duration::from_secs(5));
            prop_assert!(!chaos.runs(leaver), "it has stopped");
            chaos.clients[leaver].clear();
            talk(&mut chaos, &left, 10)?;
            chaos.world.start(leaver);
            chaos.world.run(Duration::from_secs(10));
        }
        chaos.check()?;
        for host in (0..hosts).filter(|host| !left[*host]) {
            chaos.check_log(host, &left)?;
        }
    }
}

proptest! {
    #![proptest_config(config())]

    /// Hosts are killed and lose power, links are cut and stall, disks hang. Whoever is answered OK was told the
    /// truth, nothing is logged twice or out of order, and in the end all logs have the same.
    #[test]
    fn whatever_breaks_nothing_is_lost_doubled_or_answered_falsely(
        hosts in 2usize..=6,
        scheme in a_scheme(),
        events in 1usize..60,
        seed: u64,
    ) {
        let mut chaos = Chaos::new(hosts, scheme, seed);
        (0..hosts).for_each(|host| chaos.world.start(host));
        chaos.world.run(Duration::from_secs(1));
        for _ in 0..events {
            chaos.break_something();
            if let Some(host) = chaos.a_host(Chaos::runs) {
                chaos.say(host);
            }
            chaos.shake();
            chaos.check()?;
        }
        chaos.world.held.clear();
        chaos.world.hosts.iter_mut().for_each(|host| host.disk.mood = Mood::Works);
        for host in 0..hosts {
            if !chaos.runs(host) {
                chaos.world.start(host);
            }
        }
        chaos.world.run(Duration::from_secs(60));
        chaos.check()?;
        let sorted = |host: &crate::host::Host| {
            let mut lines: Vec<Vec<u8>> = host.log_lines().map(<[u8]>::to_vec).collect();
            lines.sort();
            lines
        };
        let first = sorted(&chaos.world.hosts[0]);
        for host in &chaos.world.hosts {
            let equal = sorted(host) == first;
            prop_assert!(equal, "{} has another log than the first\n{}", host.name, chaos.world.trace());
            prop_assert!(host.node.as_ref().is_some_and(pzog::Node::is_balanced), "P7");
        }
    }
}

/// Messages at hosts that never left.
fn talk(chaos: &mut Chaos, left: &[bool], messages: usize) -> Result<(), TestCaseError> {
    for _ in 0..messages {
        if let Some(host) = chaos.a_host(|_, host| !left[host]) {
            chaos.say(host);
        }
        chaos.shake();
        chaos.check()?;
    }
    Ok(())
}
