//! ring.toml: read, checked, and explained where it is wrong.
//!
//! [`RingFile::load`] gives either a file that is right in every respect, or an [`Error`] that names every fault
//! with file, line, key and what would be right. Whoever holds a [`RingFile`] need not check anything again.

mod access;
mod error;
mod keys;
pub mod place;
mod section;
pub mod size;
mod text;
mod value;

pub use access::{Access, Peers};
pub use error::Error;
use pzog::{Ring, Scheme, Settings};
use std::net::IpAddr;
use std::path::Path;

/// The port on which hosts hear each other, where ring.toml names none.
pub const RING_PORT: u16 = 55551;

/// The port on which hosts hear clients, where ring.toml names none.
pub const CLIENT_PORT: u16 = 55552;

/// The port on which a host shows itself to those who watch it, where ring.toml names none.
pub const HTTP_PORT: u16 = 55550;

/// A checked ring.toml.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RingFile {
    /// The hosts in ring order, 1 to [`HOSTS_MAX`](pzog::limits::HOSTS_MAX), without the retired ones.
    pub hosts: Vec<Host>,
    /// How the wrapping byte is read between peers.
    pub scheme: Scheme,
    /// The settings of the node.
    pub settings: Settings,
    /// What becomes of access.log and error.log.
    pub log: LogSettings,
    /// Who may connect, and how much one of them may take.
    pub access: Access,
    /// Bytes that stay free on the disks of the journal and the logs: with fewer, no messages are taken.
    pub keep_free: u64,
    /// Whether hosts prove to each other who they are.
    pub tls: Tls,
    /// Whether clients speak TLS.
    pub tls_clients: TlsClients,
    /// Where each host listens for those who watch it.
    pub http: HttpListen,
    ring: Ring,
}

/// Whether the links between hosts are encrypted, and both ends prove who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tls {
    /// Never: whoever reaches the ring port may say that it is a host.
    #[default]
    Off,
    /// Where the other host knows how, for as long as it is turned on host by host: it is spoken with whom is dialled, and
    /// who dials without it is heard, too. It protects no more than `Off` does.
    Accept,
    /// Always: nothing is said or heard without it.
    Required,
}

impl Tls {
    /// The word in ring.toml.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Tls::Off => "off",
            Tls::Accept => "accept",
            Tls::Required => "required",
        }
    }
}

/// Whether clients speak TLS, in which the host proves who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TlsClients {
    /// None may.
    #[default]
    Off,
    /// Each as it likes.
    Optional,
    /// All must.
    Required,
}

impl TlsClients {
    /// The word in ring.toml.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            TlsClients::Off => "off",
            TlsClients::Optional => "optional",
            TlsClients::Required => "required",
        }
    }
}

/// An entry of ring.toml.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    /// Its name in the ring.
    pub name: String,
    /// An IPv4 or IPv6 address (without brackets), or a name that the system resolves.
    pub address: String,
    /// Where the other hosts dial it.
    pub ring_port: u16,
    /// Where clients dial it: an address as the other one, which it is unless ring.toml names another.
    pub client_address: String,
    /// The port there.
    pub client_port: u16,
    /// Where it shows itself to those who watch it; none where it does not.
    pub http_port: Option<u16>,
    /// It is gone for good: never so in [`RingFile::hosts`].
    pub is_retired: bool,
}

/// At which of its addresses a host listens for those who watch it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HttpListen {
    /// At 127.0.0.1, or at the host's own address where that is of this machine alone, too.
    #[default]
    Loopback,
    /// At the host's address, for everybody who can reach it.
    Host,
}

/// What becomes of access.log and error.log as they grow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSettings {
    /// A log is rotated when it is longer than this, in bytes; at least [`ROTATE_SIZE_MIN`](Self::ROTATE_SIZE_MIN).
    pub rotate_size: Option<u64>,
    /// A log is rotated when the hour or the day (UTC) is over.
    pub rotate_age: Option<RotateAge>,
    /// So many rotated files of each log are kept, 1 to [`KEEP_MAX`](Self::KEEP_MAX).
    pub keep: usize,
    /// Whether rotated files are compressed (gzip).
    pub compress: bool,
}

impl LogSettings {
    /// Bytes below which rotating would produce more files than lines worth having.
    pub const ROTATE_SIZE_MIN: u64 = 4096;

    /// Rotated files of one log; each rotation lists them all.
    pub const KEEP_MAX: usize = 100_000;
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings { rotate_size: None, rotate_age: None, keep: 10, compress: false }
    }
}

/// After how long a log is rotated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RotateAge {
    /// At every full hour.
    Hour,
    /// At midnight UTC.
    Day,
}

impl RingFile {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// All that is wrong with the file, or why it could not be read.
    pub fn load(path: &Path) -> Result<RingFile, Error> {
        RingFile::parse(&text::read(path)?, path)
    }

    /// Checks the text of a ring.toml; `path` is only named in the error.
    ///
    /// # Errors
    /// All that is wrong with the text.
    pub fn parse(text: &str, path: &Path) -> Result<RingFile, Error> {
        keys::ring_file(text).map_err(|faults| Error::new(path, faults))
    }

    /// The same ring on this machine alone: host *i* is at 127.0.0.1, ring port 55551+10*i*, client port
    /// 55552+10*i*, HTTP port 55550+10*i* if it has one.
    #[must_use]
    pub fn local(mut self) -> RingFile {
        for (host, step) in self.hosts.iter_mut().zip((0..).step_by(10)) {
            host.address = "127.0.0.1".to_owned();
            host.client_address = "127.0.0.1".to_owned();
            host.ring_port = RING_PORT + step;
            host.client_port = CLIENT_PORT + step;
            host.http_port = host.http_port.map(|_| HTTP_PORT + step);
        }
        self
    }

    /// The ring of these hosts, as the core knows it.
    #[must_use]
    pub fn ring(&self) -> Ring {
        self.ring.clone()
    }

    /// Whether a host of the ring can be reached from another machine, as far as its address tells.
    #[must_use]
    pub fn reaches_beyond_loopback(&self) -> bool {
        let is_loopback = |address: &str| match address.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => address.eq_ignore_ascii_case("localhost"),
        };
        self.hosts.iter().any(|host| !is_loopback(&host.address))
    }

    /// The place in the ring of the host with this name, or else of the first one with this address, for peers or
    /// for clients.
    #[must_use]
    pub fn find(&self, name_or_address: &str) -> Option<usize> {
        let named = self.hosts.iter().position(|h| h.name == name_or_address);
        let is_at = |h: &Host| {
            same_address(&h.address, name_or_address) || same_address(&h.client_address, name_or_address)
        };
        named.or_else(|| self.hosts.iter().position(is_at))
    }
}

/// Whether two addresses are written for the same one: `::1` and `0:0::1` are, and so are host names in any case.
fn same_address(a: &str, b: &str) -> bool {
    match (a.parse::<IpAddr>(), b.parse::<IpAddr>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a.eq_ignore_ascii_case(b),
    }
}
