//! etcd's JSON gateway: `POST /v3/...` for who has no gRPC.
//!
//! A request is turned into its message by reflection, and handed to the same services that gRPC clients
//! call, inside the process. Nothing here knows a message: the descriptors and [`paths`] say it all.

mod codec;
mod errors;
mod json;
mod paths;
mod streaming;
mod unary;

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};
use tonic::service::Routes;

/// How much larger than a message its JSON may be: base64 adds a third, names and quotes the rest.
const JSON_OVERHEAD: usize = 2;

/// Where the gateway is found: the older name is still understood by etcd.
const PREFIXES: [&str; 2] = ["/v3", "/v3beta"];

static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET)
        .expect("the descriptors were checked when they were compiled")
});

/// A method behind a path.
#[derive(Clone, Debug)]
struct Method {
    routes: Routes,
    input: MessageDescriptor,
    output: MessageDescriptor,
    /// Where the services expect its calls.
    grpc_path: PathAndQuery,
    max_body_bytes: usize,
}

/// The gateway to the services of `routes`, whose messages are at most `max_message_bytes` long.
pub(crate) fn router(routes: &Routes, max_message_bytes: usize) -> Router {
    let mut router = Router::new();
    for prefix in PREFIXES {
        router = router.route(&format!("{prefix}/"), any(errors::not_found));
        router = router.route(&format!("{prefix}/{{*unknown}}"), any(errors::not_found));
    }
    for service in DESCRIPTORS.services() {
        for method in service.methods() {
            let streams = method.is_client_streaming() || method.is_server_streaming();
            for path in paths::of_method(method.full_name()) {
                let method = Method::new(routes, &method, max_message_bytes);
                for prefix in PREFIXES {
                    router = router.route(&format!("{prefix}{path}"), route(method.clone(), streams));
                }
            }
        }
    }
    router
}

/// A route that sees to the HTTP method itself: etcd's has no `Allow` header.
fn route(method: Method, streams: bool) -> MethodRouter {
    any(move |request: Request| call(method, streams, request))
}

async fn call(method: Method, streams: bool, request: Request) -> Response {
    match (request.method() == http::Method::POST, streams) {
        (false, _) => errors::method_not_allowed(),
        (true, false) => unary::call(method, request.into_body()).await,
        (true, true) => streaming::call(method, request.into_body()).await,
    }
}

impl Method {
    fn new(routes: &Routes, method: &MethodDescriptor, max_message_bytes: usize) -> Self {
        let grpc_path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        Self {
            routes: routes.clone(),
            input: method.input(),
            output: method.output(),
            grpc_path: PathAndQuery::from_maybe_shared(grpc_path)
                .expect("names of methods are path segments"),
            max_body_bytes: max_message_bytes.saturating_mul(JSON_OVERHEAD),
        }
    }

    /// A way to the services, and the codec of the answers.
    fn client(&self) -> (tonic::client::Grpc<Routes>, codec::DynamicCodec) {
        let client = tonic::client::Grpc::new(self.routes.clone()).max_decoding_message_size(usize::MAX);
        (client, codec::DynamicCodec::new(self.output.clone()))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::StatusCode;
    use tower::ServiceExt;

    use super::*;

    async fn status(method: &str, path: &str, body: &'static str) -> StatusCode {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body))
            .expect("a request");
        let Ok(response) = router(&Routes::default(), 1 << 20).oneshot(request).await;
        response.status()
    }

    #[tokio::test]
    async fn unknown_paths_and_methods_are_refused_as_etcd_does() {
        assert_eq!(
            status("POST", "/v3/kv/rangestream", "{}").await,
            StatusCode::NOT_FOUND
        );
        assert_eq!(status("POST", "/v3/", "{}").await, StatusCode::NOT_FOUND);
        assert_eq!(status("GET", "/v3/kv/put", "").await, StatusCode::NOT_IMPLEMENTED);
    }

    #[tokio::test]
    async fn bad_json_is_refused_before_any_service_is_asked() {
        assert_eq!(status("POST", "/v3/kv/put", "{").await, StatusCode::BAD_REQUEST);
        assert_eq!(
            status("POST", "/v3/kv/put", r#"{"key":"!"}"#).await,
            StatusCode::BAD_REQUEST
        );
    }

    #[tokio::test]
    async fn good_json_reaches_the_services() {
        assert_eq!(
            status("POST", "/v3beta/kv/put", "{}").await,
            StatusCode::NOT_IMPLEMENTED
        );
        assert_eq!(
            status("POST", "/v3/kv/put", "{}").await,
            StatusCode::NOT_IMPLEMENTED
        );
        assert_eq!(
            status("POST", "/v3/watch", "{}").await,
            StatusCode::NOT_IMPLEMENTED
        );
    }
}
