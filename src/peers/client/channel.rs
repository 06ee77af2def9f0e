//! One HTTP/2 connection to a member.

use std::pin::Pin;
use std::task::{Context, Poll};

use actors::PeerError;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use proto::peer::peer_client::PeerClient;
use tonic::body::Body;
use tower::Service;

use crate::peers::errors::with_sources;
use crate::peers::{CONNECTION_WINDOW, Connector, MESSAGE_BYTES_MAX, Patience, STREAM_WINDOW, Wire};

/// The client of the generated service on a [`Channel`].
pub(in crate::peers) type Client = PeerClient<Channel>;

/// A handle to a connection. It ends when all handles and streams are gone, or when the member falls silent.
#[derive(Clone)]
pub(in crate::peers) struct Channel {
    sender: http2::SendRequest<Body>,
}

impl Channel {
    /// Makes a connection.
    pub(in crate::peers) async fn open(connector: &Connector, patience: Patience) -> Result<Self, PeerError> {
        let connected = tokio::time::timeout(patience.connect, connector()).await;
        let wire = connected
            .map_err(|_| PeerError::Unreachable("no connection in time".into()))?
            .map_err(|error| PeerError::Unreachable(with_sources(&error)))?;
        Self::speak(wire, patience).await
    }

    async fn speak(wire: Box<dyn Wire>, patience: Patience) -> Result<Self, PeerError> {
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(patience.silence)
            .keep_alive_timeout(patience.pong)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(wire));
        let (sender, connection) = handshake
            .await
            .map_err(|error| PeerError::Unreachable(with_sources(&error)))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = with_sources(&error), "a connection to a peer ended");
            }
        });
        Ok(Self { sender })
    }

    /// Whether nothing can be sent any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// The service at the other end.
    pub(in crate::peers) fn client(self) -> Client {
        // HTTP/2 wants a scheme and an authority; whom they name was decided when the connection was made.
        let origin = Uri::from_static("http://peer");
        PeerClient::with_origin(self, origin).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}
