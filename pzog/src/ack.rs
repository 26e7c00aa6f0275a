//! Answers: in the order of the lines, each as soon as its level is reached.

use crate::client::Client;
use crate::event::{ConnId, Outputs, Slice};
use crate::limits::{ANSWER_BYTES_MAX, ANSWERS_MAX};
use crate::link::Link;
use crate::node::Node;
use crate::session::At;
use crate::settings::Level;
use crate::stream::Numbers;
use crate::time::Time;
use alloc::boxed::Box;
use alloc::collections::VecDeque;

/// What a client waits for, in order.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    queue: VecDeque<Answer>,
    /// Bytes of the texts in it.
    queued_bytes: usize,
    /// Bytes of facts and refusals that were told in this turn.
    told_bytes: usize,
    /// The last search.
    searches: u32,
}

#[derive(Debug)]
enum Answer {
    /// So many `OK`s once this is so far.
    Reached(Awaited, u32),
    /// This, once what is before it has gone.
    Text(Box<[u8]>),
    /// What a search that is under way will find.
    Found(u32),
}

/// How far a message must come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Awaited {
    level: Level,
    /// So many records of the journal must be synced.
    written: u64,
    /// Other hosts must have synced the messages up to this one; `None` where it is not known any more where it stands.
    at: Option<At>,
    /// The first of the messages that wait together.
    first: u64,
    since: Time,
}

/// How far messages have come.
enum Progress {
    Reached,
    /// Not yet; by this time it is too slow, if other hosts are waited for.
    Waiting(Option<Time>),
    /// Too slow: so many of so many hosts have it.
    Pending(usize, usize),
}

impl Answers {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn are_too_many(&self) -> bool {
        self.queue.len() > ANSWERS_MAX || self.queued_bytes + self.told_bytes > ANSWER_BYTES_MAX
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
    }

    pub(crate) fn begin_turn(&mut self) {
        self.told_bytes = 0;
    }

    fn push_text(&mut self, text: &[u8]) {
        self.queued_bytes += text.len();
        self.queue.push_back(Answer::Text(text.into()));
    }

    /// The answer to a search: what comes behind it waits. Returns the number of the search.
    pub(crate) fn push_search(&mut self) -> u32 {
        self.searches = self.searches.wrapping_add(1);
        self.queue.push_back(Answer::Found(self.searches));
        self.searches
    }

    /// What a search has found.
    pub(crate) fn set_found(&mut self, search: u32, text: &[u8]) {
        let is_it = |answer: &&mut Answer| matches!(answer, Answer::Found(id) if *id == search);
        if let Some(answer) = self.queue.iter_mut().find(is_it) {
            *answer = Answer::Text(text.into());
            self.queued_bytes += text.len();
        }
    }

    /// One more `OK`, joined with the last if they wait for the same. What the sync under way covers
    /// (`covered` lines) is not joined with what it does not: it would wait for the next one.
    fn push_ok(&mut self, awaited: Awaited, covered: u64) {
        if let Some(Answer::Reached(last, count)) = self.queue.back_mut() {
            let stream = |awaited: &Awaited| awaited.at.map(|at| at.stream);
            let same_turn = last.since == awaited.since && stream(last) == stream(&awaited);
            let same_sync = last.written > covered && awaited.level <= Level::Synced;
            if last.level == awaited.level && (same_turn || same_sync) {
                let behind = |at: At| At { seq: at.seq.max(last.at.map_or(0, |last| last.seq)), ..at };
                let (since, first) = (last.since, last.first.min(awaited.first));
                *last = Awaited { since, first, at: awaited.at.map(behind), ..awaited };
                *count += 1;
                return;
            }
        }
        self.queue.push_back(Answer::Reached(awaited, 1));
    }
}

impl Node {
    /// Answers with this text, in its turn.
    pub(crate) fn answer(&mut self, conn: ConnId, client: &mut Client, text: &[u8], out: &mut Outputs) {
        if client.answers.is_empty() {
            put_answer(conn, text, out);
        } else {
            client.answers.push_text(text);
        }
    }

    /// Answers with facts or a refusal, which are many bytes for a few.
    pub(crate) fn answer_at_length(
        &mut self,
        conn: ConnId,
        client: &mut Client,
        text: &[u8],
        out: &mut Outputs,
    ) {
        client.answers.told_bytes += text.len();
        self.answer(conn, client, text, out);
    }

