//! `zog status`: this host, and each other one as this host sees it and as it sees this one. Where the two do not agree,
//! that is said: a link that one side holds to be up is none.

use crate::ask::{Answer, Asker, Fact, Told, ask_all};
use crate::check;
use crate::cli::AskArgs;
use crate::exit::{Exit, Failed};
use crate::table::{days, seconds, table};
use ringfile::Host;
use std::io::{self, Write};

/// Asks all, and shows what they said.
pub(crate) fn run(args: &AskArgs) -> Result<Exit, Failed> {
    let (origin, file) = check::load(&args.ring)?;
    let me = check::who(&args.ring, &origin, &file)?;
    let answers = ask_all(&file, &Asker::new(&args.ring, &origin, &file, args.timeout)?);
    let here = answers[me].as_ref().map_err(|why| {
        let Host { name, client_address, client_port, .. } = &file.hosts[me];
        let text = format!(
            "{name} ({client_address}, port {client_port}) tells nothing: {why}; is its daemon running?"
        );
        Failed::new(Exit::Unavailable, text)
    })?;
    let shown = Shown::of(&file.hosts, me, here, &answers);
    print(&shown.text)?;
    Ok(if shown.is_well { Exit::Success } else { Exit::Failure })
}

/// Writes to standard output; who reads no more of it has seen enough.
pub(crate) fn print(text: &str) -> Result<(), Failed> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failed::new(Exit::Io, format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// What is shown, and whether all is well.
struct Shown {
    text: String,
    is_well: bool,
}

impl Shown {
    fn of(hosts: &[Host], me: usize, here: &Told, answers: &[Answer]) -> Shown {
        let my_name = &hosts[me].name;
        let mut is_well = trouble(here).is_none();
        let heads = ["host", "this host says", "it says", "lacks, so it is said here", "and there", ""];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for (host, answer) in hosts.iter().zip(answers).filter(|(host, _)| host.name != *my_name) {
            let row = Row::of(&host.name, my_name, here, answer);
            is_well &= row.is_well;
            rows.push(row.cells);
        }
        let others = disagreements(hosts, me, answers);
        is_well &= others.is_empty();
        let text = format!("{}\n\n{}{others}", of_the_host(my_name, here), table(&rows));
        Shown { text, is_well }
    }
}

/// A host, as two see it.
struct Row {
    cells: Vec<String>,
    is_well: bool,
}

impl Row {
    fn of(name: &str, my_name: &str, here: &Told, answer: &Answer) -> Row {
        let (ours, lacks) = (here.peer(name), here.says_lacking(name).to_string());
        let (theirs, lacks_there, verdict) = match answer {
            Ok(there) => {
                let theirs = there.peer(my_name);
                let verdict = verdict(ours, theirs, trouble(there));
                (link(theirs), there.lacks().to_string(), verdict)
            }
            Err(why) => ("-".to_owned(), "-".to_owned(), format!("TELLS NOTHING: {why}")),
        };
        let is_well = verdict.is_empty();
        Row { cells: vec![name.to_owned(), link(ours), theirs, lacks, lacks_there, verdict], is_well }
    }
}

fn verdict(ours: Option<&Fact>, theirs: Option<&Fact>, trouble: Option<&str>) -> String {
    let state = |fact: Option<&Fact>| fact.map_or("", |fact| fact.word(2)).to_owned();
    let (ours_is, theirs_is) = (state(ours), state(theirs));
    let differs = [ours, theirs].into_iter().flatten().any(|fact| fact.value("agrees") == Some("no"));
    match () {
        () if theirs.is_none() => "DISAGREE: this host is not in its ring".into(),
        () if ours_is != theirs_is => "DISAGREE: is it linked?".into(),
        () if differs => "DISAGREE: another ring or scheme".into(),
        () if ours_is != "up" => "NOT LINKED".into(),
        () => trouble.unwrap_or_default().into(),
    }
}

fn link(fact: Option<&Fact>) -> String {
    let Some(fact) = fact else { return "-".into() };
    let tls = fact.value("tls").filter(|tls| *tls != "off").map(|tls| format!(", TLS {tls}"));
    format!("{} {}{}", fact.word(2), seconds(fact.number("for_s")), tls.unwrap_or_default())
}

/// Why a host takes no messages, if it does not.
fn trouble(told: &Told) -> Option<&'static str> {
    let is = |key, value| told.node().is_some_and(|node| node.value(key) == Some(value));
    match () {
        () if !is("journal", "ok") => Some("ITS JOURNAL IS FULL"),
        () if is("access_log", "halted") => Some("ITS ACCESS.LOG IS HALTED"),
        () => None,
    }
}

