//! The ring: the hosts in order, and who is how far from whom.

use crate::digest::fnv1a;
use crate::limits::{HOSTS_MAX, NAME_MAX};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A host's place in the ring, counted from 0 in the order of ring.toml.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct HostIndex(pub u8);

impl HostIndex {
    /// As an index into tables with one row per host.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How the wrapping byte is read between peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scheme {
    /// Offsets count from the receiver: `1` goes on to its +1 peer, `2` to its +2 peer.
    #[default]
    Receiver,
    /// Offsets count from the origin: `1` goes on to the origin's +3 peer, `2` to its +4 peer.
    Origin,
}

impl Scheme {
    /// The word in ring.toml.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Scheme::Receiver => "receiver",
            Scheme::Origin => "origin",
        }
    }
}

/// The ordered hosts and the scheme: what all hosts of a ring must agree on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ring {
    names: Vec<String>,
    scheme: Scheme,
}

/// Why a list of names is no ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RingError {
    /// There is no host.
    Empty,
    /// There are more than [`HOSTS_MAX`] hosts.
    TooMany,
    /// This name is not 1 to [`NAME_MAX`] ASCII letters, digits, `-` or `_`.
    BadName(String),
    /// This name stands twice.
    DoubledName(String),
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingError::Empty => f.write_str("a ring needs at least one host"),
            RingError::TooMany => write!(f, "a ring has at most {HOSTS_MAX} hosts"),
            RingError::BadName(name) => {
                write!(f, "host name {name:?}: use 1 to {NAME_MAX} ASCII letters, digits, '-' or '_'")
            }
            RingError::DoubledName(name) => write!(f, "host name {name:?} stands twice"),
        }
    }
}

impl core::error::Error for RingError {}

impl Ring {
    /// Checks the names and makes the ring.
    ///
    /// # Errors
    /// What is wrong with the names.
    pub fn new(names: Vec<String>, scheme: Scheme) -> Result<Ring, RingError> {
        if names.is_empty() {
            return Err(RingError::Empty);
        }
        if names.len() > HOSTS_MAX {
            return Err(RingError::TooMany);
        }
        for (i, name) in names.iter().enumerate() {
            if !is_name(name.as_bytes()) {
                return Err(RingError::BadName(name.clone()));
            }
            if names[..i].contains(name) {
                return Err(RingError::DoubledName(name.clone()));
            }
        }
        Ok(Ring { names, scheme })
    }

    /// How many hosts there are, N.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a ring is never empty")]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// All hosts in ring order.
    pub fn hosts(&self) -> impl Iterator<Item = HostIndex> + use<> {
        (0..self.names.len()).map(|i| HostIndex(i as u8))
    }

    /// A host's name.
    #[must_use]
    pub fn name(&self, host: HostIndex) -> &str {
        &self.names[host.index()]
    }

    /// The host of a name, which is compared byte for byte.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<HostIndex> {
        self.hosts().find(|h| self.name(*h).as_bytes() == name)
    }

    /// The +`offset` peer of `host`: *(host + offset) mod N*.
    #[must_use]
    pub fn peer(&self, host: HostIndex, offset: usize) -> HostIndex {
        HostIndex(((host.index() + offset) % self.len()) as u8)
    }

    /// A digest of the names in order and the scheme (FNV-1a, 64 bits), by which two hosts see that they agree.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let bytes = self.names.iter().flat_map(|n| n.bytes().chain(*b"\n")).chain(self.scheme.word().bytes());
        fnv1a(bytes)
    }
}

/// Whether these bytes may name a host.
#[must_use]
pub fn is_name(bytes: &[u8]) -> bool {
    (1..=NAME_MAX).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_')
}
