//! Asks the hosts of a ring how they stand: `STATUS` on the client port, which every host has open to the others, as
//! HTTP is not unless somebody wants it to be.

use crate::cli::RingArgs;
use crate::clock::since_1970;
use crate::exit::{Exit, Failed};
use crate::reload::Origin;
use crate::tokens;
use pzog::limits::{ANSWER_BYTES_MAX, HOSTS_MAX};
use ringfile::{Host, RingFile, TlsClients};
use ringkeys::{Files, Known, said_plainly, words};
use rustls::StreamOwned;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of an answer that are read: what a host tells at once, and then some.
const ANSWER_MAX: u64 = 2 * ANSWER_BYTES_MAX as u64;

/// One line of an answer: `peer PA up for_s=3`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fact {
    /// The words without a `=`, of which the first says what it is about.
    pub(crate) words: Vec<String>,
    values: BTreeMap<String, String>,
}

impl Fact {
    fn parse(line: &str) -> Fact {
        let (mut words, mut values) = (Vec::new(), BTreeMap::new());
        for word in line.split(' ') {
            match word.split_once('=') {
                Some((key, value)) => drop(values.insert(key.to_owned(), value.to_owned())),
                None => words.push(word.to_owned()),
            }
        }
        Fact { words, values }
    }

    /// A word by its place; nothing where there are fewer.
    pub(crate) fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    /// A value by its key, if the host tells it.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// A number by its key; 0 where the host does not tell it.
    pub(crate) fn number(&self, key: &str) -> u64 {
        self.value(key).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// All numbers with their keys.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (&str, u64)> {
        self.values.iter().filter_map(|(key, value)| Some((key.as_str(), value.parse().ok()?)))
    }
}

/// What a host answered.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) facts: Vec<Fact>,
    /// The wall clock here, in seconds since 1970, when it was asked and when the first of it came.
    pub(crate) asked: f64,
    pub(crate) heard: f64,
}

impl Told {
    #[cfg(test)]
    pub(crate) fn of(lines: &[&str]) -> Told {
        Told { facts: lines.iter().map(|line| Fact::parse(line)).collect(), asked: 0.0, heard: 0.0 }
    }

    /// All lines of a kind.
    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Fact> {
        self.facts.iter().filter(move |fact| fact.word(0) == kind)
    }

    /// What it says of itself.
    pub(crate) fn node(&self) -> Option<&Fact> {
        self.of_kind("node").next()
    }

    /// What it says of its certificate, if it has one.
    pub(crate) fn certificate(&self) -> Option<&Fact> {
        self.of_kind("certificate").next()
    }

    /// For how many seconds that is still valid.
    pub(crate) fn certificate_left(&self) -> Option<u64> {
        self.certificate().map(|certificate| certificate.number("left_s"))
    }

    /// What it says of its link with another host.
    pub(crate) fn peer(&self, name: &str) -> Option<&Fact> {
        self.of_kind("peer").find(|peer| peer.word(1) == name)
    }

    /// The messages that it says to lack itself …
    pub(crate) fn lacks(&self) -> u64 {
        self.of_kind("stream").map(|stream| stream.number("missing")).sum()
    }

    /// … and those that it says another host lacks.
    pub(crate) fn says_lacking(&self, name: &str) -> u64 {
        self.of_kind("mark").filter(|mark| mark.word(1) == name).map(|mark| mark.number("missing")).sum()
    }
}

/// What came of asking a host: what it told, or why it did not.
pub(crate) type Answer = Result<Told, String>;

/// Who asks: by what it knows the hosts, and how long each has to tell everything.
pub(crate) struct Asker {
    /// Where TLS is spoken with them.
    known: Option<Known>,
    patience: Duration,
}

