//! `/metrics`: what Prometheus scrapes.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode};

use super::{Site, answers};

/// All metrics, in the text format.
pub(super) async fn metrics(State(site): State<Site>, method: Method) -> Response {
    if let Some(refusal) = answers::refuse_unless_get(&method) {
        return refusal;
    }
    let learner = site.company.is_learner().await;
    // The size of the log and the figures of the process come from files.
    let page = tokio::task::spawn_blocking(move || site.metrics.page(&site.store, &site.health, learner));
    match page.await {
        Ok(page) => answers::ok(
            HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
            page,
        ),
        Err(error) => answers::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
