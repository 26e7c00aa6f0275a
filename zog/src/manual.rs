//! Shell completions and manual pages, made from the command line's types.

use crate::cli::Cli;
use crate::exit::{Exit, Failed};
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use std::io::{self, Write};
use std::path::Path;

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) -> Result<Exit, Failed> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "zog", &mut script);
    print(&script)
}

/// Prints the manual page, or writes all pages to a directory.
pub(crate) fn man(dir: Option<&Path>) -> Result<Exit, Failed> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        let rendered = Man::new(Cli::command()).render(&mut page);
        return rendered.map_err(stdout_failed).and_then(|()| print(&page));
    };
    std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir)).map_err(
        |e| Failed::new(Exit::Io, format!("cannot write the manual pages to {}: {e}", dir.display())),
    )?;
    Ok(Exit::Success)
}

/// Whoever closes the pipe has seen enough.
fn print(bytes: &[u8]) -> Result<Exit, Failed> {
    match io::stdout().write_all(bytes) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(stdout_failed(e)),
        _ => Ok(Exit::Success),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn stdout_failed(e: io::Error) -> Failed {
    Failed::new(Exit::Io, format!("cannot write to standard output: {e}"))
}
