//! Why somebody at the other end is refused, in words for error.log.

use pzog::Stamp;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// Whether the other end speaks no TLS at all.
pub(super) fn is_plain(e: &Error) -> bool {
    matches!(e, Error::InvalidMessage(InvalidMessage::InvalidContentType))
}

/// What is wrong with it. Printing characters only.
pub(super) fn words(e: &Error) -> String {
    match e {
        e if is_plain(e) => "it speaks no TLS: is tls = \"required\" in its ring.toml, too?".into(),
        Error::NoCertificatesPresented => "it shows no certificate".into(),
        Error::PeerIncompatible(_) => "it does not speak TLS 1.3".into(),
        Error::AlertReceived(AlertDescription::ProtocolVersion) => "it does not speak TLS 1.3".into(),
        Error::AlertReceived(alert) => {
            format!("it refuses this host's certificate ({alert:?}): its error.log says why")
        }
        Error::InvalidCertificate(certificate) => of_certificate(certificate),
        other => format!("TLS is broken: {other}").escape_debug().to_string(),
    }
}

fn of_certificate(e: &CertificateError) -> String {
    match e {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate has expired, on {}", date(not_after.as_secs()))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            let from = date(not_before.as_secs());
            format!("its certificate is valid only from {from} on: is a clock wrong?")
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is of no CA in this host's ca.pem".into()
        }
        CertificateError::Other(ours) => ours.to_string().escape_debug().to_string(),
        other => format!("its certificate: {other}").escape_debug().to_string(),
    }
}

/// A moment as error.log writes it.
pub(crate) fn date(utc_seconds: u64) -> String {
    Stamp::of_utc_seconds(utc_seconds).to_string()
}
