//! Clients that send without pause through hosts that come and go: what is not answered they repeat through another
//! host, in the same session. They keep account of all that was sent and answered.

mod session;

use crate::random::Random;
use session::Session;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// What a message was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// `OK`: it has reached its level.
    Ok,
    /// `PENDING n/N`: it is on this host's disk.
    Pending,
    /// `ERR`, but for `ERR 300`, which leaves a message unanswered.
    Refused,
}

/// One message, and what became of it.
#[derive(Debug)]
pub struct Message {
    /// The session that it is of.
    pub session: String,
    /// Its number there, from 1.
    pub number: u64,
    /// `YYYYMMDDTHHMMSSZ`.
    pub time: String,
    /// Unlike any other; see [`Message::id`].
    pub text: String,
    /// Whether the text is one that no host may take.
    pub bad: bool,
    /// The hosts that it was given to, in order: more than one where it had to be repeated.
    pub given_to: Vec<usize>,
    /// None where the session was left for good before the answer came.
    pub answer: Option<Answer>,
}

impl Message {
    /// How the text begins: `<session>.<number>`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}.{}", self.session, self.number)
    }
}

/// What the clients see while they run.
#[derive(Debug, Default)]
struct Progress {
    answered: AtomicUsize,
    repeated: AtomicUsize,
    /// No new messages; what is open is repeated until it is answered.
    enough: AtomicBool,
}

/// Clients, each in a thread of its own.
#[derive(Debug)]
pub struct Clients {
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<Vec<Message>>>,
}

impl Clients {
    /// Starts so many clients of these hosts. Each keeps to one acknowledgement level, in turn; sessions are called
    /// `<name>-<client>-<number>`.
    #[must_use]
    pub fn start(hosts: &[SocketAddr], clients: usize, name: &str, random: &mut Random) -> Clients {
        const LEVELS: [&str; 4] = ["journaled", "synced", "majority", "all"];
        let progress = Arc::new(Progress::default());
        let threads = (0..clients).map(|client| {
            let session = Session::new(
                hosts.to_vec(),
                format!("{name}-{client}"),
                LEVELS[client % LEVELS.len()],
                random.split(),
                progress.clone(),
            );
            thread::spawn(move || session.run())
        });
        Clients { threads: threads.collect(), progress: progress.clone() }
    }

    /// How many messages were answered so far.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.progress.answered.load(Ordering::Relaxed)
    }

    /// How often a message was given to a host again so far.
    #[must_use]
    pub fn repeated(&self) -> usize {
        self.progress.repeated.load(Ordering::Relaxed)
    }

    /// Sends nothing new, waits until all that is open has an answer, and gives account of everything.
    ///
    /// # Panics
    /// If a client has seen something that no daemon may say.
    #[must_use]
    pub fn stop(self) -> Vec<Message> {
        self.progress.enough.store(true, Ordering::Relaxed);
        let accounts = self.threads.into_iter().map(|thread| thread.join().expect("a client's thread"));
        accounts.flatten().collect()
    }
}
