//! Where the texts come from: drawn, one fixed text, or the lines of standard input.

use crate::cli::MessageArgs;
use crate::exit::{Exit, Failure};
use crate::lines::Lines;
use crate::payload::Payload;
use crate::rt;

/// Bytes of standard input read at once.
const CHUNK: usize = 64 * 1024;

/// Gives one text after the other.
pub(crate) enum Source {
    /// Random printing characters.
    Drawn(Payload),
    /// The same each time.
    Fixed(Vec<u8>),
    /// The lines of standard input.
    Stdin(StdinLines),
}

impl Source {
    /// The source that the options ask for.
    pub(crate) fn new(args: &MessageArgs, seed: u64) -> Source {
        match &args.message {
            Some(text) => Source::Fixed(text.clone().into_bytes()),
            None if args.stdin => Source::Stdin(StdinLines::new()),
            None => Source::Drawn(Payload::new(seed, args.length.clone())),
        }
    }

    /// Puts the next text into `text`; `None` at the end, and the reason where the text cannot be sent.
    pub(crate) async fn next(&mut self, text: &mut Vec<u8>) -> Result<Option<Result<(), String>>, Failure> {
        match self {
            Source::Drawn(payload) => payload.draw(text),
            Source::Fixed(fixed) => text.clone_from(fixed),
            Source::Stdin(lines) => return lines.next(text).await,
        }
        Ok(Some(Ok(())))
    }
}

/// Standard input, line by line.
pub(crate) struct StdinLines {
    input: rt::Input,
    lines: Lines,
    chunk: Vec<u8>,
    at: usize,
    filled: usize,
}

impl StdinLines {
    fn new() -> StdinLines {
        let (input, lines) = (rt::Input::new(), Lines::default());
        StdinLines { input, lines, chunk: vec![0; CHUNK], at: 0, filled: 0 }
    }

    async fn next(&mut self, text: &mut Vec<u8>) -> Result<Option<Result<(), String>>, Failure> {
        loop {
            let (taken, complete) = self.lines.take(&self.chunk[self.at..self.filled]);
            self.at += taken;
            if complete {
                return Ok(Some(self.lines.finish(text)));
            }
            self.at = 0;
            self.filled = self
                .input
                .read(&mut self.chunk)
                .await
                .map_err(|e| Failure::new(Exit::Io, format!("standard input cannot be read: {e}")))?;
            if self.filled == 0 {
                return Ok(self.lines.has_rest().then(|| self.lines.finish(text)));
            }
        }
    }
}
