//! Who speaks TLS, and who does not. The first byte tells them apart: no line begins as a handshake does.

use super::{Layer, Tls};
use crate::connection::Kind;
use crate::daemon::Daemon;
use crate::door;
use crate::refusals::Refused;
use pzog::{ConnId, Severity};
use ringfile::TlsClients;
use ringkeys::begins_tls;

/// The first bytes of a client have come, or of a peer that may choose, which stand in front of the buffer. How many are
/// there then to be heard: none where it begins TLS, or is refused.
pub(crate) fn meet(daemon: &mut Daemon, conn: ConnId, buffer: &mut [u8], came: usize) -> Option<usize> {
    let connection = daemon.connections.get_mut(conn)?;
    connection.is_new = false;
    let (kind, begins_tls) = (connection.kind, begins_tls(&buffer[..came]));
    let wanted = daemon.tls.as_ref().map_or(TlsClients::Off, |tls| tls.clients);
    match (kind, wanted, begins_tls) {
        (Kind::Client, TlsClients::Off, true) => refuse(daemon, conn, Refused::Tls),
        (Kind::Client, TlsClients::Required, false) => refuse(daemon, conn, Refused::Plain),
        (_, _, false) => Some(came),
        (Kind::Client, _, true) => {
            let heard = begin(daemon, conn, Tls::of_client, buffer, came);
            door::shakes_hands(daemon, conn);
            heard
        }
        (Kind::Peer(_), _, true) => begin(daemon, conn, |tls| tls.of_peer(None), buffer, came),
    }
}

fn refuse(daemon: &mut Daemon, conn: ConnId, refused: Refused) -> Option<usize> {
    door::dismiss(daemon, conn, refused, None);
    None
}

fn begin(
    daemon: &mut Daemon,
    conn: ConnId,
    layer: impl FnOnce(&Tls) -> Result<Layer, rustls::Error>,
    buffer: &mut [u8],
    came: usize,
) -> Option<usize> {
    let layer = layer(daemon.tls.as_ref()?);
    let connection = daemon.connections.get_mut(conn)?;
    match layer {
        Ok(layer) => connection.protect_from(layer, buffer, came),
        Err(e) => {
            connection.end();
            daemon.tell(Severity::Error, format!("TLS cannot be begun: {e}"));
            None
        }
    }
}

/// A client that cannot be understood. What TLS has to say of that is on its way.
pub(super) fn broken(daemon: &mut Daemon, conn: ConnId, why: &str) {
    door::dismiss(daemon, conn, Refused::BrokenTls, Some(why));
    door::charge(daemon, conn, door::STRANGER, b"");
}
