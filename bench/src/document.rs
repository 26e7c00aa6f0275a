//! Puts a report between two marks of a document.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

const END: &str = "<!-- up to here -->\n";

/// Replaces what stands between the marks of what a command writes.
pub fn replace(path: &Path, command: &str, report: &str) -> Result<()> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("{shown} cannot be read"))?;
    let text =
        replaced(&text, &start(command), report).with_context(|| format!("{shown} is left as it is"))?;
    fs::write(path, text).with_context(|| format!("{shown} cannot be written"))
}

fn start(command: &str) -> String {
    format!("<!-- what stands from here is written by {command} -->\n")
}

fn replaced(text: &str, start: &str, report: &str) -> Result<String> {
    let (before, rest) = text.split_once(start).context(format!("it lacks the line {start:?}"))?;
    let (_, behind) = rest.split_once(END).context(format!("it lacks the line {END:?}"))?;
    ensure!(!behind.contains(start), "it has the mark {start:?} twice");
    Ok(format!("{before}{start}\n{report}\n{END}{behind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let (start, other) = (start("x"), start("x y"));
        let text = format!("a\n{other}c\n{END}{start}old\n{END}b\n");
        let new = format!("a\n{other}c\n{END}{start}\nnew\n{END}b\n");
        assert_eq!(replaced(&text, &start, "new").unwrap(), new);
        assert_eq!(replaced(&new, &start, "new").unwrap(), new);
    }

    #[test]
    fn without_marks_nothing_is_written() {
        let start = start("x");
        assert!(replaced("a\n", &start, "new").is_err());
        assert!(replaced(&format!("{END}{start}"), &start, "new").is_err());
    }
}
