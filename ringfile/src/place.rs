//! Where ring.toml is looked for, the same for the daemon and its clients.

use std::path::{Path, PathBuf};

/// The environment variable that names the file where the command line does not.
pub const VARIABLE: &str = "ZOG_CONFIG";

const HERE: &str = "ring.toml";
const SYSTEM: &str = "/etc/zog/ring.toml";

/// The file that was named, by an option or by [`VARIABLE`]; else `ring.toml` in this directory if it is there,
/// else `/etc/zog/ring.toml` if that is there. Where there is none, it is said of the first one.
#[must_use]
pub fn ring_file(named: Option<&Path>) -> PathBuf {
    named.unwrap_or_else(|| first_there(Path::new(HERE), Path::new(SYSTEM))).to_owned()
}

fn first_there<'p>(here: &'p Path, system: &'p Path) -> &'p Path {
    if here.exists() || !system.exists() { here } else { system }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_is_named_is_taken_whether_it_is_there_or_not() {
        assert_eq!(ring_file(Some(Path::new("no/such.toml"))), Path::new("no/such.toml"));
    }

    #[test]
    fn this_directory_s_file_goes_before_the_system_s() {
        let dir = tempfile::tempdir().unwrap();
        let [here, system] = ["here", "system"].map(|name| dir.path().join(name));
        assert_eq!(first_there(&here, &system), here);
        std::fs::write(&system, "").unwrap();
        assert_eq!(first_there(&here, &system), system);
        std::fs::write(&here, "").unwrap();
        assert_eq!(first_there(&here, &system), here);
    }
}
