//! What a journal says after a start: where every stream stands, which sessions are known, and what is missing in
//! access.log.
//!
//! Every head of a segment gives the state before it, so of most segments only that is read (`survey`). The records
//! behind the first one that is read whole are added in order, and every later head sets the state again. What is torn at the end of the last segment is cut: a new segment begins, and its
//! head says where the old one ended. What is damaged before that is passed over; messages that it held, and that
//! access.log may lack, become holes of their streams, which are fetched again.

use crate::event::{LogFile, Place, Span};
use crate::journal::frame::Frame;
use crate::journal::record::{Line, Mark, StreamLine, lines};
use crate::journal::scan::scan;
use crate::journal::survey::{Chain, Head, Survey, Surveyed, check_host};
use crate::journal::writer::{Entry, Segment};
use crate::limits::INDEX_BYTES;
use crate::ring::{HostIndex, Ring};
use crate::session::{At, Sessions, content};
use crate::stream::{Arrival, Numbers, Stream, Streams};
use crate::time::STAMP_LEN;
use crate::wire::{Data, StreamName, named};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Why a journal is not used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JournalError {
    /// It is another host's.
    OtherHost {
        /// The segment that says so.
        segment: u64,
        /// Whose it is.
        host: String,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::OtherHost { segment, host } => write!(
                f,
                "segment {segment:016x} is of the journal of host {host}: give every host a state directory of its own"
            ),
        }
    }
}

impl core::error::Error for JournalError {}

/// What the journal of this host says. `segments` are the numbers of those that are there, ascending. `read` takes the
/// first bytes of a segment's file, so many or all that it has, in place of what is in its buffer, and returns the
/// size of the file in bytes.
///
/// # Errors
/// A segment cannot be read, or it is another host's: this one must not start with it.
pub fn recover<E: From<JournalError>>(
    ring: &Ring,
    me: HostIndex,
    segments: &[u64],
    mut read: impl FnMut(u64, u32, &mut Vec<u8>) -> Result<u32, E>,
) -> Result<Recovered, E> {
    let Surveyed { heads, chain } = Survey { ring, me, segments, read: &mut read }.look()?;
    let mut recovery = Recovery::new(ring, me, chain);
    recovery.pass_over(&heads);
    for number in &segments[heads.len().saturating_sub(1)..] {
        let mut bytes = Vec::new();
        read(*number, u32::MAX, &mut bytes)?;
        recovery.segment(*number, bytes)?;
    }
    Ok(recovery.finish()?)
}

/// Reads a journal, segment by segment.
#[derive(Debug)]
struct Recovery {
    ring: Ring,
    me: HostIndex,
    chain: Chain,
    /// The segment given last: only the next one's head says where it ends.
    pending: Option<Pending>,
    state: Recovered,
    /// A head was read: what comes is to be added to it.
    has_base: bool,
    /// The last byte of what is damaged since the last head: what it held may have stood anywhere before it.
    damaged: Option<Place>,
    lost: Vec<Lost>,
    /// The segments taken so far, ascending.
    taken: Vec<u64>,
    /// How it was before segments were taken that may turn out to be left from before a crash.
    doubts: Vec<Doubt>,
    /// Hosts that are not in ring.toml.
    strangers: BTreeSet<String>,
}

/// A segment was taken though the one before it is not there. Where the head of a later life names an older segment
/// as the last one, a crash had cut it off, and it was being released.
#[derive(Debug)]
struct Doubt {
    number: u64,
    state: Recovered,
    has_base: bool,
    damaged: Option<Place>,
    lost: Vec<Lost>,
}

/// A segment that is to be read.
#[derive(Debug)]
struct Pending {
    number: u64,
    incarnation: Option<u64>,
    bytes: Vec<u8>,
}

/// What the beginning of a segment says of the one before.
#[derive(Clone, Copy, Debug)]
struct Link {
    incarnation: u64,
    before: Option<Place>,
    /// A sync has ended since this segment was begun, so that all before it is on the disk.
    is_proof: bool,
}

/// What access.log has for certain of each stream: all up to a number but for some holes.
pub(crate) type Certain = Vec<(u64, Vec<Numbers>)>;

fn certain_upto(certain: &Certain, stream: u32) -> u64 {
    certain.get(stream as usize).map_or(0, |(upto, _)| *upto)
}

