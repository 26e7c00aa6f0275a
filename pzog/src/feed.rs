//! What each host is sent of each stream, and from where: live, or from the journal.
//!
//! A *feed* is the next number of a stream that a host is to get. A message with that number goes out in the turn in
//! which it comes; where that cannot be (the host was away, does not keep up, asked for earlier ones), the feed
//! lags, and the host is served from the journal, piece by piece, until it has caught up. So there is one way by which
//! messages are sent again, and it ends where the live ones begin.

use crate::broadcast::OWN;
use crate::event::{ConnId, Outputs, Place, Read, Slice, Span};
use crate::journal::piece::{self, Found};
use crate::journal::record::REPEAT;
use crate::limits::SERVE_BYTES;
use crate::node::Node;
use crate::report::Refusal;
use crate::ring::HostIndex;
use crate::stream::Numbers;
use crate::time::Time;
use crate::watermark::put_told;
use crate::wire::{StreamName, number};
use alloc::vec::Vec;

/// All feeds of one host, while it is linked.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    feeds: Vec<Feed>,
    /// Some of them lag, perhaps.
    lagging: bool,
    /// Where in the journal the host is served from.
    cursor: Option<Cursor>,
    /// The other side takes nothing just now.
    pub(crate) blocked: bool,
}

/// One stream for one host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Feed {
    /// The next number; 0 is no feed.
    pub(crate) next: u64,
    /// The last number that is for this host.
    pub(crate) until: u64,
}

/// Own messages that leave in this turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    pub(crate) numbers: Numbers,
    /// Until they were on the disk; else they came in this turn.
    pub(crate) were_held: bool,
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    at: Place,
    /// Bytes of the next read.
    bytes: u32,
    /// The read under way.
    reading: Option<u32>,
    /// A feed was set back behind it.
    restart: bool,
}

/// No end.
pub(crate) const LIVE: u64 = u64::MAX;

impl Feeds {
    /// Those of a new link, whose connection may have been blocked before.
    pub(crate) fn new(blocked: bool) -> Feeds {
        Feeds { blocked, ..Feeds::default() }
    }

    pub(crate) fn get(&self, stream: u32) -> Feed {
        self.feeds.get(stream as usize).copied().unwrap_or_default()
    }

    pub(crate) fn has(&self, stream: u32) -> bool {
        self.get(stream).next > 0
    }

    fn get_mut(&mut self, stream: u32) -> &mut Feed {
        let at = stream as usize;
        if at >= self.feeds.len() {
            self.feeds.resize(at + 1, Feed::default());
        }
        &mut self.feeds[at]
    }

    /// Sets a feed; whether anything of it is there already is seen at the end of the turn.
    fn set(&mut self, stream: u32, feed: Feed) {
        *self.get_mut(stream) = feed;
        self.lagging = true;
        if let Some(cursor) = &mut self.cursor {
            cursor.restart = true;
        }
    }

    /// Lines up to this one go by another way.
    pub(crate) fn end_at(&mut self, stream: u32, last: u64) {
        let feed = self.get_mut(stream);
        feed.until = last;
        if feed.next > last {
            *feed = Feed::default();
        }
    }

    pub(crate) fn end(&mut self, stream: u32) {
        *self.get_mut(stream) = Feed::default();
    }

    /// Messages of this host can be sent from now on, and were not. The cursor may be behind them already where they were
    /// held until they were on the disk; not where they came in this turn, and if each of those had it begin again, a host
    /// would not get on while messages come.
    fn lag(&mut self, were_held: bool) {
        self.lagging = true;
        if were_held {
            self.cursor.iter_mut().for_each(|cursor| cursor.restart = true);
        }
    }
}

impl Node {
    /// Serves a host a stream from a number on, live once it has caught up.
    pub(crate) fn feed(&mut self, host: HostIndex, stream: u32, next: u64) {
        self.links[host.index()].feeds.set(stream, Feed { next, until: LIVE });
        self.streams.get_mut(stream).fed |= 1 << host.0;
    }

    /// A relay's duty: these messages, too, are for that host.
    pub(crate) fn extend_feed(&mut self, host: HostIndex, stream: u32, numbers: Numbers) {
        let feeds = &mut self.links[host.index()].feeds;
        let feed = feeds.get_mut(stream);
        if feed.until == LIVE {
            return;
        }
        // What lies between went another way.
        if feed.next == 0 || feed.next == feed.until + 1 {
            feed.next = numbers.from;
        }
        feed.until = numbers.to;
        self.streams.get_mut(stream).fed |= 1 << host.0;
    }

