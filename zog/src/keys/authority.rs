//! The ring's CA: made, changed for another one, and read to sign with.

use super::{BACKDATED, PRIVATE, PUBLIC, now, write};
use crate::tls::{Chain, is_signed_by};
use pzog::ring::is_name;
use rand::TryRng as _;
use rand::rngs::SysRng;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use ringfile::RingFile;
use ringkeys::{Files, Identity, certificates, date, private_text, validity};
use rustls::pki_types::CertificateDer;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::time::Duration;

/// How a certificate ends in a file.
const END: &str = "-----END CERTIFICATE-----";

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The CA that signs: the first in ca.pem.
pub(super) struct Authority {
    pub(super) ring: String,
    pub(super) issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub(super) fn read(files: &Files) -> Result<Authority, String> {
        let certificate = newest(files)?;
        let ca_file = files.cas();
        let identity = Identity::of(&certificate).map_err(|why| format!("{}: {why}", ca_file.display()))?;
        let key_file = files.ca_key();
        let text = private_text(&key_file)?;
        let key = std::str::from_utf8(&text).map_err(|e| e.to_string());
        let key = key.and_then(|text| KeyPair::from_pem(text).map_err(|e| e.to_string()));
        let key = key.map_err(|e| format!("{} cannot be used: {e}", key_file.display()))?;
        let issuer = Issuer::new(params(&identity.ring)?, key);
        Ok(Authority { ring: identity.ring, issuer, certificate })
    }

    /// Whether this certificate is signed by it: not, if ca.key is the key of another one.
    pub(super) fn has_signed(&self, certificate: &CertificateDer<'static>) -> bool {
        is_signed_by(std::slice::from_ref(certificate), &self.certificate)
    }
}

fn unreadable(files: &Files, e: &io::Error) -> String {
    format!("cannot read {}: {e}", files.cas().display())
}

fn newest(files: &Files) -> Result<CertificateDer<'static>, String> {
    let cas = certificates(&files.cas()).map_err(|why| format!("{why}; `zog keys init` makes the CA"))?;
    cas.into_iter().next().ok_or_else(|| "there is no CA".into())
}

/// What all CAs of a ring have in common.
fn params(ring: &str) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    name(&mut params, &Identity { ring: ring.to_owned(), host: String::new() })?;
    Ok(params)
}

/// Puts a name into a certificate: for the verifier, and for people who look at it.
pub(super) fn name(params: &mut CertificateParams, identity: &Identity) -> Result<(), String> {
    let uri = identity.to_string().try_into().map_err(|e| format!("{identity} cannot be written: {e}"))?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    params.distinguished_name.push(DnType::OrganizationName, format!("zog ring {}", identity.ring));
    let own = if identity.host.is_empty() { "CA" } else { &identity.host };
    params.distinguished_name.push(DnType::CommonName, own);
    Ok(())
}

/// From when until when a certificate is valid that is made now.
pub(super) fn limit(params: &mut CertificateParams, days: u32) {
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(now());
    params.not_before = now - BACKDATED;
    params.not_after = now + days * DAY;
}

/// A CA as it stands in its two files.
struct Made {
    certificate: String,
    key: String,
}

fn make(ring: &str, days: u32) -> Result<Made, String> {
    let failed = |e: rcgen::Error| format!("cannot make a CA: {e}");
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = params(ring)?;
    limit(&mut params, days);
    let certificate = params.self_signed(&key).map_err(failed)?.pem();
    Ok(Made { certificate, key: key.serialize_pem() })
}

/// The first CA of a ring.
pub(super) fn init(files: &Files, ring: Option<&str>, days: u32) -> Result<String, String> {
    let ring = match ring {
        None => random_id()?,
        Some(ring) if is_name(ring.as_bytes()) => ring.to_owned(),
        Some(ring) => {
            return Err(format!("{ring:?} cannot name a ring: give 1 to 32 letters, digits, '-' or '_'"));
        }
    };
    for path in [files.cas(), files.ca_key()] {
        if path.exists() {
            let path = path.display();
            return Err(format!("{path} is there already; to change the CA of a ring: `zog keys add-ca`"));
        }
    }
    let dir = files.dir();
    let created = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    created.map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
    let made = make(&ring, days)?;
    write(&files.ca_key(), &made.key, PRIVATE)?;
    write(&files.cas(), &made.certificate, PUBLIC)?;
    let (ca, key) = (files.cas(), files.ca_key());
    Ok(format!(
        "made the CA of ring {ring}: {}, for every host, and {}, for nobody but who issues keys\n",
        ca.display(),
        key.display()
    ))
}

fn random_id() -> Result<String, String> {
    let drawn = SysRng.try_next_u64().map_err(|e| format!("the system gives no random numbers: {e}"))?;
    Ok(format!("{drawn:016x}"))
}

/// Another CA beside the one that signs: hosts take certificates of both.
pub(super) fn add(files: &Files, days: u32) -> Result<String, String> {
    let before = Authority::read(files)?;
    let old = fs::read_to_string(files.cas()).map_err(|e| unreadable(files, &e))?;
    let made = make(&before.ring, days)?;
    write(&files.ca_key(), &made.key, PRIVATE)?;
    write(&files.cas(), &format!("{}{old}", made.certificate), PUBLIC)?;
    Ok(format!(
        "{} holds the new CA of ring {} and the old; {} is the new one's key, the old one's is gone\n\
         now: bring ca.pem to every host; then `zog keys issue --all --replace`, and bring each host its own; then \
         `zog keys drop-ca`, and bring ca.pem to every host again\n",
        files.cas().display(),
        before.ring,
        files.ca_key().display()
    ))
}

/// Ends the change of a CA: the newest alone stays.
pub(super) fn drop_old(files: &Files, ring: &RingFile) -> Result<String, String> {
    let newest = newest(files)?;
    for host in &ring.hosts {
        let path = files.certificate(&host.name);
        if path.exists() && !is_signed_by(&Chain::load(files, &host.name)?.certificates, &newest) {
            let path = path.display();
            return Err(format!(
                "{path} is still of the old CA: first `zog keys issue {} --replace`",
                host.name
            ));
        }
    }
    let text = fs::read_to_string(files.cas()).map_err(|e| unreadable(files, &e))?;
    let first = text.split_inclusive(END).next().unwrap_or(&text);
    write(&files.cas(), &format!("{first}\n"), PUBLIC)?;
    let (_, until) = validity(&newest)?;
    Ok(format!("{} holds the newest CA alone, valid until {}\n", files.cas().display(), date(until)))
}
