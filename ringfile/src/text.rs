//! A file's text, or why it is none.

use crate::error::{Error, Fault};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Bytes of a ring.toml. The largest ring takes some 20 KB; what is larger is another file.
const FILE_MAX: u64 = 1 << 20;

/// Reads the file at `path`.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let bytes = read_bytes(path).map_err(|e| unreadable(path, &e))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(Error::of_file(
            path,
            "longer than 1 MiB, so no ring.toml",
            "name the right file with -c",
        ));
    }
    if let Some(offset) = bytes.iter().position(|b| *b == 0) {
        return Err(not_text(path, &bytes, offset));
    }
    String::from_utf8(bytes).map_err(|e| {
        let offset = e.utf8_error().valid_up_to();
        not_text(path, e.as_bytes(), offset)
    })
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    let another = "name another file with -c";
    match error.kind() {
        io::ErrorKind::NotFound => {
            let tried = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            Error::of_file(path, format!("there is no file {}", tried.display()), another)
        }
        io::ErrorKind::IsADirectory => Error::of_file(path, "is a directory", "name the file in it with -c"),
        io::ErrorKind::PermissionDenied => {
            Error::of_file(path, "may not be read", format!("allow it, or {another}"))
        }
        _ => Error::of_file(path, format!("cannot be read: {error}"), another),
    }
}

fn not_text(path: &Path, bytes: &[u8], offset: usize) -> Error {
    let fault = Fault {
        line: Some(line_of(bytes, offset)),
        key: None,
        wrong: format!("not text: byte 0x{:02X} at offset {offset}", bytes[offset]),
        right: "save the file as UTF-8, or name the right one with -c".to_owned(),
    };
    Error::new(path, vec![fault])
}

/// The line, counted from 1, of the byte at `offset`.
pub(crate) fn line_of(text: &[u8], offset: usize) -> usize {
    1 + text[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count()
}
