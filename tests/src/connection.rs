//! A bare connection to a port: what `nc` would do.

use crate::wait::wait_until;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketType};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// An answer that does not come within this time fails the test.
const ANSWER: Duration = Duration::from_secs(20);

/// Bytes of our receive buffer in [`Connection::narrow`], as small as the kernel allows.
const NARROW: usize = 2048;

/// A client's or a peer's side of a TCP connection, byte by byte.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens there.
    #[must_use]
    #[track_caller]
    pub fn to(address: SocketAddr) -> Connection {
        Connection::over(TcpStream::connect(address).expect("somebody listens"))
    }

    /// Connects from this address of our own.
    ///
    /// # Panics
    /// If nobody listens there.
    #[must_use]
    #[track_caller]
    pub fn from_to(own: &str, address: SocketAddr) -> Connection {
        let own = SocketAddr::new(own.parse().expect("an address"), 0);
        let family = if own.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = rustix::net::socket(family, SocketType::STREAM, None).expect("a socket");
        rustix::net::bind(&socket, &own).expect("an address of this machine");
        rustix::net::connect(&socket, &address).expect("somebody listens");
        Connection::over(TcpStream::from(socket))
    }

    /// The next connection that somebody makes to us.
    ///
    /// # Panics
    /// If nobody does in time.
    #[must_use]
    #[track_caller]
    pub fn accepted_by(listener: &TcpListener) -> Connection {
        listener.set_nonblocking(true).expect("a listener that does not block");
        let mut accepted = None;
        wait_until("somebody connects to us", || {
            accepted = listener.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.expect("a connection");
        stream.set_nonblocking(false).expect("a connection that blocks");
        Connection::over(stream)
    }

    fn over(stream: TcpStream) -> Connection {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_read_timeout(Some(ANSWER)).expect("a timeout for reading");
        let lines = BufReader::new(stream.try_clone().expect("a second handle of the socket"));
        Connection { stream, lines }
    }

    /// Makes our receive buffer as small as possible, so that whoever writes to us soon has to wait.
    ///
    /// # Panics
    /// If the socket is broken.
    pub fn narrow(&self) {
        set_socket_recv_buffer_size(&self.stream, NARROW).expect("a small receive buffer");
    }

    /// Another handle of the socket, which blocks.
    ///
    /// # Panics
    /// If the socket is broken.
    #[must_use]
    pub fn another(&self) -> TcpStream {
        let stream = self.stream.try_clone().expect("another handle of the socket");
        stream.set_read_timeout(None).expect("no timeout for reading");
        stream
    }

    /// Shuts our end, the other one, or both.
    ///
    /// # Panics
    /// If the socket is broken.
    pub fn shut(&self, how: Shutdown) {
        self.stream.shutdown(how).expect("a connected socket");
    }

    /// Our own address, which the daemon names in its error.log.
    ///
    /// # Panics
    /// If the socket is broken.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// Writes bytes as they are.
    ///
    /// # Panics
    /// If the connection is gone.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the daemon takes our bytes");
    }

    /// Writes bytes and says whether the connection took them all.
    ///
    /// # Errors
    /// As the socket does.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Writes bytes until nobody makes room for more for a moment; returns how many.
    ///
    /// # Panics
    /// If the connection is gone.
    #[track_caller]
    pub fn send_some(&mut self, bytes: &[u8]) -> usize {
        const MOMENT: Duration = Duration::from_millis(300);
        self.give_up_writing_after(MOMENT);
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => panic!("the daemon takes our bytes: {e}"),
            }
        }
        self.stream.set_write_timeout(None).expect("no timeout for writing");
        sent
    }

    /// Writes bytes for which there is no room yet, while we read.
    ///
    /// # Panics
    /// If the socket is broken.
    pub fn send_in_background(&self, bytes: String) {
        let mut stream = self.stream.try_clone().expect("another handle of the socket");
        // If it fails, no answers come, and that is what the reader sees.
        thread::spawn(move || stream.write_all(bytes.as_bytes()));
    }

    /// From now on a write that nobody makes room for fails after this time.
    ///
    /// # Panics
    /// If the socket is broken.
    pub fn give_up_writing_after(&self, time: Duration) {
        self.stream.set_write_timeout(Some(time)).expect("a timeout for writing");
    }

    /// Whether nothing comes within this time, neither a byte nor the end of the connection.
    ///
    /// # Panics
    /// If the socket is broken.
    #[must_use]
    pub fn is_silent_for(&self, time: Duration) -> bool {
        if !self.lines.buffer().is_empty() {
            return false;
        }
        self.stream.set_read_timeout(Some(time)).expect("a short timeout for reading");
        let seen = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(ANSWER)).expect("a timeout for reading");
        seen.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
    }

    /// The next line, without its CRLF; `None` at the end of the connection.
    ///
    /// # Panics
    /// If none comes in time, or if it does not end in CRLF.
    #[track_caller]
    pub fn next_line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.strip_suffix("\r\n").expect("a line ends in CRLF").to_owned()),
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => None,
            Err(e) => panic!("no line came: {e}"),
        }
    }

    /// The next line.
    ///
    /// # Panics
    /// If the connection ends instead.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.next_line().expect("a line, not the end of the connection")
    }

    /// Sends one line and returns the next one that comes.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n"));
        self.line()
    }

    /// Sends one line and expects exactly this one.
    ///
    /// # Panics
    /// If another one comes, or none.
    #[track_caller]
    pub fn expect(&mut self, line: &str, answer: &str) {
        assert_eq!(self.ask(line), answer, "the answer to {line:?}");
    }

    /// Sends one line and returns the lines of the report that it is answered with, without the `+ ` in front and the
    /// `OK` behind; none if the connection ends before, or if the answer is another one.
    pub fn report(&mut self, line: &str) -> Option<Vec<String>> {
        self.try_send(format!("{line}\r\n")).ok()?;
        let mut report = Vec::new();
        loop {
            let line = self.next_line()?;
            match line.strip_prefix("+ ") {
                Some(line) => report.push(line.to_owned()),
                None => return (line == "OK").then_some(report),
            }
        }
    }

    /// Reads lines up to one that `wanted` accepts, and returns it.
    ///
    /// # Panics
    /// If the connection ends before.
    #[track_caller]
    pub fn line_where(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.line();
            if wanted(&line) {
                return line;
            }
        }
    }

    /// Reads up to the end of the connection and returns what still came.
    ///
    /// # Panics
    /// If it does not end.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.lines.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {}
            Err(e) => panic!("the connection does not end: {e}"),
        }
        String::from_utf8_lossy(&rest).into_owned()
    }
}
