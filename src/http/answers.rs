//! Answers in the form of Go's HTTP library, byte for byte.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, StatusCode};

/// The type of plain text.
pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// A successful answer of this type.
pub(super) fn ok(content_type: HeaderValue, body: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, content_type)], body.into()).into_response()
}

/// Plain text that browsers must not take for anything else.
pub(super) fn plain(status: StatusCode, text: String) -> Response {
    (
        status,
        [(CONTENT_TYPE, TEXT), (X_CONTENT_TYPE_OPTIONS, NOSNIFF)],
        text,
    )
        .into_response()
}

/// An error: its text and a line's end.
pub(super) fn error(status: StatusCode, text: &str) -> Response {
    plain(status, format!("{text}\n"))
}

/// There is no such page.
pub(super) async fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "404 page not found")
}

/// The refusal of any method but GET.
pub(super) fn refuse_unless_get(method: &Method) -> Option<Response> {
    (method != Method::GET).then(|| {
        let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET"));
        response
    })
}
