//! The clients: one thread that sends as fast as the window lets it, or at a rate, over any number of connections.

use crate::dialect::{Answers, Dialect};
use crate::interrupt;
use crate::message::{Message, now};
use anyhow::{Context, Result, bail};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{self, PollFd, PollFlags};
use rustix::fd::OwnedFd;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What is sent, and to whom.
#[derive(Clone, Debug)]
pub struct Load {
    /// How it is said.
    pub dialect: Dialect,
    /// Where each client connects.
    pub entrances: Vec<SocketAddr>,
    /// The number of the first client; the others follow.
    pub first_client: u16,
    /// Messages of each client.
    pub each: u32,
    /// Bytes of a message.
    pub size: usize,
    /// Messages of one client that may be unanswered.
    pub window: u32,
    /// Messages of one client a second; `None`: as many as go.
    pub rate: Option<u32>,
}

/// What came of it. The connections stay open until this is dropped.
#[derive(Debug)]
pub struct Sent {
    /// When the first byte was sent: nanoseconds since 1970.
    pub first: u64,
    /// What the clients themselves took of a processor.
    pub cpu: Duration,
    /// How far behind its rate a client was at worst: its own sleep, or a system that took nothing.
    pub late: Duration,
    _clients: Vec<Client>,
}

/// Sends all of it. Ends when everything is sent and answered, or nothing moves for so long.
pub fn send(load: &Load, patience: Duration) -> Result<Sent> {
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut clients: Vec<Client> =
        (0..load.entrances.len()).map(|index| Client::connect(load, index, &poll)).collect::<Result<_>>()?;
    let cpu_before = own_cpu();
    let first = now();
    drive(load, &poll, &mut clients, first, patience)?;
    let cpu = own_cpu() - cpu_before;
    let late = clients.iter().map(|client| client.late).max().unwrap_or_default();
    Ok(Sent { first, cpu, late: Duration::from_nanos(late), _clients: clients })
}

fn drive(load: &Load, poll: &OwnedFd, clients: &mut [Client], start: u64, patience: Duration) -> Result<()> {
    let mut events = Vec::with_capacity(clients.len().min(1024));
    let mut input = vec![0; CHUNK];
    let mut unfinished = clients.len();
    let mut moved = start;
    while unfinished > 0 {
        interrupt::check()?;
        let now = now();
        if Duration::from_nanos(now.saturating_sub(moved)) > patience {
            bail!("{unfinished} clients have waited {} s for answers", patience.as_secs());
        }
        events.clear();
        wait(poll, &mut events, &pause(load, clients, start))?;
        for event in &events {
            let index = event.data.u64() as usize;
            moved = now;
            unfinished -= usize::from(clients[index].turn(load, poll, start, &mut input, event.flags)?);
        }
        if load.rate.is_some() {
            for client in clients.iter_mut().filter(|client| !client.is_done) {
                unfinished -= usize::from(client.turn(load, poll, start, &mut input, EventFlags::empty())?);
            }
        }
    }
    Ok(())
}

/// Waits for clients that can go on. `epoll_wait` alone would round a pause up to whole milliseconds, in which many messages
/// become due, and only clients that are not answered would be late by that.
fn wait(poll: &OwnedFd, events: &mut Vec<epoll::Event>, pause: &Timespec) -> Result<()> {
    event::poll(&mut [PollFd::new(poll, PollFlags::IN)], Some(pause))?;
    epoll::wait(poll, rustix::buffer::spare_capacity(events), Some(&Timespec::default()))?;
    Ok(())
}

/// How long to wait at most: until the next message is due, where there is a rate.
fn pause(load: &Load, clients: &[Client], start: u64) -> Timespec {
    let longest = Duration::from_millis(100);
    let until = |rate: u32| {
        let earliest = clients.iter().filter(|c| !c.is_done && c.made < load.each).map(|c| c.made).min();
        let due = earliest.map_or(u64::MAX, |made| start + u64::from(made) * 1_000_000_000 / u64::from(rate));
        Duration::from_nanos(due.saturating_sub(now())).min(longest)
    };
    let wait = load.rate.map_or(longest, until);
    Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) }
}

/// Bytes that are made, and read, at a time.
const CHUNK: usize = 64 << 10;

#[derive(Debug)]
struct Client {
    index: usize,
    number: u16,
    stream: TcpStream,
    before: Vec<u8>,
    behind: &'static [u8],
    /// Bytes to be sent, from `sent` on.
    output: Vec<u8>,
    sent: usize,
    /// Messages made so far, answered so far.
    made: u32,
    answered: u32,
    answers: Answers,
    /// How many messages had been made at each batch that is not answered yet.
    batches: VecDeque<u32>,
    waits_for_room: bool,
    is_done: bool,
    /// How far behind its rate it was at worst: nanoseconds.
    late: u64,
}