    /// Answers `OK` once a message that was just logged has reached its level.
    pub(crate) fn answer_at(
        &mut self,
        now: Time,
        conn: ConnId,
        client: &mut Client,
        level: Level,
        at: Option<At>,
        out: &mut Outputs,
    ) {
        if level == Level::Journaled && client.answers.is_empty() {
            return push_oks(conn, 1, out);
        }
        // What this turn has journaled so far will be the next record.
        let written = self.sync.written + u64::from(self.journal.has_record());
        let awaited = Awaited { level, written, at, first: at.map_or(0, |at| at.seq), since: now };
        self.release |= self.sync.synced >= written;
        client.answers.push_ok(awaited, self.sync.covered());
        self.await_answers(conn, client);
    }

    /// A client waits for answers.
    pub(crate) fn await_answers(&mut self, conn: ConnId, client: &mut Client) {
        if !core::mem::replace(&mut client.is_waiting, true) {
            self.waiting.push(conn);
        }
    }

    /// Gives all clients the answers that are due.
    pub(crate) fn release_answers(&mut self, now: Time, out: &mut Outputs) {
        self.release = false;
        self.overdue_at = None;
        let mut waiting = core::mem::take(&mut self.waiting);
        waiting.retain(|conn| {
            let Some(mut client) = self.clients.take(*conn) else { return false };
            self.release_answers_of(now, *conn, &mut client, out);
            client.is_waiting = !client.answers.is_empty();
            if client.ending && !client.is_waiting {
                out.close.push(*conn);
            }
            let still = client.is_waiting;
            self.clients.put(*conn, client);
            still
        });
        self.waiting = waiting;
    }

    fn release_answers_of(&mut self, now: Time, conn: ConnId, client: &mut Client, out: &mut Outputs) {
        while let Some(answer) = client.answers.queue.pop_front() {
            match answer {
                Answer::Text(text) => {
                    client.answers.queued_bytes -= text.len();
                    put_answer(conn, &text, out);
                }
                Answer::Found(_) => return client.answers.queue.push_front(answer),
                Answer::Reached(awaited, count) => match self.progress(now, awaited) {
                    Progress::Reached => push_oks(conn, count, out),
                    Progress::Pending(have, needed) => {
                        for _ in 0..count {
                            let span = out.put_small(format_args!("PENDING {have}/{needed}\r\n"));
                            out.answer.push((conn, Slice::Small(span)));
                        }
                    }
                    Progress::Waiting(overdue_at) => {
                        self.watch_overdue(overdue_at);
                        client.answers.queue.push_front(answer);
                        return;
                    }
                },
            }
        }
    }

    fn watch_overdue(&mut self, at: Option<Time>) {
        self.overdue_at = [self.overdue_at, at].into_iter().flatten().min();
    }

    fn progress(&self, now: Time, awaited: Awaited) -> Progress {
        let here = self.sync.synced >= awaited.written;
        let needed = match awaited.level {
            // Its line may be one of those that are held back.
            _ if self.log_is_held => return Progress::Waiting(None),
            Level::Journaled => return Progress::Reached,
            _ if planted!(AnswerBeforeSync) => return Progress::Reached,
            Level::Synced if here => return Progress::Reached,
            // Whatever the level, this host's own disk comes first; the end of the sync calls again.
            _ if !here => return Progress::Waiting(None),
            Level::Synced | Level::Majority => self.ring.len() / 2 + 1,
            Level::All => self.ring.len(),
        };
        let have = awaited
            .at
            .map_or(1, |at| self.count_who_has(at.stream, Numbers { from: awaited.first, to: at.seq }));
        let overdue_at = awaited.since + self.settings.ack_timeout;
        match have {
            have if have >= needed => Progress::Reached,
            have if awaited.at.is_none() || overdue_at <= now => Progress::Pending(have, needed),
            _ => Progress::Waiting(Some(overdue_at)),
        }
    }

