//! One node of a ring of three and all that it wants done, carried out at once or when the test says so.

use pzog::journal::{JournalError, Recovered};
use pzog::{
    ConnId, HostIndex, Identity, Input, LogFile, Node, Now, Outputs, Prepare, Read, Ring, Scheme, Settings,
    Slice, Time,
};
use std::collections::{BTreeMap, VecDeque};

pub(super) const HEADER_BYTES: usize = pzog::journal::HEADER_BYTES;

/// The segments by their numbers.
pub(super) type Files = BTreeMap<u64, Vec<u8>>;

pub(super) struct Driver {
    pub(super) node: Node,
    out: Outputs,
    now: Time,
    pub(super) files: Files,
    reads: VecDeque<Read>,
    syncs: bool,
    prepares: Option<Prepare>,
    pub(super) log: Vec<u8>,
    /// The messages in the records of the journal.
    pub(super) journaled: Vec<u8>,
    pub(super) answers: Vec<u8>,
    pub(super) sent: Vec<u8>,
    pub(super) refused: Vec<Vec<u8>>,
    pub(super) closed: Vec<ConnId>,
}

pub(super) fn ring() -> Ring {
    let names = ["MV", "PA", "G"].map(str::to_owned);
    Ring::new(names.to_vec(), Scheme::Receiver).expect("three hosts are a ring")
}

/// What is recovered, and what access.log lacks; none if it is another host's journal.
pub(super) fn recover(files: &Files) -> Option<(Recovered, Vec<u8>)> {
    let numbers: Vec<u64> = files.keys().copied().collect();
    let read = |number, most, into: &mut Vec<u8>| {
        let bytes: &Vec<u8> = &files[&number];
        into.clear();
        into.extend_from_slice(&bytes[..bytes.len().min(most as usize)]);
        Ok::<_, JournalError>(bytes.len() as u32)
    };
    let recovered = pzog::journal::recover(&ring(), HostIndex(0), &numbers, read).ok()?;
    let mut lines = Vec::new();
    files.iter().for_each(|(number, bytes)| recovered.log_lines(*number, bytes, &mut lines));
    Some((recovered, lines))
}

impl Driver {
    /// A host that has just started on what was recovered.
    pub(super) fn start(recovered: Recovered, mut files: Files, log: LogFile) -> Driver {
        let settings = Settings { segment_bytes: 256 << 10, ..Settings::default() };
        files.insert(recovered.first_segment(), vec![0; settings.segment_bytes as usize]);
        let me = Identity { ring: ring(), me: HostIndex(0), incarnation: 0xa2, process: 1, seed: 1 };
        let mut driver = Driver {
            node: Node::new(me, settings, recovered),
            out: Outputs::default(),
            now: Time(1),
            files,
            reads: VecDeque::new(),
            syncs: false,
            prepares: None,
            log: Vec::new(),
            journaled: Vec::new(),
            answers: Vec::new(),
            sent: Vec::new(),
            refused: Vec::new(),
            closed: Vec::new(),
        };
        driver.turn(&mut [], |_| Input::LogOpened { log });
        driver.turn(&mut [], |_| Input::Deadline);
        driver
    }

    pub(super) fn fresh() -> Driver {
        Driver::start(Recovered::default(), Files::new(), LogFile { device: 1, inode: 1, bytes: 0 })
    }

    /// A host that has run before, so that it does not take what is missing for what was before its time.
    pub(super) fn again() -> Driver {
        let Driver { files, .. } = Driver::fresh();
        let (recovered, _) = recover(&files).expect("it is our own journal");
        Driver::start(recovered, files, LogFile { device: 1, inode: 1, bytes: 0 })
    }

