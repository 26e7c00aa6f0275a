//! A client that sends without pause while a test does something to the daemons.

use crate::connection::Connection;
use crate::wait::wait_until;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// Messages that are sent in one write, before their answers are read.
const BATCH: usize = 16;

/// What became of the messages of a [`Load`].
#[derive(Debug, Default)]
pub struct Sent {
    /// The texts that were answered `OK`, in their order.
    pub ok: Vec<String>,
    /// The texts that were not answered, because the connection ended.
    pub unanswered: Vec<String>,
}

/// A client in a thread of its own.
#[derive(Debug)]
pub struct Load {
    answered: Arc<AtomicUsize>,
    enough: Arc<AtomicBool>,
    thread: JoinHandle<Sent>,
}

impl Load {
    /// Sends `MSG <name> 1`, `MSG <name> 2`, … to a client port until [`Load::stop`] or the end of the connection.
    #[must_use]
    pub fn start(clients: SocketAddr, name: &str) -> Load {
        let answered = Arc::new(AtomicUsize::new(0));
        let enough = Arc::new(AtomicBool::new(false));
        let sender = Sender {
            connection: Connection::to(clients),
            name: name.to_owned(),
            answered: answered.clone(),
            enough: enough.clone(),
        };
        Load { answered, enough, thread: thread::spawn(move || sender.run()) }
    }

    /// Waits until so many more messages are answered `OK`.
    ///
    /// # Panics
    /// If that does not happen in time.
    #[track_caller]
    pub fn go_on_for(&self, messages: usize) {
        let goal = self.answered.load(Ordering::Relaxed) + messages;
        wait_until("the load is answered", || self.answered.load(Ordering::Relaxed) >= goal);
    }

    /// Ends the load and says what became of it.
    ///
    /// # Panics
    /// If a message was answered with anything but `OK`.
    #[must_use]
    pub fn stop(self) -> Sent {
        self.enough.store(true, Ordering::Relaxed);
        self.until_closed()
    }

    /// Waits until the daemon ends the connection and says what became of the load.
    ///
    /// # Panics
    /// If a message was answered with anything but `OK`.
    #[must_use]
    pub fn until_closed(self) -> Sent {
        self.thread.join().expect("every answer is OK")
    }
}

struct Sender {
    connection: Connection,
    name: String,
    answered: Arc<AtomicUsize>,
    enough: Arc<AtomicBool>,
}

impl Sender {
    fn run(mut self) -> Sent {
        let mut sent = Sent::default();
        let mut next = 1;
        while !self.enough.load(Ordering::Relaxed) {
            let batch: Vec<_> = (next..next + BATCH).map(|n| format!("{} {n}", self.name)).collect();
            next += BATCH;
            if !self.send_batch(batch, &mut sent) {
                break;
            }
        }
        sent
    }

    /// Whether the connection lasted.
    fn send_batch(&mut self, batch: Vec<String>, sent: &mut Sent) -> bool {
        let lines: String = batch.iter().map(|text| format!("MSG {text}\r\n")).collect();
        // A write that fails may have been read in part: what has no answer counts as unanswered.
        let mut open = self.connection.try_send(lines).is_ok();
        for text in batch {
            match self.connection.next_line().as_deref() {
                Some("OK") => {
                    sent.ok.push(text);
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Some(other) => panic!("{text:?} was answered {other:?}"),
                None => {
                    sent.unanswered.push(text);
                    open = false;
                }
            }
        }
        open
    }
}
