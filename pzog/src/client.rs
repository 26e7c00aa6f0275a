//! Clients (port 55552): what they say and what they are answered.

use crate::ack::Answers;
use crate::broadcast::{OWN, put_version_1};
use crate::event::{ConnId, Outputs, Severity, Slice, Source};
use crate::limits::CLIENT_SKEW_SECONDS;
use crate::node::Node;
use crate::relay::next_hop_of_client;
use crate::report::Refusal;
use crate::session::{At, Noted, REFUSED, Session, Token, content};
use crate::settings::Level;
use crate::text;
use crate::time::{Now, Stamp, Time};
use crate::wire::{ClientHello, ClientLine, LineReader, split_stamp};

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    /// The level it asked for, if it did.
    level: Option<Level>,
    session: Option<Numbering>,
    pub(crate) answers: Answers,
    /// It is in [`Node::waiting`].
    pub(crate) is_waiting: bool,
    /// When its last whole line came.
    last_line: Time,
    /// Anything came.
    has_spoken: bool,
    lines: LineReader,
    /// Nothing more is read; it is closed once it has its answers.
    pub(crate) ending: bool,
}

/// A session, and the number that its next `AT` line takes.
#[derive(Clone, Copy, Debug)]
struct Numbering {
    token: Token,
    /// Known from its first number on: who only says `HELLO` takes no room.
    session: Option<u32>,
    next: u64,
}

impl Node {
    pub(crate) fn client_connected(&mut self, now: Time, conn: ConnId, out: &mut Outputs) {
        let refusal = match () {
            () if self.clients.len() >= self.settings.clients_max => Some(Refusal::ClientsFull),
            () if self.is_stopping() => Some(Refusal::Stopping),
            () => None,
        };
        let client = Client {
            level: None,
            session: None,
            answers: Answers::default(),
            is_waiting: false,
            last_line: now,
            has_spoken: false,
            lines: LineReader::default(),
            ending: refusal.is_some(),
        };
        self.clients.insert(conn, client);
        self.watch_idle(now);
        if let Some(refusal) = refusal {
            self.dismiss(conn, refusal, out);
        }
    }

    pub(crate) fn client_closed(&mut self, conn: ConnId, rest: &[u8], out: &mut Outputs) {
        let Some(client) = self.clients.remove(conn) else { return };
        self.take_token_from(&client, conn);
        if client.is_waiting {
            self.waiting.retain(|c| *c != conn);
        }
        if !rest.is_empty() && !client.lines.skipping && !client.ending {
            self.count_refused(Refusal::Unterminated.reason());
            out.report_refused(Source::Conn(conn), Refusal::Unterminated, rest);
        }
    }

    pub(crate) fn client_finished(&mut self, conn: ConnId, rest: &[u8], out: &mut Outputs) {
        let Some(mut client) = self.clients.take(conn) else { return };
        if !client.ending {
            if !rest.is_empty() && !client.lines.skipping {
                self.refuse(conn, &mut client, Refusal::Unterminated, rest, out);
            }
            self.end_client(conn, &mut client, out);
        }
        self.clients.put(conn, client);
    }

    /// A client has sent something.
    pub(crate) fn client_lines(&mut self, now: Now, conn: ConnId, bytes: &[u8], out: &mut Outputs) -> usize {
        let Some(mut client) = self.clients.take(conn) else { return bytes.len() };
        let mut at = 0;
        client.answers.begin_turn();
        client.has_spoken |= !bytes.is_empty();
        while !client.ending {
            let Some((line, refusal)) = client.lines.next(bytes, &mut at) else { break };
            let line = &bytes[line.range()];
            client.last_line = now.mono;
            match refusal {
                _ if client.answers.are_too_many() => {
                    self.refuse(conn, &mut client, Refusal::TooManyUnanswered, line, out);
                }
                None => self.client_line(now, conn, &mut client, line, out),
                Some(refusal) => self.refuse_raw(conn, &mut client, refusal, line, out),
            }
        }
        let consumed = if client.ending { bytes.len() } else { at };
        self.clients.put(conn, client);
        consumed
    }

