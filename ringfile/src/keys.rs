//! What each key of ring.toml means, and how keys depend on each other.

use crate::access::Access;
use crate::error::Fault;
use crate::section::{Faults, Section};
use crate::value::{self, Wrong};
use crate::{
    CLIENT_PORT, HTTP_PORT, Host, HttpListen, LogSettings, RING_PORT, RingFile, RotateAge, Tls, TlsClients,
    same_address,
};
use pzog::limits::HOSTS_MAX;
use pzog::settings::PEER_SILENCE_MAX;
use pzog::{Connect, Level, Ring, Scheme, Settings};
use std::time::Duration;
use toml::de::{DeArray, DeTable, DeValue};

/// Bytes of the smallest segment, in which the longest turn fits, and of the largest.
const SEGMENT_MIN: u64 = 1 << 20;
const SEGMENT_MAX: u64 = 1 << 30;

/// So many segments fit into the journal at least.
const SEGMENTS_MIN: u64 = 4;
const JOURNAL_MIN: u64 = SEGMENTS_MIN * SEGMENT_MIN;

const HOSTS_RIGHT: &str = "list the hosts in ring order, each under a line [[host]], with name and address";

/// Reads the whole file; all faults if there is any.
pub(crate) fn ring_file(text: &str) -> Result<RingFile, Vec<Fault>> {
    let mut faults = Faults::new(text);
    let table = document(text, &mut faults)?;
    let mut top = Section::new("", table, 0, &mut faults);
    let hosts = hosts(&mut top, &mut faults);
    let mut scheme = Scheme::default();
    let schemes = [Scheme::Receiver, Scheme::Origin].map(|s| (s.word(), s));
    top.set("scheme", &mut scheme, &mut faults, |v| value::choice(&v, &schemes));
    let mut tls = Tls::default();
    let ways = [Tls::Off, Tls::Accept, Tls::Required].map(|t| (t.word(), t));
    top.set("tls", &mut tls, &mut faults, |v| value::choice(&v, &ways));
    let mut tls_clients = TlsClients::default();
    let ways = [TlsClients::Off, TlsClients::Optional, TlsClients::Required].map(|t| (t.word(), t));
    top.set("tls_clients", &mut tls_clients, &mut faults, |v| value::choice(&v, &ways));
    let (mut access, mut keep_free) = (Access::default(), 0);
    access.top(&mut top, &mut faults);
    let settings = settings(&mut top, &mut access, &mut keep_free, &mut faults);
    if tls == Tls::Accept && settings.connect == Connect::OnDemand {
        let wrong = "is \"accept\", and connect is \"on-demand\": who is off can only dial, and would not";
        faults.add(
            0,
            "tls",
            Wrong::new(wrong, "let connect be \"always\" until tls is \"required\" everywhere"),
        );
    }
    let log = log(&mut top, &mut faults);
    let http = http(&mut top, &mut faults);
    if !faults.list.is_empty() {
        return Err(faults.list);
    }
    let (retired, hosts): (Vec<Host>, Vec<Host>) = hosts.into_iter().partition(|h| h.is_retired);
    let names = |hosts: &[Host]| hosts.iter().map(|h| h.name.clone()).collect();
    match Ring::new(names(&hosts), scheme).and_then(|ring| ring.with_retired(names(&retired))) {
        Ok(ring) => {
            Ok(RingFile { hosts, scheme, settings, log, tls, tls_clients, access, keep_free, http, ring })
        }
        Err(error) => {
            faults.add(0, "host", Wrong::new(error.to_string(), HOSTS_RIGHT));
            Err(faults.list)
        }
    }
}

