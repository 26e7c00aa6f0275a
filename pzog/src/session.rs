//! Client sessions: which numbers of which session are known here, so that a repeat, through whatever host, is
//! logged once.

use crate::limits::{SESSION_AGE, SESSION_HOLES_MAX, SESSION_RECENT, SESSIONS_MAX, TOKEN_MAX};
use crate::time::Time;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// The name that a client draws for its session: 1 to [`TOKEN_MAX`] of `A-Z a-z 0-9 - _`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Token {
    bytes: [u8; TOKEN_MAX],
    len: u8,
}

impl Token {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Token> {
        let fits = (1..=TOKEN_MAX).contains(&bytes.len());
        if !fits || !bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_') {
            return None;
        }
        let mut token = Token { bytes: [0; TOKEN_MAX], len: bytes.len() as u8 };
        token.bytes[..bytes.len()].copy_from_slice(bytes);
        Some(token)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// What became of a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Noted {
    /// It was not known before.
    New,
    /// It was known, and as far as is remembered with the same time and text.
    Repeat,
    /// It was known with another time or text.
    Conflict,
    /// It would make one hole too many.
    TooManyHoles,
}

/// One session's numbers.
#[derive(Debug)]
pub(crate) struct Session {
    token: Token,
    /// Known numbers as inclusive ranges, ascending, never touching.
    known: Vec<(u64, u64)>,
    /// Number and content of the last ones.
    recent: VecDeque<(u64, u64)>,
    used: Time,
}

impl Session {
    /// All numbers up to this one are known.
    pub(crate) fn known_upto(&self) -> u64 {
        self.known.first().filter(|(first, _)| *first == 1).map_or(0, |(_, last)| *last)
    }

    fn note(&mut self, number: u64, content: u64) -> Noted {
        // The common case: the next number of the only range.
        let at = match self.known.last() {
            Some((first, last)) if number > *last || number >= *first => self.known.len() - 1,
            _ => match self.known.partition_point(|(first, _)| *first <= number) {
                0 => return self.insert_before(0, number, content),
                n => n - 1,
            },
        };
        let (_, last) = self.known[at];
        if number <= last {
            return match self.recent.iter().rev().find(|(n, _)| *n == number) {
                Some((_, c)) if *c != content => Noted::Conflict,
                _ => Noted::Repeat,
            };
        }
        if number == last + 1 {
            self.known[at].1 = number;
            if self.known.get(at + 1).is_some_and(|(first, _)| *first == number + 1) {
                self.known[at].1 = self.known.remove(at + 1).1;
            }
            return self.remember(number, content);
        }
        self.insert_before(at + 1, number, content)
    }

    fn insert_before(&mut self, at: usize, number: u64, content: u64) -> Noted {
        if self.known.get(at).is_some_and(|(first, _)| *first == number + 1) {
            self.known[at].0 = number;
        } else if self.known.len() < SESSION_HOLES_MAX {
            self.known.insert(at, (number, number));
        } else {
            return Noted::TooManyHoles;
        }
        self.remember(number, content)
    }

    fn remember(&mut self, number: u64, content: u64) -> Noted {
        if self.recent.len() == SESSION_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((number, content));
        Noted::New
    }
}

/// All sessions that this host knows, named by small numbers that stay the same while the session is remembered.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_token: BTreeMap<Token, u32>,
    sessions: Vec<Option<Session>>,
    free: Vec<u32>,
}

impl Sessions {
    /// The session of a token, if it is known.
    pub(crate) fn find(&self, token: &Token) -> Option<u32> {
        self.by_token.get(token).copied()
    }

    /// The session of a token, made if it is new; `None` while there are too many.
    pub(crate) fn open(&mut self, token: Token, now: Time) -> Option<u32> {
        if let Some(index) = self.find(&token) {
            return Some(index);
        }
        if self.by_token.len() >= SESSIONS_MAX {
            self.forget_unused(now);
        }
        if self.by_token.len() >= SESSIONS_MAX {
            return None;
        }
        let session = Some(Session { token, known: Vec::new(), recent: VecDeque::new(), used: now });
        let index = match self.free.pop() {
            Some(index) => {
                self.sessions[index as usize] = session;
                index
            }
            None => {
                self.sessions.push(session);
                self.sessions.len() as u32 - 1
            }
        };
        self.by_token.insert(token, index);
        Some(index)
    }

