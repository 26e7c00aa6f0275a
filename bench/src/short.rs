//! Messages without room for everything: only the last digits of their number, so that what is counted is how often
//! each text is there. They carry no time.

use crate::check::WARM_UP;
use crate::message::{ALPHABET, Message};

/// What a short message says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Short {
    /// It only finds out whether the ring works.
    WarmUp,
    /// The last digits of its number.
    Number(u64),
}

/// Stands for every byte of a message that only finds out whether the ring works.
const WARM: u8 = b'-';

const BASE: u64 = ALPHABET.len() as u64;

/// How many texts of `size` bytes there are.
#[must_use]
pub fn texts(size: usize) -> u64 {
    BASE.saturating_pow(size as u32)
}

/// Appends the message, `size` bytes long.
pub(crate) fn write(message: &Message, size: usize, out: &mut Vec<u8>) {
    if message.client == WARM_UP {
        return out.extend(std::iter::repeat_n(WARM, size));
    }
    let start = out.len();
    let mut number = u64::from(message.number);
    for _ in 0..size {
        out.push(ALPHABET[(number % BASE) as usize]);
        number /= BASE;
    }
    out[start..].reverse();
}

/// Reads `text`, which must be one whole message and nothing else.
#[must_use]
pub fn read(text: &[u8]) -> Option<Short> {
    if !text.is_empty() && text.iter().all(|byte| *byte == WARM) {
        return Some(Short::WarmUp);
    }
    let number = text.iter().try_fold(0_u64, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        number.checked_mul(BASE)?.checked_add(u64::from(digit))
    });
    number.filter(|_| !text.is_empty()).map(Short::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_but_for_the_first_digits() {
        for number in [0, 1, 61, 62, 3843, 3844, 123_456_789, u32::MAX] {
            for size in 1..29 {
                let mut text = Vec::new();
                write(&Message { client: 0, number, stamp: 0 }, size, &mut text);
                assert_eq!(text.len(), size);
                assert_eq!(read(&text), Some(Short::Number(u64::from(number) % texts(size))));
            }
        }
    }

    #[test]
    fn what_nobody_writes_is_no_message() {
        for wrong in [&b""[..], b"a b", b"a-", b"\xff", &[b'z'; 28]] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
        assert_eq!(read(b"---"), Some(Short::WarmUp));
    }
}
