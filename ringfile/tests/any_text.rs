//! No text makes the reader panic, and every refusal has something to say.

use proptest::prelude::*;
use ringfile::RingFile;
use std::path::Path;

const SHIPPED: &str = include_str!("../../ring.toml");

fn is_explained(text: &str) {
    if let Err(error) = RingFile::parse(text, Path::new("ring.toml")) {
        assert!(error.to_string().starts_with("ring.toml:"), "{error}");
    }
}

/// A value of any type, wrong more often than right.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        any::<bool>().prop_map(|b| b.to_string()),
        "[0-9]{1,20} ?(ns|ms|s|m|h|days|years|KiB|GB)".prop_map(|s| format!("\"{s}\"")),
        "\\PC{0,40}".prop_map(|s| format!("{s:?}")),
        Just("[]".to_owned()),
        Just("{ a = 1 }".to_owned()),
        Just("2026-11-21".to_owned()),
        Just("0xFFFF_FFFF_FFFF_FFFF".to_owned()),
    ]
}

proptest! {
    #[test]
    fn any_text(text in "\\PC*|(.|\n){0,200}") {
        is_explained(&text);
    }

    #[test]
    fn the_shipped_file_with_a_piece_replaced(
        from in 0..SHIPPED.len(), len in 0..200_usize, piece in "(.|\n){0,20}",
    ) {
        let to = (from + len).min(SHIPPED.len());
        if let (Some(head), Some(tail)) = (SHIPPED.get(..from), SHIPPED.get(to..)) {
            is_explained(&format!("{head}{piece}{tail}"));
        }
    }

    #[test]
    fn any_value_for_any_key(
        lines in prop::collection::vec(
            (prop::sample::select(&[
                "scheme", "tls", "ack", "connect", "keepalive", "peer_silence", "client_idle", "redial_min", "redial_max",
                "log", "limits", "host", "log.keep", "log.rotate_size", "log.rotate_age", "log.compress",
                "limits.clients", "limits.window", "journal.size", "journal.segment", "journal.age", "limits.ack_timeout",
            ][..]), value()),
            0..8,
        ),
        host in prop::collection::vec((prop::sample::select(&["name", "address", "ring_port", "client_port", "retired"][..]), value()), 0..5),
    ) {
        let line = |(key, value): &(&str, String)| format!("{key} = {value}\n");
        let top: String = lines.iter().map(line).collect();
        let host: String = host.iter().map(line).collect();
        is_explained(&format!("{top}[[host]]\n{host}"));
    }
}
