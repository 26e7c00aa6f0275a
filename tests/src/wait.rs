//! Waiting for a condition, never for time to pass.

use std::thread;
use std::time::{Duration, Instant};

/// Whatever a test waits for comes within this time or the test fails. Generous: it is only used up by failures.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Returns as soon as `condition` holds.
///
/// # Panics
/// If it does not hold within [`DEADLINE`]; `what` then says what was waited for.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain until {what}");
        thread::sleep(LOOK_EVERY);
    }
}
