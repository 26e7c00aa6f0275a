//! Rings whose links are protected, with the keys that `zog keys` makes: made, renewed, changed and wrong.

use rustix::process::Signal;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use tests::{Load, Plan, Ring, zog};

const READ_AGAIN: &str = "KEYS read again";

fn keys(ring: &Ring, arguments: &[&str]) -> Output {
    let mut command = zog();
    command.arg("keys").args(arguments).arg("--config").arg(ring.config());
    command.output().expect("zog can be started")
}

/// Expects that `zog keys` ends so, with these words.
#[track_caller]
fn assert_keys(ring: &Ring, arguments: &[&str], code: i32, words: &[&str]) {
    let output = keys(ring, arguments);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(code), "zog keys {arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in what zog keys {arguments:?} says: {said}");
    }
}

/// All hosts read their keys again at a signal.
#[track_caller]
fn reload(ring: &mut Ring) {
    let times = |ring: &Ring, host| ring.error_lines(host, &[READ_AGAIN]).len();
    let before: Vec<_> = (0..ring.len()).map(|host| times(ring, host)).collect();
    for host in 0..ring.len() {
        ring.daemon(host).signal(Signal::HUP);
    }
    for (host, before) in before.into_iter().enumerate() {
        tests::wait_until("the keys are read again", || times(ring, host) > before);
    }
}

/// Ends a host in order and starts it again: all its links are new.
#[track_caller]
fn restart(ring: &mut Ring, host: usize) {
    assert!(ring.stop(host).success());
    ring.start_hosts(&[host]);
}

#[test]
fn five_protected_hosts_deliver_and_one_that_was_away_catches_up() {
    let mut ring = Plan::of(5).with_keys().with_journal("segment = \"1MiB\"").start();
    ring.kill(4);
    let mut texts: Vec<String> = Vec::new();
    for host in 0..4 {
        texts.extend(ring.send(host, &format!("{:x<400} from {host}", ""), 2_000));
    }
    ring.wait_for_lines(&[0, 1, 2, 3], texts.len());
    ring.start_hosts(&[4]);
    texts.extend(ring.send(4, "from the one that was away", 100));
    ring.fence(&[0, 1, 2, 3, 4]);
    ring.assert_each_once(&[0, 1, 2, 3, 4], &texts);
    for host in 0..5 {
        assert_eq!(ring.error_lines(host, &["REFUSED 505"]), [""; 0]);
    }
}

#[test]
fn renewed_certificates_are_taken_under_load_without_a_signal() {
    let mut ring = Plan::of(3).with_keys().start();
    let load = Load::start(ring.client_address(0), "renewed");
    load.go_on_for(100);
    ring.keys(&["issue", "--all", "--replace", "--days", "700"]);
    for host in 0..3 {
        ring.wait_for_error(host, &[READ_AGAIN]);
        assert_eq!(ring.times_linked(host, (host + 1) % 3), 1, "links that are up stay");
    }
    restart(&mut ring, 1);
    restart(&mut ring, 2);
    load.go_on_for(100);
    ring.assert_each_once(&[0, 1, 2], &load.stop().ok);
}

#[test]
fn the_ca_is_changed_under_load_with_the_old_and_the_new_side_by_side() {
    let mut ring = Plan::of(3).with_keys().start();
    let old = ring.dir().join("old");
    fs::create_dir(&old).expect("a directory");
    for file in ["ca.pem", "C.pem", "C.key"] {
        fs::copy(ring.keys_dir().join(file), old.join(file)).expect("a copy");
    }
    let load = Load::start(ring.client_address(0), "changed");
    assert_keys(&ring, &["drop-ca"], 0, &["valid until"]); // nothing to drop: the newest is the only one
    ring.keys(&["add-ca"]);
    assert_keys(&ring, &["drop-ca"], 1, &["A.pem is still of the old CA"]);
    reload(&mut ring);
    // B has the new one's certificate while A and C have the old one's.
    ring.keys(&["issue", "B", "--replace"]);
    restart(&mut ring, 1);
    ring.keys(&["issue", "A", "C", "--replace"]);
    reload(&mut ring);
    ring.keys(&["drop-ca"]);
    reload(&mut ring);
    restart(&mut ring, 1);
    restart(&mut ring, 2);
    load.go_on_for(100);
    ring.assert_each_once(&[0, 1, 2], &load.stop().ok);
    // Whoever shows a certificate of the old one is nobody any more.
    assert!(ring.stop(2).success());
    fs::rename(ring.keys_dir(), ring.dir().join("new")).expect("a rename");
    fs::rename(&old, ring.keys_dir()).expect("a rename");
    ring.start_unlinked(&[2]);
    ring.wait_for_error(2, &["REFUSED 505", "of no CA in our ca.pem"]);
}

