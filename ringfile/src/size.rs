//! Sizes as people write them, in ring.toml and on command lines.

/// Bytes of a size such as `64MiB`, `10MB`, `4 KiB` or `4096`.
///
/// # Errors
/// What is wrong with the text, and how to write it.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = unit_bytes(unit.trim_start()).filter(|_| digits > 0).ok_or_else(|| {
        format!("{text:?} is no size; write a whole number and B, KiB, MiB, GiB, KB, MB or GB")
    })?;
    let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    bytes.ok_or_else(|| format!("{text:?} is too large; give less than 16777216 TiB"))
}

fn unit_bytes(unit: &str) -> Option<u64> {
    Some(match unit {
        "" | "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("17B", 17),
            ("4 KiB", 4096),
            ("10MB", 10_000_000),
            ("64MiB", 64 << 20),
            ("3GiB", 3 << 30),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        for text in [
            "",
            "MiB",
            "-1",
            "1.5GiB",
            "1 mib",
            "4KiBs",
            "four",
            "99999999999999999999",
            "18446744073709551615KB",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
