//! Answers whose octets are ready: they go out as they are, in place of what tonic would encode.
//!
//! tonic encodes one message into one buffer. A long range is written when it is read, in pieces, and whoever wrote it
//! leaves it with the answer's extensions.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::TryFutureExt as _;
use futures_util::future::MapOk;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame};
use parking_lot::Mutex;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tower::Service;

use super::streams::Answers;

/// Messages with their prefixes, in pieces.
pub(super) type Pieces = Vec<Bytes>;

/// The octets of an answer: one message, or a stream of them.
pub(super) struct Prepared {
    pieces: VecDeque<Bytes>,
    more: Option<Answers<Pieces>>,
    is_over: bool,
}

impl Prepared {
    /// An answer of these octets.
    pub(super) fn whole(pieces: Pieces) -> Self {
        Self {
            pieces: pieces.into(),
            more: None,
            is_over: false,
        }
    }

    /// An answer that goes on.
    pub(super) fn stream(pieces: Answers<Pieces>) -> Self {
        Self {
            pieces: VecDeque::new(),
            more: Some(pieces),
            is_over: false,
        }
    }

    /// The answer as tonic takes it, with nothing in it.
    pub(super) fn instead_of<T>(self, nothing: T) -> tonic::Response<T> {
        let mut answer = tonic::Response::new(nothing);
        answer
            .extensions_mut()
            .insert(Left(Arc::new(Mutex::new(Some(self)))));
        answer
    }
}

/// What was left with an answer. Extensions can be cloned and shared; this is taken once.
#[derive(Clone)]
struct Left(Arc<Mutex<Option<Prepared>>>);

impl HttpBody for Prepared {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            let next = match &mut self.more {
                Some(more) => ready!(more.as_mut().poll_next(context)),
                None => None,
            };
            match next {
                Some(Ok(pieces)) => self.pieces = pieces.into(),
                Some(Err(failed)) => return self.end(&failed),
                None => return self.end(&Status::ok("")),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over && self.pieces.is_empty()
    }
}

impl Prepared {
    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.is_over = true;
        let mut trailers = HeaderMap::new();
        let written = status.add_header(&mut trailers);
        Poll::Ready(Some(written.map(|()| Frame::trailers(trailers))))
    }
}

/// Puts [`Prepared`] answers of a service in their place.
#[derive(Clone)]
pub(super) struct Preparing<S>(pub(super) S);

/// What a [`Preparing`] service answers with.
pub(super) type Answering =
    MapOk<BoxFuture<Response<Body>, Infallible>, fn(Response<Body>) -> Response<Body>>;

impl<S: NamedService> NamedService for Preparing<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<Request<B>> for Preparing<S>
where
    S: Service<
            Request<B>,
            Response = Response<Body>,
            Error = Infallible,
            Future = BoxFuture<Response<Body>, Infallible>,
        >,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        self.0.call(request).map_ok(put_in_place as fn(_) -> _)
    }
}

fn put_in_place(mut response: Response<Body>) -> Response<Body> {
    let left = response.extensions_mut().remove::<Left>();
    match left.and_then(|left| left.0.lock().take()) {
        Some(prepared) => response.map(|_| Body::new(prepared)),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::BodyExt as _;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    fn pieces(texts: &[&'static str]) -> Pieces {
        texts
            .iter()
            .map(|text| Bytes::from_static(text.as_bytes()))
            .collect()
    }

    /// What a client is sent, and the status at the end.
    async fn sent(prepared: Prepared) -> (Vec<u8>, Status) {
        let answer = Mutex::new(Some(prepared.instead_of(Body::default())));
        let service = service_fn(|_: Request<()>| {
            let (_, body, extensions) = answer.lock().take().expect("one call").into_parts();
            let mut response = Response::new(body);
            *response.extensions_mut() = extensions;
            Box::pin(async { Ok(response) }) as BoxFuture<_, _>
        });
        let Ok(response) = Preparing(service).oneshot(Request::new(())).await;
        let collected = response.into_body().collect().await.expect("a body");
        let trailers = collected.trailers().expect("trailers").clone();
        let status = Status::from_header_map(&trailers).expect("a status");
        (collected.to_bytes().into(), status)
    }

    #[tokio::test]
    async fn an_answer_is_all_of_its_pieces_and_success() {
        let (octets, status) = sent(Prepared::whole(pieces(&["one ", "two"]))).await;
        assert_eq!(
            (octets.as_slice(), status.code()),
            (&b"one two"[..], tonic::Code::Ok)
        );
    }

    #[tokio::test]
    async fn a_stream_ends_with_what_went_wrong() {
        let parts = [
            Ok(pieces(&["one ", "two "])),
            Ok(pieces(&[])),
            Ok(pieces(&["three"])),
            Err(Status::out_of_range("gone")),
            Ok(pieces(&["never"])),
        ];
        let (octets, status) = sent(Prepared::stream(Box::pin(stream::iter(parts)))).await;
        assert_eq!(octets, b"one two three");
        assert_eq!(
            (status.code(), status.message()),
            (tonic::Code::OutOfRange, "gone")
        );
    }

    #[tokio::test]
    async fn other_answers_stay_what_they_are() {
        let service = service_fn(|_: Request<()>| {
            let body = Body::new(http_body_util::Full::new(Bytes::from_static(b"as it is")));
            Box::pin(async { Ok(Response::new(body)) }) as BoxFuture<_, _>
        });
        let Ok(response) = Preparing(service).oneshot(Request::new(())).await;
        let collected = response.into_body().collect().await.expect("a body");
        assert_eq!(collected.to_bytes().as_ref(), b"as it is");
    }
}