fn set_certain(certain: &mut Certain, stream: u32, upto: u64, holes: Vec<Numbers>) {
    let at = stream as usize;
    if at >= certain.len() {
        certain.resize(at + 1, (0, Vec::new()));
    }
    certain[at] = (upto, holes);
}

/// Messages that a damaged piece held.
#[derive(Clone, Copy, Debug)]
struct Lost {
    stream: u32,
    numbers: Numbers,
    place: Place,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    pub(crate) streams: Streams,
    pub(crate) sessions: Sessions,
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) index: VecDeque<Entry>,
    pub(crate) mark: Option<Mark>,
    pub(crate) certain: Certain,
    pub(crate) running_seconds: u64,
    /// Its host has not yet heard all others since the journal began.
    is_young: bool,
    last_segment: Option<u64>,
    /// All before this segment is on the disk.
    proof: u64,
    unreadable: Vec<u64>,
    /// Segments that came after one that a crash has cut, or that were not begun.
    pub(crate) dead: Vec<u64>,
    findings: Vec<String>,
}

impl Recovery {
    fn new(ring: &Ring, me: HostIndex, chain: Chain) -> Recovery {
        let state = Recovered { proof: chain.proof(), ..Recovered::blank(ring, me) };
        Recovery {
            ring: ring.clone(),
            me,
            chain,
            pending: None,
            state,
            has_base: false,
            damaged: None,
            lost: Vec::new(),
            taken: Vec::new(),
            doubts: Vec::new(),
            strangers: BTreeSet::new(),
        }
    }

    /// The oldest segments, of which the heads suffice; the last head is that of the next segment.
    fn pass_over(&mut self, heads: &[Head]) {
        for (head, next) in heads.iter().zip(heads.iter().skip(1)) {
            let mut journaled = Vec::new();
            for (name, upto) in &head.journaled {
                let Some(stream) = self.state.streams.open(*name, &self.ring) else { continue };
                journaled.resize(self.state.streams.len() as usize, 0);
                journaled[stream as usize] = *upto;
            }
            let Head { segment: number, size, running_seconds: begun, .. } = *head;
            let end = next.before.map_or(0, |end| end.offset);
            let place = Place { segment: number, offset: 0 };
            self.state.segments.push_back(Segment { number, size, end, begun });
            self.state.index.push_back(Entry { place, journaled: journaled.into() });
            self.taken.push(number);
        }
    }

    /// The next segment: all bytes of its file. Segments come in ascending order of their numbers.
    fn segment(&mut self, number: u64, bytes: Vec<u8>) -> Result<(), JournalError> {
        self.state.last_segment = Some(number);
        if self.chain.leaves_out(number) {
            if scan(number, &bytes, None).frames.is_empty() {
                self.state.dead.push(number);
            } else {
                self.drop_left_out(number);
            }
            return Ok(());
        }
        let link = link(number, &bytes);
        self.drop_cut_off(link);
        let is_dead = |before: Place| self.state.dead.contains(&before.segment);
        let mut lives = !link.and_then(|link| link.before).is_some_and(is_dead);
        if let Some(before) = self.pending.take() {
            let sealed = self.end_of(&before, link);
            self.read(before.number, &before.bytes, sealed)?;
            let follows = link.and_then(|link| link.before).is_some_and(|end| end.segment == before.number);
            lives &= !follows || sealed.is_some();
        }
        if lives {
            if link.is_some_and(|link| self.is_behind_a_gap(link)) && self.is_contradicted_by(number, &bytes)
            {
                self.drop_taken();
            }
            self.doubt(number, link);
            self.taken.push(number);
            let incarnation = link.map(|link| link.incarnation);
            self.pending = Some(Pending { number, incarnation, bytes });
        } else {
            self.find(format!(
                "TORN journal segment {number:016x}: the end of the one before was never written; dropped"
            ));
            self.state.dead.push(number);
        }
        Ok(())
    }

    /// What comes later does not go on from this segment: it came behind what a crash had cut off.
    fn drop_left_out(&mut self, number: u64) {
        self.state.dead.push(number);
        self.find_cut_off(number);
    }

    /// Whether the predecessor of a segment is newer than all that were taken: mostly it was released.
    fn is_behind_a_gap(&self, link: Link) -> bool {
        link.before.is_some_and(|before| self.taken.last().is_none_or(|last| before.segment > *last))
    }

