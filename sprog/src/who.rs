//! `sprog who`: which hosts have a message, and why the others have not.

use crate::ask::{Asked, NoAnswer, nobody, seconds, warn};
use crate::cli::{AskArgs, write_out};
use crate::exit::{Exit, Failure};
use crate::rt;
use crate::table::table;
use crate::target::{Target, targets};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What one host says of one message.
#[derive(Serialize, Debug, PartialEq, Eq)]
struct View {
    asked: String,
    message: String,
    /// `<time> <text>`, where the message was found by its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    hosts: Vec<Has>,
}

/// How far a message has come on a host.
#[derive(Serialize, Debug, PartialEq, Eq)]
struct Has {
    host: String,
    /// `synced`, `journaled`, `missing`.
    state: String,
    /// For how long it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    for_s: Option<u64>,
    /// Why it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Asks, and shows what was answered.
pub(crate) fn run(message: &str, args: &AskArgs) -> Result<Exit, Failure> {
    let (targets, _) = targets(&args.hosts)?;
    let views = rt::block_on(ask(&targets, message, args))?;
    if views.is_empty() {
        return Err(Failure::new(
            Exit::Unknown,
            "no host that answered knows the message; one that every host has is forgotten after a while: look \
             for it in access.log",
        ));
    }
    write_out(&if args.json { json(&views) } else { text(&views, args.all).into_bytes() })?;
    Ok(if is_everywhere(&views) { Exit::Answered } else { Exit::Unanswered })
}

/// Asks one host after the other, until one knows the message; or all of them.
async fn ask(targets: &[Target], message: &str, args: &AskArgs) -> Result<Vec<View>, Failure> {
    let mut views = Vec::new();
    let mut answered = false;
    for target in targets {
        match ask_one(target, message, args.hosts.timeout).await {
            Ok(more) => {
                answered = true;
                views.extend(more);
                if !views.is_empty() && !args.all {
                    break;
                }
            }
            Err(why) => warn(target, &why)?,
        }
    }
    if answered { Ok(views) } else { Err(nobody()) }
}

async fn ask_one(target: &Target, message: &str, patience: Duration) -> Result<Vec<View>, NoAnswer> {
    let mut host = Asked::dial(target, patience).await?;
    let mut views = Vec::new();
    for (id, entry) in resolve(&mut host, message).await? {
        let lines = match host.ask(&format!("WHO {id}")).await {
            Ok(lines) => lines,
            Err(NoAnswer::Unknown) => continue,
            Err(failed) => return Err(failed),
        };
        let hosts = lines.iter().map(|line| Has::parse(line)).collect::<Result<_, _>>()?;
        views.push(View { asked: target.name.clone(), message: id, entry, hosts });
    }
    Ok(views)
}

/// The ids of the messages that are meant, with time and text where they are known.
async fn resolve(host: &mut Asked, message: &str) -> Result<Vec<(String, Option<String>)>, NoAnswer> {
    if is_id(message) {
        return Ok(vec![(message.to_owned(), None)]);
    }
    let found = match host.ask(&format!("FIND {message}")).await {
        Err(NoAnswer::Unknown) => Vec::new(),
        other => other?,
    };
    let split = |line: &String| {
        let (id, entry) = line.split_once(' ').filter(|(id, _)| is_id(id)).ok_or_else(|| odd(line))?;
        Ok((id.to_owned(), Some(entry.to_owned())))
    };
    found.iter().map(split).collect()
}

/// Whether it is `<host>/<incarnation>.<number>` or `<host>><addressee>/…`.
fn is_id(message: &str) -> bool {
    let parts = || {
        let (hosts, rest) = message.split_once('/')?;
        let (incarnation, number) = rest.split_once('.')?;
        Some((hosts, incarnation, number))
    };
    parts().is_some_and(|(hosts, incarnation, number)| {
        !hosts.is_empty()
            && !hosts.contains(char::is_whitespace)
            && incarnation.len() == 16
            && incarnation.bytes().all(|b| b.is_ascii_hexdigit())
            && number.parse::<u64>().is_ok()
    })
}

fn odd(line: &str) -> NoAnswer {
    NoAnswer::Failed(format!("its answer {line:?} is not understood; is this sprog older than the daemon?"))
}

impl Has {
    /// Reads `PA synced` or `PA missing for_s=3 down`.
    fn parse(line: &str) -> Result<Has, NoAnswer> {
        let mut words = line.split(' ').map(str::to_owned);
        let (Some(host), Some(state)) = (words.next(), words.next()) else { return Err(odd(line)) };
        let (mut for_s, mut why) = (None, None);
        for word in words {
            match word.strip_prefix("for_s=") {
                Some(count) => for_s = Some(count.parse().map_err(|_| odd(line))?),
                None => why = Some(word),
            }
        }
        Ok(Has { host, state, for_s, why })
    }
}

/// Whether every host has every message on its disk, as far as any of the hosts that were asked knows.
fn is_everywhere(views: &[View]) -> bool {
    let mut synced: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    for view in views {
        for has in &view.hosts {
            *synced.entry((&view.message, &has.host)).or_default() |= has.state == "synced";
        }
    }
    synced.values().all(|synced| *synced)
}

fn json(views: &[View]) -> Vec<u8> {
    let mut out = Vec::new();
    for view in views {
        serde_json::to_writer(&mut out, view).expect("plain data, written to memory");
        out.push(b'\n');
    }
    out
}

/// A table for each message, in the order in which they were told; with `all`, its first column tells who says so.
fn text(views: &[View], all: bool) -> String {
    let mut messages: Vec<&str> = Vec::new();
    for view in views {
        if !messages.contains(&view.message.as_str()) {
            messages.push(&view.message);
        }
    }
    let part = |message: &&str| part(message, views.iter().filter(|view| view.message == *message), all);
    messages.iter().map(part).collect::<Vec<_>>().join("\n")
}

fn part<'v>(message: &str, views: impl Iterator<Item = &'v View>, all: bool) -> String {
    let skipped = usize::from(!all);
    let mut entry = "";
    let mut rows = vec![row(["asked", "host", "state", "for", "why"], skipped)];
    for view in views {
        entry = view.entry.as_deref().unwrap_or(entry);
        rows.extend(view.hosts.iter().map(|has| {
            let time = has.for_s.map(seconds).unwrap_or_default();
            let why = has.why.as_deref().unwrap_or_default();
            row([&view.asked, &has.host, &has.state, &time, why], skipped)
        }));
    }
    format!("{}\n{}", format!("{message} {entry}").trim_end(), table(&rows))
}

