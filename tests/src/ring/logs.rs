//! What the hosts of a ring wrote, and waiting for it.

use super::{Ring, read};
use crate::logs::{counts, texts};
use crate::wait::{comes_true, wait_until};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// How the text of a message begins that a test sends only to see that all before it has arrived.
pub(crate) const FENCE: &str = "fence#";

impl Ring {
    /// A host's access.log as it is now, without fences.
    #[must_use]
    pub fn access_log(&self, host: usize) -> String {
        without_fences(&read(&self.log_dir(host).join("access.log")))
    }

    /// A host's access.log and all its rotated pieces, those first, without fences. What a daemon has moved aside is
    /// no part of the log.
    #[must_use]
    pub fn all_access_logs(&self, host: usize) -> String {
        without_fences(&self.raw_access_logs(host))
    }

    /// Read again where a rotation came between: a piece that was renamed meanwhile would be missing, or there twice.
    fn raw_access_logs(&self, host: usize) -> String {
        let pieces = || -> Vec<(PathBuf, Option<u64>)> {
            let inode = |piece: &PathBuf| piece.metadata().ok().map(|metadata| metadata.ino());
            self.access_log_pieces(host).into_iter().map(|piece| (piece.clone(), inode(&piece))).collect()
        };
        loop {
            let before = pieces();
            let logs = before.iter().map(|(piece, _)| read(piece)).collect();
            if pieces() == before {
                return logs;
            }
        }
    }

    /// What stands at the end of a log that may be very long.
    fn newest_access_logs(&self, host: usize) -> String {
        const PIECES: usize = 3;
        let pieces = self.access_log_pieces(host);
        pieces[pieces.len().saturating_sub(PIECES)..].iter().map(|p| read(p)).collect()
    }

