//! Whether a certificate is one of this ring: signed by one of its CAs, valid now, and for whom.

use crate::identity::Identity;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use std::fmt;
use std::sync::Arc;

/// Judges whoever is at the other end of a connection.
#[derive(Debug)]
pub struct Verifier {
    provider: Arc<CryptoProvider>,
    cas: Arc<RootCertStore>,
    /// The chain of who dials us.
    diallers: Arc<dyn ClientCertVerifier>,
    ring: String,
    /// Who it may be: all others, or the one that was dialled.
    hosts: Vec<String>,
}

/// A certificate of our CA that is not of whom we speak with.
#[derive(Debug)]
struct Misnamed(String);

impl fmt::Display for Misnamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misnamed {}

impl Verifier {
    /// Takes these hosts of this ring for what they are.
    pub fn new(
        provider: &Arc<CryptoProvider>,
        cas: &Arc<RootCertStore>,
        ring: &str,
        hosts: Vec<String>,
    ) -> Result<Arc<Verifier>, String> {
        let diallers = WebPkiClientVerifier::builder_with_provider(cas.clone(), provider.clone())
            .build()
            .map_err(|e| format!("the CAs cannot be used: {e}"))?;
        let (provider, cas) = (provider.clone(), cas.clone());
        Ok(Arc::new(Verifier { provider, cas, diallers, ring: ring.to_owned(), hosts }))
    }

    /// Whether it names this ring and a host that it may be.
    fn check_name(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let why = match Identity::of(certificate) {
            Err(why) => format!("its certificate is not for a ring: {why}"),
            Ok(identity) if identity.ring != self.ring => {
                format!("its certificate is of another ring: {identity}")
            }
            Ok(identity) if !self.hosts.contains(&identity.host) => match &self.hosts[..] {
                [dialled] => format!("its certificate is not of {dialled}: {identity}"),
                _ => format!("its certificate is of no other host in ring.toml: {identity}"),
            },
            Ok(_) => return Ok(()),
        };
        Err(CertificateError::Other(OtherError(Arc::new(Misnamed(why)))).into())
    }

    fn check_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }
}

/// TLS 1.2 is never offered, so that nobody comes here.
fn no_tls12() -> Error {
    Error::General("TLS 1.2 is not spoken here".into())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.cas, intermediates, now, algorithms)?;
        self.check_name(certificate)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[] // who dials has one certificate, and needs no hint
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.diallers.verify_client_cert(certificate, intermediates, now)?;
        self.check_name(certificate)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
