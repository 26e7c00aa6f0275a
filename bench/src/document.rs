//! Puts a report between two marks of a document.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

const START: &str = "<!-- what stands from here is written by scripts/bench -->\n";
const END: &str = "<!-- up to here -->\n";

/// Replaces what stands between the marks.
pub fn replace(path: &Path, report: &str) -> Result<()> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("{shown} cannot be read"))?;
    let text = replaced(&text, report).with_context(|| format!("{shown} is left as it is"))?;
    fs::write(path, text).with_context(|| format!("{shown} cannot be written"))
}

fn replaced(text: &str, report: &str) -> Result<String> {
    let (before, rest) = text.split_once(START).context(format!("it lacks the line {START:?}"))?;
    let (_, behind) = rest.split_once(END).context(format!("it lacks the line {END:?}"))?;
    ensure!(!behind.contains(START), "it has the mark {START:?} twice");
    Ok(format!("{before}{START}\n{report}\n{END}{behind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = format!("a\n{START}old\n{END}b\n");
        assert_eq!(replaced(&text, "new").unwrap(), format!("a\n{START}\nnew\n{END}b\n"));
        let twice = replaced(&replaced(&text, "new").unwrap(), "new").unwrap();
        assert_eq!(twice, replaced(&text, "new").unwrap());
    }

    #[test]
    fn without_marks_nothing_is_written() {
        assert!(replaced("a\n", "new").is_err());
        assert!(replaced(&format!("{END}{START}"), "new").is_err());
    }
}