    /// A message, or another line, from a client arrives.
    fn client_line(&mut self, now: Now, conn: ConnId, client: &mut Client, line: &[u8], out: &mut Outputs) {
        let done = match ClientLine::parse(line) {
            Some(ClientLine::Msg(text)) => self.client_msg(now, conn, client, text, out),
            Some(ClientLine::At(rest)) => self.client_at(now, conn, client, rest, out),
            Some(ClientLine::Wrapped(wrapping, text)) => {
                self.client_wrapped(now, conn, client, wrapping, text, out)
            }
            Some(ClientLine::Hello(rest)) => self.client_hello(conn, client, rest, out),
            Some(ClientLine::KeepAlive) => {
                self.answer(conn, client, b"ACK\r\n", out);
                Ok(())
            }
            Some(ClientLine::Auth) => {
                self.answer(conn, client, b"OK\r\n", out);
                Ok(())
            }
            Some(ClientLine::Status) => {
                self.client_status(now, conn, client, out);
                Ok(())
            }
            Some(ClientLine::Who(id)) => self.client_who(now.mono, conn, client, id, out),
            Some(ClientLine::Find(text)) => self.client_find(conn, client, text, out),
            Some(ClientLine::Quit) => {
                self.answer(conn, client, b"OK\r\n", out);
                self.end_client(conn, client, out);
                Ok(())
            }
            None => Err(Refusal::UnknownVerb),
        };
        if let Err(refusal) = done {
            self.refuse(conn, client, refusal, line, out);
        }
    }

    /// `MSG <text>`
    fn client_msg(
        &mut self,
        now: Now,
        conn: ConnId,
        client: &mut Client,
        text: &[u8],
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        text::check(text).map_err(Refusal::Text)?;
        let level = client.level.unwrap_or(self.settings.ack);
        self.check_room()?;
        let stamp = self.stamp(now);
        let at = self.publish(&stamp, text, None, level, out);
        self.answer_at(now.mono, conn, client, level, Some(at), out);
        Ok(())
    }

    /// `AT <time> <text>`: as `MSG`, with the client's time; in a session it is numbered.
    fn client_at(
        &mut self,
        now: Now,
        conn: ConnId,
        client: &mut Client,
        rest: &[u8],
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        self.check_room()?;
        // The number is spent even if the line is refused: client and host count the same lines.
        let numbered = self.take_number(client)?;
        let taken = self.take_at(now, conn, client, rest, numbered, out);
        if let (Err(refusal), Some(numbered)) = (taken, numbered) {
            self.note_refused(numbered, refusal);
        }
        taken
    }

    /// The number that a line takes, if it takes one.
    fn take_number(&mut self, client: &mut Client) -> Result<Option<Numbered>, Refusal> {
        let Some(numbering) = &mut client.session else { return Ok(None) };
        let Numbering { token, session, next } = *numbering;
        let session = match session.filter(|s| self.sessions.is(*s, token.as_bytes())) {
            Some(session) => session,
            None => {
                let now = self.running_seconds();
                self.sessions.open_bounded(token, now).ok_or(Refusal::SessionsFull)?
            }
        };
        if self.sessions.get(session).is_some_and(Session::has_too_many_refused) {
            return Err(Refusal::SessionsFull);
        }
        *numbering = Numbering { token, session: Some(session), next: next + 1 };
        Ok(Some(Numbered { session, token, number: next }))
    }

    /// A number whose line every host refuses is used, too: it must not stay a hole for ever. Another host may take
    /// what this one's clock refuses; that message is to be logged here, so its number stays free.
    fn note_refused(&mut self, numbered: Numbered, refusal: Refusal) {
        if refusal.code() != 300 && !matches!(refusal, Refusal::Conflict | Refusal::TimeOff) {
            self.note_number(numbered, REFUSED, None);
        }
    }

    fn note_number(&mut self, numbered: Numbered, content: u64, at: Option<At>) -> Noted {
        let now = self.running_seconds();
        self.sessions.note_bounded(numbered.session, numbered.number, content, at, now)
    }

