//! TLS between hosts: 1.3 alone, both ends with a certificate of the ring's own CA that names them.
//!
//! `keys` are read from a directory (`files`) at the start and again when they change (`watch`); a connection to or from a
//! peer has a [`Layer`] made of them. `verifier` judges the other end's certificate, `why` says what is wrong with
//! it, and the node is told who it is before anything that it says.

mod files;
mod identity;
mod keys;
mod layer;
mod verifier;
mod watch;
mod why;

pub(crate) use files::{Files, certificates, private_text};
pub(crate) use identity::{Identity, validity};
pub(crate) use keys::{Chain, Hosts, Keys, is_signed_by};
pub(crate) use layer::{Layer, News};
pub(crate) use watch::{warn_of_expiry, watch};
pub(crate) use why::date;

use crate::connection::{Connection, Kind};
use crate::daemon::Daemon;
use pzog::{ConnId, Input};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What the daemon's links are protected with. It outlives a life of the daemon.
pub(crate) struct Tls {
    files: Files,
    hosts: Hosts,
    names: Rc<[String]>,
    keys: RefCell<Keys>,
    /// What the files were like when they were read last, well or not.
    seen: RefCell<State>,
    /// Days before the expiry of the own certificate, and of its CA, of which was warned last.
    warned: Cell<[Option<u64>; 2]>,
}

/// What tells that the files have changed.
type State = Vec<Option<(u64, i64, i64, u64)>>;

impl Tls {
    /// Reads the keys for the first time.
    pub(crate) fn load(files: Files, hosts: Hosts) -> Result<Tls, String> {
        let seen = RefCell::new(files.state(hosts.my_name()));
        let keys = RefCell::new(Keys::load(&files, &hosts)?);
        let names = hosts.names.clone().into();
        Ok(Tls { files, hosts, names, keys, seen, warned: Cell::default() })
    }

    /// When this host's own certificate expires, in seconds of Unix time.
    pub(crate) fn expires_at(&self) -> u64 {
        self.keys.borrow().expires_at
    }

    /// The layer of a new connection to or from a peer.
    fn layer(&self, kind: Kind) -> Result<Option<Layer>, rustls::Error> {
        let keys = self.keys.borrow();
        let tls = match kind {
            Kind::Client => return Ok(None),
            Kind::Peer(None) => ServerConnection::new(keys.accept.clone())?.into(),
            Kind::Peer(Some(host)) => {
                // No host is found by this name: the certificate's has a form of its own.
                let name =
                    ServerName::try_from("host.zog").map_err(|_| rustls::Error::UnsupportedNameType)?;
                ClientConnection::new(keys.dial[host.index()].clone(), name)?.into()
            }
        };
        Ok(Some(Layer::new(tls, self.names.clone())))
    }

    /// Protects a new connection, if it is one to or from a peer.
    ///
    /// # Errors
    /// What makes that impossible, such as a system without random numbers.
    pub(crate) fn protect(&self, connection: &mut Connection) -> Result<(), String> {
        match self.layer(connection.kind) {
            Ok(None) => Ok(()),
            Ok(Some(layer)) => {
                connection.protect(layer);
                Ok(())
            }
            Err(e) => Err(format!("TLS cannot be begun: {e}")),
        }
    }
}

/// Tells the node who is at the other end.
pub(crate) fn tell(daemon: &mut Daemon, conn: ConnId, news: &News) {
    daemon.turn(match news {
        News::Proved(host) => Input::PeerProved { conn, host: *host },
        News::Unproved(why) => Input::PeerUnproved { conn, why },
    });
}
