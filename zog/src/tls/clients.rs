//! Clients that speak TLS, and those that do not. The first byte tells them apart: no line begins as a handshake does.

use crate::daemon::Daemon;
use crate::door;
use crate::refusals::Refused;
use pzog::{ConnId, Severity};
use ringfile::TlsClients;
use ringkeys::begins_tls;

/// The first bytes of a client have come, which stand in front of the buffer. How many are there then to be heard: none
/// where it begins TLS, or is refused.
pub(crate) fn meet(daemon: &mut Daemon, conn: ConnId, buffer: &mut [u8], came: usize) -> Option<usize> {
    let connection = daemon.connections.get_mut(conn)?;
    connection.is_new = false;
    let wanted = daemon.tls.as_ref().map_or(TlsClients::Off, |tls| tls.clients);
    match (wanted, begins_tls(&buffer[..came])) {
        (TlsClients::Off, true) => refuse(daemon, conn, Refused::Tls),
        (TlsClients::Required, false) => refuse(daemon, conn, Refused::Plain),
        (_, false) => Some(came),
        (_, true) => begin(daemon, conn, buffer, came),
    }
}

fn refuse(daemon: &mut Daemon, conn: ConnId, refused: Refused) -> Option<usize> {
    door::dismiss(daemon, conn, refused, None);
    None
}

fn begin(daemon: &mut Daemon, conn: ConnId, buffer: &mut [u8], came: usize) -> Option<usize> {
    let layer = daemon.tls.as_ref()?.of_client();
    let connection = daemon.connections.get_mut(conn)?;
    match layer {
        Ok(layer) => {
            let heard = connection.protect_from(layer, buffer, came);
            door::shakes_hands(daemon, conn);
            heard
        }
        Err(e) => {
            connection.end();
            daemon.tell(Severity::Error, format!("TLS cannot be begun with a client: {e}"));
            None
        }
    }
}

/// A client that cannot be understood. What TLS has to say of that is on its way.
pub(super) fn broken(daemon: &mut Daemon, conn: ConnId, why: &str) {
    door::dismiss(daemon, conn, Refused::BrokenTls, Some(why));
    door::charge(daemon, conn, door::STRANGER, b"");
}
