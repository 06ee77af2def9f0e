//! TLS with clients: what the settings say, read from the files, and read again when the files change.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::settings::TlsSettings;

/// What tells one content of a file from the next without reading it: inode, size and time of change.
type Stamp = Vec<Option<(u64, u64, i64, i64)>>;

/// The TLS configuration of now. Files that change are read at the next handshake, as etcd does.
pub(super) struct Tls {
    settings: TlsSettings,
    current: ArcSwap<ServerConfig>,
    read: Mutex<Stamp>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn load(settings: TlsSettings) -> Result<Self> {
        let stamp = stamp(&settings);
        let current = ArcSwap::from_pointee(server_config(&settings)?);
        Ok(Self {
            settings,
            current,
            read: Mutex::new(stamp),
        })
    }

    /// The configuration for the next handshake. Files that cannot be used, for example because a new
    /// certificate is there and its key is not yet, leave the old configuration in force until they can.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        let stamp = stamp(&self.settings);
        let mut read = self.read.lock();
        if *read != stamp {
            *read = stamp;
            match server_config(&self.settings) {
                Ok(config) => {
                    self.current.store(Arc::new(config));
                    tracing::info!(certificate = %self.settings.certificate.display(), "TLS files read again");
                }
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "TLS files changed and cannot be used; the old ones stay"
                    );
                }
            }
        }
        self.current.load_full()
    }

    /// Whether a client with these certificates may come in, names considered.
    pub(super) fn admits(&self, certificates: Option<&[CertificateDer<'_>]>) -> bool {
        let allowed = &self.settings.allowed_names;
        if allowed.is_empty() || self.settings.client_authority.is_none() {
            return true;
        }
        let Some(leaf) = certificates.and_then(|chain| chain.first()) else {
            return false;
        };
        let Ok(leaf) = webpki::EndEntityCert::try_from(leaf) else {
            return false;
        };
        allowed.iter().any(|name| {
            ServerName::try_from(name.as_str())
                .is_ok_and(|name| leaf.verify_is_valid_for_subject_name(&name).is_ok())
        })
    }
}

fn stamp(settings: &TlsSettings) -> Stamp {
    let files = [
        Some(&settings.certificate),
        Some(&settings.key),
        settings.client_authority.as_ref(),
        settings.revoked.as_ref(),
    ];
    let stamp_of = |path: &PathBuf| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    };
    files.into_iter().map(|path| path.and_then(stamp_of)).collect()
}

fn server_config(settings: &TlsSettings) -> Result<ServerConfig> {
    let provider = Arc::new(provider(&settings.cipher_suites)?);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&settings.versions)
        .context("the cipher suites and TLS versions do not go together")?;
    let builder = match &settings.client_authority {
        None => builder.with_no_client_auth(),
        Some(authority) => builder.with_client_cert_verifier(verifier(authority, settings, provider)?),
    };
    let chain = certificates(&settings.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&settings.key).map_err(|error| {
        anyhow!(
            "cannot read a private key from {}: {error}",
            settings.key.display()
        )
    })?;
    let mut config = builder.with_single_cert(chain, key).with_context(|| {
        format!(
            "{} and {} do not go together",
            settings.certificate.display(),
            settings.key.display()
        )
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn verifier(
    authority: &Path,
    settings: &TlsSettings,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority)? {
        roots
            .add(certificate)
            .with_context(|| format!("{} holds no usable CA", authority.display()))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(revoked) = &settings.revoked {
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_file_iter(revoked)
            .map_err(|error| anyhow!("cannot read {}: {error}", revoked.display()))?
            .collect();
        let lists =
            lists.map_err(|error| anyhow!("{} holds no revocation list: {error}", revoked.display()))?;
        builder = builder
            .with_crls(lists)
            .only_check_end_entity_revocation()
            .allow_unknown_revocation_status();
    }
    builder.build().context("the client CA cannot be used")
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = |error| anyhow!("cannot read certificates from {}: {error}", path.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(read)?.collect();
    match found.map_err(read)? {
        found if found.is_empty() => bail!("{} holds no certificate", path.display()),
        found => Ok(found),
    }
}

/// The cryptography, cut down to the cipher suites that were named. Go and IANA call TLS 1.2 suites alike;
/// Go also accepts TLS 1.3's, and does not let anybody switch them off.
fn provider(names: &[String]) -> Result<CryptoProvider> {
    let mut provider = ring::default_provider();
    if names.is_empty() {
        return Ok(provider);
    }
    let iana =
        |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
    let known: Vec<String> = provider.cipher_suites.iter().map(iana).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!(
            "--cipher-suites: {unknown} is not supported; there are {}",
            known.join(", ")
        );
    }
    let always = |suite: &rustls::SupportedCipherSuite| suite.tls13().is_some();
    provider
        .cipher_suites
        .retain(|suite| always(suite) || names.contains(&iana(suite)));
    Ok(provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cipher_suites_are_chosen_by_their_iana_names() {
        let chosen = provider(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned()]).unwrap();
        let tls12 = chosen
            .cipher_suites
            .iter()
            .filter(|suite| suite.tls13().is_none())
            .count();
        assert_eq!(tls12, 1);
        assert!(provider(&["TLS_RSA_WITH_RC4_128_SHA".to_owned()]).is_err());
    }

    #[test]
    fn missing_files_are_named() {
        let settings = TlsSettings {
            certificate: "nowhere/cert.pem".into(),
            key: "nowhere/key.pem".into(),
            client_authority: None,
            revoked: None,
            allowed_names: Vec::new(),
            versions: rustls::ALL_VERSIONS.to_vec(),
            cipher_suites: Vec::new(),
        };
        let error = Tls::load(settings).err().unwrap();
        assert!(format!("{error:#}").contains("nowhere/cert.pem"), "{error:#}");
    }
}