    /// How many hosts, this one too, have these messages on their disks: a watermark covers what was passed over, too.
    fn count_who_has(&self, stream: u32, numbers: Numbers) -> usize {
        let is_whole = |passed: Option<Numbers>| {
            planted!(PassedOverCounted) || !passed.is_some_and(|passed| passed.meet(numbers))
        };
        let told = |link: &&Link| {
            let told = link.told(stream);
            let reached = if planted!(LevelsCountJournaled) { told.journaled } else { told.synced };
            reached >= numbers.to && is_whole(told.passed)
        };
        let here = usize::from(is_whole(self.streams.get(stream).passed));
        here + self.links.iter().filter(told).count()
    }
}

fn push_oks(conn: ConnId, count: u32, out: &mut Outputs) {
    match out.answer.last_mut() {
        Some((last, Slice::Oks(n))) if *last == conn => *n += count,
        _ => out.answer.push((conn, Slice::Oks(count))),
    }
}

fn put_answer(conn: ConnId, text: &[u8], out: &mut Outputs) {
    let slice = out.put_bytes(&[text]);
    out.answer.push((conn, slice));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Recovered;
    use crate::{HostIndex, Identity, Input, Now, Ring, Scheme, Settings};
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn a_client_cannot_pile_up_answers_behind_one_that_waits() {
        let names = vec![String::from("MV"), String::from("PA")];
        let ring = Ring::new(names, Scheme::Receiver).unwrap();
        let me = Identity { ring, me: HostIndex(0), incarnation: 1, process: 1, seed: 1 };
        let mut node = Node::new(me, Settings::default(), Recovered::default());
        let (conn, mut out) = (ConnId(0), Outputs::default());
        let now = Now { mono: Time(0), utc_seconds: 0 };
        node.handle(now, Input::ClientConnected { conn }, &mut out);
        let mut bytes = b"HELLO t ack=all\r\nMSG waits for PA\r\n".to_vec();
        bytes.extend(b"KEEPALIVE\r\n".repeat(2 * ANSWERS_MAX));
        assert_eq!(node.handle(now, Input::ClientLines { conn, bytes: &bytes }, &mut out), bytes.len());
        let client = node.clients.get_mut(conn).unwrap();
        assert!(client.ending, "it is read no more");
        assert!(client.answers.queue.len() <= ANSWERS_MAX + 2);
        assert_eq!(node.counters().refused, 1);
    }

    #[test]
    fn while_access_log_is_held_no_message_is_taken_or_answered_and_facts_are_told() {
        let ring = Ring::new(vec![String::from("MV")], Scheme::Receiver).unwrap();
        let me = Identity { ring, me: HostIndex(0), incarnation: 1, process: 1, seed: 1 };
        let mut node = Node::new(me, Settings::default(), Recovered::default());
        let mut out = Outputs::default();
        let mut turn = |input: Input<'_>| {
            node.handle(Now { mono: Time(0), utc_seconds: 0 }, input, &mut out);
            let text = |slice: &Slice| match slice {
                Slice::Oks(count) => b"OK\r\n".repeat(*count as usize),
                slice => out.bytes(*slice, &[]).to_vec(),
            };
            let told = |(conn, slice): &(ConnId, Slice)| (conn.0, String::from_utf8(text(slice)).unwrap());
            out.answer.iter().map(told).collect::<Vec<_>>()
        };
        let nothing: Vec<(u32, String)> = vec![];
        let (alice, bob) = (ConnId(0), ConnId(1));
        turn(Input::ClientConnected { conn: alice });
        turn(Input::ClientConnected { conn: bob });
        assert_eq!(turn(Input::ClientLines { conn: alice, bytes: b"MSG hello\r\n" }), nothing);
        assert_eq!(turn(Input::LogHeld { is_held: true }), nothing);
        assert_eq!(turn(Input::Synced), nothing, "the line may not be in access.log");
        assert_eq!(turn(Input::ClientLines { conn: alice, bytes: b"STATUS\r\n" }), nothing, "in its turn");
        let told = turn(Input::ClientLines { conn: bob, bytes: b"STATUS\r\n" });
        assert!(told[0].1.contains(" access_log=halted "), "{told:?}");
        let told = turn(Input::ClientLines { conn: bob, bytes: b"MSG refused\r\n" });
        assert_eq!(told, [(1, String::from("ERR 300 access.log cannot be written\r\n"))]);
        let told = turn(Input::LogHeld { is_held: false });
        assert!(told[0] == (0, String::from("OK\r\n")) && told[1].1.starts_with("+ node MV "), "{told:?}");
    }
}
