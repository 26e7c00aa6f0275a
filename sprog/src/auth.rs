//! The token that a host may ask for before anything else is said.

use crate::exit::{Exit, Failure};
use std::fmt;
use std::fs;
use std::path::Path;
use std::rc::Rc;

/// The line that says a token. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Auth(Rc<str>);

impl Auth {
    /// Reads the token: the first line of this file.
    pub(crate) fn load(file: &Path) -> Result<Auth, Failure> {
        let failed = |why: String| Failure::new(Exit::Config, format!("{}: {why}", file.display()));
        let text = fs::read_to_string(file).map_err(|e| failed(e.to_string()))?;
        let token = text.lines().next().unwrap_or_default();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(failed(
                "its first line is no token: printing ASCII characters without blanks".into(),
            ));
        }
        Ok(Auth(format!("AUTH {token}").into()))
    }

    /// The line without its end.
    pub(crate) fn line(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AUTH …")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_token() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let load = |text: &str| {
            fs::write(&file, text).unwrap();
            Auth::load(&file)
        };
        assert_eq!(load("secret\nother\n").unwrap().line(), "AUTH secret");
        assert!(!format!("{:?}", load("secret").unwrap()).contains("secret"));
        for text in ["", "\n", "two words\n"] {
            assert!(load(text).is_err(), "{text:?}");
        }
    }
}
