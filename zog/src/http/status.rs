//! `/status.json`: what `STATUS` tells, and whether messages are taken. `docs/STATUS.md` has every field.

use super::pages::{Reason, reasons};
use super::standing::{Life, Seen};
use pzog::view::{Down, Mark, PeerView, StreamView, View};
use serde::Serialize;
use std::collections::BTreeMap;

/// Grows by one when a field changes its meaning or goes; new fields leave it.
const SCHEMA: u32 = 1;

/// Streams that are shown, with the own one: a bound for the answer, far above what a healthy ring has.
const STREAMS_SHOWN: usize = 1024;

/// The whole page.
#[derive(Serialize)]
pub(super) struct Page {
    schema: u32,
    version: &'static str,
    started_s: f64,
    ready: bool,
    reasons: Vec<Reason>,
    /// None while no life of the daemon runs.
    host: Option<Host>,
}

#[derive(Serialize)]
struct Host {
    name: String,
    incarnation: String,
    for_s: u64,
    ring: Ring,
    certificate: Option<Certificate>,
    journal: Journal,
    clients: u32,
    reads_clients: bool,
    counted: Counted,
    peers: Vec<Peer>,
    streams: Vec<Stream>,
    streams_left_out: usize,
}

#[derive(Serialize)]
struct Ring {
    hosts: Vec<String>,
    scheme: &'static str,
    digest: String,
}

#[derive(Serialize)]
struct Journal {
    full: bool,
    bytes: u64,
    segments: usize,
}

#[derive(Serialize)]
struct Certificate {
    expires_s: u64,
    ca: String,
    ca_expires_s: u64,
}

#[derive(Serialize)]
struct Counted {
    taken: u64,
    logged: u64,
    relayed: u64,
    repeats: u64,
    given_up: u64,
    refused: u64,
    diverged: u64,
    unproved: u64,
    refused_for: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Peer {
    host: String,
    state: &'static str,
    for_s: u64,
    incarnation: Option<String>,
    agrees: Option<bool>,
    tls: Option<&'static str>,
    rtt_us: Option<u64>,
    missing: u64,
    repeats: u64,
    ends: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Stream {
    stream: String,
    told: u64,
    logged: u64,
    repeats: u64,
    given_up: u64,
    missing: u64,
    marks: Vec<PeerMark>,
}

#[derive(Serialize)]
struct PeerMark {
    host: String,
    journaled: u64,
    synced: u64,
    missing: u64,
    for_s: u64,
}

/// What is seen.
pub(super) fn page(seen: &Seen) -> Page {
    Page {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        started_s: seen.started,
        ready: seen.reasons.is_empty(),
        reasons: reasons(seen),
        host: seen.life.as_ref().map(host),
    }
}

fn host(life: &Life) -> Host {
    let view = &life.view;
    let shown = view.streams.len().min(STREAMS_SHOWN);
    Host {
        name: view.name(view.me).to_owned(),
        incarnation: format!("{:016x}", view.incarnation),
        for_s: view.lived.as_secs(),
        ring: Ring {
            hosts: view.names[..view.hosts].to_vec(),
            scheme: view.scheme.word(),
            digest: format!("{:016x}", view.digest),
        },
        certificate: view.certificate.map(certificate),
        journal: Journal { full: view.is_full, bytes: view.journal_bytes, segments: view.segments },
        clients: view.clients,
        reads_clients: life.reads_clients,
        counted: counted(view),
        peers: view.peers.iter().map(|peer| self::peer(view, peer)).collect(),
        streams: view.streams[..shown].iter().map(|stream| self::stream(view, stream)).collect(),
        streams_left_out: view.streams.len() - shown,
    }
}

fn certificate(certificate: pzog::view::Certificate) -> Certificate {
    let pzog::view::Certificate { expires, ca, ca_expires } = certificate;
    Certificate { expires_s: expires, ca: format!("{ca:016x}"), ca_expires_s: ca_expires }
}

fn counted(view: &View) -> Counted {
    let pzog::Counters { taken, logged, relayed, repeats, given_up, refused, diverged, unproved } =
        view.counters;
    Counted {
        taken,
        logged,
        relayed,
        repeats,
        given_up,
        refused,
        diverged,
        unproved,
        refused_for: view.refused.clone(),
    }
}

fn peer(view: &View, peer: &PeerView) -> Peer {
    Peer {
        host: view.name(peer.host).to_owned(),
        state: peer.state.word(),
        for_s: peer.lasting.as_secs(),
        incarnation: peer.linked.map(|(incarnation, _)| format!("{incarnation:016x}")),
        agrees: peer.linked.map(|(_, agrees)| agrees),
        tls: peer.is_protected.map(|is_protected| if is_protected { "1.3" } else { "off" }),
        rtt_us: peer.round_trip.map(|time| time.as_micros() as u64),
        missing: view.marks_of(peer.host).map(|(_, mark)| mark.missing).sum(),
        repeats: peer.repeats,
        ends: Down::WORDS.into_iter().zip(peer.downs).collect(),
    }
}

fn stream(view: &View, stream: &StreamView) -> Stream {
    let pzog::view::StreamStatus { told, logged, repeats, given_up, missing } = stream.status;
    let marks = stream.marks.iter().map(|mark| self::mark(view, mark)).collect();
    Stream { stream: stream.name.clone(), told, logged, repeats, given_up, missing, marks }
}

fn mark(view: &View, mark: &Mark) -> PeerMark {
    let Mark { host, journaled, synced, missing, missing_for } = *mark;
    PeerMark { host: view.name(host).to_owned(), journaled, synced, missing, for_s: missing_for.as_secs() }
}
