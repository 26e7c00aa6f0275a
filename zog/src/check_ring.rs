//! `zog check --ring`: asks all hosts of ring.toml, and names those that do not agree with it or with the others.

mod keys;

use crate::ask::{Answer, Asker, Told, ask_all};
use crate::exit::{Exit, Failed};
use crate::status::print;
use crate::table::table;
use crate::tokens::Tokens;
use ringfile::{Host, RingFile};

/// A clock that is off by no more than this many seconds is right. Hosts tell whole seconds, and these are what
/// messages are stamped with.
const CLOCK_RIGHT_WITHIN: f64 = 2.0;

/// Asks, compares, and says what is wrong with whom.
pub(crate) fn run(file: &RingFile, asker: &Asker) -> Result<Exit, Failed> {
    let answers = ask_all(file, asker);
    let compared = Compared::of(file, &answers);
    let tokens = Tokens::load(&file.access).err();
    let note = tokens.as_ref().map(|why| format!("TOKENS, as this machine has them: {why}\n"));
    print(&(note.unwrap_or_default() + &compared.text))?;
    Ok(if compared.agree && tokens.is_none() { Exit::Success } else { Exit::Failure })
}

/// What is shown, and whether all answered and agree.
struct Compared {
    text: String,
    agree: bool,
}

impl Compared {
    fn of(file: &RingFile, answers: &[Answer]) -> Compared {
        let most = Most::of(answers);
        let heads = ["host", "version", "ring", "clock", "links", "certificate", ""];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        let mut agree = true;
        for (host, answer) in file.hosts.iter().zip(answers) {
            let (mut row, faults) = match answer {
                Ok(told) => (row(host, told), faults(file, host, told, &most)),
                Err(why) => (vec![host.name.clone()], vec![format!("TELLS NOTHING: {why}")]),
            };
            row.resize(heads.len() - 1, "-".to_owned());
            row.push(if faults.is_empty() { "agrees".to_owned() } else { faults.join("; ") });
            agree &= faults.is_empty();
            rows.push(row);
        }
        let verdict = if agree { "all hosts agree\n" } else { "NOT ALL HOSTS AGREE\n" };
        Compared { text: table(&rows) + verdict, agree }
    }
}

fn row(host: &Host, told: &Told) -> Vec<String> {
    let value = |key| told.node().and_then(|node| node.value(key)).unwrap_or("?").to_owned();
    let up = told.of_kind("peer").filter(|peer| peer.word(2) == "up").count();
    let links = format!("{up} of {}", told.of_kind("peer").count());
    vec![host.name.clone(), value("version"), value("ring"), clock_shown(told), links, keys::shown(told)]
}

fn faults(file: &RingFile, host: &Host, told: &Told, most: &Most) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(node) = told.node() else { return vec!["says nothing of itself".into()] };
    if node.word(1) != host.name {
        faults.push(format!("IS {}, as it says itself: its address in ring.toml is wrong", node.word(1)));
    }
    if node.value("version") != Some(&most.version) {
        faults.push(format!("ANOTHER VERSION than most, which have {}", most.version));
    }
    let digest = format!("{:016x}", file.ring().digest());
    if node.value("ring").is_some_and(|ring| ring != digest) {
        faults.push(ring_fault(file, told, &digest));
    }
    if let Some(seconds) = clock_off(told).filter(|off| off.abs() > CLOCK_RIGHT_WITHIN) {
        let way = if seconds > 0.0 { "FAST" } else { "SLOW" };
        faults.push(format!("ITS CLOCK IS {way} by {:.0} s or more, seen from here", seconds.abs()));
    }
    for peer in told.of_kind("peer").filter(|peer| peer.word(2) != "up") {
        faults.push(format!("NOT LINKED with {}", peer.word(1)));
    }
    faults.extend(keys::faults(file, told, most.ca.as_deref()));
    faults
}

/// In what its ring is another one than that of the file: the hosts, their order, or the scheme.
fn ring_fault(file: &RingFile, told: &Told, digest: &str) -> String {
    let scheme = told.node().and_then(|node| node.value("scheme")).unwrap_or("?");
    if scheme != file.scheme.word() {
        return format!("ANOTHER SCHEME: {scheme}, in this ring.toml {}", file.scheme.word());
    }
    let others: Vec<&str> = told.of_kind("peer").map(|peer| peer.word(1)).collect();
    format!("ANOTHER RING: beside itself, in order, {} (here {digest})", others.join(", "))
}

/// How far its clock is off ours, in seconds, as far as its whole seconds and the way to it allow to say: the least
/// that is true, 0 where it may be right.
fn clock_off(told: &Told) -> Option<f64> {
    let second = told.node()?.value("utc_s")?.parse::<f64>().ok()?;
    let (least, most) = (second - told.heard, second + 1.0 - told.asked);
    Some(if least > 0.0 { least } else { most.min(0.0) })
}

fn clock_shown(told: &Told) -> String {
    match clock_off(told) {
        Some(off) if off.abs() < 0.5 => "right".into(),
        Some(off) => format!("{off:+.0} s"),
        None => "?".into(),
    }
}

/// What most hosts have.
struct Most {
    version: String,
    ca: Option<String>,
}