    /// Whether a segment begins with less than those that were taken have. They are not of its past, then, but left
    /// from one that a crash has cut off, though all that lived beside them was released since.
    fn is_contradicted_by(&mut self, number: u64, bytes: &[u8]) -> bool {
        let mut told = alloc::vec![0; self.state.streams.len() as usize];
        for line in head_lines(number, bytes) {
            if let Some(Line::Stream(line)) = Line::parse(line)
                && let Some(stream) = self.open(line.name)
                && let Some(told) = told.get_mut(stream as usize)
            {
                *told = line.journaled;
            }
        }
        self.state.streams.iter().zip(told).any(|(stream, told)| stream.journaled > told)
    }

    /// Nothing that was taken is of the past of what comes.
    fn drop_taken(&mut self) {
        for number in core::mem::take(&mut self.taken) {
            self.drop_left_out(number);
        }
        let Recovered { last_segment, proof, unreadable, dead, findings, .. } =
            core::mem::take(&mut self.state);
        let blank = Recovered::blank(&self.ring, self.me);
        self.state = Recovered { last_segment, proof, unreadable, dead, findings, ..blank };
        (self.has_base, self.damaged) = (false, None);
        self.lost.clear();
        self.doubts.clear();
    }

    /// Remembers how it is before a segment whose predecessor is not the last one that was taken.
    fn doubt(&mut self, number: u64, link: Option<Link>) {
        // Mostly the oldest one's predecessor was released; but it may have been the last one before a cut, too.
        if link.is_some_and(|link| self.is_behind_a_gap(link)) {
            let (state, lost) = (self.state.clone(), self.lost.clone());
            self.doubts.push(Doubt { number, state, has_base: self.has_base, damaged: self.damaged, lost });
        }
    }

    /// A head names an older segment as the last one before it: what lies between was cut off by a crash.
    fn drop_cut_off(&mut self, link: Option<Link>) {
        let Some(before) = link.and_then(|link| link.before).map(|before| before.segment) else { return };
        let Some(at) = self.doubts.iter().position(|doubt| doubt.number > before) else { return };
        let Some(Doubt { number, mut state, has_base, damaged, lost }) = self.doubts.drain(at..).next()
        else {
            return;
        };
        state.last_segment = self.state.last_segment;
        state.dead.extend(self.taken.iter().filter(|taken| **taken >= number));
        state.dead.extend(self.state.dead.iter().filter(|dead| **dead >= number));
        self.taken.retain(|taken| *taken < number);
        (self.state, self.has_base, self.damaged, self.lost) = (state, has_base, damaged, lost);
        self.pending = None;
        self.find_cut_off(number);
    }

    /// Where a segment ends, if the next one tells that and it is certain: a crash may leave the next one's head and
    /// not the end of this one.
    fn end_of(&self, segment: &Pending, next: Option<Link>) -> Option<u32> {
        if let Some(end) = self.chain.end_of(segment.number) {
            return Some(end);
        }
        let next = next?;
        let end = next.before.filter(|end| end.segment == segment.number)?.offset;
        let is_new_life = segment.incarnation.is_some_and(|life| life != next.incarnation);
        let is_whole = || scan(segment.number, &segment.bytes, None).end >= end;
        (is_new_life || next.is_proof || is_whole()).then_some(end)
    }

    /// All segments were given.
    fn finish(mut self) -> Result<Recovered, JournalError> {
        if let Some(Pending { number, bytes, .. }) = self.pending.take() {
            self.read(number, &bytes, None)?;
        }
        let certain = self.state.mark.map_or(Place::default(), |mark| mark.place);
        for Lost { stream, mut numbers, .. } in self.lost.into_iter().filter(|lost| lost.place >= certain) {
            numbers.from = numbers.from.max(certain_upto(&self.state.certain, stream) + 1);
            self.state.streams.get_mut(stream).add_hole(numbers);
        }
        self.state.streams.iter_mut().for_each(|s| s.synced = s.journaled);
        Ok(self.state)
    }

