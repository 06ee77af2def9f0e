//! etcd's own metrics, as far as they mean something here: the names that dashboards and alerts are written for.
//!
//! What belongs to the parts of a storage engine or of Raft that are not here is left out: a rule over an
//! absent series stays silent, one over an invented series would lie.

use actors::{Histogram, PipelineReport, Store};

use super::exposition::{Exposition, Label};
use super::messages::Method;
use super::rpc::RpcMetrics;
use crate::services::{CLUSTER_VERSION, ETCD_VERSION};

/// The slowest commits count as slow from here on: bucket 17 ends at 131 ms, etcd's bound is 100 ms.
const SLOW_BUCKET: usize = 17;
/// The requests that are timed, and what etcd calls them.
const REQUESTS: &[(&str, &str)] = &[
    ("KV/Range", "Range"),
    ("KV/Put", "Put"),
    ("KV/DeleteRange", "DeleteRange"),
    ("KV/Txn", "Txn"),
    ("KV/Compact", "Compaction"),
    ("Lease/LeaseGrant", "LeaseGrant"),
    ("Lease/LeaseRevoke", "LeaseRevoke"),
    ("Maintenance/Alarm", "Alarm"),
];
const NANOS_PER_MILLISECOND: f64 = 1e6;

/// Writes the families; `learner` is whether this member has no vote.
pub(super) fn write(
    page: &mut Exposition,
    store: &Store,
    report: &PipelineReport,
    calls: &RpcMetrics,
    learner: bool,
) {
    write_server(page, store, report, learner);
    write_requests(page, report, calls);
    write_disk(page, store, report);
    write_maintenance(page, report, calls);
    write_mvcc(page, report);
    write_watches(page, report);
    write_leases(page, report);
}

fn write_server(page: &mut Exposition, store: &Store, report: &PipelineReport, learner: bool) {
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
    write_leadership(page, store, report, learner);
    write_proposals(page, report);
    let quota = report.quota_bytes.unwrap_or(0);
    page.gauge(
        "etcd_server_quota_backend_bytes",
        "Current backend storage quota size in bytes.",
        quota,
    );
}

/// A member that is alone leads from the start, which is the one change of leader it has seen.
fn write_leadership(page: &mut Exposition, store: &Store, report: &PipelineReport, learner: bool) {
    let leader = store.leader_id();
    page.gauge(
        "etcd_server_has_leader",
        "Whether or not a leader exists. 1 is existence, 0 is not.",
        u64::from(leader.is_some()),
    );
    page.gauge(
        "etcd_server_is_leader",
        "Whether or not this member is a leader. 1 if is, 0 otherwise.",
        u64::from(leader == Some(store.identity().member_id)),
    );
    page.gauge(
        "etcd_server_is_learner",
        "Whether or not this member is a learner. 1 if is, 0 otherwise.",
        u64::from(learner),
    );
    page.counter(
        "etcd_server_leader_changes_seen_total",
        "The number of leader changes seen.",
        report
            .cluster
            .as_ref()
            .map_or(1, |cluster| cluster.leadership.leader_changes),
    );
}

