//! Logs with known faults, and what is found in them.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;

const TIME: &str = "20261121T025142Z";

/// A folder with a log for each host, and sprog's log where there is one.
struct Case {
    dir: tempfile::TempDir,
    hosts: usize,
    sent: bool,
    others: bool,
    memory_bytes: usize,
}

impl Case {
    /// Hosts 0, 1, … with these lines.
    fn new(hosts: &[&[&str]]) -> Case {
        let texts: Vec<String> = hosts.iter().map(|lines| log_of(lines)).collect();
        Case::of_texts(&texts)
    }

    fn of_texts(hosts: &[String]) -> Case {
        let dir = tempfile::tempdir().unwrap();
        for (i, text) in hosts.iter().enumerate() {
            fs::create_dir(dir.path().join(i.to_string())).unwrap();
            fs::write(dir.path().join(i.to_string()).join("access.log"), text).unwrap();
        }
        Case { dir, hosts: hosts.len(), sent: false, others: false, memory_bytes: 1 << 20 }
    }

    fn sent(mut self, lines: &[&str]) -> Case {
        let text: String = lines.iter().map(|line| line.replace("TIME", TIME) + "\n").collect();
        fs::write(self.dir.path().join("sprog.log"), text).unwrap();
        self.sent = true;
        self
    }

    fn findings(&self) -> Findings {
        let folders: Vec<PathBuf> = (0..self.hosts).map(|i| self.dir.path().join(i.to_string())).collect();
        let mut logs = pieces::logs(&folders).unwrap();
        let mut sent: Vec<Log> =
            self.sent.then(|| Log::file(&self.dir.path().join("sprog.log"))).into_iter().collect();
        let limits = Limits { memory_bytes: self.memory_bytes, temp_dir: self.dir.path().to_owned() };
        let findings = examine(&mut logs, &mut sent, self.others, 3, &limits).unwrap();
        // Naming the faults must work for whatever was found.
        let report = Report::new(&findings, &logs, &sent, self.sent).unwrap();
        report.print(&mut io::sink()).unwrap();
        findings
    }

    /// `kind host count` for all that was found.
    fn found(&self) -> Vec<String> {
        let findings = self.findings();
        let of_kind = |kind: Kind| {
            let hosts = findings.hosts.iter().enumerate().map(move |(i, host)| (i, host.count(kind)));
            hosts
                .filter(|(_, n)| *n > 0)
                .map(move |(i, n)| format!("{} {i} {n}", kind.word()))
                .collect::<Vec<_>>()
        };
        Kind::ALL.into_iter().flat_map(of_kind).collect()
    }
}

/// A log with these lines; what has no time gets one.
fn log_of(lines: &[&str]) -> String {
    let line = |line: &&str| match line.strip_prefix('!') {
        Some(raw) => format!("{raw}\n"),
        None => format!("{TIME} {line}\n"),
    };
    lines.iter().map(line).collect()
}

#[test]
fn equal_logs_are_proved_in_whatever_order() {
    assert!(Case::new(&[&["a", "b", "c"], &["c", "a", "b"], &["a", "b", "c"]]).found().is_empty());
    assert!(Case::new(&[&[], &[]]).found().is_empty());
}

#[test]
fn two_messages_that_look_the_same_are_two() {
    assert!(Case::new(&[&["a", "a"], &["a", "a"]]).found().is_empty());
    assert_eq!(Case::new(&[&["a", "a"], &["a"], &["a", "a"]]).found(), ["missing 1 1"]);
}

#[test]
fn what_one_host_lacks_is_missing_there() {
    assert_eq!(Case::new(&[&["a", "b"], &["a"], &["a", "b"]]).found(), ["missing 1 1"]);
}

#[test]
fn what_one_host_alone_has_is_missing_on_the_others() {
    assert_eq!(Case::new(&[&["a"], &["a", "b"], &["a"]]).found(), ["missing 0 1", "missing 2 1"]);
    assert_eq!(Case::new(&[&["a"], &["b"]]).found(), ["missing 0 1", "missing 1 1"]);
}

#[test]
fn what_one_host_has_more_often_is_doubled_there() {
    assert_eq!(Case::new(&[&["a"], &["a", "a", "a"], &["a"]]).found(), ["doubled 1 2"]);
    assert_eq!(Case::new(&[&["a"], &["a", "a"]]).found(), ["doubled 1 1"]);
}

