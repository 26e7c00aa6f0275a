//! Keys and certificates of hosts.

use super::authority::{self, Authority};
use super::{PRIVATE, PUBLIC, write};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use ringfile::RingFile;
use ringkeys::{Files, Identity};
use std::fmt::Write as _;

/// Makes a key and a certificate for each of these hosts, and tells which.
pub(super) fn issue(
    files: &Files,
    ring: &RingFile,
    names: &[String],
    all: bool,
    days: u32,
    replace: bool,
) -> Result<String, String> {
    let authority = Authority::read(files)?;
    let hosts: Vec<&str> = ring.hosts.iter().map(|h| h.name.as_str()).collect();
    if let Some(unknown) = names.iter().find(|name| !hosts.contains(&name.as_str())) {
        return Err(format!("there is no host {unknown:?} in the ring; its hosts are {}", hosts.join(", ")));
    }
    let chosen = if all { hosts } else { names.iter().map(String::as_str).collect() };
    let is_there = |name: &&&str| files.certificate(name).exists() || files.key(name).exists();
    if let Some(there) = chosen.iter().find(is_there).filter(|_| !replace) {
        let path = files.certificate(there);
        let path = path.display();
        return Err(format!(
            "{path} or its key is there already, nothing was made; --replace makes new ones"
        ));
    }
    let mut told = String::new();
    for name in chosen {
        let (key, certificate) = make(&authority, name, days)?;
        // The key first: a daemon takes both once neither changes any more.
        write(&files.key(name), &key, PRIVATE)?;
        write(&files.certificate(name), &certificate, PUBLIC)?;
        let (certificate, key) = (files.certificate(name), files.key(name));
        let _ = writeln!(told, "{name}: {} and {}, {days} days", certificate.display(), key.display());
    }
    Ok(told)
}

/// The key and the certificate of a host.
fn make(authority: &Authority, host: &str, days: u32) -> Result<(String, String), String> {
    let failed = |e: rcgen::Error| format!("cannot make a certificate: {e}");
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    let identity = Identity { ring: authority.ring.clone(), host: host.to_owned() };
    authority::name(&mut params, &identity)?;
    authority::limit(&mut params, days);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &authority.issuer).map_err(failed)?;
    if !authority.has_signed(certificate.der()) {
        return Err("ca.key is not the key of the first CA in ca.pem: nothing was made".into());
    }
    Ok((key.serialize_pem(), certificate.pem()))
}
