//! From where hosts of the ring may connect.

use crate::daemon::Shared;
use crate::dialer::resolve;
use ringfile::{Peers, RingFile};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Names are not resolved again sooner, however many come from addresses that are not known.
const AGAIN: Duration = Duration::from_secs(5);

/// Where the hosts of the ring are.
pub(crate) struct Places {
    peers: Peers,
    /// Where this host listens for its peers.
    pub(crate) own: IpAddr,
    hosts: Vec<Place>,
    /// When names were resolved last for somebody whose address was not known.
    resolved_at: Option<Instant>,
}

struct Place {
    /// As ring.toml has it.
    name: String,
    /// What the system said of it last.
    addresses: Vec<IpAddr>,
}

impl Places {
    pub(crate) fn new(file: &RingFile, own: IpAddr) -> Places {
        let place = |host: &ringfile::Host| Place {
            name: host.address.clone(),
            addresses: host.address.parse::<IpAddr>().map(|ip| ip.to_canonical()).into_iter().collect(),
        };
        let hosts = file.hosts.iter().map(place).collect();
        Places { peers: file.access.peers, own, hosts, resolved_at: None }
    }

    /// New settings.
    pub(crate) fn configure(&mut self, peers: Peers) {
        self.peers = peers;
    }

    /// How many hosts of the ring may connect from this address.
    pub(crate) fn hosts_at(&self, ip: IpAddr) -> usize {
        let is_there = |place: &&Place| {
            place.addresses.contains(&ip)
                || (is_default_of_loopback(ip) && place.addresses.iter().any(IpAddr::is_loopback))
        };
        match self.hosts.iter().filter(is_there).count() {
            0 if self.peers == Peers::Any => self.hosts.len(),
            hosts => hosts,
        }
    }

    /// How many other hosts there are.
    pub(crate) fn others(&self) -> usize {
        self.hosts.len() - 1
    }

    /// What the system has said of a host's name.
    pub(crate) fn found(&mut self, host: usize, addresses: impl Iterator<Item = IpAddr>) {
        self.hosts[host].addresses = addresses.map(|ip| ip.to_canonical()).collect();
    }

    /// The names to resolve for somebody whose address is not known, unless that was done a moment ago.
    fn due(&mut self, now: Instant) -> Vec<(usize, String)> {
        if self.resolved_at.is_some_and(|at| now < at + AGAIN) {
            return Vec::new();
        }
        self.resolved_at = Some(now);
        let is_name = |place: &Place| place.name.parse::<IpAddr>().is_err();
        let hosts = self.hosts.iter().enumerate();
        hosts.filter(|(_, place)| is_name(place)).map(|(i, place)| (i, place.name.clone())).collect()
    }
}

/// From where the system connects to addresses of its own, unless it is told otherwise.
fn is_default_of_loopback(ip: IpAddr) -> bool {
    ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST
}

/// Resolves the names of the hosts anew: somebody came from an address that none of them had. Whoever it was is
/// let in when it comes again, if it is one of them.
pub(crate) async fn look_up(daemon: Shared) {
    let due = daemon.borrow_mut().door.places.due(Instant::now());
    for (host, name) in due {
        match resolve(&name, 0).await {
            Ok(found) => daemon.borrow_mut().door.places.found(host, found.iter().map(|a| a.ip())),
            Err(e) => log::warn!("{name}: cannot tell its address: {e}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn places(addresses: &[&str]) -> Places {
        let host = |(i, address): (usize, &&str)| {
            let (ring, client) = (10_000 + 2 * i, 10_001 + 2 * i);
            format!(
                "[[host]]\nname = \"H{i}\"\naddress = \"{address}\"\nring_port = {ring}\nclient_port = {client}\n"
            )
        };
        let text: String = addresses.iter().enumerate().map(host).collect();
        Places::new(&RingFile::parse(&text, Path::new("ring.toml")).unwrap(), ip("10.0.0.1"))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn hosts_may_connect_from_where_they_are_and_nobody_else() {
        let places = places(&["10.0.0.1", "10.0.0.1", "fd00::1"]);
        assert_eq!(places.hosts_at(ip("10.0.0.1")), 2);
        assert_eq!(places.hosts_at(ip("fd00::1")), 1);
        assert_eq!(places.hosts_at(ip("10.0.0.2")), 0);
        assert_eq!(places.hosts_at(ip("127.0.0.1")), 0, "no host is on this machine alone");
    }

    #[test]
    fn a_ring_on_one_machine_connects_from_127_0_0_1_too() {
        let places = places(&["127.0.0.2", "127.0.0.3"]);
        assert_eq!(places.hosts_at(ip("127.0.0.1")), 2);
        assert_eq!(places.hosts_at(ip("127.0.0.3")), 1);
        assert_eq!(places.hosts_at(ip("127.0.0.4")), 0);
    }

    #[test]
    fn a_name_is_where_it_was_found_last_and_asked_for_again_after_a_while() {
        let mut places = places(&["10.0.0.1", "pa.example"]);
        assert_eq!(places.hosts_at(ip("10.0.0.7")), 0);
        let now = Instant::now();
        assert_eq!(places.due(now), [(1, "pa.example".to_owned())]);
        assert_eq!(places.due(now + AGAIN / 2), []);
        places.found(1, [ip("::ffff:10.0.0.7")].into_iter());
        assert_eq!(places.hosts_at(ip("10.0.0.7")), 1);
        places.found(1, [ip("10.0.0.8")].into_iter());
        assert_eq!(places.hosts_at(ip("10.0.0.7")), 0);
        assert_eq!(places.due(now + AGAIN).len(), 1);
    }

    #[test]
    fn where_addresses_are_translated_all_may_come_from_one() {
        let mut places = places(&["10.0.0.1", "10.0.0.2"]);
        places.configure(Peers::Any);
        assert_eq!(places.hosts_at(ip("192.0.2.7")), 2);
    }
}