    fn read(&mut self, number: u64, bytes: &[u8], sealed: Option<u32>) -> Result<(), JournalError> {
        let scanned = scan(number, bytes, sealed);
        if let Some(torn) = scanned.torn {
            self.find(format!(
                "TORN journal segment {number:016x}: {torn} bytes behind offset {} were never whole; cut off",
                scanned.end
            ));
        }
        let mut damaged = scanned.damaged.iter().peekable();
        if let Some(copy) = damaged.next_if(|span| lost_copy_of_head(span, &scanned.frames, bytes)) {
            self.find_damage(number, copy.start, copy.end);
        }
        for frame in &scanned.frames {
            while let Some(span) = damaged.next_if(|span| span.start < frame.offset) {
                self.damage(number, span.start, span.end);
            }
            let place = Place { segment: number, offset: frame.offset };
            self.record(place, bytes.len() as u32, &bytes[frame.payload.range()])?;
        }
        damaged.for_each(|span| self.damage(number, span.start, span.end));
        match self.state.segments.back_mut().filter(|s| s.number == number) {
            Some(segment) => segment.end = scanned.end,
            // Made ready, and not begun before the end.
            None if scanned.frames.is_empty() && scanned.damaged.is_empty() => {
                self.taken.retain(|taken| *taken != number);
                self.state.dead.push(number);
            }
            None => {
                self.find(format!(
                    "UNREADABLE journal segment {number:016x}: it has no head, nor has any before it"
                ));
                self.state.unreadable.push(number);
            }
        }
        Ok(())
    }

    fn damage(&mut self, segment: u64, from: u32, to: u32) {
        self.damaged = Some(Place { segment, offset: to.saturating_sub(1) });
        self.find_damage(segment, from, to);
    }

    fn find_damage(&mut self, segment: u64, from: u32, to: u32) {
        self.find(format!("DAMAGED journal segment {segment:016x}, offset {from} to {to}: passed over"));
    }

    fn find_cut_off(&mut self, number: u64) {
        self.find(format!(
            "TORN journal segment {number:016x}: it came behind what a crash had cut off; dropped"
        ));
    }

    fn find(&mut self, finding: String) {
        self.state.findings.push(finding);
    }

    fn record(&mut self, place: Place, size: u32, payload: &[u8]) -> Result<(), JournalError> {
        match lines(payload).next().and_then(Line::parse) {
            Some(Line::Head { host, running_seconds, .. }) => {
                self.head(place, host, running_seconds, payload)?;
                self.begin_segment(place, size);
            }
            _ if self.has_base => {
                self.begin_segment(place, size);
                let since = self.state.index.back();
                if since.is_some_and(|e| place.offset - e.place.offset >= INDEX_BYTES) {
                    self.add_index(place);
                }
                self.lines(place, payload);
            }
            _ => {}
        }
        Ok(())
    }

    /// The first record of a segment that can be used.
    fn begin_segment(&mut self, place: Place, size: u32) {
        if self.state.segments.back().is_none_or(|s| s.number != place.segment) {
            let begun = self.state.running_seconds;
            self.state.segments.push_back(Segment { number: place.segment, size, end: u32::MAX, begun });
            self.add_index(Place { offset: 0, ..place });
        }
    }

    fn add_index(&mut self, place: Place) {
        let journaled = self.state.streams.iter().map(|s| s.journaled).collect();
        self.state.index.push_back(Entry { place, journaled });
    }

    /// A head sets the state: what it does not tell is forgotten.
    fn head(
        &mut self,
        place: Place,
        host: &[u8],
        running_seconds: u64,
        payload: &[u8],
    ) -> Result<(), JournalError> {
        check_host(place.segment, host, &self.ring, self.me)?;
        self.has_base = true;
        self.state.running_seconds = self.state.running_seconds.max(running_seconds);
        self.state.is_young = false;
        self.state.sessions.begin_snapshot();
        self.lines(place, payload);
        self.state.sessions.end_snapshot();
        self.damaged = None;
        Ok(())
    }

    fn lines(&mut self, place: Place, payload: &[u8]) {
        for line in lines(payload) {
            match Line::parse(line) {
                Some(line) => self.line(place, line),
                None => self.find(format!(
                    "UNKNOWN line in journal segment {:016x}, offset {}: ignored",
                    place.segment, place.offset
                )),
            }
        }
    }

