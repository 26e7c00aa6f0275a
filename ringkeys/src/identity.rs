//! Who a certificate is for: `zog://<ring>/<host>`, or `zog://<ring>/` for a CA, as the one URI among its names.

use pzog::ring::is_name;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::fmt;
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage};

const SCHEME: &str = "zog://";

/// A host of a ring, by names that stay when the order of the ring changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The ring's id, drawn when its first CA was made.
    pub ring: String,
    /// The host's name in ring.toml; empty in a CA.
    pub host: String,
}

impl Identity {
    /// What a certificate says.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Identity, String> {
        let parsed = parse(certificate)?;
        let mut found = parsed.valid_uri_names().filter_map(Identity::parse);
        match (found.next(), found.next()) {
            (Some(identity), None) => Ok(identity),
            (None, _) => Err("it names no host of a ring (no URI zog://<ring>/<host>)".into()),
            (Some(_), Some(_)) => Err("it names several hosts".into()),
        }
    }

    fn parse(uri: &str) -> Option<Identity> {
        let (ring, host) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        let is_right = is_name(ring.as_bytes()) && (host.is_empty() || is_name(host.as_bytes()));
        is_right.then(|| Identity { ring: ring.to_owned(), host: host.to_owned() })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.ring, self.host)
    }
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<EndEntityCert<'a>, String> {
    EndEntityCert::try_from(certificate).map_err(|e| format!("it is no certificate that can be used ({e})"))
}

/// From when until when a certificate is valid, in seconds of Unix time.
///
/// Asked of whoever judges it: at the beginning of time it is not valid yet, at the end of time no longer, and the
/// refusals say since when and until when. Nothing is looked at before that.
pub fn validity(certificate: &CertificateDer<'_>) -> Result<(u64, u64), String> {
    let parsed = parse(certificate)?;
    let refusal_at = |time: u64| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(time));
        parsed.verify_for_usage(&[], &[], &[], at, KeyUsage::client_auth(), None, None).err()
    };
    let not_before = match refusal_at(0) {
        Some(webpki::Error::CertNotValidYet { not_before, .. }) => not_before.as_secs(),
        Some(webpki::Error::InvalidCertValidity) => return Err("it ends before it begins".into()),
        _ => 0,
    };
    match refusal_at(u64::MAX) {
        Some(webpki::Error::CertExpired { not_after, .. }) => Ok((not_before, not_after.as_secs())),
        _ => Err("it does not say until when it is valid".into()),
    }
}
