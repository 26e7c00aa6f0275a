//! What a node tells people about itself: who has which message, and what is missing where.

use crate::broadcast::OWN;
use crate::client::Client;
use crate::event::{ConnId, Outputs, Place, Read};
use crate::journal::record::{Line, lines};
use crate::limits::{FINDS_MAX, FOUND_MAX, SERVE_BYTES};
use crate::link::Told;
use crate::node::{Counters, Node};
use crate::report::Refusal;
use crate::ring::HostIndex;
use crate::stream::Numbers;
use crate::text;
use crate::time::{Duration, Now, STAMP_LEN, Time};
use crate::view::{Certificate, Histogram, Mark, PeerView, StreamView, View};
use crate::wire::{Data, StreamName, Text, number};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt::Write as _;

/// The daemon's version, which is that of the core.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A search for a text in the journal.
#[derive(Debug)]
pub(crate) struct Find {
    conn: ConnId,
    /// Which of the client's answers it is.
    id: u32,
    text: Box<[u8]>,
    at: Place,
    bytes: u32,
    reading: u32,
    found: VecDeque<Box<[u8]>>,
}

/// What is known of one stream, each number accounted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamStatus {
    /// The highest number heard of.
    pub told: u64,
    /// Messages in access.log.
    pub logged: u64,
    /// Messages that are not, because another of the same session and number is.
    pub repeats: u64,
    /// Messages missing for good.
    pub given_up: u64,
    /// Messages that may still come.
    pub missing: u64,
}

impl Node {
    /// What is known of every stream: `told = logged + repeats + given_up + missing` for each.
    pub fn streams_status(&self) -> impl Iterator<Item = StreamStatus> {
        (0..self.streams.len()).map(|stream| self.stream_status(stream))
    }

    pub(crate) fn stream_status(&self, stream: u32) -> StreamStatus {
        let state = self.streams.get(stream);
        let told = self.known_upto(stream).max(state.journaled);
        let (logged, repeats, given_up) = (state.logged, state.repeats, state.given_up);
        StreamStatus { told, logged, repeats, given_up, missing: state.missing(told) }
    }

    /// `STATUS`
    pub(crate) fn client_status(&mut self, now: Now, conn: ConnId, client: &mut Client, out: &mut Outputs) {
        let mut lines = Vec::new();
        self.put_status(now, &mut Text(&mut lines));
        lines.extend_from_slice(b"OK\r\n");
        self.answer_at_length(conn, client, &lines, out);
    }

    fn put_status(&self, now: Now, to: &mut Text<'_>) {
        let view = self.view(now.mono);
        let name = self.ring.name(self.me);
        let journal = if view.is_full { "full" } else { "ok" };
        let log = if view.log_is_held { "halted" } else { "ok" };
        let View { incarnation, journal_bytes, segments, digest, .. } = view;
        let (scheme, lived, utc) = (view.scheme.word(), view.lived.as_secs(), now.utc_seconds);
        let _ = write!(
            to,
            "+ node {name} incarnation={incarnation:016x} journal={journal} access_log={log} bytes={journal_bytes} \
             segments={segments} version={VERSION} ring={digest:016x} scheme={scheme} utc_s={utc} for_s={lived}\r\n"
        );
        if let Some(Certificate { expires, ca, ca_expires }) = view.certificate {
            let (left, ca_left) = (expires.saturating_sub(utc), ca_expires.saturating_sub(utc));
            let _ = write!(to, "+ certificate left_s={left} ca={ca:016x} ca_left_s={ca_left}\r\n");
        }
        put_counters(&view, to);
        for peer in &view.peers {
            self.put_peer(peer, to);
        }
        for stream in &view.streams {
            self.put_stream(stream, to);
        }
    }

    fn put_peer(&self, peer: &PeerView, to: &mut Text<'_>) {
        let (name, state, seconds) = (self.ring.name(peer.host), peer.state.word(), peer.lasting.as_secs());
        let _ = write!(to, "+ peer {name} {state} for_s={seconds}");
        if let Some((incarnation, agrees)) = peer.linked {
            let agrees = if agrees { "yes" } else { "no" };
            let _ = write!(to, " incarnation={incarnation:016x} agrees={agrees}");
        }
        if let Some(is_protected) = peer.is_protected {
            let _ = write!(to, " tls={}", if is_protected { "1.3" } else { "off" });
        }
        if let Some(time) = peer.round_trip {
            let _ = write!(to, " rtt_us={}", time.as_micros());
        }
        let ends: u64 = peer.downs.iter().sum();
        let _ = write!(to, " repeats={} ends={ends}\r\n", peer.repeats);
    }