fn row(cells: [&str; 5], skipped: usize) -> Vec<String> {
    cells[skipped..].iter().map(|cell| (*cell).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "MV/00000000000000a1.17";

    fn view(asked: &str, lines: &[&str]) -> View {
        let hosts = lines.iter().map(|line| Has::parse(line).unwrap()).collect();
        View { asked: asked.into(), message: ID.into(), entry: None, hosts }
    }

    #[test]
    fn ids_are_told_from_texts() {
        for id in [ID, "MV>PA/00000000000000a1.1", "a-b.c/0123456789abcdef.18446744073709551615"] {
            assert!(is_id(id), "{id}");
        }
        for text in
            ["hello", "/00000000000000a1.1", "MV/a1.1", "MV/00000000000000a1.", "a b/00000000000000a1.1"]
        {
            assert!(!is_id(text), "{text}");
        }
    }

    #[test]
    fn a_host_has_it_where_any_host_knows_so() {
        let a = || view("A", &["A synced", "B missing for_s=3 down"]);
        assert!(!is_everywhere(&[a()]));
        assert!(!is_everywhere(&[a(), view("B", &["A journaled", "B journaled"])]));
        assert!(is_everywhere(&[a(), view("B", &["A journaled", "B synced"])]));
    }

    #[test]
    fn other_messages_do_not_count_for_this_one() {
        let other = View { message: "MV/00000000000000a1.18".into(), ..view("A", &["A synced", "B synced"]) };
        assert!(!is_everywhere(&[view("A", &["A synced", "B journaled"]), other]));
    }

    #[test]
    fn what_is_missing_is_shown_with_time_and_reason() {
        let views = [view("A", &["A synced", "B missing for_s=182 down"])];
        let shown = "host  state    for    why\nA     synced\nB     missing  3m 2s  down\n";
        assert_eq!(text(&views, false), format!("{ID}\n{shown}"));
        assert!(text(&views, true).contains("asked  host  state"));
        let json: serde_json::Value = serde_json::from_slice(&json(&views)).unwrap();
        assert_eq!(
            json["hosts"][1],
            serde_json::json!({"host": "B", "state": "missing", "for_s": 182, "why": "down"})
        );
    }

    #[test]
    fn who_gave_a_message_up_has_it_not() {
        let views = [view("A", &["A synced", "B given-up among-5-to-17"])];
        assert!(!is_everywhere(&views));
        assert!(text(&views, false).contains("B     given-up       among-5-to-17"));
    }

    #[test]
    fn an_answer_that_is_not_understood_is_an_error() {
        for line in ["", "A", "A missing for_s=soon down"] {
            assert!(Has::parse(line).is_err(), "{line}");
        }
    }
}
