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
    /// The hosts in ring order, then the retired ones.
    names: Vec<String>,
    /// How many of them are not retired.
    active: usize,
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
        let active = names.len();
        Ring { names: Vec::new(), active, scheme }.with_names(names)
    }

    /// Adds hosts that are gone for good: they have no place in the ring and no claim to anything, but what they
    /// said before still passes.
    ///
    /// # Errors
    /// What is wrong with the names.
    pub fn with_retired(self, names: Vec<String>) -> Result<Ring, RingError> {
        self.with_names(names)
    }

    fn with_names(mut self, names: Vec<String>) -> Result<Ring, RingError> {
        for name in names {
            if !is_name(name.as_bytes()) {
                return Err(RingError::BadName(name));
            }
            if self.names.contains(&name) {
                return Err(RingError::DoubledName(name));
            }
            self.names.push(name);
        }
        if self.names.len() > HOSTS_MAX {
            return Err(RingError::TooMany);
        }
        Ok(self)
    }

    /// How many hosts there are, N, without the retired ones.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a ring is never empty")]
    pub fn len(&self) -> usize {
        self.active
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// All hosts in ring order, without the retired ones.
    pub fn hosts(&self) -> impl Iterator<Item = HostIndex> + use<> {
        (0..self.active).map(|i| HostIndex(i as u8))
    }

    /// Whether a host is gone for good.
    #[must_use]
    pub fn is_retired(&self, host: HostIndex) -> bool {
        host.index() >= self.active
    }

    /// The names of all hosts in ring order, then those of the retired ones.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// A host's name.
    #[must_use]
    pub fn name(&self, host: HostIndex) -> &str {
        &self.names[host.index()]
    }

    /// The host of a name, which is compared byte for byte; a retired one, too.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<HostIndex> {
        let at = self.names.iter().position(|n| n.as_bytes() == name)?;
        Some(HostIndex(at as u8))
    }

    /// The +`offset` peer of `host`: *(host + offset) mod N*.
    #[must_use]
    pub fn peer(&self, host: HostIndex, offset: usize) -> HostIndex {
        let at = host.index() + offset;
        // Mostly once round at most: a division takes as long as all the rest.
        HostIndex(if at < self.len() { at } else { at % self.len() } as u8)
    }

    /// A digest of the names in order and the scheme (FNV-1a, 64 bits), by which two hosts see that they agree.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let names = &self.names[..self.active];
        let bytes = names.iter().flat_map(|n| n.bytes().chain(*b"\n")).chain(self.scheme.word().bytes());
        fnv1a(bytes)
    }
}

/// Whether these bytes may name a host.
#[must_use]
pub fn is_name(bytes: &[u8]) -> bool {
    (1..=NAME_MAX).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_')
}
