//! What the TLS files hold, and whether they changed.

use std::fmt::Display;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::trust::Trust;
use super::{Configurations, PeerName, TlsError, TlsSettings, server_name};

/// What tells one content of the files from the next without reading them: inode, size and time of change.
pub(super) type Stamp = [Option<(u64, u64, i64, i64)>; 3];

pub(super) fn stamp(settings: &TlsSettings) -> Stamp {
    [&settings.certificate, &settings.key, &settings.authority].map(|path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    })
}

pub(super) fn configurations(settings: &TlsSettings) -> Result<Configurations, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let trust = Arc::new(trust(settings, &provider)?);
    let server = server(settings, Arc::clone(&provider), Arc::clone(&trust))?;
    let client = client(settings, provider, trust)?;
    Ok(Configurations {
        server: Arc::new(server),
        client: Arc::new(client),
        peer_name: peer_name(settings)?,
    })
}

fn peer_name(settings: &TlsSettings) -> Result<Option<ServerName<'static>>, TlsError> {
    match &settings.peer_name {
        PeerName::Host => Ok(None),
        PeerName::Fixed(name) => server_name(name).map(Some),
        PeerName::Own => own_name(&settings.certificate).map(Some),
    }
}

fn own_name(path: &Path) -> Result<ServerName<'static>, TlsError> {
    let chain = certificates(path)?;
    let leaf = webpki::EndEntityCert::try_from(&chain[0]).map_err(|what| unusable(path, what))?;
    match leaf.valid_dns_names().next() {
        Some(name) => server_name(name),
        None => Err(unusable(path, "its certificate carries no DNS name")),
    }
}

fn server(
    settings: &TlsSettings,
    provider: Arc<CryptoProvider>,
    trust: Arc<Trust>,
) -> Result<ServerConfig, TlsError> {
    let (chain, key) = identity(settings)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_client_cert_verifier(trust)
                .with_single_cert(chain, key)
        })
        .map_err(|source| mismatch(settings, source))?;
    config.alpn_protocols.clone_from(&settings.accepted_protocols);
    Ok(config)
}

fn client(
    settings: &TlsSettings,
    provider: Arc<CryptoProvider>,
    trust: Arc<Trust>,
) -> Result<ClientConfig, TlsError> {
    let (chain, key) = identity(settings)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            let builder = builder.dangerous().with_custom_certificate_verifier(trust);
            builder.with_client_auth_cert(chain, key)
        })
        .map_err(|source| mismatch(settings, source))?;
    config.alpn_protocols.clone_from(&settings.dialled_protocols);
    Ok(config)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(settings: &TlsSettings) -> Result<Identity, TlsError> {
    let chain = certificates(&settings.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&settings.key).map_err(|what| unusable(&settings.key, what))?;
    Ok((chain, key))
}

fn trust(settings: &TlsSettings, provider: &Arc<CryptoProvider>) -> Result<Trust, TlsError> {
    let path = &settings.authority;
    let certificates = certificates(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots
            .add(certificate.clone())
            .map_err(|what| unusable(path, what))?;
    }
    Trust::new(roots, certificates, provider).map_err(|what| unusable(path, what))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|what| unusable(path, what))?
        .collect();
    match found.map_err(|what| unusable(path, what))? {
        found if found.is_empty() => Err(unusable(path, "it holds no certificate")),
        found => Ok(found),
    }
}

fn unusable(path: &Path, what: impl Display) -> TlsError {
    TlsError::File {
        path: PathBuf::from(path),
        what: what.to_string(),
    }
}

fn mismatch(settings: &TlsSettings, source: rustls::Error) -> TlsError {
    TlsError::Mismatch {
        certificate: settings.certificate.clone(),
        key: settings.key.clone(),
        source,
    }
}
