//! What lies between a connection and its socket where links are protected.
//!
//! Bytes from the socket go through the far half of the buffer that is read into, and come out in its near half:
//! what is decrypted is never longer than what came, but for what one record left behind. So nothing is kept here
//! but that one record, and no buffer is needed.

use crate::rt::Async;
use pzog::HostIndex;
use ringkeys::{Identity, is_plain, words};
use rustls::{Connection, Error};
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::TcpStream;
use std::rc::Rc;

/// What somebody who speaks no TLS is told.
const SPEAK_TLS: &[u8] = b"ERR 502 links of this ring are protected: tls = \"required\"\r\n";

/// Bytes of a client that may come in a row and hold no text: one record. What is kept of them is memory of somebody
/// who has proved nothing.
const SILENT_MAX: usize = 18 << 10;

/// What has come of the other end's proof.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum News {
    /// It is this host.
    Proved(HostIndex),
    /// It has proved nothing, or has broken the rules: why.
    Unproved(String),
    /// It is a client, which need not prove anything, and can be spoken with.
    Client,
    /// It is a client, and has broken the rules: how.
    Broken(String),
}

/// The layer of one connection.
pub(crate) struct Layer {
    tls: Connection,
    /// The hosts of the ring by their place: it must be one of them. None of a client.
    hosts: Option<Rc<[String]>>,
    /// Whether the other end has proved who it is, or failed to.
    is_settled: bool,
    /// Bytes that came since there was text in any, or since the handshake.
    silent_bytes: usize,
    news: Option<News>,
    /// Whether something, or the end, can be read without the socket.
    pub(super) has_more: bool,
}

impl Layer {
    /// Of a link.
    pub(crate) fn of_peer(tls: Connection, hosts: Rc<[String]>) -> Layer {
        Layer::new(tls, Some(hosts))
    }

    /// Of a client.
    pub(crate) fn of_client(tls: Connection) -> Layer {
        Layer::new(tls, None)
    }