#[test]
fn wrong_new_keys_are_refused_and_the_old_ones_stay() {
    let mut ring = Plan::of(2).with_keys().start();
    let (a, b) = (ring.keys_dir().join("A.pem"), ring.keys_dir().join("B.pem"));
    let good = fs::read(&a).expect("a certificate");
    for (wrong, words) in [
        (fs::read(&b).expect("a certificate"), "it is the certificate of zog://"),
        (b"nothing".to_vec(), "holds no certificate"),
        (fs::read(ring.keys_dir().join("ca.pem")).expect("a certificate"), "it is the certificate of zog://"),
    ] {
        fs::write(&a, wrong).expect("a wrong certificate");
        let before = ring.error_lines(0, &["KEYS refused"]).len();
        ring.daemon(0).signal(Signal::HUP);
        tests::wait_until("the keys are refused", || ring.error_lines(0, &["KEYS refused"]).len() > before);
        let line = ring.error_lines(0, &["KEYS refused"]).pop().unwrap_or_default();
        assert!(line.contains(words) && line.contains("A.pem"), "{line}");
    }
    restart(&mut ring, 1); // linked with what A has read before
    fs::write(&a, good).expect("the right certificate");
    reload(&mut ring);
}

#[test]
fn keys_that_others_can_read_are_refused_at_the_start() {
    let mut ring = Plan::of(2).with_keys().set_up();
    let key = ring.keys_dir().join("A.key");
    fs::set_permissions(&key, Permissions::from_mode(0o640)).expect("a key for a group");
    assert_keys(&ring, &["check"], 1, &["A.key is open to others (mode 640): `chmod 600"]);
    let (status, _) = ring.spawn(0).wait();
    assert_eq!(status.code(), Some(78));
    let said = ring.daemon(0).stderr();
    assert!(said.contains("A.key is open to others (mode 640): `chmod 600"), "{said}");
}

#[test]
fn keys_that_are_not_there_are_missed_at_the_start() {
    let mut ring = Plan::of(2).with("tls = \"required\"").set_up();
    assert_eq!(ring.spawn(0).wait().0.code(), Some(78));
    let said = ring.daemon(0).stderr();
    assert!(said.contains("keys/ca.pem") && said.contains("`zog keys check`"), "{said}");
}

#[test]
fn nothing_is_made_in_place_of_what_is_there() {
    let ring = Plan::of(2).set_up();
    assert_keys(&ring, &["issue", "--all"], 1, &["cannot read", "ca.pem", "`zog keys init`"]);
    assert_keys(&ring, &["init", "--ring", "a ring"], 1, &["cannot name a ring"]);
    assert_keys(&ring, &["init", "--ring", "lab"], 0, &["the CA of ring lab"]);
    assert_keys(&ring, &["init"], 1, &["is there already", "`zog keys add-ca`"]);
    assert_keys(&ring, &["issue", "X"], 1, &["no host \"X\"", "A, B"]);
    assert_keys(&ring, &["check"], 1, &["A           is not here"]);
    assert_keys(&ring, &["issue", "A"], 0, &["A.pem", "365 days"]);
    assert_keys(&ring, &["check"], 1, &["B           is not here"]);
    assert_keys(&ring, &["check", "--name", "A"], 0, &["A           valid until 20"]);
    assert_keys(&ring, &["check", "--name", "B"], 1, &["B           is not here"]);
    assert_keys(&ring, &["issue", "--all"], 1, &["A.pem or its key is there already", "--replace"]);
    assert!(!ring.keys_dir().join("B.pem").exists(), "all or nothing");
    let before = fs::read(ring.keys_dir().join("A.key")).expect("a key");
    assert_keys(&ring, &["issue", "--all", "--replace", "--days", "20"], 0, &["B.pem", "20 days"]);
    assert_ne!(fs::read(ring.keys_dir().join("A.key")).expect("a key"), before);
    assert_keys(&ring, &["check"], 0, &[" days, SOON", "CA          valid until 20"]);
    fs::remove_file(ring.keys_dir().join("B.key")).expect("a key");
    assert_keys(&ring, &["check"], 0, &["its key is not here"]);
    let mode = |file| fs::metadata(ring.keys_dir().join(file)).expect("a file").permissions().mode() & 0o777;
    assert_eq!([mode("ca.key"), mode("A.key"), mode("A.pem"), mode("")], [0o600, 0o600, 0o644, 0o700]);
}