impl Asker {
    /// As ring.toml and the options say.
    pub(crate) fn new(
        args: &RingArgs,
        origin: &Origin,
        file: &RingFile,
        patience: Duration,
    ) -> Result<Asker, Failed> {
        if file.tls_clients != TlsClients::Required {
            return Ok(Asker { known: None, patience });
        }
        let cas = Files::of(&origin.keys(args.keys.as_deref())).cas();
        let failed =
            |why| Failed::new(Exit::Config, format!("{why}; --keys names where the ring's ca.pem is"));
        Ok(Asker { known: Some(Known::load(&cas).map_err(failed)?), patience })
    }
}

/// Asks all hosts at once.
pub(crate) fn ask_all(file: &RingFile, asker: &Asker) -> Vec<Answer> {
    debug_assert!(file.hosts.len() <= HOSTS_MAX);
    let question = question(tokens::own(&file.access).as_deref());
    let ask = |host| ask(host, &question, asker);
    thread::scope(|scope| {
        let asking: Vec<_> = file.hosts.iter().map(|host| scope.spawn(move || ask(host))).collect();
        let gone = || Err("its answer could not be read".to_owned());
        asking.into_iter().map(|asking| asking.join().unwrap_or_else(|_| gone())).collect()
    })
}

/// What a host is asked: all at once, since it is answered in order.
struct Question {
    lines: Vec<u8>,
    /// The first answer is that the token is known.
    has_token: bool,
}

fn question(token: Option<&[u8]>) -> Question {
    let auth = token.iter().flat_map(|token| [b"AUTH ", *token, b"\r\n"]);
    let lines = auth.chain([&b"STATUS\r\nQUIT\r\n"[..]]).flatten().copied().collect();
    Question { lines, has_token: token.is_some() }
}

fn ask(host: &Host, question: &Question, asker: &Asker) -> Answer {
    let deadline = Instant::now() + asker.patience;
    let asked = || {
        let socket = connect(host, deadline)?;
        let timed = Timed { socket: &socket, deadline };
        match &asker.known {
            None => read(timed, question),
            Some(known) => read(protect(timed, known, host)?, question),
        }
    };
    asked().map_err(|e| explain(&e, asker.patience))
}

/// A socket that fails when the time is over, however little comes at a time until then.
struct Timed<'s> {
    socket: &'s TcpStream,
    deadline: Instant,
}

impl Timed<'_> {
    fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(left(self.deadline)?))?;
        self.socket.peek(buffer)
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(left(self.deadline)?))?;
        self.socket.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(left(self.deadline)?))?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Speaks TLS with this host, which has to prove its name.
fn protect<'s>(mut socket: Timed<'s>, known: &Known, host: &Host) -> io::Result<impl Read + Write + 's> {
    let config = known.host(&host.name).map_err(io::Error::other)?;
    let mut tls = ringkeys::dial(config).map_err(io::Error::other)?;
    tls.write_tls(&mut socket)?;
    let mut first = [0; 256];
    let seen = socket.peek(&mut first)?;
    match said_plainly(&first[..seen]) {
        Some(line) => Err(io::Error::other(format!("it speaks no TLS: it said {line}"))),
        None => Ok(StreamOwned::new(tls, socket)),
    }
}

fn explain(e: &io::Error, patience: Duration) -> String {
    match e.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => format!("no answer within {patience:?}"),
        _ => match e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(broken) => words(broken),
            None => e.to_string(),
        },
    }
}

/// What is left of the time, at least a little: none at all would mean for ever.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn connect(host: &Host, deadline: Instant) -> io::Result<TcpStream> {
    let mut error = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in (host.client_address.as_str(), host.client_port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(socket) => return Ok(socket),
            Err(e) => error = e,
        }
    }
    Err(error)
}

/// Asks, and reads the answer.
fn read(mut stream: impl Read + Write, question: &Question) -> io::Result<Told> {
    let asked = since_1970().as_secs_f64();
    stream.write_all(&question.lines)?;
    let mut is_let_in = !question.has_token;
    let mut reader = BufReader::new(stream.take(ANSWER_MAX));
    let mut told = Told { facts: Vec::new(), asked, heard: asked };
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        if told.facts.is_empty() {
            told.heard = since_1970().as_secs_f64();
        }
        let line = printing(line.strip_suffix(b"\r\n").unwrap_or_default());
        match line.strip_prefix("+ ") {
            Some(fact) => told.facts.push(Fact::parse(fact)),
            None if line == "OK" && !is_let_in => is_let_in = true,
            None if line == "OK" && told.node().is_some() => return Ok(told),
            None => return Err(io::Error::other(format!("it said {line:?}, which is no answer to STATUS"))),
        }
    }
}

