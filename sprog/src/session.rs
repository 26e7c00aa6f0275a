//! The session with a host, without any I/O: what is unanswered, what is to be sent, whose the next answer is.
//!
//! Messages are numbered from 1 and answered in that order. After a lost connection everything unanswered is sent
//! again, byte for byte; the hosts know a number that they have had.
//!
//! Hosts refuse a session once too many of its lines were refused between good ones. So one that comes near that is
//! *worn*: no new message is sent in it, and when all that was sent is answered, another one takes its place.

use crate::answer::Answer;
use crate::cli::WINDOW_MAX;
use pzog::limits::SESSION_REFUSED_MAX;
use pzog::{Level, Stamp, Time};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

/// Answered bytes in front of the buffer are dropped when they are more than this, and more than the rest.
const COMPACT_FROM: usize = 64 * 1024;

/// With so many refused messages a session is worn. As many as may be under way may be refused behind them.
const WORN_FROM: u32 = SESSION_REFUSED_MAX / 2;

const _: () = assert!(WORN_FROM as u64 + WINDOW_MAX <= SESSION_REFUSED_MAX as u64);

const HEAD: &[u8] = b"AT ";
const END: &[u8] = b"\r\n";

/// What one session has to say, and what it still has to hear.
pub(crate) struct Session {
    token: Rc<str>,
    /// The lines of the unanswered messages as they go on the wire, one behind the other, from `front` on.
    lines: Vec<u8>,
    front: usize,
    /// One for each of these lines.
    unanswered: VecDeque<Unanswered>,
    /// The number of the first of them.
    first: u64,
    /// How many messages have got their answer or were given up, in all sessions.
    done: u64,
    /// How many of this session were refused.
    refused: u32,
    /// How many of them, and up to which byte of `lines`, were sent on this connection.
    sent: usize,
    sent_to: usize,
    /// `KEEPALIVE`s of this connection without their `ACK`.
    acks_due: u32,
}

struct Unanswered {
    line_bytes: u32,
    made: Time,
    was_sent: bool,
}

/// A message of the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Message<'a> {
    /// Its number in the session.
    pub(crate) number: u64,
    /// When it was made.
    pub(crate) made: Time,
    /// `<time> <text>`, just as it is to stand in every access.log.
    pub(crate) entry: &'a [u8],
    /// Whether it was sent before, on a connection that was lost.
    pub(crate) is_repeat: bool,
}

/// What a line from the daemon means.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Reply<'a> {
    /// This message has its answer.
    Answered(Message<'a>, Answer<'a>),
    /// The connection is alive.
    Alive,
}

/// Why the connection is of no more use.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Broken {
    /// The daemon takes nothing for now: `300 reason`.
    ComeAgain(String),
    /// An answer to nothing, or no answer at all.
    Unexpected(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::ComeAgain(reason) => write!(f, "it takes nothing for now: ERR {reason}"),
            Broken::Unexpected(line) => {
                write!(f, "it said {line}, which answers nothing; is it a zog daemon?")
            }
        }
    }
}

impl Session {
    /// A new session; `token` is known to nobody yet.
    pub(crate) fn new(token: &str) -> Session {
        Session {
            token: Rc::from(token),
            lines: Vec::new(),
            front: 0,
            unanswered: VecDeque::new(),
            first: 1,
            done: 0,
            refused: 0,
            sent: 0,
            sent_to: 0,
            acks_due: 0,
        }
    }

    /// The session's name among the hosts.
    pub(crate) fn token(&self) -> Rc<str> {
        Rc::clone(&self.token)
    }

    /// How many messages have no answer yet.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// How many messages are done with; grows with every answer.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Whether another session is to take the place of this one: all that was sent in it is answered.
    pub(crate) fn is_worn_out(&self) -> bool {
        self.is_worn() && self.unanswered.front().is_none_or(|message| !message.was_sent)
    }

    fn is_worn(&self) -> bool {
        self.refused >= WORN_FROM
    }

    /// What was not sent yet goes on as another session; `token` is known to nobody yet.
    pub(crate) fn begin_anew(&mut self, token: &str) {
        self.token = Rc::from(token);
        (self.first, self.refused) = (1, 0);
    }

    /// When the first message without an answer was made.
    pub(crate) fn oldest(&self) -> Option<Time> {
        self.unanswered.front().map(|message| message.made)
    }

    /// Whether this connection owes an answer.
    pub(crate) fn is_waiting(&self) -> bool {
        self.sent > 0 || self.acks_due > 0
    }

    /// Takes up a message made now; `text` has no line end.
    pub(crate) fn push(&mut self, made: Time, stamp: Stamp, text: &[u8]) {
        self.compact();
        let start = self.lines.len();
        for part in [HEAD, stamp.as_bytes(), b" ", text, END] {
            self.lines.extend_from_slice(part);
        }
        let line_bytes = (self.lines.len() - start) as u32;
        self.unanswered.push_back(Unanswered { line_bytes, made, was_sent: false });
    }