    /// One turn; returns how many bytes were consumed.
    pub(super) fn turn(
        &mut self,
        bytes: &mut [u8],
        input: impl for<'a> FnOnce(&'a mut [u8]) -> Input<'a>,
    ) -> usize {
        let now = Now { mono: self.now, utc_seconds: 1_795_229_502 };
        let mut out = std::mem::take(&mut self.out);
        let given = bytes.len();
        let consumed = self.node.handle(now, input(bytes), &mut out);
        assert!(consumed <= given, "consumes {consumed} of {given} bytes");
        self.perform(&out, bytes);
        self.out = out;
        consumed
    }

    fn perform(&mut self, out: &Outputs, input: &[u8]) {
        self.append(out, input);
        self.log.extend_from_slice(&out.log);
        let sends = out.forward.iter().chain(&out.send);
        sends.for_each(|(_, slice)| self.sent.extend_from_slice(out.bytes(*slice, input)));
        for (_, slice) in &out.answer {
            match slice {
                Slice::Oks(count) => (0..*count).for_each(|_| self.answers.extend_from_slice(b"OK\r\n")),
                _ => self.answers.extend_from_slice(out.bytes(*slice, input)),
            }
        }
        for report in &out.report {
            let text = &out.small[report.text.range()];
            assert!(text.iter().all(|b| (b' '..=b'~').contains(b)), "{}", text.escape_ascii());
            if text.starts_with(b"REFUSED") {
                self.refused.push(text.to_vec());
            }
        }
        self.syncs |= out.sync;
        self.prepares = out.prepare.or(self.prepares);
        self.reads.extend(&out.read);
        self.closed.extend(&out.close);
    }

    fn append(&mut self, out: &Outputs, input: &[u8]) {
        let bytes: Vec<u8> = out.append.iter().flat_map(|piece| out.bytes(*piece, input)).copied().collect();
        if bytes.is_empty() {
            return;
        }
        let segment = self.files.get_mut(&out.append_at.segment).expect("appends to a segment that was made");
        let start = out.append_at.offset as usize;
        segment[start..start + bytes.len()].copy_from_slice(&bytes);
        let mut rest = &bytes[..];
        while let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>() {
            let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
            let (payload, next) = behind.split_at(length as usize);
            let lines = payload.split_inclusive(|b| *b == b'\n').filter(|line| b"012R".contains(&line[0]));
            lines.for_each(|line| self.journaled.extend_from_slice(line));
            rest = next;
        }
    }

    /// Carries out what takes time: makes segments, syncs, and reads, until nothing more is asked for.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            if let Some(Prepare { segment, bytes }) = self.prepares.take() {
                self.files.insert(segment, vec![0; bytes as usize]);
                self.turn(&mut [], |_| Input::Prepared { ok: true });
            } else if std::mem::take(&mut self.syncs) {
                self.turn(&mut [], |_| Input::Synced);
            } else if let Some(read) = self.reads.pop_front() {
                self.read(read);
            } else {
                return;
            }
        }
        panic!("it never comes to an end: {:?}", (&self.prepares, self.syncs, &self.reads));
    }

    fn read(&mut self, Read { id, at, bytes }: Read) {
        let file = self.files.get(&at.segment).map(Vec::as_slice).unwrap_or_default();
        let rest = file.get(at.offset as usize..).unwrap_or_default();
        let mut bytes = rest[..rest.len().min(bytes as usize)].to_vec();
        self.turn(&mut bytes, |bytes| Input::JournalRead { id, bytes });
    }

    pub(super) fn pass(&mut self, micros: u64) {
        self.now = Time(self.now.0 + micros);
        self.turn(&mut [], |_| Input::Deadline);
        self.settle();
    }

    /// What must hold whatever came.
    pub(super) fn check(&self) {
        assert!(self.node.is_balanced());
        for line in self.log.split_inclusive(|b| *b == b'\n') {
            let text = std::str::from_utf8(line).expect("access.log is UTF-8");
            assert!(line.len() < 17 + 512 + 1 && text.ends_with('\n'), "{text}");
        }
        for line in
            self.answers.split_inclusive(|b| *b == b'\n').chain(self.sent.split_inclusive(|b| *b == b'\n'))
        {
            assert!(line.ends_with(b"\r\n"), "{}", line.escape_ascii());
        }
    }
}
