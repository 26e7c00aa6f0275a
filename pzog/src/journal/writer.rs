//! The journal as it grows: one record a turn, in segments that are made ready ahead.

use crate::event::{LogFile, Outputs, Place, Prepare, Slice, Span};
use crate::journal::frame::{Check, HEADER_BYTES, header_by};
use crate::journal::record::Mark;
use crate::limits::{INDEX_BYTES, PREPARE_WAIT};
use crate::time::Time;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Where the journal stands.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Where the next record goes.
    end: Place,
    /// That of the records in its segment.
    check: Check,
    /// The segments that hold records, oldest first; the last is written.
    segments: VecDeque<Segment>,
    /// How much of each stream stands before some places, ascending.
    index: VecDeque<Entry>,
    spare: Spare,
    /// There was no room for it when it was asked for last.
    no_room: bool,
    /// The record of this turn: its pieces, and where in `small` what is not a message of the input begins.
    pieces: Vec<Slice>,
    /// Its bytes so far.
    bytes: u32,
    /// All before this place is on the disk …
    synced: Place,
    /// … and all before this one when the sync under way ends.
    syncing: Place,
    /// How far access.log is certain, and what the mark under way will say.
    pub(crate) mark: Option<Mark>,
    marking: Option<Place>,
    /// The place of the last mark that the journal tells: there may have been no room for a later one yet.
    noted: Place,
    /// All before this place is in access.log for certain, and the journal on the disk says so …
    marked: Place,
    /// … and all before this one when the sync under way ends.
    marked_next: Place,
}

/// One segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// The size of its file.
    pub(crate) size: u32,
    /// Where it ends, unless it is written.
    pub(crate) end: u32,
    /// When it was begun, in seconds of running time of all lives of this journal.
    pub(crate) begun: u64,
}

/// How much of each stream stands before a place.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) journaled: Box<[u64]>,
}

impl Entry {
    pub(crate) fn of(&self, stream: u32) -> u64 {
        self.journaled.get(stream as usize).copied().unwrap_or(0)
    }
}

/// The segment that will be written next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Spare {
    /// To be asked for now, of at least so many bytes.
    Wanted(u32),
    Asked(u32, Time),
    Ready(u32),
    /// There was no room; to be asked for again then.
    NoRoom(Time),
}

impl Journal {
    /// A journal whose older segments were recovered; the first new one is ready.
    pub(crate) fn new(
        segments: VecDeque<Segment>,
        index: VecDeque<Entry>,
        first: u64,
        size: u32,
        mark: Option<Mark>,
    ) -> Journal {
        // The place behind all: where the first record goes once the first head is made.
        let end = Place { segment: first, offset: 0 };
        let marked = mark.map_or(Place::default(), |mark| mark.place);
        Journal {
            end,
            check: Check::of(end.segment),
            segments,
            index,
            spare: Spare::Ready(size),
            no_room: false,
            pieces: Vec::new(),
            bytes: 0,
            synced: end,
            syncing: end,
            mark,
            marking: None,
            noted: marked,
            marked,
            marked_next: marked,
        }
    }

    /// Where the next record goes.
    pub(crate) fn end(&self) -> Place {
        self.end
    }

    /// Bytes that this turn's record may still take in the segment that is written.
    pub(crate) fn room(&self) -> u32 {
        let size = self.segments.back().filter(|s| s.number == self.end.segment).map_or(0, |s| s.size);
        size.saturating_sub(self.end.offset + self.bytes + 2 * HEADER_BYTES as u32)
    }

    pub(crate) fn segments(&self) -> &VecDeque<Segment> {
        &self.segments
    }

    pub(crate) fn bytes_of_all(&self) -> u64 {
        self.segments.iter().map(|s| u64::from(s.size)).sum()
    }

    /// The size of the next segment, if it is ready.
    pub(crate) fn spare(&self) -> Option<u32> {
        match self.spare {
            Spare::Ready(size) => Some(size),
            _ => None,
        }
    }

    pub(crate) fn has_no_room(&self) -> bool {
        self.no_room
    }

    /// The place where what was written before the next segment ends.
    pub(crate) fn before(&self) -> Option<Place> {
        let last = self.segments.back()?;
        let is_written = last.number == self.end.segment;
        let offset = if is_written { self.end.offset } else { last.end };
        Some(Place { segment: last.number, offset })
    }

    /// The number of the segment that is begun next; the first one of this life is where the journal ends already.
    fn next_number(&self) -> u64 {
        let has_begun = self.segments.back().is_some_and(|s| s.number == self.end.segment);
        self.end.segment + u64::from(has_begun)
    }

