//! What etcd's interceptors, and grpc-go beneath them, do around every call; without a boxed future for it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::HeaderMap;
use http::uri::PathAndQuery;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::status;

/// The metadata in which clients tell the version of their library.
const CLIENT_API_VERSION: &str = "client-api-version";

/// How a request's messages are compressed.
const ENCODING: &str = "grpc-encoding";

/// How an answer's messages may be compressed.
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// The metadata by which a client demands a leader.
const HAS_LEADER: &str = "hasleader";

/// Whether there is a leader.
pub(super) type LeaderCheck = Arc<dyn Fn() -> bool + Send + Sync>;

/// Puts an [`Interceptor`] around a service.
#[derive(Clone)]
pub(super) struct InterceptorLayer {
    has_leader: LeaderCheck,
}

impl InterceptorLayer {
    pub(super) fn new(has_leader: LeaderCheck) -> Self {
        Self { has_leader }
    }
}

impl<S> Layer<S> for InterceptorLayer {
    type Service = Interceptor<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let has_leader = Arc::clone(&self.has_leader);
        Interceptor { inner, has_leader }
    }
}

/// Whether a call demands a leader.
pub(super) fn demands_leader(headers: &HeaderMap) -> bool {
    headers.get(HAS_LEADER).is_some_and(|value| value == "true")
}

/// Whether a call that was let in gets a compressed answer.
pub(super) fn gets_compressed<T>(request: &tonic::Request<T>) -> bool {
    request.metadata().contains_key(ACCEPT_ENCODING)
}

/// Refuses calls that cannot be read, and says in etcd's words what tonic says in its own.
///
/// A call that demands a leader (`hasleader`) is refused where there is none.
#[derive(Clone)]
pub(super) struct Interceptor<S> {
    inner: S,
    has_leader: LeaderCheck,
}

impl<S, RequestBody, ResponseBody> Service<Request<RequestBody>> for Interceptor<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
    ResponseBody: Default,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = Intercepted<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        if let Err(refusal) = admit(request.headers_mut()) {
            return Intercepted::Refused { refusal };
        }
        if demands_leader(request.headers()) && !(self.has_leader)() {
            let refusal = status::no_leader();
            return Intercepted::Refused { refusal };
        }
        let path = request.uri().path_and_query().cloned();
        Intercepted::Passed {
            call: self.inner.call(request),
            path,
        }
    }
}

/// Whether the metadata of a call can be understood.
fn admit(headers: &mut HeaderMap) -> Result<(), Status> {
    let version = headers.get(CLIENT_API_VERSION);
    if version.is_some_and(|version| str::from_utf8(version.as_bytes()).is_err()) {
        return Err(status::invalid_client_api_version());
    }
    match headers.get(ENCODING).map(|encoding| encoding.as_bytes()) {
        Some(b"gzip") => {}
        // Compressing costs more than it saves here; etcd, too, compresses for those alone who began with it.
        None | Some(b"identity") => drop(headers.remove(ACCEPT_ENCODING)),
        Some(other) => return Err(status::no_decompressor(&String::from_utf8_lossy(other))),
    }
    Ok(())
}

pin_project! {
    /// A call that was refused at the door, or let in.
    #[project = InterceptedProjection]
    pub enum Intercepted<F> {
        Refused { refusal: Status },
        Passed { #[pin] call: F, path: Option<PathAndQuery> },
    }
}

impl<F, ResponseBody, E> Future for Intercepted<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
    ResponseBody: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            InterceptedProjection::Refused { refusal } => Poll::Ready(Ok(refusal.clone().into_http())),
            InterceptedProjection::Passed { call, path } => {
                let response = ready!(call.poll(context));
                let path = path.as_ref().map_or("", PathAndQuery::path);
                Poll::Ready(response.map(|response| in_etcds_words(response, path)))
            }
        }
    }
}

