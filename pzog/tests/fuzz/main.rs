//! The bodies of the fuzz targets in `fuzz/`, on the seeds of their corpora and on inputs drawn by proptest.

mod bodies;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::fs;
use std::path::Path;

type Body = fn(&[u8]);

const BODIES: [(&str, Body); 3] = [
    ("client_lines", bodies::client_lines),
    ("peer_lines", bodies::peer_lines),
    ("journal", bodies::journal),
];

/// The seeds of a target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    files.sort();
    let name = |file: &Path| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files.iter().map(|file| (name(file), fs::read(file).expect("the seed can be read"))).collect()
}

#[test]
fn every_seed_goes_through_the_body_of_its_target() {
    for (target, body) in BODIES {
        let seeds = seeds(target);
        assert!(seeds.len() >= 5, "{target} has {} seeds", seeds.len());
        for (name, seed) in seeds {
            println!("{target}/{name}");
            body(&seed);
        }
    }
}

/// Pieces of the seeds of a target, put together anew, with bytes changed, put in and left out.
fn mixtures(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let lines: Vec<Vec<u8>> = seeds(target)
        .iter()
        .flat_map(|(_, seed)| seed.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect();
    let odd = prop_oneof![any::<u8>(), select(b"\r\n \x00\x7f~^!>/.-019\xfd\xfe\xff".to_vec()),];
    let edits = vec((any::<Index>(), odd, 0..3_u8), 0..6);
    (vec(select(lines), 1..40), edits).prop_map(|(lines, edits)| {
        let mut bytes = lines.concat();
        for (at, byte, how) in edits {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            match how {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn client_lines(bytes in mixtures("client_lines")) {
        bodies::client_lines(&bytes);
    }

    #[test]
    fn peer_lines(bytes in mixtures("peer_lines")) {
        bodies::peer_lines(&bytes);
    }

    #[test]
    fn journal(bytes in mixtures("journal")) {
        bodies::journal(&bytes);
    }

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..2000)) {
        BODIES.iter().for_each(|(_, body)| body(&bytes));
    }
}