    /// Messages that just came go to all hosts that are next to get them.
    pub(crate) fn feed_live(
        &mut self,
        now: Time,
        stream: u32,
        numbers: Numbers,
        lines: Slice,
        out: &mut Outputs,
    ) {
        let mut fed = self.streams.get(stream).fed;
        while fed != 0 {
            let host = fed.trailing_zeros() as usize;
            fed &= fed - 1;
            let link = &mut self.links[host];
            let blocked = link.feeds.blocked;
            let feed = link.feeds.get_mut(stream);
            match &mut link.up {
                _ if feed.next == 0 || feed.next > numbers.to || numbers.from > feed.until => {}
                Some(up) if feed.next == numbers.from && numbers.to <= feed.until && !blocked => {
                    feed.next = numbers.to + 1;
                    up.used = now;
                    let follows = out.send.iter().any(|(conn, _)| *conn == up.conn);
                    push(up.conn, lines, if follows { &mut out.send } else { &mut out.forward });
                }
                _ => link.feeds.lagging = true,
            }
        }
    }

    /// Own messages, in one piece, for a host that gets them directly.
    pub(crate) fn feed_own(
        &mut self,
        now: Time,
        host: HostIndex,
        own: Leaving,
        lines: Slice,
        out: &mut Outputs,
    ) {
        let Leaving { numbers, were_held } = own;
        let link = &mut self.links[host.index()];
        let blocked = link.feeds.blocked;
        let feed = link.feeds.get_mut(OWN);
        match &mut link.up {
            _ if feed.next == 0 || feed.next > numbers.to || numbers.from > feed.until => {}
            Some(up) if feed.next == numbers.from && !blocked => {
                feed.next = numbers.to + 1;
                up.used = now;
                let sends = if planted!(SentBeforeJournal) { &mut out.forward } else { &mut out.send };
                sends.push((up.conn, lines));
            }
            _ => link.feeds.lag(were_held),
        }
    }

    /// The last number of a stream that may be sent to a host.
    pub(crate) fn sendable(&self, stream: u32) -> u64 {
        let state = self.streams.get(stream);
        match stream {
            OWN => self.own.sendable,
            _ if self.is_own_addressed(stream) => state.synced,
            _ => state.journaled,
        }
    }

    /// Whether a stream is of this host's messages for another one, in this life: they leave once they are on the
    /// disk.
    fn is_own_addressed(&self, stream: u32) -> bool {
        let name = self.streams.get(stream).name;
        stream != OWN && name.origin == self.me && name.incarnation == self.incarnation
    }

    /// A sync has raised a watermark: what waited for that leaves.
    pub(crate) fn feed_synced(&mut self, stream: u32) {
        let addressee = self.streams.get(stream).name.addressee;
        if let (true, Some(to)) = (self.is_own_addressed(stream), addressee) {
            self.links[to.index()].feeds.lag(true);
        }
    }

    /// The streams of a host that lag.
    fn lagging(&self, host: HostIndex) -> impl Iterator<Item = (u32, Feed)> {
        let feeds = &self.links[host.index()].feeds.feeds;
        (0..).zip(feeds).filter_map(|(stream, feed)| {
            let upto = feed.until.min(self.sendable(stream));
            (feed.next > 0 && feed.next <= upto).then_some((stream, *feed))
        })
    }

    /// The end of a turn: what lags is read from the journal.
    pub(crate) fn serve(&mut self, out: &mut Outputs) {
        for host in self.others() {
            let link = &self.links[host.index()];
            if link.feeds.lagging && link.up.is_some() && !link.feeds.blocked {
                self.serve_host(host, out);
            }
        }
    }

    fn serve_host(&mut self, host: HostIndex, out: &mut Outputs) {
        if self.links[host.index()].feeds.cursor.is_some_and(|c| c.reading.is_some()) {
            return;
        }
        self.tell_gone_before_all(host, out);
        let Some(begin) = self.lagging(host).map(|(stream, feed)| self.journal.find(stream, feed.next)).min()
        else {
            let feeds = &mut self.links[host.index()].feeds;
            (feeds.lagging, feeds.cursor) = (false, None);
            return;
        };
        let cursor = self.links[host.index()].feeds.cursor.filter(|c| !c.restart && c.at >= begin);
        let at = self.journal.normal(cursor.map_or(begin, |c| c.at));
        if at == self.journal.end() {
            // All was read, and what still lags is not there.
            self.tell_gone_unread(host, out);
            return;
        }
        let bytes = cursor.map_or(SERVE_BYTES, |c| c.bytes).min(self.journal.bytes_behind(at));
        self.reads = self.reads.wrapping_add(1);
        let id = self.reads;
        out.read.push(Read { id, at, bytes });
        let cursor = Cursor { at, bytes, reading: Some(id), restart: false };
        self.links[host.index()].feeds.cursor = Some(cursor);
    }

