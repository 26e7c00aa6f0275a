//! The order of what was sent: messages that one session gave to one host stand on every host in the order in
//! which they were sent.

use super::findings::{Findings, Kind, Place};
use super::record::uint;
use super::sort::Sorter;
use std::io;

pub(super) const ORDER_BYTES: usize = 22;

/// Takes lines in any order, and goes through them in the order of the logs.
pub(super) struct Order {
    lines: Sorter<ORDER_BYTES>,
    streams: usize,
}

impl Order {
    /// For so many streams.
    pub(super) fn new(lines: Sorter<ORDER_BYTES>, streams: usize) -> Order {
        Order { lines, streams }
    }

    /// Adds the line at `position` on `host`, which was sent in `stream` as the one with this `rank`.
    pub(super) fn push(&mut self, host: usize, position: u64, stream: u32, rank: u64) -> io::Result<()> {
        let mut line = [0; ORDER_BYTES];
        line[..2].copy_from_slice(&(host as u16).to_be_bytes());
        line[2..10].copy_from_slice(&position.to_be_bytes());
        line[10..14].copy_from_slice(&stream.to_be_bytes());
        line[14..].copy_from_slice(&rank.to_be_bytes());
        self.lines.push(line)
    }

    /// Finds the lines that stand behind one that was sent after them.
    pub(super) fn check(self, findings: &mut Findings) -> io::Result<()> {
        let mut highest = vec![0; self.streams];
        let mut current = 0;
        for line in self.lines.sorted()? {
            let line = line?;
            let host = uint(&line[..2]) as usize;
            if host != current {
                highest.fill(0);
                current = host;
            }
            let (stream, rank) = (uint(&line[10..14]) as usize, uint(&line[14..]) as u64);
            if rank < highest[stream] {
                findings.add(Kind::Disordered, host, 1, Place::on(host, uint(&line[2..10]) as u64));
            }
            highest[stream] = highest[stream].max(rank);
        }
        Ok(())
    }
}
