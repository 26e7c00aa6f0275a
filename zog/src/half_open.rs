//! Connections whose other end is gone without a word (no power, a cable pulled): the system finds them.

use crate::connection::Kind;
use rustix::net::sockopt;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

/// What was sent to a client and is not taken for so long ends its connection.
const CLIENT_UNHEARD: Duration = Duration::from_secs(60);

/// A client from which nothing came for so long is asked whether it is there …
const ASK_AFTER: Duration = Duration::from_secs(60);

/// … and asked again; then its connection ends, 75 s after the last sign of life.
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// Has the system look after a connection. On links, where `KEEPALIVE` is said, it only bounds how long what was sent
/// may be on its way: no longer than a `KEEPALIVE` may be unanswered.
pub(crate) fn watch(socket: &TcpStream, kind: Kind, peer_silence: Duration) -> io::Result<()> {
    let unheard = if kind == Kind::Client { CLIENT_UNHEARD } else { peer_silence };
    let milliseconds = u32::try_from(unheard.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(socket, milliseconds)?;
    if kind == Kind::Client {
        sockopt::set_tcp_keepidle(socket, ASK_AFTER)?;
        sockopt::set_tcp_keepintvl(socket, ASK_AGAIN)?;
        sockopt::set_socket_keepalive(socket, true)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_system_looks_after_clients_and_links() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        watch(&socket, Kind::Peer(None), Duration::from_millis(1500)).unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&socket).unwrap(), 1500);
        assert!(!sockopt::socket_keepalive(&socket).unwrap(), "links have keep-alives of their own");
        watch(&socket, Kind::Client, Duration::from_secs(15)).unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&socket).unwrap(), 60_000);
        assert!(sockopt::socket_keepalive(&socket).unwrap());
    }
}