/// What is harmless to a terminal.
fn printing(bytes: &[u8]) -> String {
    let one = |byte: &u8| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '?' };
    bytes.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Asks a host that answers with these bytes.
    fn answered(bytes: &'static [u8]) -> Answer {
        let asked = question(None);
        assert_eq!(asked.lines, b"STATUS\r\nQUIT\r\n");
        answered_to(&asked, bytes)
    }

    /// A host that is played.
    fn host() -> (Host, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = Host {
            name: "A".into(),
            address: "127.0.0.1".into(),
            ring_port: 1,
            client_address: "127.0.0.1".into(),
            client_port: listener.local_addr().unwrap().port(),
            http_port: None,
            is_retired: false,
        };
        (host, listener)
    }

    fn answered_to(question: &Question, bytes: &'static [u8]) -> Answer {
        let (host, listener) = host();
        let length = question.lines.len();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut asked = vec![0; length];
            socket.read_exact(&mut asked).unwrap();
            socket.write_all(bytes).unwrap();
            asked
        });
        let answer = ask(&host, question, &Asker { known: None, patience: Duration::from_secs(20) });
        assert_eq!(server.join().unwrap(), question.lines);
        answer
    }

    #[test]
    fn a_token_is_said_first_and_answered_first() {
        let asked = || question(Some(b"secret"));
        assert_eq!(asked().lines, b"AUTH secret\r\nSTATUS\r\nQUIT\r\n");
        assert!(answered_to(&asked(), b"OK\r\n+ node A version=1\r\nOK\r\n").is_ok());
        let why = answered_to(&asked(), b"ERR 401 say AUTH\r\n").unwrap_err();
        assert!(why.contains("ERR 401"), "{why}");
    }

    #[test]
    fn an_answer_is_its_facts() {
        let told = answered(
            b"+ node A version=1 bytes=7\r\n+ peer B down for_s=9\r\n+ stream A/1 missing=2\r\n\
              + mark B A/1 missing=3\r\n+ mark B B/1 missing=1\r\nOK\r\n",
        )
        .unwrap();
        let node = told.node().unwrap();
        assert_eq!((node.word(1), node.value("version"), node.number("bytes")), ("A", Some("1"), 7));
        assert_eq!((node.word(9), node.value("x"), node.number("x")), ("", None, 0));
        assert_eq!(told.peer("B").unwrap().word(2), "down");
        assert!(told.peer("C").is_none());
        assert_eq!((told.lacks(), told.says_lacking("B"), told.says_lacking("C")), (2, 4, 0));
    }

    #[test]
    fn a_host_that_answers_a_byte_at_a_time_is_not_waited_for_longer() {
        let (host, listener) = host();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            // One that gives up would otherwise be waited for until all is said: a minute.
            let said = (0..3000).take_while(|_| {
                thread::sleep(Duration::from_millis(20));
                socket.write_all(b"+").is_ok()
            });
            said.count()
        });
        let patience = Duration::from_millis(200);
        let why = ask(&host, &question(None), &Asker { known: None, patience }).unwrap_err();
        assert_eq!(why, "no answer within 200ms");
        assert!(server.join().unwrap() < 3000);
    }

    #[test]
    fn what_is_no_answer_is_told_harmlessly() {
        for bytes in [&b"ERR 300 \x1b[2J\r\n"[..], b"OK\r\n", b"", b"+ node A\r\n+ peer", b"HTTP/1.1 400\r\n"]
        {
            let why = answered(bytes).unwrap_err();
            assert!(why.contains("no answer to STATUS") && !why.contains('\u{1b}'), "{why}");
        }
    }
}
