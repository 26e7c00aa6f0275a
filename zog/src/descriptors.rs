//! File descriptors: every connection is one, and those of the ring come before those of clients.

use crate::door::{CONNECTIONS_PER_HOST, LINGERING_MAX};
use crate::journal;
use ringfile::RingFile;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The runtime, signals, the ports, the logs, a sync, a name to resolve …
const OF_THE_DAEMON: u64 = 22;

/// … and what asks for metrics or the status page.
const OF_WATCHERS: u64 = 4;

/// Where there are plenty, so many are no client's.
const KEPT_WHERE_PLENTY: u64 = 256;

/// Raises the limit to what the system allows, and returns how many descriptors are for clients; says so where ring.toml
/// would have more.
pub(crate) fn for_clients(file: &RingFile) -> u32 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let Some(allowed) = (if raised.is_ok() { maximum } else { current }) else { return u32::MAX };
    let kept = kept(file.hosts.len() as u64, allowed);
    let clients = left(allowed, kept);
    let wanted = file.settings.clients_max;
    if clients < wanted {
        log::warn!(
            "`ulimit -n` allows {allowed} open files, of which {kept} are for the ring and its files: at most \
             {clients} clients at one time in place of {wanted} (`limits.clients` in ring.toml)"
        );
    }
    clients
}

/// How many are never a client's.
fn kept(hosts: u64, allowed: u64) -> u64 {
    let ring = (hosts - 1) * (CONNECTIONS_PER_HOST as u64 + 1); // one that is dialled
    let needed = ring + OF_THE_DAEMON + OF_WATCHERS + (LINGERING_MAX + journal::OPEN_MAX) as u64;
    needed.max(KEPT_WHERE_PLENTY.min(allowed / 4))
}

/// A host that nobody can give a message to is of no use: one client there is at least.
fn left(allowed: u64, kept: u64) -> u32 {
    u32::try_from(allowed.saturating_sub(kept)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_of_five_lives_with_64_and_has_room_for_some_clients() {
        let kept = kept(5, 64);
        assert!((48..=60).contains(&kept), "{kept}");
        assert!(left(64, kept) >= 4);
    }

    #[test]
    fn where_there_are_plenty_more_are_kept() {
        assert_eq!(kept(5, 524_288), KEPT_WHERE_PLENTY);
        assert_eq!(left(20, kept(5, 20)), 1);
    }
}
