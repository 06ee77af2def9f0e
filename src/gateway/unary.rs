//! Calls with one message each way.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use prost_reflect::DynamicMessage;
use tonic::{Request, Status};

use super::{Method, errors, json};

/// Answers a call.
pub(super) async fn call(method: Method, body: Body) -> Response {
    match answer(method, body).await {
        Ok(json) => errors::json_response(StatusCode::OK, Body::from(json)),
        Err(status) => errors::response(&status),
    }
}

async fn answer(method: Method, body: Body) -> Result<Vec<u8>, Status> {
    let message = read(&method, body).await?;
    let (mut client, codec) = method.client();
    let Ok(()) = client.ready().await;
    let answer = client
        .unary(Request::new(message), method.grpc_path, codec)
        .await?;
    let mut out = Vec::new();
    json::write(answer.get_ref(), &mut out)?;
    Ok(out)
}

/// The message that a whole body holds.
async fn read(method: &Method, body: Body) -> Result<DynamicMessage, Status> {
    let body = axum::body::to_bytes(body, method.max_body_bytes).await;
    let body = body.map_err(|error| Status::invalid_argument(error.to_string()))?;
    json::parse(&body, &method.input)
}
