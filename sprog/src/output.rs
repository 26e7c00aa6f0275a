//! What is shown while messages travel: lines on standard output, warnings on standard error, a progress bar.

use crate::summary::shown;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pzog::Time;
use pzog::time::STAMP_LEN;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

/// Warnings shown within a second; of more only the number is shown.
const WARNINGS_PER_SECOND: u32 = 10;

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// Whether every message that has ended has its line.
    pub(crate) line_per_message: bool,
    /// JSON instead of text.
    pub(crate) json: bool,
    /// Warnings only.
    pub(crate) quiet: bool,
    /// How many messages there will be, for the progress bar.
    pub(crate) count: Option<u64>,
}

/// Both outputs of the program.
pub(crate) struct Output {
    lines: Vec<u8>,
    line_per_message: bool,
    json: bool,
    quiet: bool,
    /// Nobody reads standard output any more.
    closed: bool,
    bar: ProgressBar,
    warned: Warned,
}

#[derive(Default)]
struct Warned {
    second: u64,
    shown: u32,
    hidden: u64,
}

/// What is told of a message that has ended.
#[derive(Serialize)]
pub(crate) struct Ended<'a> {
    /// The host that answered, or was to answer.
    pub(crate) host: &'a str,
    /// The session.
    pub(crate) session: &'a str,
    /// The number in it.
    pub(crate) number: u64,
    /// From making the message to its end.
    #[serde(rename = "latency_us", serialize_with = "as_micros")]
    pub(crate) latency: Duration,
    /// The answer, or `LOST` and why.
    #[serde(serialize_with = "as_text")]
    pub(crate) answer: &'a dyn Display,
    /// `<time> <text>`
    #[serde(flatten, serialize_with = "as_time_and_text")]
    pub(crate) entry: &'a [u8],
}

impl Output {
    /// With nothing shown yet.
    pub(crate) fn new(shown: &Shown) -> Output {
        Output {
            lines: Vec::new(),
            line_per_message: shown.line_per_message,
            json: shown.json,
            quiet: shown.quiet,
            closed: false,
            bar: shown.count.filter(|_| !shown.quiet).map_or_else(ProgressBar::hidden, bar),
            warned: Warned::default(),
        }
    }

    /// A message has ended; its line is gathered until [`Output::flush`].
    pub(crate) fn ended(&mut self, ended: &Ended) {
        if !self.line_per_message || self.closed {
            return;
        }
        if self.json {
            self.json_line(ended);
        } else {
            let Ended { host, answer, latency, entry, .. } = ended;
            let line = format!("{host} {answer} {} {}\n", shown(*latency), printing(entry));
            self.lines.extend_from_slice(line.as_bytes());
        }
    }

    /// The last lines.
    pub(crate) fn summary(&mut self, summary: &(impl Serialize + Display)) {
        self.bar.finish_and_clear();
        if self.warned.hidden > 0 {
            self.tell(&format!("{} more warnings were not shown", self.warned.hidden));
        }
        if self.quiet || self.closed {
            return;
        }
        if self.json {
            self.json_line(summary);
        } else {
            self.lines.extend_from_slice(format!("{summary}\n").as_bytes());
        }
    }

    fn json_line(&mut self, object: &impl Serialize) {
        serde_json::to_writer(&mut self.lines, object).expect("plain data, written to memory");
        self.lines.push(b'\n');
    }

    /// Tells of a message that ended badly; of many within a second only the number is told.
    pub(crate) fn warn(&mut self, now: Time, warning: &str) {
        let second = now.0 / 1_000_000;
        if second != self.warned.second {
            let hidden = self.warned.hidden;
            self.warned = Warned { second, ..Warned::default() };
            if hidden > 0 {
                self.tell(&format!("{hidden} more warnings were not shown"));
            }
        }
        if self.warned.shown < WARNINGS_PER_SECOND {
            self.warned.shown += 1;
            self.tell(warning);
        } else {
            self.warned.hidden += 1;
        }
    }

    /// Tells a person at once what may not be missed.
    pub(crate) fn tell(&self, warning: &str) {
        // Where standard error is gone, there is no place left to say so.
        self.bar.suspend(|| writeln!(io::stderr(), "sprog: {warning}").unwrap_or_default());
    }

    /// Writes the gathered lines; so many messages have ended.
    ///
    /// # Errors
    /// Writing failed for another reason than that nobody reads; that is [`Output::is_closed`].
    pub(crate) fn flush(&mut self, ended: u64) -> io::Result<()> {
        self.bar.set_position(ended);
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        let written = self.bar.suspend(|| stdout.write_all(&self.lines).and_then(|()| stdout.flush()));
        self.lines.clear();
        match written {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other,
        }
    }

    /// Whether nobody reads standard output any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }
}

fn bar(count: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} {eta}");
    let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
    bar.with_style(style.expect("a template that indicatif takes"))
}

/// The bytes as text that does nothing to a terminal.
pub(crate) fn printing(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    text
}

fn as_micros<S: serde::Serializer>(latency: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(latency.as_micros())
}

fn as_text<S: serde::Serializer>(answer: &&dyn Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(answer)
}

fn as_time_and_text<S: serde::Serializer>(entry: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap;
    let (time, text) = entry.split_at(STAMP_LEN);
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("time", &String::from_utf8_lossy(time))?;
    map.serialize_entry("text", &String::from_utf8_lossy(&text[1..]))?;
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_as_json_has_its_parts() {
        let ended = Ended {
            host: "MV",
            session: "T",
            number: 3,
            latency: Duration::from_micros(1200),
            answer: &"PENDING 1/3",
            entry: b"20261121T025142Z some \"text\"",
        };
        let json = serde_json::to_value(&ended).unwrap();
        let expected = serde_json::json!({"host": "MV", "session": "T", "number": 3, "latency_us": 1200,
            "answer": "PENDING 1/3", "time": "20261121T025142Z", "text": "some \"text\""});
        assert_eq!(json, expected);
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(printing("a\u{1b}[2J\r é".as_bytes()), "a\\u{1b}[2J\\r é");
    }
}
