//! Client sessions: which numbers of which session are journaled here, so that a repeat, through whatever host, is
//! logged once.
//!
//! The numbers are part of the journal: each head of a segment tells them, and each message says its own. They are
//! bounded where a message enters the ring; what other hosts have taken is remembered beyond the bounds.

use crate::limits::{
    SESSION_AGE, SESSION_AGE_MIN, SESSION_HOLES_MAX, SESSION_RECENT, SESSION_REFUSED_MAX, SESSIONS_MAX,
    TOKEN_MAX,
};
use crate::stream::Numbers;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use crc32fast::Hasher;

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

/// Where a message stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct At {
    pub(crate) stream: u32,
    pub(crate) seq: u64,
}

/// What became of a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Noted {
    /// It was not known before.
    New,
    /// It was known, and as far as is remembered with the same time and text, by the message there.
    Repeat(Option<At>),
    /// It was known with another time or text.
    Conflict,
    /// It would make one hole too many.
    TooManyHoles,
}

/// What tells two messages with one number apart, never [`REFUSED`].
pub(crate) fn content(stamp: &[u8], text: &[u8]) -> u64 {
    let mut check = Hasher::new();
    check.update(stamp);
    check.update(text);
    u64::from(check.finalize()) | (text.len() as u64) << 32
}

/// Stands for the content of a line that was refused.
pub(crate) const REFUSED: u64 = 0;

/// One session's numbers.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    token: Token,
    /// Known numbers as inclusive ranges, ascending, never touching.
    known: Vec<(u64, u64)>,
    /// The last ones.
    recent: VecDeque<Recent>,
    /// Numbers that were refused here in this life of the host, where those in a row count once.
    refused: u32,
    /// When it was used, in seconds of running time of all lives of this journal.
    used: u64,
    /// The snapshot that is being read has not named it yet.
    is_stale: bool,
}

#[derive(Clone, Copy, Debug)]
struct Recent {
    number: u64,
    content: u64,
    at: Option<At>,
}

impl Session {
    fn new(token: Token, used: u64) -> Session {
        Session { token, known: Vec::new(), recent: VecDeque::new(), refused: 0, used, is_stale: false }
    }

    /// All numbers up to this one are known.
    pub(crate) fn known_upto(&self) -> u64 {
        self.known.first().filter(|(first, _)| *first == 1).map_or(0, |(_, last)| *last)
    }

    /// No more of its numbers are taken: other hosts would have to remember too many holes.
    pub(crate) fn has_too_many_refused(&self) -> bool {
        self.refused >= SESSION_REFUSED_MAX
    }

    fn note(&mut self, new: Recent, holes_max: usize) -> Noted {
        let Recent { number, content, .. } = new;
        // The common case: the next number of the only range.
        let at = match self.known.last() {
            Some((first, last)) if number > *last || number >= *first => self.known.len() - 1,
            _ => match self.known.partition_point(|(first, _)| *first <= number) {
                0 => return self.insert_before(0, new, holes_max),
                n => n - 1,
            },
        };
        let (_, last) = self.known[at];
        if number <= last {
            return match self.recent.iter().rev().find(|r| r.number == number) {
                Some(r) if r.content != content => Noted::Conflict,
                r => Noted::Repeat(r.and_then(|r| r.at)),
            };
        }
        if number == last + 1 {
            self.known[at].1 = number;
            if self.known.get(at + 1).is_some_and(|(first, _)| *first == number + 1) {
                self.known[at].1 = self.known.remove(at + 1).1;
            }
            return self.remember(new);
        }
        self.insert_before(at + 1, new, holes_max)
    }

    fn insert_before(&mut self, at: usize, new: Recent, holes_max: usize) -> Noted {
        let number = new.number;
        if self.known.get(at).is_some_and(|(first, _)| *first == number + 1) {
            self.known[at].0 = number;
        } else if self.known.len() < holes_max {
            self.known.insert(at, (number, number));
        } else {
            return Noted::TooManyHoles;
        }
        self.remember(new)
    }

    fn remember(&mut self, new: Recent) -> Noted {
        let is_in_a_row = self.recent.back().is_some_and(|last| last.content == REFUSED);
        self.refused += u32::from(new.content == REFUSED && !is_in_a_row);
        if self.recent.len() == SESSION_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(new);
        Noted::New
    }
}

