//! What stands in an access.log.

use std::collections::HashMap;

/// The texts of log lines, in their order, without the times in front.
///
/// # Panics
/// If a line does not have the form `YYYYMMDDTHHMMSSZ <text>`.
#[must_use]
#[track_caller]
pub fn texts(log: &str) -> Vec<&str> {
    assert!(log.is_empty() || log.ends_with('\n'), "the last line is torn: {:?}", log.lines().last());
    log.lines().map(text).collect()
}

#[track_caller]
fn text(line: &str) -> &str {
    match line.split_once(' ') {
        Some((time, text)) if pzog::Stamp::parse(time.as_bytes()).is_some() => text,
        _ => panic!("not a line of an access.log: {line:?}"),
    }
}

/// How often each text stands in the log.
///
/// # Panics
/// If a line does not have the form of one.
#[must_use]
#[track_caller]
pub fn counts(log: &str) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for text in texts(log) {
        *counts.entry(text).or_default() += 1;
    }
    counts
}

/// How many lines of the log have this text.
#[must_use]
#[track_caller]
pub fn count_of(log: &str, wanted: &str) -> usize {
    texts(log).into_iter().filter(|text| *text == wanted).count()
}
