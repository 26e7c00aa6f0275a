//! The journal's upkeep: its segments are begun, kept as long as a host may need them, and released; access.log is
//! marked; sessions that nobody can use any more are forgotten.

use crate::broadcast::OWN;
use crate::event::{LogFile, Outputs, Severity, Slice, Source, Span};
use crate::journal::record::{
    Mark, put_certain, put_fresh, put_head, put_mark, put_passed, put_session, put_stream,
};
use crate::journal::recovered::Certain;
use crate::journal::writer::Entry;
use crate::limits::{
    LINE_GROWTH, LINE_MAX, MARK_WITHIN, NOTES_BYTES, PEER_GROWTH, PREPARE_AGAIN, READS_IN_SEGMENT,
    RELEASE_WITHIN, SEGMENTS_IDLE, TELL_ALL_WITHIN, TYPICAL_GROWTH, UPKEEP,
};
use crate::node::Node;
use crate::ring::HostIndex;
use crate::time::Time;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// What must have come from every host before sessions that are unused since then can be forgotten.
#[derive(Debug)]
pub(crate) struct Settling {
    /// When this began, in running seconds and as the node's time.
    since: u64,
    begun: Time,
    /// What was journaled of every stream then.
    journaled: Box<[u64]>,
    /// What each host had since on its disk of its own streams, by its index; `None` before that is certain.
    heads: Vec<Option<Vec<(u32, u64)>>>,
}

impl Node {
    /// Seconds that this host has run, in all lives of its journal.
    pub(crate) fn running_seconds(&self) -> u64 {
        self.ran_seconds + (self.now - self.born).as_secs()
    }

    /// Makes room in the journal for a turn with so many bytes of lines, each of them with its head.
    pub(crate) fn make_room(&mut self, lines: &[u8], growth: u32, out: &mut Outputs) {
        let most = (lines.len() as u32).saturating_mul(growth).saturating_add(NOTES_BYTES);
        if self.journal.room() >= most {
            self.has_room = true;
            return;
        }
        // A line grows by its head at most: mostly that is far less than the worst case.
        let count = memchr::memchr_iter(b'\n', lines).count() as u32;
        let needed = lines.len() as u32 + count * 4 * LINE_GROWTH + NOTES_BYTES;
        if self.journal.room() < needed {
            self.begin_segment(needed, out);
        }
        self.has_room = self.journal.room() >= needed;
    }

    /// How many bytes of a client may be read at one time. While the next segment is being made ready, which is a matter of
    /// moments, this one has room for them whatever they are, and they wait once it is nearly full. Where there
    /// is no room for another segment, clients are read, and told so.
    pub(crate) fn client_read_max(&self) -> u32 {
        if self.journal.spare().is_some() || self.journal.has_no_room() {
            return u32::MAX;
        }
        let room = self.journal.room();
        let most = (room.saturating_sub(NOTES_BYTES) / LINE_GROWTH).saturating_sub(LINE_MAX as u32);
        let is_enough = room >= self.settings.segment_bytes / READS_IN_SEGMENT * TYPICAL_GROWTH;
        if is_enough { most } else { 0 }
    }

    /// Whether peers may be read. Messages that there is no room for would be let go and fetched again, which takes far
    /// longer than the next segment mostly does; links must not fall silent for it, though.
    pub(crate) fn has_room_for_peers(&self, now: Time) -> bool {
        let lines = self.settings.segment_bytes / READS_IN_SEGMENT + LINE_MAX as u32;
        let most = lines * PEER_GROWTH + NOTES_BYTES;
        !self.journal.is_awaited(now) || self.journal.room() >= most
    }

    /// Begins the segment that is ready, if so many bytes will fit into it.
    fn begin_segment(&mut self, needed: u32, out: &mut Outputs) {
        let Some(size) = self.journal.spare() else { return };
        let start = out.small.len() as u32;
        self.put_snapshot(&mut out.small);
        let head = Span { start, end: out.small.len() as u32 };
        self.snapshot_bytes = head.end - head.start;
        let least = needed.saturating_add(2 * (self.snapshot_bytes + 64));
        if least > size {
            return self.journal.want_larger(least.saturating_add(self.settings.segment_bytes));
        }
        let journaled = self.journaled();
        self.journal.begin_segment(self.running_seconds(), journaled, head, out);
        if self.journal.segments().len() > SEGMENTS_IDLE {
            // The sooner all know what is on whose disk, the fewer files a flood goes through.
            (self.mark_at, self.tell_all_at) = (Some(self.now), Some(self.now));
        }
    }

    /// What of each stream is in the journal.
    fn journaled(&self) -> Box<[u64]> {
        self.streams.iter().map(|s| s.journaled).collect()
    }