impl Most {
    fn of(answers: &[Answer]) -> Most {
        let version = |answer: &Answer| Some(answer.as_ref().ok()?.node()?.value("version")?.to_owned());
        let version = most_common(answers.iter().filter_map(version)).unwrap_or_default();
        Most { version, ca: keys::ca_of_most(answers) }
    }
}

/// What is there most often; of several, the last in order.
fn most_common(all: impl Iterator<Item = String>) -> Option<String> {
    let all: Vec<String> = all.collect();
    let count = |one: &&String| (all.iter().filter(|other| other == one).count(), (*one).clone());
    all.iter().max_by_key(count).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn file() -> RingFile {
        let host = |name: &str| format!("[[host]]\nname = \"{name}\"\naddress = \"host-{name}\"\n");
        RingFile::parse(&["A", "B", "C"].map(host).concat(), Path::new("ring.toml")).unwrap()
    }

    fn told(name: &str, changed: &[(&str, &str)]) -> Told {
        let mut node = format!(
            "node {name} version=0.1.0 ring={:016x} scheme=receiver utc_s=100",
            file().ring().digest()
        );
        for (from, to) in changed {
            node = node.replace(from, to);
        }
        Told { asked: 100.2, heard: 100.3, ..Told::of(&[&node, "peer X up for_s=1", "peer Y up for_s=1"]) }
    }

    #[test]
    fn hosts_that_agree_are_said_to() {
        let answers = ["A", "B", "C"].map(|name| Ok(told(name, &[])));
        let Compared { text, agree } = Compared::of(&file(), &answers);
        assert!(agree && text.ends_with("all hosts agree\n"), "{text}");
        assert!(text.contains("right  2 of 2  -            agrees"), "{text}");
    }

    #[test]
    fn the_host_that_does_not_agree_is_named_with_the_reason() {
        let digest = format!("{:016x}", file().ring().digest());
        for (changed, fault) in [
            (&[("0.1.0", "0.2.0")][..], "ANOTHER VERSION than most, which have 0.1.0"),
            (&[(digest.as_str(), "0123456789abcdef")], "ANOTHER RING: beside itself, in order, X, Y"),
            (&[(digest.as_str(), "0123456789abcdef"), ("receiver", "origin")], "ANOTHER SCHEME: origin"),
            (&[("utc_s=100", "utc_s=110")], "ITS CLOCK IS FAST by 10 s"),
            (&[("utc_s=100", "utc_s=90")], "ITS CLOCK IS SLOW by 9 s"),
            (&[("node B", "node C")], "IS C, as it says itself"),
        ] {
            let answers = [Ok(told("A", &[])), Ok(told("B", changed)), Ok(told("C", &[]))];
            let Compared { text, agree } = Compared::of(&file(), &answers);
            let line = text.lines().find(|line| line.starts_with("B ")).unwrap();
            assert!(!agree && line.contains(fault), "{fault}: {text}");
            assert_eq!(text.matches("agrees").count(), 2, "{text}");
        }
        let answers = [Ok(told("A", &[])), Err("connection refused".to_owned()), Ok(told("C", &[]))];
        let Compared { text, agree } = Compared::of(&file(), &answers);
        assert!(!agree && text.contains("TELLS NOTHING: connection refused"), "{text}");
    }

    #[test]
    fn who_cannot_prove_its_name_for_long_or_as_the_others_do_is_named() {
        let protected = "tls = \"required\"\n[[host]]\nname = \"A\"\naddress = \"a\"\n";
        let file = RingFile::parse(protected, Path::new("ring.toml")).unwrap();
        let good = "certificate left_s=31535999 ca=01 ca_left_s=315359999";
        let faults = |lines: &[&str]| keys::faults(&file, &Told::of(lines), Some("01")).join("; ");
        assert_eq!(faults(&[good, "peer B up tls=1.3", "peer C down"]), "");
        let day = good.replace("31535999 ", "90000 ");
        assert_eq!(faults(&[&day]), "ITS CERTIFICATE EXPIRES in 1 day");
        assert_eq!(faults(&[&good.replace("315359999", "0")]), "THE CA OF ITS CERTIFICATE HAS EXPIRED");
        assert!(faults(&[&good.replace("ca=01", "ca=02")]).contains("ANOTHER CA"));
        assert_eq!(faults(&[good, "peer B up tls=off"]), "ITS LINK WITH B IS NOT PROTECTED");
        assert_eq!(faults(&["node A"]), "HAS NO CERTIFICATE");
        assert_eq!(keys::shown(&Told::of(&[&day])), "1 day");
    }

    #[test]
    fn a_clock_is_off_by_what_is_certain() {
        let at = |utc: &str, asked, heard| {
            clock_off(&Told { asked, heard, ..Told::of(&[&format!("node A utc_s={utc}")]) })
        };
        assert_eq!(at("100", 100.0, 100.5), Some(0.0));
        assert_eq!(at("100", 100.9, 101.5), Some(0.0));
        assert_eq!(at("103", 100.0, 101.0), Some(2.0));
        assert_eq!(at("95", 100.0, 101.0), Some(-4.0));
        assert_eq!(at("", 100.0, 101.0), None);
    }
}