    fn new(mut tls: Connection, hosts: Option<Rc<[String]>>) -> Layer {
        // The node counts what waits for a peer, and sends nothing more to one that takes nothing; a client whose answers
        // wait is not read.
        tls.set_buffer_limit(None);
        Layer { tls, hosts, is_settled: false, silent_bytes: 0, news: None, has_more: false }
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
    pub(crate) fn decrypt(&mut self, mut came: &[u8], to: &mut [u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let (mut filled, length) = (0, came.len());
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
        self.silent_bytes = if filled > 0 || !self.is_settled { 0 } else { self.silent_bytes + length };
        if self.hosts.is_none() && self.silent_bytes > SILENT_MAX {
            self.news = Some(News::Broken("it goes on and on and says nothing".into()));
        }
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
        let Some(hosts) = &self.hosts else { return self.news = Some(News::Client) };
        let certificate = self.tls.peer_certificates().and_then(<[_]>::first);
        let host = certificate.and_then(|c| Identity::of(c).ok()).map(|identity| identity.host);
        let place = host.and_then(|host| hosts.iter().position(|name| *name == host));
        self.news = Some(match place {
            Some(place) => News::Proved(HostIndex(place as u8)),
            None => News::Unproved("it shows no certificate".into()),
        });
    }

    /// The other end is told no more than TLS has for it; one that speaks no TLS is told so in its own way.
    fn refuse(&mut self, e: &Error, out: &mut Vec<u8>) {
        let is_dialled = matches!(self.tls, Connection::Client(_));
        if !is_plain(e) {
            self.put(out);
        } else if !is_dialled && !self.is_settled && self.hosts.is_some() {
            out.extend_from_slice(SPEAK_TLS);
        }
        self.is_settled = true;
        self.news = Some(match (&self.hosts, e) {
            (None, _) => News::Broken(words(e)),
            (Some(_), Error::AlertReceived(_)) => {
                News::Unproved(format!("{}: its error.log says why", words(e)))
            }
            (Some(_), e) if is_plain(e) => {
                News::Unproved(format!("{}: is tls = \"required\" in its ring.toml, too?", words(e)))
            }
            (Some(_), _) => News::Unproved(words(e)),
        });
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

#[cfg(test)]
mod tests {
    use super::super::{Hosts, Tls};
    use super::*;
    use crate::keys;
    use crate::rt;
    use futures_lite::future;
    use ringfile::RingFile;
    use ringkeys::Files;
    use std::future::poll_fn;
    use std::net::TcpListener;
    use std::path::Path;

    fn tls(files: &Files, me: usize) -> Tls {
        let file =
            RingFile::parse("[[host]]\nname = \"A\"\naddress = \"a\"\n", Path::new("ring.toml")).unwrap();
        Tls::load(files.clone(), Hosts { names: vec!["A".into(), "B".into()], me }, &file).unwrap()
    }

    /// A's layer, which dials, and B's.
    fn layers() -> [Layer; 2] {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::of(&dir.path().join("keys"));
        keys::make_all(&files, &["A", "B"]);
        let layer = |me, dialled| tls(&files, me).of_peer(dialled).unwrap();
        [layer(0, Some(HostIndex(1))), layer(1, None)]
    }

    fn sockets() -> [Async<TcpStream>; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        [near, listener.accept().unwrap().0].map(|socket| Async::new(socket).unwrap())
    }

    async fn write(socket: &Async<TcpStream>, out: &mut Vec<u8>) {
        while !out.is_empty() {
            match socket.write_now(out) {
                Ok(n) => drop(out.drain(..n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => poll_fn(|cx| socket.poll_writable(cx)).await,
                Err(e) => panic!("{e}"),
            }
        }
    }

    /// Reads as the daemon does until the end; gives what came, and what was proved.
    async fn read_all(mut layer: Layer, socket: Async<TcpStream>, buffer: usize) -> (Vec<u8>, Vec<News>) {
        let (mut all, mut news, mut out) = (Vec::new(), Vec::new(), Vec::new());
        let mut buffer = vec![0; buffer];
        loop {
            let read = layer.read(&socket, &mut buffer, &mut out);
            write(&socket, &mut out).await;
            news.extend(layer.take_news());
            match read {
                Ok(0) => return (all, news),
                Ok(n) => all.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock && layer.is_readable() => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => poll_fn(|cx| socket.poll_readable(cx)).await,
                Err(e) => panic!("{e}"),
            }
        }
    }

    /// Sends what waits for the handshake first, the rest once it is over, and then the end.
    async fn send_all(mut layer: Layer, socket: Async<TcpStream>, parts: Vec<Vec<u8>>) -> Vec<News> {
        let (mut out, mut news, mut buffer) = (Vec::new(), Vec::new(), vec![0; 1000]);
        layer.encrypt(&[IoSlice::new(&parts[0])], &mut out);
        while news.is_empty() {
            write(&socket, &mut out).await;
            poll_fn(|cx| socket.poll_readable(cx)).await;
            assert_eq!(layer.read(&socket, &mut buffer, &mut out).unwrap_err().kind(), ErrorKind::WouldBlock);
            news.extend(layer.take_news());
        }
        let rest: Vec<_> = parts[1..].iter().map(|part| IoSlice::new(part)).collect();
        layer.encrypt(&rest, &mut out);
        layer.close(&mut out);
        write(&socket, &mut out).await;
        news
    }

    #[test]
    fn a_client_that_goes_on_and_says_nothing_is_broken() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::of(&dir.path().join("keys"));
        keys::make_all(&files, &["A", "B"]);
        let mut client = tls(&files, 0).of_peer(Some(HostIndex(1))).unwrap();
        let mut met = tls(&files, 1).of_client().unwrap();
        let (mut there, mut back, mut buffer) = (Vec::new(), Vec::new(), vec![0; 4096]);
        client.put(&mut there);
        while client.tls.is_handshaking() || met.tls.is_handshaking() {
            drop(met.decrypt(&std::mem::take(&mut there), &mut buffer, &mut back));
            drop(client.decrypt(&std::mem::take(&mut back), &mut buffer, &mut there));
        }
        assert_eq!(met.take_news(), Some(News::Client));
        // Of records without text rustls itself takes few that are whole; what goes on and on are pieces of one message.
        met.silent_bytes = SILENT_MAX;
        client.encrypt(&[IoSlice::new(b"text")], &mut there);
        assert_eq!(met.decrypt(&std::mem::take(&mut there), &mut buffer, &mut back).unwrap(), 4);
        assert_eq!((met.silent_bytes, met.take_news()), (0, None));
        met.silent_bytes = SILENT_MAX;
        let Connection::Client(tls) = &mut client.tls else { panic!("it dials") };
        tls.refresh_traffic_keys().unwrap();
        client.put(&mut there);
        drop(met.decrypt(&there, &mut buffer, &mut back));
        assert_eq!(met.take_news(), Some(News::Broken("it goes on and on and says nothing".into())));
    }

    #[test]
    fn whatever_the_buffers_all_comes_in_order_and_then_the_end() {
        let parts: Vec<Vec<u8>> =
            [1, 40_000, 0, 77, 16_384].map(|n| (0..n).map(|i| (i % 251) as u8).collect()).into();
        let whole = parts.concat();
        for buffer in [2, 3, 100, 16 << 10, 40_000, 256 << 10] {
            let ([a, b], [near, far], parts) = (layers(), sockets(), parts.clone());
            let (sender, (all, receiver)) =
                rt::run(future::zip(send_all(a, near, parts), read_all(b, far, buffer)));
            assert!(all == whole, "with a buffer of {buffer}: {} of {} bytes", all.len(), whole.len());
            assert_eq!(sender, [News::Proved(HostIndex(1))]);
            assert_eq!(receiver, [News::Proved(HostIndex(0))]);
        }
    }

    #[test]
    fn any_bytes_are_refused_in_words_and_never_break_it() {
        use proptest::prelude::*;
        let config = ProptestConfig::with_cases(64);
        proptest!(config, |(bytes in prop::collection::vec(any::<u8>(), 1..2000), header in any::<bool>())| {
            let [_, mut b] = layers();
            let bytes = if header { [b"\x16\x03\x01\x02\x00\x01".as_slice(), &bytes].concat() } else { bytes };
            let (mut to, mut out) = (vec![0; 4000], Vec::new());
            let read = b.decrypt(&bytes, &mut to, &mut out);
            prop_assert!(read.is_err());
            match b.take_news() {
                Some(News::Unproved(why)) => prop_assert!(!why.chars().any(char::is_control), "{why}"),
                None => {} // it may go on
                Some(proved) => prop_assert!(false, "{proved:?}"),
            }
        });
    }
}
