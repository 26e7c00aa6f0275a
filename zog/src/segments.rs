//! What a turn asks of the journal's files besides its append: segments are made ready, let go, and read, each in a thread
//! of its own, since the system may take its time; what comes of it is an input.

use crate::daemon::{Daemon, Shared};
use crate::failure::Task;
use crate::floor::Floor;
use crate::journal::{self, Released};
use crate::rt;
use pzog::{Input, Outputs, Prepare, Read};
use std::fs::File;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of a buffer that is kept for the next read.
const BUFFER_KEPT_MAX: usize = 512 << 10;

/// What is kept from one time to the next.
#[derive(Default)]
pub(crate) struct Segments {
    /// Bytes, see [`Floor`].
    pub(crate) keep_free: u64,
    /// Fewer were free when it was looked last.
    pub(crate) is_below_floor: bool,
    /// Of the last read.
    buffer: Vec<u8>,
}

impl Segments {
    pub(crate) fn new(keep_free: u64) -> Segments {
        Segments { keep_free, ..Segments::default() }
    }
}

/// Begins what is asked for.
pub(crate) fn keep(daemon: &mut Daemon, outputs: &Outputs) {
    let Some(shared) = daemon.shared() else { return };
    if let Some(segment) = outputs.prepare {
        let dir = daemon.journal.dir().to_owned();
        let dirs = [dir.clone(), daemon.access_log.dir()];
        let floor = Floor { dirs, keep_free: daemon.segments.keep_free };
        rt::spawn(prepare(shared.clone(), dir, segment, floor));
    }
    if !outputs.release.is_empty() {
        rt::spawn(release(shared.clone(), daemon.journal.release(&outputs.release)));
    }
    for read in &outputs.read {
        let file = daemon.journal.file(read.at.segment);
        let mut buffer = mem::take(&mut daemon.segments.buffer);
        // Here, since each thread keeps what was once allocated in it.
        buffer.reserve(read.bytes as usize);
        rt::spawn(read_piece(shared.clone(), *read, file, buffer));
    }
}

/// Makes a segment ready and tells the node.
async fn prepare(daemon: Shared, dir: PathBuf, segment: Prepare, floor: Floor) {
    let (is_below_floor, prepared) = rt::unblock(move || {
        let above = floor.check();
        (above.is_err(), above.and_then(|()| journal::prepare(&dir, segment)))
    })
    .await;
    let mut daemon = daemon.borrow_mut();
    daemon.segments.is_below_floor = is_below_floor;
    daemon.went(Task::Prepare, &prepared);
    daemon.turn(Input::Prepared { ok: prepared.is_ok() });
}

/// Lets segments go.
async fn release(daemon: Shared, segments: Released) {
    let released = rt::unblock(move || segments.let_go()).await;
    daemon.borrow_mut().went(Task::Release, &released);
}

/// Reads a piece of the journal and gives it to the node; nothing where it cannot be read.
async fn read_piece(daemon: Shared, read: Read, file: io::Result<Arc<File>>, mut bytes: Vec<u8>) {
    let (mut bytes, done) = rt::unblock(move || {
        let done = file.and_then(|file| journal::read(&file, read.at.offset, &mut bytes, read.bytes));
        if done.is_err() {
            bytes.clear();
        }
        (bytes, done)
    })
    .await;
    let mut daemon = daemon.borrow_mut();
    daemon.went(Task::Read, &done);
    daemon.journal_read(read.id, &mut bytes);
    if bytes.capacity() <= BUFFER_KEPT_MAX {
        daemon.segments.buffer = bytes;
    }
}
