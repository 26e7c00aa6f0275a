//! Which hosts there are to choose from, and which one is next.

use crate::auth::Auth;
use crate::cli::{HostArgs, RingArgs};
use crate::exit::{Exit, Failure};
use crate::stream::Proof;
use pzog::Settings;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use ringfile::{CLIENT_PORT, RingFile, TlsClients, place};
use ringkeys::{Files, Known};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

/// Where a host hears clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    /// Its name in the ring.
    pub(crate) name: String,
    /// An address, or a name that the system resolves.
    pub(crate) address: String,
    /// Its port for clients.
    pub(crate) port: u16,
    /// What it is told first, if it asks for a token.
    pub(crate) auth: Option<Auth>,
    /// How it proves its name, where TLS is spoken with it.
    pub(crate) proof: Option<Proof>,
}

/// The hosts that the options leave to choose from, at least one, in ring order; and the settings of the ring.
pub(crate) fn targets(args: &HostArgs) -> Result<(Vec<Target>, Settings), Failure> {
    let Some((path, file)) = ring_file(args)? else {
        if args.tls {
            let why = "--tls needs a ring.toml (-c), which says the name that the host has to prove";
            return Err(Failure::new(Exit::Usage, why));
        }
        let auth = args.token_file.as_deref().map(Auth::load).transpose()?;
        return Ok((vec![unnamed(auth)], Settings::default()));
    };
    let mut all = all(args, &path, &file)?;
    let targets = match &args.specific_host {
        _ if args.testing => vec![of_this_machine(all, &path)?],
        Some(wanted) => match file.find(wanted) {
            Some(index) => vec![all.swap_remove(index)],
            None => return Err(no_such_host(wanted, &all, &path)),
        },
        None => all,
    };
    Ok((targets, file.settings))
}

/// As [`targets`], but with `--failover` the host of `-s` and behind it all others as they follow it in the ring.
pub(crate) fn targets_to_send_to(args: &RingArgs) -> Result<(Vec<Target>, Settings), Failure> {
    let (mut targets, settings) = targets(&args.hosts)?;
    if let Some((path, file)) = args.failover.then(|| ring_file(&args.hosts)).transpose()?.flatten() {
        let first = file.hosts.iter().position(|host| host.name == targets[0].name).unwrap_or_default();
        targets = all(&args.hosts, &path, &file)?;
        targets.rotate_left(first);
    }
    Ok((targets, settings))
}

/// All hosts of the ring, in its order.
fn all(args: &HostArgs, path: &Path, file: &RingFile) -> Result<Vec<Target>, Failure> {
    let auth = args.token_file.as_deref().map(Auth::load).transpose()?;
    let failed = |why| Failure::new(Exit::Config, why);
    let known = known(args, path, file).map_err(failed)?;
    let target = |host: &ringfile::Host| {
        let proof = known.as_ref().map(|known| Proof::of(known, &host.name)).transpose().map_err(failed)?;
        let (name, address) = (host.name.clone(), host.client_address.clone());
        Ok(Target { name, address, port: host.client_port, auth: auth.clone(), proof })
    };
    file.hosts.iter().map(target).collect()
}

/// The CAs by which hosts are known, where TLS is spoken.
fn known(args: &HostArgs, path: &Path, file: &RingFile) -> Result<Option<Known>, String> {
    if !args.tls && file.tls_clients != TlsClients::Required {
        return Ok(None);
    }
    let beside = || Files::of(&path.with_file_name("keys")).cas();
    let cas = args.ca.clone().unwrap_or_else(beside);
    Known::load(&cas).map(Some).map_err(|why| format!("{why}; --ca names the ring's ca.pem"))
}

/// ring.toml and where it is; `None` where none is needed.
fn ring_file(args: &HostArgs) -> Result<Option<(PathBuf, RingFile)>, Failure> {
    let path = place::ring_file(args.config.as_deref());
    if args.testing && args.config.is_none() && !path.exists() {
        return Ok(None);
    }
    let file = RingFile::load(&path).map_err(|e| Failure::new(Exit::Config, e.to_string()))?;
    Ok(Some((path, if args.local { file.local() } else { file })))
}

