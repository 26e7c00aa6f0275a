//! The lines of a file, one at a time, in a fixed amount of memory; `.gz` files are read too.

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes read at a time. A line that is longer is none that we know.
const BUFFER: usize = 256 << 10;

/// Bytes kept of a line that is longer than the buffer.
const HEAD: usize = 1024;

/// One line.
pub(super) struct Line<'a> {
    /// Without its end; the beginning alone where the line does not fit into the buffer.
    pub(super) bytes: &'a [u8],
    /// Whether these are all its bytes, and its end was there.
    pub(super) whole: bool,
}

/// Reads lines.
pub(super) struct Lines {
    input: Box<dyn Read>,
    buffer: Vec<u8>,
    /// What was read and not yet given out.
    start: usize,
    end: usize,
    /// Up to here, from `start`, there is no line end.
    searched: usize,
    input_ended: bool,
    too_long: bool,
}

impl Lines {
    /// Opens a file.
    pub(super) fn open(path: &Path) -> anyhow::Result<Lines> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let packed = path.extension().is_some_and(|e| e == "gz");
        Ok(Lines::new(if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) }))
    }

    fn new(input: Box<dyn Read>) -> Lines {
        let buffer = vec![0; BUFFER];
        Lines { input, buffer, start: 0, end: 0, searched: 0, input_ended: false, too_long: false }
    }

    /// The next line, or none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            let from = self.start + self.searched;
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[from..self.end]) {
                let line = self.start..from + length;
                let whole = !std::mem::take(&mut self.too_long);
                (self.start, self.searched) = (line.end + 1, 0);
                return Ok(Some(Line { bytes: &self.buffer[line], whole }));
            }
            self.searched = self.end - self.start;
            if self.input_ended {
                let line = self.start..self.end;
                (self.start, self.searched) = (self.end, 0);
                return Ok((!line.is_empty()).then(|| Line { bytes: &self.buffer[line], whole: false }));
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end == self.buffer.len() {
            self.too_long = true;
            (self.end, self.searched) = (HEAD, HEAD);
        }
        match self.input.read(&mut self.buffer[self.end..]) {
            Ok(0) => self.input_ended = true,
            Ok(n) => self.end += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<(Vec<u8>, bool)> {
        let mut lines = Lines::new(Box::new(io::Cursor::new(bytes.to_vec())));
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.bytes.to_vec(), line.whole));
        }
        all
    }

    #[test]
    fn ends_are_told_apart() {
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"\n"), [(vec![], true)]);
        assert_eq!(lines(b"one\ntwo"), [(b"one".to_vec(), true), (b"two".to_vec(), false)]);
    }

    #[test]
    fn a_line_longer_than_the_buffer_is_cut_and_the_next_one_is_intact() {
        let text = [vec![b'x'; 3 * BUFFER + 17], b"\nnext\n".to_vec()].concat();
        let lines = lines(&text);
        assert_eq!(lines.len(), 2);
        assert!(!lines[0].1 && lines[0].0.len() <= BUFFER);
        assert_eq!(lines[1], (b"next".to_vec(), true));
    }

    #[test]
    fn lines_across_reads_are_whole() {
        let text: Vec<u8> = (0..100_000).flat_map(|i| format!("line {i}\n").into_bytes()).collect();
        let lines = lines(&text);
        assert_eq!(lines.len(), 100_000);
        assert_eq!(lines[65_537].0, b"line 65537");
    }
}
