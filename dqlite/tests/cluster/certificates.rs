//! Certificates for nodes of tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use dqlite::tls::{PeerName, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, both PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A certificate for the loopback address.
    pub(crate) fn issue(&self) -> Identity {
        self.sign(params())
    }

    /// A certificate that is good no more.
    pub(crate) fn issue_expired(&self) -> Identity {
        let mut params = params();
        let day = Duration::from_secs(24 * 60 * 60);
        params.not_before = (SystemTime::now() - 2 * day).into();
        params.not_after = (SystemTime::now() - day).into();
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

fn params() -> CertificateParams {
    CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap()
}

/// What `openssl req -x509` makes, and go-dqlite's clusters share: signed by itself, an authority by its own words.
pub(crate) fn shared(expired: bool) -> Identity {
    let mut params = CertificateParams::new(vec!["cluster.example".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    if expired {
        params.not_after = (SystemTime::now() - Duration::from_secs(60)).into();
    }
    let key = KeyPair::generate().unwrap();
    Identity {
        certificate: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

/// Settings with these in files of a folder.
pub(crate) fn settings(folder: &Path, identity: &Identity, authority: &str) -> TlsSettings {
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    TlsSettings::new(
        file("node.crt", &identity.certificate),
        file("node.key", &identity.key),
        file("ca.crt", authority),
    )
}

/// Settings of nodes that all have the same certificate.
pub(crate) fn shared_settings(folder: &Path, identity: &Identity) -> TlsSettings {
    TlsSettings {
        peer_name: PeerName::Own,
        ..settings(folder, identity, &identity.certificate)
    }
}