fn of_the_host(name: &str, told: &Told) -> String {
    let Some(node) = told.node() else { return name.to_owned() };
    let count = told.of_kind("count").next();
    let counted = |key| count.map_or(0, |count| count.number(key));
    let certificate = told.certificate_left().map(|left| format!("; certificate valid for {}", days(left)));
    format!(
        "{name}: version {}, up {}, access.log {}, journal {}, {} MiB in {} segments, {} clients\n\
         taken {}, logged {}, refused {}, given up {}; {} missing here{}",
        node.value("version").unwrap_or("?"),
        seconds(node.number("for_s")),
        node.value("access_log").unwrap_or("?"),
        node.value("journal").unwrap_or("?"),
        node.number("bytes") >> 20,
        node.number("segments"),
        counted("clients"),
        counted("taken"),
        counted("logged"),
        counted("refused"),
        counted("given_up"),
        told.lacks(),
        certificate.unwrap_or_default(),
    )
}

/// Pairs of other hosts that do not say the same of their link.
fn disagreements(hosts: &[Host], me: usize, answers: &[Answer]) -> String {
    let told = |i: usize| (i != me).then(|| Some((&hosts[i].name, answers[i].as_ref().ok()?))).flatten();
    let mut text = String::new();
    for (i, j) in (0..hosts.len()).flat_map(|i| (i + 1..hosts.len()).map(move |j| (i, j))) {
        let (Some((a, of_a)), Some((b, of_b))) = (told(i), told(j)) else { continue };
        let (says_a, says_b) = (of_a.peer(b), of_b.peer(a));
        if says_a.map(|fact| fact.word(2)) != says_b.map(|fact| fact.word(2)) {
            text += &format!("{a} and {b} DISAGREE: {a} says {}, {b} says {}\n", link(says_a), link(says_b));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Vec<Host> {
        ["A", "B", "C", "D"]
            .map(|name| Host {
                name: name.into(),
                address: "127.0.0.1".into(),
                client_address: "127.0.0.1".into(),
                ring_port: 1,
                client_port: 2,
                http_port: None,
                is_retired: false,
            })
            .into()
    }

    #[test]
    fn what_two_say_of_one_link_stands_side_by_side() {
        let a = Told::of(&[
            "node A version=0.1.0 journal=ok access_log=ok bytes=2097152 segments=2 for_s=61",
            "count taken=5 logged=9 refused=1 given_up=0 clients=3",
            "peer B up for_s=10",
            "peer C up for_s=20",
            "peer D down for_s=30",
            "mark D A/1 missing=4",
        ]);
        let b = Told::of(&["node B journal=ok", "peer A up for_s=11", "peer C up for_s=1"]);
        let c = Told::of(&["node C journal=ok", "peer A down for_s=2", "peer B down for_s=3"]);
        let answers = [Ok(a.clone()), Ok(b), Ok(c), Err("connection refused".to_owned())];
        let shown = Shown::of(&hosts(), 0, &a, &answers);
        assert!(!shown.is_well);
        assert_eq!(
            shown.text,
            "\
A: version 0.1.0, up 1m 1s, access.log ok, journal ok, 2 MiB in 2 segments, 3 clients
taken 5, logged 9, refused 1, given up 0; 0 missing here

host  this host says  it says  lacks, so it is said here  and there
B     up 10s          up 11s   0                          0
C     up 20s          down 2s  0                          0          DISAGREE: is it linked?
D     down 30s        -        4                          -          TELLS NOTHING: connection refused
B and C DISAGREE: B says up 1s, C says down 3s
"
        );
    }

    #[test]
    fn all_is_well_where_all_agree() {
        let a = Told::of(&["node A journal=ok", "peer B up for_s=1"]);
        let b = Told::of(&["node B journal=ok", "peer A up for_s=1"]);
        assert!(Shown::of(&hosts()[..2], 0, &a, &[Ok(a.clone()), Ok(b)]).is_well);
        for b in [
            &["node B journal=full", "peer A up"][..],
            &["node B journal=ok access_log=halted", "peer A up"],
            &["node B journal=ok", "peer A up agrees=no"],
        ] {
            assert!(!Shown::of(&hosts()[..2], 0, &a, &[Ok(a.clone()), Ok(Told::of(b))]).is_well, "{b:?}");
        }
    }
}
