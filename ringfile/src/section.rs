//! One table of the file: its known keys are taken out one by one, and the unknown ones named.

use crate::error::Fault;
use crate::text::line_of;
use crate::value::{self, Wrong};
use toml::de::{DeTable, DeValue};

/// All keys, by the table they belong to; the top of the file is the table without a name.
pub(crate) const TABLES: [(&str, &[&str]); 6] = [
    (
        "",
        &[
            "ack",
            "client_idle",
            "connect",
            "host",
            "http",
            "journal",
            "keepalive",
            "limits",
            "log",
            "peer_silence",
            "peers",
            "redial_max",
            "redial_min",
            "scheme",
            "tls",
            "tls_clients",
            "tokens",
        ],
    ),
    ("host", &["address", "client_address", "client_port", "http_port", "name", "retired", "ring_port"]),
    ("http", &["listen"]),
    ("log", &["compress", "keep", "rotate_age", "rotate_size"]),
    ("journal", &["age", "keep_free", "segment", "size"]),
    (
        "limits",
        &["ack_timeout", "clients", "clients_per_address", "first_byte", "lines_per_second", "window"],
    ),
];

/// The faults found so far, and the text that gives them their lines.
pub(crate) struct Faults<'t> {
    text: &'t str,
    pub(crate) list: Vec<Fault>,
}

impl<'t> Faults<'t> {
    pub(crate) fn new(text: &'t str) -> Faults<'t> {
        Faults { text, list: Vec::new() }
    }

    /// Adds a fault of a key at a byte offset of the text.
    pub(crate) fn add(&mut self, offset: usize, key: impl Into<String>, wrong: Wrong) {
        self.push(offset, Some(key.into()), wrong);
    }

    /// Adds a fault that is not of a key.
    pub(crate) fn add_keyless(&mut self, offset: usize, wrong: Wrong) {
        self.push(offset, None, wrong);
    }

    fn push(&mut self, offset: usize, key: Option<String>, wrong: Wrong) {
        let line = Some(line_of(self.text.as_bytes(), offset));
        self.list.push(Fault { line, key, wrong: wrong.wrong, right: wrong.right });
    }
}

/// A value that was given, and where.
#[derive(Clone, Copy)]
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) offset: usize,
}

/// A table of the file.
pub(crate) struct Section<'t> {
    name: &'static str,
    table: DeTable<'t>,
    /// Where it begins.
    offset: usize,
}

impl<'t> Section<'t> {
    /// The table `name`; its unknown keys are faults.
    pub(crate) fn new(
        name: &'static str,
        table: DeTable<'t>,
        offset: usize,
        faults: &mut Faults<'_>,
    ) -> Section<'t> {
        let section = Section { name, table, offset };
        for key in section.table.keys().filter(|key| !known_in(name).contains(&key.get_ref().as_ref())) {
            let hint = nearest(name, key.get_ref());
            faults.add(key.span().start, section.full(key.get_ref()), Wrong::new("unknown", hint));
        }
        section
    }

    /// Whether a key is given, well or badly.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Takes out the table `[name]`, if it is there.
    pub(crate) fn section(&mut self, name: &'static str, faults: &mut Faults<'_>) -> Option<Section<'t>> {
        let right = format!("write a line [{name}], and its keys below");
        let table = self.take(name, faults, |value| value::table(value, &right))?;
        Some(Section::new(name, table.value, table.offset, faults))
    }

    /// The key with its table's name in front.
    pub(crate) fn full(&self, key: &str) -> String {
        let key = key.escape_debug();
        if self.name.is_empty() { key.to_string() } else { format!("{}.{key}", self.name) }
    }

    /// Takes a key's value out, as `read` reads it; a value that cannot be read is a fault.
    pub(crate) fn take<T>(
        &mut self,
        key: &str,
        faults: &mut Faults<'_>,
        read: impl FnOnce(DeValue<'t>) -> Result<T, Wrong>,
    ) -> Option<Given<T>> {
        let spanned = self.table.remove(key)?;
        let offset = spanned.span().start;
        match read(spanned.into_inner()) {
            Ok(value) => Some(Given { value, offset }),
            Err(wrong) => {
                faults.add(offset, self.full(key), wrong);
                None
            }
        }
    }

    /// As [`take`](Self::take), into the place where the default stands.
    pub(crate) fn set<T>(
        &mut self,
        key: &str,
        place: &mut T,
        faults: &mut Faults<'_>,
        read: impl FnOnce(DeValue<'t>) -> Result<T, Wrong>,
    ) {
        if let Some(given) = self.take(key, faults, read) {
            *place = given.value;
        }
    }

    /// As [`take`](Self::take), for a key that must be there.
    pub(crate) fn require<T>(
        &mut self,
        key: &str,
        example: &str,
        faults: &mut Faults<'_>,
        read: impl FnOnce(DeValue<'t>) -> Result<T, Wrong>,
    ) -> Option<Given<T>> {
        if !self.has(key) {
            let add = format!("add a line such as {key} = {example}");
            faults.add(self.offset, self.full(key), Wrong::new("missing", add));
        }
        self.take(key, faults, read)
    }
}

fn known_in(table: &str) -> &'static [&'static str] {
    TABLES.iter().find(|(name, _)| *name == table).map_or(&[], |(_, keys)| keys)
}

/// Where an unknown key may have been meant to stand, or which known one may have been meant.
fn nearest(table: &str, key: &str) -> String {
    if let Some((home, _)) = TABLES.iter().find(|(_, keys)| keys.contains(&key)) {
        return match *home {
            "" => "it belongs to the top of the file, above the first line in brackets".to_owned(),
            "host" => "it belongs under a [[host]]".to_owned(),
            home => format!("it belongs under [{home}]"),
        };
    }
    let known = known_in(table);
    let near = known.iter().map(|k| (strsim::damerau_levenshtein(k, key), *k)).min();
    match near {
        Some((distance, near)) if distance <= near.len().div_ceil(2) => format!("did you mean `{near}`?"),
        _ => format!("known here: {}", known.join(", ")),
    }
}