#[test]
fn another_time_is_an_altered_line() {
    let other = "!20261121T025143Z a";
    assert_eq!(Case::new(&[&["a"], &["a"], &[other]]).found(), ["altered 2 1"]);
    assert_eq!(Case::new(&[&["a"], &[other]]).found(), ["altered 1 1"]);
    // The same text at two times, on all hosts: two messages.
    assert!(Case::new(&[&["a", other], &[other, "a"]]).found().is_empty());
}

#[test]
fn a_control_character_is_an_altered_line() {
    let case = Case::new(&[&["a"], &["a", "!20261121T025142Z \u{7}"]]);
    assert_eq!(case.found(), ["altered 1 1"]);
}

#[test]
fn torn_lines_are_told() {
    let whole = format!("{TIME} a\n{TIME} b\n");
    let torn_end = whole.strip_suffix('\n').unwrap().to_owned();
    let torn_middle = format!("{TIME} a\n{}\n{TIME} b\n", &TIME[..9]);
    let case = Case::of_texts(&[whole.clone(), torn_end, torn_middle]);
    assert_eq!(case.found(), ["missing 1 1", "torn 1 1", "torn 2 1"]);
}

#[test]
fn rotated_and_packed_pieces_belong_to_the_log() {
    use flate2::{Compression, write::GzEncoder};
    let case = Case::new(&[&["a", "b", "c", "d"], &["d"]]);
    let folder = case.dir.path().join("1");
    fs::write(folder.join("access.log.1"), log_of(&["c"])).unwrap();
    fs::write(folder.join("access_2026-11-21_02-00-00.log"), log_of(&["b"])).unwrap();
    let packed = fs::File::create(folder.join("access_2026-11-21_01-00-00.log.gz")).unwrap();
    let mut packed = GzEncoder::new(packed, Compression::fast());
    packed.write_all(log_of(&["a"]).as_bytes()).unwrap();
    packed.finish().unwrap();
    assert!(case.found().is_empty());
    fs::write(folder.join("access.log"), log_of(&["a"])).unwrap();
    assert_eq!(case.found(), ["missing 1 1", "doubled 1 1"]);
}

#[test]
fn all_that_was_answered_must_be_there() {
    let sent =
        ["SENT s1 1 MV TIME a", "SENT s1 2 MV TIME b", "ANSWERED s1 1 MV OK", "ANSWERED s1 2 MV PENDING 2/3"];
    assert!(Case::new(&[&["a", "b"], &["a", "b"]]).sent(&sent).found().is_empty());
    assert_eq!(Case::new(&[&["a"], &["a"]]).sent(&sent).found(), ["missing 0 1", "missing 1 1"]);
    assert_eq!(
        Case::new(&[&["a", "b", "b"], &["a", "b", "b"]]).sent(&sent).found(),
        ["doubled 0 1", "doubled 1 1"]
    );
}

#[test]
fn a_repeat_is_logged_once() {
    let sent = [
        "SENT s1 1 MV TIME a",
        "ANSWERED s1 1 MV LOST connection reset",
        "SENT s1 1 PA TIME a",
        "ANSWERED s1 1 PA OK",
    ];
    assert!(Case::new(&[&["a"], &["a"]]).sent(&sent).found().is_empty());
    assert_eq!(Case::new(&[&["a"], &["a", "a"]]).sent(&sent).found(), ["doubled 1 1"]);
}

#[test]
fn what_was_refused_for_its_text_may_stand_in_the_sent_log() {
    let lines = [
        "SENT s 1 MV TIME tab\there",
        "ANSWERED s 1 MV ERR 422 control character U+0009",
        "SENT s 2 MV TIME ",
        "ANSWERED s 2 MV ERR 422 no text",
    ];
    assert!(Case::new(&[&[], &[]]).sent(&lines).found().is_empty());
}

#[test]
fn a_text_that_deceives_the_eye_is_altered() {
    assert_eq!(Case::new(&[&["a\u{202e}b"], &["a\u{202e}b"]]).found(), ["altered 0 1", "altered 1 1"]);
}

#[test]
fn what_was_refused_is_nowhere() {
    let sent = ["SENT s1 1 MV TIME a", "ANSWERED s1 1 MV ERR 422 control character"];
    assert!(Case::new(&[&[], &[]]).sent(&sent).found().is_empty());
    assert_eq!(Case::new(&[&["a"], &["a"]]).sent(&sent).found(), ["extra 0 1", "extra 1 1"]);
}

#[test]
fn what_was_never_answered_is_everywhere_or_nowhere() {
    for answer in
        ["ANSWERED s1 1 MV LOST timeout", "ANSWERED s1 1 MV ERR 300 try later", "SENT s1 1 MV TIME a"]
    {
        let sent = ["SENT s1 1 MV TIME a", answer];
        assert!(Case::new(&[&[], &[]]).sent(&sent).found().is_empty());
        assert!(Case::new(&[&["a"], &["a"]]).sent(&sent).found().is_empty());
        assert_eq!(Case::new(&[&[], &["a"], &[]]).sent(&sent).found(), ["missing 0 1", "missing 2 1"]);
    }
}

