//! What holds at any time, whatever a script does.

use crate::host::Host;
use crate::outsider::Outsider;
use pzog::Level;
use std::collections::{BTreeMap, BTreeSet};

/// Where a message stands in a stream: the stream's name and its number.
type MessageId = (String, u64);

#[derive(Default)]
pub(crate) struct Checks {
    /// The ids under which a line of access.log was seen on the wire.
    ids: BTreeMap<Vec<u8>, BTreeSet<MessageId>>,
    /// Promises to people that were broken.
    broken: Vec<String>,
    /// What the nodes did with their driver against the contract.
    misuses: Vec<String>,
}

/// A data line between hosts: its id and what is to stand in access.log.
fn parse_data(line: &[u8]) -> Option<(MessageId, &[u8])> {
    let (wrapping, rest) = line.split_first()?;
    let space = rest.iter().position(|b| *b == b' ')?;
    let head = std::str::from_utf8(&rest[..space]).ok()?;
    let (stream, number) = head.split_once('.').filter(|(stream, _)| stream.contains('/'))?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    wrapping.is_ascii_digit().then_some(())?;
    Some(((stream.to_owned(), number[..digits].parse().ok()?), &rest[space + 1..]))
}

impl Checks {
    /// Notes a breach of the contract between node and driver.
    pub(crate) fn misuse(&mut self, what: String) {
        self.misuses.push(what);
    }

    /// A line goes from one host to another, which lives its so many-th life.
    pub(crate) fn line_sent(&mut self, from: &str, to: &str, life: u64, line: &[u8]) {
        let Some((id, logged)) = parse_data(line) else { return };
        // What it said in former lives it may have lost.
        if id.0 == format!("{to}/{life:016x}") {
            self.broken.push(format!("{from} sends {to} its own message {id:?}"));
        }
        self.ids.entry(logged.to_vec()).or_default().insert(id);
    }

    /// A client is answered: `OK` must be true.
    pub(crate) fn answered(&mut self, host: &Host, hosts: &[Host], client: &mut Outsider, answer: &str) {
        let Some(asked) = client.asked.pop_front() else {
            client.answered_early = answer.starts_with("ERR 413");
            if !answer.starts_with("ERR 300") && !client.answered_early {
                self.broken.push(format!("{} answers {answer:?} to nothing", host.name));
            }
            return;
        };
        let (Some((text, level)), "OK") = (asked.message, answer) else { return };
        let synced = hosts.iter().filter(|h| h.disk.has_text(&text, false)).count();
        let is_true = match level {
            Level::Journaled => host.disk.has_text(&text, true),
            Level::Synced => host.disk.has_text(&text, false),
            Level::Majority => synced > hosts.len() / 2,
            Level::All => synced == hosts.len(),
        };
        if !is_true {
            let text = String::from_utf8_lossy(&text);
            self.broken.push(format!("{} says OK to {text:?} before it is {}", host.name, level.word()));
        }
    }

    /// What was done against the contract between node and driver; it holds whatever the nodes are told.
    pub(crate) fn take_misuses(&mut self) -> Vec<String> {
        std::mem::take(&mut self.misuses)
    }

    /// Looks at all logs; returns all that is broken.
    pub(crate) fn take_broken(&mut self, hosts: &[Host]) -> Vec<String> {
        hosts.iter().for_each(|host| self.check_log(host));
        let mut broken = self.take_misuses();
        broken.append(&mut self.broken);
        broken
    }

    fn check_log(&mut self, host: &Host) {
        let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
        for line in host.log_lines() {
            let shown = String::from_utf8_lossy(line);
            if !seen.insert(line) {
                self.broken.push(format!("{} has logged {shown:?} twice", host.name));
            }
            if [&b"KEEPALIVE"[..], b"ACK"].contains(&line.get(17..).unwrap_or_default()) {
                self.broken.push(format!("{} has logged a keep-alive", host.name));
            }
            // A text repeated through another host stands in two streams; either may have brought it.
            let Some((stream, number)) =
                self.ids.get(line).filter(|ids| ids.len() == 1).and_then(|i| i.first())
            else {
                continue;
            };
            if last.insert(stream, number).is_some_and(|before| before >= number) {
                self.broken.push(format!("{} has logged {stream}.{number} {shown:?} too late", host.name));
            }
        }
    }
}
