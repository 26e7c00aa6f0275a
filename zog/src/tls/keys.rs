//! The keys of this host as they were read last, ready to be used.

use pzog::digest::fnv1a;
use pzog::view::Certificate;
use ringkeys::{Files, Identity, Verifier, certificates, private_key, provider, store, validity};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, ParsedCertificate};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;
use std::time::Duration;

/// Who this host is among the hosts of the ring.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    /// In ring order.
    pub(crate) names: Vec<String>,
    /// Its own place.
    pub(crate) me: usize,
}

impl Hosts {
    pub(crate) fn my_name(&self) -> &str {
        &self.names[self.me]
    }
}

/// What connections are made with.
pub(crate) struct Keys {
    /// For whoever dials us.
    pub(crate) accept: Arc<ServerConfig>,
    /// For clients, of whom no certificate is wanted.
    pub(crate) accept_clients: Arc<ServerConfig>,
    /// For each host that we dial, by its place in the ring: it must be that host.
    pub(crate) dial: Vec<Arc<ClientConfig>>,
    /// When this host's own certificate and its CA expire, and which CA that is.
    pub(crate) certificate: Certificate,
}

/// A host's certificate, with those between it and a CA, and the CAs of the ring.
pub(crate) struct Chain {
    pub(crate) identity: Identity,
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    pub(crate) cas: Arc<RootCertStore>,
    /// From when until when the certificate is valid, in seconds of Unix time.
    pub(crate) validity: (u64, u64),
    /// The digest of the CA that signed it, and until when that is valid.
    pub(crate) ca: u64,
    pub(crate) ca_expires_at: u64,
}

impl Chain {
    /// Reads a host's certificate and the CAs; says what is wrong with them, but not that they have expired.
    pub(crate) fn load(files: &Files, host: &str) -> Result<Chain, String> {
        let ca_file = files.cas();
        let (cas, path) = (certificates(&ca_file)?, files.certificate(host));
        let certificates = certificates(&path)?;
        let wrong = |why: String| format!("{}: {why}", path.display());
        let identity = Identity::of(&certificates[0]).map_err(wrong)?;
        if identity.host != host {
            return Err(wrong(format!("it is the certificate of {identity}, not of {host}")));
        }
        let validity = validity(&certificates[0]).map_err(wrong)?;
        let issuer = cas.iter().find(|ca| is_signed_by(&certificates, ca));
        let Some(issuer) = issuer else {
            return Err(wrong(format!("no CA in {} has signed it", ca_file.display())));
        };
        let ca_wrong = |why: String| format!("{}: {why}", ca_file.display());
        let ca_expires_at = self::validity(issuer).map_err(ca_wrong)?.1;
        Ok(Chain {
            identity,
            cas: Arc::new(store(&cas).map_err(ca_wrong)?),
            certificates,
            validity,
            ca: fnv1a(issuer.iter().copied()),
            ca_expires_at,
        })
    }
}

/// Whether this CA has signed the first of the certificates: looked at as of the last moment at which that is valid.
pub(crate) fn is_signed_by(certificates: &[CertificateDer<'static>], ca: &CertificateDer<'static>) -> bool {
    let (Ok(parsed), Ok((_, at)), Ok(store)) = (
        ParsedCertificate::try_from(&certificates[0]),
        validity(&certificates[0]),
        store(std::slice::from_ref(ca)),
    ) else {
        return false;
    };
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
    let algorithms = provider().signature_verification_algorithms.all;
    let verified =
        verify_server_cert_signed_by_trust_anchor(&parsed, &store, &certificates[1..], at, algorithms);
    verified.is_ok()
}

impl Keys {
    /// Reads the keys of this host; says what is wrong with them, but not that they have expired.
    pub(crate) fn load(files: &Files, hosts: &Hosts) -> Result<Keys, String> {
        let chain = Chain::load(files, hosts.my_name())?;
        let path = files.key(hosts.my_name());
        let key = private_key(&path)?;
        let provider = provider();
        let verifier = |hosts: Vec<String>| Verifier::new(&provider, &chain.cas, &chain.identity.ring, hosts);
        let unusable = |e: rustls::Error| format!("{}: {}", path.display(), unusable(&e));
        let others = hosts.names.iter().filter(|name| *name != hosts.my_name()).cloned().collect();
        let accept =
            |judge| accept(&provider, judge, &chain, key.clone_key()).map(Arc::new).map_err(unusable);
        let dial = |name: &String| {
            let verifier = verifier(vec![name.clone()])?;
            dial(&provider, verifier, &chain, key.clone_key()).map(Arc::new).map_err(unusable)
        };
        Ok(Keys {
            accept: accept(verifier(others)?)?,
            accept_clients: accept(Arc::new(NoClientAuth))?,
            dial: hosts.names.iter().map(dial).collect::<Result<_, _>>()?,
            certificate: Certificate {
                expires: chain.validity.1,
                ca: chain.ca,
                ca_expires: chain.ca_expires_at,
            },
        })
    }

    /// When the own certificate and its CA expire.
    pub(crate) fn ends(&self) -> [u64; 2] {
        [self.certificate.expires, self.certificate.ca_expires]
    }
}

fn unusable(e: &rustls::Error) -> String {
    match e {
        rustls::Error::InconsistentKeys(_) => "it is not the key of the certificate beside it".into(),
        rustls::Error::InvalidCertificate(CertificateError::BadEncoding) => {
            "the certificate is damaged".into()
        }
        other => format!("it cannot be used: {other}"),
    }
}

/// How connections are accepted. Nothing is remembered of them, so that each proves itself anew.
fn accept(
    provider: &Arc<CryptoProvider>,
    judge: Arc<dyn ClientCertVerifier>,
    chain: &Chain,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(judge)
        .with_single_cert(chain.certificates.clone(), key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// How a host is dialled.
fn dial(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<Verifier>,
    chain: &Chain,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain.certificates.clone(), key)?;
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}
