//! What error.log is told, and what a refused line is answered.

use crate::event::{Outputs, Report, Severity, Slice, Source, Span};
use crate::limits::{CLIENT_SKEW_SECONDS, EXCERPT_MAX, LINE_MAX};
use crate::text::BadText;
use crate::wire::Text;
use core::fmt::{self, Write as _};

/// Why a line is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It ends in LF alone.
    BareLf,
    /// It is longer than any line may be.
    LineTooLong,
    /// The connection ended in the middle of it.
    Unterminated,
    /// It does not begin with a verb or wrapping that may be said here.
    UnknownVerb,
    /// A `HELLO` that does not have the form of one.
    BadHello,
    /// A line that does not have the form its verb or wrapping asks for.
    Malformed,
    /// `AT` without a time, or with one that is no real moment.
    BadTime,
    /// A time too far off this host's clock.
    TimeOff,
    /// The text.
    Text(BadText),
    /// A number that came before with another time or text.
    Conflict,
    /// A session that is known here, without `next`.
    SessionKnown,
    /// Too many sessions, or too many holes in one.
    SessionsFull,
    /// The ring has had too many incarnations for another stream.
    StreamsFull,
    /// The disk has no room for the journal.
    JournalFull,
    /// access.log cannot be written.
    LogHeld,
    /// Others look for texts just now.
    TooManySearches,
    /// Too many lines of this client wait for their answers.
    TooManyUnanswered,
    /// Too many clients.
    ClientsFull,
    /// The daemon is about to end.
    Stopping,
    /// The client sent no whole line for too long.
    Idle,
    /// The client has sent nothing at all since it came.
    Silent,
    /// Another connection has taken over the session.
    Replaced,
    /// A message of a host that is not in the ring.
    UnknownOrigin,
    /// A message in a stream that is for another host.
    NotForUs,
    /// A message of another host than the one that sends it, which is not its relay and was not asked for it.
    NotAsked,
    /// No message here has that name.
    UnknownMessage,
}

impl Refusal {
    /// The number in the answer: 300 may pass if tried again later, the others will not.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Refusal::SessionsFull | Refusal::ClientsFull | Refusal::Stopping | Refusal::JournalFull => 300,
            Refusal::LogHeld | Refusal::TooManySearches | Refusal::StreamsFull => 300,
            Refusal::Idle | Refusal::Silent | Refusal::Replaced | Refusal::TooManyUnanswered => 300,
            Refusal::BareLf | Refusal::Unterminated | Refusal::UnknownVerb | Refusal::BadHello => 400,
            Refusal::Malformed | Refusal::BadTime | Refusal::UnknownOrigin | Refusal::NotForUs => 400,
            Refusal::NotAsked => 403,
            Refusal::UnknownMessage => 404,
            Refusal::Conflict | Refusal::SessionKnown => 409,
            Refusal::TimeOff => 410,
            Refusal::LineTooLong | Refusal::Text(BadText::TooLong { .. }) => 413,
            Refusal::Text(_) => 422,
        }
    }
}

