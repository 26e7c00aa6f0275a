//! What clients were told, held against what the hosts logged.

use crate::clients::{Answer, Message};
use crate::ring::{FENCE, Ring};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

/// So many faults are named.
const SHOWN: usize = 10;

/// What the messages of an account came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Answered `OK`.
    pub ok: usize,
    /// Answered `PENDING`.
    pub pending: usize,
    /// Answered `ERR`, as their texts deserve.
    pub refused: usize,
    /// Never answered, and in every log.
    pub unanswered_and_logged: usize,
    /// Never answered, and in no log.
    pub unanswered_and_lost: usize,
    /// Given to more than one connection.
    pub repeated: usize,
}

/// The messages in one host's log.
struct HostLog {
    name: String,
    /// How often each message stands there.
    counts: Vec<u8>,
    /// For each origin, its messages in the order of the log: those that were given to this host and to no other.
    order: Vec<Vec<u32>>,
}

/// Asserts for all hosts of a ring that the account holds: what was answered `OK` or `PENDING` is in every log once,
/// what was answered `ERR` in none, what was not answered in every log once or in none; no log holds anything else;
/// and the messages of each origin stand everywhere in the same order.
///
/// # Panics
/// If not; the first faults are named.
#[track_caller]
pub fn assert_account(ring: &Ring, messages: &[Message]) -> Tally {
    let mut faults = Vec::new();
    let logs: Vec<_> = (0..ring.len()).map(|host| read_log(ring, host, messages, &mut faults)).collect();
    let mut tally = Tally::default();
    for (index, message) in messages.iter().enumerate() {
        let counts: Vec<_> = logs.iter().map(|log| log.counts[index]).collect();
        if !tally.take(message, &counts) {
            faults.push(format!("{counts:?} times in the logs: {message:?}"));
        }
    }
    for log in &logs[1..] {
        for (origin, (here, first)) in log.order.iter().zip(&logs[0].order).enumerate() {
            if let Some((a, b)) = here.iter().zip(first).find(|(a, b)| a != b) {
                faults.push(format!(
                    "of what {} was given, {} has {:?} where {} has {:?}",
                    ring.name(origin),
                    log.name,
                    messages[*a as usize].text,
                    logs[0].name,
                    messages[*b as usize].text
                ));
            }
        }
    }
    let mut shown = String::new();
    for fault in faults.iter().take(SHOWN) {
        let _ = writeln!(shown, "{fault}");
    }
    assert!(faults.is_empty(), "{} faults:\n{shown}", faults.len());
    tally
}

impl Tally {
    /// Counts a message that stands so often in each log; `false` if that breaks a promise.
    fn take(&mut self, message: &Message, counts: &[u8]) -> bool {
        let (once, never) = (counts.iter().all(|n| *n == 1), counts.iter().all(|n| *n == 0));
        self.repeated += usize::from(message.given_to.len() > 1);
        let (place, right) = match message.answer {
            Some(Answer::Ok) => (&mut self.ok, once),
            Some(Answer::Pending) => (&mut self.pending, once),
            Some(Answer::Refused) => (&mut self.refused, never),
            None if once => (&mut self.unanswered_and_logged, !message.bad),
            None => (&mut self.unanswered_and_lost, never),
        };
        *place += 1;
        right
    }
}

fn read_log(ring: &Ring, host: usize, messages: &[Message], faults: &mut Vec<String>) -> HostLog {
    let known: HashMap<_, _> = messages.iter().enumerate().map(|(i, message)| (message.id(), i)).collect();
    let order = vec![Vec::new(); ring.len()];
    let mut log = HostLog { name: ring.name(host), counts: vec![0; messages.len()], order };
    for piece in ring.access_log_pieces(host) {
        let mut lines = BufReader::new(File::open(&piece).expect("a log can be read"));
        let mut line = String::new();
        while lines.read_line(&mut line).expect("a log can be read") > 0 {
            if let Err(fault) = log.take(&line, &known, messages) {
                faults.push(format!("{}: {fault}: {line:?}", piece.display()));
            }
            line.clear();
        }
    }
    log
}

impl HostLog {
    fn take(
        &mut self,
        line: &str,
        known: &HashMap<String, usize>,
        messages: &[Message],
    ) -> Result<(), &'static str> {
        let (time, text) = line.strip_suffix('\n').and_then(|l| l.split_once(' ')).ok_or("a torn line")?;
        if text.starts_with(FENCE) {
            return Ok(());
        }
        let index = *text.split(' ').next().and_then(|id| known.get(id)).ok_or("nobody sent it")?;
        let message = &messages[index];
        if message.time != time || message.text != text {
            return Err("it was sent with another time or text");
        }
        self.counts[index] = self.counts[index].saturating_add(1);
        if let [origin] = message.given_to[..] {
            self.order[origin].push(index as u32);
        }
        Ok(())
    }
}

/// Writes what was sent and answered as `sprog --log` does, for `zog verify --sent`.
///
/// # Panics
/// If the file cannot be written.
pub fn write_sent_log(ring: &Ring, messages: &[Message], path: &Path) {
    let mut log = String::new();
    for Message { session, number, time, text, given_to, answer, .. } in messages {
        for host in given_to {
            let _ = writeln!(log, "SENT {session} {number} {} {time} {text}", ring.name(*host));
        }
        let answer = match answer {
            Some(Answer::Ok) => "OK",
            Some(Answer::Pending) => "PENDING 1/1",
            Some(Answer::Refused) => "ERR 422 a bad text",
            None => "LOST the session was left",
        };
        let last = given_to.last().expect("a message is given to somebody");
        let _ = writeln!(log, "ANSWERED {session} {number} {} {answer}", ring.name(*last));
    }
    fs::write(path, log).expect("a log of what was sent");
}
