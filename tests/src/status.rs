//! What a host answers to `STATUS`.

use crate::ring::Ring;
use crate::wait::wait_until;

/// The number behind `key=` in a line of a report.
#[must_use]
pub fn field(line: &str, key: &str) -> Option<u64> {
    let value = line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?;
    value.parse().ok()
}

impl Ring {
    /// What a host answers to `STATUS`, without the `+ ` in front and the `OK` behind.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    #[track_caller]
    pub fn status(&self, host: usize) -> Vec<String> {
        self.client(host).report("STATUS").expect("STATUS is answered")
    }

    /// Waits until every one of these hosts says that all others are up and that it lacks nothing, and asserts that
    /// the books balance: of each stream, what it was told of is logged, a repeat, given up, or still missing.
    ///
    /// # Panics
    /// If that is not so.
    #[track_caller]
    pub fn assert_books_balance(&self, hosts: &[usize]) {
        for &host in hosts {
            wait_until(&format!("{} is linked to all and lacks nothing", self.name(host)), || {
                let status = self.status(host);
                let streams = status.iter().filter(|line| line.starts_with("stream "));
                let lacking: u64 = streams.map(|line| number(line, "missing")).sum();
                let up = status.iter().filter(|l| l.starts_with("peer ") && l.contains(" up ")).count();
                lacking == 0 && up + 1 == self.len()
            });
            let status = self.status(host);
            let streams: Vec<_> = status.iter().filter(|line| line.starts_with("stream ")).collect();
            assert!(!streams.is_empty(), "{} knows of no stream: {status:?}", self.name(host));
            for line in streams {
                let parts = ["logged", "repeats", "given_up", "missing"].map(|key| number(line, key));
                let told = number(line, "told");
                assert_eq!(told, parts.iter().sum::<u64>(), "{}: {line}", self.name(host));
            }
        }
    }
}

#[track_caller]
fn number(line: &str, key: &str) -> u64 {
    field(line, key).unwrap_or_else(|| panic!("no {key}= in {line:?}"))
}
