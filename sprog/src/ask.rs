//! Questions to the hosts. A host answers one with any number of lines that begin with `+ `, then `OK`, or `ERR`.

use crate::answer::Answer;
use crate::exit::{Exit, Failure};
use crate::inbox::Inbox;
use crate::output::printing;
use crate::rt;
use crate::stream::Stream;
use crate::target::Target;
use std::fmt;
use std::io::Write;
use std::time::Duration;

/// Bytes of an answer; a ring of the greatest size with many old streams stays below.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// Why there is no answer to a question.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum NoAnswer {
    /// The host does not know what it was asked for (`ERR 404`).
    Unknown,
    /// The host does not tell, or cannot be reached, for this reason.
    Failed(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::Unknown => f.write_str("it does not know of it"),
            NoAnswer::Failed(why) => f.write_str(why),
        }
    }
}

/// A connection for questions.
pub(crate) struct Asked {
    stream: Stream,
    inbox: Inbox,
    patience: Duration,
}

impl Asked {
    /// Dials a host that is to say something within `patience`, each time.
    pub(crate) async fn dial(target: &Target, patience: Duration) -> Result<Asked, NoAnswer> {
        let dialled = rt::timeout(patience, Stream::dial(target)).await;
        let stream = dialled.ok_or_else(|| silent(patience))?.map_err(|e| NoAnswer::Failed(e.to_string()))?;
        let mut asked = Asked { stream, inbox: Inbox::new(), patience };
        if let Some(auth) = &target.auth {
            asked.ask(auth.line()).await?;
        }
        Ok(asked)
    }

    /// Asks; the lines of the answer without their `+ `, harmless to a terminal.
    pub(crate) async fn ask(&mut self, question: &str) -> Result<Vec<String>, NoAnswer> {
        let line = format!("{question}\r\n");
        let written = rt::timeout(self.patience, self.stream.write(line.as_bytes())).await;
        let written = written.ok_or_else(|| silent(self.patience))?;
        written.map_err(|e| NoAnswer::Failed(e.to_string()))?;
        let mut reply = Reply::default();
        while reply.end.is_none() {
            let filled = rt::timeout(self.patience, self.inbox.fill(&self.stream)).await;
            filled.ok_or_else(|| silent(self.patience))?.map_err(NoAnswer::Failed)?;
            self.inbox.take_lines(|line| reply.take(line))?;
        }
        reply.end.map_or(Ok(()), |end| end)?;
        Ok(reply.lines)
    }
}

fn silent(patience: Duration) -> NoAnswer {
    NoAnswer::Failed(format!("no answer within {patience:?} (--timeout gives it more)"))
}

/// What has come of an answer.
#[derive(Default)]
struct Reply {
    lines: Vec<String>,
    bytes: usize,
    end: Option<Result<(), NoAnswer>>,
}

impl Reply {
    fn take(&mut self, line: &[u8]) -> Result<(), NoAnswer> {
        let unexpected = || {
            let line = printing(&line[..line.len().min(80)]);
            NoAnswer::Failed(format!("it said {line:?}, which answers nothing; is it a zog daemon?"))
        };
        if self.end.is_some() {
            return Err(unexpected());
        }
        if let Some(told) = line.strip_prefix(b"+ ") {
            self.bytes += told.len();
            self.lines.push(printing(told));
            return if self.bytes <= ANSWER_MAX { Ok(()) } else { Err(unexpected()) };
        }
        self.end = Some(match Answer::parse(line) {
            Some(Answer::Ok) => Ok(()),
            Some(Answer::Refused(reason)) if reason.starts_with("404") => Err(NoAnswer::Unknown),
            Some(answer @ (Answer::Refused(_) | Answer::ComeAgain(_))) => {
                Err(NoAnswer::Failed(format!("it does not tell: {answer}")))
            }
            _ => return Err(unexpected()),
        });
        Ok(())
    }
}

/// Tells on standard error that a host gave no answer.
pub(crate) fn warn(target: &Target, why: &NoAnswer) -> Result<(), Failure> {
    let Target { name, address, port, .. } = target;
    writeln!(std::io::stderr(), "sprog: {name} ({address}, port {port}): {why}")
        .map_err(|e| Failure::new(Exit::Io, format!("standard error cannot be written: {e}")))
}

/// No host gave an answer.
pub(crate) fn nobody() -> Failure {
    Failure::new(Exit::Unavailable, "no host gave an answer; try later, or another one with -s")
}

/// Seconds as people read them.
pub(crate) fn seconds(count: u64) -> String {
    humantime::format_duration(Duration::from_secs(count)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(lines: &[&str]) -> Result<Vec<String>, NoAnswer> {
        let mut reply = Reply::default();
        lines.iter().try_for_each(|line| reply.take(line.as_bytes()))?;
        reply.end.expect("an end")?;
        Ok(reply.lines)
    }

    #[test]
    fn an_answer_is_its_lines_up_to_the_ok() {
        assert_eq!(reply(&["OK"]), Ok(vec![]));
        assert_eq!(reply(&["+ a\u{1b}[2J", "+ b", "OK"]), Ok(vec!["a\\u{1b}[2J".to_owned(), "b".to_owned()]));
        assert_eq!(reply(&["ERR 404 no"]), Err(NoAnswer::Unknown));
        for lines in [&["ERR 400 no such verb"][..], &["ERR 300 full"], &["+ a", "b"], &["OK", "OK"]] {
            assert!(matches!(reply(lines), Err(NoAnswer::Failed(_))), "{lines:?}");
        }
    }
}