/// The file as TOML. Where it is none, nothing else is looked at: what can be recovered from a broken file
/// would only add faults that are none.
fn document<'t>(text: &'t str, faults: &mut Faults<'_>) -> Result<DeTable<'t>, Vec<Fault>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let message = error.message().replace('\n', ", ");
        let wrong =
            Wrong::new(format!("not TOML: {message}"), "write one `key = value` a line, texts in quotes");
        faults.add_keyless(error.span().map_or(0, |span| span.start), wrong);
    }
    if errors.is_empty() { Ok(table.into_inner()) } else { Err(std::mem::take(&mut faults.list)) }
}

/// The `[[host]]` entries.
fn hosts(top: &mut Section<'_>, faults: &mut Faults<'_>) -> Vec<Host> {
    if !top.has("host") {
        faults.add(0, "host", Wrong::new("there is no host", HOSTS_RIGHT));
    }
    let Some(list) = top.take("host", faults, host_list) else { return Vec::new() };
    let mut hosts = Vec::new();
    for (i, entry) in list.value.into_iter().enumerate() {
        let offset = entry.span().start;
        if i == HOSTS_MAX {
            let right = format!("a ring has at most {HOSTS_MAX}");
            faults.add(offset, "host", Wrong::new("one host too many", right));
            break;
        }
        match value::table(entry.into_inner(), HOSTS_RIGHT) {
            Ok(table) => hosts.extend(host(Section::new("host", table, offset, faults), &hosts, faults)),
            Err(wrong) => faults.add(offset, "host", wrong),
        }
    }
    hosts
}

fn host_list(value: DeValue<'_>) -> Result<DeArray<'_>, Wrong> {
    match value {
        DeValue::Array(list) if list.is_empty() => Err(Wrong::new("there is no host", HOSTS_RIGHT)),
        DeValue::Array(list) => Ok(list),
        DeValue::Table(_) => {
            Err(Wrong::new("stands in single brackets", "write [[host]], two brackets on each side"))
        }
        other => Err(Wrong::mistyped(&other, HOSTS_RIGHT)),
    }
}

/// One host; `before` are those above it. None where its name or address is missing or wrong.
fn host(mut section: Section<'_>, before: &[Host], faults: &mut Faults<'_>) -> Option<Host> {
    let name = section.require("name", "\"MV\"", faults, value::name);
    let address = section.require("address", "\"192.168.152.242\"", faults, value::address);
    let mut ring_port = RING_PORT;
    section.set("ring_port", &mut ring_port, faults, |v| value::port(&v));
    let mut client_port = CLIENT_PORT;
    section.set("client_port", &mut client_port, faults, |v| value::port(&v));
    let client_address = section.take("client_address", faults, value::address);
    let mut http_port = Some(HTTP_PORT);
    section.set("http_port", &mut http_port, faults, |v| value::port_or_none(&v));
    let mut is_retired = false;
    section.set("retired", &mut is_retired, faults, |v| value::flag(&v));
    let (name, address) = (name?, address?);

    if before.iter().any(|other| other.name == name.value) {
        let wrong = format!("{:?} is the name of a host above", name.value);
        faults.add(name.offset, "host.name", Wrong::new(wrong, "give each host a name of its own"));
    }
    if ring_port == client_port {
        let wrong = format!("ring_port and client_port are both {ring_port}");
        faults.add(address.offset, "host.client_port", Wrong::new(wrong, "give two different ports"));
    }
    if let Some(port) = http_port.filter(|port| [ring_port, client_port].contains(port)) {
        let wrong = format!("http_port is {port}, as another port of this host is");
        faults.add(address.offset, "host.http_port", Wrong::new(wrong, "give three different ports"));
    }
    let client_address = client_address.map_or_else(|| address.value.clone(), |given| given.value);
    let (name, host_address) = (name.value, address.value);
    let host =
        Host { name, address: host_address, ring_port, client_address, client_port, http_port, is_retired };
    if let Some((port, other)) = shared_port(&host, before).filter(|_| !is_retired) {
        let wrong = format!("port {port} of {:?} belongs to {:?} already", host.address, other.name);
        let right = "give the host another address, or other ports with ring_port and client_port";
        faults.add(address.offset, "host.address", Wrong::new(wrong, right));
    }
    Some(host)
}

/// A port of this host that one of the others at the same address has, for whatever purpose.
fn shared_port<'h>(host: &Host, others: &'h [Host]) -> Option<(u16, &'h Host)> {
    let is_neighbour = |other: &&Host| !other.is_retired && same_address(&other.address, &host.address);
    let neighbours = others.iter().filter(is_neighbour);
    let doors = |h: &'_ Host| [(h.address.clone(), h.ring_port), (h.client_address.clone(), h.client_port)];
    let shared = |other: &Host| {
        let theirs = doors(other);
        let is_theirs = |(address, port): &(String, u16)| {
            theirs.iter().any(|(a, p)| p == port && same_address(a, address))
        };
        doors(host).into_iter().find(is_theirs).map(|(_, port)| port)
    };
    neighbours.filter_map(|other| Some((shared(other)?, other))).next()
}

