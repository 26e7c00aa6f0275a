//! Why somebody at the other end is refused, in words for a person.

use pzog::Stamp;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// With what the records begin that an end of TLS may say first. No line begins with them.
const HANDSHAKE: u8 = 0x16;
const ALERT: u8 = 0x15;

/// Bytes that are shown of what is no TLS.
const SHOWN: usize = 160;

/// Whether somebody who begins so wants to speak TLS.
#[must_use]
pub fn begins_tls(bytes: &[u8]) -> bool {
    bytes.first() == Some(&HANDSHAKE)
}

/// Whether the other end speaks no TLS at all.
#[must_use]
pub fn is_plain(e: &Error) -> bool {
    matches!(e, Error::InvalidMessage(InvalidMessage::InvalidContentType))
}

/// The first line of whoever answers the beginning of TLS without TLS; none where it is TLS. Printing characters only.
#[must_use]
pub fn said_plainly(bytes: &[u8]) -> Option<String> {
    if bytes.first().is_none_or(|first| [HANDSHAKE, ALERT].contains(first)) {
        return None;
    }
    let line = bytes.split(|b| [b'\r', b'\n'].contains(b)).next().unwrap_or_default();
    Some(line[..line.len().min(SHOWN)].escape_ascii().to_string())
}

/// What is wrong with it. Printing characters only.
#[must_use]
pub fn words(e: &Error) -> String {
    match e {
        e if is_plain(e) => "it speaks no TLS".into(),
        Error::NoCertificatesPresented => "it shows no certificate".into(),
        Error::PeerIncompatible(_) => "it does not speak TLS 1.3".into(),
        Error::AlertReceived(AlertDescription::ProtocolVersion) => "it does not speak TLS 1.3".into(),
        Error::AlertReceived(alert) => format!("it refuses our certificate ({alert:?})"),
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
            "its certificate is of no CA in our ca.pem".into()
        }
        CertificateError::Other(ours) => ours.to_string().escape_debug().to_string(),
        other => format!("its certificate: {other}").escape_debug().to_string(),
    }
}

/// A moment as error.log writes it.
#[must_use]
pub fn date(utc_seconds: u64) -> String {
    Stamp::of_utc_seconds(utc_seconds).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_in_plain_text_is_quoted_and_harmless() {
        assert_eq!(said_plainly(b"ERR 502 no\x1b[2J\r\nmore").as_deref(), Some("ERR 502 no\\x1b[2J"));
        assert_eq!(said_plainly(b"\r\n").as_deref(), Some(""));
        assert_eq!(said_plainly(&[b'x'; 1000]).unwrap().len(), SHOWN);
        for tls in [&b""[..], b"\x16\x03\x03", b"\x15"] {
            assert_eq!(said_plainly(tls), None);
        }
    }
}
