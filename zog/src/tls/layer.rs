//! What lies between a connection and its socket where links are protected.
//!
//! Bytes from the socket go through the far half of the buffer that is read into, and come out in its near half:
//! what is decrypted is never longer than what came, but for what one record left behind. So nothing is kept here
//! but that one record, and no buffer is needed.

use super::identity::Identity;
use super::why;
use crate::rt::Async;
use pzog::HostIndex;
use rustls::Connection;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::TcpStream;
use std::rc::Rc;

/// What somebody who speaks no TLS is told.
const SPEAK_TLS: &[u8] = b"ERR 502 links of this ring are protected: tls = \"required\"\r\n";

/// What has come of the other end's proof.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum News {
    /// It is this host.
    Proved(HostIndex),
    /// It has proved nothing, or has broken the rules: why.
    Unproved(String),
}

/// The layer of one connection.
pub(crate) struct Layer {
    tls: Connection,
    /// The hosts of the ring by their place.
    hosts: Rc<[String]>,
    /// Whether the other end has proved who it is, or failed to.
    is_settled: bool,
    news: Option<News>,
    /// Whether something, or the end, can be read without the socket.
    pub(super) has_more: bool,
}

impl Layer {
    pub(crate) fn new(mut tls: Connection, hosts: Rc<[String]>) -> Layer {
        // The node counts what waits for a peer, and sends nothing more to one that takes nothing.
        tls.set_buffer_limit(None);
        Layer { tls, hosts, is_settled: false, news: None, has_more: false }
    }

    /// Whether there is something to read, whatever the socket has.
    pub(crate) fn is_readable(&self) -> bool {
        self.has_more
    }

    /// What has come of the proof, once.
    pub(crate) fn take_news(&mut self) -> Option<News> {
        self.news.take()
    }

    /// One read of what is there now, decrypted to the front of the buffer; what is to be sent because of it goes to `out`.
    /// 0 is the end.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] where nothing is, and what the system says.
    pub(crate) fn read(
        &mut self,
        socket: &Async<TcpStream>,
        buffer: &mut [u8],
        out: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let (near, far) = buffer.split_at_mut(buffer.len() / 2);
        if self.has_more {
            match self.take(near) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.has_more = false,
                taken => return taken,
            }
        }
        match socket.read_now(far)? {
            0 => Ok(0),
            read => self.decrypt(&far[..read], near, out),
        }
    }

    /// Takes in what came, and gives what it holds.
    fn decrypt(&mut self, mut came: &[u8], to: &mut [u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let mut filled = 0;
        while !came.is_empty() && !self.has_more {
            self.tls.read_tls(&mut came)?;
            match self.tls.process_new_packets() {
                Ok(state) => self.has_more = state.peer_has_closed(),
                Err(e) => {
                    self.refuse(&e, out);
                    return Err(ErrorKind::WouldBlock.into()); // the node closes it
                }
            }
            filled += self.take(&mut to[filled..]).unwrap_or(0);
        }
        self.has_more |= filled == to.len();
        self.put(out);
        self.settle();
        if filled > 0 { Ok(filled) } else { Err(ErrorKind::WouldBlock.into()) }
    }

    fn take(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.tls.reader().read(to)
    }

    /// Who it is, once the handshake is over.
    fn settle(&mut self) {
        if self.is_settled || self.tls.is_handshaking() {
            return;
        }
        self.is_settled = true;
        let certificate = self.tls.peer_certificates().and_then(<[_]>::first);
        let host = certificate.and_then(|c| Identity::of(c).ok()).map(|identity| identity.host);
        let place = host.and_then(|host| self.hosts.iter().position(|name| *name == host));
        self.news = Some(match place {
            Some(place) => News::Proved(HostIndex(place as u8)),
            None => News::Unproved("it shows no certificate".into()),
        });
    }

    /// The other end is told no more than TLS has for it; one that speaks no TLS is told so in its own way.
    fn refuse(&mut self, e: &rustls::Error, out: &mut Vec<u8>) {
        let is_dialled = matches!(self.tls, Connection::Client(_));
        if !why::is_plain(e) {
            self.put(out);
        } else if !is_dialled && !self.is_settled {
            out.extend_from_slice(SPEAK_TLS);
        }
        self.is_settled = true;
        self.news = Some(News::Unproved(why::words(e)));
    }

    /// Encrypts these bytes to the end of `out`; before the handshake is over they wait here.
    pub(crate) fn encrypt(&mut self, parts: &[IoSlice<'_>], out: &mut Vec<u8>) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let written = self.tls.writer().write_vectored(parts);
        debug_assert_eq!(written.ok(), Some(length), "without a limit all is taken");
        self.put(out);
    }

    /// Says that nothing more follows.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        if !self.tls.is_handshaking() {
            self.tls.send_close_notify();
            self.put(out);
        }
    }

    /// Brings what TLS has to send to the end of `out`.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>) {
        while self.tls.wants_write() {
            let put = self.tls.write_tls(out);
            debug_assert!(put.is_ok(), "memory takes all");
        }
    }
}
