//! Refusals in JSON, with the HTTP status that belongs to the gRPC code.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tonic::{Code, Status};

/// A gateway's error: `{"code":3,"message":"..."}`.
pub(super) fn response(status: &Status) -> Response {
    json_response(http_status(status.code()), Body::from(value(status).to_string()))
}

/// The error of a streaming call that has not answered yet: `{"error":{...}}`.
pub(super) fn stream_response(status: &Status) -> Response {
    json_response(http_status(status.code()), Body::from(stream_line(status)))
}

/// The error of a streaming call, as one of its lines.
pub(super) fn stream_line(status: &Status) -> Vec<u8> {
    let mut line = json!({ "error": value(status) }).to_string().into_bytes();
    line.push(b'\n');
    line
}

fn value(status: &Status) -> Value {
    json!({ "code": i32::from(status.code()), "message": status.message() })
}

/// A JSON response.
pub(super) fn json_response(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// There is no such path.
pub(super) async fn not_found() -> Response {
    response(&Status::not_found("Not Found"))
}

/// The path takes `POST` alone.
pub(super) fn method_not_allowed() -> Response {
    response(&Status::unimplemented("Method Not Allowed"))
}

/// The HTTP status that etcd's gateway gives for a code.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        // What nginx began to say for a client that closed its request.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_http_status() {
        assert_eq!(http_status(Code::InvalidArgument), StatusCode::BAD_REQUEST);
        assert_eq!(
            http_status(Code::ResourceExhausted),
            StatusCode::TOO_MANY_REQUESTS
        );
        assert_eq!(http_status(Code::Cancelled).as_u16(), 499);
    }

    #[test]
    fn errors_have_etcds_form() {
        let status = Status::invalid_argument("etcdserver: key is not provided");
        assert_eq!(
            value(&status).to_string(),
            r#"{"code":3,"message":"etcdserver: key is not provided"}"#
        );
        assert_eq!(
            stream_line(&status),
            b"{\"error\":{\"code\":3,\"message\":\"etcdserver: key is not provided\"}}\n"
        );
    }
}
