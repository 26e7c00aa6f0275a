//! Standard input cut into messages, whatever its pieces and line ends.

use pzog::limits::LINE_MAX;
use pzog::time::STAMP_LEN;

/// Bytes of the longest text that still is one line to a daemon (which logs texts below 512 bytes only).
const FITS: usize = LINE_MAX - "AT ".len() - STAMP_LEN - " ".len();

/// Whether a text of so many bytes can be put on the wire.
pub(crate) fn fits(bytes: usize) -> Result<(), String> {
    if bytes <= FITS {
        return Ok(());
    }
    Err(format!("it has {bytes} bytes, which is too long for any line to a daemon (at most {FITS})"))
}

/// Cuts lines; of a line that is too long only its length is kept.
#[derive(Default)]
pub(crate) struct Lines {
    line: Vec<u8>,
    line_bytes: usize,
}

impl Lines {
    /// Takes bytes up to the end of a line, and says how many were taken and whether the line is complete. The
    /// next call begins the next line then.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let end = bytes.iter().position(|b| *b == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        self.line_bytes += part.len();
        // One byte more may be the CR of the line end.
        if self.line_bytes <= FITS + 1 {
            self.line.extend_from_slice(part);
        } else {
            self.line.clear();
        }
        (part.len() + usize::from(end.is_some()), end.is_some())
    }

    /// Whether bytes were taken that belong to no complete line.
    pub(crate) fn has_rest(&self) -> bool {
        self.line_bytes > 0
    }

    /// Puts the line into `text` without its line end, and begins the next one.
    ///
    /// # Errors
    /// Why the line cannot be sent.
    pub(crate) fn finish(&mut self, text: &mut Vec<u8>) -> Result<(), String> {
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
            self.line_bytes -= 1;
        }
        let length = std::mem::take(&mut self.line_bytes);
        std::mem::swap(text, &mut self.line);
        self.line.clear();
        fits(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(input: &[u8], piece: usize) -> Vec<Result<String, usize>> {
        let (mut lines, mut cut, mut text) = (Lines::default(), Vec::new(), Vec::new());
        let mut finish = |lines: &mut Lines| {
            let finished = lines.finish(&mut text);
            cut.push(finished.map(|()| String::from_utf8_lossy(&text).into_owned()).map_err(|e| e.len()));
        };
        for mut bytes in input.chunks(piece) {
            while !bytes.is_empty() {
                let (taken, complete) = lines.take(bytes);
                bytes = &bytes[taken..];
                if complete {
                    finish(&mut lines);
                }
            }
        }
        if lines.has_rest() {
            finish(&mut lines);
        }
        cut
    }

    #[test]
    fn any_pieces_give_the_same_lines() {
        let input = b"one\r\n\ntwo \xc3\xa9\r\r\n last";
        let expected = ["one", "", "two \u{e9}\r", " last"].map(|l| Ok(l.to_owned()));
        for piece in 1..=input.len() {
            assert_eq!(cut(input, piece), expected);
        }
    }

    #[test]
    fn a_line_that_no_daemon_takes_is_refused_and_the_next_one_is_whole() {
        let longest = "x".repeat(FITS);
        let input = format!("{longest}\r\n{longest}x\nnext\n");
        for piece in [1, 7, 1000, 5000] {
            let cut = cut(input.as_bytes(), piece);
            assert_eq!(cut[0].as_deref(), Ok(longest.as_str()));
            assert!(cut[1].is_err());
            assert_eq!(cut[2].as_deref(), Ok("next"));
        }
    }
}
