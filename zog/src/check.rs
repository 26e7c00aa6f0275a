//! `zog check`: reads ring.toml as the daemon would and shows what it says.

use crate::ask::Asker;
use crate::check_ring;
use crate::cli::{CheckArgs, RingArgs};
use crate::exit::{Exit, Failed};
use crate::reload::Origin;
use crate::whoami;
use ringfile::{RingFile, Tls};
use std::io::{self, Write};
use std::path::Path;

/// What is told of a ring whose hosts are on several machines, and whose links are not protected.
const UNPROTECTED: &str = "TLS is off: whoever reaches a ring port can say that it is a host of this ring, \
                                      and read all messages; `zog keys` and tls = \"required\" in ring.toml prevent that";

/// The same, while that is being changed.
const NOT_YET_PROTECTED: &str = "TLS is not yet required: whoever reaches a ring port can say that it is a host of this ring; \
                                            tls = \"required\" in ring.toml prevents that, once all hosts have tls = \"accept\"";

/// Which of these is true of a ring, if one is.
pub(crate) fn exposure(file: &RingFile) -> Option<&'static str> {
    let text = match file.tls {
        Tls::Off => UNPROTECTED,
        Tls::Accept => NOT_YET_PROTECTED,
        Tls::Required => return None,
    };
    file.reaches_beyond_loopback().then_some(text)
}

/// Reads the file that the options name.
pub(crate) fn load(args: &RingArgs) -> Result<(Origin, RingFile), Failed> {
    let path = ringfile::place::ring_file(args.config.as_deref());
    read(Origin { path, local: args.local })
}

/// Reads the file of an origin.
pub(crate) fn read(origin: Origin) -> Result<(Origin, RingFile), Failed> {
    let file = origin.load().map_err(|e| Failed::new(Exit::Config, e.to_string()))?;
    Ok((origin, file))
}

/// Which host this is.
pub(crate) fn who(args: &RingArgs, origin: &Origin, file: &RingFile) -> Result<usize, Failed> {
    whoami::find(file, args.name.as_deref(), args.local)
        .map_err(|why| Failed::new(Exit::Config, format!("{}: {why}", origin.path.display())))
}

/// Shows the ring.
pub(crate) fn run(args: &CheckArgs) -> Result<Exit, Failed> {
    let ring = &args.ring;
    let (origin, file) = load(ring)?;
    // A ring may well be checked on a machine that is none of its hosts, but a name that is given must be right.
    let me = match who(ring, &origin, &file) {
        Err(e) if ring.name.is_some() => return Err(e),
        other => other,
    };
    match show(&mut io::stdout().lock(), &origin.path, &file, &me) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failed::new(Exit::Io, format!("cannot write to standard output: {e}")))
        }
        _ if args.ask => check_ring::run(&file, &Asker::new(ring, &origin, &file, args.timeout)?),
        _ => Ok(Exit::Success),
    }
}

fn show(out: &mut impl Write, path: &Path, file: &RingFile, me: &Result<usize, Failed>) -> io::Result<()> {
    writeln!(out, "{} is right: {} hosts, scheme {}", path.display(), file.hosts.len(), file.scheme.word())?;
    let name_width = file.hosts.iter().map(|h| h.name.len()).max().unwrap_or(0);
    let address_width = file.hosts.iter().map(|h| h.address.len()).max().unwrap_or(0);
    for (i, host) in file.hosts.iter().enumerate() {
        let mark = if me.as_ref().is_ok_and(|me| *me == i) { "  <- this host" } else { "" };
        writeln!(
            out,
            "  {:name_width$}  {:address_width$}  ring {:5}  clients {:5}{mark}",
            host.name, host.address, host.ring_port, host.client_port
        )?;
    }
    if let Some(text) = exposure(file) {
        writeln!(out, "note: {text}")?;
    }
    match me {
        Ok(_) => Ok(()),
        Err(e) => writeln!(out, "note: {}", e.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_shown_in_order_with_who_we_are() {
        let text = "[[host]]\nname = \"MV\"\naddress = \"10.0.0.1\"\n[[host]]\nname = \"G\"\naddress = \"10.0.0.20\"\n";
        let path = Path::new("ring.toml");
        let file = RingFile::parse(text, path).unwrap();
        let mut out = Vec::new();
        show(&mut out, path, &file, &Ok(1)).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "ring.toml is right: 2 hosts, scheme receiver\n  \
             MV  10.0.0.1   ring 55551  clients 55552\n  \
             G   10.0.0.20  ring 55551  clients 55552  <- this host\n\
             note: TLS is off: whoever reaches a ring port can say that it is a host of this ring, and read all \
             messages; `zog keys` and tls = \"required\" in ring.toml prevent that\n"
        );
    }
}
