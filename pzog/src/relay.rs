//! Who forwards what to whom: the wrapping byte.
//!
//! A message reaches every host once, in at most two hops. Its origin sends it to some hosts directly; the
//! *wrapping byte* in front tells each of them whether it has a *charge*, one more host to pass the message on to:
//!
//! | wrapping | scheme `receiver` (default) | scheme `origin` |
//! | --- | --- | --- |
//! | `0` | only log | only log |
//! | `1` | on to the receiver's +1 peer, with `0` | on to the origin's +3 peer, with `0` |
//! | `2` | on to the receiver's +2 peer, with `0` | on to the origin's +4 peer, with `0` |

use crate::ring::{HostIndex, Ring, Scheme};
use alloc::vec::Vec;

/// How one host of the ring gets the messages of an origin while all is well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// From the origin, with this wrapping.
    Direct {
        /// The wrapping digit, 0 to 2.
        wrapping: u8,
        /// The offset (from the origin) of the host that it is to pass messages on to.
        charge: Option<usize>,
    },
    /// From the direct host at this offset.
    ByRelay {
        /// Offset from the origin.
        relay: usize,
    },
}

/// The ways from an origin to the hosts at offsets 1 to N-1; entry 0 is offset +1.
pub(crate) fn ways(ring: &Ring) -> Vec<Way> {
    let others = ring.len() - 1;
    let mut ways = alloc::vec![Way::Direct { wrapping: 0, charge: None }; others];
    let mut direct = |offset: usize, wrapping: u8, charge: usize| {
        ways[offset - 1] = Way::Direct { wrapping, charge: Some(charge) };
        ways[charge - 1] = Way::ByRelay { relay: offset };
    };
    match ring.scheme() {
        Scheme::Receiver => {
            for before in (0..others).step_by(4) {
                match others - before {
                    1 => {}
                    2 => direct(before + 1, 1, before + 2),
                    3 => direct(before + 1, 2, before + 3),
                    _ => {
                        direct(before + 1, 2, before + 3);
                        direct(before + 2, 2, before + 4);
                    }
                }
            }
        }
        Scheme::Origin => {
            if others >= 3 {
                direct(1, 1, 3);
            }
            if others >= 4 {
                direct(2, 2, 4);
            }
        }
    }
    ways
}

/// To whom a peer's message goes on, by its wrapping (`1` or `2`).
pub(crate) fn next_hop(ring: &Ring, receiver: HostIndex, origin: HostIndex, wrapping: u8) -> HostIndex {
    let wrapping = usize::from(wrapping);
    match ring.scheme() {
        Scheme::Receiver => ring.peer(receiver, wrapping),
        Scheme::Origin => ring.peer(origin, 2 + wrapping),
    }
}

/// To whom a wrapped line of a client or of a version 1 peer goes on: always the table of scheme `receiver`.
pub(crate) fn next_hop_of_client(ring: &Ring, receiver: HostIndex, wrapping: u8) -> HostIndex {
    ring.peer(receiver, usize::from(wrapping))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HOSTS_MAX;
    use alloc::format;
    use alloc::vec;

    fn ring(n: usize, scheme: Scheme) -> Ring {
        Ring::new((0..n).map(|i| format!("H{i}")).collect(), scheme).unwrap()
    }

    /// How often each host gets a message of `origin`, if all follow the rules.
    fn deliveries(ring: &Ring, origin: HostIndex) -> Vec<u32> {
        let mut got = vec![0; ring.len()];
        for (i, way) in ways(ring).into_iter().enumerate() {
            let Way::Direct { wrapping, .. } = way else { continue };
            let receiver = ring.peer(origin, i + 1);
            got[receiver.index()] += 1;
            if wrapping > 0 {
                got[next_hop(ring, receiver, origin, wrapping).index()] += 1;
            }
        }
        got
    }

    #[test]
    fn both_schemes_cover_every_ring_of_1_to_64_exactly_once_from_every_origin() {
        for scheme in [Scheme::Receiver, Scheme::Origin] {
            for n in 1..=HOSTS_MAX {
                let ring = ring(n, scheme);
                for origin in ring.hosts() {
                    let mut expected = vec![1; n];
                    expected[origin.index()] = 0;
                    assert_eq!(deliveries(&ring, origin), expected, "{scheme:?}, N = {n}, {origin:?}");
                }
            }
        }
    }

    #[test]
    fn the_charge_that_the_origin_counts_on_is_the_one_that_the_relay_takes() {
        for scheme in [Scheme::Receiver, Scheme::Origin] {
            for n in 1..=HOSTS_MAX {
                let ring = ring(n, scheme);
                for (i, way) in ways(&ring).into_iter().enumerate() {
                    let Way::Direct { wrapping, charge: Some(charge) } = way else { continue };
                    let relay = ring.peer(HostIndex(0), i + 1);
                    assert_eq!(
                        next_hop(&ring, relay, HostIndex(0), wrapping),
                        ring.peer(HostIndex(0), charge)
                    );
                    assert_eq!(ways(&ring)[charge - 1], Way::ByRelay { relay: i + 1 });
                }
            }
        }
    }

    #[test]
    fn a_client_s_message_goes_to_plus_1_and_plus_2_with_a_plus_2_wrapping_in_each_case() {
        let ways = ways(&ring(5, Scheme::Receiver));
        assert_eq!(ways[0], Way::Direct { wrapping: 2, charge: Some(3) });
        assert_eq!(ways[1], Way::Direct { wrapping: 2, charge: Some(4) });
        assert_eq!(ways[2], Way::ByRelay { relay: 1 });
        assert_eq!(ways[3], Way::ByRelay { relay: 2 });
    }

    #[test]
    fn the_other_rule_of_the_seed_is_scheme_origin() {
        let ring = ring(5, Scheme::Origin);
        assert_eq!(ways(&ring)[0], Way::Direct { wrapping: 1, charge: Some(3) });
        assert_eq!(ways(&ring)[1], Way::Direct { wrapping: 2, charge: Some(4) });
        assert_eq!(next_hop(&ring, HostIndex(1), HostIndex(0), 1), HostIndex(3));
        assert_eq!(next_hop(&ring, HostIndex(2), HostIndex(0), 2), HostIndex(4));
    }
}
