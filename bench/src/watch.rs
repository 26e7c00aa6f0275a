//! Follows the files of all nodes, and takes the time from when a message was sent until the last of them shows it.
//!
//! The watcher's own waking up, and its share of the processors, are in every figure: the floor's is the zero.

use crate::check::Line;
use crate::interrupt;
use crate::message::{Message, now};
use anyhow::{Context, Result};
use memchr::{memchr_iter, memrchr};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::time::Timespec;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Files that are followed from their present end.
#[derive(Debug)]
pub struct Watcher {
    changes: OwnedFd,
    files: Vec<Followed>,
}

#[derive(Debug)]
struct Followed {
    file: File,
    path: PathBuf,
    /// What has been read behind the last line end.
    rest: Vec<u8>,
}

/// What is expected: so many messages of one client.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    /// Whose.
    pub client: u16,
    /// How many.
    pub count: u32,
    /// What stands around each message in the files.
    pub line: Line,
}

/// A message that all files have shown.
#[derive(Clone, Copy, Default, Debug)]
pub struct Sighting {
    /// When it was sent: nanoseconds since 1970.
    pub sent: u64,
    /// Nanoseconds from then until the last file showed it.
    pub took: u64,
    files: u16,
}

/// When each message was in how many files.
struct Sightings {
    awaited: Awaited,
    seen: Vec<Sighting>,
    total: u64,
}

impl Watcher {
    /// Begins at the present end of each file.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Result<Watcher> {
        let changes = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let follow = |path: PathBuf| {
            let file =
                Followed::open(&path).with_context(|| format!("{} cannot be followed", path.display()))?;
            inotify::add_watch(&changes, &path, WatchFlags::MODIFY)?;
            Ok(file)
        };
        let files = paths.into_iter().map(follow).collect::<Result<_>>()?;
        Ok(Watcher { changes, files })
    }

    /// Until every file has shown every message, or nothing has come for so long. Each message that all files have
    /// shown, in the order of their numbers.
    pub fn watch(&mut self, awaited: Awaited, patience: Duration) -> Result<Vec<Sighting>> {
        let seen = vec![Sighting::default(); awaited.count as usize];
        let mut sightings = Sightings { awaited, seen, total: 0 };
        let wanted = u64::from(awaited.count) * self.files.len() as u64;
        let mut buffer = vec![0; 64 << 10];
        let mut moved = Instant::now();
        while sightings.total < wanted && moved.elapsed() < patience {
            interrupt::check()?;
            self.wait(&mut buffer)?;
            for file in &mut self.files {
                if file.read(&mut buffer, &mut sightings)? {
                    moved = Instant::now();
                }
            }
        }
        let files = self.files.len() as u16;
        sightings.seen.retain(|sighting| sighting.files == files);
        Ok(sightings.seen)
    }

    /// Until a file changes, or a while has passed; takes away what the kernel tells of changes.
    fn wait(&self, buffer: &mut [u8]) -> Result<()> {
        let a_while = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        poll(&mut [PollFd::new(&self.changes, PollFlags::IN)], Some(&a_while))?;
        match rustix::io::read(&self.changes, buffer) {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

impl Followed {
    fn open(path: &Path) -> Result<Followed> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Followed { file, path: path.to_owned(), rest: Vec::new() })
    }

    /// Takes what the file has grown by. Whether there was anything.
    fn read(&mut self, buffer: &mut [u8], sightings: &mut Sightings) -> Result<bool> {
        let path = &self.path;
        let count = self.file.read(buffer).with_context(|| format!("{} cannot be read", path.display()))?;
        let at = now();
        self.rest.extend_from_slice(&buffer[..count]);
        if let Some(last) = memrchr(b'\n', &self.rest) {
            let mut start = 0;
            for end in memchr_iter(b'\n', &self.rest[..=last]) {
                sightings.note(&self.rest[start..=end], at);
                start = end + 1;
            }
            self.rest.drain(..=last);
        }
        Ok(count > 0)
    }
}

impl Sightings {
    fn note(&mut self, line: &[u8], at: u64) {
        let Some(message) = self.awaited.line.message(line).and_then(Message::read) else { return };
        if message.client == self.awaited.client && message.number < self.awaited.count {
            let sighting = &mut self.seen[message.number as usize];
            sighting.files += 1;
            sighting.sent = message.stamp;
            sighting.took = sighting.took.max(at.saturating_sub(message.stamp));
            self.total += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_message_is_timed_once_it_is_in_the_last_file() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("a"), dir.path().join("b")];
        let mut files = paths.clone().map(|path| File::create(path).unwrap());
        let line = |number, age| {
            let mut line = b"> ".to_vec();
            Message { client: 0, number, stamp: now() - age }.write(60, &mut line);
            line.push(b'\n');
            line
        };
        files[0].write_all(&line(0, 0)).unwrap();
        let mut watcher = Watcher::new(paths).unwrap();
        files[0].write_all(&[line(0, 5_000_000_000), line(1, 0)].concat()).unwrap();
        files[1].write_all(&line(0, 9_000_000_000)).unwrap();
        let times = watcher
            .watch(
                Awaited { client: 0, count: 2, line: Line { before: 2, behind: b"\n" } },
                Duration::from_millis(50),
            )
            .unwrap();
        assert_eq!(times.len(), 1, "message 1 is in one file only");
        assert!((9_000_000_000..19_000_000_000).contains(&times[0].took), "{times:?}");
    }
}
