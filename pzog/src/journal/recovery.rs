//! What a journal says after a start: which segments count, and where each ends.
//!
//! Every head of a segment gives the state before it, so of most segments only that is read (`survey`); what the others
//! say is read in order (`replay`). What is torn at the end of the last segment is cut: a new segment begins, and its
//! head says where the old one ended. So what a crash has cut off is seen by what later heads name as before them, and
//! does not count, whatever of it is left.

use super::owner::JournalError;
use super::record::{Line, lines};
use super::recovered::Recovered;
use super::replay::Replay;
use super::scan::scan;
use super::survey::{Chain, Head, Survey, Surveyed};
use crate::event::Place;
use crate::ring::{HostIndex, Ring};
use alloc::format;
use alloc::vec::Vec;

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
    Ok(recovery.finish(segments.last().copied())?)
}

/// Reads a journal, segment by segment.
#[derive(Debug)]
struct Recovery<'a> {
    chain: Chain,
    /// The segment given last: only the next one's head says where it ends.
    pending: Option<Pending>,
    /// What the segments taken so far say.
    replay: Replay<'a>,
    /// The segments taken so far, ascending.
    taken: Vec<u64>,
    /// Segments that do not count.
    dead: Vec<u64>,
    /// How it was before segments were taken that may turn out to be left from before a crash.
    doubts: Vec<Doubt<'a>>,
}

/// A segment was taken though the one before it is not there. Where the head of a later life names an older segment
/// as the last one, a crash had cut it off, and it was being released.
#[derive(Debug)]
struct Doubt<'a> {
    number: u64,
    before: Replay<'a>,
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

