//! One client: its session, its connection, and what is open.

use super::{Answer, Message, Progress};
use crate::random::Random;
use pzog::Stamp;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Messages that may be unanswered before the client waits for answers.
const WINDOW: usize = 64;

/// Messages that are written at once, at most.
const BATCH: u64 = 16;

/// A host that leaves everything unanswered for so long is given up. Longer than the rings' `ack_timeout`.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is open at the end has to be answered within this time.
const LAST_ANSWERS: Duration = Duration::from_secs(60);

/// A client and all that it has sent.
pub(super) struct Session {
    hosts: Vec<SocketAddr>,
    name: String,
    level: &'static str,
    random: Random,
    progress: Arc<Progress>,
    /// How many sessions this client has left for good.
    left: usize,
    /// The number of the last message of this session.
    last: u64,
    /// Unanswered, oldest first.
    open: VecDeque<Message>,
    done: Vec<Message>,
}

/// A connection to a host.
struct Line {
    host: usize,
    stream: TcpStream,
    answers: BufReader<TcpStream>,
}

impl Session {
    pub(super) fn new(
        hosts: Vec<SocketAddr>,
        name: String,
        level: &'static str,
        random: Random,
        progress: Arc<Progress>,
    ) -> Session {
        let (open, done) = (VecDeque::new(), Vec::new());
        Session { hosts, name, level, random, progress, left: 0, last: 0, open, done }
    }

    /// From host to host, until it is enough and everything is answered.
    pub(super) fn run(mut self) -> Vec<Message> {
        let mut deadline = None;
        while !(self.is_enough() && self.open.is_empty()) {
            if self.is_enough() {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + LAST_ANSWERS);
                assert!(
                    Instant::now() < deadline,
                    "{} messages of {} are still unanswered, {:?} first",
                    self.open.len(),
                    self.name,
                    self.open[0]
                );
            }
            // How a connection ends does not matter: what is open is repeated over the next one.
            if self.one_connection().is_err() {
                thread::sleep(Duration::from_millis(self.random.below(50)));
                self.may_leave_the_session();
            }
        }
        self.done
    }

    fn is_enough(&self) -> bool {
        self.progress.enough.load(Ordering::Relaxed)
    }

    fn token(&self) -> String {
        format!("{}-{}", self.name, self.left)
    }

    /// Some clients die themselves. What they left open nobody repeats.
    fn may_leave_the_session(&mut self) {
        if !self.is_enough() && !self.open.is_empty() && self.random.once_in(10) {
            self.done.extend(self.open.drain(..));
            self.left += 1;
            self.last = 0;
        }
    }

    fn one_connection(&mut self) -> io::Result<()> {
        let mut line = self.connect()?;
        self.repeat(&mut line)?;
        loop {
            if self.is_enough() {
                while !self.open.is_empty() {
                    self.take_answer(&mut line)?;
                }
                return Ok(());
            }
            self.send_some(&mut line)?;
            let left_open = self.random.below(WINDOW as u64) as usize;
            while self.open.len() > left_open {
                self.take_answer(&mut line)?;
            }
            if self.random.once_in(100) {
                // As if this client's network were gone.
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            thread::sleep(Duration::from_millis(self.random.below(40)));
        }
    }

    fn connect(&mut self) -> io::Result<Line> {
        let host = self.random.below(self.hosts.len() as u64) as usize;
        let stream = TcpStream::connect(self.hosts[host])?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let answers = BufReader::new(stream.try_clone()?);
        let mut line = Line { host, stream, answers };
        let next = self.open.front().map_or(self.last + 1, |message| message.number);
        write!(line.stream, "HELLO {} next={next} ack={}\r\n", self.token(), self.level)?;
        let answer = line.next()?;
        assert!(
            answer.starts_with("OK ") || answer.starts_with("ERR 300 "),
            "the answer to HELLO {} next={next}: {answer}",
            self.token()
        );
        if answer.starts_with("OK ") { Ok(line) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
    }

    /// Gives what is open to this host, too.
    fn repeat(&mut self, line: &mut Line) -> io::Result<()> {
        let mut lines = String::new();
        for message in &mut self.open {
            message.given_to.push(line.host);
            lines += &message.line();
        }
        self.progress.repeated.fetch_add(self.open.len(), Ordering::Relaxed);
        line.stream.write_all(lines.as_bytes())
    }

    fn send_some(&mut self, line: &mut Line) -> io::Result<()> {
        let mut lines = String::new();
        for _ in 0..=self.random.below(BATCH) {
            let mut message = self.new_message();
            message.given_to.push(line.host);
            lines += &message.line();
            // Written or not: it is open from here on.
            self.open.push_back(message);
        }
        line.stream.write_all(lines.as_bytes())
    }

    fn new_message(&mut self) -> Message {
        self.last += 1;
        let bad = self.random.once_in(50);
        let length = if self.random.once_in(10) { self.random.below(400) } else { self.random.below(40) };
        let mut message = Message {
            session: self.token(),
            number: self.last,
            time: now(),
            text: String::new(),
            bad,
            given_to: Vec::new(),
            answer: None,
        };
        message.text =
            format!("{} {}{}", message.id(), if bad { "\t" } else { "." }, "x".repeat(length as usize));
        message
    }

    fn take_answer(&mut self, line: &mut Line) -> io::Result<()> {
        let answer = line.next()?;
        let answer = match answer.split(' ').next() {
            Some("OK") => Answer::Ok,
            Some("PENDING") => Answer::Pending,
            Some("ERR") if answer.starts_with("ERR 300 ") => {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Some("ERR") => Answer::Refused,
            _ => panic!("{:?} was answered {answer:?}", self.open.front()),
        };
        let mut message = self.open.pop_front().expect("an answer to an open message");
        assert_eq!(answer == Answer::Refused, message.bad, "{message:?} was answered {answer:?}");
        message.answer = Some(answer);
        self.done.push(message);
        self.progress.answered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Line {
    fn next(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        // What is cut off in the middle was not said.
        line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Message {
    fn line(&self) -> String {
        format!("AT {} {}\r\n", self.time, self.text)
    }
}

fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    Stamp::of_utc_seconds(now.as_secs()).to_string()
}