/// The settings of the node: those at the top, `[journal]` and `[limits]`; with what else stands in these.
fn settings(
    top: &mut Section<'_>,
    access: &mut Access,
    keep_free: &mut u64,
    faults: &mut Faults<'_>,
) -> Settings {
    let mut settings = Settings::default();
    let levels = Level::LADDER.map(|level| (level.word(), level));
    top.set("ack", &mut settings.ack, faults, |v| value::choice(&v, &levels));
    let ways = [("always", Connect::Always), ("on-demand", Connect::OnDemand)];
    top.set("connect", &mut settings.connect, faults, |v| value::choice(&v, &ways));
    top.set("client_idle", &mut settings.client_idle, faults, |v| value::duration(&v));
    silence(top, &mut settings, faults);
    redial(top, &mut settings, faults);
    journal(top, &mut settings, keep_free, faults);
    if let Some(mut limits) = top.section("limits", faults) {
        limits.set("ack_timeout", &mut settings.ack_timeout, faults, |v| value::duration(&v));
        let u32_max = u64::from(u32::MAX);
        limits.set("clients", &mut settings.clients_max, faults, |v| {
            value::count(&v, 1, u32_max).map(|n| n as u32)
        });
        limits.set("window", &mut settings.window_messages, faults, |v| value::count(&v, 1, u32_max));
        limits.set("first_byte", &mut settings.first_byte, faults, |v| value::duration(&v));
        access.limits(&mut limits, faults);
    }
    settings
}

/// `[journal]`
fn journal(top: &mut Section<'_>, settings: &mut Settings, keep_free: &mut u64, faults: &mut Faults<'_>) {
    let Some(mut journal) = top.section("journal", faults) else { return };
    journal.set("keep_free", keep_free, faults, |v| {
        value::bytes(&v, 0, u64::MAX, "give a size, such as \"512MiB\", or 0 for none")
    });
    let size = journal.take("size", faults, |v| {
        value::bytes(&v, JOURNAL_MIN, u64::MAX, "give 4MiB or more, such as \"1GiB\"")
    });
    let segment = journal.take("segment", faults, |v| {
        let right = "give 1MiB or more and at most 1GiB, such as \"16MiB\"";
        value::bytes(&v, SEGMENT_MIN, SEGMENT_MAX, right).map(|n| n as u32)
    });
    journal.set("age", &mut settings.journal_age, faults, |v| value::duration(&v));
    settings.journal_bytes = size.map_or(settings.journal_bytes, |given| given.value);
    settings.segment_bytes = segment.map_or(settings.segment_bytes, |given| given.value);
    let Some(offset) = segment.map(|s| s.offset).or(size.map(|s| s.offset)) else { return };
    if u64::from(settings.segment_bytes) * SEGMENTS_MIN > settings.journal_bytes {
        let wrong = format!(
            "a segment of {} bytes is more than a quarter of journal.size, {} bytes",
            settings.segment_bytes, settings.journal_bytes
        );
        let right = "let at least four segments fit, such as size = \"1GiB\" and segment = \"16MiB\"";
        faults.add(offset, "journal.segment", Wrong::new(wrong, right));
    }
}

