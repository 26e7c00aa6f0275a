//! What a host has said: bytes read, and whole lines taken out of them.

use crate::stream::Stream;
use pzog::limits::LINE_MAX;

/// Bytes read at once.
const ROOM: usize = 64 * 1024;

/// What was read and not yet taken.
pub(crate) struct Inbox {
    buffer: Vec<u8>,
    filled: usize,
}

impl Inbox {
    /// Nothing was read yet.
    pub(crate) fn new() -> Inbox {
        Inbox { buffer: vec![0; ROOM], filled: 0 }
    }

    /// Reads more, at least a byte. Nothing is lost where this is dropped half-way.
    ///
    /// # Errors
    /// Why nothing more comes on this connection.
    pub(crate) async fn fill(&mut self, stream: &Stream) -> Result<(), String> {
        if self.line().is_none() && self.filled > LINE_MAX {
            return Err("it sends a line without end; is it a zog daemon?".to_owned());
        }
        match stream.read(&mut self.buffer[self.filled..]).await {
            Ok(0) => Err("it closed the connection".to_owned()),
            Ok(read) => {
                self.filled += read;
                Ok(())
            }
            Err(e) => Err(e.to_string()),
        }
    }

    /// The first line without its end, and how many bytes it has with it.
    pub(crate) fn line(&self) -> Option<(&[u8], usize)> {
        line_at(&self.buffer[..self.filled])
    }

    /// Drops the first bytes.
    pub(crate) fn drop(&mut self, bytes: usize) {
        self.buffer.copy_within(bytes..self.filled, 0);
        self.filled -= bytes;
    }

    /// Takes the whole lines out, up to the first that `take` refuses.
    ///
    /// # Errors
    /// That of `take`; its line is taken out too.
    pub(crate) fn take_lines<E>(&mut self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut at = 0;
        let mut taken = Ok(());
        while let Some((line, end)) = line_at(&self.buffer[at..self.filled]) {
            taken = take(line);
            at += end;
            if taken.is_err() {
                break;
            }
        }
        self.drop(at);
        taken
    }
}

/// The first line without its end, and where the next one begins.
fn line_at(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}
