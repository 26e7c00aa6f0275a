//! The files of a directory of keys.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes of a file of certificates or of a key; more of them are no such file.
const BYTES_MAX: u64 = 1 << 20;

/// Where the keys of a host are. `ca.key` is there only where keys are issued.
#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// Those of this directory.
    #[must_use]
    pub fn of(dir: &Path) -> Files {
        Files { dir: dir.to_owned() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The CAs of the ring: one, or while it is changed the old and the new one.
    pub fn cas(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The key of the CA.
    pub fn ca_key(&self) -> PathBuf {
        self.dir.join("ca.key")
    }

    /// The certificate of a host.
    pub fn certificate(&self, host: &str) -> PathBuf {
        self.dir.join(format!("{host}.pem"))
    }

    /// The key of a host.
    pub fn key(&self, host: &str) -> PathBuf {
        self.dir.join(format!("{host}.key"))
    }

    /// What tells that a file is another one than before: of all that a host's daemon reads.
    pub fn state(&self, host: &str) -> Vec<Option<(u64, i64, i64, u64)>> {
        let state = |path: PathBuf| {
            let about = fs::metadata(path).ok()?;
            Some((about.ino(), about.mtime(), about.mtime_nsec(), about.len()))
        };
        [self.cas(), self.certificate(host), self.key(host)].map(state).into()
    }
}

/// The certificates in a file, at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let (text, _) = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(format!("{} holds no certificate (PEM)", path.display())),
        Err(e) => Err(format!("{} is no file of certificates (PEM): {e}", path.display())),
    }
}

/// A private key, in a file that nobody else may read.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = private_text(path)?;
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|e| format!("{} is no file of a private key (PEM): {e}", path.display()))
}

/// The text of a file that nobody else may read.
pub fn private_text(path: &Path) -> Result<Vec<u8>, String> {
    let (text, mode) = read(path)?;
    if mode & 0o077 != 0 {
        let (path, mode) = (path.display(), mode & 0o777);
        return Err(format!("{path} is open to others (mode {mode:03o}): `chmod 600 {path}`"));
    }
    Ok(text)
}

/// The bytes of a file, and its mode.
fn read(path: &Path) -> Result<(Vec<u8>, u32), String> {
    let failed = |e| format!("cannot read {}: {e}", path.display());
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok((bytes, mode))
}