#[test]
fn what_is_about_to_expire_is_told_at_the_start() {
    let mut ring = Plan::of(2).with_keys().set_up();
    ring.keys(&["issue", "--all", "--replace", "--days", "5"]);
    ring.start_hosts(&[0, 1]);
    let line = ring.wait_for_error(0, &["WARN", "KEYS expires"]);
    assert!(line.contains("`zog keys issue A --replace`"), "{line}");
    ring.fence(&[0, 1]);
    assert_eq!(ring.error_lines(0, &["KEYS expires"]).len(), 1);
}

/// Gives all hosts another `tls`, one restart after the other, and waits for each that it is linked again.
#[track_caller]
fn roll(ring: &mut Ring, from: &str, to: &str) {
    let toml = fs::read_to_string(ring.config()).expect("ring.toml");
    let other = toml.replace(&format!("tls = {from:?}"), &format!("tls = {to:?}"));
    assert_ne!(toml, other);
    fs::write(ring.config(), other).expect("ring.toml");
    for host in 0..ring.len() {
        restart(ring, host);
    }
}

#[test]
fn tls_is_turned_on_and_off_in_a_ring_that_runs_host_by_host() {
    let plan = Plan::of(3).with("tls = \"off\"").with("redial_min = \"50ms\"").with("redial_max = \"200ms\"");
    let mut ring = plan.start();
    ring.keys(&["init"]);
    ring.keys(&["issue", "--all"]);
    let protected =
        |ring: &Ring, host| ring.status(host).iter().filter(|line| line.contains(" tls=1.3 ")).count();
    let mut texts = Vec::new();
    for (from, to, links) in
        [("off", "accept", 2), ("accept", "required", 2), ("required", "accept", 2), ("accept", "off", 0)]
    {
        roll(&mut ring, from, to);
        for host in 0..3 {
            assert_eq!(protected(&ring, host), links, "links of {} with tls = {to:?}", ring.name(host));
            texts.extend(ring.send(host, &format!("with {to} after {from} through {host}"), 100));
        }
        ring.fence(&[0, 1, 2]);
    }
    ring.assert_each_once(&[0, 1, 2], &texts);
}

/// What `zog check --ring` says, and what it ends with.
fn check(ring: &Ring) -> (String, Option<i32>) {
    let output = zog().args(["check", "--ring", "--config"]).arg(ring.config()).output();
    let output = output.expect("zog can be started");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

/// The line of a host in it.
#[track_caller]
fn line_of<'s>(host: &str, said: &'s str) -> &'s str {
    said.lines().find(|line| line.starts_with(&format!("{host}  "))).unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn a_certificate_that_ends_soon_or_is_of_another_ca_is_named_by_check_and_shown_by_status() {
    let mut ring = Plan::of(3).with_keys().start();
    let (said, code) = check(&ring);
    assert_eq!(code, Some(0), "{said}");
    assert!(line_of("B", &said).contains("  36"), "{said}");
    let status = ring.status(0);
    assert!(status.iter().any(|line| line.starts_with("certificate left_s=3153")), "{status:?}");
    assert_eq!(status.iter().filter(|line| line.contains(" tls=1.3 ")).count(), 2, "{status:?}");
    ring.keys(&["issue", "B", "--replace", "--days", "10"]);
    ring.keys(&["add-ca"]);
    ring.keys(&["issue", "C", "--replace"]);
    reload(&mut ring);
    let (said, code) = check(&ring);
    assert_eq!(code, Some(1), "{said}");
    assert!(line_of("A", &said).ends_with("agrees"), "{said}");
    assert!(line_of("B", &said).contains("ITS CERTIFICATE EXPIRES in "), "{said}");
    assert!(line_of("C", &said).contains("ANOTHER CA than those of most"), "{said}");
    let shown = zog().args(["status", "--name", "B", "--config"]).arg(ring.config()).output();
    let shown = String::from_utf8_lossy(&shown.expect("zog can be started").stdout).into_owned();
    assert!(shown.contains("; certificate valid for ") && shown.contains(", TLS 1.3"), "{shown}");
}

#[test]
fn a_file_of_tokens_that_cannot_be_used_is_told_by_check() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("tokens");
    let write = |text: &str, mode| {
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
    };
    write("known\n", 0o600);
    let ring = Plan::of(2).with(&format!("tokens = {:?}", path.display().to_string())).start();
    assert_eq!(check(&ring).1, Some(0));
    for (text, mode, why) in [("known\n", 0o644, "chmod 600"), ("\n", 0o600, "no token")] {
        write(text, mode);
        let (said, code) = check(&ring);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.lines().any(|line| line.starts_with("TOKENS") && line.contains(why)), "{said}");
    }
    fs::remove_file(&path).expect("the file");
    assert!(check(&ring).0.contains("No such file"));
}
