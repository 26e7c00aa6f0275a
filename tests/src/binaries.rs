//! Where the programs under test are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command for the daemon: `$ZOG_BIN`, or the one that was built beside this test.
#[must_use]
pub fn zog() -> Command {
    Command::new(find("zog", "ZOG_BIN"))
}

/// The same, for a process that may have only so many files open.
pub(crate) fn zog_with_open_files(files: u64) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={files}:{files}")).arg(find("zog", "ZOG_BIN"));
    command
}

/// A command for the client: `$SPROG_BIN`, or the one that was built beside this test.
#[must_use]
pub fn sprog() -> Command {
    Command::new(find("sprog", "SPROG_BIN"))
}

fn find(name: &str, variable: &str) -> PathBuf {
    let path = env::var_os(variable).map_or_else(|| beside_this_test(name), PathBuf::from);
    assert!(
        path.is_file(),
        "{} does not exist: run `cargo build --workspace` first, or set {variable}",
        path.display()
    );
    path
}

/// Tests are in `target/PROFILE/deps`, programs one level up.
fn beside_this_test(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    test.parent().and_then(Path::parent).expect("a test lies in target/PROFILE/deps").join(name)
}
