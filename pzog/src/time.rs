//! Time as the core sees it: given from outside, once per turn.

use core::fmt;
use core::ops::{Add, Sub};
pub use core::time::Duration;

/// A moment of running (monotonic) time: microseconds since any fixed start of the driver's choice.
///
/// All timeouts count in it, so that a jump of the wall clock changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Time(pub u64);

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Time {
    type Output = Duration;
    /// How long after `earlier`; zero where it is not after it.
    fn sub(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// The two clocks, read by the driver once at the beginning of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Running time.
    pub mono: Time,
    /// The wall clock in seconds since 1970-01-01T00:00:00Z; it only stamps messages and judges the times
    /// that clients give.
    pub utc_seconds: u64,
}

/// Length in bytes of a time as it stands on the wire and in access.log.
pub const STAMP_LEN: usize = 16;

/// A time as it stands on the wire and in access.log: `YYYYMMDDTHHMMSSZ`, always UTC (ISO 8601, basic form).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub [u8; STAMP_LEN]);

impl Stamp {
    /// The stamp of a wall-clock second. Years beyond 9999 are shown as the end of 9999.
    #[must_use]
    pub fn of_utc_seconds(utc_seconds: u64) -> Stamp {
        const LAST: u64 = 253_402_300_799; // 9999-12-31T23:59:59Z
        let s = utc_seconds.min(LAST);
        let (year, month, day) = civil_from_days(s / 86_400);
        let second_of_day = s % 86_400;
        let mut out = *b"00000000T000000Z";
        put_digits(&mut out[0..4], year);
        put_digits(&mut out[4..6], month);
        put_digits(&mut out[6..8], day);
        put_digits(&mut out[9..11], second_of_day / 3600);
        put_digits(&mut out[11..13], second_of_day / 60 % 60);
        put_digits(&mut out[13..15], second_of_day % 60);
        Stamp(out)
    }

    /// Reads a stamp; `None` where the bytes are not a real moment in the one accepted form.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Stamp> {
        let stamp = Stamp(bytes.try_into().ok()?);
        // Whatever does not come back as it went in (a 30th of February, 25 o'clock) was no moment.
        (Stamp::of_utc_seconds(stamp.utc_seconds()?) == stamp).then_some(stamp)
    }

    /// Seconds since 1970-01-01T00:00:00Z; `None` where the bytes do not have the form of a stamp.
    #[must_use]
    pub fn utc_seconds(&self) -> Option<u64> {
        let b = &self.0;
        if b[8] != b'T' || b[15] != b'Z' {
            return None;
        }
        let (year, month, day) = (digits(&b[0..4])?, digits(&b[4..6])?, digits(&b[6..8])?);
        let (hour, minute, second) = (digits(&b[9..11])?, digits(&b[11..13])?, digits(&b[13..15])?);
        if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        Some(days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
    }

    /// The sixteen characters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; STAMP_LEN] {
        &self.0
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.0).unwrap_or("?"))
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn put_digits(out: &mut [u8], mut n: u64) {
    for b in out.iter_mut().rev() {
        *b = b'0' + (n % 10) as u8;
        n /= 10;
    }
}

fn digits(bytes: &[u8]) -> Option<u64> {
    bytes.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
}

// Days and civil dates of the Gregorian calendar, counted in eras of 400 years that begin on 1 March.

const DAYS_PER_ERA: u64 = 146_097;
const DAYS_TO_1970: u64 = 719_468;

fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let year_of_era = year % 400;
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year / 400 * DAYS_PER_ERA + day_of_era - DAYS_TO_1970
}

fn civil_from_days(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + DAYS_TO_1970;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (DAYS_PER_ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (days / DAYS_PER_ERA * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    extern crate alloc;
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn stamps_of_known_moments() {
        for (utc_seconds, stamp) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_251_199, "20240229T235959Z"),
            (1_795_229_502, "20261121T025142Z"),
            (4_107_542_400, "21000301T000000Z"),
            (253_402_300_799, "99991231T235959Z"),
            (u64::MAX, "99991231T235959Z"),
        ] {
            assert_eq!(Stamp::of_utc_seconds(utc_seconds).to_string(), stamp);
            assert_eq!(
                Stamp::parse(stamp.as_bytes()).unwrap().utc_seconds().unwrap(),
                utc_seconds.min(253_402_300_799)
            );
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "20261121T025142",
            "20261121T025142Z ",
            "20261121 025142Z",
            "20261121t025142z",
            "2026112XT025142Z",
            "20260230T000000Z",
            "20261301T000000Z",
            "20260001T000000Z",
            "20260100T000000Z",
            "20260101T240000Z",
            "20260101T006000Z",
            "20260101T000060Z",
            "19691231T235959Z",
            "21000229T000000Z",
        ] {
            assert_eq!(Stamp::parse(text.as_bytes()), None, "{text}");
        }
    }
}
