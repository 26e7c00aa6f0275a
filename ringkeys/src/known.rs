//! How a host of a ring is dialled by somebody who has no certificate: a client.

use crate::files::certificates;
use crate::identity::Identity;
use crate::verifier::Verifier;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, Error, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// The CAs of a ring: by them its hosts are known.
#[derive(Clone, Debug)]
pub struct Known {
    ring: String,
    cas: Arc<RootCertStore>,
}

impl Known {
    /// Reads a ca.pem.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(path: &Path) -> Result<Known, String> {
        let wrong = |why: String| format!("{}: {why}", path.display());
        let cas = certificates(path)?;
        let ring = Identity::of(&cas[0]).map_err(wrong)?.ring;
        Ok(Known { ring, cas: Arc::new(store(&cas).map_err(wrong)?) })
    }

    /// How the host of this name is dialled: it must prove to be that host of the ring.
    ///
    /// # Errors
    /// Why the CAs cannot be used.
    pub fn host(&self, name: &str) -> Result<Arc<ClientConfig>, String> {
        let provider = provider();
        let verifier = Verifier::new(&provider, &self.cas, &self.ring, vec![name.to_owned()])?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| format!("TLS 1.3 cannot be had: {e}"))?;
        let verified = config.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = verified.with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(Arc::new(config))
    }
}

/// Begins TLS as the one who dials. No host is found by the name that this takes: the certificate's has a form of its own.
///
/// # Errors
/// What makes that impossible, such as a system without random numbers.
pub fn dial(config: Arc<ClientConfig>) -> Result<ClientConnection, Error> {
    let name = ServerName::try_from("host.zog").map_err(|_| Error::UnsupportedNameType)?;
    ClientConnection::new(config, name)
}

/// These CAs, to look certificates up in.
///
/// # Errors
/// Why one of them cannot be used.
pub fn store(cas: &[CertificateDer<'static>]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for ca in cas {
        store.add(ca.clone()).map_err(|e| format!("a CA in it cannot be used: {e}"))?;
    }
    Ok(store)
}

/// The cryptography.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