    /// The pieces of a host's access.log, oldest first.
    #[must_use]
    pub fn access_log_pieces(&self, host: usize) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.log_dir(host)).expect("the log directory");
        let mut pieces: Vec<_> = entries.map(|e| e.expect("an entry of the log directory").path()).collect();
        pieces.retain(|p| {
            let name = p.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("access") && !name.ends_with(".aside")
        });
        pieces.sort_by_key(|p| (p.ends_with("access.log"), p.clone()));
        pieces
    }

    /// A host's error.log as it is now.
    #[must_use]
    pub fn error_log(&self, host: usize) -> String {
        read(&self.log_dir(host).join("error.log"))
    }

    /// The lines of a host's error.log in which all these words stand.
    #[must_use]
    pub fn error_lines(&self, host: usize, words: &[&str]) -> Vec<String> {
        let log = self.error_log(host);
        log.lines().filter(|line| words.iter().all(|w| line.contains(w))).map(str::to_owned).collect()
    }

    /// Waits until a line with all these words stands in a host's error.log, and returns it.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn wait_for_error(&self, host: usize, words: &[&str]) -> String {
        let name = self.name(host);
        wait_until(&format!("error.log of {name} has a line with {words:?}"), || {
            !self.error_lines(host, words).is_empty()
        });
        self.error_lines(host, words).remove(0)
    }

    /// How many messages a host has said that it misses: `GIVEN UP <stream>.<from> to <to>: …` in its error.log.
    ///
    /// # Panics
    /// If a line says it otherwise.
    #[must_use]
    #[track_caller]
    pub fn given_up(&self, host: usize) -> usize {
        let count = |line: &String| {
            let range = line.split("GIVEN UP ").nth(1)?.split(':').next()?;
            let (from, to) = range.rsplit_once('.')?.1.split_once(" to ")?;
            Some(to.parse::<usize>().ok()? - from.parse::<usize>().ok()? + 1)
        };
        let lines = self.error_lines(host, &["GIVEN UP "]);
        lines.iter().map(|line| count(line).unwrap_or_else(|| panic!("what is given up: {line}"))).sum()
    }

    /// Waits until every running host has a link to every other one.
    ///
    /// # Panics
    /// If that does not come about.
    #[track_caller]
    pub fn wait_linked(&self) {
        let running = self.running();
        wait_until("all running hosts are linked", || {
            running.iter().all(|&a| running.iter().all(|&b| a == b || self.is_linked(a, b)))
        });
    }

    /// Whether `host` said last that the link to `peer` is up.
    #[must_use]
    pub fn is_linked(&self, host: usize, peer: usize) -> bool {
        let log = self.error_log(host);
        let last =
            log.lines().rfind(|line| link_change(line).is_some_and(|(name, _)| name == self.name(peer)));
        last.and_then(link_change).is_some_and(|(_, up)| up)
    }

    /// How often `host` said that the link to `peer` came up.
    #[must_use]
    pub fn times_linked(&self, host: usize, peer: usize) -> usize {
        let log = self.error_log(host);
        log.lines().filter_map(link_change).filter(|(name, up)| *up && *name == self.name(peer)).count()
    }

    /// Waits until each of these hosts has logged exactly `lines` lines, rotated pieces included and fences not. A
    /// fence behind them shows what comes too often, too.
    ///
    /// # Panics
    /// If a log grows longer or does not get so far.
    #[track_caller]
    pub fn wait_for_lines(&self, hosts: &[usize], lines: usize) {
        let count = |host| self.all_access_logs(host).lines().count();
        for &host in hosts {
            comes_true(|| count(host) >= lines);
            assert!(
                count(host) >= lines,
                "{} of {lines} lines in the log of {}",
                count(host),
                self.name(host)
            );
        }
        self.fence(hosts);
        for &host in hosts {
            assert_eq!(count(host), lines, "lines in the access.log of {}", self.name(host));
        }
    }

    /// Sends one more message through each of these hosts and waits until all of them are in the logs of all of
    /// these hosts. Since no message overtakes an earlier one of the same host, whatever a host took before is
    /// there, then.
    ///
    /// # Panics
    /// If that does not come about.
    #[track_caller]
    pub fn fence(&self, hosts: &[usize]) {
        let fences: Vec<_> = hosts.iter().map(|&host| self.send_fence(host)).collect();
        for &host in hosts {
            let name = self.name(host);
            wait_until(&format!("{name} has logged {fences:?}"), || {
                let log = self.newest_access_logs(host);
                fences.iter().all(|fence| log.contains(&format!(" {fence}\n")))
            });
        }
    }

    /// Returns the text.
    #[track_caller]
    fn send_fence(&self, host: usize) -> String {
        self.fences.set(self.fences.get() + 1);
        let fence = format!("{FENCE}{} through {}", self.fences.get(), self.name(host));
        self.client(host).expect(&format!("MSG {fence}"), "OK");
        fence
    }

    /// Waits until a message with this text stands in the logs of these hosts. Sent last through a host, it
    /// comes after everything that was sent through that host before.
    ///
    /// # Panics
    /// If it does not come.
    #[track_caller]
    pub fn wait_for_text(&self, hosts: &[usize], text: &str) {
        for &host in hosts {
            let end = format!(" {text}\n");
            let name = self.name(host);
            wait_until(&format!("{name} has logged {text:?}"), || self.raw_access_logs(host).contains(&end));
        }
    }

    /// Waits until each of these texts stands in the log of each of these hosts, and asserts that it does so once and
    /// that the logs hold the same lines. A fence behind them shows what comes too often, too.
    ///
    /// # Panics
    /// If that is not so.
    #[track_caller]
    pub fn assert_each_once(&self, hosts: &[usize], wanted: &[String]) {
        let has_all = |host| {
            let log = self.all_access_logs(host);
            let counts = counts(&log);
            wanted.iter().all(|text| counts.contains_key(text.as_str()))
        };
        for &host in hosts {
            // If it does not come true, what is missing is named below.
            comes_true(|| has_all(host));
        }
        self.fence(hosts);
        for &host in hosts {
            let log = self.all_access_logs(host);
            let counts = counts(&log);
            let count = |text: &String| counts.get(text.as_str()).copied().unwrap_or(0);
            let wrong: Vec<_> = wanted.iter().filter(|text| count(text) != 1).collect();
            if let Some(first) = wrong.first() {
                panic!(
                    "{} of {} messages do not stand once in the log of {}; {first:?} is the first, {} times",
                    wrong.len(),
                    wanted.len(),
                    self.name(host),
                    count(first)
                );
            }
        }
        self.assert_equal_logs(hosts);
    }

    /// Asserts that the logs of these hosts, rotated pieces included, hold the same lines, each equally often.
    ///
    /// # Panics
    /// If they do not.
    #[track_caller]
    pub fn assert_equal_logs(&self, hosts: &[usize]) {
        let sorted = |host: usize| {
            let log = self.all_access_logs(host);
            let _ = texts(&log);
            let mut lines: Vec<_> = log.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        let first = sorted(hosts[0]);
        for &host in &hosts[1..] {
            let other = sorted(host);
            if let Some((a, b)) = first.iter().zip(&other).find(|(a, b)| a != b) {
                panic!("{} has {a:?} where {} has {b:?}", self.name(hosts[0]), self.name(host));
            }
            assert_eq!(first.len(), other.len(), "lines of {} and {}", self.name(hosts[0]), self.name(host));
        }
    }
}

/// The peer and whether the link to it came up, if that is what this line of an error.log says:
/// `<time> <severity> <peer> UP …` or `… DOWN …`.
fn link_change(line: &str) -> Option<(&str, bool)> {
    let mut words = line.split(' ').skip(2);
    let peer = words.next()?;
    match words.next()? {
        "UP" => Some((peer, true)),
        "DOWN" => Some((peer, false)),
        _ => None,
    }
}

fn without_fences(log: &str) -> String {
    let is_fence = |line: &&str| line.split_once(' ').is_some_and(|(_, text)| text.starts_with(FENCE));
    log.split_inclusive('\n').filter(|line| !is_fence(line)).collect()
}
