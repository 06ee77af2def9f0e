//! One client's connection: handshake, supervision, HTTP/1.1 or HTTP/2, and an orderly end.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::bind::Stream;
use super::driven::drive;
use super::gathered::Gathered;
use super::requests::{Begun, Requests};
use super::supervised::Supervised;
use super::tls::Tls;
use crate::door::Door;
use crate::settings::Keepalive;

/// How long a client may take to shake hands.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to hear what was said before the end.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an HTTP/1.1 client may take to send a request's headers; etcd's figure.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// What a client may send on one stream before it must wait for us, twice HTTP/2's default.
const STREAM_WINDOW: u32 = 128 << 10;
/// The same for all streams of a connection, which bounds what a connection can make us hold. The HTTP library ends a
/// connection of which small frames are not read, when what they lack of 256 octets is half of this. A stream that is not
/// read, because the client reads none of its answers, must fill its own window before that: with messages of 7 octets.
const CONNECTION_WINDOW: u32 = 12 << 20;
/// Streams that a client may open and reset before we looked at them; kube-apiserver drops watches by the hundred.
const PENDING_RESETS: usize = 2048;

/// How connections are served.
#[derive(Clone)]
pub(super) struct Manner {
    pub(super) keepalive: Keepalive,
    pub(super) max_concurrent_streams: u32,
    pub(super) stopping: CancellationToken,
    /// Where requests go on that take long in the processor.
    pub(super) aside: Handle,
}

/// Serves a connection until either side ends it; after `stopping`, until its requests are answered.
pub(super) async fn serve(
    stream: Box<dyn Stream>,
    tls: Option<Arc<Tls>>,
    door: Door,
    manner: Manner,
) -> Result<()> {
    match tls {
        None => converse(stream, door, &manner).await,
        Some(tls) => {
            let handshake = TlsAcceptor::from(tls.current()).accept(stream);
            let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake)
                .await
                .context("TLS handshake took too long")?
                .context("TLS handshake failed")?;
            if !tls.admits(stream.get_ref().1.peer_certificates()) {
                bail!("the client's certificate carries none of the allowed names");
            }
            converse(stream, door, &manner).await
        }
    }
}

async fn converse<S: Stream>(stream: S, door: Door, manner: &Manner) -> Result<()> {
    let requests = Requests::new(manner.aside.clone());
    let builder = builder(manner, requests.begun());
    let stream = Gathered::new(stream);
    let supervised = Supervised::new(stream.clone(), manner.keepalive.min_time);
    let connection = builder.serve_connection(TokioIo::new(supervised), door);
    let mut driven = std::pin::pin!(drive(connection, requests, stream.clone()));
    let ended = tokio::select! {
        ended = driven.as_mut() => ended,
        () = manner.stopping.cancelled() => {
            driven.as_mut().connection().graceful_shutdown();
            driven.await
        }
    };
    let last_words = poll_fn(|context| stream.write_out(context));
    let _unheard = tokio::time::timeout(LAST_WORDS_TIMEOUT, last_words).await;
    ended.map_err(|error| anyhow!(error))
}

fn builder(manner: &Manner, begun: Begun) -> auto::Builder<Begun> {
    let mut builder = auto::Builder::new(begun);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(manner.keepalive.interval)
        .keep_alive_timeout(manner.keepalive.timeout)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_concurrent_streams(manner.max_concurrent_streams);
    builder
}
