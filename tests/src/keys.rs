//! A CA in the hands of a test, and the certificates, good and bad, that it makes.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use std::fs::{self, Permissions};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A CA.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Keys {
    key: KeyPair,
    certificate: rcgen::Certificate,
}

impl Authority {
    /// A new one, of the ring `lab`.
    ///
    /// # Panics
    /// If the system gives no random numbers.
    #[must_use]
    pub fn new() -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.subject_alt_names = vec![SanType::URI("zog://lab/".try_into().expect("a URI"))];
        params.distinguished_name.push(DnType::CommonName, "a CA in a test");
        let pem = params.self_signed(&key).expect("a CA").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate with this URI, valid for these days, counted from today.
    ///
    /// # Panics
    /// If the system gives no random numbers.
    #[must_use]
    pub fn issue(&self, uri: &str, days: Range<i64>) -> Keys {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(uri, days).signed_by(&key, &self.issuer).expect("a certificate");
        Keys { key, certificate }
    }

    /// Writes ca.pem, and the keys of these hosts of a ring, as the daemon wants them.
    ///
    /// # Panics
    /// If the directory cannot be written.
    pub fn write(&self, dir: &Path, ring: &str, hosts: &[&str]) {
        fs::create_dir_all(dir).expect("a directory of keys");
        fs::write(dir.join("ca.pem"), &self.pem).expect("ca.pem can be written");
        for host in hosts {
            self.issue(&format!("zog://{ring}/{host}"), -1..1).write(dir, host);
        }
    }

    /// ca.pem
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

impl Default for Authority {
    fn default() -> Authority {
        Authority::new()
    }
}

fn params(uri: &str, days: Range<i64>) -> CertificateParams {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs() as i64;
    let day = |day: i64| {
        let seconds = now + day * 24 * 3600;
        date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds as u64)
    };
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("a URI"))];
    (params.not_before, params.not_after) = (day(days.start), day(days.end));
    params
}

impl Keys {
    /// A certificate that nobody has signed but itself.
    ///
    /// # Panics
    /// If the system gives no random numbers.
    #[must_use]
    pub fn self_signed(uri: &str) -> Keys {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(uri, -1..1).self_signed(&key).expect("a certificate");
        Keys { key, certificate }
    }

    /// Writes them as a host's.
    ///
    /// # Panics
    /// If the directory cannot be written.
    pub fn write(&self, dir: &Path, host: &str) {
        let (key, certificate) = (dir.join(format!("{host}.key")), dir.join(format!("{host}.pem")));
        fs::write(&key, self.key.serialize_pem()).expect("a key can be written");
        fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("a key can be closed to others");
        fs::write(certificate, self.certificate.pem()).expect("a certificate can be written");
    }

    fn chain(&self) -> (Vec<CertificateDer<'static>>, PrivatePkcs8KeyDer<'static>) {
        (vec![self.certificate.der().clone()], self.key.serialize_der().into())
    }

    /// Shown to whoever dials us; who that is does not matter.
    ///
    /// # Panics
    /// If they do not belong together.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        let (chain, key) = self.chain();
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, key.into());
        Arc::new(config.expect("a key and its certificate"))
    }

    /// Shown to whom we dial, or nothing; who that is does not matter.
    ///
    /// # Panics
    /// If they do not belong together.
    #[must_use]
    pub fn client(keys: Option<&Keys>) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody));
        Arc::new(match keys.map(Keys::chain) {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                config.with_client_auth_cert(chain, key.into()).expect("a key and its certificate")
            }
        })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Takes everybody for whom they say they are.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
