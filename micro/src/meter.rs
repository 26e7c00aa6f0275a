//! The frame around what is measured.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Carries out `body`; callgrind counts while this function runs. `callgrind.rs` has its name.
#[inline(never)]
fn counted_from_here<R>(body: impl FnOnce() -> R) -> R {
    black_box(body()) // so that it is a call, not a jump out of this function
}

/// Carries out `body`, and says how long that took.
pub(crate) fn measure<R>(body: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = counted_from_here(body);
    (result, start.elapsed())
}
