//! A ring of daemons in a directory of its own, each on an address of its own in 127.0.0.0/8.

use crate::binaries;
use crate::connection::Connection;
use crate::daemon::Daemon;
use crate::logs::texts;
use crate::ports::Lease;
use crate::wait::{comes_true, wait_until};
use rustix::process::Signal;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use tempfile::TempDir;

/// What a ring shall be like; its hosts are called A, B, C …
#[derive(Debug)]
pub struct Plan {
    hosts: usize,
    top: String,
    log: String,
    limits: String,
}

impl Plan {
    /// A ring of so many hosts with the default settings.
    #[must_use]
    pub fn of(hosts: usize) -> Plan {
        Plan { hosts, top: String::new(), log: String::new(), limits: String::new() }
    }

    /// Adds a line to the top of ring.toml.
    #[must_use]
    pub fn with(mut self, line: &str) -> Plan {
        let _ = writeln!(self.top, "{line}");
        self
    }

    /// Adds a line to the section `[log]`.
    #[must_use]
    pub fn with_log(mut self, line: &str) -> Plan {
        let _ = writeln!(self.log, "{line}");
        self
    }

    /// Adds a line to the section `[limits]`.
    #[must_use]
    pub fn with_limit(mut self, line: &str) -> Plan {
        let _ = writeln!(self.limits, "{line}");
        self
    }

    /// Writes ring.toml; no daemon runs yet.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn set_up(self) -> Ring {
        let dir = tempfile::Builder::new().prefix("zog-ring-").tempdir().expect("a temporary directory");
        let ports = Lease::take();
        let daemons = (0..self.hosts).map(|_| None).collect();
        let ring = Ring { dir, ports, daemons };
        fs::write(ring.config(), ring.toml(&self)).expect("ring.toml can be written");
        ring
    }

    /// Starts all hosts at once and waits until each is linked to each.
    ///
    /// # Panics
    /// If that does not come about.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Ring {
        let mut ring = self.set_up();
        let all: Vec<_> = (0..ring.len()).collect();
        ring.start_hosts(&all);
        ring
    }
}

/// The ring. When a test that has one fails, everything that its daemons wrote is printed.
#[derive(Debug)]
pub struct Ring {
    dir: TempDir,
    ports: Lease,
    daemons: Vec<Option<Daemon>>,
}

impl Ring {
    /// How many hosts are in ring.toml.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a ring is never empty")]
    pub fn len(&self) -> usize {
        self.daemons.len()
    }

    /// The name of a host.
    #[must_use]
    pub fn name(&self, host: usize) -> String {
        char::from(b'A' + host as u8).to_string()
    }

