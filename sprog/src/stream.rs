//! A connection to a host, in TLS where that is wanted: then the host has to prove its name before anything is said to it.

use crate::rt::Tcp;
use crate::target::Target;
use ringkeys::{Known, said_plainly, words};
use rustls::{ClientConfig, ClientConnection};
use std::cell::RefCell;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

/// Bytes read at once of the answers to a handshake.
const HANDSHAKE_ROOM: usize = 4096;

/// How one host proves who it is.
#[derive(Clone)]
pub(crate) struct Proof(Arc<ClientConfig>);

impl Proof {
    /// The host of this name, of a ring that is known.
    ///
    /// # Errors
    /// Why the CAs of the ring cannot be used.
    pub(crate) fn of(known: &Known, host: &str) -> Result<Proof, String> {
        known.host(host).map(Proof)
    }
}

impl PartialEq for Proof {
    fn eq(&self, other: &Proof) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Proof {}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

/// The connection.
pub(crate) struct Stream {
    tcp: Tcp,
    tls: Option<RefCell<Tls>>,
}

impl Stream {
    /// Dials.
    ///
    /// # Errors
    /// Why nothing can be said to this host; in TLS also that it is another one.
    pub(crate) async fn dial(target: &Target) -> io::Result<Stream> {
        let tcp = Tcp::dial(&target.address, target.port).await?;
        let Some(Proof(config)) = &target.proof else { return Ok(Stream { tcp, tls: None }) };
        let tls = Tls::new(config.clone()).map_err(|e| broken(&e))?;
        let stream = Stream { tcp, tls: Some(RefCell::new(tls)) };
        stream.shake_hands().await?;
        Ok(stream)
    }

    async fn shake_hands(&self) -> io::Result<()> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let mut is_first = true;
        loop {
            let (out, is_over) = tls.borrow_mut().outgoing()?;
            let said = self.tcp.write(&out).await;
            if is_over {
                return said;
            }
            let mut came = [0; HANDSHAKE_ROOM];
            let read = self.tcp.read(&mut came).await?;
            if read == 0 {
                return Err(io::Error::other("it closed the connection instead of speaking TLS"));
            }
            if is_first && let Some(line) = said_plainly(&came[..read]) {
                return Err(io::Error::other(format!("it speaks no TLS: it said {line}")));
            }
            is_first = false;
            let heard = tls.borrow_mut().hear(&came[..read]);
            if heard.is_err() {
                // The host may be told why; whether it hears that changes nothing for us.
                let (alert, _) = tls.borrow_mut().outgoing()?;
                drop(self.tcp.write(&alert).await);
                return heard;
            }
        }
    }

    /// Reads what is there, at least a byte; 0 at the end. Nothing is lost where this is dropped half-way.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else { return self.tcp.read(buffer).await };
        loop {
            if let Some(read) = tls.borrow_mut().take(buffer)? {
                return Ok(read);
            }
            let came = self.tcp.read(buffer).await?;
            tls.borrow_mut().hear(&buffer[..came])?;
        }
    }

    /// Writes all of it.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &self.tls else { return self.tcp.write(bytes).await };
        let out = tls.borrow_mut().say(bytes)?;
        self.tcp.write(&out).await
    }
}

fn broken(e: &rustls::Error) -> io::Error {
    io::Error::other(words(e))
}

/// TLS without its socket.
struct Tls {
    connection: ClientConnection,
    /// What came and was not decrypted yet; up to `taken` it was.
    came: Vec<u8>,
    taken: usize,
    has_ended: bool,
}

impl Tls {
    fn new(config: Arc<ClientConfig>) -> Result<Tls, rustls::Error> {
        let mut connection = ringkeys::dial(config)?;
        // What is under way is bounded by the messages that may be unanswered.
        connection.set_buffer_limit(None);
        Ok(Tls { connection, came: Vec::new(), taken: 0, has_ended: false })
    }

    /// What the handshake has to say now, and whether it is over then.
    fn outgoing(&mut self) -> io::Result<(Vec<u8>, bool)> {
        let mut out = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut out)?;
        }
        Ok((out, !self.connection.is_handshaking()))
    }

    /// Encrypts.
    fn say(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.connection.writer().write_all(bytes)?;
        Ok(self.outgoing()?.0)
    }

    /// These bytes came, none at the end.
    fn hear(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.has_ended |= bytes.is_empty();
        self.came.extend_from_slice(bytes);
        while self.connection.is_handshaking() && !self.came.is_empty() {
            self.decrypt()?;
        }
        Ok(())
    }

    /// Takes in a part of what came, at least a byte.
    fn decrypt(&mut self) -> io::Result<()> {
        let mut rest = &self.came[self.taken..];
        self.taken += self.connection.read_tls(&mut rest)?;
        self.connection.process_new_packets().map_err(|e| broken(&e))?;
        if self.taken == self.came.len() {
            self.taken = 0;
            self.came.clear();
        }
        Ok(())
    }

    /// What can be read now; 0 at the end, none where more has to come before.
    fn take(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.connection.reader().read(buffer) {
                Ok(read) => return Ok(Some(read)),
                Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e),
                Err(_) if !self.came.is_empty() => self.decrypt()?,
                Err(_) => return Ok(self.has_ended.then_some(0)),
            }
        }
    }
}
