//! `zog keys`: makes the keys of a ring, and says whether they are right.

mod authority;
mod check;
mod issue;

use crate::check as ring_check;
use crate::cli::{KeysArgs, KeysCommand};
use crate::exit::{Exit, Failed};
use crate::reload::Origin;
use ringfile::RingFile;
use ringkeys::Files;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;

/// Modes of files that all may read, and that their owner alone may.
const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;

/// What is made is valid from so long ago on, for hosts whose clocks are behind.
const BACKDATED: Duration = Duration::from_secs(3600);

/// Does what was asked for.
pub(crate) fn run(command: &KeysCommand) -> Result<Exit, Failed> {
    let made = match command {
        KeysCommand::Init { place, ring, days } => authority::init(&files(place), ring.as_deref(), *days),
        KeysCommand::AddCa { place, days } => authority::add(&files(place), *days),
        KeysCommand::DropCa { place } => {
            let (_, file) = load(place)?;
            authority::drop_old(&files(place), &file)
        }
        KeysCommand::Issue { place, names, all, days, replace } => {
            let (_, file) = load(place)?;
            issue::issue(&files(place), &file, names, *all, *days, *replace)
        }
        KeysCommand::Check { place, name } => {
            let (_, file) = load(place)?;
            return check::run(&files(place), &file, name.as_deref());
        }
    };
    let told = made.map_err(|why| Failed::new(Exit::Failure, why))?;
    say(&told)?;
    Ok(Exit::Success)
}

fn origin(place: &KeysArgs) -> Origin {
    Origin { path: ringfile::place::ring_file(place.config.as_deref()), local: false }
}

fn files(place: &KeysArgs) -> Files {
    Files::of(&origin(place).keys(place.keys.as_deref()))
}

fn load(place: &KeysArgs) -> Result<(Origin, RingFile), Failed> {
    ring_check::read(origin(place))
}

fn say(lines: &str) -> Result<(), Failed> {
    let mut out = io::stdout().lock();
    match out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failed::new(Exit::Io, format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// Writes a file as a whole, or not at all, and takes the place of one that is there.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), String> {
    let written = || -> io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut file = NamedTempFile::new_in(dir)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// Now, in seconds of Unix time.
fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

/// A CA, and the keys of these hosts, in a test.
#[cfg(test)]
pub(crate) fn make_all(files: &Files, hosts: &[&str]) {
    let host = |name| format!("[[host]]\nname = \"{name}\"\naddress = \"{name}.test\"\n");
    let ring: String = hosts.iter().map(host).collect();
    let ring = RingFile::parse(&ring, Path::new("ring.toml")).unwrap();
    authority::init(files, None, 1).unwrap();
    issue::issue(files, &ring, &[], true, 1, false).unwrap();
}
