//! A subscriber for systems that write no files themselves: appends each message, and a line end, to a file.

use crate::dialect::SUBJECT;
use crate::nats;
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use memchr::memchr;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::path::PathBuf;

/// One subscriber.
#[derive(Args, Debug)]
pub struct SinkArgs {
    /// What is subscribed to
    #[arg(long)]
    source: Source,
    /// The server
    #[arg(long)]
    server: SocketAddr,
    /// The file to which every message is appended
    #[arg(long)]
    file: PathBuf,
}

/// What a subscriber is subscribed to.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A NATS subject.
    Nats,
    /// All that a JetStream stream has stored.
    JetStream,
    /// A Redis channel.
    Redis,
}

/// A packet: its bytes, and where the message lies if it holds one.
struct Packet {
    length: usize,
    message: Option<Range<usize>>,
    wants_pong: bool,
}

/// Bytes read at a time, at most; no packet is longer.
const CHUNK: usize = 256 << 10;

/// Runs until the server closes the connection or somebody ends the process.
pub fn run(args: &SinkArgs) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(&args.file)?;
    let mut stream = subscribed(args)?;
    let mut buffer = vec![0; CHUNK];
    let mut filled = 0;
    let mut lines = Vec::with_capacity(CHUNK);
    loop {
        match stream.read(&mut buffer[filled..])? {
            0 if filled == CHUNK => bail!("a packet longer than {CHUNK} bytes"),
            0 => return Ok(()),
            count => filled += count,
        }
        let mut used = 0;
        while let Some(packet) = next(args.source, &buffer[used..filled])? {
            if let Some(message) = packet.message {
                lines.extend_from_slice(&buffer[used..][message]);
                lines.push(b'\n');
            }
            if packet.wants_pong {
                stream.write_all(b"PONG\r\n")?;
            }
            used += packet.length;
        }
        file.write_all(&lines)?;
        lines.clear();
        buffer.copy_within(used..filled, 0);
        filled -= used;
    }
}

fn subscribed(args: &SinkArgs) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(args.server)?;
    stream.set_nodelay(true)?;
    match args.source {
        Source::Redis => stream.write_all(format!("SUBSCRIBE {SUBJECT}\r\n").as_bytes())?,
        Source::Nats => {
            nats::greet(&mut stream)?;
            nats::subscribe(&mut stream, SUBJECT)?;
        }
        Source::JetStream => {
            let inbox = format!("_INBOX.sink{}", args.server.port());
            nats::greet(&mut stream)?;
            nats::subscribe(&mut stream, &inbox)?;
            nats::create_consumer(args.server, &inbox)?;
        }
    }
    Ok(stream)
}

fn next(source: Source, bytes: &[u8]) -> Result<Option<Packet>> {
    if source == Source::Redis {
        return Ok(redis(bytes));
    }
    let packet = nats::read(bytes)?;
    Ok(packet.map(|p| Packet { length: p.length, wants_pong: p.is_ping(), message: p.payload }))
}

/// `*3`, then `$7 message`, `$5 bench`, `$60 text`; what else the server says is passed over.
fn redis(bytes: &[u8]) -> Option<Packet> {
    let (kind, count, mut at) = header(bytes)?;
    let mut parts: Vec<Range<usize>> = Vec::new();
    for _ in 0..if kind == b'*' { count } else { 0 } {
        let (kind, size, used) = header(&bytes[at..])?;
        at += used;
        if kind == b'$' {
            parts.push(at..at + size);
            at += size + 2;
        }
        (at <= bytes.len()).then_some(())?;
    }
    let message = match &parts[..] {
        [first, _, text] if &bytes[first.clone()] == b"message" => Some(text.clone()),
        _ => None,
    };
    Some(Packet { length: at, message, wants_pong: false })
}

/// The sign, the number behind it, and the bytes of the line that has both.
fn header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let end = memchr(b'\n', bytes)?;
    let number = bytes[1..end].iter().filter(|b| b.is_ascii_digit());
    Some((bytes[0], number.fold(0, |n, digit| n * 10 + usize::from(digit - b'0')), end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_redis_are_read_and_other_replies_passed_over() {
        let bytes = b"*3\r\n$9\r\nsubscribe\r\n$5\r\nbench\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n$4\r\ntext\r\n";
        let first = redis(bytes).unwrap();
        assert!(first.message.is_none());
        let rest = &bytes[first.length..];
        let second = redis(rest).unwrap();
        assert_eq!(&rest[second.message.unwrap()], b"text");
        assert_eq!(second.length, rest.len());
        assert!((0..rest.len()).all(|cut| redis(&rest[..cut]).is_none()));
    }
}
