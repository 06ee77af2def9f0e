//! `/livez` and `/readyz`: named checks, each with a page of its own.

use actors::Store;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::{Method, StatusCode};
use model::Alarm;

use super::health::{has, read, values_of};
use super::{Site, answers};

/// What can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

const LIVEZ: &[Check] = &[Check::SerializableRead];
const READYZ: &[Check] = &[
    Check::DataCorruption,
    Check::SerializableRead,
    Check::LinearizableRead,
    Check::NonLearner,
];

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::DataCorruption => "data_corruption",
            Self::SerializableRead => "serializable_read",
            Self::LinearizableRead => "linearizable_read",
            Self::NonLearner => "non_learner",
        }
    }

    /// What is wrong, if anything.
    async fn run(self, store: &Store) -> Result<(), String> {
        match self {
            Self::DataCorruption if is_corrupt(store) => Err("alarm activated: CORRUPT".to_owned()),
            Self::DataCorruption | Self::NonLearner => Ok(()),
            Self::SerializableRead => read(store, true).await,
            Self::LinearizableRead => read(store, false).await,
        }
    }
}

fn is_corrupt(store: &Store) -> bool {
    store.alarms().iter().any(|raised| raised.alarm == Alarm::Corrupt)
}

/// Whether the process should live on.
pub(super) async fn livez(State(site): State<Site>, RawQuery(query): RawQuery, method: Method) -> Response {
    run_all(&site, ("livez", LIVEZ), query.as_deref(), &method).await
}

/// Whether requests should be sent here.
pub(super) async fn readyz(State(site): State<Site>, RawQuery(query): RawQuery, method: Method) -> Response {
    run_all(&site, ("readyz", READYZ), query.as_deref(), &method).await
}

/// One of the checks of `/livez`.
pub(super) async fn livez_one(
    State(site): State<Site>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    method: Method,
) -> Response {
    run_one(&site, ("livez", LIVEZ), &name, (query.as_deref(), &method)).await
}

/// One of the checks of `/readyz`.
pub(super) async fn readyz_one(
    State(site): State<Site>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    method: Method,
) -> Response {
    run_one(&site, ("readyz", READYZ), &name, (query.as_deref(), &method)).await
}

async fn run_all(
    site: &Site,
    kind: (&'static str, &[Check]),
    query: Option<&str>,
    method: &Method,
) -> Response {
    let excluded = values_of(query, "exclude");
    let checks: Vec<Check> = kind
        .1
        .iter()
        .copied()
        .filter(|check| !excluded.iter().any(|name| name == check.name()))
        .collect();
    run(site, (kind.0, &checks), query, method).await
}

async fn run_one(
    site: &Site,
    kind: (&'static str, &[Check]),
    name: &str,
    (query, method): (Option<&str>, &Method),
) -> Response {
    match kind.1.iter().position(|check| check.name() == name) {
        Some(index) => run(site, (kind.0, &kind.1[index..=index]), query, method).await,
        None => answers::not_found().await,
    }
}

async fn run(site: &Site, kind: (&'static str, &[Check]), query: Option<&str>, method: &Method) -> Response {
    if let Some(refusal) = answers::refuse_unless_get(method) {
        return refusal;
    }
    let (mut lines, mut healthy) = (String::new(), true);
    for check in kind.1 {
        let result = check.run(&site.store).await;
        site.health.checked(kind.0, check.name(), result.is_ok());
        match result {
            Ok(()) => lines.push_str(&format!("[+]{} ok\n", check.name())),
            Err(what) => {
                healthy = false;
                lines.push_str(&format!("[-]{} failed: {what}\n", check.name()));
            }
        }
    }
    if !healthy {
        tracing::error!(path = kind.0, reason = lines, "Health check error");
        return answers::error(StatusCode::SERVICE_UNAVAILABLE, &lines);
    }
    let details = if has(query, "verbose") {
        lines
    } else {
        String::new()
    };
    answers::plain(StatusCode::OK, format!("{details}ok\n"))
}