    fn line(&mut self, place: Place, line: Line<'_>) {
        match line {
            Line::Head { .. } | Line::End(_) => {}
            Line::Fresh => self.state.is_young = !planted!(YouthForgotten),
            Line::Stream(line) => self.stream(place, &line),
            Line::Session { token, idle_seconds, known } => {
                let used = self.state.running_seconds.saturating_sub(idle_seconds);
                self.state.sessions.restore(token, used, &known);
            }
            Line::Mark(mark) => self.state.mark = Some(mark),
            Line::Certain { stream, journaled, holes } => {
                if let Some(at) = self.open(stream) {
                    self.state.streams.get_mut(at).is_certain(journaled, &holes);
                    set_certain(&mut self.state.certain, at, journaled, holes);
                }
            }
            Line::Data(line, logged) => self.data(place, line, logged),
            Line::GivenUp { stream, upto } => {
                if let Some(at) = self.open(stream) {
                    let stream = self.state.streams.get_mut(at);
                    stream.pass_over(upto);
                    stream.passed =
                        Some(Numbers { from: 1, to: upto }).filter(|_| !planted!(PassedOverForgotten));
                }
            }
            Line::Passed { stream, numbers } => {
                if let Some(at) = self.open(stream).filter(|_| !planted!(PassedOverForgotten)) {
                    self.state.streams.get_mut(at).passed = Some(numbers);
                }
            }
        }
    }

    fn open(&mut self, name: &[u8]) -> Option<u32> {
        match StreamName::parse(name, &self.ring) {
            Ok(name) => self.state.streams.open(name, &self.ring),
            Err(_) => {
                self.find_stranger(name);
                None
            }
        }
    }

    /// A stream of a host that is not in ring.toml: told once for each.
    fn find_stranger(&mut self, name: &[u8]) {
        let end = name.iter().position(|b| matches!(b, b'>' | b'/')).unwrap_or(name.len());
        let host = String::from_utf8_lossy(&name[..end]).into_owned();
        if self.strangers.insert(host.clone()) {
            self.find(format!(
                "UNKNOWN HOST {host}: the journal has messages of it, or for it from us, and ring.toml does not name \
                 it: others who lack them do not get them from here, and they would be logged twice if they came \
                 again; name it with retired = true and start again, unless it was taken out long ago"
            ));
        }
    }

    /// What a head says of a stream. Whoever wrote it did not know of damage since the head before.
    fn stream(&mut self, place: Place, line: &StreamLine<'_>) {
        let Some(at) = self.open(line.name) else { return };
        let stream = self.state.streams.get_mut(at);
        if let Some(damaged) = self.damaged {
            let unread = Numbers { from: stream.journaled + 1, to: line.journaled };
            let unfilled = stream.holes.iter().copied();
            let lost = unfilled.chain((unread.count() > 0).then_some(unread));
            self.lost.extend(lost.map(|numbers| Lost { stream: at, numbers, place: damaged.min(place) }));
        }
        stream.journaled = line.journaled;
        (stream.logged, stream.repeats, stream.given_up) = (line.logged, line.repeats, line.given_up);
        // Where it is not told behind this, as by a former build, it may be any.
        stream.passed = (line.given_up > 0 && !planted!(PassedOverForgotten))
            .then_some(Numbers { from: 1, to: line.journaled });
        stream.named |= line.named;
        stream.holes.clone_from(&line.holes);
    }

    fn data(&mut self, place: Place, line: &[u8], logged: bool) {
        let Some(dot) = memchr::memchr(b'.', line) else { return };
        let (Some(at), Some(data)) = (self.open(&line[..dot]), Data::parse(&line[dot + 1..])) else { return };
        self.name_former(at, data.named);
        let stream = self.state.streams.get_mut(at);
        if data.seq > stream.journaled + 1 {
            let numbers = Numbers { from: stream.journaled + 1, to: data.seq - 1 };
            self.lost.push(Lost { stream: at, numbers, place: self.damaged.unwrap_or(place) });
            stream.logged += numbers.count();
            stream.journaled = numbers.to;
        }
        if stream.arrival(data.seq) == Arrival::Next {
            stream.take(data.seq, logged);
        }
        self.session(at, &data);
    }

    fn name_former(&mut self, stream: u32, former: &[u8]) {
        let name = self.state.streams.get(stream).name;
        for (incarnation, _) in named(former).flatten() {
            if let Some(at) = self.state.streams.open(StreamName { incarnation, ..name }, &self.ring) {
                self.state.streams.get_mut(at).named = true;
            }
        }
    }

    fn session(&mut self, stream: u32, data: &Data<'_>) {
        let Some((token, number)) = data.numbered.filter(|_| !planted!(SessionsForgotten)) else { return };
        let Some((stamp, text)) = data.logged.split_at_checked(STAMP_LEN + 1) else { return };
        let content = content(&stamp[..STAMP_LEN], text);
        let at = At { stream, seq: data.seq };
        self.state.sessions.recover(token, number, content, at, self.state.running_seconds);
    }
}

