//! A ring of daemons in a directory of its own, each on an address of its own in 127.0.0.0/8.

mod logs;

pub(crate) use logs::FENCE;

use crate::binaries;
use crate::connection::Connection;
use crate::daemon::Daemon;
use crate::net::Net;
use crate::ports::Lease;
use rustix::process::Signal;
use std::cell::Cell;
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
    journal: String,
    net: bool,
    http: bool,
    open_files: Option<u64>,
}

impl Plan {
    /// A ring of so many hosts with the default settings.
    #[must_use]
    pub fn of(hosts: usize) -> Plan {
        let [top, log, limits, journal] = [const { String::new() }; 4];
        Plan { hosts, top, log, limits, journal, net: false, http: false, open_files: None }
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

    /// Adds a line to the section `[journal]`.
    #[must_use]
    pub fn with_journal(mut self, line: &str) -> Plan {
        let _ = writeln!(self.journal, "{line}");
        self
    }

    /// Allows each daemon only so many open files.
    #[must_use]
    pub fn with_open_files(mut self, files: u64) -> Plan {
        self.open_files = Some(files);
        self
    }

    /// Puts a [`Net`] between the hosts.
    #[must_use]
    pub fn with_net(mut self) -> Plan {
        self.net = true;
        self
    }

    /// Has every host show itself over HTTP.
    #[must_use]
    pub fn with_http(mut self) -> Plan {
        self.http = true;
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
        let open_files = self.open_files;
        let mut ring = Ring { dir, ports, daemons, net: None, open_files, fences: Cell::new(0) };
        if self.net {
            let real: Vec<_> = (0..self.hosts).map(|host| ring.ring_address(host)).collect();
            ring.net = Some(Net::open(&real));
        }
        for host in 0..self.hosts {
            fs::write(ring.host_config(host), ring.toml(&self, Some(host)))
                .expect("ring.toml can be written");
        }
        fs::write(ring.config(), ring.toml(&self, None)).expect("ring.toml can be written");
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
    daemons: Vec<Option<Daemon>>,
    net: Option<Net>,
    open_files: Option<u64>,
    /// How many fences were sent.
    fences: Cell<usize>,
    /// Last: whoever leases them next must find nobody on them.
    ports: Lease,
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

    /// The ring.toml that a host's daemon reads: where a [`Net`] is between them, each finds the others at other
    /// addresses.
    #[must_use]
    pub fn host_config(&self, host: usize) -> PathBuf {
        match self.net {
            Some(_) => self.dir().join(format!("ring-{}.toml", self.name(host))),
            None => self.config(),
        }
    }

    /// The net between the hosts.
    ///
    /// # Panics
    /// If the plan had none.
    #[must_use]
    #[track_caller]
    pub fn net(&self) -> &Net {
        self.net.as_ref().expect("the plan has a net")
    }

    /// A host's directory, in which `state` and `log` are.
    #[must_use]
    pub fn host_dir(&self, host: usize) -> PathBuf {
        self.dir().join(self.name(host))
    }

    /// Where a host's daemon keeps its state.
    #[must_use]
    pub fn state_dir(&self, host: usize) -> PathBuf {
        self.host_dir(host).join("state")
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

    /// Where one host dials another: by way of the net, if there is one.
    #[must_use]
    pub fn dialed(&self, from: usize, to: usize) -> SocketAddr {
        let real = self.ring_address(to);
        if self.net.is_some() { Net::address(from, to, real) } else { real }
    }

    /// Where a host listens for clients.
    #[must_use]
    pub fn client_address(&self, host: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1 + host as u8], self.ports.port(2 * host + 1)))
    }

    /// Where a host shows itself, if the plan says so: hosts at loopback addresses do at their own.
    #[must_use]
    pub fn http_address(&self, host: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1 + host as u8], self.ports.port(2 * self.len() + host)))
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
        let mut command = self.open_files.map_or_else(binaries::zog, binaries::zog_with_open_files);
        command.current_dir(self.dir()).arg("run").arg("--config").arg(self.host_config(host));
        command.args(["--name", &self.name(host)]);
        command.arg("--state-dir").arg(self.state_dir(host));
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

    /// The process id of a host's daemon.
    ///
    /// # Panics
    /// If none was started.
    #[must_use]
    #[track_caller]
    pub fn pid(&self, host: usize) -> u32 {
        self.daemons[host].as_ref().expect("the host was started").pid()
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

    /// Asserts that a host's daemon runs still.
    ///
    /// # Panics
    /// If it has ended by itself.
    #[track_caller]
    pub fn assert_runs(&mut self, host: usize) {
        let name = self.name(host);
        let daemon = self.daemon(host);
        if let Some(status) = daemon.try_wait() {
            panic!("{name} has ended by itself with {status}:\n{}", daemon.stderr());
        }
    }

    /// A client's connection to a host.
    #[must_use]
    #[track_caller]
    pub fn client(&self, host: usize) -> Connection {
        Connection::to(self.client_address(host))
    }

    /// Gives a host so many messages, each answered `OK`, and returns their texts: `<name> 1`, `<name> 2`, …
    ///
    /// # Panics
    /// If one is answered otherwise.
    #[track_caller]
    pub fn send(&self, host: usize, name: &str, messages: usize) -> Vec<String> {
        /// Answers that may be outstanding, so that neither side's buffers fill up.
        const PIPELINED: usize = 100;
        let texts: Vec<_> = (1..=messages).map(|n| format!("{name} {n}")).collect();
        let mut client = self.client(host);
        for some in texts.chunks(PIPELINED) {
            client.send(some.iter().map(|text| format!("MSG {text}\r\n")).collect::<String>());
            for text in some {
                assert_eq!(client.line(), "OK", "the answer to {text:?}");
            }
        }
        texts
    }

    /// A peer's connection to a host; nothing is said on it yet.
    #[must_use]
    #[track_caller]
    pub fn peer(&self, host: usize) -> Connection {
        Connection::to(self.ring_address(host))
    }

    /// As `reader` reads it; without one, as clients do.
    fn toml(&self, plan: &Plan, reader: Option<usize>) -> String {
        let mut toml = plan.top.clone();
        for host in 0..plan.hosts {
            let clients = self.client_address(host);
            let ring = match reader {
                Some(reader) if reader != host => self.dialed(reader, host),
                _ => self.ring_address(host),
            };
            let http = if plan.http { self.http_address(host).port() } else { 0 };
            let _ = write!(
                toml,
                "\n[[host]]\nname = \"{}\"\naddress = \"{}\"\nring_port = {}\nclient_port = {}\nhttp_port = {http}\n",
                self.name(host),
                ring.ip(),
                ring.port(),
                clients.port()
            );
        }
        let _ = write!(toml, "\n[log]\n{}\n[limits]\n{}", plan.log, plan.limits);
        if !plan.journal.is_empty() {
            let _ = write!(toml, "\n[journal]\n{}", plan.journal);
        }
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

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The last lines of a text that may be very long.
fn end_of(text: &str) -> String {
    const SHOWN: usize = 100;
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
