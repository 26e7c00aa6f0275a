//! The line that most likely comes next: the same stream, the next number, the same second.
//!
//! In a flood nearly every line of a peer is like the one before but for its number and its text. It is recognised by
//! comparing bytes, without being taken apart.

use crate::text;
use crate::time::Stamp;
use crate::wire::put_number;
use alloc::vec::Vec;

/// What such a line begins with, behind its wrapping: `<stream>.<seq> <time> `.
#[derive(Debug, Default)]
pub(crate) struct Following {
    /// Empty: nothing is expected.
    begin: Vec<u8>,
    /// Where in it the number begins and ends.
    digits: (usize, usize),
}

/// A line that was recognised.
pub(crate) struct Recognised {
    /// Where its `<time> <text>` begins.
    pub(crate) logged: usize,
    /// Its bytes, with `\r\n`.
    pub(crate) bytes: usize,
}

impl Following {
    /// Expects the message behind this one of the stream whose lines begin with `head`.
    pub(crate) fn expect(&mut self, head: &[u8], seq: u64, stamp: &Stamp) {
        self.begin.clear();
        self.begin.extend_from_slice(head);
        put_number(&mut self.begin, seq + 1);
        self.digits = (head.len(), self.begin.len());
        self.begin.push(b' ');
        self.begin.extend_from_slice(stamp.as_bytes());
        self.begin.push(b' ');
    }

    /// Expects nothing.
    pub(crate) fn forget(&mut self) {
        self.begin.clear();
    }

    /// Whether `bytes` begin with the line that is expected, with this wrapping, whole and valid. If so, the one behind it
    /// is expected from now on.
    pub(crate) fn recognise(&mut self, wrapping: u8, bytes: &[u8]) -> Option<Recognised> {
        let behind = bytes.strip_prefix(&[b'0' + wrapping])?;
        let text = behind.strip_prefix(&self.begin[..]).filter(|_| !self.begin.is_empty())?;
        let line_feed = memchr::memchr(b'\n', text)?;
        text::check(text[..line_feed].strip_suffix(b"\r")?).ok()?;
        let (first, end) = self.digits;
        let logged = 1 + end + 1;
        let bytes = 1 + self.begin.len() + line_feed + 1;
        if !increment(&mut self.begin[first..end]) {
            self.forget();
        }
        Some(Recognised { logged, bytes })
    }
}

/// Adds one to a decimal number; false where it needs a digit more.
pub(crate) fn increment(digits: &mut [u8]) -> bool {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return true;
        }
        *digit = b'0';
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const STAMP: &str = "20261121T025142Z";

    fn following(seq: u64) -> Following {
        let mut following = Following::default();
        following.expect(b"MV/00000000000000a1.", seq, &Stamp::parse(STAMP.as_bytes()).unwrap());
        following
    }

    fn line(wrapping: u8, seq: u64, text: &str) -> Vec<u8> {
        format!("{wrapping}MV/00000000000000a1.{seq} {STAMP} {text}\r\n").into_bytes()
    }

    #[test]
    fn lines_are_recognised_one_behind_the_other_up_to_a_number_with_more_digits() {
        let mut following = following(96);
        for seq in 97..=99 {
            let bytes = [line(2, seq, "hello"), line(2, seq + 1, "behind it")].concat();
            let Recognised { logged, bytes: length } = following.recognise(2, &bytes).unwrap();
            assert_eq!(length, line(2, seq, "hello").len());
            assert_eq!(bytes[logged..length - 2], *format!("{STAMP} hello").as_bytes());
        }
        assert!(following.recognise(2, &line(2, 100, "hello")).is_none());
    }

    #[test]
    fn whatever_else_comes_is_left_to_the_careful_way() {
        let good = line(2, 8, "hello");
        assert!(following(7).recognise(2, &good).is_some());
        for wrong in [
            line(1, 8, "hello"),
            line(2, 7, "hello"),
            line(2, 9, "hello"),
            line(2, 80, "hello"),
            line(2, 8, ""),
            line(2, 8, "a\tb"),
            line(2, 8, &"x".repeat(512)),
            line(2, 8, "a\rb"),
            good[..good.len() - 1].to_vec(),
            good[..good.len() - 2].iter().copied().chain(*b"\n").collect(),
            good[..10].to_vec(),
            Vec::new(),
        ] {
            assert!(following(7).recognise(2, &wrong).is_none(), "{}", wrong.escape_ascii());
        }
        let mut forgotten = following(7);
        forgotten.forget();
        assert!(forgotten.recognise(2, &good).is_none());
    }
}
