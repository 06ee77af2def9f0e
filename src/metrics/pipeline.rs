//! Taffrail's own metrics: every actor's mailbox, and what is particular to each.

use actors::{MailboxReport, PipelineReport};

use super::exposition::Exposition;

/// Writes the families.
pub(super) fn write(page: &mut Exposition, report: &PipelineReport) {
    write_mailboxes(page, &report.mailboxes);
    write_gate(page, report);
    write_batches(page, report);
    write_watches(page, report);
    write_state(page, report);
    write_leases(page, report);
    write_compactor(page, report);
}

/// What is shown of a mailbox, as name, kind, help and value.
type MailboxFigure = (
    &'static str,
    &'static str,
    &'static str,
    fn(&MailboxReport) -> f64,
);

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus keeps every number as a float"
)]
const MAILBOX_FIGURES: &[MailboxFigure] = &[
    (
        "taffrail_actor_mailbox_depth",
        "gauge",
        "Messages queued and not yet handled.",
        |m| m.depth as f64,
    ),
    (
        "taffrail_actor_mailbox_max_depth",
        "gauge",
        "Greatest depth since the start.",
        |m| m.max_depth as f64,
    ),
    (
        "taffrail_actor_handled_total",
        "counter",
        "Messages handled since the start.",
        |m| m.handled as f64,
    ),
    (
        "taffrail_actor_idle_seconds",
        "gauge",
        "Time since a message was last handled.",
        |m| m.idle.as_secs_f64(),
    ),
];

fn write_mailboxes(page: &mut Exposition, mailboxes: &[MailboxReport]) {
    for (name, kind, help, value) in MAILBOX_FIGURES {
        page.family(name, kind, help);
        for mailbox in mailboxes {
            page.sample(name, &[("actor", mailbox.actor)], value(mailbox));
        }
    }
    page.family(
        "taffrail_actor_wait_seconds",
        "histogram",
        "How long messages waited in the mailbox.",
    );
    for mailbox in mailboxes {
        page.durations(
            "taffrail_actor_wait_seconds",
            &[("actor", mailbox.actor)],
            &mailbox.wait,
        );
    }
    page.family(
        "taffrail_actor_handle_seconds",
        "histogram",
        "How long messages took to handle.",
    );
    for mailbox in mailboxes {
        page.durations(
            "taffrail_actor_handle_seconds",
            &[("actor", mailbox.actor)],
            &mailbox.handle,
        );
    }
}

fn write_gate(page: &mut Exposition, report: &PipelineReport) {
    let gate = &report.gate;
    page.gauge("taffrail_gate_in_flight", "Requests under way.", gate.in_flight);
    page.gauge(
        "taffrail_gate_in_flight_bytes",
        "Bytes of requests under way.",
        gate.in_flight_bytes,
    );
    page.gauge(
        "taffrail_gate_capacity",
        "Requests that may be under way.",
        gate.capacity,
    );
    page.gauge(
        "taffrail_gate_capacity_bytes",
        "Bytes of requests that may be under way.",
        gate.capacity_bytes,
    );
    page.counter(
        "taffrail_gate_admitted_total",
        "Requests admitted.",
        gate.admitted,
    );
    page.counter(
        "taffrail_gate_refused_total",
        "Requests refused because too much was under way.",
        gate.refused,
    );
}

fn write_batches(page: &mut Exposition, report: &PipelineReport) {
    let batches = &report.batches;
    page.family(
        "taffrail_batch_effects",
        "histogram",
        "How many effects were committed together.",
    );
    page.sizes("taffrail_batch_effects", &batches.sizes, batches.effects);
    page.family(
        "taffrail_batch_commit_seconds",
        "histogram",
        "How long commits took.",
    );
    page.durations("taffrail_batch_commit_seconds", &[], &batches.commit);
    page.counter(
        "taffrail_batch_failures_total",
        "Batches that could not be stored.",
        batches.failures,
    );
}

fn write_watches(page: &mut Exposition, report: &PipelineReport) {
    let hub = &report.hub;
    page.gauge(
        "taffrail_watch_lag_revisions",
        "Revisions that the watch hub is behind the store.",
        hub.lag,
    );
    page.gauge(
        "taffrail_watch_parked_watchers",
        "Slow watchers whose stream is not being read.",
        hub.parked_watchers,
    );
    page.gauge(
        "taffrail_watch_pending_bytes",
        "Bytes in watch streams that were not read yet.",
        hub.pending_bytes,
    );
    page.gauge(
        "taffrail_watch_ring_bytes",
        "Bytes of recent batches kept for slow watchers.",
        hub.ring_bytes,
    );
    page.counter(
        "taffrail_watch_responses_total",
        "Responses put into watch streams.",
        hub.responses_sent,
    );
    page.counter(
        "taffrail_watch_stalls_total",
        "Watchers that fell behind because they did not read.",
        hub.stalls,
    );
    page.counter(
        "taffrail_watch_compacted_total",
        "Watches cancelled because compaction overtook them.",
        hub.compacted,
    );
    page.counter(
        "taffrail_watch_skips_total",
        "Times that every watcher was sent to the log.",
        hub.skips,
    );
    page.counter(
        "taffrail_watch_failed_reads_total",
        "Reads of the log for watchers that failed.",
        hub.failed_reads,
    );
    let pages = "taffrail_watch_catch_up_pages_total";
    page.family(
        pages,
        "counter",
        "Pages served to watchers catching up, by where they came from.",
    );
    page.sample(pages, &[("source", "ring")], hub.pages_from_ring);
    page.sample(pages, &[("source", "log")], hub.pages_from_log);
}

fn write_state(page: &mut Exposition, report: &PipelineReport) {
    let keyspace = &report.keyspace;
    page.gauge("taffrail_keyspace_keys", "Keys that exist.", keyspace.keys);
    page.gauge(
        "taffrail_keyspace_versions",
        "Versions that can be read.",
        keyspace.versions,
    );
    page.gauge(
        "taffrail_keyspace_resident_bytes",
        "Bytes of values in memory.",
        keyspace.resident_bytes,
    );
}

fn write_leases(page: &mut Exposition, report: &PipelineReport) {
    let leases = &report.leases;
    page.gauge("taffrail_lease_active", "Leases that exist.", leases.active);
    let stored = "Renewals that had to be written to the log.";
    page.counter(
        "taffrail_lease_renewals_stored_total",
        stored,
        leases.renewals_stored,
    );
    page.counter(
        "taffrail_lease_failed_total",
        "Renewals and expiries that could not be stored.",
        leases.failed,
    );
}

fn write_compactor(page: &mut Exposition, report: &PipelineReport) {
    let compactor = &report.compactor;
    page.gauge(
        "taffrail_compactor_pending_rows",
        "Rows that compaction has yet to delete.",
        compactor.pending,
    );
    page.counter(
        "taffrail_compactor_scrubbed_total",
        "Rows that compaction deleted.",
        compactor.scrubbed,
    );
    page.counter(
        "taffrail_compactor_failed_total",
        "Deletions that could not be stored.",
        compactor.failed,
    );
    page.counter(
        "taffrail_compactor_automatic_total",
        "Compactions that nobody asked for.",
        compactor.automatic,
    );
    page.family(
        "taffrail_compactor_pass_seconds",
        "histogram",
        "How long passes over the index took.",
    );
    page.durations("taffrail_compactor_pass_seconds", &[], &compactor.passes);
}
