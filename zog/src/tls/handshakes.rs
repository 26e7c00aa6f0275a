//! Clients that have begun TLS and not yet finished its handshake. What they may have sent of it is kept in memory, so
//! that they are few: one more takes the place of the oldest, which a client that goes on at once never is.

use pzog::ConnId;
use std::net::IpAddr;

/// So many in all; each may hold 64 KiB of an unfinished handshake.
const MAX: usize = 256;

/// So many of one address: whoever holds these is in nobody else's way.
const MAX_OF_ADDRESS: usize = 64;

/// Those that are under way, oldest first.
#[derive(Default)]
pub(crate) struct Handshakes {
    under_way: Vec<(ConnId, IpAddr)>,
}

impl Handshakes {
    /// One more begins; the one that has to give way to it, if one has.
    pub(crate) fn begun(&mut self, conn: ConnId, from: IpAddr) -> Option<ConnId> {
        let of_address = self.under_way.iter().filter(|(_, ip)| *ip == from).count();
        let oldest = match () {
            () if of_address >= MAX_OF_ADDRESS => self.under_way.iter().position(|(_, ip)| *ip == from),
            () if self.under_way.len() >= MAX => Some(0),
            () => None,
        };
        let leaving = oldest.map(|at| self.under_way.remove(at).0);
        self.under_way.push((conn, from));
        leaving
    }

    /// It is over, in whatever way.
    pub(crate) fn ended(&mut self, conn: ConnId) {
        self.under_way.retain(|(other, _)| *other != conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_holds_many_makes_room_for_its_own_and_all_for_all() {
        let mut handshakes = Handshakes::default();
        let ip = |n: usize| IpAddr::from([10, 0, 0, n as u8]);
        let mut conns = (0..).map(ConnId);
        for n in 0..MAX_OF_ADDRESS {
            assert_eq!(handshakes.begun(conns.next().unwrap(), ip(1)), None, "{n}");
        }
        assert_eq!(handshakes.begun(conns.next().unwrap(), ip(1)), Some(ConnId(0)));
        for address in 2.. {
            if handshakes.under_way.len() == MAX {
                break;
            }
            for _ in 0..MAX_OF_ADDRESS {
                assert_eq!(handshakes.begun(conns.next().unwrap(), ip(address)), None);
            }
        }
        assert_eq!(handshakes.begun(ConnId(9998), ip(99)), Some(ConnId(1)));
        handshakes.ended(ConnId(9998));
        assert_eq!(handshakes.begun(ConnId(9999), ip(99)), None);
    }
}
