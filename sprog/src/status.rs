//! `sprog status`: what hosts know of themselves and of the others.

use crate::ask::{Asked, NoAnswer, nobody, seconds, warn};
use crate::cli::{AskArgs, write_out};
use crate::exit::{Exit, Failure};
use crate::rt;
use crate::table::table;
use crate::target::{Target, targets};
use indicatif::HumanBytes;
use serde_json::{Map, Value};
use std::time::Duration;

/// What the words behind the first one of a line are. Lines of other kinds are for a later sprog.
const KINDS: [(&str, &[&str]); 4] = [
    ("node", &["host"]),
    ("peer", &["peer", "state"]),
    ("stream", &["stream"]),
    ("mark", &["peer", "stream"]),
];

/// A line of an answer: `type` is its kind, the other keys are those of the line.
type Fact = Map<String, Value>;

/// What one host says.
struct View<'t> {
    asked: &'t Target,
    facts: Vec<Fact>,
}

/// Asks, and shows what was answered.
pub(crate) fn run(args: &AskArgs) -> Result<Exit, Failure> {
    let (targets, _) = targets(&args.hosts)?;
    let views = rt::block_on(ask(&targets, args))?;
    write_out(&if args.json { json(&views) } else { text(&views, args.all).into_bytes() })?;
    Ok(if args.all && views.len() < targets.len() { Exit::Unanswered } else { Exit::Answered })
}

async fn ask<'t>(targets: &'t [Target], args: &AskArgs) -> Result<Vec<View<'t>>, Failure> {
    let mut views = Vec::new();
    for asked in targets {
        match ask_one(asked, args.hosts.timeout).await {
            Ok(facts) => views.push(View { asked, facts }),
            Err(why) => warn(asked, &why)?,
        }
        if !views.is_empty() && !args.all {
            break;
        }
    }
    if views.is_empty() { Err(nobody()) } else { Ok(views) }
}

async fn ask_one(target: &Target, patience: Duration) -> Result<Vec<Fact>, NoAnswer> {
    let lines = Asked::dial(target, patience).await?.ask("STATUS").await?;
    Ok(lines.iter().filter_map(|line| fact(line)).collect())
}

/// Reads `mark PA MV/0123 journaled=3 …`; `None` where it is of no known kind.
fn fact(line: &str) -> Option<Fact> {
    let mut words = line.split(' ');
    let kind = words.next()?;
    let names = KINDS.iter().find_map(|(known, names)| (*known == kind).then_some(*names))?;
    let mut fact = Fact::from_iter([("type".to_owned(), kind.into())]);
    for name in names {
        fact.insert((*name).to_owned(), words.next()?.into());
    }
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        // These are hexadecimal, also where they have no letter.
        let number = value.parse::<u64>().ok().filter(|_| !matches!(key, "incarnation" | "ring"));
        fact.insert(key.to_owned(), number.map_or_else(|| value.into(), Value::from));
    }
    Some(fact)
}