    /// A stream that still matters to somebody.
    pub(crate) fn is_told_of(&self, stream: u32) -> bool {
        let has_any = self.streams.get(stream).journaled > 0 || self.known_upto(stream) > 0;
        (stream == OWN || has_any) && !self.is_finished(stream)
    }

    fn put_stream(&self, stream: &StreamView, to: &mut Text<'_>) {
        let StreamStatus { told, logged, repeats, given_up, missing } = stream.status;
        let name = &stream.name;
        let _ = write!(
            to,
            "+ stream {name} told={told} logged={logged} repeats={repeats} given_up={given_up} missing={missing}\r\n"
        );
        for mark in &stream.marks {
            let Mark { journaled, synced, missing, .. } = mark;
            let (peer, seconds) = (self.ring.name(mark.host), mark.missing_for.as_secs());
            let _ = write!(
                to,
                "+ mark {peer} {name} journaled={journaled} synced={synced} missing={missing} for_s={seconds}\r\n"
            );
        }
    }

    /// How long a host has lacked something of a stream, as far as is known.
    pub(crate) fn missing_for(&self, now: Time, host: HostIndex, stream: u32) -> Duration {
        let link = &self.links[host.index()];
        let since =
            if link.up.is_some() { self.streams.get(stream).used.max(link.since) } else { link.since };
        now - since
    }

    /// `WHO <stream>.<seq>`: which hosts have a message.
    pub(crate) fn client_who(
        &mut self,
        now: Time,
        conn: ConnId,
        client: &mut Client,
        id: &[u8],
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let dot = memchr::memchr(b'.', id).ok_or(Refusal::UnknownMessage)?;
        let name = StreamName::parse(&id[..dot], &self.ring).map_err(|_| Refusal::UnknownMessage)?;
        let seq = number(&id[dot + 1..]).filter(|seq| *seq > 0).ok_or(Refusal::UnknownMessage)?;
        let stream = self.streams.find(name).ok_or(Refusal::UnknownMessage)?;
        if seq > self.known_upto(stream).max(self.streams.get(stream).journaled) {
            return Err(Refusal::UnknownMessage);
        }
        let mut lines = Vec::new();
        for host in self.ring.hosts().filter(|h| name.is_for(*h)) {
            let host_name = self.ring.name(host);
            let Told { journaled, synced, passed } = self.has(host, stream);
            let link = &self.links[host.index()];
            let to = &mut Text(&mut lines);
            let passed = passed.filter(|passed| (passed.from..=passed.to).contains(&seq) && journaled >= seq);
            let _ = if let Some(Numbers { from, to: upto }) = passed {
                write!(to, "+ {host_name} given-up among-{from}-to-{upto}\r\n")
            } else if synced >= seq {
                write!(to, "+ {host_name} synced\r\n")
            } else if journaled >= seq {
                write!(to, "+ {host_name} journaled\r\n")
            } else {
                let why = if link.up.is_some() || host == self.me { "behind" } else { "down" };
                let seconds = self.missing_for(now, host, stream).as_secs();
                write!(to, "+ {host_name} missing for_s={seconds} {why}\r\n")
            };
        }
        lines.extend_from_slice(b"OK\r\n");
        self.answer_at_length(conn, client, &lines, out);
        Ok(())
    }

    /// What a host has of a stream, as far as is known here. What all have had is not told any more.
    fn has(&self, host: HostIndex, stream: u32) -> Told {
        let state = self.streams.get(stream);
        let told = self.links[host.index()].told(stream);
        match self.is_finished(stream) {
            _ if host == self.me => {
                let (journaled, synced) = state.safe();
                Told { journaled, synced, passed: state.passed }
            }
            true => Told { journaled: u64::MAX, synced: u64::MAX, ..told },
            false => told,
        }
    }

