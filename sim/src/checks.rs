//! What must hold: the promises P1 to P7 (DESIGN 2), looked at while a run goes on and at its end.

use crate::bounds::Bounds;
use crate::disk::Disk;
use crate::event::{Moment, SECOND, Side};
use crate::logs::Logs;
use crate::twin::ORIGINAL;
use pzog::Level;
use pzog::time::STAMP_LEN;
use std::collections::VecDeque;

/// Bytes that may wait on a connection of the ring, however slow its other end: what is in it, and some turns.
const BACKLOG_MAX: usize = 1 << 20;

/// An answer is on its way to a client for so long, at most.
const ANSWER_UNDER_WAY: Moment = 2 * SECOND;

/// Who is to have a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// All hosts; the host that takes it gives it its time.
    All,
    /// All hosts, with this time, and at most once however often it is said.
    Numbered([u8; STAMP_LEN]),
    /// Hosts with their bits set.
    Only(u64),
}

/// What a client said.
pub(crate) struct Said {
    pub(crate) text: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) level: Level,
    pub(crate) at: Moment,
}

/// One message and what became of it.
pub(crate) struct Message {
    pub(crate) said: Said,
    /// Its time in the logs, once it is in any.
    pub(crate) stamp: Option<[u8; STAMP_LEN]>,
    /// Who answered `OK` or `PENDING`, and when.
    answered: Option<(u8, Moment, Level)>,
    /// Its host, that host's life and its number there; how often it was published.
    origin: (u8, u32, u64),
    published: u32,
    /// The hosts of the rings of those who published it, one bit each.
    owed: u64,
    /// What had it for certain was lost with a disk.
    is_orphan: bool,
}

/// How far a host has a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Has {
    Not,
    Appended,
    Synced,
}

/// What is known of one host.
#[derive(Default)]
struct HostChecks {
    has: Vec<Has>,
    /// Appended and not synced: where the journal ended then.
    fresh: VecDeque<((u64, u32), u32)>,
    logs: Logs,
    /// Losses of power: what was appended since then may be lost, and when.
    losses: Vec<(Moment, Moment)>,
    /// When its disk was lost, damaged or replaced by an old copy.
    reset: Option<Moment>,
    /// The hosts of its ring.toml, one bit each.
    ring: u64,
    refusals_reported: u64,
    refusals_answered: u64,
}

pub(crate) struct Checks {
    pub(crate) messages: Vec<Message>,
    /// Those of the ring, then the copy of one of them, if there may be one.
    hosts: Vec<HostChecks>,
    /// How many are of the ring.
    ring: usize,
    /// Those that are of the ring at the end, and those of them that were not at the beginning, one bit each.
    members: u64,
    newcomers: u64,
    /// The first thing that must not happen and did.
    pub(crate) broken: Option<(Moment, String)>,
    /// How many disks were lost.
    resets: u32,
    /// How often a host has told that two processes bear one name.
    pub(crate) clones_told: u32,
    /// Messages were given up although nothing was lost.
    given_up: Option<String>,
    may_give_up: bool,
    /// What may be given up because of the bounds of the journal, if the scenario is about them.
    bounds: Option<Bounds>,
}

impl Checks {
    pub(crate) fn new(ring: usize, twin: Option<u8>, has_bounds: bool) -> Checks {
        let hosts = ring + usize::from(twin.is_some());
        Checks {
            messages: Vec::new(),
            hosts: (0..hosts).map(|_| HostChecks::default()).collect(),
            ring,
            members: u64::MAX,
            newcomers: 0,
            broken: None,
            resets: 0,
            clones_told: 0,
            given_up: None,
            may_give_up: false,
            bounds: has_bounds.then(Bounds::default),
        }
    }

    /// Who is of the ring in the end, and who of them joins it.
    pub(crate) fn membership(&mut self, members: u64, newcomers: u64) {
        (self.members, self.newcomers) = (members, newcomers);
    }

    /// A host starts with this ring.
    pub(crate) fn set_ring(&mut self, place: u8, ring: u64) {
        self.hosts[usize::from(place)].ring = ring;
    }

