//! The lines on the wires: read into parts, and written. `docs/PROTOCOL.md` has their grammar.

use crate::event::Span;
use crate::limits::{LINE_MAX, SESSION_NEXT_MAX};
use crate::report::Refusal;
use crate::ring::{HostIndex, Ring, is_name};
use crate::session::Token;
use crate::settings::Level;
use crate::time::{STAMP_LEN, Stamp};
use alloc::vec::Vec;
use core::fmt::Write as _;

/// Name and version of the protocol between peers, as a build of the newest revision says it in `HELLO`.
pub const PROTOCOL: &str = "org.xlattice.pzog/2.2";

const PROTOCOL_NAME: &[u8] = b"org.xlattice.pzog/";
const PROTOCOL_MAJOR: &[u8] = b"2.";
/// The oldest revision that the speaker knows, behind the other words of `HELLO`; 0 if it says nothing.
const MIN: &[u8] = b"min=";

/// Cuts the bytes of one connection into lines.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    /// In the middle of a line that was refused for its length.
    pub(crate) skipping: bool,
}

impl LineReader {
    /// The next line without its end, and why it is refused already; moves `at` behind it. `None` where the line
    /// is not finished. What it finds does not depend on how the bytes are split into turns.
    pub(crate) fn next(&mut self, bytes: &[u8], at: &mut usize) -> Option<(Span, Option<Refusal>)> {
        loop {
            let start = *at;
            let line_feed = memchr::memchr(b'\n', &bytes[start..]).map(|n| start + n);
            let end = line_feed.unwrap_or(bytes.len());
            let span = |end: usize| Span { start: start as u32, end: end as u32 };
            let too_long = end - start > LINE_MAX + 1;
            if self.skipping || too_long {
                *at = line_feed.map_or(end, |lf| lf + 1);
                let reported = core::mem::replace(&mut self.skipping, line_feed.is_none());
                match line_feed {
                    _ if !reported => return Some((span(start + LINE_MAX), Some(Refusal::LineTooLong))),
                    None => return None,
                    Some(_) => continue,
                }
            }
            *at = line_feed? + 1;
            return Some(match end.checked_sub(1).filter(|cr| *cr >= start && bytes[*cr] == b'\r') {
                Some(cr) => (span(cr), None),
                None => (span(end), Some(Refusal::BareLf)),
            });
        }
    }
}