    /// The directory of the ring.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its ring.toml.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir().join("ring.toml")
    }

    /// A host's directory, in which `state` and `log` are.
    #[must_use]
    pub fn host_dir(&self, host: usize) -> PathBuf {
        self.dir().join(self.name(host))
    }

    /// Where a host's logs are.
    #[must_use]
    pub fn log_dir(&self, host: usize) -> PathBuf {
        self.host_dir(host).join("log")
    }

    /// Where a host listens for its peers.
    #[must_use]
    pub fn ring_address(&self, host: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1 + host as u8], self.ports.port(2 * host)))
    }

    /// Where a host listens for clients.
    #[must_use]
    pub fn client_address(&self, host: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1 + host as u8], self.ports.port(2 * host + 1)))
    }

    /// What peers tell each other to see that they agree on the ring.
    ///
    /// # Panics
    /// Never: the names are good ones.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let names = (0..self.len()).map(|host| self.name(host)).collect();
        pzog::Ring::new(names, pzog::Scheme::Receiver).expect("names of one letter").digest()
    }

    /// The command that runs a host.
    ///
    /// # Panics
    /// If its directory cannot be made.
    #[must_use]
    pub fn command(&self, host: usize) -> Command {
        fs::create_dir_all(self.log_dir(host)).expect("a host's directory");
        let mut command = binaries::zog();
        command.current_dir(self.dir()).arg("run").arg("--config").arg(self.config());
        command.args(["--name", &self.name(host)]);
        command.arg("--state-dir").arg(self.host_dir(host).join("state"));
        command.arg("--log-dir").arg(self.log_dir(host));
        command
    }

    /// A command for `sprog` that knows this ring.
    #[must_use]
    pub fn sprog(&self) -> Command {
        let mut command = binaries::sprog();
        command.current_dir(self.dir()).arg("--config").arg(self.config());
        command
    }

    /// Starts these hosts and waits until all that run are linked.
    ///
    /// # Panics
    /// If that does not come about.
    #[track_caller]
    pub fn start_hosts(&mut self, hosts: &[usize]) {
        self.start_unlinked(hosts);
        self.wait_linked();
    }

    /// Starts these hosts and waits until their ports are open.
    ///
    /// # Panics
    /// If that does not come about.
    #[track_caller]
    pub fn start_unlinked(&mut self, hosts: &[usize]) {
        for &host in hosts {
            self.daemons[host] = Some(Daemon::spawn(&mut self.command(host), &self.host_dir(host)));
        }
        for &host in hosts {
            self.daemon(host).wait_ready();
        }
    }

    /// Starts a host that need not be able to run.
    pub fn spawn(&mut self, host: usize) -> &mut Daemon {
        self.daemons[host] = Some(Daemon::spawn(&mut self.command(host), &self.host_dir(host)));
        self.daemon(host)
    }

    /// A host's daemon.
    ///
    /// # Panics
    /// If none was started.
    #[track_caller]
    pub fn daemon(&mut self, host: usize) -> &mut Daemon {
        self.daemons[host].as_mut().expect("the host was started")
    }

    /// Sends TERM and waits for the end.
    ///
    /// # Panics
    /// If it does not come.
    #[track_caller]
    pub fn stop(&mut self, host: usize) -> ExitStatus {
        self.end(host, Signal::TERM)
    }

    /// Kills a host's daemon as a power switch would, and waits for the end.
    ///
    /// # Panics
    /// If it does not come.
    #[track_caller]
    pub fn kill(&mut self, host: usize) {
        self.end(host, Signal::KILL);
    }

    #[track_caller]
    fn end(&mut self, host: usize, signal: Signal) -> ExitStatus {
        let mut daemon = self.daemons[host].take().expect("the host was started");
        daemon.signal(signal);
        daemon.wait().0
    }

    /// The hosts whose daemons were started and not stopped.
    #[must_use]
    pub fn running(&self) -> Vec<usize> {
        (0..self.len()).filter(|&host| self.daemons[host].is_some()).collect()
    }

    /// A client's connection to a host.
    #[must_use]
    #[track_caller]
    pub fn client(&self, host: usize) -> Connection {
        Connection::to(self.client_address(host))
    }

    /// A peer's connection to a host; nothing is said on it yet.
    #[must_use]
    #[track_caller]
    pub fn peer(&self, host: usize) -> Connection {
        Connection::to(self.ring_address(host))
    }

    /// A host's access.log as it is now.
    #[must_use]
    pub fn access_log(&self, host: usize) -> String {
        read(&self.log_dir(host).join("access.log"))
    }

    /// A host's access.log and all its rotated pieces, those first.
    #[must_use]
    pub fn all_access_logs(&self, host: usize) -> String {
        let entries = fs::read_dir(self.log_dir(host)).expect("the log directory");
        let mut pieces: Vec<_> = entries.map(|e| e.expect("an entry of the log directory").path()).collect();
        pieces.retain(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("access")));
        pieces.sort_by_key(|p| (p.ends_with("access.log"), p.clone()));
        pieces.iter().map(|p| read(p)).collect()
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

    /// Waits until each of these hosts has logged exactly `lines` lines, rotated pieces included.
    ///
    /// # Panics
    /// If a log grows longer or does not get so far.
    #[track_caller]
    pub fn wait_for_lines(&self, hosts: &[usize], lines: usize) {
        for &host in hosts {
            let count = || self.all_access_logs(host).lines().count();
            comes_true(|| count() >= lines);
            assert_eq!(count(), lines, "lines in the access.log of {}", self.name(host));
        }
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
            wait_until(&format!("{name} has logged {text:?}"), || self.all_access_logs(host).contains(&end));
        }
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

    fn toml(&self, plan: &Plan) -> String {
        let mut toml = plan.top.clone();
        for host in 0..plan.hosts {
            let (ring, clients) = (self.ring_address(host), self.client_address(host));
            let _ = write!(
                toml,
                "\n[[host]]\nname = \"{}\"\naddress = \"{}\"\nring_port = {}\nclient_port = {}\n",
                self.name(host),
                ring.ip(),
                ring.port(),
                clients.port()
            );
        }
        let _ = write!(toml, "\n[log]\n{}\n[limits]\n{}", plan.log, plan.limits);
        toml
    }

    fn print_everything(&self) {
        eprintln!("---- ring.toml\n{}", read(&self.config()));
        for host in 0..self.len() {
            for file in ["stdout", "stderr", "log/error.log", "log/access.log"] {
                let text = read(&self.host_dir(host).join(file));
                eprintln!("---- {}/{file}\n{}", self.name(host), end_of(&text));
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_everything();
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

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The last lines of a text that may be very long.
fn end_of(text: &str) -> String {
    const SHOWN: usize = 100;
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
