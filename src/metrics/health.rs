//! How health checks went, under etcd's names.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::exposition::Exposition;

/// Counters of health checks.
#[derive(Default)]
pub(crate) struct HealthMetrics {
    success: AtomicU64,
    failures: AtomicU64,
    checks: Mutex<BTreeMap<(&'static str, &'static str), Check>>,
}

#[derive(Clone, Copy, Default)]
struct Check {
    healthy: bool,
    succeeded: u64,
    failed: u64,
}

impl HealthMetrics {
    /// Counts an answer of `/health`.
    pub(crate) fn asked(&self, healthy: bool) {
        let counter = if healthy { &self.success } else { &self.failures };
        counter.fetch_add(1, Relaxed);
    }

    /// Counts a named check of `/livez` or `/readyz`.
    pub(crate) fn checked(&self, kind: &'static str, name: &'static str, healthy: bool) {
        let mut checks = self.checks.lock();
        let check = checks.entry((kind, name)).or_default();
        check.healthy = healthy;
        *(if healthy {
            &mut check.succeeded
        } else {
            &mut check.failed
        }) += 1;
    }

    /// Writes the families.
    pub(super) fn write(&self, page: &mut Exposition) {
        let (success, failures) = (self.success.load(Relaxed), self.failures.load(Relaxed));
        page.counter(
            "etcd_server_health_success",
            "The total number of successful health checks",
            success,
        );
        page.counter(
            "etcd_server_health_failures",
            "The total number of failed health checks",
            failures,
        );
        let checks = self.checks.lock().clone();
        if checks.is_empty() {
            return;
        }
        page.family(
            "etcd_server_healthcheck",
            "gauge",
            "The result of each kind of healthcheck.",
        );
        for ((kind, name), check) in &checks {
            page.sample(
                "etcd_server_healthcheck",
                &[("name", name), ("type", kind)],
                u8::from(check.healthy),
            );
        }
        let total = "etcd_server_healthchecks_total";
        page.family(total, "counter", "The total number of each kind of healthcheck.");
        for ((kind, name), check) in &checks {
            for (status, count) in [("success", check.succeeded), ("error", check.failed)] {
                page.sample(
                    total,
                    &[("name", name), ("status", status), ("type", kind)],
                    count,
                );
            }
        }
    }
}