    /// Whether journal and access.log take messages.
    fn check_room(&self) -> Result<(), Refusal> {
        match () {
            () if self.log_is_held => Err(Refusal::LogHeld),
            () if !self.has_room => Err(Refusal::JournalFull),
            () => Ok(()),
        }
    }

    fn take_at(
        &mut self,
        now: Now,
        conn: ConnId,
        client: &mut Client,
        rest: &[u8],
        numbered: Option<Numbered>,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let (stamp, text) = split_stamp(rest).ok_or(Refusal::BadTime)?;
        let utc_seconds = stamp.utc_seconds().ok_or(Refusal::BadTime)?;
        if utc_seconds.abs_diff(now.utc_seconds) > CLIENT_SKEW_SECONDS {
            return Err(Refusal::TimeOff);
        }
        text::check(text).map_err(Refusal::Text)?;
        let stamp = if planted!(OwnTime) { self.stamp(now) } else { stamp };
        let level = client.level.unwrap_or(self.settings.ack);
        let next = At { stream: OWN, seq: self.streams.get(OWN).journaled + 1 };
        let noted = numbered.map_or(Noted::New, |numbered| {
            self.note_number(numbered, content(stamp.as_bytes(), text), Some(next))
        });
        let at = match noted {
            Noted::New => {
                let numbered = numbered.as_ref().map(|n| (&n.token, n.number));
                Some(self.publish(&stamp, text, numbered, level, out))
            }
            Noted::Repeat(at) => {
                self.counters.repeats += 1;
                self.sync.urgent |= level > Level::Journaled;
                at
            }
            Noted::Conflict => return Err(Refusal::Conflict),
            Noted::TooManyHoles => return Err(Refusal::SessionsFull),
        };
        self.answer_at(now.mono, conn, client, level, at, out);
        Ok(())
    }

    /// `0<text>`, `1<text>`, `2<text>`: reaches exactly the hosts of the wrapping table.
    fn client_wrapped(
        &mut self,
        now: Now,
        conn: ConnId,
        client: &mut Client,
        wrapping: u8,
        text: &[u8],
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        text::check(text).map_err(Refusal::Text)?;
        self.check_room()?;
        let stamp = self.stamp(now);
        // Only this host's own disk counts: there is no third host that could have it.
        let level = client.level.unwrap_or(self.settings.ack).min(Level::Synced);
        self.take_wrapped(wrapping, &stamp, text, level, out)?;
        self.answer_at(now.mono, conn, client, level, None, out);
        Ok(())
    }

    /// Follows the wrapping table for a line without an origin: it is for the next hop, if there is one, and for
    /// this host.
    pub(crate) fn take_wrapped(
        &mut self,
        wrapping: u8,
        stamp: &Stamp,
        text: &[u8],
        level: Level,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let wrapping = if planted!(WrongHop) { wrapping + 1 } else { wrapping };
        let to = if wrapping > 0 { next_hop_of_client(&self.ring, self.me, wrapping) } else { self.me };
        match self.links[to.index()].version_1 {
            // It will never say what it has: it gets this once, now.
            Some(conn) if to != self.me && self.links[to.index()].up.is_none() => {
                self.publish_targeted(self.me, stamp, text, level, out)?;
                put_version_1(conn, text, out);
            }
            _ => self.publish_targeted(to, stamp, text, level, out)?,
        }
        self.counters.taken += 1;
        Ok(())
    }

    /// `HELLO <session> [next=<n>] [ack=<level>]`
    fn client_hello(
        &mut self,
        conn: ConnId,
        client: &mut Client,
        rest: &[u8],
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let hello = ClientHello::parse(rest).ok_or(Refusal::BadHello)?;
        if self.log_is_held {
            return Err(Refusal::LogHeld); // so that it goes elsewhere before it gives us messages
        }
        let session = self.sessions.find(&hello.token);
        let known_upto = session.and_then(|s| self.sessions.get(s)).map_or(0, |s| s.known_upto());
        if session.is_some() && hello.next.is_none() {
            return Err(Refusal::SessionKnown);
        }
        self.give_token(client, hello.token, conn, out);
        client.session = Some(Numbering {
            token: hello.token,
            session,
            next: hello.next.filter(|_| !planted!(NextIgnored)).unwrap_or(1),
        });
        client.level = hello.ack;
        self.answer(conn, client, alloc::format!("OK {known_upto}\r\n").as_bytes(), out);
        Ok(())
    }