    /// `FIND <text>`: looks for a text in the journal, piece by piece.
    pub(crate) fn client_find(
        &mut self,
        conn: ConnId,
        client: &mut Client,
        text: &[u8],
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        text::check(text).map_err(Refusal::Text)?;
        if self.finds.len() >= FINDS_MAX {
            return Err(Refusal::TooManySearches);
        }
        let id = client.answers.push_search();
        let first = self.journal.segments().front().map_or(0, |s| s.number);
        let find = Find {
            conn,
            id,
            text: text.into(),
            at: Place { segment: first, offset: 0 },
            bytes: SERVE_BYTES,
            reading: 0,
            found: VecDeque::new(),
        };
        self.await_answers(conn, client);
        self.read_on(find, out);
        Ok(())
    }

    /// Reads the next piece, or ends the search.
    fn read_on(&mut self, mut find: Find, out: &mut Outputs) {
        find.at = self.journal.normal(find.at);
        if find.at == self.journal.end() {
            return self.found(&find);
        }
        self.reads = self.reads.wrapping_add(1);
        find.reading = self.reads;
        let bytes = find.bytes.min(self.journal.bytes_behind(find.at));
        out.read.push(Read { id: find.reading, at: find.at, bytes });
        self.finds.push(find);
    }

    fn found(&mut self, find: &Find) {
        let Some(client) = self.clients.get_mut(find.conn) else { return };
        let mut lines: Vec<u8> = Vec::new();
        find.found.iter().for_each(|line| lines.extend_from_slice(line));
        lines.extend_from_slice(b"OK\r\n");
        client.answers.set_found(find.id, &lines);
        self.release = true;
    }

    /// A piece of the journal was read for a search.
    pub(crate) fn find_read(&mut self, id: u32, bytes: &mut [u8], out: &mut Outputs) {
        let Some(at) = self.finds.iter().position(|find| find.reading == id) else {
            return self.sum_read(id, bytes, out);
        };
        let mut find = self.finds.swap_remove(at);
        let base = find.at;
        let asked = core::mem::replace(&mut find.bytes, SERVE_BYTES).min(self.journal.bytes_behind(base));
        let (upto, needs) = self.walk(base, asked, bytes, out, |_, payload, bytes, _| {
            find.look(&bytes[payload.range()]);
        });
        find.bytes = find.bytes.max(needs);
        find.at = Place { offset: base.offset + upto, ..base };
        self.read_on(find, out);
    }
}

/// The lines `count` and `syncs`: what was counted in this life, and how many syncs took up to so many microseconds.
fn put_counters(view: &View, to: &mut Text<'_>) {
    let Counters { taken, logged, relayed, repeats, given_up, refused, diverged, unproved } = view.counters;
    let clients = view.clients;
    let _ = write!(
        to,
        "+ count taken={taken} logged={logged} relayed={relayed} repeats={repeats} given_up={given_up} \
         refused={refused} diverged={diverged} unproved={unproved} clients={clients}\r\n+ syncs"
    );
    for (range, count) in view.syncs.counts().iter().enumerate().filter(|(_, count)| **count > 0) {
        let _ = match Histogram::BOUNDS.get(range) {
            Some(bound) => write!(to, " us{bound}={count}"),
            None => write!(to, " more={count}"),
        };
    }
    let _ = write!(to, "\r\n");
}

impl Find {
    fn look(&mut self, payload: &[u8]) {
        for line in lines(payload) {
            if !line.ends_with(&self.text) {
                continue;
            }
            let Some(Line::Data(line, _)) = Line::parse(line) else { continue };
            let Some(dot) = memchr::memchr(b'.', line) else { continue };
            let Some(data) = Data::parse(&line[dot + 1..]) else { continue };
            if data.logged.get(STAMP_LEN + 1..) != Some(&*self.text) {
                continue;
            }
            let mut found = Vec::new();
            found.extend_from_slice(b"+ ");
            found.extend_from_slice(&line[..=dot]);
            let _ = write!(Text(&mut found), "{} ", data.seq);
            found.extend_from_slice(data.logged);
            found.extend_from_slice(b"\r\n");
            if self.found.len() == FOUND_MAX {
                self.found.pop_front();
            }
            self.found.push_back(found.into());
        }
    }
}
