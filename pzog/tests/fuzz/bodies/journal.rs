//! A journal of any records and pieces.
//!
//! The bytes are a journal in short: `FF` ends a record, which is put into a frame as the core would; `FE` ends a
//! record and the segment; `FD` ends a record and then a bit of it rots. So what fuzzing changes are the lines,
//! not checks that it could never guess. Bytes that begin with a frame's magic are a segment as they stand.

use super::driver::{Driver, Files, HEADER_BYTES, recover, ring};
use pzog::{ConnId, Input, LogFile};

const PEER: ConnId = ConnId(0);

const MAGIC: [u8; 4] = *b"\xf5zog";

const BYTES_MAX: usize = 16 << 10;

/// Recovers the journal, starts a node on it, serves a peer from it, and recovers what that leaves.
pub(crate) fn journal(bytes: &[u8]) {
    let files = files(&bytes[..bytes.len().min(BYTES_MAX)]);
    let Some((recovered, lines)) = recover(&files) else { return };
    assert!(lines.len() <= bytes.len());
    assert_eq!(recover(&files).map(|(_, again)| again), Some(lines.clone()), "the same once more");

    let log = LogFile { device: 1, inode: 2, bytes: lines.len() as u64 };
    let mut driver = Driver::start(recovered, files, log);
    ask_for_everything(&mut driver);

    let (again, nothing) = recover(&driver.files).expect("it is still our own");
    assert_eq!(again.log(), Some(log));
    assert_eq!(nothing, b"", "access.log has all of it already");
}

fn ask_for_everything(driver: &mut Driver) {
    let hello =
        format!("HELLO {} MV PA 00000000000000b1 1 {:016x}\r\n", pzog::wire::PROTOCOL, ring().digest());
    let wants =
        ["MV/00000000000000a1", "PA/00000000000000b0", "G/00000000000000c1", "MV>PA/00000000000000a1"];
    let wants: String = wants.iter().map(|stream| format!("WANT {stream} 1\r\n")).collect();
    driver.turn(&mut [], |_| Input::PeerAccepted { conn: PEER });
    for mut lines in [hello, "OK PA/00000000000000b1 0 0\r\n".to_owned(), wants].map(String::into_bytes) {
        driver.turn(&mut lines, |bytes| Input::PeerLines { conn: PEER, bytes });
    }
    driver.settle();
}

fn files(bytes: &[u8]) -> Files {
    if bytes.starts_with(&MAGIC) {
        return Files::from([(1, bytes.to_vec())]);
    }
    let mut files = Files::from([(1, Vec::new())]);
    let (mut number, mut synced) = (1, 0);
    for record in bytes.split_inclusive(|b| *b >= 0xfd) {
        let (payload, end) = match record.split_last() {
            Some((end @ 0xfd.., payload)) => (payload, *end),
            _ => (record, 0xff),
        };
        let segment = files.entry(number).or_default();
        let offset = segment.len() as u32;
        segment.extend_from_slice(&frame(number, offset, synced, payload));
        match end {
            0xfe => (number, synced) = (number + 1, 0),
            0xfd => segment[offset as usize + 4] ^= 1,
            _ => synced = offset,
        }
    }
    files
}

/// A frame as docs/PROTOCOL.md and the core have it, built without the core.
fn frame(segment: u64, offset: u32, synced: u32, payload: &[u8]) -> Vec<u8> {
    let (length, synced) = ((payload.len() as u32).to_le_bytes(), synced.to_le_bytes());
    let covered = [&segment.to_le_bytes()[..], &offset.to_le_bytes(), &length, &synced, payload].concat();
    let check = crc32fast::hash(&covered).to_le_bytes();
    let frame = [&MAGIC[..], &length, &synced, &check, payload].concat();
    assert_eq!(frame.len(), HEADER_BYTES + payload.len());
    frame
}
