//! As much of the NATS client protocol as the benchmark needs, and of JetStream's requests.

use crate::dialect::SUBJECT;
use anyhow::{Context, Result, bail, ensure};
use memchr::{memchr, memmem};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

/// Where JetStream sends its answers to a client: to nobody else in the cluster.
#[must_use]
pub fn answers_to(client: u16) -> String {
    format!("_INBOX.client{client}")
}

/// The stream that keeps all messages.
const STREAM: &str = "BENCH";

/// What came from a server: one line, or a message.
#[derive(Debug)]
pub struct Packet {
    /// Bytes of the whole packet.
    pub length: usize,
    /// Where the payload lies, in a message.
    pub payload: Option<Range<usize>>,
    kind: Kind,
}

#[derive(PartialEq, Eq, Debug)]
enum Kind {
    Ping,
    Pong,
    Other,
}

impl Packet {
    /// Whether it answers a `PING`.
    #[must_use]
    pub fn is_pong(&self) -> bool {
        self.kind == Kind::Pong
    }

    /// Whether it wants a `PONG`.
    #[must_use]
    pub fn is_ping(&self) -> bool {
        self.kind == Kind::Ping
    }
}

/// Reads the first packet of `bytes`; `None` if it is not whole.
pub fn read(bytes: &[u8]) -> Result<Option<Packet>> {
    let Some(end) = memchr(b'\n', bytes) else { return Ok(None) };
    let line = bytes[..end].trim_ascii_end();
    if !line.starts_with(b"MSG ") {
        ensure!(!line.starts_with(b"-ERR"), "the server says {}", line.escape_ascii());
        let kind = match line {
            b"PING" => Kind::Ping,
            b"PONG" => Kind::Pong,
            _ => Kind::Other,
        };
        return Ok(Some(Packet { length: end + 1, payload: None, kind }));
    }
    let size = line.rsplit(|b| *b == b' ').next().and_then(|digits| str::from_utf8(digits).ok());
    let size: usize = size.and_then(|digits| digits.parse().ok()).context("a MSG without its length")?;
    let payload = end + 1..end + 1 + size;
    let length = payload.end + 2;
    if bytes.len() < length {
        return Ok(None);
    }
    let text = &bytes[payload.clone()];
    ensure!(memmem::find(text, b"\"error\"").is_none(), "JetStream says {}", text.escape_ascii());
    Ok(Some(Packet { length, payload: Some(payload), kind: Kind::Other }))
}

/// Says who is there, and waits until the server has heard it.
pub fn greet(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true}\r\n")?;
    wait_for_pong(stream)
}

/// Subscribes to a subject.
pub fn subscribe(stream: &mut TcpStream, subject: &str) -> Result<()> {
    stream.write_all(format!("SUB {subject} 1\r\n").as_bytes())?;
    wait_for_pong(stream)
}

fn wait_for_pong(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"PING\r\n")?;
    let mut bytes = Vec::new();
    receive(stream, &mut bytes, |packet, _| packet.is_pong().then_some(()))
}

/// Reads until `wanted` finds what it wants.
fn receive<T>(
    stream: &mut TcpStream,
    bytes: &mut Vec<u8>,
    wanted: impl Fn(&Packet, &[u8]) -> Option<T>,
) -> Result<T> {
    loop {
        while let Some(packet) = read(bytes)? {
            let found = wanted(&packet, bytes);
            bytes.drain(..packet.length);
            if let Some(found) = found {
                return Ok(found);
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk)? {
            0 => bail!("the server closed the connection"),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// How long the servers may take to agree who leads.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the stream, replicated to all of so many servers, in files.
pub fn create_stream(server: SocketAddr, replicas: usize) -> Result<()> {
    let config = json!({
        "name": STREAM, "subjects": [SUBJECT], "storage": "file", "num_replicas": replicas,
        "retention": "limits", "discard": "old",
    });
    until_created(server, &format!("$JS.API.STREAM.CREATE.{STREAM}"), &config)
}

/// Makes a consumer that sends every stored message to a subject, without waiting for answers.
pub fn create_consumer(server: SocketAddr, deliver_to: &str) -> Result<()> {
    let config = json!({
        "stream_name": STREAM,
        "config": {
            "deliver_subject": deliver_to, "deliver_policy": "all", "ack_policy": "none",
            "replay_policy": "instant", "mem_storage": true, "num_replicas": 1,
        },
    });
    until_created(server, &format!("$JS.API.CONSUMER.CREATE.{STREAM}"), &config)
}

/// Asks again while the servers have no leader yet.
fn until_created(server: SocketAddr, subject: &str, request: &Value) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask(server, subject, request) {
            Ok(()) => return Ok(()),
            Err(e) if Instant::now() >= deadline => return Err(e.context(format!("no answer to {subject}"))),
            Err(_) => thread::sleep(Duration::from_millis(200)), // between two attempts
        }
    }
}

/// One request on a connection of its own.
fn ask(server: SocketAddr, subject: &str, request: &Value) -> Result<()> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    greet(&mut stream)?;
    let inbox = format!("_INBOX.request{}", stream.local_addr()?.port());
    subscribe(&mut stream, &inbox)?;
    let request = request.to_string();
    stream.write_all(format!("PUB {subject} {inbox} {}\r\n{request}\r\n", request.len()).as_bytes())?;
    receive(&mut stream, &mut Vec::new(), |packet, _| packet.payload.is_some().then_some(()))
}
