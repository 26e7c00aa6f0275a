//! What is kept of a line while logs are compared: fingerprints, and where it stands.

use pzog::time::{STAMP_LEN, Stamp};
use std::hash::{BuildHasher as _, RandomState};

/// A line of a log, or a message that was sent, in the form in which records are sorted: the same text
/// together, in it the same time, in it by source and position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// Fingerprint of the text.
    pub(super) text: u128,
    /// The time, seconds since 1970.
    pub(super) time: u64,
    pub(super) source: Source,
    /// Lines before it in its log, less than 2^48.
    pub(super) position: u64,
    /// For what was sent: the [stream](super::sent::Stream) it belongs to.
    pub(super) stream: u32,
}

/// Where a record comes from; hosts sort before what was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// The log of this host.
    Host(u16),
    /// sprog's log: what became of the message, and whether its place in the order of its stream is certain.
    Sent(Outcome, bool),
}

/// What became of a message, as far as the client knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// `OK` or `PENDING`: it is on every host.
    Taken,
    /// No answer: it is on every host or on none.
    Open,
    /// `ERR`: it is on no host.
    Refused,
}

pub(super) const RECORD_BYTES: usize = 36;
const SENT: u16 = 0x8000;

impl Record {
    pub(super) fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut out = [0; RECORD_BYTES];
        out[..16].copy_from_slice(&self.text.to_be_bytes());
        out[16..24].copy_from_slice(&self.time.to_be_bytes());
        // The position leaves the two bytes above it to the source.
        let place = u64::from(self.source.code()) << 48 | self.position;
        out[24..32].copy_from_slice(&place.to_be_bytes());
        out[32..].copy_from_slice(&self.stream.to_be_bytes());
        out
    }

    pub(super) fn from_bytes(bytes: &[u8; RECORD_BYTES]) -> Record {
        let place = uint(&bytes[24..32]) as u64;
        Record {
            text: uint(&bytes[..16]),
            time: uint(&bytes[16..24]) as u64,
            source: Source::of_code((place >> 48) as u16),
            position: place & ((1 << 48) - 1),
            stream: uint(&bytes[32..]) as u32,
        }
    }
}

/// An unsigned number, highest byte first.
pub(super) fn uint(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |n, b| n << 8 | u128::from(*b))
}

impl Source {
    fn code(self) -> u16 {
        match self {
            Source::Host(host) => host,
            Source::Sent(outcome, ordered) => SENT | (outcome as u16) << 1 | u16::from(ordered),
        }
    }

    fn of_code(code: u16) -> Source {
        let outcome = match code >> 1 & 3 {
            0 => Outcome::Taken,
            1 => Outcome::Open,
            _ => Outcome::Refused,
        };
        if code & SENT == 0 { Source::Host(code) } else { Source::Sent(outcome, code & 1 == 1) }
    }
}

/// Makes fingerprints: 128 bits of SipHash with keys drawn at random for each run. That two different texts
/// among *n* have the same one has a chance below *n*² / 2^129: 10^-18 for 2 · 10^10 lines.
pub(super) struct Fingerprints {
    high: RandomState,
    low: RandomState,
}

impl Fingerprints {
    pub(super) fn new() -> Fingerprints {
        Fingerprints { high: RandomState::new(), low: RandomState::new() }
    }

    pub(super) fn of(&self, bytes: &[u8]) -> u128 {
        u128::from(self.high.hash_one(bytes)) << 64 | u128::from(self.low.hash_one(bytes))
    }
}

/// A line of access.log, or why it is none.
pub(super) enum Form<'a> {
    /// Time and text, as they should be.
    Message(u64, &'a [u8]),
    /// A time, but behind it no text that a message may have.
    Altered,
    /// No time at all.
    Torn,
}

/// Reads `YYYYMMDDTHHMMSSZ text`.
pub(super) fn form(line: &[u8]) -> Form<'_> {
    let Some((stamp, rest)) = line.split_at_checked(STAMP_LEN) else { return Form::Torn };
    let Some(time) = Stamp::parse(stamp).and_then(|stamp| stamp.utc_seconds()) else { return Form::Torn };
    match rest.strip_prefix(b" ") {
        Some(text) if pzog::text::check(text).is_ok() => Form::Message(time, text),
        _ => Form::Altered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_sort_by_text_time_source_position() {
        let mut before = None;
        for text in [0, 7 << 80] {
            for time in [0, 1 << 40] {
                let sources = [
                    Source::Host(0),
                    Source::Host(300),
                    Source::Sent(Outcome::Taken, true),
                    Source::Sent(Outcome::Open, false),
                    Source::Sent(Outcome::Refused, true),
                ];
                for source in sources {
                    for position in [0, (1 << 48) - 1] {
                        let record = Record { text, time, source, position, stream: 9 };
                        let bytes = record.to_bytes();
                        assert_eq!(Record::from_bytes(&bytes), record);
                        assert!(before < Some(bytes));
                        before = Some(bytes);
                    }
                }
            }
        }
    }

    #[test]
    fn forms() {
        let form_of = |line: &str| match form(line.as_bytes()) {
            Form::Message(..) => "message",
            Form::Altered => "altered",
            Form::Torn => "torn",
        };
        assert_eq!(form_of("20261121T025142Z hello"), "message");
        assert_eq!(form_of("20261121T025142Z \u{1b}[2J"), "altered");
        assert_eq!(form_of("20261121T025142Z "), "altered");
        assert_eq!(form_of("20261121T025142Zhello"), "altered");
        assert_eq!(form_of("20261121T0251"), "torn");
        assert_eq!(form_of("0261121T025142Z hello there"), "torn");
        assert_eq!(form_of(""), "torn");
    }
}