impl Refusal {
    /// Its name among the counters.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::BareLf => "bare_lf",
            Refusal::LineTooLong => "line_too_long",
            Refusal::Unterminated => "unterminated",
            Refusal::UnknownVerb => "unknown_verb",
            Refusal::BadHello => "bad_hello",
            Refusal::Malformed => "malformed",
            Refusal::BadTime => "bad_time",
            Refusal::TimeOff => "time_off",
            Refusal::Text(BadText::Empty) => "text_empty",
            Refusal::Text(BadText::TooLong { .. }) => "text_too_long",
            Refusal::Text(BadText::NotUtf8 { .. }) => "text_not_utf8",
            Refusal::Text(BadText::Control { .. }) => "text_control",
            Refusal::Text(BadText::Invisible { .. }) => "text_invisible",
            Refusal::Conflict => "conflict",
            Refusal::SessionKnown => "session_known",
            Refusal::SessionsFull => "sessions_full",
            Refusal::JournalFull => "journal_full",
            Refusal::LogHeld => "access_log_halted",
            Refusal::TooManySearches => "searches",
            Refusal::StreamsFull => "streams_full",
            Refusal::NotAsked => "not_asked",
            Refusal::TooManyUnanswered => "unanswered",
            Refusal::ClientsFull => "clients_full",
            Refusal::Stopping => "stopping",
            Refusal::Idle => "idle",
            Refusal::Silent => "silent",
            Refusal::Replaced => "replaced",
            Refusal::UnknownOrigin => "unknown_origin",
            Refusal::NotForUs => "not_for_us",
            Refusal::UnknownMessage => "unknown_message",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::BareLf => f.write_str("line ends in LF alone, not in CRLF"),
            Refusal::LineTooLong => write!(f, "line longer than {LINE_MAX} bytes"),
            Refusal::Unterminated => f.write_str("connection ended before the line did"),
            Refusal::UnknownVerb => f.write_str("unknown verb"),
            Refusal::BadHello => f.write_str("HELLO wants: <session> [next=<number>] [ack=<level>]"),
            Refusal::Malformed => f.write_str("malformed line"),
            Refusal::BadTime => f.write_str("AT wants: YYYYMMDDTHHMMSSZ <text>"),
            Refusal::TimeOff => {
                write!(f, "time is more than {} h off this host's clock", CLIENT_SKEW_SECONDS / 3600)
            }
            Refusal::Text(bad) => bad.fmt(f),
            Refusal::Conflict => f.write_str("this number came before with another time or text"),
            Refusal::SessionKnown => f.write_str("this session is known here: say next=<number>"),
            Refusal::SessionsFull => f.write_str("too many sessions, or too many holes in this one"),
            Refusal::StreamsFull => {
                f.write_str("too many streams: hosts were started too often for this journal")
            }
            Refusal::TooManyUnanswered => f.write_str("too many lines wait for their answers"),
            Refusal::ClientsFull => f.write_str("too many clients"),
            Refusal::Stopping => f.write_str("stopping"),
            Refusal::Idle => f.write_str("no line for too long"),
            Refusal::Silent => f.write_str("nothing said for too long"),
            Refusal::Replaced => f.write_str("a newer connection uses this session"),
            Refusal::UnknownOrigin => f.write_str("message of a host that is not in this ring"),
            Refusal::NotAsked => {
                f.write_str("message of another host, from one that is not its relay and was not asked")
            }
            Refusal::UnknownMessage => {
                f.write_str("no such message is known here; WHO wants: <stream>.<number>")
            }
            Refusal::TooManySearches => f.write_str("too many searches at once"),
            Refusal::JournalFull => f.write_str("the disk has no room for the journal"),
            Refusal::LogHeld => f.write_str("access.log cannot be written"),
            Refusal::NotForUs => f.write_str("message for another host"),
        }
    }
}

/// Bytes of somebody else as printing ASCII: cut to [`EXCERPT_MAX`] bytes, the rest escaped.
pub(crate) struct Excerpt<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(EXCERPT_MAX)];
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if shown.len() < self.0.len() {
            write!(f, " and more ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

impl Outputs {
    /// Adds bytes to [`Outputs::small`].
    pub(crate) fn put_small(&mut self, args: fmt::Arguments<'_>) -> Span {
        let start = self.small.len() as u32;
        let _ = Text(&mut self.small).write_fmt(args);
        Span { start, end: self.small.len() as u32 }
    }

    /// Adds bytes to [`Outputs::small`], to be sent or answered.
    pub(crate) fn put_bytes(&mut self, parts: &[&[u8]]) -> Slice {
        let start = self.small.len() as u32;
        parts.iter().for_each(|part| self.small.extend_from_slice(part));
        Slice::Small(Span { start, end: self.small.len() as u32 })
    }

    /// Adds a line for error.log.
    pub(crate) fn report(&mut self, severity: Severity, source: Source, args: fmt::Arguments<'_>) {
        let text = self.put_small(args);
        self.report.push(Report { severity, source, text });
    }

    /// Adds the line for error.log about a refused line.
    pub(crate) fn report_refused(&mut self, source: Source, refusal: Refusal, line: &[u8]) {
        let (code, line) = (refusal.code(), Excerpt(line));
        self.report(Severity::Warning, source, format_args!("REFUSED {code} {refusal}: {line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn excerpts_show_nothing_but_printing_ascii() {
        assert_eq!(format!("{}", Excerpt(b"a\x1b[31m\r\"\xff")), r#""a\x1b[31m\r\"\xff""#);
        let long = [b'x'; EXCERPT_MAX + 1];
        assert!(format!("{}", Excerpt(&long)).ends_with("x\" and more (65 bytes)"));
    }
}