/// `keepalive` and `peer_silence`: the second must leave the first time to come.
fn silence(top: &mut Section<'_>, settings: &mut Settings, faults: &mut Faults<'_>) {
    let keepalive = top.take("keepalive", faults, |v| value::duration(&v));
    let peer_silence = top.take("peer_silence", faults, |v| {
        let right = format!("give at most {}", humantime::format_duration(PEER_SILENCE_MAX));
        value::duration(&v)
            .and_then(|d| if d <= PEER_SILENCE_MAX { Ok(d) } else { Err(Wrong::mistyped(&v, right)) })
    });
    settings.keepalive = keepalive.map_or(settings.keepalive, |given| given.value);
    settings.peer_silence = peer_silence.map_or(settings.peer_silence, |given| given.value);
    let Some(given) = keepalive.or(peer_silence) else { return };
    if settings.keepalive >= settings.peer_silence {
        let wrong = longer(
            "keepalive",
            settings.keepalive,
            "not shorter than",
            "peer_silence",
            settings.peer_silence,
        );
        let right = "let several keep-alives fit into a silence, such as \"5s\" and \"15s\"";
        faults.add(given.offset, "keepalive", Wrong::new(wrong, right));
    }
}

/// `redial_min` and `redial_max`.
fn redial(top: &mut Section<'_>, settings: &mut Settings, faults: &mut Faults<'_>) {
    let min = top.take("redial_min", faults, |v| value::duration(&v));
    let max = top.take("redial_max", faults, |v| value::duration(&v));
    settings.redial_min = min.map_or(settings.redial_min, |given| given.value);
    settings.redial_max = max.map_or(settings.redial_max, |given| given.value);
    let Some(given) = min.or(max) else { return };
    if settings.redial_min > settings.redial_max {
        let wrong =
            longer("redial_min", settings.redial_min, "longer than", "redial_max", settings.redial_max);
        faults.add(
            given.offset,
            "redial_min",
            Wrong::new(wrong, "give the shortest pause first, such as \"1s\" and \"5s\""),
        );
    }
}

fn longer(a: &str, a_time: Duration, is: &str, b: &str, b_time: Duration) -> String {
    let (a_time, b_time) = (humantime::format_duration(a_time), humantime::format_duration(b_time));
    format!("{a} ({a_time}) is {is} {b} ({b_time})")
}

/// `[http]`.
fn http(top: &mut Section<'_>, faults: &mut Faults<'_>) -> HttpListen {
    let mut listen = HttpListen::default();
    if let Some(mut http) = top.section("http", faults) {
        let places = [("loopback", HttpListen::Loopback), ("host", HttpListen::Host)];
        http.set("listen", &mut listen, faults, |v| value::choice(&v, &places));
    }
    listen
}

/// `[log]`.
fn log(top: &mut Section<'_>, faults: &mut Faults<'_>) -> LogSettings {
    let mut settings = LogSettings::default();
    let Some(mut log) = top.section("log", faults) else { return settings };
    let size = |v: DeValue<'_>| {
        let right = "give 4KiB or more, such as \"64MiB\"";
        value::bytes(&v, LogSettings::ROTATE_SIZE_MIN, u64::MAX, right).map(Some)
    };
    log.set("rotate_size", &mut settings.rotate_size, faults, size);
    let ages = [("hour", Some(RotateAge::Hour)), ("day", Some(RotateAge::Day))];
    log.set("rotate_age", &mut settings.rotate_age, faults, |v| value::choice(&v, &ages));
    let keep = |v: DeValue<'_>| value::count(&v, 1, LogSettings::KEEP_MAX as u64).map(|n| n as usize);
    log.set("keep", &mut settings.keep, faults, keep);
    log.set("compress", &mut settings.compress, faults, |v| value::flag(&v));
    settings
}
