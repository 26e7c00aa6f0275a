//! Hosts that lose their power at any moment, again and again.

use crate::disk::Files;
use crate::history::History;
use crate::host::{Host, Looks};
use crate::outside::Client;
use pzog::{HostIndex, Time};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// Two hosts, each with a client; the first one loses its power.
struct World {
    dice: SmallRng,
    now: Time,
    hosts: [Host; 2],
    clients: [Client; 2],
    /// What is on its way to each host.
    pipes: [Vec<u8>; 2],
    connected: bool,
    lives: u64,
}

const HOSTS: [HostIndex; 2] = [HostIndex(0), HostIndex(1)];

impl World {
    fn new(seed: u64, images_max: u64) -> World {
        let looks = |max| Looks { dice: SmallRng::seed_from_u64(seed), max, images: 0, heads: 0 };
        let host = |me, life, max| Host::start(me, life, Files::new(), History::new(), looks(max));
        let mut world = World {
            dice: SmallRng::seed_from_u64(seed),
            now: Time(1),
            hosts: [host(HOSTS[0], 1, images_max), host(HOSTS[1], 1 << 32, 0)],
            clients: [Client::new("a"), Client::new("b")],
            pipes: [Vec::new(), Vec::new()],
            connected: false,
            lives: 1,
        };
        (0..2).for_each(|host| world.begin(host));
        world
    }

    fn begin(&mut self, host: usize) {
        self.hosts[host].begin(self.now);
        self.greet(host);
    }

    fn greet(&mut self, host: usize) {
        let hello = self.clients[host].connect(&mut self.dice);
        self.hosts[host].hear_client(self.now, &hello);
        self.after_turn(host);
    }

    /// The first host loses its power and starts on what that leaves.
    fn lose_power(&mut self) {
        self.lives += 1;
        let files = self.hosts[0].disk.lost_power(None).any_image(&mut self.dice);
        let history = std::mem::replace(&mut self.hosts[0].history, History::new());
        let Looks { max, images, heads, .. } = self.hosts[0].looks;
        let looks = Looks { dice: SmallRng::seed_from_u64(self.dice.random()), max, images, heads };
        self.hosts[0] = Host::start(HOSTS[0], self.lives, files, history, looks);
        self.disconnect(&[1]);
        self.begin(0);
    }

    fn disconnect(&mut self, who_hears: &[usize]) {
        self.pipes = [Vec::new(), Vec::new()];
        if std::mem::take(&mut self.connected) {
            for host in who_hears {
                self.hosts[*host].peer_closed(self.now);
            }
        }
    }

    /// Anything happens next.
    fn step(&mut self, clients_speak: bool) {
        let host = self.dice.random_range(0..2);
        match self.dice.random_range(0..100) {
            0..10 if clients_speak => {
                let lines = self.clients[host].say(&mut self.dice);
                self.hosts[host].hear_client(self.now, &lines);
            }
            10..40 => self.deliver(host),
            40..41 if clients_speak => self.hosts[host].rotate(self.now),
            41..44 => self.now = Time(self.now.0 + self.dice.random_range(0..1_000_000)),
            44..60 => self.now = Time(self.now.0 + self.dice.random_range(0..10_000)),
            _ => self.hosts[host].go_on(self.now, &mut self.dice),
        }
        self.after_turn(host);
    }

    fn deliver(&mut self, to: usize) {
        let whole = self.pipes[to].len();
        let length = if self.dice.random_bool(0.5) { whole } else { self.dice.random_range(0..=whole) };
        let consumed = self.hosts[to].hear_peer(self.now, &mut self.pipes[to][..length]);
        self.pipes[to].drain(..consumed);
    }

    /// What a host has said arrives, what it wants done is done.
    fn after_turn(&mut self, host: usize) {
        let Host { sent, answered, history, .. } = &mut self.hosts[host];
        for line in String::from_utf8(std::mem::take(answered)).expect("answers are text").lines() {
            self.clients[host].hear(line, history);
        }
        self.pipes[1 - host].append(sent);
        if std::mem::take(&mut self.hosts[host].closes_client) {
            self.hosts[host].change_client(self.now);
            self.greet(host);
        }
        if std::mem::take(&mut self.hosts[host].dials) {
            self.dial(host);
        }
        if std::mem::take(&mut self.hosts[host].closes) {
            self.disconnect(&[host, 1 - host]);
        }
    }

    fn dial(&mut self, host: usize) {
        let other = 1 - host;
        if std::mem::replace(&mut self.connected, true) {
            return self.hosts[host].dial_failed(self.now, HOSTS[other]);
        }
        self.hosts[host].peer_connected(self.now, Some(HOSTS[other]));
        self.hosts[other].peer_connected(self.now, None);
        (0..2).for_each(|host| self.after_turn(host));
    }

    /// Nothing new is said until both hosts have everything.
    fn settle(&mut self) {
        self.hosts[0].looks.max = 0;
        for _ in 0..100_000 {
            self.step(false);
            if self.lines(0) == self.lines(1) {
                return;
            }
        }
        panic!("the hosts do not come to the same lines");
    }

    fn lines(&self, host: usize) -> Vec<String> {
        let lines = String::from_utf8(self.hosts[host].history.lines.clone()).expect("access.log is text");
        let mut lines: Vec<String> = lines.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }

    fn check_all_is_there_once(&self) {
        for text in self.clients.iter().flat_map(|client| &client.confirmed) {
            for host in &self.hosts {
                assert!(host.history.find(text.as_bytes()).is_some(), "answered and lost: {text}");
            }
        }
        let lines = self.lines(0);
        assert!(lines.windows(2).all(|pair| pair[0] != pair[1]), "a line is there twice");
    }
}

/// A host lives through some losses of power, each at a moment of its own. Returns how many images were looked at, and of
/// how many segments in them the heads sufficed.
fn images_of_lives(seed: u64, images_max: u64) -> (u64, usize) {
    println!("seed {seed}");
    let mut world = World::new(seed, images_max);
    for _life in 0..4 {
        for _step in 0..world.dice.random_range(0..300) {
            world.step(true);
        }
        world.lose_power();
    }
    let Looks { images, heads, .. } = world.hosts[0].looks;
    world.settle();
    world.check_all_is_there_once();
    (images, heads)
}

#[test]
fn no_loss_of_power_takes_what_is_certain_or_brings_what_never_was() {
    let (images, heads) =
        (0..6).map(|seed| images_of_lives(seed, 3)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    assert!(images > 1000, "{images}");
    assert!(heads > 100, "only of {heads} segments the head was read alone");
}

/// `scripts/crash-images` runs this.
#[test]
#[ignore = "takes minutes; scripts/crash-images runs it"]
fn crash_images() {
    let wanted = std::env::var("CRASH_IMAGES").expect("CRASH_IMAGES says how many");
    let wanted: u64 = wanted.parse().expect("CRASH_IMAGES is a number");
    let (mut images, mut seeds) = (0, 0);
    while images < wanted {
        images += images_of_lives(seeds, 1 << 12).0;
        seeds += 1;
    }
    println!("{images} images of what a loss of power may leave, of {} lives: none was wrong", 5 * seeds);
}
