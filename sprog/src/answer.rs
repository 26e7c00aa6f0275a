//! What a daemon answers, one line each.

use std::fmt;

/// An answer, as the daemon wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer<'a> {
    /// It is done.
    Ok,
    /// The message is on this host's disk and on so many of those that the level needs: `n/N`.
    Pending(&'a str),
    /// Refused for good: `code reason`.
    Refused(&'a str),
    /// For a cause that may pass the daemon takes nothing now and closes: `300 reason`. No number is spent.
    ComeAgain(&'a str),
    /// The answer to `KEEPALIVE`.
    Ack,
}

impl<'a> Answer<'a> {
    /// Reads a line without its end; `None` where it is no answer of this protocol.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Answer<'a>> {
        let text = std::str::from_utf8(line).ok().filter(|t| !t.chars().any(char::is_control))?;
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "OK" => Some(Answer::Ok),
            "ACK" => Some(Answer::Ack),
            "PENDING" => is_share(rest).then_some(Answer::Pending(rest)),
            "ERR" if rest.starts_with("300") => Some(Answer::ComeAgain(rest)),
            "ERR" => rest.starts_with(|c: char| c.is_ascii_digit()).then_some(Answer::Refused(rest)),
            _ => None,
        }
    }
}

fn is_share(text: &str) -> bool {
    let number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    text.split_once('/').is_some_and(|(have, need)| number(have) && number(need))
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Ok => f.write_str("OK"),
            Answer::Pending(share) => write!(f, "PENDING {share}"),
            Answer::Refused(reason) | Answer::ComeAgain(reason) => write!(f, "ERR {reason}"),
            Answer::Ack => f.write_str("ACK"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_written_back() {
        for (line, answer) in [
            ("OK", Answer::Ok),
            ("PENDING 2/3", Answer::Pending("2/3")),
            ("ERR 400 no such verb", Answer::Refused("400 no such verb")),
            ("ERR 300 disk full", Answer::ComeAgain("300 disk full")),
            ("ACK", Answer::Ack),
        ] {
            assert_eq!(Answer::parse(line.as_bytes()), Some(answer));
            assert_eq!(answer.to_string(), line);
        }
        assert_eq!(Answer::parse(b"OK 17"), Some(Answer::Ok));
    }

    #[test]
    fn anything_else_is_no_answer() {
        for line in
            ["", "ok", "OKAY", "PENDING", "PENDING 2", "PENDING /3", "ERR", "ERR why", "OK\u{1b}[2J", "MSG x"]
        {
            assert_eq!(Answer::parse(line.as_bytes()), None, "{line:?}");
        }
        assert_eq!(Answer::parse(b"ERR 400 \xff"), None);
    }
}
