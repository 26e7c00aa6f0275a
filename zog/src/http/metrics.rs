//! `/metrics`: OpenMetrics 1.0 text, written here: forty lines of format against a crate with a registry of its own,
//! into which everything that the node has counted already would have to be counted again. A parser that is not ours
//! checks it (`scripts/metrics-test`).
//!
//! The values of labels are names of hosts and words of this program: none needs escaping, and none is a message.

use super::standing::{Life, Seen};
use super::system::System;
use pzog::HostIndex;
use pzog::view::{Down, Histogram, LinkState, View};
use std::fmt::{Display, Write as _};
use std::time::Duration;

/// What the text is.
pub(super) const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All families of metrics as they are now; those of the node are absent while no life of the daemon runs.
pub(super) fn exposition(seen: &Seen, system: Option<&System>) -> String {
    let mut text = Text::default();
    of_process(seen, system, &mut text);
    if let Some(life) = &seen.life {
        of_messages(life, &mut text);
        of_journal(life, &mut text);
        of_peers(&life.view, &mut text);
        of_streams(&life.view, &mut text);
    }
    text.end()
}

fn of_process(seen: &Seen, system: Option<&System>, text: &mut Text) {
    text.family("zog_build", "info", "The version of the daemon.");
    text.sample("zog_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family("zog_start_time_seconds", "gauge", "When the process began, in seconds since 1970.");
    text.sample("zog_start_time_seconds", &[], seen.started);
    text.family("zog_ready", "gauge", "Whether messages are taken; /readyz tells why not.");
    text.sample("zog_ready", &[], u8::from(seen.reasons.is_empty()));
    text.family("zog_http_requests", "counter", "Requests that were answered, by code.");
    for (code, count) in &seen.answered {
        text.sample("zog_http_requests_total", &[("code", &code.to_string())], count);
    }
    let System { disk_free, resident, open_files, open_files_max } = match system {
        Some(system) => *system,
        None => return,
    };
    text.gauge("zog_disk_free_bytes", "Room on the disk of the journal that this user may fill.", disk_free);
    text.gauge("zog_resident_memory_bytes", "Memory that the process really has.", resident);
    text.gauge("zog_open_fds", "Open file descriptors.", open_files);
    text.gauge("zog_max_fds", "How many there may be.", open_files_max);
}

fn of_messages(life: &Life, text: &mut Text) {
    let view = &life.view;
    let counters = &view.counters;
    text.counter("zog_messages_ingested", "Messages taken from clients.", counters.taken);
    text.counter("zog_messages_relayed", "Messages passed on for other hosts.", counters.relayed);
    text.counter(
        "zog_messages_repeated",
        "Messages that came again, from peers or clients.",
        counters.repeats,
    );
    text.counter("zog_messages_given_up", "Messages missing here for good.", counters.given_up);
    text.counter("zog_diverged", "Comparisons of journals that found a difference.", counters.diverged);
    let help = "Connections to or from peers whose other end could not prove who it is.";
    text.counter("zog_peers_unproved", help, counters.unproved);
    text.family("zog_connections_refused", "counter", "Connections that were not let in, by reason.");
    for (reason, count) in &life.connections_refused {
        text.sample("zog_connections_refused_total", &[("reason", reason)], count);
    }
    let help = "When the certificate of this host is valid no more, in seconds since 1970.";
    text.gauge("zog_tls_cert_expiry_timestamp_seconds", help, life.cert_expires_at);
    text.family("zog_messages_logged", "counter", "Messages in access.log, since the journal began.");
    for (origin, logged) in (0..).map(HostIndex).zip(&view.logged) {
        text.sample("zog_messages_logged_total", &[("origin", view.name(origin))], logged);
    }
    text.family("zog_messages_rejected", "counter", "Lines that were not accepted, by reason.");
    for (reason, count) in &view.refused {
        text.sample("zog_messages_rejected_total", &[("reason", reason)], count);
    }
    text.gauge("zog_clients", "Connections to the client port.", Some(view.clients));
    let reads = u8::from(life.reads_clients);
    text.gauge(
        "zog_reads_clients",
        "Whether clients are read: 0 while a peer is a window behind, or a segment is late.",
        Some(reads),
    );
    text.histogram(
        "zog_end_to_end_seconds",
        "From taking a message here to hearing that every linked host has it in its journal; one message at a time.",
        &view.arrivals,
    );
}

fn of_journal(life: &Life, text: &mut Text) {
    let view = &life.view;
    text.gauge("zog_journal_bytes", "Bytes of all segments of the journal.", Some(view.journal_bytes));
    text.gauge("zog_journal_segments", "Segments of the journal.", Some(view.segments));
    let full = u8::from(view.is_full);
    text.gauge("zog_journal_full", "Whether the journal has no room for a message.", Some(full));
    text.gauge(
        "zog_access_log_held_bytes",
        "Bytes of access.log that wait for room on the disk.",
        Some(life.held_bytes),
    );
    text.histogram(
        "zog_journal_fsync_seconds",
        "From asking for a sync of the journal to hearing of its end.",
        &view.syncs,
    );
}

fn of_peers(view: &View, text: &mut Text) {
    text.family("zog_peer_up", "gauge", "Whether the host is linked.");
    for peer in &view.peers {
        let up = u8::from(peer.state == LinkState::Up);
        text.sample("zog_peer_up", &[("peer", view.name(peer.host))], up);
    }
    text.family("zog_peer_agrees", "gauge", "Whether a linked host has the same ring and scheme.");
    for peer in &view.peers {
        if let Some((_, agrees)) = peer.linked {
            text.sample("zog_peer_agrees", &[("peer", view.name(peer.host))], u8::from(agrees));
        }
    }
    text.family("zog_peer_rtt_seconds", "gauge", "From the last KEEPALIVE to its answer.");
    for peer in &view.peers {
        if let Some(time) = peer.round_trip {
            text.sample("zog_peer_rtt_seconds", &[("peer", view.name(peer.host))], time.as_secs_f64());
        }
    }
    text.family("zog_peer_reconnects", "counter", "Ends of the link, by reason.");
    for peer in &view.peers {
        for (reason, count) in Down::WORDS.iter().zip(peer.downs) {
            let labels = [("peer", view.name(peer.host)), ("reason", reason)];
            text.sample("zog_peer_reconnects_total", &labels, count);
        }
    }
    text.family(
        "zog_duplicates_suppressed",
        "counter",
        "Messages that the host sent although they were here.",
    );
    for peer in &view.peers {
        text.sample("zog_duplicates_suppressed_total", &[("peer", view.name(peer.host))], peer.repeats);
    }
}

/// What the hosts have told to have.
fn of_streams(view: &View, text: &mut Text) {
    text.gauge("zog_streams", "Streams that still matter to somebody.", Some(view.streams.len()));
    let missing: u64 = view.streams.iter().map(|stream| stream.status.missing).sum();
    text.gauge("zog_missing_messages", "Messages that this host has been told of and lacks.", Some(missing));
    text.family("zog_peer_missing_messages", "gauge", "Messages that the host lacks of those known here.");
    per_peer(view, "zog_peer_missing_messages", text, |peer| {
        view.marks_of(peer).map(|(_, mark)| mark.missing).sum::<u64>()
    });
    let help = "Messages that this host has taken, and the host lacks.";
    text.family("zog_backlog_messages", "gauge", help);
    per_peer(view, "zog_backlog_messages", text, |peer| {
        let own = view.marks_of(peer).filter(|(stream, _)| stream.origin == view.me);
        own.map(|(_, mark)| mark.missing).sum::<u64>()
    });
    let help = "For how long the host has lacked something, as far as is known.";
    text.family("zog_peer_oldest_missing_seconds", "gauge", help);
    per_peer(view, "zog_peer_oldest_missing_seconds", text, |peer| {
        let times = view.marks_of(peer).map(|(_, mark)| mark.missing_for);
        times.max().unwrap_or(Duration::ZERO).as_secs_f64()
    });
    of_watermarks(view, text);
}

fn per_peer<V: Display>(view: &View, name: &str, text: &mut Text, value: impl Fn(HostIndex) -> V) {
    for peer in &view.peers {
        text.sample(name, &[("peer", view.name(peer.host))], value(peer.host));
    }
}

/// Of all streams of an origin together: a stream that all have, and nobody needs any more, is not counted.
fn of_watermarks(view: &View, text: &mut Text) {
    let help = "Messages of the streams of that origin that the host has told to have on its disk.";
    text.family("zog_peer_watermark", "gauge", help);
    for peer in &view.peers {
        for origin in (0..view.hosts as u8).map(HostIndex) {
            let of_origin = view.marks_of(peer.host).filter(|(stream, _)| stream.origin == origin);
            let synced: u64 = of_origin.map(|(_, mark)| mark.synced).sum();
            let labels = [("peer", view.name(peer.host)), ("origin", view.name(origin))];
            text.sample("zog_peer_watermark", &labels, synced);
        }
    }
}

/// OpenMetrics text as it grows.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins a family; a name that ends in a unit says so.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        if let Some(unit) = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(unit)) {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {name} {help}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (i, (label, of)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{of}\"", if i == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    /// A family of one sample.
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(&format!("{name}_total"), &[], value);
    }

    /// A family of one sample, if it is known.
    fn gauge(&mut self, name: &str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.family(name, "gauge", help);
            self.sample(name, &[], value);
        }
    }

    fn histogram(&mut self, name: &str, help: &str, times: &Histogram) {
        self.family(name, "histogram", help);
        let bounds = Histogram::BOUNDS.map(|us| format!("{:?}", Duration::from_micros(us).as_secs_f64()));
        let mut below = 0;
        for (bound, count) in bounds.iter().map(String::as_str).chain(["+Inf"]).zip(times.counts()) {
            below += count;
            self.sample(&format!("{name}_bucket"), &[("le", bound)], below);
        }
        self.sample(&format!("{name}_count"), &[], below);
        self.sample(&format!("{name}_sum"), &[], times.sum().as_secs_f64());
    }

    fn end(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }
}