/// A call that failed before its first answer has its status in the headers.
fn in_etcds_words<B: Default>(response: Response<B>, path: &str) -> Response<B> {
    if !response.headers().contains_key(Status::GRPC_STATUS) {
        return response;
    }
    match Status::from_header_map(response.headers()) {
        Some(failed) if failed.code() == Code::Unimplemented && failed.message().is_empty() => {
            status::unknown_method(path).into_http()
        }
        Some(failed) if failed.code() == Code::OutOfRange => status::of_received(failed).into_http(),
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use http::HeaderValue;
    use tower::{ServiceExt, service_fn};

    use super::*;

    /// What a client hears when `answer` is what the service says, and what the service was asked.
    async fn call(
        header: (&'static str, &[u8]),
        answer: Response<String>,
    ) -> (Option<Status>, Option<HeaderMap>) {
        call_with(header, answer, true).await
    }

    async fn call_with(
        header: (&'static str, &[u8]),
        answer: Response<String>,
        has_leader: bool,
    ) -> (Option<Status>, Option<HeaderMap>) {
        let (answer, asked) = (Mutex::new(Some(answer)), Mutex::new(None));
        let inner = service_fn(|request: Request<()>| {
            *asked.lock().expect("one thread") = Some(request.headers().clone());
            let answer = answer.lock().expect("one thread").take().expect("one call");
            async { Ok::<_, Infallible>(answer) }
        });
        let mut request = Request::builder()
            .uri("/a.Service/Method")
            .header(ACCEPT_ENCODING, "gzip");
        request = request.header(header.0, HeaderValue::from_bytes(header.1).expect("a header"));
        let request = request.body(()).expect("a request");
        let layer = InterceptorLayer::new(Arc::new(move || has_leader));
        let Ok(response) = layer.layer(inner).oneshot(request).await;
        let asked = asked.lock().expect("one thread").take();
        (Status::from_header_map(response.headers()), asked)
    }

    fn code(answer: &(Option<Status>, Option<HeaderMap>)) -> Option<Code> {
        answer.0.as_ref().map(Status::code)
    }

    #[tokio::test]
    async fn a_client_api_version_must_be_utf8() {
        let version = |version| call((CLIENT_API_VERSION, version), Response::default());
        assert_eq!(code(&version(b"3.7.1").await), None);
        assert_eq!(code(&version("3.7-größe".as_bytes()).await), None);
        let refused = version(b"\xff").await;
        assert_eq!(code(&refused), Some(Code::InvalidArgument));
        assert!(refused.1.is_none(), "the service must not be asked");
    }

    #[tokio::test]
    async fn only_a_call_that_demands_a_leader_misses_it() {
        let demand = |value, has_leader| call_with((HAS_LEADER, value), Response::default(), has_leader);
        assert_eq!(code(&demand(b"true", true).await), None);
        assert_eq!(code(&demand(b"false", false).await), None);
        let refused = demand(b"true", false).await;
        assert_eq!(code(&refused), Some(Code::Unavailable));
        assert!(refused.1.is_none(), "the service must not be asked");
    }

    #[tokio::test]
    async fn only_a_compressed_request_gets_a_compressed_answer() {
        let accepts =
            |headers: Option<HeaderMap>| headers.map(|headers| headers.contains_key(ACCEPT_ENCODING));
        assert_eq!(
            accepts(call((ENCODING, b"gzip"), Response::default()).await.1),
            Some(true)
        );
        assert_eq!(
            accepts(call((ENCODING, b"identity"), Response::default()).await.1),
            Some(false)
        );
        assert_eq!(
            accepts(call(("te", b"trailers"), Response::default()).await.1),
            Some(false)
        );
        let (status, _) = call((ENCODING, b"deflate"), Response::default()).await;
        let text = "grpc: Decompressor is not installed for grpc-encoding \"deflate\"";
        assert_eq!(status.as_ref().map(Status::message), Some(text));
    }

    #[tokio::test]
    async fn only_the_message_limit_and_unknown_methods_are_renamed() {
        let answered = |status: Status| call(("te", b"trailers"), status.into_http());
        let large = "Error, decoded message length too large: found 3 bytes, the limit is: 2 bytes";
        assert_eq!(
            code(&answered(Status::out_of_range(large)).await),
            Some(Code::ResourceExhausted)
        );
        let compacted = status::refused(model::Refusal::Compacted);
        assert_eq!(code(&answered(compacted).await), Some(Code::OutOfRange));
        let (unknown, _) = answered(Status::unimplemented("")).await;
        let text = unknown.as_ref().map(Status::message);
        assert_eq!(text, Some("unknown service a.Service"));
    }
}
