//! The lines in the records of the journal.
//!
//! Messages stand as on the wire, with whatever wrapping they came or went with; `R` instead of the wrapping says
//! that the message is a repeat within its session and is not in access.log. The other lines are:
//!
//! ```text
//! H 1 <host> <ring digest> <incarnation> <running seconds>      the head of a segment begins
//! E <segment> <offset>                                          the segment before ended there
//! F                                                             this journal is so young that what its host never
//!                                                               had of others is before its time
//! S <stream> <journaled> <logged> <repeats> <given up> <0|1: named> [<from>-<to> …: holes]
//! T <session> <seconds unused> <from>-<to> …                    numbers that are journaled
//! M <segment> <offset> <device> <inode> <bytes>                 what is before that place is in that file,
//!                                                               synced, within so many bytes
//! C <stream> <journaled> [<from>-<to> …: holes]                 what of it was journaled at the place of the last M
//! G <stream> <upto>                                             passed over: what was missing up to there
//! P <stream> <from> <to>                                        behind S and G: all that was ever passed over of it is among
//!                                                               these
//! ```

use crate::event::{LogFile, Place};
use crate::ring::Ring;
use crate::session::Token;
use crate::stream::{Numbers, Stream};
use crate::wire::{Text, hex16, number};
use alloc::vec::Vec;
use core::fmt::Write as _;

/// The version of all this.
const VERSION: u64 = 1;

/// Stands in front of a message that is not in access.log.
pub(crate) const REPEAT: u8 = b'R';

/// How far access.log is certain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    /// The messages of all records before this place …
    pub(crate) place: Place,
    /// … are in this file, within its length, or in an older one.
    pub(crate) log: LogFile,
}