    /// A session by its index, unless it was forgotten.
    pub(crate) fn get(&self, index: u32) -> Option<&Session> {
        self.sessions.get(index as usize)?.as_ref()
    }

    /// Whether `index` is still the session of `token`.
    pub(crate) fn is(&self, index: u32, token: &[u8]) -> bool {
        self.get(index).is_some_and(|s| s.token.as_bytes() == token)
    }

    /// Notes that a number of a session was used for this content (a hash of time and text).
    pub(crate) fn note(&mut self, index: u32, number: u64, content: u64, now: Time) -> Noted {
        match self.sessions.get_mut(index as usize) {
            Some(Some(session)) => {
                session.used = now;
                session.note(number, content)
            }
            _ => Noted::TooManyHoles,
        }
    }

    fn forget_unused(&mut self, now: Time) {
        for (index, slot) in self.sessions.iter_mut().enumerate() {
            if slot.as_ref().is_some_and(|s| now - s.used >= SESSION_AGE) {
                if let Some(session) = slot.take() {
                    self.by_token.remove(&session.token);
                }
                self.free.push(index as u32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    fn one() -> (Sessions, u32) {
        let mut sessions = Sessions::default();
        let index = sessions.open(Token::parse(b"token").unwrap(), Time(0)).unwrap();
        (sessions, index)
    }

    #[test]
    fn a_token_is_short_and_plain() {
        for good in ["a", "A-z_0", "01234567890123456789012345678901"] {
            assert_eq!(Token::parse(good.as_bytes()).unwrap().as_bytes(), good.as_bytes());
        }
        for bad in ["", "a b", "a.b", "ä", "012345678901234567890123456789012"] {
            assert_eq!(Token::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_number_with_another_text_is_a_conflict() {
        let (mut s, i) = one();
        assert_eq!(s.note(i, 1, 10, Time(0)), Noted::New);
        assert_eq!(s.note(i, 1, 10, Time(0)), Noted::Repeat);
        assert_eq!(s.note(i, 1, 11, Time(0)), Noted::Conflict);
    }

    #[test]
    fn holes_are_bounded() {
        let (mut s, i) = one();
        for n in 0..SESSION_HOLES_MAX as u64 {
            assert_eq!(s.note(i, 2 * n + 1, 0, Time(0)), Noted::New);
        }
        let beyond = 2 * SESSION_HOLES_MAX as u64 + 1;
        assert_eq!(s.note(i, beyond, 0, Time(0)), Noted::TooManyHoles);
        assert_eq!(s.note(i, 2, 0, Time(0)), Noted::New);
        assert_eq!(s.note(i, beyond, 0, Time(0)), Noted::New);
    }

    #[test]
    fn sessions_are_bounded_and_only_old_ones_give_way() {
        let mut s = Sessions::default();
        let token = |n: usize| Token::parse(alloc::format!("t{n}").as_bytes()).unwrap();
        for n in 0..SESSIONS_MAX {
            assert!(s.open(token(n), Time(0)).is_some());
        }
        let first = s.open(token(0), Time(0)).unwrap();
        s.note(first, 1, 0, Time(1) + SESSION_AGE);
        assert_eq!(s.open(token(SESSIONS_MAX), Time(0)), None);
        assert!(s.open(token(SESSIONS_MAX), Time(0) + SESSION_AGE).is_some());
        assert!(s.is(first, b"t0"));
        assert_eq!(s.get(first).unwrap().known_upto(), 1);
    }

    proptest! {
        #[test]
        fn ranges_say_the_same_as_a_plain_table(numbers in proptest::collection::vec((1u64..40, 0u64..2), 0..200)) {
            let (mut s, i) = one();
            let mut table = BTreeMap::new();
            for (number, content) in numbers {
                let expected = match table.get(&number) {
                    None => Noted::New,
                    Some(c) if *c == content => Noted::Repeat,
                    Some(_) => Noted::Conflict,
                };
                table.entry(number).or_insert(content);
                prop_assert_eq!(s.note(i, number, content, Time(0)), expected);
                let upto = (1..).take_while(|n| table.contains_key(n)).count() as u64;
                prop_assert_eq!(s.get(i).unwrap().known_upto(), upto);
            }
        }
    }
}