    /// The segment that is ready will not do: its place is taken by one of at least so many bytes.
    pub(crate) fn want_larger(&mut self, bytes: u32) {
        self.spare = Spare::Wanted(bytes);
    }

    /// Begins the next segment, which must be ready, with this head (written twice).
    pub(crate) fn begin_segment(&mut self, begun: u64, journaled: Box<[u64]>, head: Span, out: &mut Outputs) {
        let Spare::Ready(size) = core::mem::replace(&mut self.spare, Spare::Wanted(0)) else { return };
        let number = self.next_number();
        if let Some(last) = self.segments.back_mut().filter(|s| s.number == self.end.segment) {
            last.end = self.end.offset;
        }
        (self.end, self.check) = (Place { segment: number, offset: 0 }, Check::of(number));
        self.segments.push_back(Segment { number, size, end: u32::MAX, begun });
        self.index.push_back(Entry { place: self.end, journaled });
        self.mark_noted();
        for _copy in 0..2 {
            self.pieces.push(Slice::Small(head));
            self.bytes = head.end - head.start;
            self.put_record(&[], out);
        }
    }

    /// Adds a piece to this turn's record; neighbours become one.
    pub(crate) fn add(&mut self, piece: Slice) {
        let bytes = |s: Span| s.end - s.start;
        match (piece, self.pieces.last_mut()) {
            (Slice::Input(new), Some(Slice::Input(last))) if last.end == new.start => {
                last.end = new.end;
                self.bytes += bytes(new);
            }
            (Slice::Own(a, new), Some(Slice::Own(b, last))) if a == *b && last.end == new.start => {
                last.end = new.end;
                self.bytes += bytes(new);
            }
            (Slice::Input(new) | Slice::Own(_, new) | Slice::Small(new), _) => {
                self.pieces.push(piece);
                self.bytes += bytes(new);
            }
            (Slice::Oks(_), _) => {}
        }
    }

