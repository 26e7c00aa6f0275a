//! Hosts that lie: now and then one of them alters a message of another origin that it passes on, or says one that its
//! origin never said to a host whose relay it is not. What stands in its own journal is right.

use crate::event::Side;
use crate::network::Port;
use crate::world::World;
use pzog::time::STAMP_LEN;

/// What a host is about to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lie {
    /// The next message of another origin that it passes on gets another text.
    Alter,
    /// Whoever gets the next message of its own, and is not whom it relays to, gets one of another origin with it: the
    /// one behind that which it passed on last.
    Foist,
}

/// The first message in what is sent.
struct First<'a> {
    line: &'a [u8],
    /// Where its text begins, in all bytes.
    text: usize,
}

impl World {
    /// A host will lie as soon as it can.
    pub(crate) fn begin_lie(&mut self, place: u8) -> bool {
        let lie = self.dice.faults.one_of(&[Lie::Alter, Lie::Foist]);
        self.with_mood(place, |mood| mood.lie = lie)
    }

    /// What a host sends in place of what its core wants to be sent, if it lies now.
    pub(crate) fn lie(&mut self, place: u8, side: Side, bytes: &[u8]) -> Option<Vec<u8>> {
        let connection = &self.connections[side.connection as usize];
        if self.scenario.faults.alter.is_none() || connection.port != Port::Ring {
            return None;
        }
        let to = connection.hosts[usize::from(1 - side.side)];
        if bytes.split(|b| *b == b'\n').any(|line| line.starts_with(b"WANT ")) {
            self.checks.asks(place, to);
        }
        let relays_to = (place + 2) % self.scenario.hosts;
        let host = &mut self.hosts[usize::from(place)];
        let First { line, text } = first_message(bytes)?;
        if origin_of(line) == host.name.as_bytes() {
            host.mood.lie.take_if(|lie| *lie == Lie::Foist && to != relays_to)?;
            let foisted = foisted(place, host.relayed.as_ref()?)?;
            return Some([bytes, &foisted].concat());
        }
        host.relayed = Some(line.to_vec());
        host.mood.lie.take_if(|lie| *lie == Lie::Alter)?;
        let mut altered = bytes.to_vec();
        altered[text] = b'w';
        Some(altered)
    }
}

/// The first message to all that stands in some lines.
fn first_message(bytes: &[u8]) -> Option<First<'_>> {
    let mut at = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let head = memchr::memchr(b' ', line).unwrap_or(0);
        if matches!(line[0], b'0'..=b'2') && !line[..head].contains(&b'>') {
            return Some(First { line: &line[1..], text: at + head + STAMP_LEN + 2 });
        }
        at += line.len();
    }
    None
}

fn origin_of(line: &[u8]) -> &[u8] {
    line.split(|b| *b == b'/').next().unwrap_or_default()
}

/// The message behind one that was passed on, as this host invents it: `f<host>` and the rest of what the other one says.
fn foisted(place: u8, line: &[u8]) -> Option<Vec<u8>> {
    let line = std::str::from_utf8(line).ok()?;
    let (stream, rest) = line.split_once('.')?;
    let number: u64 = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let (_, rest) = rest.split_once(' ')?;
    let (time, text) = rest.split_once(' ')?;
    Some(format!("0{stream}.{} {time} f{place}{}", number + 1, text.get(2..)?).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_foisted_is_the_next_message_with_another_text() {
        let sent = b"OK H1/00 3 3\r\n2H1/01.9!~a.5 20261121T025142Z m17 x\r\n";
        let first = first_message(sent).unwrap();
        assert_eq!((origin_of(first.line), &sent[first.text..]), (&b"H1"[..], &b"m17 x\r\n"[..]));
        let line = String::from_utf8(foisted(3, first.line).unwrap()).unwrap();
        assert_eq!(line, "0H1/01.10 20261121T025142Z f37 x\r\n");
    }
}