/// All sessions that this host knows, named by small numbers that stay the same while the session is remembered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    by_token: BTreeMap<Token, u32>,
    sessions: Vec<Option<Session>>,
    free: Vec<u32>,
    /// All that was used up to then (running seconds) has arrived wherever it may come again.
    settled: u64,
}

impl Sessions {
    /// The session of a token, if it is known.
    pub(crate) fn find(&self, token: &Token) -> Option<u32> {
        self.by_token.get(token).copied()
    }

    /// The session of a token, made if it is new.
    pub(crate) fn open(&mut self, token: Token, now: u64) -> u32 {
        if let Some(index) = self.find(&token) {
            return index;
        }
        let session = Some(Session::new(token, now));
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
        index
    }

    /// As [`Sessions::open`], for a message that enters the ring here; `None` while there are too many.
    pub(crate) fn open_bounded(&mut self, token: Token, now: u64) -> Option<u32> {
        if self.find(&token).is_none() && self.by_token.len() >= SESSIONS_MAX {
            self.forget_unused(now, SESSION_AGE_MIN.as_secs());
            if self.by_token.len() >= SESSIONS_MAX {
                return None;
            }
        }
        Some(self.open(token, now))
    }

    /// A session by its index, unless it was forgotten.
    pub(crate) fn get(&self, index: u32) -> Option<&Session> {
        self.sessions.get(index as usize)?.as_ref()
    }

    /// Whether `index` is still the session of `token`.
    pub(crate) fn is(&self, index: u32, token: &[u8]) -> bool {
        self.get(index).is_some_and(|s| s.token.as_bytes() == token)
    }

    /// Notes that a number of a session is used for this content by the message there.
    pub(crate) fn note(
        &mut self,
        index: u32,
        number: u64,
        content: u64,
        at: Option<At>,
        holes_max: usize,
        now: u64,
    ) -> Noted {
        match self.sessions.get_mut(index as usize) {
            Some(Some(session)) => {
                session.used = now;
                session.note(Recent { number, content, at }, holes_max)
            }
            _ => Noted::TooManyHoles,
        }
    }

    /// As [`Sessions::note`], for a line of a client of this host.
    pub(crate) fn note_bounded(
        &mut self,
        index: u32,
        number: u64,
        content: u64,
        at: Option<At>,
        now: u64,
    ) -> Noted {
        self.note(index, number, content, at, SESSION_HOLES_MAX, now)
    }

    /// All that was used up to then has arrived wherever it may come again: it may be forgotten once it is old.
    pub(crate) fn settle(&mut self, settled: u64, now: u64) {
        self.settled = self.settled.max(settled);
        self.forget_unused(now, SESSION_AGE.as_secs());
    }

    fn forget_unused(&mut self, now: u64, age: u64) {
        let settled = self.settled;
        self.forget(|s| s.used < settled && now.saturating_sub(s.used) >= age);
    }

    fn forget(&mut self, is_old: impl Fn(&Session) -> bool) {
        for (index, slot) in self.sessions.iter_mut().enumerate() {
            if let Some(session) = slot.take_if(|s| is_old(s)) {
                self.by_token.remove(&session.token);
                self.free.push(index as u32);
            }
        }
    }