/// A client's line (port 55552).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ClientLine<'a> {
    /// `MSG <text>`
    Msg(&'a [u8]),
    /// `AT <time> <text>`, not yet taken apart: in a session it takes a number even when it is wrong.
    At(&'a [u8]),
    /// `0<text>`, `1<text>`, `2<text>`
    Wrapped(u8, &'a [u8]),
    /// `HELLO <session> [next=<n>] [ack=<level>]`
    Hello(&'a [u8]),
    /// `AUTH <token>`, where the driver asks for none.
    Auth,
    /// `KEEPALIVE`
    KeepAlive,
    /// `STATUS`
    Status,
    /// `WHO <stream>.<seq>`
    Who(&'a [u8]),
    /// `FIND <text>`
    Find(&'a [u8]),
    /// `QUIT`
    Quit,
}

impl ClientLine<'_> {
    /// Tells the verb; `None` where there is none that clients may say.
    pub(crate) fn parse(line: &[u8]) -> Option<ClientLine<'_>> {
        if let Some(text) = after_verb(line, b"MSG ") {
            return Some(ClientLine::Msg(text));
        }
        if let Some(rest) = after_verb(line, b"AT ") {
            return Some(ClientLine::At(rest));
        }
        if let [wrapping @ b'0'..=b'2', text @ ..] = line {
            return Some(ClientLine::Wrapped(wrapping - b'0', text));
        }
        if let Some(rest) = after_verb(line, b"HELLO ") {
            return Some(ClientLine::Hello(rest));
        }
        if after_verb(line, b"AUTH ").is_some() {
            return Some(ClientLine::Auth);
        }
        if let Some(id) = after_verb(line, b"WHO ") {
            return Some(ClientLine::Who(id));
        }
        if let Some(text) = after_verb(line, b"FIND ") {
            return Some(ClientLine::Find(text));
        }
        match line {
            l if l.eq_ignore_ascii_case(b"KEEPALIVE") => Some(ClientLine::KeepAlive),
            l if l.eq_ignore_ascii_case(b"QUIT") => Some(ClientLine::Quit),
            l if l.eq_ignore_ascii_case(b"STATUS") => Some(ClientLine::Status),
            l if l.eq_ignore_ascii_case(b"MSG") => Some(ClientLine::Msg(b"")),
            l if l.eq_ignore_ascii_case(b"AT") => Some(ClientLine::At(b"")),
            l if l.eq_ignore_ascii_case(b"HELLO") => Some(ClientLine::Hello(b"")),
            _ => None,
        }
    }
}

/// What stands behind a verb, which is compared without regard to case.
fn after_verb<'a>(line: &'a [u8], verb: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(verb.len())?;
    head.eq_ignore_ascii_case(verb).then_some(rest)
}

/// Takes `<time> <text>` apart; `None` where there is no time.
pub(crate) fn split_stamp(rest: &[u8]) -> Option<(Stamp, &[u8])> {
    let (stamp, text) = rest.split_at_checked(STAMP_LEN)?;
    Some((Stamp::parse(stamp)?, text.strip_prefix(b" ")?))
}

/// What a client says about its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ClientHello {
    pub(crate) token: Token,
    pub(crate) next: Option<u64>,
    pub(crate) ack: Option<Level>,
}

impl ClientHello {
    pub(crate) fn parse(rest: &[u8]) -> Option<ClientHello> {
        let mut words = rest.split(|b| *b == b' ');
        let mut hello = ClientHello { token: Token::parse(words.next()?)?, next: None, ack: None };
        for word in words {
            if let (Some(n), None) = (after_verb(word, b"next="), hello.next) {
                hello.next = Some(number(n).filter(|n| (1..=SESSION_NEXT_MAX).contains(n))?);
            } else if let (Some(level), None) = (after_verb(word, b"ack="), hello.ack) {
                hello.ack = Some(Level::of_word(level)?);
            } else {
                return None;
            }
        }
        Some(hello)
    }
}

/// A stream: the messages of one incarnation of an origin, for all hosts or for one addressee.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct StreamName {
    pub(crate) origin: HostIndex,
    pub(crate) addressee: Option<HostIndex>,
    pub(crate) incarnation: u64,
}

/// Why a stream's name cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadStream {
    /// It does not have the form of one.
    Malformed,
    /// It names a host that is not in the ring.
    UnknownHost,
}

impl StreamName {
    /// Whether a host may have something of it.
    pub(crate) fn is_for(&self, host: HostIndex) -> bool {
        self.addressee.is_none_or(|to| to == host || self.origin == host)
    }

    /// Reads `<origin>/<incarnation>` or `<origin>><addressee>/<incarnation>`.
    pub(crate) fn parse(name: &[u8], ring: &Ring) -> Result<StreamName, BadStream> {
        let slash = memchr::memchr(b'/', name).ok_or(BadStream::Malformed)?;
        let (hosts, incarnation) = (&name[..slash], &name[slash + 1..]);
        let incarnation = hex16(incarnation).ok_or(BadStream::Malformed)?;
        let mut hosts = hosts.splitn(2, |b| *b == b'>');
        let mut host = || match hosts.next() {
            None => Ok(None),
            Some(name) if !is_name(name) => Err(BadStream::Malformed),
            Some(name) => ring.find(name).map(Some).ok_or(BadStream::UnknownHost),
        };
        let origin = host()?.ok_or(BadStream::Malformed)?;
        Ok(StreamName { origin, addressee: host()?, incarnation })
    }

    /// Writes it.
    pub(crate) fn put(&self, ring: &Ring, out: &mut Vec<u8>) {
        out.extend_from_slice(ring.name(self.origin).as_bytes());
        if let Some(addressee) = self.addressee {
            out.push(b'>');
            out.extend_from_slice(ring.name(addressee).as_bytes());
        }
        out.push(b'/');
        put_hex16(out, self.incarnation);
    }
}