    /// Whether all that a host published is on the disk of every host that stays.
    pub(crate) fn is_everywhere(&self, place: u8) -> bool {
        let is_its = |message: &Message| {
            message.published > 0 && message.origin.0 == place
                || matches!(message.said.kind, Kind::Only(hosts) if hosts & 1 << place != 0)
        };
        let is_here = |id: usize| self.hosts[usize::from(place)].has[id] > Has::Not;
        let is_there = |id: usize, message: &Message| {
            self.addressees(message)
                .all(|to| self.newcomers & 1 << to != 0 || self.hosts[to].has[id] == Has::Synced)
        };
        self.messages.iter().enumerate().all(|(id, m)| !is_its(m) || !is_here(id) || is_there(id, m))
    }

    pub(crate) fn fail(&mut self, at: Moment, what: String) {
        self.broken.get_or_insert((at, what));
    }

    pub(crate) fn next_id(&self) -> u32 {
        self.messages.len() as u32
    }

    pub(crate) fn say(&mut self, said: Said) -> u32 {
        let stamp = match said.kind {
            Kind::Numbered(stamp) => Some(stamp),
            Kind::All | Kind::Only(_) => None,
        };
        let (answered, origin) = (None, (0, 0, 0));
        self.messages.push(Message {
            said,
            stamp,
            answered,
            origin,
            published: 0,
            owed: 0,
            is_orphan: false,
        });
        self.hosts.iter_mut().for_each(|host| host.has.push(Has::Not));
        self.messages.len() as u32 - 1
    }

    // What hosts do.

    /// A piece of a record was appended; the journal ends there now.
    pub(crate) fn appended(&mut self, place: u8, life: u32, end: (u64, u32), piece: &[u8], is_own: bool) {
        for line in piece.split(|b| *b == b'\n') {
            let Some((head, text)) = split_data(line) else { continue };
            let Some(id) = self.id_of(text) else { continue };
            if is_own {
                let message = &mut self.messages[id as usize];
                message.published += 1;
                message.owed |= self.hosts[usize::from(place)].ring;
                message.origin = (place, life, seq_of(head).unwrap_or(0));
            }
            if let Some(bounds) = &mut self.bounds {
                let stream = head.split(|b| *b == b'.').next().unwrap_or_default();
                bounds.published(id, stream, seq_of(head).unwrap_or(0));
            }
            let host = &mut self.hosts[usize::from(place)];
            if host.has[id as usize] == Has::Not {
                host.has[id as usize] = Has::Appended;
                host.fresh.push_back((end, id));
            }
        }
    }

    /// A sync has ended that covers the journal up to there.
    pub(crate) fn synced(&mut self, place: u8, end: (u64, u32)) {
        let host = &mut self.hosts[usize::from(place)];
        while let Some((_, id)) = host.fresh.pop_front_if(|(at, _)| *at <= end) {
            host.has[id as usize] = Has::Synced;
        }
    }

    /// Lines were written to a log: they must be whole, known, for this host, and there for the first time.
    pub(crate) fn logged(&mut self, place: u8, log: usize, start: usize, lines: &[u8], now: Moment) {
        let mut at = start;
        for line in lines.split_inclusive(|b| *b == b'\n') {
            at += line.len();
            if let Err(what) = self.line(place, (log, at), line) {
                let line = String::from_utf8_lossy(line);
                self.fail(now, format!("H{place} access.log: {what}: {line:?}"));
            }
        }
    }

