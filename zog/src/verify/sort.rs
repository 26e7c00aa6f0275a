//! Sorting more records than fit into memory: sorted runs in temporary files, then merged.
//!
//! A record is a fixed number of bytes and is compared as such. The temporary files have no name, so nothing is
//! left behind, however the program ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::vec;

/// Runs that are merged at a time; each takes a file descriptor.
const FAN_IN: usize = 256;

/// Bytes read of a run at a time, where memory allows; more makes nothing faster.
const READ_BYTES: usize = 1 << 20;

/// Takes records in any order.
pub(super) struct Sorter<const N: usize> {
    buffer: Vec<[u8; N]>,
    buffer_records: usize,
    merge_bytes: usize,
    runs: Vec<File>,
    dir: PathBuf,
}

impl<const N: usize> Sorter<N> {
    /// A sorter that uses so many bytes of memory, and files in `dir` for what does not fit.
    pub(super) fn new(memory_bytes: usize, dir: &Path) -> Sorter<N> {
        let buffer_records = (memory_bytes / 2 / N).max(1);
        Sorter {
            buffer: Vec::new(),
            buffer_records,
            merge_bytes: memory_bytes / 2,
            runs: Vec::new(),
            dir: dir.to_owned(),
        }
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: [u8; N]) -> io::Result<()> {
        if self.buffer.len() == self.buffer_records {
            self.spill()?;
        }
        if self.buffer.len() == self.buffer.capacity() {
            // Doubled as a vector does by itself, but never beyond what is allowed.
            let more = self.buffer.len().clamp(1, self.buffer_records - self.buffer.len());
            self.buffer.reserve_exact(more);
        }
        self.buffer.push(record);
        Ok(())
    }

    /// All records in order.
    pub(super) fn sorted(mut self) -> io::Result<Sorted<N>> {
        if self.runs.is_empty() {
            self.buffer.sort_unstable();
            return Ok(Sorted::InMemory(self.buffer.into_iter()));
        }
        self.spill()?;
        self.buffer = Vec::new();
        Merge::new(self.runs, self.merge_bytes).map(Sorted::Merged)
    }

    fn spill(&mut self) -> io::Result<()> {
        self.buffer.sort_unstable();
        let mut out = BufWriter::new(tempfile::tempfile_in(&self.dir)?);
        for record in self.buffer.drain(..) {
            out.write_all(&record)?;
        }
        self.runs.push(rewound(out)?);
        if self.runs.len() == FAN_IN {
            self.merge_runs()?;
        }
        Ok(())
    }

    /// Makes one run of all.
    fn merge_runs(&mut self) -> io::Result<()> {
        let mut out = BufWriter::new(tempfile::tempfile_in(&self.dir)?);
        for record in Merge::<N>::new(std::mem::take(&mut self.runs), self.merge_bytes)? {
            out.write_all(&record?)?;
        }
        self.runs.push(rewound(out)?);
        Ok(())
    }
}

fn rewound(out: BufWriter<File>) -> io::Result<File> {
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

/// Records in order.
pub(super) enum Sorted<const N: usize> {
    InMemory(vec::IntoIter<[u8; N]>),
    Merged(Merge<N>),
}

impl<const N: usize> Iterator for Sorted<N> {
    type Item = io::Result<[u8; N]>;

    fn next(&mut self) -> Option<io::Result<[u8; N]>> {
        match self {
            Sorted::InMemory(records) => records.next().map(Ok),
            Sorted::Merged(merge) => merge.next(),
        }
    }
}

/// Sorted runs as one: the heap holds the next record of each.
pub(super) struct Merge<const N: usize> {
    runs: Vec<BufReader<File>>,
    heap: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Merge<N> {
    fn new(runs: Vec<File>, memory_bytes: usize) -> io::Result<Merge<N>> {
        let each = (memory_bytes / runs.len()).clamp(N, READ_BYTES);
        let runs: Vec<_> = runs.into_iter().map(|run| BufReader::with_capacity(each, run)).collect();
        let mut merge = Merge { heap: BinaryHeap::with_capacity(runs.len()), runs };
        for run in 0..merge.runs.len() {
            merge.refill(run)?;
        }
        Ok(merge)
    }

    fn refill(&mut self, run: usize) -> io::Result<()> {
        let mut record = [0; N];
        match self.runs[run].read_exact(&mut record) {
            Ok(()) => self.heap.push(Reverse((record, run))),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

impl<const N: usize> Iterator for Merge<N> {
    type Item = io::Result<[u8; N]>;

    fn next(&mut self) -> Option<io::Result<[u8; N]>> {
        let Reverse((record, run)) = self.heap.pop()?;
        Some(self.refill(run).map(|()| record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(records: impl Iterator<Item = u32>, memory_bytes: usize) -> Vec<u32> {
        let dir = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::<4>::new(memory_bytes, dir.path());
        records.for_each(|r| sorter.push(r.to_be_bytes()).unwrap());
        sorter.sorted().unwrap().map(|r| u32::from_be_bytes(r.unwrap())).collect()
    }

    #[test]
    fn sorts_in_memory_in_runs_and_in_runs_of_runs() {
        let shuffled = || (0..10_000_u32).map(|i| i.wrapping_mul(2_654_435_761) % 1000);
        let mut expected: Vec<u32> = shuffled().collect();
        expected.sort_unstable();
        for memory_bytes in [1 << 20, 8192, 64] {
            assert_eq!(sorted(shuffled(), memory_bytes), expected, "with {memory_bytes} bytes");
        }
    }

    #[test]
    fn nothing_sorts_to_nothing() {
        assert!(sorted(std::iter::empty(), 64).is_empty());
    }
}