/// The part of a data line behind `<wrapping><stream>.`:
/// `<seq>*("^"<incarnation>"."<last>)["!"]["~"<session>"."<number>] <time> <text>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Data<'a> {
    pub(crate) seq: u64,
    /// Former incarnations of the origin, each with a number that the receiver must have first; see [`named`].
    pub(crate) named: &'a [u8],
    /// The origin waits for this message to be on the receiver's disk.
    pub(crate) urgent: bool,
    pub(crate) numbered: Option<(&'a [u8], u64)>,
    /// `<time> <text>`: the line of access.log.
    pub(crate) logged: &'a [u8],
}

impl Data<'_> {
    pub(crate) fn parse(rest: &[u8]) -> Option<Data<'_>> {
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (seq, rest) = (number(&rest[..digits])?, &rest[digits..]);
        if let [b' ', logged @ ..] = rest {
            return Some(Data { seq, named: &[], urgent: false, numbered: None, logged });
        }
        let space = memchr::memchr(b' ', rest)?;
        let (mut head, logged) = (&rest[..space], &rest[space + 1..]);
        let mut named: &[u8] = &[];
        if head.first() == Some(&b'^') {
            let end = head.iter().position(|b| *b == b'!' || *b == b'~').unwrap_or(head.len());
            (named, head) = head.split_at(end);
        }
        let urgent = head.first() == Some(&b'!');
        head = &head[usize::from(urgent)..];
        let numbered = match head {
            [] => None,
            [b'~', session @ ..] => {
                let dot = memchr::memchr(b'.', session)?;
                Some((&session[..dot], number(&session[dot + 1..])?))
            }
            _ => return None,
        };
        Some(Data { seq, named, urgent, numbered, logged })
    }
}

/// The former incarnations that a first message names, with the last number of each; `None` where it is malformed.
pub(crate) fn named(named: &[u8]) -> impl Iterator<Item = Option<(u64, u64)>> {
    named.split(|b| *b == b'^').skip(1).map(|one| {
        let (incarnation, last) = one.split_at_checked(16)?;
        Some((hex16(incarnation)?, number(last.strip_prefix(b".")?)?))
    })
}