    pub(crate) fn has_record(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Notes where in the journal how much of each stream stands, where it is time to.
    pub(crate) fn is_index_due(&self) -> bool {
        let since = self.index.back().filter(|e| e.place.segment == self.end.segment);
        since.is_none_or(|e| self.end.offset - e.place.offset >= INDEX_BYTES)
    }

    pub(crate) fn add_index(&mut self, journaled: Box<[u64]>) {
        self.index.push_back(Entry { place: self.end, journaled });
    }

    /// Puts what was added into `append`, with its header. `input` are the bytes of this turn's input.
    pub(crate) fn put_record(&mut self, input: &[u8], out: &mut Outputs) {
        let synced = if self.synced.segment == self.end.segment { self.synced.offset } else { 0 };
        let parts = self.pieces.iter().map(|piece| out.bytes(*piece, input));
        let header = header_by(&self.check, self.end, synced, parts);
        if out.append.is_empty() {
            out.append_at = self.end;
        }
        let header = out.put_bytes(&[&header]);
        out.append.push(header);
        out.append.append(&mut self.pieces);
        self.end.offset += HEADER_BYTES as u32 + self.bytes;
        self.bytes = 0;
    }

    /// A sync begins: it covers all that was appended.
    pub(crate) fn sync_begins(&mut self) {
        self.syncing = self.end;
        self.marked_next = self.noted;
    }

    /// Bytes that were appended since the last sync began; what stands in several segments counts as a whole one.
    pub(crate) fn uncovered_bytes(&self) -> u32 {
        match self.end.segment == self.syncing.segment {
            true => self.end.offset - self.syncing.offset,
            false => u32::MAX,
        }
    }

    pub(crate) fn sync_ends(&mut self) {
        self.synced = self.syncing;
        self.marked = self.marked_next;
    }

    /// Whether a recovered journal needs nothing of what stands before a place to complete access.log.
    pub(crate) fn is_logged(&self, upto: Place) -> bool {
        self.marked >= upto
    }

    /// access.log is to be synced as it is after this turn.
    pub(crate) fn mark_begins(&mut self) {
        self.marking = Some(self.end);
    }

    pub(crate) fn is_marking(&self) -> bool {
        self.marking.is_some()
    }

    /// That is done. Returns the mark to be noted.
    pub(crate) fn mark_ends(&mut self, log: LogFile) -> Option<Mark> {
        let place = self.marking.take()?;
        let place = if planted!(MarkTooFar) { self.end } else { place };
        self.mark = Some(Mark { place, log });
        self.mark
    }

    /// The last mark stands in the journal, with this turn.
    pub(crate) fn mark_noted(&mut self) {
        self.noted = self.mark.map_or(self.noted, |mark| mark.place);
    }

    /// access.log is another file from here on.
    pub(crate) fn log_opened(&mut self, log: LogFile) -> Mark {
        self.marking = None;
        let mark = Mark { place: self.end, log };
        self.mark = Some(mark);
        mark
    }

    /// Asks for the next segment, if it is time to.
    pub(crate) fn prepare(&mut self, now: Time, size: u32) -> Option<Prepare> {
        let bytes = match self.spare {
            Spare::Wanted(least) => size.max(least),
            Spare::NoRoom(again) if again <= now => size,
            Spare::NoRoom(_) | Spare::Asked(..) | Spare::Ready(_) => return None,
        };
        self.spare = Spare::Asked(bytes, now);
        Some(Prepare { segment: self.next_number(), bytes })
    }

    pub(crate) fn prepared(&mut self, ok: bool, again: Time) {
        if let Spare::Asked(size, _) = self.spare {
            self.spare = if ok { Spare::Ready(size) } else { Spare::NoRoom(again) };
            self.no_room = !ok;
        }
    }

    /// Whether the next segment was asked for not long ago, and is not ready.
    pub(crate) fn is_awaited(&self, now: Time) -> bool {
        matches!(self.spare, Spare::Asked(_, since) if now < since + PREPARE_WAIT)
    }

    pub(crate) fn deadline(&self, now: Time) -> Option<Time> {
        match self.spare {
            Spare::NoRoom(again) => Some(again),
            Spare::Asked(_, since) if self.is_awaited(now) => Some(since + PREPARE_WAIT),
            _ => None,
        }
    }

    /// How much of each stream stands before the second segment, and where that begins.
    pub(crate) fn first_end(&self) -> Option<&Entry> {
        let second = self.segments.get(1)?;
        self.index.iter().find(|e| e.place.segment == second.number)
    }

    /// Drops the first segment.
    pub(crate) fn drop_first(&mut self) -> Option<Segment> {
        let first = self.segments.pop_front()?;
        while self.index.front().is_some_and(|e| e.place.segment <= first.number) {
            self.index.pop_front();
        }
        Some(first)
    }

    /// What of a stream stands before all that is kept.
    pub(crate) fn before_all(&self, stream: u32) -> u64 {
        self.index.front().map_or(0, |e| e.of(stream))
    }

    /// A place at or before the record with this number, as near as the index knows.
    pub(crate) fn find(&self, stream: u32, seq: u64) -> Place {
        let behind = self.index.partition_point(|e| e.of(stream) < seq);
        self.index.get(behind.saturating_sub(1)).map_or(self.end, |e| e.place)
    }

    /// Where reading goes on at a place: at the head of the next segment where this one ends.
    pub(crate) fn normal(&self, place: Place) -> Place {
        let at = self.segments.partition_point(|s| s.number < place.segment);
        match self.segments.get(at) {
            Some(s) if s.number == place.segment && (place.offset < s.end || place == self.end) => place,
            Some(s) if s.number == place.segment => {
                let next = self.segments.get(at + 1);
                next.map_or(self.end, |next| Place { segment: next.number, offset: 0 })
            }
            Some(s) => Place { segment: s.number, offset: 0 },
            None => self.end,
        }
    }

    /// How many bytes of its segment lie behind a place.
    pub(crate) fn bytes_behind(&self, place: Place) -> u32 {
        let segment = self.segments.iter().find(|s| s.number == place.segment);
        let end =
            if place.segment == self.end.segment { self.end.offset } else { segment.map_or(0, |s| s.end) };
        end.saturating_sub(place.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_for_which_there_was_no_room_releases_nothing() {
        let mut journal = Journal::new(VecDeque::new(), VecDeque::new(), 1, 4096, None);
        let mut out = Outputs::default();
        let head = out.put_bytes(&[b"head"]);
        let Slice::Small(head) = head else { panic!("{head:?}") };
        journal.begin_segment(0, Box::default(), head, &mut out);
        let place = journal.end();
        let sync = |journal: &mut Journal| {
            journal.sync_begins();
            journal.sync_ends();
        };
        journal.mark_begins();
        journal.mark_ends(LogFile { device: 1, inode: 1, bytes: 1 });
        sync(&mut journal);
        assert!(!journal.is_logged(place), "after a loss of power nothing would tell this mark");
        journal.mark_noted();
        sync(&mut journal);
        assert!(journal.is_logged(place));
    }
}
