//! How clients speak to each system: what is put around a message, and what comes back.

use crate::nats;
use anyhow::{Result, bail, ensure};
use memchr::memchr_iter;
use std::net::TcpStream;

/// The subject, or channel, of all messages where a system has such.
pub const SUBJECT: &str = "bench";

/// A client protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// Lines, never answered.
    Lines,
    /// zog's: `MSG text`, answered `OK`.
    Zog,
    /// Redis: `PUBLISH`, answered with a number.
    Redis,
    /// NATS: `PUB`; what is sent at one time ends with a `PING`, whose `PONG` answers all of it.
    Nats,
    /// NATS JetStream: each message is answered once it is stored.
    JetStream,
}

impl Dialect {
    /// Messages of one client that may be unanswered; a multiple of what a system takes at a time.
    #[must_use]
    pub fn window(self) -> u32 {
        match self {
            Dialect::Lines => u32::MAX,
            Dialect::Zog => 16_384,
            Dialect::Redis => 20_000,
            Dialect::Nats => 200_000,
            Dialect::JetStream => 4_096,
        }
    }

    /// What is said before the first message.
    pub fn greet(self, client: u16, stream: &mut TcpStream) -> Result<()> {
        match self {
            Dialect::Lines | Dialect::Zog | Dialect::Redis => Ok(()),
            Dialect::Nats => nats::greet(stream),
            Dialect::JetStream => {
                nats::greet(stream)?;
                nats::subscribe(stream, &nats::answers_to(client))
            }
        }
    }

    /// What stands before and behind each message of `size` bytes from this client.
    #[must_use]
    pub fn frame(self, client: u16, size: usize) -> (Vec<u8>, &'static [u8]) {
        let before = match self {
            Dialect::Lines => String::new(),
            Dialect::Zog => "MSG ".to_owned(),
            Dialect::Redis => {
                format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{SUBJECT}\r\n${size}\r\n", SUBJECT.len())
            }
            Dialect::Nats => format!("PUB {SUBJECT} {size}\r\n"),
            Dialect::JetStream => format!("PUB {SUBJECT} {} {size}\r\n", nats::answers_to(client)),
        };
        let behind: &[u8] = if self == Dialect::Lines { b"\n" } else { b"\r\n" };
        (before.into_bytes(), behind)
    }

    /// What ends a batch of messages.
    #[must_use]
    pub fn batch_end(self) -> &'static [u8] {
        if self == Dialect::Nats { b"PING\r\n" } else { b"" }
    }
}

/// What one connection was answered.
#[derive(Debug)]
pub struct Answers {
    dialect: Dialect,
    /// The start of an answer whose end has not come yet.
    rest: Vec<u8>,
}

impl Answers {
    /// Of a connection that has just been made.
    #[must_use]
    pub fn new(dialect: Dialect) -> Answers {
        Answers { dialect, rest: Vec::new() }
    }

    /// Takes what came. How many answers it ended: of messages, or (NATS) of batches.
    pub fn take(&mut self, bytes: &[u8]) -> Result<u32> {
        self.rest.extend_from_slice(bytes);
        let (answers, used) = match self.dialect {
            Dialect::Lines => bail!("an answer that nobody asked for: {}", printing(bytes)),
            Dialect::Zog => oks(&self.rest)?,
            Dialect::Redis => numbers(&self.rest)?,
            Dialect::Nats => count_packets(&self.rest, |packet| packet.is_pong())?,
            Dialect::JetStream => count_packets(&self.rest, |packet| packet.payload.is_some())?,
        };
        self.rest.drain(..used);
        Ok(answers)
    }
}

const OK: &[u8; 4] = b"OK\r\n";

/// How many answers there are, and how many bytes they take.
fn oks(bytes: &[u8]) -> Result<(u32, usize)> {
    let whole = bytes.len() / OK.len();
    let (oks, _) = bytes.as_chunks::<4>();
    if let Some(at) = oks.iter().position(|ok| ok != OK) {
        bail!("the daemon answered {}", printing(&bytes[at * OK.len()..]));
    }
    Ok((whole as u32, whole * OK.len()))
}

/// `:5\r\n` for each message.
fn numbers(bytes: &[u8]) -> Result<(u32, usize)> {
    let mut start = 0;
    let mut count = 0;
    for end in memchr_iter(b'\n', bytes) {
        ensure!(bytes[start] == b':', "the server answered {}", printing(&bytes[start..end]));
        start = end + 1;
        count += 1;
    }
    Ok((count, start))
}

fn count_packets(bytes: &[u8], counts: impl Fn(&nats::Packet) -> bool) -> Result<(u32, usize)> {
    let mut used = 0;
    let mut count = 0;
    while let Some(packet) = nats::read(&bytes[used..])? {
        used += packet.length;
        count += u32::from(counts(&packet));
    }
    Ok((count, used))
}

/// The start of what came, for a person to read.
fn printing(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(80)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_pieces(dialect: Dialect, bytes: &[u8]) -> u32 {
        let mut answers = Answers::new(dialect);
        bytes.chunks(3).map(|piece| answers.take(piece).unwrap()).sum()
    }

    #[test]
    fn answers_are_counted_however_they_are_split() {
        assert_eq!(in_pieces(Dialect::Zog, b"OK\r\nOK\r\nOK\r\nO"), 3);
        assert_eq!(in_pieces(Dialect::Redis, b":0\r\n:12\r\n:1"), 2);
        assert_eq!(in_pieces(Dialect::Nats, b"PONG\r\nPING\r\nINFO {}\r\nPONG\r\nPO"), 2);
        let acks = b"MSG a 1 8\r\n{\"seq\":1\r\nMSG a 1 8\r\n{\"seq\":2\r\nMSG a 1 8\r\n{\"se";
        assert_eq!(in_pieces(Dialect::JetStream, acks), 2);
    }

    #[test]
    fn a_refusal_ends_the_run_with_its_words() {
        for (dialect, answer, words) in [
            (Dialect::Zog, &b"OK\r\nNO length\r\n"[..], "length"),
            (Dialect::Redis, b":0\r\n-READONLY no\r\n", "READONLY"),
            (Dialect::Nats, b"-ERR 'Slow Consumer'\r\n", "Slow"),
            (Dialect::JetStream, b"MSG a 1 16\r\n{\"error\":\"full\"}\r\n", "full"),
        ] {
            let refused = Answers::new(dialect).take(answer).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