    /// What was released already cannot be served.
    fn tell_gone_before_all(&mut self, host: HostIndex, out: &mut Outputs) {
        let gone: Vec<(u32, Numbers)> = self
            .lagging(host)
            .map(|(stream, feed)| (stream, Numbers { from: feed.next, to: self.journal.before_all(stream) }))
            .filter(|(_, gone)| gone.count() > 0)
            .collect();
        gone.into_iter().for_each(|(stream, gone)| self.tell_gone(host, stream, gone, out));
    }

    fn tell_gone_unread(&mut self, host: HostIndex, out: &mut Outputs) {
        let gone: Vec<(u32, Numbers)> = self
            .lagging(host)
            .map(|(stream, feed)| {
                (stream, Numbers { from: feed.next, to: feed.until.min(self.sendable(stream)) })
            })
            .collect();
        gone.into_iter().for_each(|(stream, gone)| self.tell_gone(host, stream, gone, out));
        let feeds = &mut self.links[host.index()].feeds;
        (feeds.lagging, feeds.cursor) = (false, None);
    }

    /// `GONE <stream> <from> <to>`: these cannot be had here.
    fn tell_gone(&mut self, host: HostIndex, stream: u32, gone: Numbers, out: &mut Outputs) {
        let link = &mut self.links[host.index()];
        link.feeds.get_mut(stream).next = gone.to + 1;
        if let Some(up) = link.up {
            let start = out.small.len() as u32;
            put_told("GONE ", self.streams.get(stream), [gone.from, gone.to], &mut out.small);
            out.send.push((up.conn, Slice::Small(Span { start, end: out.small.len() as u32 })));
        }
    }

    /// A piece of the journal was read.
    pub(crate) fn journal_read(&mut self, now: Time, id: u32, bytes: &mut [u8], out: &mut Outputs) {
        let of = |host: &HostIndex| {
            self.links[host.index()].feeds.cursor.filter(|c| c.reading == Some(id)).map(|c| (*host, c))
        };
        let Some((host, mut cursor)) = self.others().find_map(|host| of(&host)) else {
            return self.find_read(id, bytes, out);
        };
        let Some(up) = &mut self.links[host.index()].up else { return };
        up.used = now;
        let conn = up.conn;
        cursor.reading = None;
        if cursor.restart {
            // What lies between a feed that was set back and this piece is not gone: it was not read yet.
            self.links[host.index()].feeds.cursor = Some(cursor);
            return;
        }
        cursor = self.serve_piece(host, conn, cursor, bytes, out);
        self.links[host.index()].feeds.cursor = Some(cursor);
    }

    /// Sends what a host lacks of the records in a piece of the journal, and moves the cursor behind them.
    fn serve_piece(
        &mut self,
        host: HostIndex,
        conn: ConnId,
        mut cursor: Cursor,
        bytes: &mut [u8],
        out: &mut Outputs,
    ) -> Cursor {
        let base = cursor.at;
        let asked = core::mem::replace(&mut cursor.bytes, SERVE_BYTES);
        let (upto, needs) = self.walk(base, asked, bytes, out, |node, payload, bytes, out| {
            node.serve_record(host, conn, payload, bytes, out);
        });
        cursor.bytes = cursor.bytes.max(needs);
        cursor.at = Place { offset: base.offset + upto, ..base };
        cursor
    }

    /// Calls `each` with the payload of every record in a piece of the journal of which so many bytes were asked for.
    /// Returns how far the piece is done with, and how many bytes the next one needs at least. What cannot be read
    /// is passed over and reported; who lacks it hears `GONE`.
    pub(crate) fn walk(
        &mut self,
        base: Place,
        asked: u32,
        bytes: &mut [u8],
        out: &mut Outputs,
        mut each: impl FnMut(&mut Node, Span, &mut [u8], &mut Outputs),
    ) -> (u32, u32) {
        if bytes.is_empty() {
            self.tell_damage(base, out);
            return (asked.max(1), 0);
        }
        let may_grow = bytes.len() as u32 == asked && self.journal.bytes_behind(base) > asked;
        let mut at = 0;
        while at < bytes.len() {
            match piece::find(base, bytes, at, may_grow) {
                Found::Record(frame) => {
                    each(self, frame.payload, bytes, out);
                    at = frame.payload.end as usize;
                }
                Found::Damage { upto } => {
                    self.tell_damage(Place { offset: base.offset + at as u32, ..base }, out);
                    at = upto;
                }
                // A whole record at least, the next time.
                Found::Cut { needs } => return (at as u32, needs),
            }
        }
        (at as u32, 0)
    }

    /// Damage of a segment is reported once.
    fn tell_damage(&mut self, at: Place, out: &mut Outputs) {
        if self.damage_told.insert(at.segment) {
            let Place { segment, offset } = at;
            out.report(
                crate::Severity::Error,
                crate::Source::Node,
                format_args!(
                    "DAMAGED journal segment {segment:016x}, offset {offset}: cannot be read, nor perhaps more of \
                     this segment; passed over"
                ),
            );
        }
    }

