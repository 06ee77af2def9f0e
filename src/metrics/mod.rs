//! What Prometheus is told: etcd's names wherever they mean something on one node, and our own.

mod etcd;
mod exposition;
mod health;
mod messages;
mod pipeline;
mod process;
mod rpc;

use std::sync::Arc;

use actors::Store;

pub(crate) use health::HealthMetrics;
pub(crate) use rpc::{AnsweredBody, AskedBody, Call, RpcMetrics};

use exposition::Exposition;

/// Everything that is measured outside of the pipeline, and the way to read what is measured inside.
pub(crate) struct Metrics {
    calls: Arc<RpcMetrics>,
}

impl Metrics {
    /// The metrics of a server with these call counters.
    pub(crate) fn new(calls: Arc<RpcMetrics>) -> Self {
        Self { calls }
    }

    /// The page for Prometheus; `learner` is whether this member has no vote. Reads files, so it may block for a moment.
    pub(crate) fn page(&self, store: &Store, health: &HealthMetrics, learner: bool) -> String {
        let mut page = Exposition::default();
        let report = store.report();
        etcd::write(&mut page, store, &report, &self.calls, learner);
        health.write(&mut page);
        pipeline::write(&mut page, &report);
        self.calls.write(&mut page);
        process::write(&mut page);
        page.finish()
    }
}
