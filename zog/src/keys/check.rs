//! Which keys are here, of whom, until when, and what is wrong with them.

use super::{now, say};
use crate::exit::{Exit, Failed};
use crate::tls::{Chain, Hosts, Keys};
use ringfile::RingFile;
use ringkeys::{Files, certificates, date, private_text, validity};
use std::fmt::Write as _;
use std::fs;

const DAY: u64 = 24 * 3600;

/// Days before the end from which on it is pointed out.
const SOON: u64 = 30;

/// Shows all keys; success if none that is here is wrong, and the host that is named has all it needs.
pub(super) fn run(files: &Files, ring: &RingFile, name: Option<&str>) -> Result<Exit, Failed> {
    let names: Vec<String> = ring.hosts.iter().map(|h| h.name.clone()).collect();
    if let Some(unknown) = name.filter(|name| !names.iter().any(|n| n == name)) {
        let why = format!("there is no host {unknown:?} in the ring; its hosts are {}", names.join(", "));
        return Err(Failed::new(Exit::Config, why));
    }
    let mut shown = format!("keys in {}\n", files.dir().display());
    let mut is_right = authorities(files, &mut shown);
    for (me, host) in names.iter().enumerate() {
        let hosts = Hosts { names: names.clone(), me };
        let is_needed = name.is_none_or(|name| name == host);
        let state = of_host(files, &hosts);
        is_right &= state.is_right() || (matches!(state, State::Absent) && name.is_some() && !is_needed);
        let _ = writeln!(shown, "  {host:<10}  {}", state.words());
    }
    for stranger in strangers(files, &names) {
        let _ = writeln!(shown, "  {stranger:<10}  is no host of ring.toml");
    }
    say(&shown)?;
    Ok(if is_right { Exit::Success } else { Exit::Failure })
}

/// How it is with the keys of a host.
enum State {
    /// They can be used: until when, and whether the key is here, too.
    Right(u64, bool),
    Expired(u64),
    Absent,
    Wrong(String),
}

impl State {
    fn is_right(&self) -> bool {
        matches!(self, State::Right(..))
    }

    fn words(&self) -> String {
        match self {
            State::Right(until, has_key) => {
                let key = if *has_key { "" } else { ", its key is not here" };
                format!("{}{key}", remaining(*until))
            }
            State::Expired(until) => format!("EXPIRED on {}", date(*until)),
            State::Absent => "is not here".into(),
            State::Wrong(why) => format!("WRONG: {why}"),
        }
    }
}

/// Until when, and how long that is.
fn remaining(until: u64) -> String {
    let days = until.saturating_sub(now()) / DAY;
    let soon = if days < SOON { ", SOON" } else { "" };
    format!("valid until {}, {days} days{soon}", date(until))
}

fn of_host(files: &Files, hosts: &Hosts) -> State {
    let name = hosts.my_name();
    let has_key = files.key(name).exists();
    if !files.certificate(name).exists() && !has_key {
        return State::Absent;
    }
    let until = if has_key {
        Keys::load(files, hosts).map(|keys| keys.certificate.expires)
    } else {
        Chain::load(files, name).map(|chain| chain.validity.1)
    };
    match until {
        Ok(until) if until < now() => State::Expired(until),
        Ok(until) => State::Right(until, has_key),
        Err(why) => State::Wrong(why),
    }
}

/// The CAs; false where they are wrong.
fn authorities(files: &Files, shown: &mut String) -> bool {
    let mut is_right = true;
    match certificates(&files.cas()) {
        Ok(cas) => {
            for ca in &cas {
                let state = match validity(ca) {
                    Ok((_, until)) if until < now() => State::Expired(until),
                    Ok((_, until)) => State::Right(until, true),
                    Err(why) => State::Wrong(why),
                };
                is_right &= state.is_right();
                let _ = writeln!(shown, "  {:<10}  {}", "CA", state.words());
            }
        }
        Err(why) => {
            is_right = false;
            let _ = writeln!(shown, "  {:<10}  WRONG: {why}", "CA");
        }
    }
    if files.ca_key().exists()
        && let Err(why) = private_text(&files.ca_key())
    {
        is_right = false;
        let _ = writeln!(shown, "  {:<10}  WRONG: {why}", "ca.key");
    }
    is_right
}

/// Names of certificates here that no host of the ring has.
fn strangers(files: &Files, names: &[String]) -> Vec<String> {
    let Ok(entries) = fs::read_dir(files.dir()) else { return Vec::new() };
    let files = entries.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok());
    let mut strangers: Vec<String> = files
        .filter_map(|file| file.strip_suffix(".pem").map(str::to_owned))
        .filter(|name| name != "ca" && !names.contains(name))
        .collect();
    strangers.sort();
    strangers
}
