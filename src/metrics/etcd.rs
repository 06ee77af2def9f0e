//! etcd's own metrics, as far as they mean something here: the names that dashboards and alerts are written for.
//!
//! What belongs to Raft's peers, or to the parts of a storage engine that is not here, is left out; a rule
//! over an absent series stays silent, one over an invented series would lie.

use actors::{PipelineReport, Store};

use super::exposition::Exposition;
use super::rpc::RpcMetrics;
use crate::services::{CLUSTER_VERSION, ETCD_VERSION};

/// Writes the families.
pub(super) fn write(page: &mut Exposition, store: &Store, report: &PipelineReport, calls: &RpcMetrics) {
    write_server(page, store, report);
    write_disk(page, store, report);
    write_mvcc(page, report, calls);
    write_watches(page, report);
    write_leases(page, report);
}

fn write_server(page: &mut Exposition, store: &Store, report: &PipelineReport) {
    let minor = CLUSTER_VERSION
        .rsplit_once('.')
        .map_or(CLUSTER_VERSION, |(minor, _)| minor);
    let id = format!("{:x}", store.identity().member_id);
    let labelled = [
        (
            "etcd_cluster_version",
            "Which version is running. 1 for 'cluster_version' label with current cluster version",
            ("cluster_version", minor),
        ),
        (
            "etcd_server_version",
            "Which version is running. 1 for 'server_version' label with current version.",
            ("server_version", ETCD_VERSION),
        ),
        (
            "etcd_server_id",
            "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
            ("server_id", &id),
        ),
    ];
    for (name, help, label) in labelled {
        page.family(name, "gauge", help);
        page.sample(name, &[label], 1);
    }
    write_leadership(page);
    write_proposals(page, report);
    let quota = report.quota_bytes.unwrap_or(0);
    page.gauge(
        "etcd_server_quota_backend_bytes",
        "Current backend storage quota size in bytes.",
        quota,
    );
}

/// A member that is alone leads from the start, which is the one change of leader it has seen.
fn write_leadership(page: &mut Exposition) {
    page.gauge(
        "etcd_server_has_leader",
        "Whether or not a leader exists. 1 is existence, 0 is not.",
        1,
    );
    page.gauge(
        "etcd_server_is_leader",
        "Whether or not this member is a leader. 1 if is, 0 otherwise.",
        1,
    );
    page.gauge(
        "etcd_server_is_learner",
        "Whether or not this member is a learner. 1 if is, 0 otherwise.",
        0,
    );
    page.counter(
        "etcd_server_leader_changes_seen_total",
        "The number of leader changes seen.",
        1,
    );
}

fn write_proposals(page: &mut Exposition, report: &PipelineReport) {
    let done = report.gate.admitted.saturating_sub(report.gate.in_flight);
    page.counter(
        "etcd_server_proposals_committed_total",
        "The total number of consensus proposals committed.",
        done,
    );
    page.counter(
        "etcd_server_proposals_applied_total",
        "The total number of consensus proposals applied.",
        done,
    );
    page.gauge(
        "etcd_server_proposals_pending",
        "The current number of pending proposals to commit.",
        report.gate.in_flight,
    );
    page.counter(
        "etcd_server_proposals_failed_total",
        "The total number of failed proposals seen.",
        report.batches.failures,
    );
}

fn write_disk(page: &mut Exposition, store: &Store, report: &PipelineReport) {
    // One transaction of the log is both: the fsync of the write-ahead log is its commit.
    for (name, help) in [
        (
            "etcd_disk_wal_fsync_duration_seconds",
            "The latency distributions of fsync called by WAL.",
        ),
        (
            "etcd_disk_backend_commit_duration_seconds",
            "The latency distributions of commit called by backend.",
        ),
    ] {
        page.family(name, "histogram", help);
        page.durations(name, &[], &report.batches.commit);
    }
    if let Ok(size) = store.size() {
        let (total, in_use) = (
            "etcd_mvcc_db_total_size_in_bytes",
            "etcd_mvcc_db_total_size_in_use_in_bytes",
        );
        page.gauge(
            total,
            "Total size of the underlying database physically allocated in bytes.",
            size.allocated,
        );
        page.gauge(
            in_use,
            "Total size of the underlying database logically in use in bytes.",
            size.in_use,
        );
    }
}

fn write_mvcc(page: &mut Exposition, report: &PipelineReport, calls: &RpcMetrics) {
    let keyspace = &report.keyspace;
    page.counter(
        "etcd_mvcc_put_total",
        "Total number of puts seen by this member.",
        keyspace.puts,
    );
    page.counter(
        "etcd_mvcc_delete_total",
        "Total number of deletes seen by this member.",
        keyspace.deletes,
    );
    page.counter(
        "etcd_mvcc_range_total",
        "Total number of ranges seen by this member.",
        calls.started("Range"),
    );
    page.counter(
        "etcd_mvcc_txn_total",
        "Total number of txns seen by this member.",
        calls.started("Txn"),
    );
    page.gauge(
        "etcd_debugging_mvcc_keys_total",
        "Total number of keys.",
        keyspace.keys,
    );
    page.gauge(
        "etcd_debugging_mvcc_current_revision",
        "The current revision of store.",
        report.revision,
    );
    page.gauge(
        "etcd_debugging_mvcc_compact_revision",
        "The revision of the last compaction in store.",
        report.compact_revision,
    );
}

fn write_watches(page: &mut Exposition, report: &PipelineReport) {
    let hub = &report.hub;
    page.gauge(
        "etcd_debugging_mvcc_watch_stream_total",
        "Total number of watch streams.",
        hub.streams,
    );
    page.gauge(
        "etcd_debugging_mvcc_watcher_total",
        "Total number of watchers.",
        hub.watchers,
    );
    page.gauge(
        "etcd_debugging_mvcc_slow_watcher_total",
        "Total number of unsynced slow watchers.",
        hub.slow_watchers,
    );
    page.counter(
        "etcd_debugging_mvcc_events_total",
        "Total number of events sent by this member.",
        hub.events_sent,
    );
    page.gauge(
        "etcd_debugging_mvcc_pending_events_total",
        "Total number of pending events to be sent.",
        hub.pending_events,
    );
}

fn write_leases(page: &mut Exposition, report: &PipelineReport) {
    let leases = &report.leases;
    page.counter(
        "etcd_debugging_lease_granted_total",
        "The total number of granted leases.",
        leases.granted,
    );
    page.counter(
        "etcd_debugging_lease_renewed_total",
        "The number of renewed leases seen by the leader.",
        leases.renewed,
    );
    page.counter(
        "etcd_debugging_lease_revoked_total",
        "The total number of revoked leases.",
        leases.revoked,
    );
    page.counter(
        "etcd_debugging_server_lease_expired_total",
        "The total number of expired leases.",
        leases.expired,
    );
}
