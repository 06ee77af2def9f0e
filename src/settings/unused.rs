//! Flags of etcd that mean nothing to a single node without Raft, or to us.
//!
//! They are accepted, so that whatever starts `etcd` can start Taffrail, and named in one warning.

use clap::{Arg, ArgAction, Command};

use super::values::go_bool;

/// Flags that take a value.
const WITH_VALUE: &[&str] = &[
    "auth-token",
    "auth-token-ttl",
    "backend-batch-interval",
    "backend-batch-limit",
    "backend-bbolt-freelist-type",
    "bcrypt-cost",
    "bootstrap-defrag-threshold-megabytes",
    "client-cert-file",
    "client-key-file",
    "compact-hash-check-time",
    "compaction-batch-limit",
    "compaction-sleep-interval",
    "corrupt-check-time",
    "discovery",
    "discovery-cacert",
    "discovery-cert",
    "discovery-dial-timeout",
    "discovery-endpoints",
    "discovery-fallback",
    "discovery-insecure-skip-tls-verify",
    "discovery-insecure-transport",
    "discovery-keepalive-time",
    "discovery-keepalive-timeout",
    "discovery-key",
    "discovery-password",
    "discovery-proxy",
    "discovery-request-timeout",
    "discovery-srv",
    "discovery-srv-name",
    "discovery-token",
    "discovery-user",
    "distributed-tracing-address",
    "distributed-tracing-instance-id",
    "distributed-tracing-sampling-rate",
    "distributed-tracing-service-name",
    "downgrade-check-time",
    "feature-gates",
    "log-rotation-config-json",
    "logger",
    "max-snapshots",
    "max-wals",
    "peer-cert-allowed-cn",
    "peer-cert-allowed-hostname",
    "peer-client-cert-file",
    "peer-client-key-file",
    "peer-crl-file",
    "raft-read-timeout",
    "raft-write-timeout",
    "self-signed-cert-validity",
    "snapshot-catchup-entries",
    "snapshot-count",
    "v2-deprecation",
    "wal-dir",
    "warning-apply-duration",
    "warning-unary-request-duration",
];

/// Flags that are true or false.
const BOOLEAN: &[&str] = &[
    "compact-hash-check-enabled",
    "enable-distributed-tracing",
    "enable-lease-checkpoint",
    "enable-lease-checkpoint-persist",
    "enable-log-rotation",
    "enable-pprof",
    "enable-v2",
    "force-new-cluster",
    "initial-corrupt-check",
    "initial-election-tick-advance",
    "memory-mlock",
    "peer-skip-client-san-verification",
    "pre-vote",
    "socket-reuse-address",
    "stop-grpc-service-on-defrag",
    "strict-reconfig-check",
    "txn-mode-write-with-shared-buffer",
    "unsafe-no-fsync",
];

/// Adds these flags to a command, hidden from its help.
pub(super) fn accept(command: Command) -> Command {
    let hidden = |name: &&'static str| Arg::new(*name).long(*name).hide(true);
    command
        .args(
            WITH_VALUE
                .iter()
                .map(|name| hidden(name).num_args(1).allow_hyphen_values(true)),
        )
        .args(BOOLEAN.iter().map(|name| {
            let boolean = hidden(name)
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true");
            boolean.value_parser(go_bool).action(ArgAction::Set)
        }))
}

/// The names of those flags that were given.
pub(super) fn given(matches: &clap::ArgMatches) -> Vec<&'static str> {
    let given = |name: &&'static str| matches.value_source(name).is_some();
    WITH_VALUE.iter().chain(BOOLEAN).copied().filter(given).collect()
}
