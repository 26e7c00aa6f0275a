//! What hosts tell of their certificates and of the protection of their links, and what is wrong with it.

use crate::ask::{Answer, Fact, Told};
use crate::table::days;
use ringfile::{RingFile, Tls};

/// A certificate that is valid for less than this many seconds is pointed out.
const SOON: u64 = 30 * 24 * 3600;

/// For how long its certificate is valid.
pub(super) fn shown(told: &Told) -> String {
    told.certificate_left().map_or_else(|| "-".into(), days)
}

/// Where it is otherwise than ring.toml wants, than with most hosts, or about to end; `ca` is that of most.
pub(super) fn faults(file: &RingFile, told: &Told, ca: Option<&str>) -> Vec<String> {
    let certificate = told.certificate();
    let mut faults: Vec<String> = certificate.into_iter().flat_map(|it| of_certificate(it, ca)).collect();
    if file.tls == Tls::Required {
        let open = told.of_kind("peer").filter(|peer| peer.value("tls") == Some("off"));
        faults.extend(open.map(|peer| format!("ITS LINK WITH {} IS NOT PROTECTED", peer.word(1))));
        if certificate.is_none() {
            faults.push("HAS NO CERTIFICATE".into());
        }
    }
    faults
}

fn of_certificate(certificate: &Fact, ca: Option<&str>) -> Vec<String> {
    let mut faults = Vec::new();
    let ends = [("left_s", "ITS CERTIFICATE"), ("ca_left_s", "THE CA OF ITS CERTIFICATE")];
    for (left, what) in ends.map(|(key, what)| (certificate.number(key), what)) {
        match left {
            0 => faults.push(format!("{what} HAS EXPIRED")),
            1..SOON => faults.push(format!("{what} EXPIRES in {}", days(left))),
            _ => {}
        }
    }
    if certificate.value("ca") != ca {
        faults.push("ITS CERTIFICATE IS OF ANOTHER CA than those of most".into());
    }
    faults
}

/// The CA that has signed the certificates of most; of several, the last in order.
pub(super) fn ca_of_most(answers: &[Answer]) -> Option<String> {
    let ca = |answer: &Answer| Some(answer.as_ref().ok()?.certificate()?.value("ca")?.to_owned());
    super::most_common(answers.iter().filter_map(ca))
}