fn write_proposals(page: &mut Exposition, report: &PipelineReport) {
    let done = report.gate.admitted.saturating_sub(report.gate.in_flight);
    page.gauge(
        "etcd_server_proposals_committed_total",
        "The total number of consensus proposals committed.",
        done,
    );
    page.gauge(
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

/// Reads need no index from a leader elsewhere, and nobody waits for heartbeats: those never fail.
fn write_requests(page: &mut Exposition, report: &PipelineReport, calls: &RpcMetrics) {
    let slow: u64 = report.batches.commit.buckets.iter().skip(SLOW_BUCKET + 1).sum();
    for (name, help, count) in [
        (
            "etcd_server_slow_apply_total",
            "The total number of slow apply requests (likely overloaded from slow disk).",
            slow,
        ),
        (
            "etcd_server_slow_read_indexes_total",
            "The total number of pending read indexes not in sync with leader's or timed out read index requests.",
            0,
        ),
        (
            "etcd_server_read_indexes_failed_total",
            "The total number of failed read indexes seen.",
            0,
        ),
        (
            "etcd_server_heartbeat_send_failures_total",
            "The total number of leader heartbeat send failures (likely overloaded from slow disk).",
            0,
        ),
    ] {
        page.counter(name, help, count);
    }
    write_request_durations(page, calls);
    if let Some(keyspace) = report
        .mailboxes
        .iter()
        .find(|mailbox| mailbox.actor == "keyspace")
    {
        let name = "etcd_server_apply_duration_seconds";
        page.family(
            name,
            "histogram",
            "The latency distributions of apply; here of whole batches.",
        );
        page.durations(
            name,
            &[("op", "Batch"), ("success", "true"), ("version", "v3")],
            &keyspace.handle,
        );
    }
}

fn write_request_durations(page: &mut Exposition, calls: &RpcMetrics) {
    let name = "etcd_server_request_duration_seconds";
    page.family(
        name,
        "histogram",
        "Response latency distribution in seconds for each type.",
    );
    for (method, kind) in REQUESTS {
        write_durations(page, name, calls.method(method), &[("type", kind)]);
    }
    let name = "etcd_server_range_duration_seconds";
    page.family(name, "histogram", "The latency distributions of txn.Range");
    write_durations(page, name, calls.method("KV/Range"), &[]);
}

fn write_durations(page: &mut Exposition, name: &str, method: Option<&Method>, labels: &[Label<'_>]) {
    let Some(method) = method else { return };
    for (success, handling) in ["true", "false"].iter().zip(&method.handling) {
        let snapshot = handling.snapshot();
        if snapshot.count > 0 {
            let labels: Vec<Label<'_>> = [("success", *success)].iter().chain(labels).copied().collect();
            page.durations(name, &labels, &snapshot);
        }
    }
}

/// Snapshots and defragmentation are timed as calls; compaction in milliseconds, as etcd times its own.
fn write_maintenance(page: &mut Exposition, report: &PipelineReport, calls: &RpcMetrics) {
    for (method, name, help) in [
        (
            "Maintenance/Snapshot",
            "etcd_disk_backend_snapshot_duration_seconds",
            "The latency distribution of backend snapshots.",
        ),
        (
            "Maintenance/Defragment",
            "etcd_disk_backend_defrag_duration_seconds",
            "The latency distribution of backend defragmentation.",
        ),
    ] {
        if let Some(method) = calls.method(method) {
            page.family(name, "histogram", help);
            page.durations(name, &[], &method.all_handling());
        }
    }
    let defragmenting = calls
        .method("Maintenance/Defragment")
        .is_some_and(|method| method.under_way() > 0);
    let help = "Whether or not defrag is active on the member. 1 means active, 0 means not.";
    page.gauge("etcd_disk_defrag_inflight", help, u8::from(defragmenting));
    let compactor = &report.compactor;
    page.counter(
        "etcd_debugging_mvcc_db_compaction_keys_total",
        "Total number of db keys compacted.",
        compactor.scrubbed,
    );
    page.gauge(
        "etcd_debugging_mvcc_db_compaction_last",
        "The unix time of the last db compaction. Resets to 0 on start.",
        compactor.last_unix_seconds,
    );
    for (name, help, snapshot) in [
        (
            "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
            "Bucketed histogram of db compaction pause duration.",
            &compactor.locks,
        ),
        (
            "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
            "Bucketed histogram of db compaction total duration.",
            &compactor.passes,
        ),
    ] {
        page.family(name, "histogram", help);
        page.scaled(name, &[], snapshot, NANOS_PER_MILLISECOND);
    }
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
    write_files(page, store);
    if let Ok(size) = store.measure() {
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

/// A log that is alone never gets its database from a leader, so there is nothing in these histograms.
fn write_files(page: &mut Exposition, store: &Store) {
    let activity = store.activity();
    page.gauge(
        "etcd_disk_wal_write_bytes_total",
        "Total number of bytes written in WAL.",
        activity.written,
    );
    page.gauge(
        "etcd_mvcc_db_open_read_transactions",
        "The number of currently open read transactions",
        activity.open_reads,
    );
    for (name, help) in [
        (
            "etcd_snap_db_fsync_duration_seconds",
            "The latency distributions of fsyncing .snap.db file",
        ),
        (
            "etcd_snap_db_save_total_duration_seconds",
            "The total latency distributions of v3 snapshot save",
        ),
    ] {
        page.family(name, "histogram", help);
        page.durations(name, &[], &Histogram::default().snapshot());
    }
}

fn write_mvcc(page: &mut Exposition, report: &PipelineReport) {
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
        keyspace.ranges,
    );
    page.counter(
        "etcd_mvcc_txn_total",
        "Total number of txns seen by this member.",
        keyspace.transactions,
    );
    page.gauge(
        "etcd_debugging_mvcc_total_put_size_in_bytes",
        "The total size of put kv pairs seen by this member.",
        keyspace.put_bytes,
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