    /// The newest connection with a token closes the older one.
    fn give_token(&mut self, client: &Client, token: Token, newest: ConnId, out: &mut Outputs) {
        self.take_token_from(client, newest);
        let older = self.tokens.insert(token, newest);
        if let Some(older) = older.filter(|c| self.clients.get_mut(*c).is_some_and(|c| !c.ending)) {
            self.dismiss(older, Refusal::Replaced, out);
        }
    }

    /// A client leaves the token that it has.
    fn take_token_from(&mut self, client: &Client, conn: ConnId) {
        if let Some(Numbering { token, .. }) = client.session
            && self.tokens.get(&token) == Some(&conn)
        {
            self.tokens.remove(&token);
        }
    }

    /// A line that is not accepted: counted, reported, answered; for a cause that may pass the connection ends.
    fn refuse(
        &mut self,
        conn: ConnId,
        client: &mut Client,
        refusal: Refusal,
        line: &[u8],
        out: &mut Outputs,
    ) {
        self.count_refused(refusal.reason());
        if !planted!(RefusalUnreported) {
            out.report_refused(Source::Conn(conn), refusal, line);
        }
        let text = alloc::format!("ERR {} {refusal}\r\n", refusal.code());
        self.answer_at_length(conn, client, text.as_bytes(), out);
        if refusal.code() == 300 {
            self.end_client(conn, client, out);
        }
    }

    /// A line that was refused before it was looked into.
    fn refuse_raw(
        &mut self,
        conn: ConnId,
        client: &mut Client,
        refusal: Refusal,
        line: &[u8],
        out: &mut Outputs,
    ) {
        let is_numbered = matches!(ClientLine::parse(line), Some(ClientLine::At(_)));
        if is_numbered && let Ok(Some(numbered)) = self.take_number(client) {
            self.note_refused(numbered, refusal);
        }
        self.refuse(conn, client, refusal, line, out);
    }

    /// Ends a client that did nothing wrong in this line.
    fn dismiss(&mut self, conn: ConnId, refusal: Refusal, out: &mut Outputs) {
        let Some(mut client) = self.clients.take(conn) else { return };
        let code = refusal.code();
        out.report(Severity::Info, Source::Conn(conn), format_args!("CLOSED {code} {refusal}"));
        let span = out.put_small(format_args!("ERR {code} {refusal}\r\n"));
        // What it still waits for it will ask for again; this is said at once.
        client.answers.clear();
        if core::mem::take(&mut client.is_waiting) {
            self.waiting.retain(|c| *c != conn);
        }
        out.answer.push((conn, Slice::Small(span)));
        self.end_client(conn, &mut client, out);
        self.clients.put(conn, client);
    }

    /// Reads nothing more from this client and closes it once it has its answers.
    fn end_client(&mut self, conn: ConnId, client: &mut Client, out: &mut Outputs) {
        client.ending = true;
        if client.answers.is_empty() {
            out.close.push(conn);
        }
    }

    pub(crate) fn close_clients_idle_since(&mut self, now: Time, out: &mut Outputs) {
        let (idle, silent) = (self.settings.client_idle, self.settings.first_byte);
        let why = |c: &Client| match now - c.last_line {
            _ if c.ending || !c.answers.is_empty() => None,
            since if !c.has_spoken && since >= silent => Some(Refusal::Silent),
            since => (since >= idle).then_some(Refusal::Idle),
        };
        let conns: alloc::vec::Vec<_> =
            self.clients.iter().filter_map(|(conn, c)| Some((conn, why(c)?))).collect();
        conns.into_iter().for_each(|(conn, why)| self.dismiss(conn, why, out));
    }
}

/// A number that a line has taken.
#[derive(Clone, Copy, Debug)]
struct Numbered {
    session: u32,
    token: Token,
    number: u64,
}
