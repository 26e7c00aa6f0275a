//! What access.log has to say, and what a recovered journal makes of it.

use crate::disk::Files;
use pzog::journal::{JournalError, Recovered};
use pzog::{HostIndex, Identity, Input, LogFile, Node, Now, Outputs, Ring, Scheme, Settings, Time};
use std::collections::BTreeSet;

/// All lines of access.log, in whatever files, and what of them is certain.
pub(crate) struct History {
    pub(crate) lines: Vec<u8>,
    /// So many bytes of them no loss of power may take.
    pub(crate) certain: usize,
    /// Where in the lines the file begins that access.log is now, and those that it was; by inode.
    files: Vec<usize>,
    /// So many bytes of the lines are on the disk in these files.
    marked: usize,
}

impl History {
    pub(crate) fn new() -> History {
        History { lines: Vec::new(), certain: 0, files: vec![0], marked: 0 }
    }

    /// access.log with so much of the lines.
    pub(crate) fn log_file(&self, upto: usize) -> LogFile {
        let inode = self.files.len() - 1;
        LogFile { device: 1, inode: inode as u64, bytes: (upto - self.files[inode]) as u64 }
    }

    /// access.log is on the disk with so much of the lines.
    pub(crate) fn mark(&mut self, upto: usize) {
        self.marked = self.marked.max(upto);
    }

    /// access.log is a new file from here on; the old one is on the disk.
    pub(crate) fn rotate(&mut self) {
        self.mark(self.lines.len());
        self.files.push(self.lines.len());
    }

    /// What recovery found is all there is.
    pub(crate) fn restart(&mut self, upto: usize) {
        self.lines.truncate(upto);
        (self.certain, self.marked) = (upto, upto);
        self.files.retain(|start| *start <= upto);
    }

    /// Whether a line with this text is there, where it ends, and panics if there are two.
    pub(crate) fn find(&self, text: &[u8]) -> Option<usize> {
        let line = [b" ", text, b"\n"].concat();
        let mut found = memchr::memmem::find_iter(&self.lines, &line);
        let first = found.next().map(|at| at + line.len());
        assert_eq!(found.next(), None, "logged twice: {}", text.escape_ascii());
        first
    }

    /// How much of the lines access.log has once what was recovered has been appended to it. Panics unless these are
    /// the lines as they were.
    pub(crate) fn upto(&self, recovered: &Recovered, lines: &[u8]) -> usize {
        let from = recovered.log().map_or(0, |log| self.files[log.inode as usize] + log.bytes as usize);
        assert!(from <= self.marked, "the mark is beyond what is on the disk: {from} > {}", self.marked);
        let upto = from + lines.len();
        let expected = self.lines.get(from..upto).map(<[u8]>::escape_ascii).map(|lines| lines.to_string());
        assert_eq!(expected, Some(lines.escape_ascii().to_string()), "from {from}");
        upto
    }
}

pub(crate) fn ring() -> Ring {
    Ring::new(vec!["MV".to_owned(), "PA".to_owned()], Scheme::Receiver).expect("two hosts are a ring")
}

/// What a driver does with a journal at its start; returns what is to be appended to access.log.
pub(crate) fn recover(files: &Files) -> (Recovered, Vec<u8>) {
    let (recovered, lines, _) = read(files);
    (recovered, lines)
}

/// The same, and of how many segments only the head was read.
fn read(files: &Files) -> (Recovered, Vec<u8>, usize) {
    let numbers: Vec<u64> = files.keys().copied().collect();
    let mut whole = BTreeSet::new();
    let read = |number, most, into: &mut Vec<u8>| {
        let bytes = &files[&number];
        into.clear();
        into.extend_from_slice(&bytes[..bytes.len().min(most as usize)]);
        if most == u32::MAX {
            whole.insert(number);
        }
        Ok::<_, JournalError>(bytes.len() as u32)
    };
    let recovered = pzog::journal::recover(&ring(), HostIndex(0), &numbers, read);
    let recovered = recovered.expect("it is our own journal");
    let mut lines = Vec::new();
    for (number, bytes) in files {
        recovered.log_lines(*number, bytes, &mut lines);
    }
    (recovered, lines, files.len() - whole.len())
}

/// Panics unless a start that reads what it must comes to the same as one that reads everything. Returns of how many
/// segments it read the head alone.
pub(crate) fn check_heads_suffice(files: &Files) -> usize {
    let (recovered, lines, heads) = read(files);
    if heads > 0 {
        // A segment that no head names, before all others, makes it read everything.
        let mut all = files.clone();
        all.insert(0, vec![0; 512]);
        let (whole, all_lines, none) = read(&all);
        assert_eq!(none, 0, "all segments are read");
        assert_eq!(lines.escape_ascii().to_string(), all_lines.escape_ascii().to_string());
        assert_eq!(snapshot(recovered), snapshot(whole));
    }
    heads
}

/// All that a node says at the head of its first segment, with this recovered, line by line.
fn snapshot(recovered: Recovered) -> Vec<String> {
    let log = LogFile { device: 1, inode: 1, bytes: 0 };
    let identity = Identity { ring: ring(), me: HostIndex(0), incarnation: u64::MAX, process: 1, seed: 1 };
    let mut node = Node::new(identity, Settings::default(), recovered);
    let mut out = Outputs::default();
    node.handle(Now { mono: Time(1), utc_seconds: 1_795_229_502 }, Input::LogOpened { log }, &mut out);
    let head = out.append.get(1).map(|head| out.bytes(*head, &[]).escape_ascii().to_string());
    let mut lines: Vec<String> = head.expect("a head").split("\\r\\n").map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}
