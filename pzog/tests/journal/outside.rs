//! The clients of a host: each says its messages in one session for ever, and repeats what was not answered.

use crate::history::History;
use pzog::ConnId;
use rand::RngExt as _;
use rand::rngs::SmallRng;
use std::collections::VecDeque;

/// The connections of every host: one client, one peer.
pub(crate) const CLIENT: ConnId = ConnId(0);
pub(crate) const PEER: ConnId = ConnId(1);

pub(crate) struct Client {
    token: String,
    /// The texts of its numbers, from 1 on, and of lines without one.
    numbered: Vec<String>,
    plain: Vec<String>,
    /// The first number that was not answered, less 1.
    answered: usize,
    /// The number that is said next, less 1.
    next: usize,
    /// What this connection waits for an answer to.
    waits: VecDeque<Said>,
    /// What was answered `OK`, ever.
    pub(crate) confirmed: Vec<String>,
}

#[derive(Clone, Copy)]
enum Said {
    Hello,
    Numbered(usize),
    Plain(usize),
}

impl Client {
    pub(crate) fn new(token: &str) -> Client {
        Client {
            token: token.to_owned(),
            numbered: Vec::new(),
            plain: Vec::new(),
            answered: 0,
            next: 0,
            waits: VecDeque::new(),
            confirmed: Vec::new(),
        }
    }

    /// Goes on, on a new connection, at the first number that was not answered, or at one of the last that were.
    pub(crate) fn connect(&mut self, dice: &mut SmallRng) -> String {
        self.answered -= dice.random_range(0..=self.answered.min(3));
        self.next = self.answered;
        self.waits = VecDeque::from([Said::Hello]);
        format!("HELLO {} next={}\r\n", self.token, self.next + 1)
    }

    pub(crate) fn say(&mut self, dice: &mut SmallRng) -> String {
        (0..dice.random_range(1..4)).map(|_| self.line(dice)).collect()
    }

    fn line(&mut self, dice: &mut SmallRng) -> String {
        let token = &self.token;
        if dice.random_bool(0.1) {
            self.plain.push(format!("{token}: plain {}, {}", self.plain.len(), padding(dice)));
            self.waits.push_back(Said::Plain(self.plain.len() - 1));
            return format!("MSG {}\r\n", self.plain[self.plain.len() - 1]);
        }
        if self.next == self.numbered.len() {
            self.numbered.push(format!("{token}: {}, {}", self.next + 1, padding(dice)));
        }
        self.waits.push_back(Said::Numbered(self.next));
        self.next += 1;
        format!("AT 20261121T025142Z {}\r\n", self.numbered[self.next - 1])
    }

    /// Hears an answer. Panics if it confirms what is not certain.
    pub(crate) fn hear(&mut self, answer: &str, history: &History) {
        if answer.starts_with("ERR 300 ") {
            return; // the journal is full: comes again
        }
        let text = match self.waits.pop_front().expect("nobody was asked") {
            Said::Hello => return assert!(answer.starts_with("OK "), "{answer}"),
            Said::Numbered(number) => {
                self.answered = number + 1;
                &self.numbered[number]
            }
            Said::Plain(number) => &self.plain[number],
        };
        assert_eq!(answer, "OK", "{text}");
        let end = history.find(text.as_bytes()).unwrap_or_else(|| panic!("answered, and not logged: {text}"));
        assert!(end <= history.certain, "answered, and not on the disk: {text}");
        self.confirmed.push(text.clone());
    }
}

fn padding(dice: &mut SmallRng) -> String {
    let length = dice.random_range(0..300);
    (0..length).map(|_| char::from(dice.random_range(b'a'..=b'z'))).collect()
}