impl Client {
    fn connect(load: &Load, index: usize, poll: &OwnedFd) -> Result<Client> {
        let entrance = load.entrances[index];
        let number = load.first_client + index as u16;
        let mut stream =
            TcpStream::connect(entrance).with_context(|| format!("{entrance} cannot be reached"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        load.dialect.greet(number, &mut stream).with_context(|| format!("{entrance} does not answer"))?;
        stream.set_nonblocking(true)?;
        let flags = EventFlags::IN | EventFlags::OUT;
        epoll::add(poll, &stream, EventData::new_u64(index as u64), flags)?;
        let (before, behind) = load.dialect.frame(number, load.size);
        Ok(Client {
            index,
            number,
            stream,
            before,
            behind,
            output: Vec::with_capacity(CHUNK + 1024),
            sent: 0,
            made: 0,
            answered: 0,
            answers: Answers::new(load.dialect),
            batches: VecDeque::new(),
            waits_for_room: true,
            is_done: false,
            late: 0,
        })
    }

    /// Reads what is there, then makes and sends one chunk at most. Whether all is done with this turn.
    fn turn(
        &mut self,
        load: &Load,
        poll: &OwnedFd,
        start: u64,
        input: &mut [u8],
        flags: EventFlags,
    ) -> Result<bool> {
        if self.is_done {
            return Ok(false);
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.read(load, input)?;
        }
        if self.sent == self.output.len() {
            self.make(load, start);
        }
        self.write()?;
        self.is_done = self.sent == self.output.len()
            && self.made == load.each
            && (self.answered == load.each || load.dialect == Dialect::Lines);
        self.wait_for_room_if_needed(load, poll)?;
        Ok(self.is_done)
    }

    fn read(&mut self, load: &Load, input: &mut [u8]) -> Result<()> {
        match self.stream.read(input) {
            Ok(0) => bail!("client {} was closed after {} messages", self.number, self.made),
            Ok(count) => {
                let answers = self.answers.take(&input[..count])?;
                self.answered = match load.dialect {
                    Dialect::Nats => self.batches_answered(answers as usize),
                    _ => self.answered + answers,
                };
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(e) => Err(e).context(format!("client {} cannot read", self.number)),
        }
    }

    /// How many messages are answered, now that so many batches more are.
    fn batches_answered(&mut self, batches: usize) -> u32 {
        let known = batches.min(self.batches.len());
        self.batches.drain(..known).next_back().unwrap_or(self.answered)
    }

    fn make(&mut self, load: &Load, start: u64) {
        self.output.clear();
        self.sent = 0;
        let stamp = now();
        let upto = self.limit(load, start, stamp);
        let first = self.made;
        if let Some(rate) = load.rate.filter(|_| first < upto) {
            let due = start + u64::from(first) * 1_000_000_000 / u64::from(rate);
            self.late = self.late.max(stamp.saturating_sub(due));
        }
        while self.made < upto && self.output.len() < CHUNK {
            self.output.extend_from_slice(&self.before);
            Message { client: self.number, number: self.made, stamp }.write(load.size, &mut self.output);
            self.output.extend_from_slice(self.behind);
            self.made += 1;
        }
        if self.made > first && load.dialect == Dialect::Nats {
            self.output.extend_from_slice(load.dialect.batch_end());
            self.batches.push_back(self.made);
        }
    }

    /// How many messages may have been made by `now`.
    fn limit(&self, load: &Load, start: u64, now: u64) -> u32 {
        let due = load.rate.map_or(u64::from(load.each), |rate| {
            now.saturating_sub(start) * u64::from(rate) / 1_000_000_000 + 1
        });
        let window = self.answered.saturating_add(load.window);
        load.each.min(window).min(due.min(u64::from(u32::MAX)) as u32)
    }

    fn write(&mut self) -> Result<()> {
        if self.sent == self.output.len() {
            return Ok(());
        }
        match self.stream.write(&self.output[self.sent..]) {
            Ok(count) => self.sent += count,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e).context(format!("client {} cannot write", self.number)),
        }
        Ok(())
    }

    /// Room is waited for while there is something to send, or would be at once.
    fn wait_for_room_if_needed(&mut self, load: &Load, poll: &OwnedFd) -> Result<()> {
        let has_output = self.sent < self.output.len();
        let may_make =
            load.rate.is_none() && self.made < load.each.min(self.answered.saturating_add(load.window));
        let wait = has_output || may_make;
        if wait != self.waits_for_room {
            let flags = if wait { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(poll, &self.stream, EventData::new_u64(self.index as u64), flags)?;
            self.waits_for_room = wait;
        }
        Ok(())
    }
}

/// What this thread took of a processor so far.
fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
