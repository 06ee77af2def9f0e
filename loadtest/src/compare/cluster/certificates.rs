//! Certificates for a cluster that lives as long as one measurement.

use std::fs;
use std::path::Path;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

use crate::client::{Dialer, Identity};

/// The names of the files that members are told of.
pub(super) const AUTHORITY: &str = "ca.crt";
/// A member's certificate.
pub(super) const CERTIFICATE: &str = "member.crt";
/// Its key.
pub(super) const KEY: &str = "member.key";

/// An authority, and one certificate that members show to clients and to each other, and clients to members.
pub(crate) struct Certificates {
    authority: String,
    identity: Identity,
}

impl Certificates {
    /// New ones.
    pub(crate) fn new() -> Result<Self> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "loadtest");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let mut member = CertificateParams::new(["localhost", "127.0.0.1", "::1"].map(str::to_owned))?;
        member.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate()?;
        let certificate = member.signed_by(&key, &authority)?;
        Ok(Self {
            authority: authority.pem(),
            identity: Identity {
                certificate: certificate.pem().into_bytes(),
                key: key.serialize_pem().into_bytes(),
            },
        })
    }

    /// Writes the files into a folder.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(AUTHORITY), &self.authority)?;
        fs::write(folder.join(CERTIFICATE), &self.identity.certificate)?;
        fs::write(folder.join(KEY), &self.identity.key)?;
        Ok(())
    }

    /// What members are reached with.
    pub(super) fn dialer(&self) -> Result<Dialer> {
        Dialer::with_tls(self.authority.as_bytes(), Some(&self.identity))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A server that asks for a certificate of the same authority and speaks HTTP/2.
    fn acceptor(certificates: &Certificates) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(certificates.authority.as_bytes()).expect("PEM");
        roots.add(authority).expect("an authority");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let identity = &certificates.identity;
        let chain = vec![CertificateDer::from_pem_slice(&identity.certificate).expect("PEM")];
        let key = PrivateKeyDer::from_pem_slice(&identity.key).expect("PEM");
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(chain, key)
            .expect("a certificate");
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Whether a server with the one's certificates and a client with the other's come to speak HTTP/2.
    async fn meet(server: &Certificates, client: &Certificates) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("https://{}", listener.local_addr().expect("an address"));
        let endpoint = endpoint.parse().expect("an address");
        let acceptor = acceptor(server);
        let serve = async {
            let (socket, _) = listener.accept().await.expect("a connection");
            match acceptor.accept(socket).await {
                Ok(socket) => h2::server::handshake(socket).await.is_ok(),
                Err(_) => false,
            }
        };
        let dialer = client.dialer().expect("certificates");
        let (served, reached) = tokio::join!(serve, dialer.open(&endpoint));
        served && reached.is_ok()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn clients_and_servers_of_one_authority_trust_each_other_and_no_others() {
        let (ours, others) = (
            Certificates::new().expect("certificates"),
            Certificates::new().expect("certificates"),
        );
        assert!(meet(&ours, &ours).await);
        assert!(!meet(&ours, &others).await);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn without_certificates_nobody_is_reached_over_tls() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("https://{}", listener.local_addr().expect("an address"));
        let error = Dialer::default()
            .open(&endpoint.parse().expect("an address"))
            .await;
        assert!(format!("{:#}", error.err().expect("no connection")).contains("--cacert"));
    }
}
