//! Waiting for a condition, never for time to pass.

use std::thread;
use std::time::{Duration, Instant};

/// Whatever a test waits for comes within this time, or the test fails: generous, since only failures use it up.
const DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Returns as soon as `condition` holds.
///
/// # Panics
/// If it does not hold within 30 s; `what` then says what was waited for.
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    assert!(comes_true(condition), "waited {DEADLINE:?} in vain until {what}");
}

/// Whether `condition` holds within 30 s; returns as soon as it does.
pub(crate) fn comes_true(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > DEADLINE {
            return false;
        }
        thread::sleep(LOOK_EVERY);
    }
    true
}
