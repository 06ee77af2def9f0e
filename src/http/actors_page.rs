//! `/actors`: the pipeline as it is now, for people.

use actors::Store;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, Method};
use model::AlarmMember;
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

/// The raised alarms; those of other members say whose.
fn alarms(store: &Store) -> Vec<String> {
    let own = store.identity().member_id;
    let told = |raised: AlarmMember| match raised.member_id {
        member if member == own => format!("{:?}", raised.alarm),
        member => format!("{:?} for member {member:x}", raised.alarm),
    };
    store.alarms().into_iter().map(told).collect()
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
        "alarms": alarms(&site.store),
        "size": size,
    });
    answers::ok(HeaderValue::from_static("application/json"), body.to_string())
}