/// One line of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Line<'a> {
    /// A message: the line without its wrapping, and whether it is in access.log.
    Data(&'a [u8], bool),
    /// The head of a segment begins.
    Head { host: &'a [u8], incarnation: u64, running_seconds: u64 },
    /// Where the segment before ended.
    End(Place),
    /// The journal's host has not yet heard all others since it began.
    Fresh,
    /// What is known of a stream.
    Stream(StreamLine<'a>),
    /// The numbers of a session.
    Session { token: Token, idle_seconds: u64, known: Vec<Numbers> },
    /// How far access.log is certain.
    Mark(Mark),
    /// What access.log has for certain of a stream: all up to there but the holes.
    Certain { stream: &'a [u8], journaled: u64, holes: Vec<Numbers> },
    /// What was missing of a stream up to here was passed over.
    GivenUp { stream: &'a [u8], upto: u64 },
    /// What was passed over of a stream is among these.
    Passed { stream: &'a [u8], numbers: Numbers },
}

/// What the head of a segment says of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StreamLine<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) journaled: u64,
    pub(crate) logged: u64,
    pub(crate) repeats: u64,
    pub(crate) given_up: u64,
    pub(crate) named: bool,
    pub(crate) holes: Vec<Numbers>,
}

impl Line<'_> {
    /// Reads a line without its end; `None` where it is none of ours.
    pub(crate) fn parse(line: &[u8]) -> Option<Line<'_>> {
        match line {
            [b'0'..=b'2', rest @ ..] => return Some(Line::Data(rest, true)),
            [REPEAT, rest @ ..] => return Some(Line::Data(rest, false)),
            _ => {}
        }
        let mut words = line.split(|b| *b == b' ');
        let kind = words.next()?;
        let mut word = || words.next();
        match kind {
            b"H" => {
                let version = number(word()?)?;
                let (host, _digest, incarnation) = (word()?, hex16(word()?)?, hex16(word()?)?);
                let running_seconds = number(word()?)?;
                (version == VERSION).then_some(Line::Head { host, incarnation, running_seconds })
            }
            b"F" => Some(Line::Fresh),
            b"E" => Some(Line::End(place(word()?, word()?)?)),
            b"S" => {
                let name = word()?;
                let mut n = || number(word()?);
                let (journaled, logged, repeats, given_up) = (n()?, n()?, n()?, n()?);
                let named = n()? == 1;
                let holes = ranges(words)?;
                let lacking: u64 = holes.iter().map(|hole| hole.count()).sum();
                let all = logged.checked_add(repeats)?.checked_add(given_up)?.checked_add(lacking)?;
                if all != journaled || holes.last().is_some_and(|hole| hole.to > journaled) {
                    return None;
                }
                Some(Line::Stream(StreamLine { name, journaled, logged, repeats, given_up, named, holes }))
            }
            b"T" => {
                let (token, idle_seconds) = (Token::parse(word()?)?, number(word()?)?);
                Some(Line::Session { token, idle_seconds, known: ranges(words)? })
            }
            b"M" => {
                let place = place(word()?, word()?)?;
                let mut n = || number20(word()?);
                let log = LogFile { device: n()?, inode: n()?, bytes: n()? };
                Some(Line::Mark(Mark { place, log }))
            }
            b"C" => {
                let (stream, journaled) = (word()?, number(word()?)?);
                Some(Line::Certain { stream, journaled, holes: ranges(words)? })
            }
            b"G" => Some(Line::GivenUp { stream: word()?, upto: number(word()?)? }),
            b"P" => {
                let (stream, from, to) = (word()?, number(word()?)?, number(word()?)?);
                Some(Line::Passed { stream, numbers: Numbers { from, to } })
            }
            _ => None,
        }
    }
}

fn place(segment: &[u8], offset: &[u8]) -> Option<Place> {
    Some(Place { segment: number20(segment)?, offset: u32::try_from(number(offset)?).ok()? })
}

/// A decimal number that may use all 64 bits, as devices and inodes do.
fn number20(digits: &[u8]) -> Option<u64> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

fn ranges<'a>(words: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Numbers>> {
    let mut last = 0;
    words
        .map(|word| {
            let dash = memchr::memchr(b'-', word)?;
            let (from, to) = (number(&word[..dash])?, number(&word[dash + 1..])?);
            let is_next = last < from && from <= to;
            last = to;
            is_next.then_some(Numbers { from, to })
        })
        .collect()
}

pub(crate) fn put_head(
    host: &str,
    ring: &Ring,
    incarnation: u64,
    running_seconds: u64,
    before: Option<Place>,
    out: &mut Vec<u8>,
) {
    let digest = ring.digest();
    put(out, format_args!("H {VERSION} {host} {digest:016x} {incarnation:016x} {running_seconds}"));
    if let Some(Place { segment, offset }) = before {
        put(out, format_args!("E {segment} {offset}"));
    }
}

pub(crate) fn put_fresh(out: &mut Vec<u8>) {
    put(out, format_args!("F"));
}

pub(crate) fn put_stream(stream: &Stream, out: &mut Vec<u8>) {
    let Stream { journaled, logged, repeats, given_up, .. } = stream;
    out.extend_from_slice(b"S ");
    out.extend_from_slice(&stream.head[..stream.head.len() - 1]);
    let named = u8::from(stream.named);
    let _ = write!(Text(out), " {journaled} {logged} {repeats} {given_up} {named}");
    put_ranges(&stream.holes, out);
}

pub(crate) fn put_session(
    token: &Token,
    idle_seconds: u64,
    known: impl IntoIterator<Item = Numbers>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"T ");
    out.extend_from_slice(token.as_bytes());
    let _ = write!(Text(out), " {idle_seconds}");
    put_ranges(known.into_iter().collect::<Vec<_>>().as_slice(), out);
}

pub(crate) fn put_mark(mark: &Mark, out: &mut Vec<u8>) {
    let Mark { place, log: LogFile { device, inode, bytes } } = mark;
    put(out, format_args!("M {} {} {device} {inode} {bytes}", place.segment, place.offset));
}

pub(crate) fn put_certain(stream: &Stream, journaled: u64, holes: &[Numbers], out: &mut Vec<u8>) {
    out.extend_from_slice(b"C ");
    out.extend_from_slice(&stream.head[..stream.head.len() - 1]);
    let _ = write!(Text(out), " {journaled}");
    put_ranges(holes, out);
}