    fn put_snapshot(&self, out: &mut Vec<u8>) {
        let now = self.running_seconds();
        put_head(self.ring.name(self.me), &self.ring, self.incarnation, now, self.journal.before(), out);
        if self.is_fresh {
            put_fresh(out);
        }
        if let Some(mark) = &self.journal.mark {
            put_mark(mark, out);
        }
        for stream in self.streams.iter().filter(|s| s.journaled > 0 || s.named) {
            put_stream(stream, out);
            put_passed(stream, out);
        }
        for (stream, (journaled, holes)) in
            (0..).zip(&self.certain).filter(|(_, (journaled, _))| *journaled > 0)
        {
            put_certain(self.streams.get(stream), *journaled, holes, out);
        }
        self.sessions.for_each(|token, used, known| put_session(token, now.saturating_sub(used), known, out));
    }

    /// The end of a turn: what it did becomes a record.
    pub(crate) fn put_record(&mut self, now: Time, input: &[u8], out: &mut Outputs) {
        if self.journal.has_record() {
            if self.journal.is_index_due() {
                // The place is before this turn's record, and so must the numbers be.
                if let Some(journaled) = self.journaled_before_turn.take() {
                    self.journal.add_index(journaled);
                }
            }
            self.journal.put_record(input, out);
            self.sync.written += 1;
        }
        self.journaled_before_turn = self.journal.is_index_due().then(|| self.journaled());
        if !out.log.is_empty() {
            self.mark_at.get_or_insert(now + MARK_WITHIN);
        }
        if self.mark_at.is_some_and(|at| at <= now) && !self.journal.is_marking() {
            self.mark_at = None;
            self.journal.mark_begins();
            self.certain_next = self.certain_now();
            out.mark = true;
        }
        let size = self.settings.segment_bytes.max(self.snapshot_bytes.saturating_mul(6));
        out.prepare = self.journal.prepare(now, size);
    }

    pub(crate) fn prepared(&mut self, now: Time, ok: bool, out: &mut Outputs) {
        let had_room = !self.journal.has_no_room();
        self.journal.prepared(ok, now + PREPARE_AGAIN);
        match (had_room, ok) {
            (true, false) => out.report(
                Severity::Error,
                Source::Node,
                format_args!(
                    "JOURNAL FULL: no room for another segment on the disk; when this one is full, messages are \
                     refused until there is"
                ),
            ),
            (false, true) => {
                out.report(Severity::Warning, Source::Node, format_args!("JOURNAL HAS ROOM again"));
            }
            _ => {}
        }
        if ok {
            self.has_room = true;
            if core::mem::take(&mut self.has_let_go) {
                self.repair_soon(now);
            }
        }
    }

    /// access.log is on the disk as it was when the mark was asked for.
    pub(crate) fn marked(&mut self, log: LogFile, out: &mut Outputs) {
        if let Some(mark) = self.journal.mark_ends(log) {
            self.note_mark(&mark, out);
        }
    }

    /// access.log is another file from now on.
    pub(crate) fn log_opened(&mut self, log: LogFile, out: &mut Outputs) {
        if planted!(RotationUnmarked) && self.journal.mark.is_some() {
            return;
        }
        let mark = self.journal.log_opened(log);
        self.certain_next = self.certain_now();
        self.note_mark(&mark, out);
        self.sync.urgent = true;
    }

    fn certain_now(&self) -> Certain {
        self.streams.iter().map(|s| (s.journaled, s.holes.clone())).collect()
    }

    /// Notes a mark, and what has become certain with it. Where there is no room for it, or not for all of it, the head
    /// of the next segment tells the rest.
    fn note_mark(&mut self, mark: &Mark, out: &mut Outputs) {
        let start = out.small.len() as u32;
        put_mark(mark, &mut out.small);
        let before = core::mem::replace(&mut self.certain, core::mem::take(&mut self.certain_next));
        let is_new =
            |stream: &usize| self.certain[*stream].0 > 0 && before.get(*stream) != self.certain.get(*stream);
        for stream in (0..self.certain.len()).filter(is_new) {
            let (journaled, holes) = &self.certain[stream];
            if out.small.len() as u32 - start > NOTES_BYTES / 2 {
                break;
            }
            put_certain(self.streams.get(stream as u32), *journaled, holes, &mut out.small);
        }
        if self.add_note(Span { start, end: out.small.len() as u32 }) {
            self.journal.mark_noted();
        }
    }

    /// Adds lines that are no messages to the journal, if there is room for them. Returns whether there was.
    pub(crate) fn add_note(&mut self, lines: Span) -> bool {
        let fits = self.journal.room() >= lines.end - lines.start;
        if fits {
            self.journal.add(Slice::Small(lines));
        }
        fits
    }

    /// Whether nobody needs anything of a stream any more: nothing can follow, all have it, no record is left.
    pub(crate) fn is_finished(&self, stream: u32) -> bool {
        let state = self.streams.get(stream);
        state.named && state.holes.is_empty() && self.journal.before_all(stream) >= state.journaled
    }

    /// What every host that has a claim on a stream has on its disk, this one too.
    fn settled(&self, stream: u32) -> u64 {
        let state = self.streams.get(stream);
        let claims = |host: &HostIndex| match state.name.addressee {
            None => true,
            Some(to) => state.name.origin == self.me && to == *host,
        };
        if planted!(ReleaseTooEarly) {
            return state.synced;
        }
        let told = |host: HostIndex| {
            let told = self.links[host.index()].told(stream);
            if planted!(ReleaseOnJournaled) { told.journaled } else { told.synced }
        };
        self.others().filter(claims).map(told).min().unwrap_or(u64::MAX).min(state.synced)
    }