fn is_loopback(target: &Target) -> bool {
    target.address.parse() == Ok(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// The host at 127.0.0.1, whether ring.toml names it or not.
fn of_this_machine(all: Vec<Target>, path: &Path) -> Result<Target, Failure> {
    let auth = all.first().and_then(|target| target.auth.clone());
    let speaks_tls = all.iter().any(|target| target.proof.is_some());
    match all.into_iter().find(is_loopback) {
        Some(target) => Ok(target),
        None if speaks_tls => {
            let path = path.display();
            let why =
                format!("{path} has no host at 127.0.0.1, so there is no name to be proved in TLS; use -s");
            Err(Failure::new(Exit::Usage, why))
        }
        None => Ok(unnamed(auth)),
    }
}

fn unnamed(auth: Option<Auth>) -> Target {
    let (name, address) = ("localhost".into(), "127.0.0.1".into());
    Target { name, address, port: CLIENT_PORT, auth, proof: None }
}

fn no_such_host(wanted: &str, all: &[Target], path: &Path) -> Failure {
    let known: Vec<String> = all.iter().map(|t| format!("{} ({})", t.name, t.address)).collect();
    let (path, known) = (path.display(), known.join(", "));
    Failure::new(Exit::Usage, format!("{path} has no host {wanted:?}; it has {known}"))
}

/// How the next host is chosen.
pub(crate) enum Choice {
    /// Each with the same chance.
    Random(Xoshiro256PlusPlus),
    /// One after the other, in ring order; this one is next.
    RoundRobin(usize),
    /// Always the first one that can be reached.
    First,
}

impl Choice {
    /// The way that the options ask for.
    pub(crate) fn new(args: &RingArgs, seed: u64) -> Choice {
        match args {
            RingArgs { failover: true, .. } => Choice::First,
            RingArgs { round_robin: true, .. } => Choice::RoundRobin(0),
            _ => Choice::Random(Xoshiro256PlusPlus::seed_from_u64(seed)),
        }
    }

    /// Chooses among the first `hosts` those that can be `reached`; `None` where there is none.
    pub(crate) fn next(&mut self, hosts: usize, reached: impl Fn(usize) -> bool) -> Option<usize> {
        match self {
            Choice::Random(rng) => {
                let count = (0..hosts).filter(|host| reached(*host)).count();
                let chosen = (count > 0).then(|| rng.random_range(0..count))?;
                (0..hosts).filter(|host| reached(*host)).nth(chosen)
            }
            Choice::RoundRobin(next) => {
                let chosen = (0..hosts).map(|i| (*next + i) % hosts).find(|host| reached(*host))?;
                *next = chosen + 1;
                Some(chosen)
            }
            Choice::First => (0..hosts).find(|host| reached(*host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn targets_with(options: &str) -> Result<(Vec<Target>, Settings), Failure> {
        let options = options.split_whitespace();
        targets_to_send_to(&Cli::try_parse_from(std::iter::once("sprog").chain(options)).unwrap().ring)
    }

    fn places(options: &str) -> Vec<String> {
        let (targets, _) = targets_with(&format!("-c ../ring.toml {options}")).unwrap();
        targets.iter().map(|t| format!("{} {}:{}", t.name, t.address, t.port)).collect()
    }

    #[test]
    fn the_options_say_which_hosts_there_are() {
        assert_eq!(places("").len(), 5);
        assert_eq!(places("-r")[1], "PA 192.168.152.252:55552");
        assert_eq!(places("--local")[1], "PA 127.0.0.1:55562");
        assert_eq!(places("-s PA"), ["PA 192.168.152.252:55552"]);
        assert_eq!(places("-s 192.168.152.11"), ["S 192.168.152.11:55552"]);
        assert_eq!(places("-s S --local"), ["S 127.0.0.1:55592"]);
        let all: Vec<String> =
            places("-s S --failover").iter().map(|p| p.split(' ').next().unwrap().into()).collect();
        assert_eq!(all, ["S", "MV", "PA", "G", "LA"]);
        assert_eq!(places("-T"), ["localhost 127.0.0.1:55552"]);
        assert_eq!(places("-T --local"), ["MV 127.0.0.1:55552"]);
    }

    #[test]
    fn testing_alone_needs_no_ring_file_and_everything_else_does() {
        assert_eq!(targets_with("-T").unwrap().0, [unnamed(None)]);
        assert_eq!(targets_with("").unwrap_err().exit, Exit::Config);
        assert_eq!(targets_with("-T -c missing.toml").unwrap_err().exit, Exit::Config);
        assert_eq!(targets_with("-c ../ring.toml -s Z").unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn testing_says_the_token_though_ring_toml_names_no_host_at_127_0_0_1() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "known\n").unwrap();
        let options = format!("-c ../ring.toml -T --token-file {}", file.path().display());
        assert!(targets_with(&options).unwrap().0[0].auth.is_some());
    }

    fn random(seed: u64) -> Choice {
        Choice::Random(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    #[test]
    fn the_preferred_host_is_chosen_whenever_it_can_be_reached() {
        assert_eq!(chosen(&mut Choice::First, 2, &[true; 3]), [0, 0]);
        assert_eq!(chosen(&mut Choice::First, 2, &[false, true, true]), [1, 1]);
        assert_eq!(chosen(&mut Choice::First, 2, &[false; 3]), [0; 0]);
    }

    fn chosen(choice: &mut Choice, count: usize, reached: &[bool]) -> Vec<usize> {
        (0..count).filter_map(|_| choice.next(reached.len(), |host| reached[host])).collect()
    }

    #[test]
    fn round_robin_goes_in_ring_order_and_passes_over_who_is_skipped() {
        let mut choice = Choice::RoundRobin(0);
        assert_eq!(chosen(&mut choice, 6, &[true; 5]), [0, 1, 2, 3, 4, 0]);
        assert_eq!(chosen(&mut choice, 5, &[true, true, false, true, true]), [1, 3, 4, 0, 1]);
        assert_eq!(chosen(&mut choice, 3, &[false; 5]), [0; 0]);
        assert_eq!(chosen(&mut choice, 2, &[true; 5]), [2, 3]);
    }

    #[test]
    fn random_choice_is_even_among_those_that_can_be_reached() {
        let mut choice = random(3);
        let chosen = chosen(&mut choice, 40_000, &[true, false, true, true, true]);
        for (host, share) in [(0, 10_000), (1, 0), (2, 10_000), (3, 10_000), (4, 10_000)] {
            let count = chosen.iter().filter(|c| **c == host).count();
            assert!(count.abs_diff(share) <= share / 20, "host {host}: {count}");
        }
    }

    #[test]
    fn the_same_seed_chooses_the_same_hosts() {
        let hosts = |seed| chosen(&mut random(seed), 50, &[true; 5]);
        assert_eq!(hosts(1), hosts(1));
        assert_ne!(hosts(1), hosts(2));
    }
}