fn json(views: &[View<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for view in views {
        for fact in &view.facts {
            let mut fact = fact.clone();
            fact.insert("asked".to_owned(), view.asked.name.as_str().into());
            serde_json::to_writer(&mut out, &fact).expect("plain data, written to memory");
            out.push(b'\n');
        }
    }
    out
}

/// What each host says; with `all`, before that what each thinks of each.
fn text(views: &[View<'_>], all: bool) -> String {
    let mut parts: Vec<String> = views.iter().map(of_one).collect();
    if all {
        parts.insert(0, of_each_other(views));
    }
    parts.join("\n")
}

fn of_one(view: &View<'_>) -> String {
    let mut text = of_the_host(view);
    let tables: [(&str, &[&str]); 3] = [
        ("peer", &["peer", "state", "for_s"]),
        ("stream", &["stream", "told", "logged", "repeats", "given_up", "missing"]),
        ("mark", &["peer", "stream", "journaled", "synced", "missing", "for_s"]),
    ];
    for (kind, keys) in tables {
        let mut rows = vec![keys.iter().map(|key| (*key).trim_end_matches("_s").to_owned()).collect()];
        rows.extend(
            view.of_kind(kind).map(|fact| keys.iter().map(|key| shown(fact, key)).collect::<Vec<_>>()),
        );
        if rows.len() > 1 {
            text += &format!("\n{}", table(&rows));
        }
    }
    text
}

fn of_the_host(view: &View<'_>) -> String {
    let Some(node) = view.of_kind("node").next() else { return format!("{}\n", view.asked.name) };
    let of = |key| shown(node, key);
    let bytes = HumanBytes(number(node, "bytes"));
    let (host, incarnation, journal, segments) =
        (of("host"), of("incarnation"), of("journal"), of("segments"));
    format!("{host}: incarnation {incarnation}, journal {journal}, {bytes} in {segments} segments\n")
}

/// A row for each host that answered, a column for each host that it was asked about.
fn of_each_other(views: &[View<'_>]) -> String {
    let mut names: Vec<&str> = views.iter().map(View::name).collect();
    for name in views.iter().flat_map(|view| view.of_kind("peer")).filter_map(|peer| peer["peer"].as_str()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut rows = vec![["asked"].iter().chain(&names).map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    for view in views {
        let cells = names.iter().map(|name| view.opinion(name));
        rows.push(std::iter::once(view.name().to_owned()).chain(cells).collect());
    }
    table(&rows)
}

impl View<'_> {
    /// The host's name as it says itself; in ring.toml a daemon on this machine may have none.
    fn name(&self) -> &str {
        let named = self.of_kind("node").next().and_then(|node| node["host"].as_str());
        named.unwrap_or(&self.asked.name)
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Fact> {
        self.facts.iter().filter(move |fact| fact["type"] == kind)
    }

    /// What it thinks of another host: the link, and how much the other one lacks.
    fn opinion(&self, of: &str) -> String {
        let Some(peer) = self.of_kind("peer").find(|peer| peer["peer"] == of) else { return "-".to_owned() };
        let mut opinion = shown(peer, "state");
        if opinion != "up" {
            opinion += &format!(" {}", shown(peer, "for_s"));
        }
        let marks = self.of_kind("mark").filter(|mark| mark["peer"] == of);
        let missing: u64 = marks.map(|mark| number(mark, "missing")).sum();
        if missing > 0 {
            opinion += &format!(", {missing} missing");
        }
        opinion
    }
}

fn number(fact: &Fact, key: &str) -> u64 {
    fact.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// A value as people read it. Nothing is missing for no time.
fn shown(fact: &Fact, key: &str) -> String {
    match fact.get(key) {
        Some(Value::Number(_)) if key == "for_s" && fact.get("missing") == Some(&Value::from(0)) => {
            String::new()
        }
        Some(Value::Number(count)) if key == "for_s" => seconds(count.as_u64().unwrap_or_default()),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 6] = [
        "node A incarnation=0000000000000010 journal=ok bytes=2048 segments=2",
        "peer B up for_s=10",
        "peer C down for_s=182",
        "stream A/0000000000000010 told=9 logged=7 repeats=1 given_up=0 missing=1",
        "mark B A/0000000000000010 journaled=9 synced=9 missing=0 for_s=0",
        "mark C A/0000000000000010 journaled=5 synced=4 missing=4 for_s=180",
    ];

    fn target(name: &str) -> Target {
        Target { name: name.into(), address: "127.0.0.1".into(), port: 1, auth: None, proof: None }
    }

    fn view<'t>(asked: &'t Target, lines: &[&str]) -> View<'t> {
        View { asked, facts: lines.iter().filter_map(|line| fact(line)).collect() }
    }

    #[test]
    fn every_value_has_its_place_in_the_tables() {
        let a = target("A");
        let expected = "\
A: incarnation 0000000000000010, journal ok, 2.00 KiB in 2 segments

peer  state  for
B     up     10s
C     down   3m 2s

stream              told  logged  repeats  given_up  missing
A/0000000000000010     9       7        1         0        1

peer  stream              journaled  synced  missing  for
B     A/0000000000000010          9       9        0
C     A/0000000000000010          5       4        4  3m
";
        assert_eq!(text(&[view(&a, &LINES)], false), expected);
    }

    #[test]
    fn what_each_thinks_of_each_is_a_square() {
        let (a, b) = (target("A"), target("B"));
        let views =
            [view(&a, &LINES), view(&b, &["node B", "peer A version-1 for_s=1", "peer C up for_s=5"])];
        let expected = "\
asked  A             B   C
A      -             up  down 3m 2s, 4 missing
B      version-1 1s  -   up
";
        assert_eq!(of_each_other(&views), expected);
    }

    #[test]
    fn the_json_has_an_object_for_each_line() {
        let a = target("A");
        let json = String::from_utf8(json(&[view(&a, &LINES)])).unwrap();
        let facts: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(facts.len(), LINES.len());
        assert_eq!(facts[0]["incarnation"], "0000000000000010");
        let expected = serde_json::json!({"asked": "A", "type": "mark", "peer": "C",
            "stream": "A/0000000000000010", "journaled": 5, "synced": 4, "missing": 4, "for_s": 180});
        assert_eq!(facts[5], expected);
    }

    #[test]
    fn lines_of_unknown_kinds_and_torn_ones_are_passed_over() {
        for line in ["", "weather A fine", "peer B", "mark B"] {
            assert_eq!(fact(line), None, "{line}");
        }
    }
}