/// A peer's line other than data (port 55551).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PeerLine<'a> {
    /// `HELLO …`
    Hello(&'a [u8]),
    /// `OK …`: the answer to a `HELLO`, or a watermark.
    Ok(&'a [u8]),
    /// `ERR …`
    Err(&'a [u8]),
    /// `KEEPALIVE`
    KeepAlive,
    /// `ACK`
    Ack,
    /// `BYE <reason>`
    Bye(&'a [u8]),
    /// `WANT <stream> <from>`
    Want(&'a [u8]),
    /// `ENOUGH <stream>`
    Enough(&'a [u8]),
    /// `GONE <stream> <from> <to>`
    Gone(&'a [u8]),
    /// `PAST <stream> <from> <to>`
    Past(&'a [u8]),
    /// `SUM <stream> <from> <to> <key> <sum>`
    Sum(&'a [u8]),
}

impl PeerLine<'_> {
    pub(crate) fn parse(line: &[u8]) -> Option<PeerLine<'_>> {
        let (verb, rest) = match memchr::memchr(b' ', line) {
            Some(space) => (&line[..space], &line[space + 1..]),
            None => (line, &[][..]),
        };
        let is = |word: &[u8]| verb.eq_ignore_ascii_case(word);
        match () {
            () if is(b"OK") => Some(PeerLine::Ok(rest)),
            () if is(b"ACK") && rest.is_empty() => Some(PeerLine::Ack),
            () if is(b"KEEPALIVE") && rest.is_empty() => Some(PeerLine::KeepAlive),
            () if is(b"HELLO") => Some(PeerLine::Hello(rest)),
            () if is(b"ERR") => Some(PeerLine::Err(rest)),
            () if is(b"BYE") => Some(PeerLine::Bye(rest)),
            () if is(b"WANT") => Some(PeerLine::Want(rest)),
            () if is(b"ENOUGH") => Some(PeerLine::Enough(rest)),
            () if is(b"GONE") => Some(PeerLine::Gone(rest)),
            () if is(b"PAST") => Some(PeerLine::Past(rest)),
            () if is(b"SUM") => Some(PeerLine::Sum(rest)),
            () => None,
        }
    }
}

/// What opens a link, from both sides:
/// `org.xlattice.pzog/2.<revision> <name meant> <name that speaks> <incarnation> <process id> <ring digest>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hello<'a> {
    pub(crate) meant: &'a [u8],
    pub(crate) speaker: &'a [u8],
    pub(crate) incarnation: u64,
    pub(crate) process: u64,
    pub(crate) digest: u64,
    pub(crate) revisions: Revisions,
}

/// The revisions of the protocol that somebody speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Revisions {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Revisions {
    /// The one that both speak: the newest of those that both know.
    pub(crate) fn common(self, other: Revisions) -> Option<u64> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

/// What may stand behind `HELLO`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HelloForm<'a> {
    /// This version's.
    Current(Hello<'a>),
    /// Version 1: the name that speaks, alone.
    Version1(&'a [u8]),
    /// This protocol in another major version.
    OtherVersion,
    /// Nothing of these.
    Malformed,
}

impl<'a> HelloForm<'a> {
    pub(crate) fn parse(rest: &'a [u8]) -> HelloForm<'a> {
        let mut words = rest.split(|b| *b == b' ');
        let first = words.next().unwrap_or_default();
        let Some(version) = first.strip_prefix(PROTOCOL_NAME) else {
            let alone = words.next().is_none() && is_name(first);
            return if alone { HelloForm::Version1(first) } else { HelloForm::Malformed };
        };
        let Some(revision) = version.strip_prefix(PROTOCOL_MAJOR) else { return HelloForm::OtherVersion };
        let mut hello = || {
            let (meant, speaker) = (words.next()?, words.next()?);
            let (incarnation, process) = (hex16(words.next()?)?, number(words.next()?)?);
            let digest = hex16(words.next()?)?;
            let revisions = Revisions { min: words.find_map(min).unwrap_or(0), max: number(revision)? };
            Some(Hello { meant, speaker, incarnation, process, digest, revisions })
        };
        // What a later revision says behind these is ignored.
        hello().map_or(HelloForm::Malformed, HelloForm::Current)
    }
}

impl Hello<'_> {
    /// Writes the line with this verb (`HELLO` or `OK`) and its end.
    pub(crate) fn put(&self, verb: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(verb.as_bytes());
        for word in [b" ", PROTOCOL_NAME, PROTOCOL_MAJOR] {
            out.extend_from_slice(word);
        }
        put_number(out, self.revisions.max);
        for word in [b" ", self.meant, b" ", self.speaker, b" "] {
            out.extend_from_slice(word);
        }
        put_hex16(out, self.incarnation);
        let _ = write!(Text(out), " {} ", self.process);
        put_hex16(out, self.digest);
        if self.revisions.min > 0 {
            out.push(b' ');
            out.extend_from_slice(MIN);
            put_number(out, self.revisions.min);
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn min(word: &[u8]) -> Option<u64> {
    number(word.strip_prefix(MIN)?)
}

/// `<stream> <number> <number>`, as it stands behind `OK`, `GONE` and `PAST`.
pub(crate) fn parse_range(rest: &[u8]) -> Option<(&[u8], u64, u64)> {
    let mut words = rest.split(|b| *b == b' ');
    let range = (words.next()?, number(words.next()?)?, number(words.next()?)?);
    words.next().is_none().then_some(range)
}

/// A decimal number of 1 to 19 digits.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if !(1..=19).contains(&digits.len()) {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
}

/// Writes a number in decimal.
pub(crate) fn put_number(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

pub(crate) fn hex16(digits: &[u8]) -> Option<u64> {
    if digits.len() != 16 {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'9' => Some(n << 4 | u64::from(b - b'0')),
        b'a'..=b'f' => Some(n << 4 | u64::from(b - b'a' + 10)),
        _ => None,
    })
}

pub(crate) fn put_hex16(out: &mut Vec<u8>, n: u64) {
    let _ = write!(Text(out), "{n:016x}");
}

/// Formats into bytes; it cannot fail.
pub(crate) struct Text<'a>(pub(crate) &'a mut Vec<u8>);

impl core::fmt::Write for Text<'_> {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        self.0.extend_from_slice(s.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;
    use proptest::prelude::*;

    fn ring() -> Ring {
        Ring::new(vec![String::from("MV"), String::from("PA")], crate::ring::Scheme::Receiver).unwrap()
    }

    fn lines(turns: &[&[u8]]) -> Vec<(Vec<u8>, Option<Refusal>)> {
        let (mut reader, mut kept, mut lines) = (LineReader::default(), Vec::new(), Vec::new());
        for turn in turns {
            kept.extend_from_slice(turn);
            let mut at = 0;
            while let Some((line, refusal)) = reader.next(&kept, &mut at) {
                lines.push((kept[line.range()].to_vec(), refusal));
            }
            kept.drain(..at);
            assert!(kept.len() <= LINE_MAX + 1, "an unfinished line is bounded");
        }
        lines
    }

    #[test]
    fn lines_end_in_crlf() {
        let found = lines(&[b"ab\r\n\r\n\na\rb\nc\r\nunfinished\r"]);
        let expected: &[(&[u8], Option<Refusal>)] = &[
            (b"ab", None),
            (b"", None),
            (b"", Some(Refusal::BareLf)),
            (b"a\rb", Some(Refusal::BareLf)),
            (b"c", None),
        ];
        let found: Vec<_> = found.iter().map(|(l, r)| (&l[..], *r)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_once_and_the_next_is_intact() {
        let longest = vec![b'x'; LINE_MAX];
        let mut bytes = longest.clone();
        bytes.extend_from_slice(b"\r\n");
        assert_eq!(lines(&[&bytes]), [(longest.clone(), None)]);
        let huge = vec![b'x'; 10 * LINE_MAX];
        let found = lines(&[&huge, &huge, b"x", b"\r\nnext\r\n"]);
        assert_eq!(found, [(longest, Some(Refusal::LineTooLong)), (b"next".to_vec(), None)]);
    }

    #[test]
    fn verbs_are_matched_without_regard_to_case() {
        assert_eq!(ClientLine::parse(b"mSg a b"), Some(ClientLine::Msg(b"a b")));
        assert_eq!(ClientLine::parse(b"at x"), Some(ClientLine::At(b"x")));
        assert_eq!(ClientLine::parse(b"keepAlive"), Some(ClientLine::KeepAlive));
        assert_eq!(ClientLine::parse(b"Quit"), Some(ClientLine::Quit));
        assert_eq!(ClientLine::parse(b"2x"), Some(ClientLine::Wrapped(2, b"x")));
        for bad in ["", "3text", "MSGx", "QUIT now", "HELLOx", " MSG a"] {
            assert_eq!(ClientLine::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_client_s_hello_is_a_token_and_two_options() {
        let parse = |text: &str| ClientHello::parse(text.as_bytes());
        let token = Token::parse(b"t").unwrap();
        assert_eq!(parse("t"), Some(ClientHello { token, next: None, ack: None }));
        let full = Some(ClientHello { token, next: Some(7), ack: Some(Level::All) });
        assert_eq!(parse("t next=7 ack=all"), full);
        assert_eq!(parse("t ACK=ALL NEXT=7"), full);
        for bad in [
            "",
            "t next=",
            "t next=x",
            "t next=0",
            "t next=9999999999999999999",
            "t ack=some",
            "t next=1 next=2",
            "t what=1",
            "t  next=1",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn stream_names() {
        let ring = ring();
        for (text, origin, addressee) in
            [("MV/00000000000000ff", 0, None), ("PA>MV/00000000000000ff", 1, Some(HostIndex(0)))]
        {
            let name = StreamName { origin: HostIndex(origin), addressee, incarnation: 255 };
            assert_eq!(StreamName::parse(text.as_bytes(), &ring), Ok(name));
            let mut out = Vec::new();
            name.put(&ring, &mut out);
            assert_eq!(out, text.as_bytes());
        }
        for bad in ["MV", "MV/ff", "MV/00000000000000FF", ">MV/00000000000000ff", "M V/00000000000000ff"] {
            assert_eq!(StreamName::parse(bad.as_bytes(), &ring), Err(BadStream::Malformed), "{bad}");
        }
        assert_eq!(StreamName::parse(b"X/00000000000000ff", &ring), Err(BadStream::UnknownHost));
        assert_eq!(StreamName::parse(b"MV>X/00000000000000ff", &ring), Err(BadStream::UnknownHost));
    }

    #[test]
    fn data_behind_the_stream_s_name() {
        let data =
            Data { seq: 17, named: b"", urgent: false, numbered: None, logged: b"20261121T025142Z a b" };
        assert_eq!(Data::parse(b"17 20261121T025142Z a b"), Some(data));
        let full = Data { urgent: true, numbered: Some((b"tok", 3)), ..data };
        assert_eq!(Data::parse(b"17!~tok.3 20261121T025142Z a b"), Some(full));
        for bad in ["", "17", "x 2", " 2", "17~tok 2", "17~tok.x 2", "17? 2", "12345678901234567890 2"] {
            assert_eq!(Data::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn hello_comes_back_as_it_was_written() {
        let revisions = Revisions { min: 1, max: 4 };
        let hello = Hello {
            meant: b"PA",
            speaker: b"MV",
            incarnation: 0xab,
            process: 7,
            digest: u64::MAX,
            revisions,
        };
        let mut out = Vec::new();
        hello.put("HELLO", &mut out);
        let text = "HELLO org.xlattice.pzog/2.4 PA MV 00000000000000ab 7 ffffffffffffffff min=1\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), text);
        let rest = &text.as_bytes()[6..text.len() - 2];
        assert_eq!(HelloForm::parse(rest), HelloForm::Current(hello));
        assert_eq!(HelloForm::parse(b"MV"), HelloForm::Version1(b"MV"));
        assert_eq!(HelloForm::parse(b"org.xlattice.pzog/3.0 PA MV"), HelloForm::OtherVersion);
        for bad in ["", "MV PA", "org.xlattice.pzog/2.0", "org.xlattice.pzog/2.0 PA MV ab 7 ff", "M:V"] {
            assert_eq!(HelloForm::parse(bad.as_bytes()), HelloForm::Malformed, "{bad:?}");
        }
    }

    #[test]
    fn the_newest_revision_that_both_know_is_spoken() {
        let common = |[a, b]: [u64; 2], [c, d]: [u64; 2]| {
            let (one, other) = (Revisions { min: a, max: b }, Revisions { min: c, max: d });
            assert_eq!(one.common(other), other.common(one));
            one.common(other)
        };
        assert_eq!(common([0, 1], [0, 0]), Some(0));
        assert_eq!(common([0, 1], [1, 7]), Some(1));
        assert_eq!(common([2, 4], [3, 3]), Some(3));
        assert_eq!(common([0, 1], [2, 3]), None);
    }

    #[test]
    fn a_stream_and_two_numbers() {
        assert_eq!(parse_range(b"MV/x 9 4"), Some((&b"MV/x"[..], 9, 4)));
        for bad in ["MV/x 9", "MV/x 9 4 1", "MV/x a 4", ""] {
            assert_eq!(parse_range(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_lines(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just(b"\r\n".to_vec()),
                    Just(b"\n".to_vec()),
                    Just(b"\r".to_vec()),
                    proptest::collection::vec(any::<u8>(), 0..40),
                    (LINE_MAX - 3..LINE_MAX + 4).prop_map(|n| vec![b'x'; n]),
                ],
                0..20,
            ),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
        ) {
            let bytes = parts.concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let turns: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(lines(&turns), lines(&[&bytes]));
            let one_by_one: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(lines(&one_by_one), lines(&[&bytes]));
        }

        #[test]
        fn no_line_makes_the_parsers_panic(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = ClientLine::parse(&line);
            let _ = ClientHello::parse(&line);
            let _ = PeerLine::parse(&line);
            let _ = HelloForm::parse(&line);
            let _ = Data::parse(&line);
            let _ = StreamName::parse(&line, &ring());
            let _ = parse_range(&line);
            let _ = split_stamp(&line);
        }
    }
}
