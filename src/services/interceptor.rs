//! What etcd's interceptors do around every call, without a boxed future for it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::Status;
use tower::{Layer, Service};

use super::status;

/// The metadata in which clients tell the version of their library.
const CLIENT_API_VERSION: &str = "client-api-version";

/// Puts an [`Interceptor`] around a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct InterceptorLayer;

impl<S> Layer<S> for InterceptorLayer {
    type Service = Interceptor<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Interceptor { inner }
    }
}

/// Refuses calls with unreadable metadata, and names a message above the limit in etcd's words.
///
/// A call that demands a leader (`hasleader`) goes through: a server that is alone always leads.
#[derive(Clone, Debug)]
pub(super) struct Interceptor<S> {
    inner: S,
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

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let version = request.headers().get(CLIENT_API_VERSION);
        if version.is_some_and(|version| str::from_utf8(version.as_bytes()).is_err()) {
            return Intercepted::Refused;
        }
        Intercepted::Passed {
            call: self.inner.call(request),
        }
    }
}

pin_project! {
    /// A call that was refused at the door, or let in.
    #[project = InterceptedProjection]
    pub(super) enum Intercepted<F> {
        Refused,
        Passed { #[pin] call: F },
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
            InterceptedProjection::Refused => {
                Poll::Ready(Ok(status::invalid_client_api_version().into_http()))
            }
            InterceptedProjection::Passed { call } => {
                Poll::Ready(ready!(call.poll(context)).map(in_etcds_words))
            }
        }
    }
}

/// tonic notes the status of a call that failed before its first answer beside the response.
fn in_etcds_words<B: Default>(response: Response<B>) -> Response<B> {
    let Some(refusal) = response.extensions().get::<Status>() else {
        return response;
    };
    if refusal.code() != tonic::Code::OutOfRange {
        return response;
    }
    status::of_received(refusal.clone()).into_http()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::HeaderValue;
    use tonic::Code;
    use tower::{ServiceExt, service_fn};

    use super::*;

    async fn code_with(version: &[u8], answer: Response<String>) -> Option<Code> {
        let answer = std::sync::Mutex::new(Some(answer));
        let inner = service_fn(|_: Request<()>| {
            let answer = answer
                .lock()
                .map(|mut answer| answer.take().unwrap_or_default())
                .unwrap_or_default();
            async { Ok::<_, Infallible>(answer) }
        });
        let mut request = Request::new(());
        let version = HeaderValue::from_bytes(version).unwrap_or(HeaderValue::from_static("unusable"));
        request.headers_mut().insert(CLIENT_API_VERSION, version);
        let Ok(response) = InterceptorLayer.layer(inner).oneshot(request).await;
        Status::from_header_map(response.headers()).map(|status| status.code())
    }

    #[tokio::test]
    async fn a_client_api_version_must_be_utf8() {
        assert_eq!(code_with(b"3.7.1", Response::default()).await, None);
        assert_eq!(code_with("3.7-größe".as_bytes(), Response::default()).await, None);
        assert_eq!(
            code_with(b"\xff", Response::default()).await,
            Some(Code::InvalidArgument)
        );
    }

    #[tokio::test]
    async fn only_the_message_limit_is_renamed() {
        let large = "Error, decoded message length too large: found 3 bytes, the limit is: 2 bytes";
        let large = Status::out_of_range(large).into_http();
        assert_eq!(code_with(b"3.7", large).await, Some(Code::ResourceExhausted));
        let compacted = status::refused(model::Refusal::Compacted).into_http();
        assert_eq!(code_with(b"3.7", compacted).await, Some(Code::OutOfRange));
    }
}
