//! Everything on the client port that is not gRPC: health, version, metrics, and a page for people.

mod access;
mod actors_page;
mod answers;
mod health;
mod health_checks;
mod metrics_page;
mod version;

use std::sync::Arc;

use actors::Store;
use axum::Router;
use axum::routing::any;

use crate::company::Company;
use crate::metrics::{HealthMetrics, Metrics};

pub(crate) use access::guard;

/// What the pages show.
#[derive(Clone)]
pub(crate) struct Site {
    store: Store,
    metrics: Arc<Metrics>,
    health: Arc<HealthMetrics>,
    company: Company,
}

impl Site {
    /// The site of a running store.
    pub(crate) fn new(
        store: Store,
        metrics: Arc<Metrics>,
        health: Arc<HealthMetrics>,
        company: Company,
    ) -> Self {
        Self {
            store,
            metrics,
            health,
            company,
        }
    }
}

/// Everything.
pub(crate) fn router(site: Site) -> Router {
    Router::new()
        .route("/version", any(version::version))
        .route("/actors", any(actors_page::page))
        .route("/actors.json", any(actors_page::report))
        .with_state(site.clone())
        .merge(watchdogs(site))
        .fallback(answers::not_found)
}

/// What scrapers and probes ask for.
pub(crate) fn metrics_router(site: Site) -> Router {
    watchdogs(site).fallback(answers::not_found)
}

fn watchdogs(site: Site) -> Router {
    Router::new()
        .route("/metrics", any(metrics_page::metrics))
        .route("/health", any(health::health))
        .route("/livez", any(health_checks::livez))
        .route("/livez/{check}", any(health_checks::livez_one))
        .route("/readyz", any(health_checks::readyz))
        .route("/readyz/{check}", any(health_checks::readyz_one))
        .with_state(site)
}
