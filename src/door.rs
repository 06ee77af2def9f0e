//! Where every request comes in: gRPC and HTTP part ways here, and each call is counted.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::Service as _;
use tracing::Instrument;

use crate::listeners::Purpose;
use crate::metrics::{AnsweredBody, AskedBody, Call, RpcMetrics};
use crate::services::{Called, Services};

/// What lies behind the listeners.
#[derive(Clone)]
pub(crate) struct House {
    /// The gRPC services.
    pub(crate) grpc: Services,
    /// Everything else.
    pub(crate) http: Router,
    /// Metrics and health alone.
    pub(crate) metrics: Router,
    /// The counters of gRPC calls.
    pub(crate) calls: Arc<RpcMetrics>,
    /// Whether every request gets a span in the log.
    pub(crate) request_spans: bool,
}

/// The way into the house that one listener offers.
#[derive(Clone)]
pub(crate) struct Door {
    grpc: Option<Services>,
    http: Option<Router>,
    calls: Arc<RpcMetrics>,
    request_spans: bool,
}

impl House {
    /// The door for a listener of this purpose. `guard` wraps what browsers can reach.
    pub(crate) fn door(&self, purpose: Purpose, guard: impl Fn(Router) -> Router) -> Door {
        let (grpc, http) = match purpose {
            Purpose::Everything => (Some(self.grpc.clone()), Some(guard(self.http.clone()))),
            Purpose::Grpc => (Some(self.grpc.clone()), None),
            Purpose::Http => (None, Some(guard(self.http.clone()))),
            Purpose::Metrics => (None, Some(self.metrics.clone())),
        };
        Door {
            grpc,
            http,
            calls: Arc::clone(&self.calls),
            request_spans: self.request_spans,
        }
    }
}

impl Door {
    fn lead(&self, request: Request<Incoming>) -> Answer {
        let is_grpc = is_grpc(&request);
        match (is_grpc, &self.grpc, &self.http) {
            (true, Some(grpc), _) => {
                let call = self.calls.begin(&request);
                let request = request.map(|body| AskedBody::new(body, call.clone()));
                Answer::Called {
                    future: grpc.call(request),
                    call: Some(call),
                }
            }
            (_, _, Some(http)) => Answer::Shown {
                future: http.clone().call(request.map(Body::new)),
            },
            (_, Some(grpc), None) => Answer::Called {
                future: grpc.call(request),
                call: None,
            },
            (_, None, None) => Answer::Nobody,
        }
    }
}

/// Whether a request is a gRPC call: etcd tells them by their content type.
fn is_grpc<B>(request: &Request<B>) -> bool {
    let content = request.headers().get(CONTENT_TYPE);
    content.is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"))
}

impl hyper::service::Service<Request<Incoming>> for Door {
    type Response = Response<AnsweredBody>;
    type Error = Infallible;
    type Future = futures_util::future::Either<Answer, tracing::instrument::Instrumented<Answer>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if self.request_spans {
            let span = tracing::debug_span!("request", path = request.uri().path());
            return futures_util::future::Either::Right(self.lead(request).instrument(span));
        }
        futures_util::future::Either::Left(self.lead(request))
    }
}

pin_project! {
    /// The answer of the house, on its way.
    #[project = AnswerProjection]
    pub(crate) enum Answer {
        Called {
            #[pin]
            future: Called,
            call: Option<Call>,
        },
        Shown {
            #[pin]
            future: axum::routing::future::RouteFuture<Infallible>,
        },
        Nobody,
    }
}

impl Future for Answer {
    type Output = Result<Response<AnsweredBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnswerProjection::Shown { future } => {
                let response = ready!(future.poll(context))?;
                Poll::Ready(Ok(
                    response.map(|body| AnsweredBody::uncounted(tonic::body::Body::new(body)))
                ))
            }
            AnswerProjection::Called { future, call } => {
                let response = ready!(future.poll(context));
                Poll::Ready(Ok(match call.take() {
                    Some(call) => call.answered(response),
                    None => response.map(AnsweredBody::uncounted),
                }))
            }
            AnswerProjection::Nobody => Poll::Ready(Ok(Response::new(AnsweredBody::uncounted(
                tonic::body::Body::empty(),
            )))),
        }
    }
}