impl Recovered {
    /// Nothing but a place for the stream of the life that begins.
    fn blank(ring: &Ring, me: HostIndex) -> Recovered {
        let mut blank = Recovered::default();
        blank.streams.set_own(Stream::new(StreamName { origin: me, addressee: None, incarnation: 0 }, ring));
        blank
    }

    /// access.log as it was marked last: this file has these many bytes that are certain. What follows in it is to
    /// be cut off, and [`Recovered::log_lines`] to be appended.
    #[must_use]
    pub fn log(&self) -> Option<LogFile> {
        self.mark.map(|mark| mark.log)
    }

    /// The lines of access.log that a segment holds beyond the last mark. To be asked for all segments that are not
    /// [`Recovered::is_logged`], ascending, with all their bytes.
    pub fn log_lines(&self, number: u64, bytes: &[u8], out: &mut Vec<u8>) {
        let from = self.mark.map_or(Place::default(), |mark| mark.place);
        if number < from.segment {
            return;
        }
        let Some(segment) = self.segments.iter().find(|s| s.number == number) else { return };
        let scanned = scan(number, bytes, Some(segment.end));
        for frame in scanned.frames {
            if (Place { segment: number, offset: frame.offset }) < from {
                continue;
            }
            for line in lines(&bytes[frame.payload.range()]) {
                if let (Some(Line::Data(_, true)), Some(space)) =
                    (Line::parse(line), memchr::memchr(b' ', line))
                {
                    out.extend_from_slice(&line[space + 1..]);
                    out.push(b'\n');
                }
            }
        }
    }

    /// Whether everything in a segment is certain to be in access.log, so that [`Recovered::log_lines`] finds nothing.
    #[must_use]
    pub fn is_logged(&self, number: u64) -> bool {
        self.mark.is_some_and(|mark| number < mark.place.segment)
    }

    /// Segments from this number on may not be on the disk; those before it are, as a later one proves. The driver
    /// brings them there before it makes a node of this.
    #[must_use]
    pub fn unproved(&self) -> u64 {
        self.proof
    }

    /// The number of the segment that is to be made ready before the node starts.
    #[must_use]
    pub fn first_segment(&self) -> u64 {
        self.last_segment.map_or(1, |last| last + 1)
    }

    /// What error.log is to be told.
    #[must_use]
    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    /// Whether there was no journal, or none that could be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Whether what this host never had of others may be before its time.
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_empty() || self.is_young
    }

    /// Segments of which nothing can be used, to be moved aside.
    #[must_use]
    pub fn unreadable(&self) -> &[u64] {
        &self.unreadable
    }
}

/// Whether what cannot be read is the first copy of a head of which the second one can: nothing is lost with it.
fn lost_copy_of_head(span: &Span, frames: &[Frame], bytes: &[u8]) -> bool {
    let is_head = |frame: &Frame| {
        let first = lines(&bytes[frame.payload.range()]).next().and_then(Line::parse);
        matches!(first, Some(Line::Head { .. }))
    };
    span.start == 0 && frames.first().is_some_and(|frame| frame.offset == span.end && is_head(frame))
}

/// The lines of a segment's head, if it can be read.
fn head_lines(number: u64, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let head = scan(number, bytes, None).frames.first().map(|head| head.payload);
    head.into_iter().flat_map(|head| lines(&bytes[head.range()]))
}

