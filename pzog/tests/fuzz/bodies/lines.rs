//! Lines of a client, and of a peer.

use super::driver::{Driver, ring};
use pzog::limits::LINE_MAX;
use pzog::{ConnId, Input};

const CONN: ConnId = ConnId(0);

/// More is not given, so that no bound depends on the pieces.
const BYTES_MAX: usize = 4 << 10;

/// What must not depend on the pieces in which the bytes came.
#[derive(PartialEq, Debug)]
struct Outcome {
    log: String,
    journaled: String,
    answers: String,
    refused: Vec<String>,
    streams: String,
    /// How many sums differed from what was taken.
    diverged: u64,
    closed: bool,
}

impl Outcome {
    fn of(driver: &Driver) -> Outcome {
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string().replace("\\r\\n", "\n");
        Outcome {
            log: shown(&driver.log),
            journaled: shown(&driver.journaled),
            answers: shown(&driver.answers),
            refused: driver.refused.iter().map(|report| shown(report)).collect(),
            streams: format!("{:?}", driver.node.streams_status().collect::<Vec<_>>()),
            diverged: driver.node.counters().diverged,
            closed: driver.closed.contains(&CONN),
        }
    }
}

/// A client says these bytes.
pub(crate) fn client_lines(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(BYTES_MAX)];
    let say = |pieces: &mut dyn Iterator<Item = usize>| {
        let mut driver = Driver::fresh();
        driver.turn(&mut [], |_| Input::ClientConnected { conn: CONN });
        let mut rest = give(&mut driver, bytes, pieces, |bytes| Input::ClientLines { conn: CONN, bytes });
        driver.turn(&mut rest, |rest| Input::ClientFinished { conn: CONN, rest });
        driver.settle();
        driver.check();
        Outcome::of(&driver)
    };
    let whole = say(&mut [bytes.len()].into_iter());
    assert_eq!(whole, say(&mut std::iter::repeat(1)));
    assert_eq!(whole, say(&mut pieces(bytes)));
}

/// A peer says these bytes: behind a handshake, or, if they begin with one, in place of it.
pub(crate) fn peer_lines(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(BYTES_MAX)];
    let say = |pieces: &mut dyn Iterator<Item = usize>| {
        let mut driver = Driver::again();
        driver.turn(&mut [], |_| Input::PeerAccepted { conn: CONN });
        if !bytes.starts_with(b"HELLO") {
            let hello = format!(
                "HELLO {} MV PA 00000000000000b1 1 {:016x}\r\n",
                pzog::wire::PROTOCOL,
                ring().digest()
            );
            let mut lines = [hello.as_bytes(), b"OK PA/00000000000000b1 3 3\r\n"].concat();
            driver.turn(&mut lines, |bytes| Input::PeerLines { conn: CONN, bytes });
        }
        let mut rest = give(&mut driver, bytes, pieces, |bytes| Input::PeerLines { conn: CONN, bytes });
        driver.settle();
        driver.pass(1_000_000);
        driver.turn(&mut rest, |rest| Input::PeerClosed { conn: CONN, rest });
        driver.check();
        Outcome::of(&driver)
    };
    let whole = say(&mut [bytes.len()].into_iter());
    assert_eq!(whole, say(&mut std::iter::repeat(1)));
    assert_eq!(whole, say(&mut pieces(bytes)));
}

/// Lengths that depend on the bytes alone.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes.iter().cycle().scan(7_usize, |state, byte| {
        *state = (*state * 31 + usize::from(*byte)) % 97;
        Some(1 + *state)
    })
}

/// Gives the bytes in pieces of these lengths, each with what was left of those before, as drivers do. Returns what
/// is left at the end.
fn give(
    driver: &mut Driver,
    mut bytes: &[u8],
    pieces: &mut dyn Iterator<Item = usize>,
    input: impl for<'a> Fn(&'a mut [u8]) -> Input<'a>,
) -> Vec<u8> {
    let mut left = Vec::new();
    while !bytes.is_empty() && !driver.closed.contains(&CONN) {
        let length = pieces.next().unwrap_or(bytes.len()).clamp(1, bytes.len());
        left.extend_from_slice(&bytes[..length]);
        bytes = &bytes[length..];
        let consumed = driver.turn(&mut left, &input);
        left.drain(..consumed);
        assert!(left.len() <= LINE_MAX + 1, "keeps {} bytes of an unfinished line", left.len());
    }
    left
}
