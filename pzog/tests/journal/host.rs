//! One host: its node, its journal on a disk that loses its power, and its access.log.

use crate::disk::{Disk, Event, Files, Write};
use crate::history::{History, check_heads_suffice, recover, ring};
use crate::outside::{CLIENT, PEER};
use pzog::time::Duration;
use pzog::{HostIndex, Identity, Input, Node, Now, Outputs, Prepare, Read, Settings, Slice, Time};
use rand::RngExt as _;
use rand::rngs::SmallRng;
use std::collections::VecDeque;

/// Small, so that a journal has several and images are small.
const SEGMENT_BYTES: u32 = 12 << 10;

/// One of so many images is also read as a whole, which takes longer.
const HEADS_EVERY: u64 = 16;

/// Looks at what a loss of power would leave, at every moment.
pub(crate) struct Looks {
    pub(crate) dice: SmallRng,
    /// As many images of one moment are looked at.
    pub(crate) max: u64,
    pub(crate) images: u64,
    /// Segments of which the head was read alone, in all images.
    pub(crate) heads: usize,
}

pub(crate) struct Host {
    node: Node,
    out: Outputs,
    pub(crate) disk: Disk,
    pub(crate) history: History,
    pub(crate) looks: Looks,
    /// How much of access.log the sync and the mark under way cover.
    syncing: Option<usize>,
    marking: Option<usize>,
    prepare: Option<Prepare>,
    reads: VecDeque<Read>,
    /// What released segments left, for new ones.
    used: Vec<Vec<u8>>,
    pub(crate) wake_at: Option<Time>,
    /// What it has sent and answered, and what is to happen with its connections.
    pub(crate) sent: Vec<u8>,
    pub(crate) answered: Vec<u8>,
    pub(crate) dials: bool,
    pub(crate) closes: bool,
    pub(crate) closes_client: bool,
}

fn settings() -> Settings {
    Settings { segment_bytes: SEGMENT_BYTES, redial_max: Duration::from_secs(1), ..Settings::default() }
}

impl Host {
    /// Starts on what is left of a journal, as a driver does.
    pub(crate) fn start(
        me: HostIndex,
        life: u64,
        mut files: Files,
        mut history: History,
        looks: Looks,
    ) -> Host {
        let (recovered, lines) = recover(&files);
        let upto = history.upto(&recovered, &lines);
        history.restart(upto);
        files.insert(recovered.first_segment(), vec![0; SEGMENT_BYTES as usize]);
        let identity = Identity { ring: ring(), me, incarnation: life, process: 1, seed: life };
        Host {
            node: Node::new(identity, settings(), recovered),
            out: Outputs::default(),
            disk: Disk::of(files),
            history,
            looks,
            syncing: None,
            marking: None,
            prepare: None,
            reads: VecDeque::new(),
            used: Vec::new(),
            wake_at: None,
            sent: Vec::new(),
            answered: Vec::new(),
            dials: false,
            closes: false,
            closes_client: false,
        }
    }

    /// Its first turns: it learns which file access.log is, dials, and has a client.
    pub(crate) fn begin(&mut self, now: Time) {
        self.open_log(now);
        self.turn(now, &mut [], |_| Input::Deadline);
        self.connect_client(now);
    }

    fn connect_client(&mut self, now: Time) {
        self.turn(now, &mut [], |_| Input::ClientConnected { conn: CLIENT });
    }

    /// The client is closed, and comes again.
    pub(crate) fn change_client(&mut self, now: Time) {
        self.turn(now, &mut [], |_| Input::ClientClosed { conn: CLIENT, rest: &[] });
        self.connect_client(now);
    }

    /// access.log becomes another file.
    pub(crate) fn rotate(&mut self, now: Time) {
        self.sync();
        self.history.rotate();
        self.open_log(now);
    }

    fn open_log(&mut self, now: Time) {
        self.marking = None;
        let log = self.history.log_file(self.history.lines.len());
        self.turn(now, &mut [], |_| Input::LogOpened { log });
        self.sync();
    }

    /// Brings all to the disk at once.
    fn sync(&mut self) {
        self.apply(&Event::SyncBegun);
        self.apply(&Event::SyncEnded);
        self.history.certain = self.history.lines.len();
    }

    /// Something that it waits for happens, but that access.log, or the journal, is brought to the disk.
    pub(crate) fn go_on_without(&mut self, now: Time, dice: &mut SmallRng, mark: bool, sync: bool) {
        let marking = self.marking.take_if(|_| mark);
        let syncing = self.syncing.take_if(|_| sync);
        self.go_on(now, dice);
        self.marking = self.marking.or(marking);
        self.syncing = self.syncing.or(syncing);
    }

    /// Something that it waits for happens.
    pub(crate) fn go_on(&mut self, now: Time, dice: &mut SmallRng) {
        match dice.random_range(0..4) {
            0 if self.syncing.is_some() => {
                let covered = self.syncing.take().unwrap_or_default();
                self.apply(&Event::SyncEnded);
                self.history.certain = self.history.certain.max(covered);
                self.turn(now, &mut [], |_| Input::Synced);
            }
            1 if self.marking.is_some() => {
                let upto = self.marking.take().unwrap_or_default();
                self.history.mark(upto);
                let log = self.history.log_file(upto);
                self.turn(now, &mut [], |_| Input::Marked { log });
            }
            2 => self.make_segment(now, dice),
            _ => self.read(now),
        }
        if self.wake_at.is_some_and(|at| at <= now) {
            self.turn(now, &mut [], |_| Input::Deadline);
        }
    }