    fn compact(&mut self) {
        let answered = self.front;
        if answered > COMPACT_FROM && answered > self.lines.len() - answered {
            self.lines.drain(..answered);
            self.front = 0;
            self.sent_to = self.sent_to.saturating_sub(answered);
        }
    }

    /// A new connection begins: its first line. All that is unanswered is to be sent on it.
    pub(crate) fn hello(&mut self, ack: Option<Level>) -> String {
        self.sent = 0;
        self.sent_to = self.front;
        self.acks_due = 0;
        let ack = ack.map_or(String::new(), |level| format!(" ack={}", level.word()));
        format!("HELLO {} next={}{ack}\r\n", self.token, self.first)
    }

    /// Appends to `out` the lines not sent on this connection yet, and shows each message to `sent`. In a worn session
    /// only those that were sent before.
    pub(crate) fn send(&mut self, out: &mut Vec<u8>, mut sent: impl FnMut(&Message)) {
        let (is_worn, mut start) = (self.is_worn(), self.sent_to);
        for (number, message) in (self.first..).zip(&mut self.unanswered).skip(self.sent) {
            if is_worn && !message.was_sent {
                break;
            }
            let end = start + message.line_bytes as usize;
            let entry = entry_of(&self.lines[start..end]);
            let is_repeat = std::mem::replace(&mut message.was_sent, true);
            sent(&Message { number, made: message.made, entry, is_repeat });
            start = end;
            self.sent += 1;
        }
        out.extend_from_slice(&self.lines[self.sent_to..start]);
        self.sent_to = start;
    }

    /// Appends a `KEEPALIVE` to `out`.
    pub(crate) fn keep_alive(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"KEEPALIVE\r\n");
        self.acks_due += 1;
    }

    /// Takes a line from the daemon, without its end.
    ///
    /// # Errors
    /// The connection is of no more use; no message was answered.
    pub(crate) fn reply<'a>(&'a mut self, line: &'a [u8]) -> Result<Reply<'a>, Broken> {
        match Answer::parse(line) {
            Some(Answer::ComeAgain(reason)) => Err(Broken::ComeAgain(reason.to_owned())),
            Some(Answer::Ack) if self.acks_due > 0 => {
                self.acks_due -= 1;
                Ok(Reply::Alive)
            }
            Some(answer) if answer != Answer::Ack && self.sent > 0 => {
                self.sent -= 1;
                self.refused += u32::from(matches!(answer, Answer::Refused(_)));
                self.pop().map(|message| Reply::Answered(message, answer)).ok_or_else(|| unexpected(line))
            }
            _ => Err(unexpected(line)),
        }
    }

    /// Takes out the first unanswered message. Unless its answer has come, nobody waits for that any more; the
    /// connection, if there is one, must be ended.
    pub(crate) fn pop(&mut self) -> Option<Message<'_>> {
        let Unanswered { line_bytes, made, was_sent } = self.unanswered.pop_front()?;
        let start = self.front;
        self.front += line_bytes as usize;
        let number = self.first;
        self.first += 1;
        self.done += 1;
        Some(Message { number, made, entry: entry_of(&self.lines[start..self.front]), is_repeat: was_sent })
    }
}

fn entry_of(line: &[u8]) -> &[u8] {
    &line[HEAD.len()..line.len() - END.len()]
}

