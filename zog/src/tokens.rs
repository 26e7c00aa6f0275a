//! Tokens: what a client must know before it may say anything else, where ring.toml names a file of them.

use crate::daemon::Daemon;
use crate::door;
use crate::refusals::Refused;
use pzog::ConnId;
use pzog::limits::LINE_MAX;
use ringfile::Access;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, IoSlice, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Bytes of the file.
const FILE_MAX: u64 = 1 << 20;

/// Bytes of a token.
const TOKEN_MAX: usize = 128;

/// The tokens that are known here.
pub(crate) struct Tokens {
    all: Vec<Vec<u8>>,
}

impl Tokens {
    /// Reads the file that ring.toml names, if it does; else what is wrong, and what to do.
    pub(crate) fn load(access: &Access) -> Result<Option<Tokens>, String> {
        let Some(path) = &access.tokens else { return Ok(None) };
        let at = |why: String| format!("{} (`tokens` in ring.toml): {why}", path.display());
        let text = read(path).map_err(|e| at(e.to_string()))?;
        parse(&text).map(Some).map_err(at)
    }

    /// Whether it is one of them; takes as long for one that is nearly right as for any other of its length.
    fn knows(&self, said: &[u8]) -> bool {
        self.all.iter().fold(false, |known, token| known | is_same(token, said))
    }
}

fn is_same(token: &[u8], said: &[u8]) -> bool {
    let differences = token.iter().zip(said).fold(0, |sum, (a, b)| sum | black_box(a ^ b));
    token.len() == said.len() && differences == 0
}

fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        let mode = mode & 0o777;
        let why = format!("others than its owner may use it (mode {mode:03o}): `chmod 600` it");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut text = String::new();
    file.take(FILE_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// A token with which the hosts of the ring let in who asks them; none where they need none, or this user may not
/// read the file of the tokens.
pub(crate) fn own(access: &Access) -> Option<Vec<u8>> {
    let text = read(access.tokens.as_deref()?).ok()?;
    parse(&text).ok()?.all.into_iter().next()
}

/// A token a line; blank lines, and those that begin with `#`, are none.
fn parse(text: &str) -> Result<Tokens, String> {
    let mut all = Vec::new();
    for (number, line) in
        (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    {
        if line.len() > TOKEN_MAX || !line.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("line {number}: a token is 1 to {TOKEN_MAX} printing ASCII characters"));
        }
        all.push(line.as_bytes().to_owned());
    }
    if all.is_empty() {
        return Err("it holds no token; without the key `tokens` clients need none".into());
    }
    Ok(Tokens { all })
}

/// What the bytes of a client that has not yet said a token are.
enum FirstLine {
    /// Not yet a line.
    Unfinished,
    /// A token that is known; what follows begins here.
    Known(usize),
    /// Anything else.
    Wrong,
}

fn first_line(tokens: &Tokens, bytes: &[u8]) -> FirstLine {
    const VERB: &[u8] = b"AUTH ";
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return if bytes.len() < LINE_MAX { FirstLine::Unfinished } else { FirstLine::Wrong };
    };
    let said = bytes[..end].strip_suffix(b"\r").and_then(|line| line.split_at_checked(VERB.len()));
    match said {
        Some((verb, token)) if verb.eq_ignore_ascii_case(VERB) && tokens.knows(token) => {
            FirstLine::Known(end + 1)
        }
        _ => FirstLine::Wrong,
    }
}

/// The first bytes of a client that must say a token: where those begin that the node may see, once it has said one.
pub(crate) fn check(daemon: &mut Daemon, conn: ConnId, bytes: &[u8]) -> Option<usize> {
    let first = daemon.door.tokens.as_ref().map_or(FirstLine::Known(0), |tokens| first_line(tokens, bytes));
    let connection = daemon.connections.get_mut(conn)?;
    match first {
        FirstLine::Unfinished => {
            connection.tail.clear();
            connection.tail.extend_from_slice(bytes);
            None
        }
        FirstLine::Known(begin) => {
            connection.is_trusted = true;
            if begin > 0 {
                connection.send(&mut [IoSlice::new(b"OK\r\n")]);
            }
            Some(begin)
        }
        FirstLine::Wrong => {
            door::dismiss(daemon, conn, Refused::Token, None);
            door::charge(daemon, conn, door::STRANGER, b"");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn access(path: PathBuf) -> Access {
        Access { tokens: Some(path), ..Access::default() }
    }

    fn load(text: &str, mode: u32) -> Result<Option<Tokens>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Tokens::load(&access(path))
    }

    #[test]
    fn who_knows_a_token_of_the_file_is_known() {
        let tokens = load("# of the lab\nfirst\n\nsecond-one\n", 0o600).unwrap().unwrap();
        assert!(tokens.knows(b"first") && tokens.knows(b"second-one"));
        for said in [&b""[..], b"firs", b"firsT", b"first ", b"second", b"# of the lab"] {
            assert!(!tokens.knows(said), "{}", said.escape_ascii());
        }
    }

    #[test]
    fn a_file_that_is_no_secret_or_has_no_token_is_explained() {
        for mode in [0o640, 0o604, 0o620] {
            assert!(load("first\n", mode).err().unwrap().contains("chmod 600"));
        }
        assert!(load("\n# nothing\n", 0o600).err().unwrap().contains("no token"));
        assert!(load("ok\ntwo words\n", 0o400).err().unwrap().contains("line 2"));
        assert!(Tokens::load(&access("/nonexistent".into())).err().unwrap().contains("/nonexistent"));
        assert!(Tokens::load(&Access::default()).unwrap().is_none());
    }

    #[test]
    fn a_first_line_is_the_token_and_nothing_else() {
        let tokens = load("first\n", 0o600).unwrap().unwrap();
        assert!(matches!(first_line(&tokens, b"AUTH first\r\nMSG x"), FirstLine::Known(12)));
        assert!(matches!(first_line(&tokens, b"auth first\r\n"), FirstLine::Known(12)));
        assert!(matches!(first_line(&tokens, b"AUTH fir"), FirstLine::Unfinished));
        let long = [b'x'; LINE_MAX];
        for said in [&b"AUTH first\n"[..], b"AUTH last\r\n", b"MSG x\r\n", b"\r\n", b"AUTHfirst\r\n", &long] {
            assert!(matches!(first_line(&tokens, said), FirstLine::Wrong), "{}", said.escape_ascii());
        }
    }
}