    fn line(&mut self, place: u8, end: (usize, usize), line: &[u8]) -> Result<(), &'static str> {
        let line = line.strip_suffix(b"\n").ok_or("a piece of a line")?;
        let (stamp, text) = line.split_at_checked(STAMP_LEN).ok_or("no line of a log")?;
        let text = text.strip_prefix(b" ").ok_or("no line of a log")?;
        let id = self.id_of(text).ok_or("nobody said this")?;
        if let Kind::Only(hosts) = self.messages[id as usize].said.kind
            && hosts & 1 << place == 0
            && !self.is_one_of_twins(place, hosts)
        {
            return Err("not for this host");
        }
        let message = &mut self.messages[id as usize];
        if *message.stamp.get_or_insert(stamp.try_into().map_err(|_| "no time")?) != *stamp {
            return Err("other bytes than in other logs or from the client (P4)");
        }
        // What a damaged record said of a session is not known before it is fetched again: until then a repeat through
        // another host is new to this one.
        let is_numbered = matches!(message.said.kind, Kind::Numbered(_));
        let host = &mut self.hosts[usize::from(place)];
        if host.logs.add(id, end) > 1 && !(is_numbered && host.reset.is_some()) {
            return Err("logged twice (P1, P2)");
        }
        Ok(())
    }

    /// Whether a host or its copy is meant, whichever of them this is: nobody else can tell them apart.
    fn is_one_of_twins(&self, place: u8, hosts: u64) -> bool {
        let twins = 1 << ORIGINAL | 1_u64 << self.ring;
        self.hosts.len() > self.ring && twins & 1 << place != 0 && twins & hosts != 0
    }

    fn id_of(&self, text: &[u8]) -> Option<u32> {
        let digits = text.strip_prefix(b"m")?;
        let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        let id: u32 = std::str::from_utf8(&digits[..count]).ok()?.parse().ok()?;
        self.messages.get(id as usize).filter(|m| m.said.text == text).map(|_| id)
    }

    /// A line of error.log, and the host that it is about.
    pub(crate) fn reported(
        &mut self,
        place: u8,
        about: Option<u8>,
        text: &[u8],
        is_error: bool,
        now: Moment,
    ) {
        self.clones_told += u32::from(text.starts_with(b"CLONE"));
        if text.starts_with(b"REFUSED 4") {
            self.hosts[usize::from(place)].refusals_reported += 1;
        }
        if let Some(bounds) = &mut self.bounds {
            if about.is_some_and(|about| bounds.released(about, text).is_some()) {
                return;
            }
            if let Some(seq) = bounds.given_up(place, text) {
                let text = String::from_utf8_lossy(text);
                self.fail(now, format!("H{place}: nobody has told to have released {seq}: {text} (P7)"));
            }
            if !text.starts_with(b"CONFLICT") {
                return;
            }
        }
        if text.starts_with(b"DIVERGED") {
            let text = String::from_utf8_lossy(text);
            self.fail(now, format!("H{place} doubts what is right: {text}"));
        }
        let is_loss =
            text.starts_with(b"GIVEN UP") || text.starts_with(b"RELEASED") || text.starts_with(b"CONFLICT");
        if is_error && is_loss && self.given_up.is_none() {
            self.given_up = Some(format!("H{place}: {}", String::from_utf8_lossy(text)));
        }
    }

    /// A line was answered `ERR`: it must have been reported.
    pub(crate) fn refused(&mut self, place: u8) {
        self.hosts[usize::from(place)].refusals_answered += 1;
    }

    pub(crate) fn backlog(&mut self, to: Side, bytes: usize, now: Moment) {
        if bytes > BACKLOG_MAX {
            self.fail(now, format!("{bytes} bytes wait on a connection ({to:?}) (P5)"));
        }
    }

    // What befalls them.

    /// What was not certain on a host is lost, or perhaps not.
    pub(crate) fn power_lost(&mut self, place: u8, since: Moment, now: Moment) {
        self.hosts[usize::from(place)].losses.push((since, now));
    }

    /// Recovery tells of something that should not be.
    pub(crate) fn found(&mut self, place: u8, finding: &str, now: Moment) {
        let is_loss = finding.starts_with("DAMAGED") || finding.starts_with("UNREADABLE");
        if is_loss && !self.may_give_up {
            self.fail(now, format!("H{place} finds damage where there is none: {finding}"));
        }
    }

    /// What a log says behind that is cut off.
    pub(crate) fn cut(&mut self, place: u8, log: usize, bytes: usize) {
        self.hosts[usize::from(place)].logs.cut((log, bytes));
    }

    /// Journal and logs are in order again, and on the disk: what is not in the logs is not there at all.
    pub(crate) fn recovered(&mut self, place: u8, disk: &Disk, now: Moment) {
        let known = self.hosts[usize::from(place)].logs.end();
        for (at, log) in disk.logs.iter().enumerate() {
            let from = match known {
                (last, _) if at < last => continue,
                (last, bytes) if at == last => bytes,
                _ => 0,
            };
            self.logged(place, at, from, log.bytes.get(from..).unwrap_or_default(), now);
        }
        let host = &mut self.hosts[usize::from(place)];
        for (_, id) in host.fresh.drain(..) {
            let is_logged = host.logs.count(id) > 0;
            host.has[id as usize] = if is_logged { Has::Synced } else { Has::Not };
        }
        // An append that was said to have failed may have brought all of it to the disk.
        for id in (0..host.has.len()).filter(|id| host.logs.count(*id as u32) > 0) {
            host.has[id] = Has::Synced;
        }
    }

    pub(crate) fn started(&mut self, place: u8) {
        let host = &mut self.hosts[usize::from(place)];
        (host.refusals_reported, host.refusals_answered) = (0, 0);
    }

    /// A host's disk is lost, damaged or replaced by an old copy: what only it had is lost with it.
    pub(crate) fn disk_reset(&mut self, place: u8, now: Moment) {
        self.resets += 1;
        self.may_give_up = true;
        let (mine, others): (Vec<_>, Vec<_>) =
            self.hosts.iter().enumerate().partition(|(at, _)| *at == usize::from(place));
        for (id, message) in self.messages.iter_mut().enumerate() {
            let is_elsewhere = others.iter().any(|(_, host)| host.has[id] == Has::Synced);
            message.is_orphan |= mine[0].1.has[id] > Has::Not && !is_elsewhere;
        }
        self.hosts[usize::from(place)].reset = Some(now);
    }

    /// The host comes back with a log that ends there, or none.
    pub(crate) fn forget_logs(&mut self, place: u8) {
        let host = &mut self.hosts[usize::from(place)];
        host.logs = Logs::default();
        host.fresh.clear();
        host.has.fill(Has::Not);
    }

    /// A copy of a host begins to live beside it, with the logs of the original. Which of the two has what it told to have
    /// is not known to others from now on.
    pub(crate) fn twin_begins(&mut self, twin: u8) {
        self.forget_logs(twin);
        self.hosts[usize::from(twin)].reset = None;
        (self.resets, self.may_give_up) = (self.resets.max(1), true);
    }

    /// It has ended for good: what only it had is lost, and the original may lack what was given to the copy.
    pub(crate) fn twin_ends(&mut self, now: Moment) {
        let resets = self.resets;
        self.disk_reset(self.ring as u8, now);
        self.forget_logs(self.ring as u8);
        self.hosts[usize::from(ORIGINAL)].reset = Some(now);
        self.resets = resets;
    }

    // What clients hear.

    pub(crate) fn answered(&mut self, id: u32, place: u8, now: Moment) {
        let level = self.messages[id as usize].said.level;
        self.messages[id as usize].answered = Some((place, now, level));
        self.check_answer(id, place, level, now);
    }

    pub(crate) fn pending(&mut self, id: u32, place: u8, now: Moment) {
        self.messages[id as usize].answered = Some((place, now, Level::Synced));
        self.check_answer(id, place, Level::Synced, now);
    }

    /// An `OK` must be true when it is heard.
    fn check_answer(&mut self, id: u32, place: u8, level: Level, now: Moment) {
        let host = &self.hosts[usize::from(place)];
        let just_lost = host.losses.last().is_some_and(|(_, at)| *at + ANSWER_UNDER_WAY > now);
        let has = host.has[id as usize];
        let of_ring = |(at, _): &(usize, &HostChecks)| host.ring & 1 << at != 0;
        let is_synced = |(_, h): &(usize, &HostChecks)| h.has[id as usize] == Has::Synced;
        let synced = self.hosts.iter().enumerate().filter(of_ring).filter(is_synced).count();
        let ring = host.ring.count_ones() as usize;
        let is_true = match level {
            Level::Journaled => has > Has::Not || just_lost,
            Level::Synced => has == Has::Synced,
            Level::Majority => synced > ring / 2,
            Level::All => synced == ring,
        };
        if !is_true && self.resets == 0 {
            self.fail(now, format!("H{place} says OK to m{id} before it is {} (P1)", level.word()));
        }
    }

    // At the end.

    /// Whether an answered message may be lost by what happened.
    fn is_excused(&self, message: &Message, (place, at, level): (u8, Moment, Level)) -> bool {
        if message.is_orphan {
            return level < Level::Majority || self.resets > 1;
        }
        let lost = |(since, when): &(Moment, Moment)| *since < at && *when + ANSWER_UNDER_WAY > at;
        level == Level::Journaled && self.hosts[usize::from(place)].losses.iter().any(lost)
    }

    /// Hosts that are to have a message and never lost what they were told before.
    fn addressees(&self, message: &Message) -> impl Iterator<Item = usize> {
        let (hosts, owed) = match message.said.kind {
            Kind::Only(hosts) => (hosts, hosts),
            Kind::All | Kind::Numbered(_) => (u64::MAX, message.owed),
        };
        let since = message.said.at;
        let is_meant = move |place: &usize| {
            let is_owed = (self.members & !self.newcomers | self.newcomers & owed) & hosts;
            is_owed & 1 << place != 0 && self.hosts[*place].reset.is_none_or(|reset| since > reset)
        };
        (0..self.ring).filter(is_meant)
    }

    fn has_given_up(&self, place: usize, id: u32) -> bool {
        self.bounds.as_ref().is_some_and(|bounds| bounds.has_given_up(place as u8, id))
    }

    /// How much a host has told to have given up, if the scenario is about that.
    pub(crate) fn told_given_up(&self, place: u8) -> Option<u64> {
        self.bounds.as_ref().map(|bounds| bounds.count(place))
    }

    /// The first message that is not yet where it must be.
    pub(crate) fn missing(&self) -> Option<String> {
        self.messages.iter().enumerate().find_map(|(id, message)| {
            let lacks = |place: &usize| {
                self.hosts[*place].logs.count(id as u32) == 0 && !self.has_given_up(*place, id as u32)
            };
            let is_sure = message.answered.is_some_and(|answered| !self.is_excused(message, answered));
            let is_anywhere = self.addressees(message).any(|place| !lacks(&place));
            let must_be = is_sure || is_anywhere && !message.is_orphan;
            let lacking = self.addressees(message).find(lacks).filter(|_| must_be)?;
            let why = match message.answered {
                Some((host, at, level)) if is_sure => {
                    format!("H{host} answered OK ({}) at {at} µs (P1)", level.word())
                }
                _ => "another host has logged it (P2)".to_owned(),
            };
            Some(format!("H{lacking} has not logged m{id}, although {why}"))
        })
    }

    /// All that can be seen only when all is over.
    pub(crate) fn conclude(&mut self, now: Moment) {
        if let Some(what) = self.missing() {
            self.fail(now, what);
        }
        for place in 0..self.hosts.len() {
            if let Some(what) = self.disorder(place) {
                self.fail(now, what);
            }
            let host = &self.hosts[place];
            if host.refusals_reported < host.refusals_answered {
                let (reported, answered) = (host.refusals_reported, host.refusals_answered);
                self.fail(now, format!("H{place} refused {answered} lines and reported {reported} (P6)"));
            }
        }
        if let Some(what) = self.given_up.take_if(|_| !self.may_give_up) {
            self.fail(now, format!("messages are given up for no reason: {what} (P7)"));
        }
    }

    /// Broadcast messages of one origin that stand in another order than they were said in.
    fn disorder(&self, place: usize) -> Option<String> {
        let mut last: Vec<Option<(u32, u64, u32)>> = vec![None; self.hosts.len()];
        let lost_power = self.hosts.iter().any(|host| !host.losses.is_empty());
        for id in self.hosts[place].logs.in_order() {
            let message = &self.messages[id as usize];
            let (origin, life, seq) = message.origin;
            let is_reset = [usize::from(origin), place].iter().any(|host| self.hosts[*host].reset.is_some());
            let is_exempt = matches!(message.said.kind, Kind::Only(_))
                || message.published != 1
                || is_reset
                || (lost_power && message.said.level == Level::Journaled);
            if is_exempt {
                continue;
            }
            let before = last[usize::from(origin)].replace((life, seq, id));
            // Who gave up the first message of a life, or joined after it, does not know what that one names.
            let knows_lives =
                self.told_given_up(place as u8).unwrap_or(0) == 0 && self.newcomers & 1 << place == 0;
            let is_ordered = |a: u32| a == life || knows_lives;
            if let Some((a, b, other)) = before.filter(|(a, b, _)| (*a, *b) >= (life, seq) && is_ordered(*a))
            {
                return Some(format!(
                    "H{place} has logged m{id} (H{origin} life {life} number {seq}) behind m{other} (life {a} number {b}) (P3)"
                ));
            }
        }
        None
    }
}

/// Head and text of a data line, without its end.
fn split_data(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_suffix(b"\r")?;
    if !matches!(line.first()?, b'0'..=b'2' | b'R') {
        return None;
    }
    let space = memchr::memchr(b' ', line)?;
    Some((&line[1..space], line.get(space + STAMP_LEN + 2..)?))
}

fn seq_of(head: &[u8]) -> Option<u64> {
    let dot = memchr::memchr(b'.', head)?;
    let digits = head[dot + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&head[dot + 1..dot + 1 + digits]).ok()?.parse().ok()
}
