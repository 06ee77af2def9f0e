use std::fs;
use std::io;
use std::time::Duration;

use dqlite::tls::{PeerName, Tls, TlsSettings};
use tempfile::tempdir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::certificates::{Authority, Identity, settings, shared, shared_settings};

const SOON: Duration = Duration::from_secs(10);

fn tls(identity: &Identity, authority: &Authority) -> Tls {
    let folder = tempdir().unwrap();
    Tls::load(settings(folder.path(), identity, &authority.certificate())).unwrap()
}

/// One byte there and one back: under TLS 1.3 a server's refusal arrives only then.
async fn meet(server: &Tls, client: &Tls, address: &str) -> io::Result<()> {
    let (ours, theirs) = duplex(1 << 16);
    let accepting = async {
        let mut stream = server.accept(ours, SOON).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.flush().await
    };
    let connecting = async {
        let mut stream = client.connect(theirs, address).await?;
        stream.write_u8(7).await?;
        stream.flush().await?;
        assert_eq!(stream.read_u8().await?, 7);
        Ok(())
    };
    let (accepted, connected) = tokio::join!(accepting, connecting);
    accepted.and(connected)
}

fn assert_refused(outcome: io::Result<()>, why: &str) {
    let error = outcome.expect_err("it is refused").to_string();
    assert!(error.contains(why), "{error}");
}

#[tokio::test]
async fn nodes_of_one_authority_meet_by_host() {
    let authority = Authority::new("ours");
    let (one, two) = (
        tls(&authority.issue(), &authority),
        tls(&authority.issue(), &authority),
    );
    meet(&one, &two, "127.0.0.1:9000").await.unwrap();
    meet(&two, &one, "localhost:9000").await.unwrap();
    assert_refused(meet(&one, &two, "other.example:9000").await, "BadCertificate");
}

#[tokio::test]
async fn another_authority_is_refused_on_both_sides() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let good = tls(&ours.issue(), &ours);
    let stranger = tls(&theirs.issue(), &ours);
    assert_refused(meet(&good, &stranger, "127.0.0.1:1").await, "UnknownIssuer");
    let believer = tls(&ours.issue(), &theirs);
    assert_refused(meet(&good, &believer, "127.0.0.1:1").await, "UnknownCA");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_on_both_sides() {
    let authority = Authority::new("ours");
    let (good, late) = (
        tls(&authority.issue(), &authority),
        tls(&authority.issue_expired(), &authority),
    );
    assert_refused(meet(&good, &late, "127.0.0.1:1").await, "certificate expired");
    assert_refused(meet(&late, &good, "127.0.0.1:1").await, "CertificateExpired");
}

#[tokio::test]
async fn nodes_that_share_a_certificate_of_go_dqlite_meet() {
    let (folder, identity) = (tempdir().unwrap(), shared(false));
    let tls = Tls::load(shared_settings(folder.path(), &identity)).unwrap();
    meet(&tls, &tls, "10.0.0.1:9000").await.unwrap();
    let named = TlsSettings {
        peer_name: PeerName::Fixed("other.example".to_owned()),
        ..shared_settings(folder.path(), &identity)
    };
    let named = Tls::load(named).unwrap();
    assert_refused(meet(&tls, &named, "10.0.0.1:9000").await, "BadCertificate");
}

#[tokio::test]
async fn a_shared_certificate_is_no_way_in_for_another_nor_when_expired() {
    let (folder, other) = (tempdir().unwrap(), tempdir().unwrap());
    let ours = shared(false);
    let tls = Tls::load(shared_settings(folder.path(), &ours)).unwrap();
    let mut stranger = shared_settings(other.path(), &shared(false));
    stranger.authority = folder.path().join("ca.crt");
    let stranger = Tls::load(stranger).unwrap();
    let refused = meet(&tls, &stranger, "10.0.0.1:1").await;
    assert!(
        refused.is_err(),
        "a certificate that was not handed to us is let in"
    );
    let folder = tempdir().unwrap();
    let late = Tls::load(shared_settings(folder.path(), &shared(true))).unwrap();
    assert_refused(meet(&late, &late, "10.0.0.1:1").await, "CertificateExpired");
}

#[tokio::test]
async fn a_peer_without_a_certificate_or_without_tls_is_refused() {
    let authority = Authority::new("ours");
    let server = tls(&authority.issue(), &authority);
    let (ours, mut theirs) = duplex(1 << 16);
    theirs.write_all(b"plain text, and no TLS at all").await.unwrap();
    let error = server.accept(ours, SOON).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");

    let anonymous = anonymous(&authority);
    let (ours, theirs) = duplex(1 << 16);
    let name = "localhost".try_into().unwrap();
    let (accepted, _) = tokio::join!(server.accept(ours, SOON), anonymous.connect(name, theirs));
    let error = accepted.unwrap_err().to_string();
    assert!(error.contains("peer sent no certificates"), "{error}");
}

fn anonymous(authority: &Authority) -> tokio_rustls::TlsConnector {
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tokio_rustls::TlsConnector::from(std::sync::Arc::new(config))
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stalls_is_given_up() {
    let authority = Authority::new("ours");
    let (ours, _theirs) = duplex(1 << 16);
    let error = tls(&authority.issue(), &authority)
        .accept(ours, SOON)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn certificates_that_rotate_are_used_and_bad_ones_are_not() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let folder = tempdir().unwrap();
    let rotating = Tls::load(settings(folder.path(), &old.issue(), &old.certificate())).unwrap();
    let (before, after) = (tls(&old.issue(), &old), tls(&new.issue(), &new));
    meet(&rotating, &before, "127.0.0.1:1").await.unwrap();

    fs::write(folder.path().join("node.key"), "half written").unwrap();
    meet(&rotating, &before, "127.0.0.1:1").await.unwrap();

    settings(folder.path(), &new.issue(), &new.certificate());
    meet(&rotating, &after, "127.0.0.1:1").await.unwrap();
    meet(&after, &rotating, "127.0.0.1:1").await.unwrap();
    assert!(meet(&rotating, &before, "127.0.0.1:1").await.is_err());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new("ours");
    let folder = tempdir().unwrap();
    let good = settings(folder.path(), &authority.issue(), &authority.certificate());
    let other = tempdir().unwrap();
    let unrelated = settings(other.path(), &authority.issue(), "no certificate in here");
    let cases = [
        (
            TlsSettings {
                certificate: "nowhere.crt".into(),
                ..good.clone()
            },
            "nowhere.crt",
        ),
        (
            TlsSettings {
                key: "nowhere.key".into(),
                ..good.clone()
            },
            "nowhere.key",
        ),
        (
            TlsSettings {
                authority: unrelated.authority,
                ..good.clone()
            },
            "it holds no certificate",
        ),
        (
            TlsSettings {
                key: unrelated.key,
                ..good.clone()
            },
            "do not go together",
        ),
        (
            TlsSettings {
                peer_name: PeerName::Fixed("a b".to_owned()),
                ..good
            },
            "a b",
        ),
    ];
    for (settings, expected) in cases {
        let error = Tls::load(settings).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
