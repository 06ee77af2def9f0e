//! `/actors`: the pipeline as it is now, for people.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, Method};
use serde_json::json;

use super::{Site, answers};
use crate::version::TAFFRAIL;

/// The page; it asks for the figures by itself.
const PAGE: &str = include_str!("actors.html");

/// The page.
pub(super) async fn page(method: Method) -> Response {
    answers::refuse_unless_get(&method)
        .unwrap_or_else(|| answers::ok(HeaderValue::from_static("text/html; charset=utf-8"), PAGE))
}

/// The figures that the page shows.
pub(super) async fn report(State(site): State<Site>, method: Method) -> Response {
    if let Some(refusal) = answers::refuse_unless_get(&method) {
        return refusal;
    }
    let store = site.store.clone();
    let size = store.size().await.map_or(
        json!(null),
        |size| json!({ "allocated": size.allocated, "in_use": size.in_use }),
    );
    let body = json!({
        "version": TAFFRAIL,
        "pipeline": site.store.report(),
        "stalled": site.store.stalled(),
        "alarms": site.store.alarms().iter().map(|alarm| format!("{alarm:?}")).collect::<Vec<_>>(),
        "size": size,
    });
    answers::ok(HeaderValue::from_static("application/json"), body.to_string())
}