    fn make_segment(&mut self, now: Time, dice: &mut SmallRng) {
        let Some(Prepare { segment, bytes }) = self.prepare.take() else { return };
        let mut file = self.used.pop().filter(|_| dice.random_bool(0.7)).unwrap_or_default();
        file.resize(bytes as usize, 0);
        self.apply(&Event::Made { file: segment, bytes: file });
        self.turn(now, &mut [], |_| Input::Prepared { ok: true });
    }

    fn read(&mut self, now: Time) {
        let Some(Read { id, at, bytes }) = self.reads.pop_front() else { return };
        let file = self.disk.now().get(&at.segment).map(Vec::as_slice).unwrap_or_default();
        let rest = file.get(at.offset as usize..).unwrap_or_default();
        let mut bytes = rest[..rest.len().min(bytes as usize)].to_vec();
        self.turn(now, &mut bytes, |bytes| Input::JournalRead { id, bytes });
    }

    pub(crate) fn hear_client(&mut self, now: Time, lines: &str) {
        let mut lines = lines.as_bytes().to_vec();
        let consumed = self.turn(now, &mut lines, |bytes| Input::ClientLines { conn: CLIENT, bytes });
        assert_eq!(consumed, lines.len(), "whole lines are consumed");
    }

    pub(crate) fn hear_peer(&mut self, now: Time, lines: &mut [u8]) -> usize {
        self.turn(now, lines, |bytes| Input::PeerLines { conn: PEER, bytes })
    }

    pub(crate) fn peer_connected(&mut self, now: Time, dialled: Option<HostIndex>) {
        self.turn(now, &mut [], |_| match dialled {
            Some(host) => Input::PeerDialed { conn: PEER, host },
            None => Input::PeerAccepted { conn: PEER },
        });
    }

    pub(crate) fn dial_failed(&mut self, now: Time, host: HostIndex) {
        self.turn(now, &mut [], |_| Input::DialFailed { host });
    }

    pub(crate) fn peer_closed(&mut self, now: Time) {
        self.sent.clear();
        self.closes = false;
        self.turn(now, &mut [], |_| Input::PeerClosed { conn: PEER, rest: &[] });
    }

    fn turn(
        &mut self,
        now: Time,
        bytes: &mut [u8],
        input: impl for<'a> FnOnce(&'a mut [u8]) -> Input<'a>,
    ) -> usize {
        let now = Now { mono: now, utc_seconds: 1_795_229_502 + now.0 / 1_000_000 };
        let mut out = std::mem::take(&mut self.out);
        let consumed = self.node.handle(now, input(bytes), &mut out);
        self.perform(&out, bytes);
        assert!(self.node.is_balanced());
        self.out = out;
        consumed
    }

    fn perform(&mut self, out: &Outputs, input: &[u8]) {
        self.history.lines.extend_from_slice(&out.log);
        let bytes: Vec<u8> = out.append.iter().flat_map(|piece| out.bytes(*piece, input)).copied().collect();
        if !bytes.is_empty() {
            let (file, offset) = (out.append_at.segment, out.append_at.offset);
            self.apply(&Event::Write(Write { file, offset, bytes }));
        }
        let sends = out.forward.iter().chain(&out.send);
        sends.for_each(|(_, slice)| self.sent.extend_from_slice(out.bytes(*slice, input)));
        for (_, slice) in &out.answer {
            match slice {
                Slice::Oks(count) => (0..*count).for_each(|_| self.answered.extend_from_slice(b"OK\r\n")),
                _ => self.answered.extend_from_slice(out.bytes(*slice, input)),
            }
        }
        if out.sync {
            self.syncing = Some(self.history.lines.len());
            self.apply(&Event::SyncBegun);
        }
        if out.mark {
            self.marking = Some(self.history.lines.len());
        }
        self.prepare = out.prepare.or(self.prepare);
        for file in &out.release {
            self.used.extend(self.disk.now().get(file).cloned());
            self.apply(&Event::Removed { file: *file });
        }
        self.reads.extend(&out.read);
        self.wake_at = out.wake_at;
        self.dials |= !out.dial.is_empty();
        self.closes |= out.close.contains(&PEER);
        self.closes_client |= out.close.contains(&CLIENT);
    }

    /// Something happens to the disk: whatever a loss of power would leave then is looked at.
    fn apply(&mut self, event: &Event) {
        if let (Event::Write(write), true) = (event, self.looks.max > 0) {
            let cut = self.looks.dice.random_range(0..write.bytes.len());
            self.look(Some((write, cut)));
        }
        self.disk.apply(event);
        self.look(None);
    }

    fn look(&mut self, torn: Option<(&Write, usize)>) {
        let Looks { dice, max, images, heads } = &mut self.looks;
        if *max > 0 {
            let remains = self.disk.lost_power(torn);
            let mut at = *images;
            *images += remains.each_image(dice, *max, |files| {
                check_image(files, &self.history);
                at += 1;
                if at.is_multiple_of(HEADS_EVERY) {
                    *heads += check_heads_suffice(files);
                }
            });
        }
    }
}

/// Panics unless a journal says what it must after a loss of power.
fn check_image(files: &Files, history: &History) {
    let (recovered, lines) = recover(files);
    for finding in recovered.findings() {
        assert!(finding.starts_with("TORN "), "a loss of power is taken for damage: {finding}");
    }
    assert!(recovered.unreadable().is_empty());
    let upto = history.upto(&recovered, &lines);
    assert!(upto >= history.certain, "lines are lost: {upto} of {} bytes", history.certain);
}
