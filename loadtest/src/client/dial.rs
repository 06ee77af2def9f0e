//! How servers are reached: plainly, or with TLS both ways.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use http::Uri;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Connection, WINDOW};

/// Opens connections. An `http://` endpoint is spoken to plainly, an `https://` one with the certificates that the
/// dialer was given.
#[derive(Clone, Debug, Default)]
pub struct Dialer {
    tls: Option<Arc<ClientConfig>>,
}

/// Certificates and a key in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The certificate, with its chain.
    pub(crate) certificate: Vec<u8>,
    /// Its private key.
    pub(crate) key: Vec<u8>,
}

/// A socket of either kind.
trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

impl Dialer {
    /// Trusts servers whose certificate one of the authorities has signed, and shows them a certificate if it has
    /// one. All in PEM.
    pub(crate) fn with_tls(authorities: &[u8], identity: Option<&Identity>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities) {
            roots.add(authority.context("the authority's certificate is no PEM")?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match identity {
            None => config.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>();
                let key = PrivateKeyDer::from_pem_slice(key).context("the key is no PEM")?;
                config.with_client_auth_cert(chain.context("the certificate is no PEM")?, key)?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            tls: Some(Arc::new(config)),
        })
    }

    /// The same, from files: the authorities', the client's certificate and its key.
    pub(crate) fn from_files(authorities: &Path, identity: Option<(&Path, &Path)>) -> Result<Self> {
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let identity = identity.map(|(certificate, key)| {
            anyhow::Ok(Identity {
                certificate: read(certificate)?,
                key: read(key)?,
            })
        });
        Self::with_tls(&read(authorities)?, identity.transpose()?.as_ref())
    }

    /// Connects to `endpoint`, such as `http://127.0.0.1:2379`, and serves the connection from a task of the
    /// current runtime.
    pub(crate) async fn open(&self, endpoint: &Uri) -> Result<Connection> {
        self.open_with_window(endpoint, WINDOW).await
    }

    /// The same with so many bytes of answers under way at most.
    pub(crate) async fn open_with_window(&self, endpoint: &Uri, window: u32) -> Result<Connection> {
        let address = address_of(endpoint)?;
        let socket = TcpStream::connect(&address)
            .await
            .with_context(|| format!("cannot reach {address}"))?;
        self.speak(socket, endpoint, window).await
    }

    /// Speaks HTTP/2 on a socket that is connected already, with TLS if the endpoint wants it.
    pub(crate) async fn speak(&self, socket: TcpStream, endpoint: &Uri, window: u32) -> Result<Connection> {
        socket.set_nodelay(true)?;
        match endpoint.scheme_str() {
            Some("https") => {
                let socket = self.secured(socket, endpoint, None).await?;
                Connection::over(socket, endpoint, window).await
            }
            _ => Connection::over(socket, endpoint, window).await,
        }
    }

    async fn secured(
        &self,
        socket: TcpStream,
        endpoint: &Uri,
        protocol: Option<&[u8]>,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let config = self.tls.clone();
        let mut config = config.with_context(|| format!("{endpoint} needs certificates: give --cacert"))?;
        if let Some(protocol) = protocol {
            Arc::make_mut(&mut config).alpn_protocols = vec![protocol.to_vec()];
        }
        let host = endpoint.host().unwrap_or_default().trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned())?;
        TlsConnector::from(config)
            .connect(name, socket)
            .await
            .with_context(|| format!("no TLS with {endpoint}"))
    }

    /// The body of a page that the server shows over HTTP/1, such as `/metrics`.
    pub(crate) async fn page(&self, endpoint: &Uri, path: &str) -> Result<String> {
        let address = address_of(endpoint)?;
        let socket = TcpStream::connect(&address).await?;
        let mut socket: Box<dyn Socket> = match endpoint.scheme_str() {
            Some("https") => Box::new(self.secured(socket, endpoint, Some(b"http/1.1")).await?),
            _ => Box::new(socket),
        };
        // HTTP/1.0: the end of the connection is the end of the page, and nothing comes in chunks.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let ended = socket.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        anyhow::ensure!(head.contains(" 200 "), "no page {path} at {endpoint}");
        // A server may leave out TLS's own farewell.
        if body.is_empty() {
            ended?;
        }
        Ok(body.to_owned())
    }
}

/// Host and port of an endpoint.
pub(crate) fn address_of(endpoint: &Uri) -> Result<String> {
    anyhow::ensure!(
        matches!(endpoint.scheme_str(), Some("http" | "https")),
        "only http:// and https:// endpoints are supported: {endpoint}"
    );
    let authority = endpoint
        .authority()
        .with_context(|| format!("no host in {endpoint}"))?;
    let port = authority
        .port_u16()
        .with_context(|| format!("no port in {endpoint}"))?;
    Ok(format!("{}:{port}", authority.host()))
}
