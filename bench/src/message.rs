//! The messages that are sent: each is unique, carries the time it was sent, and shows when a part of it is missing.
//!
//! `m`, the client (4 hexadecimal digits), the number (8), the time (16), and a filling that begins at another
//! character for each number, so that the head of one message with the tail of another is no message.

use crate::short;
use std::time::SystemTime;

/// Bytes of a message before its filling; what is shorter is told in [`crate::short`].
pub const HEAD: usize = 1 + CLIENT + NUMBER + STAMP;

/// Bytes of a message at most, as zog takes it.
pub const SIZE_MAX: usize = 511;

const CLIENT: usize = 4;
const NUMBER: usize = 8;
const STAMP: usize = 16;

const MARK: u8 = b'm';
pub(crate) const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The alphabet over and over: every filling is a piece of it.
static FILLINGS: [u8; ALPHABET.len() + SIZE_MAX] = fillings();

const fn fillings() -> [u8; ALPHABET.len() + SIZE_MAX] {
    let mut all = [0; ALPHABET.len() + SIZE_MAX];
    let mut i = 0;
    while i < all.len() {
        all[i] = ALPHABET[i % ALPHABET.len()];
        i += 1;
    }
    all
}

/// What a message says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    /// The client that sent it.
    pub client: u16,
    /// Its number among the client's messages, from 0.
    pub number: u32,
    /// When it was sent: nanoseconds since 1970.
    pub stamp: u64,
}

impl Message {
    /// Appends the message, `size` bytes long.
    pub fn write(&self, size: usize, out: &mut Vec<u8>) {
        if size < HEAD {
            return short::write(self, size, out);
        }
        out.push(MARK);
        write_hex(u64::from(self.client), CLIENT, out);
        write_hex(u64::from(self.number), NUMBER, out);
        write_hex(self.stamp, STAMP, out);
        out.extend_from_slice(self.filling(size));
    }

    /// Reads `text`, which must be one whole message and nothing else.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Message> {
        let (mark, rest) = text.split_first()?;
        let (client, rest) = rest.split_at_checked(CLIENT)?;
        let (number, rest) = rest.split_at_checked(NUMBER)?;
        let (stamp, filling) = rest.split_at_checked(STAMP)?;
        let message = Message {
            client: read_hex(client)? as u16,
            number: read_hex(number)? as u32,
            stamp: read_hex(stamp)?,
        };
        let whole = *mark == MARK && text.len() <= SIZE_MAX && message.filling(text.len()) == filling;
        whole.then_some(message)
    }

    fn filling(&self, size: usize) -> &'static [u8] {
        let start = self.number as usize % ALPHABET.len();
        &FILLINGS[start..start + size - HEAD]
    }
}

fn write_hex(value: u64, digits: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend((0..digits).rev().map(|place| DIGITS[(value >> (4 * place)) as usize & 15]));
}

fn read_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

/// The wall clock: nanoseconds since 1970.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(number: u32, size: usize) -> Vec<u8> {
        let mut text = Vec::new();
        Message { client: 7, number, stamp: 1_700_000_000_123_456_789 }.write(size, &mut text);
        text
    }

    #[test]
    fn what_is_written_is_read_again_at_every_size() {
        for size in HEAD..=SIZE_MAX {
            let text = written(123_456_789, size);
            assert_eq!(text.len(), size);
            assert!(text.iter().all(u8::is_ascii_alphanumeric));
            let read = Message::read(&text).unwrap();
            assert_eq!((read.client, read.number), (7, 123_456_789));
        }
    }

    #[test]
    fn a_changed_or_mixed_message_is_none() {
        let (one, two) = (written(1, 60), written(2, 60));
        for at in HEAD..60 {
            assert_eq!(Message::read(&[&one[..at], &two[at..]].concat()), None, "torn at {at}");
        }
        assert_eq!(Message::read(&one[..HEAD - 1]), None);
        assert_eq!(Message::read(&one[1..]), None);
        assert_eq!(Message::read(&[&one[..], b"x"].concat()), None);
        assert_eq!(Message::read(&[&one[..5], b"G", &one[6..]].concat()), None);
    }
}
