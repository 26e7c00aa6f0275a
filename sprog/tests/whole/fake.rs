//! A scripted daemon on 127.0.0.1, the ring.toml that names it, and the real sprog.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a fake daemon does with a connection.
pub(crate) type Script = Box<dyn Fn(&mut Conversation) + Send + Sync>;

/// Lines heard on all connections, in order, and a way to wait for them.
#[derive(Default)]
struct Heard {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

/// A daemon that follows one script per connection and stops listening after the last one.
pub(crate) struct Fake {
    pub(crate) port: u16,
    heard: Arc<Heard>,
}

impl Fake {
    /// One script per connection.
    pub(crate) fn scripted(scripts: Vec<Script>) -> Fake {
        Fake::start(scripts.into_iter())
    }

    /// The same script for every connection.
    pub(crate) fn always(script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Fake {
        let script = Arc::new(script);
        Fake::start(std::iter::repeat_with(move || {
            let script = Arc::clone(&script);
            Box::new(move |c: &mut Conversation| script(c)) as Script
        }))
    }

    /// Answers everything with `OK`.
    pub(crate) fn polite() -> Fake {
        Fake::always(Conversation::be_polite)
    }

    fn start(mut scripts: impl Iterator<Item = Script> + Send + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Heard::default());
        let shared = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut script = scripts.next();
            while let Some(run) = script {
                let stream = listener.accept().unwrap().0;
                script = scripts.next();
                let mut conversation = Conversation::new(stream, Arc::clone(&shared));
                if script.is_none() {
                    // Whoever loses the last connection finds nobody listening.
                    drop(listener);
                    run(&mut conversation);
                    return;
                }
                std::thread::spawn(move || run(&mut conversation));
            }
        });
        Fake { port, heard }
    }

    /// All lines heard so far.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lines.lock().unwrap().clone()
    }

    /// Waits until a line like this was heard, `count` times at least.
    pub(crate) fn wait_for(&self, count: usize, like: &str) {
        let mut lines = self.heard.lines.lock().unwrap();
        while lines.iter().filter(|l| l.starts_with(like)).count() < count {
            let waited = self.heard.more.wait_timeout(lines, PATIENCE).unwrap();
            assert!(!waited.1.timed_out(), "{like:?} was not heard {count} times: {:?}", waited.0);
            lines = waited.0;
        }
    }
}

/// One connection, seen from the daemon.
pub(crate) struct Conversation {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    heard: Arc<Heard>,
}

impl Conversation {
    fn new(stream: TcpStream, heard: Arc<Heard>) -> Conversation {
        let reader = BufReader::new(stream.try_clone().unwrap());
        Conversation { stream, reader, heard }
    }

    /// The next line without its end, bytes that are no UTF-8 shown as U+FFFD; `None` when the client has closed.
    pub(crate) fn hear(&mut self) -> Option<String> {
        let mut line = Vec::new();
        if self.reader.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        let line = line.strip_suffix("\r\n").unwrap_or_else(|| panic!("no CRLF: {line:?}")).to_owned();
        self.heard.lines.lock().unwrap().push(line.clone());
        self.heard.more.notify_all();
        Some(line)
    }

    /// Says a line; a client that is gone does not hear it.
    pub(crate) fn say(&mut self, line: &str) {
        let _ = self.stream.write_all(format!("{line}\r\n").as_bytes());
    }

    /// Hears `HELLO` and agrees.
    pub(crate) fn greet(&mut self) {
        assert!(self.hear().is_none_or(|line| line.starts_with("HELLO ")));
        self.say("OK 0");
    }

    /// Agrees to everything until the client closes.
    pub(crate) fn be_polite(&mut self) {
        while let Some(line) = self.hear() {
            self.say(if line == "KEEPALIVE" { "ACK" } else { "OK" });
        }
    }

    /// Answers each line that begins like this with these lines, and does not know any other.
    pub(crate) fn answer(&mut self, answers: &[(&str, &[&str])]) {
        while let Some(line) = self.hear() {
            let known = answers.iter().find(|(question, _)| line.starts_with(question));
            known
                .map_or(&["ERR 404 no such message"][..], |(_, lines)| lines)
                .iter()
                .for_each(|l| self.say(l));
        }
    }

    /// Hears everything, says nothing.
    pub(crate) fn be_silent(&mut self) {
        while self.hear().is_some() {}
    }
}

/// A port that nobody listens on (tcpmux, long out of use).
pub(crate) const NOBODY: u16 = 1;

/// Another one (discard).
pub(crate) const NOBODY_EITHER: u16 = 9;

/// A directory with a ring.toml of these hosts.
pub(crate) struct Ring {
    dir: tempfile::TempDir,
}

impl Ring {
    pub(crate) fn of(hosts: &[(&str, u16)]) -> Ring {
        let dir = tempfile::tempdir().unwrap();
        let entry = |(i, (name, port)): (usize, &(&str, u16))| {
            let ring_port = 2 + i;
            format!(
                "[[host]]\nname = \"{name}\"\naddress = \"127.0.0.1\"\nring_port = {ring_port}\nclient_port = {port}\n"
            )
        };
        let text: String = hosts.iter().enumerate().map(entry).collect();
        std::fs::write(dir.path().join("ring.toml"), text).unwrap();
        Ring { dir }
    }

    /// The same ring with these settings.
    pub(crate) fn with(self, settings: &str) -> Ring {
        let file = self.path("ring.toml");
        let hosts = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{settings}\n{hosts}")).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command `sprog` with these options, in this directory, its outputs piped.
    pub(crate) fn sprog(&self, options: &str) -> Command {
        sprog_in(self.dir.path(), options)
    }

    pub(crate) fn run(&self, options: &str) -> Output {
        self.sprog(options).output().unwrap()
    }

    /// Runs with this standard input.
    pub(crate) fn run_with(&self, options: &str, input: &[u8]) -> Output {
        let mut child = self.sprog(options).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }
}

pub(crate) fn sprog_in(dir: &Path, options: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sprog"));
    command.args(options.split_whitespace()).current_dir(dir).env_remove("ZOG_CONFIG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Sends a signal.
pub(crate) fn signal(child: &Child, name: &str) {
    let killed = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
}

/// Reads the child's standard error up to a line that contains this.
pub(crate) fn read_until(stderr: &mut impl Read, wanted: &str) {
    let mut seen = String::new();
    let mut byte = [0];
    while !seen.contains(wanted) {
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{wanted:?} is not in {seen:?}");
        seen.push(char::from(byte[0]));
    }
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Checks the exit code; shows everything where it is another one.
pub(crate) fn assert_exit(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}\n{}", stdout(output), stderr(output));
}