    /// Calls `each` with the token, the time of the last use and the numbers of every session.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Token, u64, &mut dyn Iterator<Item = Numbers>)) {
        for session in self.sessions.iter().flatten() {
            let mut known = session.known.iter().map(|(from, to)| Numbers { from: *from, to: *to });
            each(&session.token, session.used, &mut known);
        }
    }

    // What recovery does.

    /// A snapshot begins: what it does not name was forgotten.
    pub(crate) fn begin_snapshot(&mut self) {
        self.sessions.iter_mut().flatten().for_each(|s| s.is_stale = true);
    }

    pub(crate) fn restore(&mut self, token: Token, used: u64, known: &[Numbers]) {
        let index = self.open(token, used);
        if let Some(Some(session)) = self.sessions.get_mut(index as usize) {
            session.known = known.iter().map(|n| (n.from, n.to)).collect();
            (session.used, session.is_stale) = (used, false);
        }
    }

    pub(crate) fn end_snapshot(&mut self) {
        self.forget(|s| s.is_stale);
    }

    /// A message of the journal.
    pub(crate) fn recover(&mut self, token: &[u8], number: u64, content: u64, at: At, now: u64) {
        if let Some(token) = Token::parse(token) {
            let index = self.open(token, now);
            let _known_or_new = self.note(index, number, content, Some(at), usize::MAX, now);
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
        let index = sessions.open(Token::parse(b"token").unwrap(), 0);
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
        assert_eq!(s.note_bounded(i, 1, 10, None, 0), Noted::New);
        assert_eq!(s.note_bounded(i, 1, 10, None, 0), Noted::Repeat(None));
        assert_eq!(s.note_bounded(i, 1, 11, None, 0), Noted::Conflict);
    }

    #[test]
    fn holes_are_bounded() {
        let (mut s, i) = one();
        for n in 0..SESSION_HOLES_MAX as u64 {
            assert_eq!(s.note_bounded(i, 2 * n + 1, 0, None, 0), Noted::New);
        }
        let beyond = 2 * SESSION_HOLES_MAX as u64 + 1;
        assert_eq!(s.note_bounded(i, beyond, 0, None, 0), Noted::TooManyHoles);
        assert_eq!(s.note_bounded(i, 2, 0, None, 0), Noted::New);
        assert_eq!(s.note_bounded(i, beyond, 0, None, 0), Noted::New);
    }

    #[test]
    fn a_repeat_is_told_where_the_message_stands() {
        let (mut s, i) = one();
        let at = At { stream: 3, seq: 4 };
        assert_eq!(s.note_bounded(i, 1, 10, Some(at), 0), Noted::New);
        assert_eq!(s.note_bounded(i, 1, 10, None, 0), Noted::Repeat(Some(at)));
    }

    #[test]
    fn sessions_are_bounded_and_only_old_and_settled_ones_give_way() {
        let mut s = Sessions::default();
        let token = |n: usize| Token::parse(alloc::format!("t{n}").as_bytes()).unwrap();
        for n in 0..SESSIONS_MAX {
            assert!(s.open_bounded(token(n), 0).is_some());
        }
        let hour = SESSION_AGE_MIN.as_secs();
        let first = s.open(token(0), 0);
        s.note_bounded(first, 1, 0, None, 1 + hour);
        assert_eq!(s.open_bounded(token(SESSIONS_MAX), hour), None, "nothing is settled");
        s.settle(1, 1);
        assert_eq!(s.open_bounded(token(SESSIONS_MAX), hour - 1), None, "nothing is old");
        assert!(s.open_bounded(token(SESSIONS_MAX), hour).is_some());
        assert!(s.is(first, b"t0"));
        assert_eq!(s.get(first).unwrap().known_upto(), 1);
        s.open(token(SESSIONS_MAX + 1), hour); // what another host has taken
    }

    #[test]
    fn a_snapshot_sets_what_is_known() {
        let (mut s, _) = one();
        let (kept, gone) = (Token::parse(b"kept").unwrap(), Token::parse(b"token").unwrap());
        s.begin_snapshot();
        s.restore(kept, 7, &[Numbers { from: 1, to: 5 }]);
        s.end_snapshot();
        assert_eq!(s.find(&gone), None);
        let kept = s.find(&kept).unwrap();
        assert_eq!(s.note_bounded(kept, 5, 0, None, 8), Noted::Repeat(None));
        assert_eq!(s.note_bounded(kept, 6, 0, None, 8), Noted::New);
    }

    proptest! {
        #[test]
        fn ranges_say_the_same_as_a_plain_table(numbers in proptest::collection::vec((1u64..40, 0u64..2), 0..200)) {
            let (mut s, i) = one();
            let mut table = BTreeMap::new();
            for (number, content) in numbers {
                let expected = match table.get(&number) {
                    None => Noted::New,
                    Some(c) if *c == content => Noted::Repeat(None),
                    Some(_) => Noted::Conflict,
                };
                table.entry(number).or_insert(content);
                prop_assert_eq!(s.note_bounded(i, number, content, None, 0), expected);
                let upto = (1..).take_while(|n| table.contains_key(n)).count() as u64;
                prop_assert_eq!(s.get(i).unwrap().known_upto(), upto);
            }
        }
    }
}
