//! Single values: of the right type, within their bounds, or what would be right.

use crate::size;
use pzog::limits::NAME_MAX;
use std::net::IpAddr;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// What is wrong with a value, and what would be right.
pub(crate) struct Wrong {
    pub(crate) wrong: String,
    pub(crate) right: String,
}

impl Wrong {
    pub(crate) fn new(wrong: impl Into<String>, right: impl Into<String>) -> Wrong {
        Wrong { wrong: wrong.into(), right: right.into() }
    }

    /// A value that is not what it should be.
    pub(crate) fn mistyped(value: &DeValue<'_>, right: impl Into<String>) -> Wrong {
        let found = match value {
            DeValue::String(text) => format!("is the text {}", quoted(text)),
            DeValue::Integer(number) => format!("is the number {}", number.as_str()),
            DeValue::Float(number) => format!("is the number {}", number.as_str()),
            DeValue::Boolean(yes) => format!("is {yes}"),
            DeValue::Datetime(moment) => format!("is the date or time {moment}"),
            DeValue::Array(_) => "is a list".to_owned(),
            DeValue::Table(_) => "is a table".to_owned(),
        };
        Wrong::new(found, right)
    }
}

/// The shortest time that may be set: anything shorter would keep the daemon busy with itself.
const DURATION_MIN: Duration = Duration::from_millis(1);

/// A time such as `"5s"` or `"1m 30s"`, at least 1 ms.
pub(crate) fn duration(value: &DeValue<'_>) -> Result<Duration, Wrong> {
    const RIGHT: &str = "give a time in quotes, such as \"5s\", \"250ms\" or \"1m 30s\"";
    let DeValue::String(text) = value else { return Err(Wrong::mistyped(value, RIGHT)) };
    let Ok(time) = humantime::parse_duration(text) else { return Err(Wrong::mistyped(value, RIGHT)) };
    if time < DURATION_MIN {
        return Err(Wrong::new(format!("is {}", quoted(text)), "give 1ms or more"));
    }
    Ok(time)
}

/// A size such as `"64MiB"`, or a number of bytes.
pub(crate) fn bytes(value: &DeValue<'_>, min: u64, max: u64, right: &str) -> Result<u64, Wrong> {
    let bytes = match value {
        DeValue::String(text) => size::parse(text).ok(),
        _ => whole(value),
    };
    bytes.filter(|n| (min..=max).contains(n)).ok_or_else(|| Wrong::mistyped(value, right))
}

/// A whole number within its bounds.
pub(crate) fn count(value: &DeValue<'_>, min: u64, max: u64) -> Result<u64, Wrong> {
    let fits = whole(value).filter(|n| (min..=max).contains(n));
    fits.ok_or_else(|| Wrong::mistyped(value, format!("give a whole number from {min} to {max}")))
}

/// A TCP port.
pub(crate) fn port(value: &DeValue<'_>) -> Result<u16, Wrong> {
    let fits = whole(value).and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
    fits.ok_or_else(|| Wrong::mistyped(value, "give a port from 1 to 65535"))
}

/// A TCP port, or 0 for none.
pub(crate) fn port_or_none(value: &DeValue<'_>) -> Result<Option<u16>, Wrong> {
    let fits = whole(value).and_then(|n| u16::try_from(n).ok());
    let right = "give a port from 1 to 65535, or 0 to have none";
    fits.map(|port| Some(port).filter(|port| *port > 0)).ok_or_else(|| Wrong::mistyped(value, right))
}

/// `true` or `false`.
pub(crate) fn flag(value: &DeValue<'_>) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| Wrong::mistyped(value, "give true or false, without quotes"))
}

/// One of some words.
pub(crate) fn choice<T: Copy>(value: &DeValue<'_>, choices: &[(&str, T)]) -> Result<T, Wrong> {
    let chosen = value.as_str().and_then(|word| choices.iter().find(|(w, _)| *w == word));
    chosen.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        Wrong::mistyped(value, format!("give {}", words.join(" or ")))
    })
}

/// A host's name in the ring.
pub(crate) fn name(value: DeValue<'_>) -> Result<String, Wrong> {
    match value {
        DeValue::String(name) if pzog::ring::is_name(name.as_bytes()) => Ok(name.into_owned()),
        value => {
            let right = format!("give 1 to {NAME_MAX} ASCII letters, digits, '-' or '_', in quotes");
            Err(Wrong::mistyped(&value, right))
        }
    }
}

/// A host's address.
pub(crate) fn address(value: DeValue<'_>) -> Result<String, Wrong> {
    const RIGHT: &str = "give an IP address or a host name, in quotes";
    let DeValue::String(address) = value else { return Err(Wrong::mistyped(&value, RIGHT)) };
    match address.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => {
            let right = "give the address at which the other hosts reach this one";
            Err(Wrong::new(format!("{} means no host in particular", quoted(&address)), right))
        }
        Ok(_) => Ok(address.into_owned()),
        Err(_) if is_host_name(&address) => Ok(address.into_owned()),
        Err(_) if address.contains(['[', ']', ':']) => {
            let right = "give the address alone, without brackets; ports go into ring_port and client_port";
            Err(Wrong::new(format!("{} is no address", quoted(&address)), right))
        }
        Err(_) => Err(Wrong::new(format!("{} is no address", quoted(&address)), RIGHT)),
    }
}

/// A table, or what should have been one.
pub(crate) fn table<'t>(value: DeValue<'t>, right: &str) -> Result<DeTable<'t>, Wrong> {
    match value {
        DeValue::Table(table) => Ok(table),
        value => Err(Wrong::mistyped(&value, right)),
    }
}

/// Whether a resolver may be asked for this name; digits and dots alone are an IP address gone wrong.
fn is_host_name(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253
        && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
        && !text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A text for a message: controls escaped, and cut where it is long.
pub(crate) fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
