//! One connection to a host: `HELLO`, then messages out and answers in, until it is lost.

use crate::answer::Answer;
use crate::client::Client;
use crate::inbox::Inbox;
use crate::lane::Lane;
use crate::ledger::{At, Ledger};
use crate::rt;
use crate::run::token;
use crate::session::{Reply, Session};
use crate::stream::Stream;
use futures_lite::future::or;
use pzog::Time;
use std::cell::Cell;
use std::fmt;
use std::time::Duration;

/// Silence is judged at least so often.
const JUDGE_EVERY: Duration = Duration::from_secs(1);

/// How long a connection is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until it is lost.
    Lost,
    /// Until everything is answered.
    Answered,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Everything is answered.
    Answered,
    /// So much of the session was refused that the next connection begins another one.
    WornOut,
    /// It could not be made or was lost, for this reason. It may be tried again.
    Lost(String),
    /// The host does not take the session, for this reason. Trying again changes nothing.
    Refused(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Answered => f.write_str("everything is answered"),
            End::WornOut => f.write_str("many messages were refused; it goes on as another session"),
            End::Lost(why) => f.write_str(why),
            End::Refused(answer) => write!(f, "it refuses the session: {answer}"),
        }
    }
}

/// Dials `host` and says `HELLO` within `limit`, then sends what `lane` has and takes the answers.
pub(crate) async fn connection(
    client: &Client,
    lane: &Lane,
    host: usize,
    limit: Duration,
    until: Until,
) -> End {
    let greeted = rt::timeout(limit, greet(client, lane, host)).await;
    let (stream, inbox) = match greeted {
        Some(Ok(greeted)) => greeted,
        Some(Err(end)) => return end,
        None => return End::Lost(format!("no answer within {limit:.1?}")),
    };
    client.reached();
    if until == Until::Lost {
        client.is_back(lane);
    }
    let connection = Connection {
        client,
        lane,
        host,
        stream: &stream,
        owed_since: Cell::new(None),
        used_at: Cell::new(client.now()),
        keepalive_due: Cell::new(false),
    };
    or(connection.read(inbox, until), connection.write()).await
}

async fn greet(client: &Client, lane: &Lane, host: usize) -> Result<(Stream, Inbox), End> {
    let target = &client.targets[host];
    let lost = |e: std::io::Error| End::Lost(e.to_string());
    let stream = Stream::dial(target).await.map_err(lost)?;
    renew_if_worn_out(client, lane)?;
    let hello = lane.session.borrow_mut().hello(client.ack);
    let mut inbox = Inbox::new();
    if let Some(auth) = &target.auth {
        stream.write(format!("{}\r\n", auth.line()).as_bytes()).await.map_err(lost)?;
        hear_ok(&stream, &mut inbox).await?;
    }
    stream.write(hello.as_bytes()).await.map_err(lost)?;
    hear_ok(&stream, &mut inbox).await?;
    Ok((stream, inbox))
}

/// Hosts would refuse a session that is worn out.
fn renew_if_worn_out(client: &Client, lane: &Lane) -> Result<(), End> {
    let mut session = lane.session.borrow_mut();
    if session.is_worn_out() {
        match token() {
            Ok(token) => session.begin_anew(&token),
            Err(failure) => {
                let why = failure.to_string();
                client.fail(failure);
                return Err(End::Lost(why));
            }
        }
    }
    Ok(())
}

/// Waits for the answer to the token, or to `HELLO`.
async fn hear_ok(stream: &Stream, inbox: &mut Inbox) -> Result<(), End> {
    loop {
        inbox.fill(stream).await.map_err(End::Lost)?;
        if let Some((line, end)) = inbox.line() {
            match Answer::parse(line) {
                Some(Answer::Ok) => {}
                Some(answer @ Answer::Refused(_)) => return Err(End::Refused(answer.to_string())),
                Some(answer @ Answer::ComeAgain(_)) => {
                    return Err(End::Lost(format!("it takes nothing for now: {answer}")));
                }
                _ => {
                    return Err(End::Lost(
                        "what listens there does not speak as a zog daemon does".to_owned(),
                    ));
                }
            }
            inbox.drop(end);
            return Ok(());
        }
    }
}

struct Connection<'a> {
    client: &'a Client,
    lane: &'a Lane,
    host: usize,
    stream: &'a Stream,
    /// Since when an answer is due without any having come.
    owed_since: Cell<Option<Time>>,
    /// When something was written last.
    used_at: Cell<Time>,
    keepalive_due: Cell<bool>,
}

impl Connection<'_> {
    async fn write(&self) -> End {
        let mut out = Vec::new();
        loop {
            self.gather(&mut out);
            // What goes on the wire stands in the log before; where that fails, the run ends.
            if !self.client.commit() {
                std::future::pending::<()>().await;
            }
            if out.is_empty() {
                self.lane.bell.wait().await;
                continue;
            }
            let now = self.client.now();
            self.used_at.set(now);
            self.owed_since.set(self.owed_since.get().or(Some(now)));
            if let Err(e) = self.stream.write(&out).await {
                return End::Lost(e.to_string());
            }
            out.clear();
        }
    }

    fn gather(&self, out: &mut Vec<u8>) {
        let mut session = self.lane.session.borrow_mut();
        let mut ledger = self.client.ledger.borrow_mut();
        let token = session.token();
        session.send(out, |message| ledger.sent(At { host: self.host, session: &token }, message));
        if self.keepalive_due.take() {
            session.keep_alive(out);
        }
    }

    async fn read(&self, mut inbox: Inbox, until: Until) -> End {
        let judge_every = JUDGE_EVERY.min(self.client.silence / 4).min(self.client.keepalive / 4);
        loop {
            if until == Until::Answered && !self.lane.owes() {
                return End::Answered;
            }
            let heard = match rt::timeout(judge_every, inbox.fill(self.stream)).await {
                Some(Ok(())) => self.take_answers(&mut inbox),
                Some(Err(why)) => Err(End::Lost(why)),
                None => self.judge_silence(),
            };
            if let Err(end) = heard {
                return end;
            }
        }
    }

    fn take_answers(&self, inbox: &mut Inbox) -> Result<(), End> {
        let now = self.client.now();
        let mut session = self.lane.session.borrow_mut();
        let mut ledger = self.client.ledger.borrow_mut();
        let taken = inbox.take_lines(|line| self.take_answer(&mut session, &mut ledger, line, now));
        self.owed_since.set(session.is_waiting().then_some(now));
        drop((session, ledger));
        self.client.commit();
        self.client.moved.ring();
        taken
    }

    fn take_answer(
        &self,
        session: &mut Session,
        ledger: &mut Ledger,
        line: &[u8],
        now: Time,
    ) -> Result<(), End> {
        let token = session.token();
        match session.reply(line) {
            Ok(Reply::Answered(message, answer)) => {
                ledger.answered(At { host: self.host, session: &token }, &message, &answer, now);
                if session.is_worn_out() { Err(End::WornOut) } else { Ok(()) }
            }
            Ok(Reply::Alive) => Ok(()),
            Err(broken) => Err(End::Lost(broken.to_string())),
        }
    }

    fn judge_silence(&self) -> Result<(), End> {
        let now = self.client.now();
        match self.owed_since.get() {
            Some(since) if now - since >= self.client.silence => {
                Err(End::Lost(format!("no answer for {:?}", self.client.silence)))
            }
            None if now - self.used_at.get() >= self.client.keepalive => {
                self.keepalive_due.set(true);
                self.lane.bell.ring();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