pub(crate) fn put_given_up(stream: &Stream, upto: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"G ");
    out.extend_from_slice(&stream.head[..stream.head.len() - 1]);
    put(out, format_args!(" {upto}"));
}

/// What was passed over of a stream, if anything was.
pub(crate) fn put_passed(stream: &Stream, out: &mut Vec<u8>) {
    let Some(Numbers { from, to }) = stream.passed else { return };
    out.extend_from_slice(b"P ");
    out.extend_from_slice(&stream.head[..stream.head.len() - 1]);
    put(out, format_args!(" {from} {to}"));
}

fn put_ranges(ranges: &[Numbers], out: &mut Vec<u8>) {
    for Numbers { from, to } in ranges {
        let _ = write!(Text(out), " {from}-{to}");
    }
    out.extend_from_slice(b"\r\n");
}

fn put(out: &mut Vec<u8>, args: core::fmt::Arguments<'_>) {
    let _ = Text(out).write_fmt(args);
    out.extend_from_slice(b"\r\n");
}

/// The lines of a record, without their ends.
pub(crate) fn lines(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = payload;
    let next = move || {
        let end = memchr::memchr(b'\n', rest)?;
        let line = &rest[..end];
        rest = &rest[end + 1..];
        Some(line)
    };
    core::iter::from_fn(next).filter_map(|line| line.strip_suffix(b"\r"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{HostIndex, Scheme};
    use crate::wire::StreamName;
    use alloc::string::String;
    use alloc::vec;

    #[test]
    fn what_is_written_is_read_again() {
        let ring = Ring::new(vec![String::from("MV"), String::from("PA")], Scheme::Receiver).unwrap();
        let name = StreamName { origin: HostIndex(0), addressee: Some(HostIndex(1)), incarnation: 7 };
        let mut stream = Stream::new(name, &ring);
        (stream.journaled, stream.logged, stream.repeats, stream.given_up) = (20, 9, 4, 3);
        stream.named = true;
        stream.holes = vec![Numbers { from: 3, to: 3 }, Numbers { from: 7, to: 9 }];
        stream.passed = Some(Numbers { from: 2, to: 8 });
        let place = Place { segment: u64::MAX, offset: 4096 };
        let mark = Mark { place, log: LogFile { device: u64::MAX, inode: 12, bytes: 0 } };
        let token = Token::parse(b"t-1").unwrap();
        let mut out = Vec::new();
        put_head("MV", &ring, 1, 60, Some(place), &mut out);
        put_stream(&stream, &mut out);
        put_session(&token, 5, [Numbers { from: 1, to: 2 }], &mut out);
        put_mark(&mark, &mut out);
        put_certain(&stream, 9, &stream.holes, &mut out);
        put_given_up(&stream, 8, &mut out);
        put_passed(&stream, &mut out);
        let read: Vec<Line<'_>> = lines(&out).map(|line| Line::parse(line).unwrap()).collect();
        let known = vec![Numbers { from: 1, to: 2 }];
        let expected = vec![
            Line::Head { host: b"MV", incarnation: 1, running_seconds: 60 },
            Line::End(place),
            Line::Stream(StreamLine {
                name: b"MV>PA/0000000000000007",
                journaled: 20,
                logged: 9,
                repeats: 4,
                given_up: 3,
                named: true,
                holes: stream.holes.clone(),
            }),
            Line::Session { token, idle_seconds: 5, known },
            Line::Mark(mark),
            Line::Certain { stream: b"MV>PA/0000000000000007", journaled: 9, holes: stream.holes.clone() },
            Line::GivenUp { stream: b"MV>PA/0000000000000007", upto: 8 },
            Line::Passed { stream: b"MV>PA/0000000000000007", numbers: Numbers { from: 2, to: 8 } },
        ];
        assert_eq!(read, expected);
    }
}