    /// Releases what nobody needs any more, and what the bounds of the journal do not allow to be kept.
    pub(crate) fn tend_upkeep(&mut self, now: Time, out: &mut Outputs) {
        if self.upkeep_at.is_some_and(|at| at > now) {
            return;
        }
        while let Some(end) = self.journal.first_end() {
            let is_logged = self.journal.is_logged(end.place);
            let is_needed = (0..self.streams.len()).any(|s| end.of(s) > self.settled(s));
            if !is_logged || (is_needed && !self.is_beyond_bounds()) {
                break;
            }
            let end = end.clone();
            if is_needed {
                self.report_released(&end, out);
            }
            if let Some(segment) = self.journal.drop_first() {
                out.release.push(segment.number);
            }
        }
        self.settle_sessions(now);
        self.upkeep_at = Some(now + UPKEEP);
    }

    /// Somebody has told that it has more: perhaps a segment can go.
    pub(crate) fn upkeep_soon(&mut self, now: Time) {
        let are_many = self.journal.segments().len() > SEGMENTS_IDLE;
        let soon = now + if are_many { RELEASE_WITHIN } else { TELL_ALL_WITHIN };
        self.upkeep_at = Some(self.upkeep_at.map_or(soon, |at| at.min(soon)));
    }

    fn is_beyond_bounds(&self) -> bool {
        let first = self.journal.segments().front();
        let age = first.map_or(0, |s| self.running_seconds().saturating_sub(s.begun));
        self.journal.bytes_of_all() > self.settings.journal_bytes || age > self.settings.journal_age.as_secs()
    }

    /// Messages that some host may lack go: say which.
    fn report_released(&self, end: &Entry, out: &mut Outputs) {
        for stream in 0..self.streams.len() {
            let (state, upto) = (self.streams.get(stream), end.of(stream));
            for host in self.others().filter(|h| state.name.is_for(*h)) {
                let has = self.links[host.index()].told(stream).synced.max(self.journal.before_all(stream));
                if has >= upto || (state.name.addressee.is_some() && state.name.origin != self.me) {
                    continue;
                }
                let head = String::from_utf8_lossy(&state.head);
                let from = has + 1;
                out.report(
                    Severity::Error,
                    Source::Host(host),
                    format_args!(
                        "RELEASED {head}{from} to {upto}, which this host has not told to have: the bounds of the \
                         journal are reached"
                    ),
                );
            }
        }
    }

    /// A host has answered a `KEEPALIVE` that was sent then: what it has told is not older than that.
    pub(crate) fn settle_hears(&mut self, host: HostIndex, sent: Time) {
        if let Some(up) = &mut self.links[host.index()].up {
            up.heard = sent;
        }
        let Some(settling) = self.settling.as_mut().filter(|s| sent >= s.begun + 2 * TELL_ALL_WITHIN) else {
            return;
        };
        let link = &self.links[host.index()];
        let own = (0..).zip(self.streams.iter()).filter(|(_, s)| s.name.origin == host);
        settling.heads[host.index()] = Some(own.map(|(s, _)| (s, link.told(s).synced)).collect());
    }

    /// A session may be forgotten once whatever was under way when it was used last has arrived everywhere: every
    /// host has on its disk what was here then, and this one has what every host had of its own on its disk since.
    fn settle_sessions(&mut self, now: Time) {
        let Some(settling) = &self.settling else {
            let heads = self.ring.hosts().map(|_| None).collect();
            let (since, journaled) = (self.running_seconds(), self.journaled());
            self.settling = Some(Settling { since, begun: now, journaled, heads });
            return;
        };
        let all_have = (0..).zip(&settling.journaled).all(|(s, n)| self.settled(s) >= *n);
        let here = |(stream, synced): &(u32, u64)| self.streams.get(*stream).lacking() > *synced;
        let all_told = self
            .others()
            .all(|host| settling.heads[host.index()].as_ref().is_some_and(|heads| heads.iter().all(here)));
        if all_have && all_told {
            let (since, now) = (settling.since, self.running_seconds());
            self.sessions.settle(since, now);
            self.settling = None;
            // All have been heard, and what they had is here or was given up.
            self.is_fresh &= self.lacks_a_whole_stream();
        }
    }

    /// Whether there is a stream of which nothing is here yet: a retired host's, say, of which only others tell.
    fn lacks_a_whole_stream(&self) -> bool {
        let is_lacking = |stream: u32| self.streams.get(stream).journaled == 0 && self.known_upto(stream) > 0;
        (0..self.streams.len()).any(is_lacking)
    }

    /// All is well: everything of our own stream that was sent is in the journal, and so on. For tests and for
    /// `STATUS`: each stream's numbers are accounted for, once.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.streams.iter().all(crate::stream::Stream::is_balanced)
            && self.own.sendable <= self.streams.get(OWN).journaled
    }
}