#[test]
fn what_nobody_sent_is_extra_unless_others_sent_too() {
    let sent = ["SENT s1 1 MV TIME a", "ANSWERED s1 1 MV OK"];
    let mut case = Case::new(&[&["a", "x"], &["a", "x"]]).sent(&sent);
    assert_eq!(case.found(), ["extra 0 1", "extra 1 1"]);
    case.others = true;
    assert!(case.found().is_empty());
    let altered_everywhere = Case::new(&[&["!20261121T025143Z a"], &["!20261121T025143Z a"]]).sent(&sent);
    assert_eq!(altered_everywhere.found(), ["altered 0 1", "altered 1 1"]);
}

#[test]
fn messages_of_one_session_to_one_host_keep_their_order() {
    let sent = [
        "SENT s1 1 MV TIME a",
        "SENT s1 2 PA TIME b",
        "SENT s1 3 MV TIME c",
        "ANSWERED s1 1 MV OK",
        "ANSWERED s1 2 PA OK",
        "ANSWERED s1 3 MV OK",
    ];
    assert!(
        Case::new(&[&["a", "b", "c"], &["b", "a", "c"], &["a", "c", "b"]]).sent(&sent).found().is_empty()
    );
    assert_eq!(Case::new(&[&["a", "b", "c"], &["c", "b", "a"]]).sent(&sent).found(), ["disordered 1 1"]);
}

#[test]
fn a_wrong_sprog_log_is_named_with_its_line() {
    let case = Case::new(&[&["a"]]).sent(&["SENT s1 1 MV TIME a", "SENT s1 two MV TIME a"]);
    let mut logs = pieces::logs(&[case.dir.path().join("0")]).unwrap();
    let mut sent = [Log::file(&case.dir.path().join("sprog.log"))];
    let limits = Limits { memory_bytes: 1 << 20, temp_dir: case.dir.path().to_owned() };
    let error = examine(&mut logs, &mut sent, false, 3, &limits).unwrap_err().to_string();
    assert!(error.contains("sprog.log:2: no line of a sprog log"), "{error}");
}

/// How often each of a few lines is on each of three hosts.
fn counts() -> impl Strategy<Value = Vec<[u64; 3]>> {
    let equal = (1..3_u64).prop_map(|n| [n; 3]);
    prop::collection::vec(prop_oneof![4 => equal, 1 => prop::array::uniform3(0..4_u64)], 0..60)
}

/// What the rules say of a line's counts, in plain words: missing and doubled, for each host.
fn naive(counts: [u64; 3]) -> [(u64, u64); 3] {
    let mut hosts_with = BTreeMap::new();
    counts.iter().for_each(|n| *hosts_with.entry(*n).or_insert(0) += 1);
    let most = *hosts_with.values().max().unwrap();
    let common: Vec<u64> =
        hosts_with.into_iter().filter(|(_, hosts)| *hosts == most).map(|(n, _)| n).collect();
    let usual = if common.contains(&counts[0]) { counts[0] } else { common[0] };
    let expected = if counts.iter().any(|n| *n > 0) { usual.max(1) } else { 0 };
    counts.map(|n| (expected.saturating_sub(n), n.saturating_sub(expected)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_as_naively_counted_with_much_memory_and_with_little(counts in counts()) {
        let lines = |host: usize| -> Vec<String> {
            let of_line = |(i, counts): (usize, &[u64; 3])| vec![format!("text {i}"); counts[host] as usize];
            counts.iter().enumerate().flat_map(of_line).collect()
        };
        let texts: Vec<String> = (0..3)
            .map(|host| log_of(&lines(host).iter().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        let mut case = Case::of_texts(&texts);
        let with_much = case.findings();
        // Four records at a time: runs, and runs of runs.
        case.memory_bytes = 16 * RECORD_BYTES;
        prop_assert_eq!(&case.findings(), &with_much);
        for host in 0..3 {
            let (missing, doubled) = counts.iter().map(|c| naive(*c)[host]).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
            prop_assert_eq!(with_much.hosts[host].count(Kind::Missing), missing);
            prop_assert_eq!(with_much.hosts[host].count(Kind::Doubled), doubled);
        }
        prop_assert_eq!(with_much.is_proof(), texts[0] == texts[1] && texts[1] == texts[2]);
    }
}
