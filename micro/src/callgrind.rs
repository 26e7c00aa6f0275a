//! Runs a step under callgrind, and reads what it wrote.

use crate::source::Sources;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What stands in the names of the functions whose instructions are counted, with all that they call.
const COUNTED: &str = "*counted_from_here*";

/// Valgrind shows a program the processor's own features, and the C library chooses among its copies of `memcpy` and
/// the like by them. Without these it takes the same ones on every machine.
const PLAIN_PROCESSOR: &str =
    "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM,-RTM";

/// Instructions of one step.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// All of them.
    pub total: u64,
    /// By the function whose source they come from, wherever it was inlined.
    pub functions: BTreeMap<String, u64>,
}

/// Counts the instructions that `program` executes for a step; callgrind's own file goes to `directory`.
///
/// # Errors
/// If valgrind or the program fails, or nothing was counted.
pub fn count(program: &Path, step: &str, directory: &Path) -> Result<Counts> {
    let written = directory.join(format!("callgrind.{step}"));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", written.display()))
        .arg(program)
        .args(["--step", step])
        .env("GLIBC_TUNABLES", PLAIN_PROCESSOR)
        .output()
        .context("cannot start valgrind: apt-get install valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "step {step} failed under valgrind ({}):\n{said}", output.status);
    let text = fs::read_to_string(&written).with_context(|| format!("cannot read {}", written.display()))?;
    let counts = parse(&text)?;
    ensure!(counts.total > 0, "nothing was counted of step {step}: is a function named {COUNTED} there?");
    Ok(counts)
}

/// Reads callgrind's format: `fn=` and `fl=` (`fi=`, `fe=`: inlined) say where the lines `<line> <count>` behind them
/// belong; the line behind `calls=` is what the called function cost, which stands there too. Lines stand in the order
/// of the code, so those inlined from the standard library count for the function whose line stood before them.
fn parse(text: &str) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut sources = Sources::default();
    let (mut symbol, mut file) = ("", "");
    let mut place = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("fn=") {
            symbol = name;
            name.clone_into(&mut place);
        } else if let Some(name) = ["fl=", "fi=", "fe="].iter().find_map(|key| line.strip_prefix(key)) {
            file = name;
        } else if line.starts_with("calls=") {
            lines.next();
        } else if line.starts_with(|c: char| c.is_ascii_digit()) {
            let (at, cost) = line.split_once(' ').with_context(|| format!("callgrind wrote {line:?}"))?;
            let cost: u64 = cost.parse().with_context(|| format!("callgrind wrote {line:?}"))?;
            counts.total += cost;
            if let Some(own) = sources.place(file, at.parse()?, symbol) {
                place = own;
            }
            *counts.functions.entry(place.clone()).or_default() += cost;
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_called_function_cost_counts_once() {
        let text = "version: 1\nevents: Ir\n\nfl=???\nfn=outer\n0 10\ncfn=inner\ncalls=2 0\n0 30\n0 5\n\nfn=inner\n0 30\n\ntotals: 45\n";
        let counts = parse(text).unwrap();
        assert_eq!(counts.total, 45);
        assert_eq!(counts.functions, BTreeMap::from([("outer".into(), 15), ("inner".into(), 30)]));
    }

    #[test]
    fn inlined_lines_belong_to_the_function_of_their_source_or_to_who_called_the_standard_library() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/src/meter.rs");
        let text = format!(
            "fl=???\nfn=outer\n0 1\nfi={here}\n10 7\nfi=/rustc/1/library/core/src/cmp.rs\n9 4\nfe=???\n0 2\n"
        );
        let functions = parse(&text).unwrap().functions;
        assert_eq!(functions["outer"], 3);
        assert_eq!(functions["micro/src/meter.rs: counted_from_here"], 11);
    }
}
