//! TLS, 1.3 alone. Between hosts both ends have a certificate of the ring's own CA that names them; to clients, who have
//! none, this host shows its own.
//!
//! `keys` are read from a directory at the start and again when they change (`watch`); a connection that is to be
//! protected has a [`Layer`] made of them. The crate `ringkeys` judges the other end's certificate and says what is wrong
//! with it; the node is told who a peer is before anything that it says. `meet` is where it is seen whether somebody begins
//! TLS who need not, or may not.

mod handshakes;
mod keys;
mod layer;
mod meet;
mod watch;

pub(crate) use handshakes::Handshakes;
pub(crate) use keys::{Chain, Hosts, Keys, is_signed_by};
pub(crate) use layer::{Layer, News};
pub(crate) use meet::meet;
pub(crate) use watch::{warn_of_expiry, watch};

use crate::connection::{Connection, Kind};
use crate::daemon::Daemon;
use pzog::{ConnId, HostIndex, Input};
use ringfile::{RingFile, TlsClients};
use ringkeys::Files;
use rustls::ServerConnection;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What the daemon's connections are protected with. It outlives a life of the daemon.
pub(crate) struct Tls {
    files: Files,
    hosts: Hosts,
    names: Rc<[String]>,
    /// Whether peers speak it …
    links: ringfile::Tls,
    /// … whether clients do.
    pub(crate) clients: TlsClients,
    keys: RefCell<Keys>,
    /// What the files were like when they were read last, well or not.
    seen: RefCell<State>,
    /// Days before the expiry of the own certificate, and of its CA, of which was warned last.
    warned: Cell<[Option<u64>; 2]>,
}

/// What tells that the files have changed.
type State = Vec<Option<(u64, i64, i64, u64)>>;

impl Tls {
    /// Whether a ring has any use for keys.
    pub(crate) fn is_wanted(file: &RingFile) -> bool {
        file.tls != ringfile::Tls::Off || file.tls_clients != TlsClients::Off
    }

    /// Reads the keys for the first time.
    pub(crate) fn load(files: Files, hosts: Hosts, file: &RingFile) -> Result<Tls, String> {
        let seen = RefCell::new(files.state(hosts.my_name()));
        let keys = RefCell::new(Keys::load(&files, &hosts)?);
        let names = hosts.names.clone().into();
        let (links, clients) = (file.tls, file.tls_clients);
        Ok(Tls { files, hosts, names, links, clients, keys, seen, warned: Cell::default() })
    }

    /// When this host's own certificate expires, in seconds of Unix time.
    pub(crate) fn expires_at(&self) -> u64 {
        self.keys.borrow().certificate.expires
    }

    /// Tells the node what this host proves its name with.
    pub(crate) fn certify(&self, daemon: &mut Daemon) {
        let certificate = self.keys.borrow().certificate;
        daemon.turn(Input::Certified { certificate });
    }

    /// The layer of a new connection to or from a peer.
    fn of_peer(&self, dialled: Option<HostIndex>) -> Result<Layer, rustls::Error> {
        let keys = self.keys.borrow();
        let tls = match dialled {
            None => ServerConnection::new(keys.accept.clone())?.into(),
            Some(host) => ringkeys::dial(keys.dial[host.index()].clone())?.into(),
        };
        Ok(Layer::of_peer(tls, self.names.clone()))
    }

    /// The layer of a client that begins TLS.
    fn of_client(&self) -> Result<Layer, rustls::Error> {
        let accept = self.keys.borrow().accept_clients.clone();
        Ok(Layer::of_client(ServerConnection::new(accept)?.into()))
    }

    /// Protects a new connection, if it is a link's. What a client wants, or a peer that may choose, is known when it has
    /// spoken: [`meet()`].
    ///
    /// # Errors
    /// What makes that impossible, such as a system without random numbers.
    pub(crate) fn protect(&self, connection: &mut Connection) -> Result<(), String> {
        let Kind::Peer(dialled) = connection.kind else { return Ok(()) };
        connection.is_new = self.links == ringfile::Tls::Accept && dialled.is_none();
        if self.links == ringfile::Tls::Off || connection.is_new {
            return Ok(());
        }
        let layer = self.of_peer(dialled).map_err(|e| format!("TLS cannot be begun: {e}"))?;
        connection.protect(layer);
        Ok(())
    }
}

/// Tells those whom it concerns who is at the other end.
pub(crate) fn tell(daemon: &mut Daemon, conn: ConnId, news: &News) {
    match news {
        News::Proved(host) => daemon.turn(Input::PeerProved { conn, host: *host }),
        News::Unproved(why) => daemon.turn(Input::PeerUnproved { conn, why }),
        News::Client => daemon.door.handshakes.ended(conn),
        News::Broken(why) => meet::broken(daemon, conn, why),
    }
}
