//! Free ports for tests that run at the same time, in this process and in others.

use std::fs::{self, File, TryLockError};
use std::net::TcpListener;
use std::process;

/// Below Linux's ephemeral range (from 32 768), so that no outgoing connection takes a port in between.
const FIRST: u16 = 20_000;

/// A lease covers this many ports.
const BLOCK: u16 = 32;

/// How many blocks there are: up to port 32 000.
const BLOCKS: u16 = 375;

/// Ports that belong to this lease as long as it lives: whoever holds the lock on the block's file may use them.
#[derive(Debug)]
pub(crate) struct Lease {
    first: u16,
    _lock: File,
}

impl Lease {
    /// Leases a block of which nobody uses a port.
    pub(crate) fn take() -> Lease {
        // Begin at different blocks, so that parallel tests rarely meet.
        let start = (process::id() % u32::from(BLOCKS)) as u16;
        (0..BLOCKS)
            .map(|i| (start + i) % BLOCKS)
            .find_map(Lease::of_block)
            .expect("no free block of ports between 20000 and 32000: are many daemons left over?")
    }

    /// The `index`-th port of the block.
    pub(crate) fn port(&self, index: usize) -> u16 {
        let index = u16::try_from(index).expect("a small index");
        assert!(index < BLOCK, "a ring under test has at most {} hosts", BLOCK / 2);
        self.first + index
    }

    fn of_block(block: u16) -> Option<Lease> {
        let dir = std::env::temp_dir().join("zog-test-ports");
        fs::create_dir_all(&dir).expect("a directory for the locks of ports");
        let file = File::create(dir.join(block.to_string())).expect("a lock file for ports");
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Error(e)) => panic!("cannot lock a block of ports: {e}"),
        }
        let first = FIRST + block * BLOCK;
        let free = (first..first + BLOCK).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        free.then_some(Lease { first, _lock: file })
    }
}
