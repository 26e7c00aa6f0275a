//! Which function a line of source is in. Most functions of the hot path are inlined, so the symbol that callgrind
//! names would nearly always be `Node::handle`; the line knows better.

use std::collections::HashMap;
use std::fs;

/// Source files that were looked at: for each function its name and first line.
#[derive(Default)]
pub(crate) struct Sources {
    files: HashMap<String, Vec<(u32, String)>>,
}

impl Sources {
    /// `file: function` of a line; the symbol where the file is not there to be looked at (the C library). `None` for
    /// the standard library: whoever called it is to blame, and whether its source is installed makes no difference.
    pub(crate) fn place(&mut self, file: &str, line: u32, symbol: &str) -> Option<String> {
        if file.contains("/library/") {
            return None;
        }
        let short = short(file);
        let functions = self
            .files
            .entry(file.to_owned())
            .or_insert_with(|| functions(&fs::read_to_string(file).unwrap_or_default()));
        match functions.iter().rev().find(|(start, _)| *start <= line) {
            Some((_, name)) => Some(format!("{short}: {name}")),
            None => Some(symbol.to_owned()),
        }
    }
}

/// The functions of a source text with the lines they begin on.
fn functions(text: &str) -> Vec<(u32, String)> {
    (1..).zip(text.lines()).filter_map(|(number, line)| Some((number, function_name(line)?))).collect()
}

/// The name of the function that is declared on a line.
fn function_name(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fn ")?;
    let is_declared = before.chars().all(|c| c.is_ascii_alphanumeric() || " ()_\"".contains(c));
    let name: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (is_declared && !name.is_empty()).then_some(name)
}

/// A path without what differs between machines.
fn short(file: &str) -> String {
    let file = file.replace("/./", "/");
    if let Some((_, rest)) = file.split_once("/registry/src/") {
        return rest.split_once('/').map_or(rest, |(_, rest)| rest).to_owned();
    }
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
    let root = fs::canonicalize(root).unwrap_or_default();
    file.strip_prefix(&format!("{}/", root.display())).unwrap_or(&file).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_belongs_to_the_function_declared_before_it() {
        let text = "/// has fn doc\npub(crate) const fn first<T>() {\n}\nfn second(f: fn ()) {\n";
        assert_eq!(functions(text), [(2, "first".to_owned()), (4, "second".to_owned())]);
    }

    #[test]
    fn paths_say_nothing_of_the_machine() {
        assert_eq!(
            short("/home/a/.cargo/registry/src/x-1/memchr-2.8.3/src/lib.rs"),
            "memchr-2.8.3/src/lib.rs"
        );
        let here = Sources::default().place(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs"), 1, "symbol");
        assert_eq!(here.as_deref(), Some("symbol"), "no function is declared there");
    }
}