impl<'a> Recovery<'a> {
    fn new(ring: &'a Ring, me: HostIndex, chain: Chain) -> Recovery<'a> {
        let replay = Replay::new(ring, me);
        Recovery { chain, pending: None, replay, taken: Vec::new(), dead: Vec::new(), doubts: Vec::new() }
    }

    /// The oldest segments, of which the heads suffice; the last head is that of the next segment.
    fn pass_over(&mut self, heads: &[Head]) {
        self.replay.pass_over(heads);
        self.taken.extend(heads.iter().zip(heads.iter().skip(1)).map(|(head, _)| head.segment));
    }

    /// The next segment: all bytes of its file. Segments come in ascending order of their numbers.
    fn segment(&mut self, number: u64, bytes: Vec<u8>) -> Result<(), JournalError> {
        if self.chain.leaves_out(number) {
            if scan(number, &bytes, None).frames.is_empty() {
                self.dead.push(number);
            } else {
                self.drop_left_out(number);
            }
            return Ok(());
        }
        let link = link(number, &bytes);
        self.drop_cut_off(link);
        let is_dead = |before: Place| self.dead.contains(&before.segment);
        let mut lives = !link.and_then(|link| link.before).is_some_and(is_dead);
        if let Some(before) = self.pending.take() {
            let sealed = self.end_of(&before, link);
            self.read(&before, sealed)?;
            let follows = link.and_then(|link| link.before).is_some_and(|end| end.segment == before.number);
            lives &= !follows || sealed.is_some();
        }
        if lives {
            if link.is_some_and(|link| self.is_behind_a_gap(link))
                && self.replay.has_more_than(number, &bytes)
            {
                self.drop_taken();
            }
            self.doubt(number, link);
            self.taken.push(number);
            let incarnation = link.map(|link| link.incarnation);
            self.pending = Some(Pending { number, incarnation, bytes });
        } else {
            self.replay.find(format!(
                "TORN journal segment {number:016x}: the end of the one before was never written; dropped"
            ));
            self.dead.push(number);
        }
        Ok(())
    }

    /// Reads a segment that was taken.
    fn read(&mut self, segment: &Pending, sealed: Option<u32>) -> Result<(), JournalError> {
        if !self.replay.read(segment.number, &segment.bytes, sealed)? {
            // Made ready, and not begun before the end.
            self.taken.retain(|taken| *taken != segment.number);
            self.dead.push(segment.number);
        }
        Ok(())
    }

    /// What comes later does not go on from this segment: it came behind what a crash had cut off.
    fn drop_left_out(&mut self, number: u64) {
        self.dead.push(number);
        self.find_cut_off(number);
    }

    /// Whether the predecessor of a segment is newer than all that were taken: mostly it was released.
    fn is_behind_a_gap(&self, link: Link) -> bool {
        link.before.is_some_and(|before| self.taken.last().is_none_or(|last| before.segment > *last))
    }

    /// Nothing that was taken is of the past of what comes.
    fn drop_taken(&mut self) {
        for number in core::mem::take(&mut self.taken) {
            self.drop_left_out(number);
        }
        self.replay.begin_anew();
        self.doubts.clear();
    }

    /// Remembers how it is before a segment whose predecessor is not the last one that was taken.
    fn doubt(&mut self, number: u64, link: Option<Link>) {
        // Mostly the oldest one's predecessor was released; but it may have been the last one before a cut, too.
        if link.is_some_and(|link| self.is_behind_a_gap(link)) {
            self.doubts.push(Doubt { number, before: self.replay.clone() });
        }
    }

    /// A head names an older segment as the last one before it: what lies between was cut off by a crash.
    fn drop_cut_off(&mut self, link: Option<Link>) {
        let Some(before) = link.and_then(|link| link.before).map(|before| before.segment) else { return };
        let Some(at) = self.doubts.iter().position(|doubt| doubt.number > before) else { return };
        let Some(Doubt { number, before }) = self.doubts.drain(at..).next() else { return };
        self.replay = before;
        self.dead.extend(self.taken.iter().filter(|taken| **taken >= number));
        self.taken.retain(|taken| *taken < number);
        self.pending = None;
        self.find_cut_off(number);
    }

    fn find_cut_off(&mut self, number: u64) {
        self.replay.find(format!(
            "TORN journal segment {number:016x}: it came behind what a crash had cut off; dropped"
        ));
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

    /// All segments were given, this one last.
    fn finish(mut self, last_segment: Option<u64>) -> Result<Recovered, JournalError> {
        if let Some(last) = self.pending.take() {
            self.read(&last, None)?;
        }
        let (proof, dead) = (self.chain.proof(), self.dead);
        Ok(Recovered { last_segment, proof, dead, ..self.replay.finish() })
    }
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
    use crate::event::LogFile;
    use crate::journal::frame::header;
    use crate::journal::record::{Mark, put_head, put_mark, put_stream};
    use crate::ring::Scheme;
    use crate::stream::Stream;
    use crate::wire::StreamName;
    use alloc::string::String;
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
    fn what_lies_between_two_segments_that_follow_each_other_is_left_out_and_nothing_else() {
        let ring = Ring::new(vec![String::from("MV"), String::from("PA")], Scheme::Receiver).unwrap();
        // Segment 10 was cut behind its head, so that 11 is dead; 12 begins the next life and 13 goes on, which proves that
        // 12 and with it 10 are on the disk. 8 is of before all that: 9 was released.
        let place = |segment, offset| Place { segment, offset };
        let mut left = Vec::from([8, 10, 11, 12, 13].map(|number| (number, Vec::new())));
        left[0].1 = segment(&ring, 8, 1, place(7, 100), 2);
        left[1].1 = segment(&ring, 10, 1, place(9, 100), 4);
        let end = left[1].1.len() as u32;
        left[2].1 = segment(&ring, 11, 1, place(10, end + 50), 9);
        left[3].1 = segment(&ring, 12, 2, place(10, end), 5);
        left[4].1 = segment(&ring, 13, 2, place(12, left[3].1.len() as u32), 6);
        let mut payload = Vec::new();
        let log = LogFile { device: 1, inode: 1, bytes: 0 };
        put_mark(&Mark { place: place(10, 0), log }, &mut payload);
        let last = &mut left[4].1;
        let end = last.len() as u32;
        last.extend_from_slice(&header(place(13, end), end, [&payload[..]].into_iter()));
        last.extend_from_slice(&payload);
        let read = |number, most: u32, into: &mut Vec<u8>| {
            let bytes = left.iter().find(|(n, _)| *n == number).map(|(_, bytes)| &bytes[..]).unwrap();
            *into = bytes[..bytes.len().min(most as usize)].to_vec();
            Ok::<_, JournalError>(bytes.len() as u32)
        };
        let recovered = recover(&ring, HostIndex(0), &[8, 10, 11, 12, 13], read).unwrap();
        assert_eq!(recovered.dead, [11]);
        assert_eq!(recovered.segments.iter().map(|s| s.number).collect::<Vec<_>>(), [8, 10, 12, 13]);
        let findings = recovered.findings;
        assert!(findings.len() == 1 && findings[0].contains("000b: it came behind what"), "{findings:?}");
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
