//! A gRPC client that does little: requests go out as bytes that are already encoded, answers stay as the
//! pieces that arrived. The load generator shares the machine with the server, so what it does not do is left
//! for the server.

mod dial;
mod segments;
mod stream;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use std::future::poll_fn;

use anyhow::Context;
use bytes::Bytes;
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, Uri};
use tokio::io::{AsyncRead, AsyncWrite};

pub use dial::Dialer;
pub(crate) use dial::{Identity, address_of};
pub(crate) use segments::Segments;
pub(crate) use stream::Stream;

/// Receive window of a stream and of a connection, in bytes: large enough that a list of 10,000 keys is never
/// held up by the client.
pub(crate) const WINDOW: u32 = 64 << 20;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The server answered with a gRPC status other than OK.
    #[error("status {code}: {message}")]
    Status {
        /// The gRPC code as sent.
        code: String,
        /// The server's words, percent-encoded as on the wire.
        message: String,
    },
    /// The connection failed.
    #[error("connection: {0}")]
    Transport(#[from] h2::Error),
    /// The answer is no gRPC message.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// The answer is well-formed and wrong, such as a page with a key missing.
    #[error("wrong answer: {0}")]
    Wrong(String),
}

impl From<prost::DecodeError> for CallError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// One HTTP/2 connection to a server. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    endpoint: Uri,
}

impl Connection {
    /// Speaks HTTP/2 on a socket that is connected already, and serves the connection from a task of the current
    /// runtime. `window` is how many bytes of answers may be under way, on a stream and on the connection.
    pub(crate) async fn over<S>(socket: S, endpoint: &Uri, window: u32) -> anyhow::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, driver) = h2::client::Builder::new()
            .initial_window_size(window)
            .initial_connection_window_size(window)
            .enable_push(false)
            .handshake(socket)
            .await
            .with_context(|| format!("no HTTP/2 at {endpoint}"))?;
        // Its end is seen by every call that needed it.
        tokio::spawn(driver);
        Ok(Self {
            sender,
            endpoint: endpoint.clone(),
        })
    }

    /// The way to one method, such as `/etcdserverpb.KV/Put`.
    pub(crate) fn route(&self, method: &'static str) -> anyhow::Result<Route> {
        let mut parts = self.endpoint.clone().into_parts();
        parts.path_and_query = Some(method.parse()?);
        let head = Request::post(Uri::from_parts(parts)?)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        Ok(Route {
            sender: self.sender.clone(),
            head,
        })
    }
}

/// One method on one connection, with everything prepared that is the same for each call.
#[derive(Clone)]
pub(crate) struct Route {
    sender: SendRequest<Bytes>,
    head: Request<()>,
}

impl Route {
    /// Sends one framed request (see [`wire::frame`]) and waits for the whole answer.
    pub(crate) async fn call(&mut self, request: Bytes) -> Result<Segments, CallError> {
        let (answer, mut body) = self.start().await?;
        body.send_data(request, true)?;
        let mut received = accepted(answer).await?;
        let mut message = collect(&mut received).await?;
        finished(received.trailers().await?.as_ref())?;
        message.strip_frame()?;
        Ok(message)
    }

    /// Opens a stream that both sides write to.
    pub(crate) async fn stream(&mut self) -> Result<Stream, CallError> {
        let (answer, body) = self.start().await?;
        Ok(Stream::new(body, answer))
    }

    async fn start(&mut self) -> Result<(ResponseFuture, h2::SendStream<Bytes>), CallError> {
        poll_fn(|context| self.sender.poll_ready(context)).await?;
        Ok(self.sender.send_request(self.head.clone(), false)?)
    }
}

/// Waits for the head of the answer. An error without a body has its status here.
async fn accepted(
    answer: impl Future<Output = Result<http::Response<RecvStream>, h2::Error>>,
) -> Result<RecvStream, CallError> {
    let (head, body) = answer.await?.into_parts();
    if head.status != http::StatusCode::OK {
        return Err(CallError::Malformed(format!("HTTP status {}", head.status)));
    }
    if head.headers.contains_key("grpc-status") {
        finished(Some(&head.headers))?;
    }
    Ok(body)
}

async fn collect(body: &mut RecvStream) -> Result<Segments, CallError> {
    let mut message = Segments::default();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        message.push(piece);
    }
    Ok(message)
}

/// Reads the status that ends an answer.
fn finished(trailers: Option<&HeaderMap>) -> Result<(), CallError> {
    let text = |name| {
        trailers
            .and_then(|all| all.get(name))
            .and_then(|value| value.to_str().ok())
    };
    match text("grpc-status") {
        Some("0") => Ok(()),
        Some(code) => Err(CallError::Status {
            code: code.to_owned(),
            message: text("grpc-message").unwrap_or_default().to_owned(),
        }),
        None => Err(CallError::Malformed("no grpc-status at the end".to_owned())),
    }
}
