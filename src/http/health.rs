//! `/health`: one answer to whether requests would be served.

use std::time::Duration;

use actors::Store;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use http::{Method, StatusCode};
use model::{Alarm, KeyRange, RangeQuery};

use super::{Site, answers};

/// How long a read may take: etcd's request timeout with its default settings.
const READ_TIMEOUT: Duration = Duration::from_secs(7);

/// Answers 200 if no alarm is raised, the pipeline moves and a read succeeds, else 503 with the reason.
pub(super) async fn health(State(site): State<Site>, RawQuery(query): RawQuery, method: Method) -> Response {
    if let Some(refusal) = answers::refuse_unless_get(&method) {
        return refusal;
    }
    let excluded = values_of(query.as_deref(), "exclude");
    let serializable = values_of(query.as_deref(), "serializable")
        .iter()
        .any(|value| value == "true");
    let reason = unhealthy(&site.store, &excluded, serializable).await;
    site.health.asked(reason.is_none());
    let body =
        serde_json::json!({ "health": reason.is_none().to_string(), "reason": reason.unwrap_or_default() });
    if body["reason"] == "" {
        return answers::ok(answers::TEXT, body.to_string());
    }
    tracing::warn!(output = %body, "/health error");
    answers::error(StatusCode::SERVICE_UNAVAILABLE, &body.to_string())
}

async fn unhealthy(store: &Store, excluded: &[String], serializable: bool) -> Option<String> {
    let raised = |name: &str| !excluded.iter().any(|excluded| excluded == name);
    for alarm in store.alarms() {
        match alarm.alarm {
            Alarm::NoSpace if raised("NOSPACE") => return Some("ALARM NOSPACE".to_owned()),
            Alarm::Corrupt if raised("CORRUPT") => return Some("ALARM CORRUPT".to_owned()),
            _ => {}
        }
    }
    if !serializable && store.leader_id().is_none() {
        return Some("RAFT NO LEADER".to_owned());
    }
    read(store, serializable)
        .await
        .err()
        .map(|error| format!("RANGE ERROR:{error}"))
}

/// Reads as a client would; reading proves little of a server whose writes have stopped, so that counts too.
pub(super) async fn read(store: &Store, serializable: bool) -> Result<(), String> {
    if let Some(stalled) = store.stalled() {
        return Err(stalled);
    }
    let one_key = KeyRange::new(Bytes::from_static(b"health"), Bytes::new());
    let query = RangeQuery {
        keys_only: true,
        limit: 1,
        ..RangeQuery::new(one_key)
    };
    let read = async {
        if !serializable {
            store.linearize().await?;
        }
        store.range(query).await
    };
    match tokio::time::timeout(READ_TIMEOUT, read).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("context deadline exceeded".to_owned()),
    }
}

/// The values that a query string gives to a name, empty ones left out.
pub(super) fn values_of(query: Option<&str>, name: &str) -> Vec<String> {
    let pairs = query
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .filter(|(found, value)| *found == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
        .collect()
}

/// Whether a query string has a name, with or without a value.
pub(super) fn has(query: Option<&str>, name: &str) -> bool {
    query
        .unwrap_or_default()
        .split('&')
        .any(|pair| pair.split('=').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_strings_are_read() {
        let query = Some("exclude=a&verbose&exclude=b&exclude=");
        assert_eq!(values_of(query, "exclude"), ["a", "b"]);
        assert!(has(query, "verbose") && !has(query, "verb") && !has(None, "verbose"));
    }
}