fn link(number: u64, bytes: &[u8]) -> Option<Link> {
    let scanned = scan(number, bytes, None);
    let head = scanned.frames.first()?;
    let mut link = None;
    for line in lines(&bytes[head.payload.range()]).take(2) {
        match (Line::parse(line)?, &mut link) {
            (Line::Head { incarnation, .. }, None) => {
                let is_proof = scanned.frames.iter().any(|frame| frame.synced > 0);
                link = Some(Link { incarnation, before: None, is_proof });
            }
            (Line::End(place), Some(link)) => link.before = Some(place),
            _ => break,
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::frame::header;
    use crate::journal::record::{put_head, put_stream};
    use crate::ring::Scheme;
    use alloc::vec;

    /// A segment of which there is the head, twice: what life began it, behind what, and what is journaled by then.
    fn segment(ring: &Ring, number: u64, life: u64, before: Place, journaled: u64) -> Vec<u8> {
        let mut payload = Vec::new();
        put_head("MV", ring, life, 0, Some(before), &mut payload);
        let name = StreamName { origin: HostIndex(1), addressee: None, incarnation: 7 };
        let mut stream = Stream::new(name, ring);
        (stream.journaled, stream.logged) = (journaled, journaled);
        put_stream(&stream, &mut payload);
        let mut bytes = Vec::new();
        for _copy in 0..2 {
            let at = Place { segment: number, offset: bytes.len() as u32 };
            bytes.extend_from_slice(&header(at, 0, [&payload[..]].into_iter()));
            bytes.extend_from_slice(&payload);
        }
        bytes
    }

    #[test]
    fn what_a_crash_has_cut_off_does_not_count_though_all_before_it_was_released() {
        let ring = Ring::new(vec![String::from("MV"), String::from("PA")], Scheme::Receiver).unwrap();
        // Segment 10 was cut at 80, so that 11 is dead; the next life has begun 12; then the power went while 10, which
        // nobody needed any more, and 11 were released.
        let cut = Place { segment: 10, offset: 80 };
        let end = Place { segment: 10, offset: 100 };
        let left = [segment(&ring, 11, 1, end, 9), segment(&ring, 12, 2, cut, 5)];
        let read = |number, most: u32, into: &mut Vec<u8>| {
            let bytes: &[u8] = &left[number as usize - 11];
            *into = bytes[..bytes.len().min(most as usize)].to_vec();
            Ok::<_, JournalError>(bytes.len() as u32)
        };
        let recovered = recover(&ring, HostIndex(0), &[11, 12], read).unwrap();
        assert_eq!(recovered.dead, [11]);
        assert_eq!(recovered.segments.iter().map(|s| s.number).collect::<Vec<_>>(), [12]);
        assert_eq!(recovered.streams.iter().map(|s| s.journaled).max(), Some(5));
    }
    #[test]
    fn what_a_crash_has_cut_off_does_not_count_though_all_that_was_cut_and_more_was_released() {
        let ring = Ring::new(vec![String::from("MV"), String::from("PA")], Scheme::Receiver).unwrap();
        // Segment 9 was cut at 80, so that 10 is dead; 15 and 22 are of the next lives. 9 and 15 were released in order,
        // and before 10 was, the power went.
        let end = Place { segment: 9, offset: 100 };
        let former = Place { segment: 15, offset: 80 };
        let left =
            [(10, segment(&ring, 10, 1, end, 9)), (16, vec![0; 100]), (22, segment(&ring, 22, 3, former, 5))];
        let read = |number, most: u32, into: &mut Vec<u8>| {
            let bytes = left.iter().find(|(n, _)| *n == number).map(|(_, bytes)| &bytes[..]).unwrap();
            *into = bytes[..bytes.len().min(most as usize)].to_vec();
            Ok::<_, JournalError>(bytes.len() as u32)
        };
        let recovered = recover(&ring, HostIndex(0), &[10, 16, 22], read).unwrap();
        assert_eq!(recovered.dead, [16, 10]);
        assert_eq!(recovered.segments.iter().map(|s| s.number).collect::<Vec<_>>(), [22]);
        assert_eq!(recovered.streams.iter().map(|s| s.journaled).max(), Some(5));
    }

    #[test]
    fn hosts_that_ring_toml_does_not_name_are_told_once() {
        let ring = |names: &[&str]| {
            Ring::new(names.iter().map(|name| String::from(*name)).collect(), Scheme::Receiver).unwrap()
        };
        let before = Place { segment: 10, offset: 100 };
        let segment = segment(&ring(&["MV", "PA"]), 11, 1, before, 9);
        let recovered = |ring: &Ring| {
            let read = |_, most: u32, into: &mut Vec<u8>| {
                *into = segment[..segment.len().min(most as usize)].to_vec();
                Ok::<_, JournalError>(segment.len() as u32)
            };
            recover(ring, HostIndex(0), &[11], read).unwrap().findings
        };
        assert_eq!(recovered(&ring(&["MV", "PA"])), [""; 0]);
        let retired = ring(&["MV"]).with_retired(vec![String::from("PA")]).unwrap();
        assert_eq!(recovered(&retired), [""; 0]);
        let found = recovered(&ring(&["MV", "LA"]));
        assert!(found.len() == 1 && found[0].starts_with("UNKNOWN HOST PA: "), "{found:?}");
    }
}
