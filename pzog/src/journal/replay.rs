//! What the records of a journal say, segment by segment: where every stream stands, which sessions are known, and what
//! is missing in access.log.
//!
//! A head sets the state, the records behind it are added in order, and every later head sets the state again. What is
//! damaged is passed over; messages that it held, and that access.log may lack, become holes of their streams, which are
//! fetched again. Which segments count at all, and where each ends, is for `recovery` to say.

use super::frame::Frame;
use super::owner::{JournalError, check_host};
use super::record::{Line, StreamLine, lines};
use super::recovered::{Certain, Recovered};
use super::scan::scan;
use super::survey::Head;
use super::writer::{Entry, Segment};
use crate::event::{Place, Span};
use crate::limits::INDEX_BYTES;
use crate::ring::{HostIndex, Ring};
use crate::session::{At, content};
use crate::stream::{Arrival, Numbers};
use crate::time::STAMP_LEN;
use crate::wire::{Data, StreamName, named};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The state so far.
#[derive(Clone, Debug)]
pub(super) struct Replay<'a> {
    ring: &'a Ring,
    me: HostIndex,
    pub(super) state: Recovered,
    /// A head was read: what comes is to be added to it.
    has_base: bool,
    /// The last byte of what is damaged since the last head: what it held may have stood anywhere before it.
    damaged: Option<Place>,
    lost: Vec<Lost>,
    /// Hosts that are not in ring.toml.
    strangers: BTreeSet<String>,
}

/// Messages that a damaged piece held.
#[derive(Clone, Copy, Debug)]
struct Lost {
    stream: u32,
    numbers: Numbers,
    place: Place,
}

impl<'a> Replay<'a> {
    /// Nothing was read yet.
    pub(super) fn new(ring: &'a Ring, me: HostIndex) -> Replay<'a> {
        Replay {
            ring,
            me,
            state: Recovered::blank(ring, me),
            has_base: false,
            damaged: None,
            lost: Vec::new(),
            strangers: BTreeSet::new(),
        }
    }

    /// Forgets all that was read, but what is told of it.
    pub(super) fn begin_anew(&mut self) {
        let Recovered { unreadable, findings, .. } = core::mem::take(&mut self.state);
        self.state = Recovered { unreadable, findings, ..Recovered::blank(self.ring, self.me) };
        (self.has_base, self.damaged) = (false, None);
        self.lost.clear();
    }

    /// The oldest segments, of which the heads suffice; the last head is that of the next segment.
    pub(super) fn pass_over(&mut self, heads: &[Head]) {
        for (head, next) in heads.iter().zip(heads.iter().skip(1)) {
            let mut journaled = Vec::new();
            for (name, upto) in &head.journaled {
                let Some(stream) = self.state.streams.open(*name, self.ring) else { continue };
                journaled.resize(self.state.streams.len() as usize, 0);
                journaled[stream as usize] = *upto;
            }
            let Head { segment: number, size, running_seconds: begun, .. } = *head;
            let end = next.before.map_or(0, |end| end.offset);
            let place = Place { segment: number, offset: 0 };
            self.state.segments.push_back(Segment { number, size, end, begun });
            self.state.index.push_back(Entry { place, journaled: journaled.into() });
        }
    }

    /// Whether a segment begins with less than was read so far.
    pub(super) fn has_more_than(&mut self, number: u64, bytes: &[u8]) -> bool {
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

    /// Reads a whole segment up to its end, if that is certain, and says whether anything was ever written to it.
    pub(super) fn read(
        &mut self,
        number: u64,
        bytes: &[u8],
        sealed: Option<u32>,
    ) -> Result<bool, JournalError> {
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
            None if scanned.frames.is_empty() && scanned.damaged.is_empty() => return Ok(false),
            None => {
                self.find(format!(
                    "UNREADABLE journal segment {number:016x}: it has no head, nor has any before it"
                ));
                self.state.unreadable.push(number);
            }
        }
        Ok(true)
    }

    /// All that is to be read was read; what damage has taken is to be fetched again.
    pub(super) fn finish(mut self) -> Recovered {
        let certain = self.state.mark.map_or(Place::default(), |mark| mark.place);
        for Lost { stream, mut numbers, .. } in self.lost.into_iter().filter(|lost| lost.place >= certain) {
            numbers.from = numbers.from.max(certain_upto(&self.state.certain, stream) + 1);
            self.state.streams.get_mut(stream).add_hole(numbers);
        }
        self.state.streams.iter_mut().for_each(|s| s.synced = s.journaled);
        self.state
    }

    fn damage(&mut self, segment: u64, from: u32, to: u32) {
        self.damaged = Some(Place { segment, offset: to.saturating_sub(1) });
        self.find_damage(segment, from, to);
    }

    fn find_damage(&mut self, segment: u64, from: u32, to: u32) {
        self.find(format!("DAMAGED journal segment {segment:016x}, offset {from} to {to}: passed over"));
    }

    pub(super) fn find(&mut self, finding: String) {
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
        check_host(place.segment, host, self.ring, self.me)?;
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
                    // Which it was is told behind this, but by a former build.
                    stream.passed = stream.passed.map(|passed| Numbers { from: 1, ..passed });
                }
            }
            Line::Passed { stream, numbers } => {
                if let Some(at) = self.open(stream) {
                    self.state.streams.get_mut(at).passed = Some(numbers);
                }
            }
        }
    }

    fn open(&mut self, name: &[u8]) -> Option<u32> {
        match StreamName::parse(name, self.ring) {
            Ok(name) => self.state.streams.open(name, self.ring),
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
        stream.passed = (line.given_up > 0).then_some(Numbers { from: 1, to: line.journaled });
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
            if let Some(at) = self.state.streams.open(StreamName { incarnation, ..name }, self.ring) {
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