fn unexpected(line: &[u8]) -> Broken {
    Broken::Unexpected(format!("{:?}", String::from_utf8_lossy(&line[..line.len().min(80)])))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: &str = "20261121T025142Z";

    fn session_with(texts: &[&str]) -> Session {
        let mut session = Session::new("token");
        for text in texts {
            session.push(Time(5), Stamp::parse(STAMP.as_bytes()).unwrap(), text.as_bytes());
        }
        session
    }

    /// What is sent, and the numbers in it with a `*` behind repeats.
    fn sent(session: &mut Session) -> (String, String) {
        let (mut out, mut numbers) = (Vec::new(), String::new());
        session.send(&mut out, |m| {
            numbers += &format!("{}{} ", m.number, if m.is_repeat { "*" } else { "" });
        });
        (String::from_utf8(out).unwrap(), numbers.trim_end().to_owned())
    }

    fn answered(session: &mut Session, line: &str) -> String {
        match session.reply(line.as_bytes()) {
            Ok(Reply::Answered(m, a)) => {
                format!("{} {} {a}", m.number, String::from_utf8_lossy(&m.entry[STAMP.len() + 1..]))
            }
            Ok(Reply::Alive) => "alive".to_owned(),
            Err(broken) => format!("broken: {broken}"),
        }
    }

    #[test]
    fn messages_are_sent_once_and_answered_in_order() {
        let mut session = session_with(&["a", "b"]);
        assert_eq!(session.hello(None), "HELLO token next=1\r\n");
        assert_eq!(sent(&mut session), (format!("AT {STAMP} a\r\nAT {STAMP} b\r\n"), "1 2".to_owned()));
        assert_eq!(sent(&mut session), (String::new(), String::new()));
        assert_eq!(answered(&mut session, "OK"), "1 a OK");
        session.push(Time(6), Stamp::parse(STAMP.as_bytes()).unwrap(), b"c");
        assert_eq!(sent(&mut session), (format!("AT {STAMP} c\r\n"), "3".to_owned()));
        assert_eq!(answered(&mut session, "PENDING 1/3"), "2 b PENDING 1/3");
        assert_eq!(answered(&mut session, "ERR 400 no"), "3 c ERR 400 no");
        assert_eq!((session.unanswered(), session.done()), (0, 3));
    }

    #[test]
    fn after_a_lost_connection_what_is_unanswered_is_repeated_unchanged() {
        let mut session = session_with(&["a", "b", "c"]);
        session.hello(None);
        sent(&mut session);
        assert_eq!(answered(&mut session, "OK"), "1 a OK");
        session.push(Time(9), Stamp::parse(STAMP.as_bytes()).unwrap(), b"d");
        assert_eq!(session.hello(Some(Level::All)), "HELLO token next=2 ack=all\r\n");
        let lines = format!("AT {STAMP} b\r\nAT {STAMP} c\r\nAT {STAMP} d\r\n");
        assert_eq!(sent(&mut session), (lines, "2* 3* 4".to_owned()));
        assert_eq!(answered(&mut session, "OK"), "2 b OK");
    }

    #[test]
    fn a_worn_session_ends_when_what_was_sent_is_answered_and_another_one_goes_on() {
        let mut session = session_with(&[]);
        session.hello(None);
        let stamp = Stamp::parse(STAMP.as_bytes()).unwrap();
        let push = |session: &mut Session, text: &str| session.push(Time(5), stamp, text.as_bytes());
        for _ in 1..WORN_FROM {
            push(&mut session, "refused");
            sent(&mut session);
            answered(&mut session, "ERR 422 no");
        }
        ["the last one refused", "sent", "sent, too"].iter().for_each(|text| push(&mut session, text));
        session.send(&mut Vec::new(), |_| {});
        push(&mut session, "not sent, either");
        answered(&mut session, "ERR 422 no");
        assert!(!session.is_worn_out());
        assert_eq!(sent(&mut session).0, "", "what it has not said yet is not for this session");
        // The connection is lost: what was sent is repeated in the same session, and nothing else.
        assert!(session.hello(None).starts_with("HELLO token next="));
        assert_eq!(sent(&mut session).1.split(' ').count(), 2);
        answered(&mut session, "OK");
        assert!(!session.is_worn_out());
        answered(&mut session, "OK");
        assert!(session.is_worn_out());
        session.begin_anew("another");
        assert_eq!(session.hello(None), "HELLO another next=1\r\n");
        assert_eq!(sent(&mut session), (format!("AT {STAMP} not sent, either\r\n"), "1".to_owned()));
        assert_eq!(answered(&mut session, "OK"), "1 not sent, either OK");
        assert!(!session.is_worn_out());
    }

    #[test]
    fn come_again_spends_no_number() {
        let mut session = session_with(&["a"]);
        session.hello(None);
        sent(&mut session);
        assert_eq!(session.reply(b"ERR 300 disk full"), Err(Broken::ComeAgain("300 disk full".to_owned())));
        assert_eq!(session.hello(None), "HELLO token next=1\r\n");
        assert_eq!(sent(&mut session).1, "1*");
    }

    #[test]
    fn an_answer_to_nothing_breaks_the_connection() {
        let mut session = session_with(&["a"]);
        session.hello(None);
        assert!(answered(&mut session, "OK").starts_with("broken"));
        assert!(answered(&mut session, "ACK").starts_with("broken"));
        sent(&mut session);
        assert!(answered(&mut session, "what?").starts_with("broken"));
        assert_eq!(session.unanswered(), 1);
    }

    #[test]
    fn a_keep_alive_is_answered_beside_the_messages() {
        let mut session = session_with(&[]);
        session.hello(None);
        let mut out = Vec::new();
        session.keep_alive(&mut out);
        assert_eq!(out, b"KEEPALIVE\r\n");
        assert!(session.is_waiting());
        assert_eq!(answered(&mut session, "ACK"), "alive");
        assert!(!session.is_waiting());
    }

    #[test]
    fn the_buffer_does_not_grow_with_what_was_answered() {
        let mut session = session_with(&[]);
        session.hello(None);
        let stamp = Stamp::parse(STAMP.as_bytes()).unwrap();
        for number in 1..=20_000_u64 {
            session.push(Time(number), stamp, number.to_string().as_bytes());
            session.push(Time(number), stamp, b"behind it");
            sent(&mut session);
            assert_eq!(
                answered(&mut session, "OK").split(' ').next(),
                Some((number * 2 - 1).to_string().as_str())
            );
            assert_eq!(answered(&mut session, "OK"), format!("{} behind it OK", number * 2));
        }
        assert!(session.lines.capacity() < 4 * COMPACT_FROM);
    }
}