    fn serve_record(
        &mut self,
        host: HostIndex,
        conn: ConnId,
        payload: Span,
        bytes: &mut [u8],
        out: &mut Outputs,
    ) {
        let mut start = payload.start as usize;
        let mut last: Option<(u32, usize)> = None; // a stream, and the bytes of its name
        while let Some(end) = memchr::memchr(b'\n', &bytes[start..payload.end as usize]) {
            let end = start + end + 1;
            let line = Span { start: start as u32, end: end as u32 };
            start = end;
            let is_data = matches!(bytes[line.start as usize], b'0'..=b'2' | REPEAT);
            if !is_data {
                continue;
            }
            let Some((stream, seq)) = self.id_of(&bytes[line.range()], &mut last) else { continue };
            let feed = self.links[host.index()].feeds.get(stream);
            if feed.next == 0 || seq < feed.next || seq > feed.until.min(self.sendable(stream)) {
                continue;
            }
            if seq > feed.next {
                self.tell_gone(host, stream, Numbers { from: feed.next, to: seq - 1 }, out);
            }
            self.links[host.index()].feeds.get_mut(stream).next = seq + 1;
            bytes[line.start as usize] = b'0';
            push(conn, Slice::Input(line), &mut out.send);
        }
    }

    /// The stream and number of a data line of the journal.
    pub(crate) fn id_of(&self, line: &[u8], last: &mut Option<(u32, usize)>) -> Option<(u32, u64)> {
        let behind_same = last.and_then(|(stream, bytes)| {
            let name = &self.streams.get(stream).head;
            line[1..].starts_with(name).then_some((stream, 1 + bytes))
        });
        let (stream, behind) = match behind_same {
            Some(found) => found,
            None => {
                let dot = memchr::memchr(b'.', line)?;
                let name = StreamName::parse(&line[1..dot], &self.ring).ok()?;
                (self.streams.find(name)?, dot + 1)
            }
        };
        *last = Some((stream, behind - 1));
        let digits = line[behind..].iter().take_while(|b| b.is_ascii_digit()).count();
        Some((stream, number(&line[behind..behind + digits])?))
    }

    /// `WANT <stream> <from>`: be my server of this stream.
    pub(crate) fn peer_want(&mut self, now: Time, conn: ConnId, rest: &[u8], line: &[u8], out: &mut Outputs) {
        let Some(host) = self.peers.get_mut(conn).and_then(|p| p.host) else { return };
        let mut words = rest.splitn(2, |b| *b == b' ');
        let name = words.next().and_then(|name| StreamName::parse(name, &self.ring).ok());
        let from = words.next().and_then(number).filter(|from| *from > 0);
        let (Some(name), Some(from)) = (name, from) else {
            return self.refuse_peer_line(conn, Refusal::Malformed, line, out);
        };
        // A stream for one host is nobody else's business.
        let is_allowed = name.addressee.is_none_or(|to| to == host || name.origin == host);
        let stream = self.streams.find(name).filter(|_| is_allowed);
        match stream {
            Some(OWN) => self.serve_directly(now, host, from),
            Some(stream) => self.feed(host, stream, from),
            None => {} // nothing of it is here, and nothing says so
        }
    }

    /// `ENOUGH <stream>`: somebody else is my server of this stream now.
    pub(crate) fn peer_enough(&mut self, conn: ConnId, rest: &[u8], line: &[u8], out: &mut Outputs) {
        let Some(host) = self.peers.get_mut(conn).and_then(|p| p.host) else { return };
        let Ok(name) = StreamName::parse(rest, &self.ring) else {
            return self.refuse_peer_line(conn, Refusal::Malformed, line, out);
        };
        if let Some(stream) = self.streams.find(name).filter(|stream| *stream != OWN) {
            self.links[host.index()].feeds.end(stream);
        }
    }

    /// The other side of a connection takes nothing just now, or again.
    pub(crate) fn set_blocked(&mut self, conn: ConnId, blocked: bool) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        peer.is_blocked = blocked && !planted!(NeverBlocked);
        let (host, is_blocked) = (peer.host, peer.is_blocked);
        let Some(link) = host.map(|host| &mut self.links[host.index()]) else { return };
        if link.up.is_some_and(|up| up.conn == conn) {
            link.feeds.blocked = is_blocked;
        }
    }
}

/// Sends a line; neighbours for one connection go out as one slice.
pub(crate) fn push(conn: ConnId, line: Slice, lines: &mut Vec<(ConnId, Slice)>) {
    match (line, lines.last_mut()) {
        (Slice::Input(new), Some((last, Slice::Input(span)))) if *last == conn && span.end == new.start => {
            span.end = new.end;
        }
        _ => lines.push((conn, line)),
    }
}
