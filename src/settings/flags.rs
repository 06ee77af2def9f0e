//! The command line: etcd's flag names where etcd has one, ours beside them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::values::{ListenUrl, go_bool, go_duration};

const ABOUT: &str = "Taffrail: an etcd v3 server for Kubernetes on an append-only log in SQLite";

const AFTER_HELP: &str = "\
Every flag can also be given as an environment variable: ETCD_DATA_DIR for --data-dir and so on, or \
TAFFRAIL_DATA_DIR, which wins over it. A flag wins over both. With --config-file (YAML, the flags' names \
as keys) nothing else is looked at, as with etcd. Flags of etcd that mean nothing on a single node are \
accepted and named in a warning.\n";

/// What was asked of the program.
#[derive(Debug, Parser)]
#[command(
    name = "taffrail",
    about = ABOUT,
    after_help = AFTER_HELP,
    disable_version_flag = true,
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    max_term_width = 110
)]
pub(crate) struct CommandLine {
    /// Print the version as etcd prints its own, and ours
    #[arg(long, short = 'V')]
    pub(crate) version: bool,
    /// Read all settings from this YAML file; other flags and the environment are then ignored
    #[arg(long, value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) member: MemberFlags,
    #[command(flatten)]
    pub(crate) cluster: ClusterFlags,
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
    #[command(flatten)]
    pub(crate) history: HistoryFlags,
    #[command(flatten)]
    pub(crate) security: SecurityFlags,
    #[command(flatten)]
    pub(crate) keepalive: KeepaliveFlags,
    #[command(flatten)]
    pub(crate) watching: ObservationFlags,
    #[command(flatten)]
    pub(crate) resources: ResourceFlags,
    /// What to do instead of serving
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Who this member is and where it listens.
#[derive(Debug, Args)]
#[command(next_help_heading = "Member")]
pub(crate) struct MemberFlags {
    /// The member's name, as `etcdctl member list` shows it
    #[arg(long, default_value = "default")]
    pub(crate) name: String,
    /// Where the log is kept
    #[arg(long, value_name = "DIR", default_value = "taffrail.data")]
    pub(crate) data_dir: PathBuf,
    /// Where gRPC and HTTP are served: http://, https://, unix:// or unixs:// URLs, separated by commas
    #[arg(
        long,
        value_name = "URLS",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:2379"
    )]
    pub(crate) listen_client_urls: Vec<ListenUrl>,
    /// Where HTTP alone is served; the client URLs then serve gRPC alone
    #[arg(long, value_name = "URLS", value_delimiter = ',')]
    pub(crate) listen_client_http_urls: Vec<ListenUrl>,
    /// Where /metrics, /health, /livez and /readyz are served beside the client URLs, without client certificates
    #[arg(long, value_name = "URLS", value_delimiter = ',')]
    pub(crate) listen_metrics_urls: Vec<ListenUrl>,
    /// What clients are told to connect to [default: the client URLs]
    #[arg(long, value_name = "URLS", value_delimiter = ',')]
    pub(crate) advertise_client_urls: Vec<String>,
    /// Set SO_REUSEPORT on listeners
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = go_bool, action = ArgAction::Set)]
    pub(crate) socket_reuse_port: bool,
}

/// The other members, if there are any.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterFlags {
    /// Where the log is kept: sqlite, by this server alone, or dqlite, by several members [default: dqlite if
    /// several members are named or the data directory is a member's, else sqlite]
    #[arg(long, value_name = "BACKEND")]
    pub(crate) backend: Option<String>,
    /// Where other members are awaited; nothing listens there if there are none
    #[arg(
        long,
        value_name = "URLS",
        value_delimiter = ',',
        default_value = "http://localhost:2380"
    )]
    pub(crate) listen_peer_urls: Vec<ListenUrl>,
    /// Where other members reach this one, and what `member list` shows
    #[arg(
        long,
        value_name = "URLS",
        value_delimiter = ',',
        default_value = "http://localhost:2380"
    )]
    pub(crate) initial_advertise_peer_urls: Vec<String>,
    /// The members of a new cluster, as name=URL, separated by commas; each is given the same list
    #[arg(long, value_name = "MEMBERS", value_delimiter = ',')]
    pub(crate) initial_cluster: Vec<String>,
    /// Whether the members of --initial-cluster make a new cluster or this one joins them: new or existing
    #[arg(long, value_name = "STATE", default_value = "new")]
    pub(crate) initial_cluster_state: String,
    /// What sets a new cluster apart from others with the same members
    #[arg(long, value_name = "TOKEN", default_value = "etcd-cluster")]
    pub(crate) initial_cluster_token: String,
    /// Members of a cluster to join, separated by commas
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',')]
    pub(crate) join: Vec<String>,
    /// This member's certificate towards other members, with its chain (PEM); read again when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) peer_cert_file: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) peer_key_file: Option<PathBuf>,
    /// Who must have signed the other members' certificates (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) peer_trusted_ca_file: Option<PathBuf>,
    /// Members always ask each other for certificates when they have their own
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", hide = true,
          default_missing_value = "true", value_parser = go_bool, action = ArgAction::Set)]
    pub(crate) peer_client_cert_auth: bool,
    /// Not supported: give --peer-cert-file, --peer-key-file and --peer-trusted-ca-file
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", hide = true,
          default_missing_value = "true", value_parser = go_bool, action = ArgAction::Set)]
    pub(crate) peer_auto_tls: bool,
    /// Understood, and derived from --election-timeout
    #[arg(long, value_name = "MS", default_value_t = 100, hide = true)]
    pub(crate) heartbeat_interval: u64,
    /// Milliseconds without a leader after which an election begins, at the earliest
    #[arg(long, value_name = "MS", default_value_t = 600)]
    pub(crate) election_timeout: u64,
    /// Members that vote, an odd number
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) voters: u32,
    /// Members beyond the voters that keep a replica and take a voter's place when it fails
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) standbys: u32,
    /// Learners that may be waited for at a time: members that were added as such and have not been started yet
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) max_learners: usize,
    /// What this member fails together with (a rack, a power line), by whatever number: votes are spread over them
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) failure_domain: u64,
    /// For rehearsals of an upgrade: knows one schema version of the log more than this release
    #[arg(long, hide = true)]
    pub(crate) rehearse_next_release: bool,
}

/// What a client may ask for at most.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitFlags {
    /// Space, in bytes, after which writes are refused; 0 means 2 GiB, negative means no limit
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub(crate) quota_backend_bytes: i64,
    /// Size of the largest request, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1_572_864)]
    pub(crate) max_request_bytes: u32,
    /// Operations that a transaction may have
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(crate) max_txn_ops: u32,
    /// Streams that a client may have open on one connection
    #[arg(long, value_name = "N", default_value_t = u32::MAX)]
    pub(crate) max_concurrent_streams: u32,
    /// Requests under way at once; more are refused as "too many requests" [default: chosen by the pipeline]
    #[arg(long, value_name = "N")]
    pub(crate) max_in_flight: Option<usize>,
    /// Bytes of requests under way at once [default: chosen by the pipeline]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_in_flight_bytes: Option<usize>,
}

/// How much of the past is kept, and how watchers hear of it.
#[derive(Debug, Args)]
#[command(next_help_heading = "History and watches")]
pub(crate) struct HistoryFlags {
    /// How --auto-compaction-retention is meant: periodic or revision
    #[arg(long, value_name = "MODE", default_value = "periodic")]
    pub(crate) auto_compaction_mode: String,
    /// How much history to keep: a duration (hours without a unit) or a number of revisions; 0 means all
    #[arg(long, value_name = "RETENTION", default_value = "0")]
    pub(crate) auto_compaction_retention: String,
    /// How often an idle watch that asked for it is told the newest revision
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = go_duration)]
    pub(crate) watch_progress_notify_interval: Duration,
}

/// TLS towards clients, and who may come in without it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Security")]
pub(crate) struct SecurityFlags {
    /// Server certificate, with its chain (PEM); read again when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) cert_file: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Not supported: give --cert-file and --key-file
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", hide = true,
          default_missing_value = "true", value_parser = go_bool, action = ArgAction::Set)]
    pub(crate) auto_tls: bool,
    /// Ask every client for a certificate
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = go_bool, action = ArgAction::Set)]
    pub(crate) client_cert_auth: bool,
    /// Who must have signed the clients' certificates (PEM); asks for them even without --client-cert-auth
    #[arg(long, value_name = "FILE")]
    pub(crate) trusted_ca_file: Option<PathBuf>,
    /// Client certificates that were revoked (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) client_crl_file: Option<PathBuf>,
    /// Names, one of which a client's certificate must carry, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) client_cert_allowed_hostname: Vec<String>,
    /// Oldest TLS to speak: TLS1.2 or TLS1.3
    #[arg(long, value_name = "VERSION", default_value = "TLS1.2")]
    pub(crate) tls_min_version: String,
    /// Newest TLS to speak [default: the newest there is]
    #[arg(long, value_name = "VERSION", default_value = "", hide_default_value = true)]
    pub(crate) tls_max_version: String,
    /// Cipher suites to speak, by their IANA names, separated by commas [default: all that are safe]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) cipher_suites: Vec<String>,
    /// Origins that a browser may call from, separated by commas
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',', default_value = "*")]
    pub(crate) cors: Vec<String>,
    /// Host names by which HTTP may be called without TLS, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "*")]
    pub(crate) host_whitelist: Vec<String>,
}

/// How dead connections are found and impolite clients sent away.
#[derive(Debug, Args)]
#[command(next_help_heading = "Keep-alive")]
pub(crate) struct KeepaliveFlags {
    /// Least time between two pings of a client; one that pings more often is sent away
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = go_duration)]
    pub(crate) grpc_keepalive_min_time: Duration,
    /// How often the server pings an idle client; 0 means never
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = go_duration)]
    pub(crate) grpc_keepalive_interval: Duration,
    /// How long a client may take to answer a ping
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = go_duration)]
    pub(crate) grpc_keepalive_timeout: Duration,
}

/// What is logged and measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logs and metrics")]
pub(crate) struct ObservationFlags {
    /// Least severe messages to log: debug, info, warn, error, panic, fatal, or a tracing filter
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: String,
    /// How to log: json or console [default: console on a terminal, else json]
    #[arg(long, value_name = "FORMAT", default_value = "", hide_default_value = true)]
    pub(crate) log_format: String,
    /// Where to log: stderr, stdout, or files, separated by commas
    #[arg(
        long,
        value_name = "OUTPUTS",
        value_delimiter = ',',
        default_value = "default"
    )]
    pub(crate) log_outputs: Vec<String>,
    /// Log a span for every request, at level debug
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = go_bool, action = ArgAction::Set)]
    pub(crate) request_spans: bool,
    /// How much to measure: basic, or extensive for latency histograms of every gRPC method
    #[arg(long, value_name = "LEVEL", default_value = "basic")]
    pub(crate) metrics: String,
    /// Serve etcd's JSON gateway under /v3
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true",
          default_missing_value = "true", value_parser = go_bool, action = ArgAction::Set)]
    pub(crate) enable_grpc_gateway: bool,
}

/// What the process may take of the machine.
#[derive(Debug, Args)]
#[command(next_help_heading = "Resources")]
pub(crate) struct ResourceFlags {
    /// Threads that serve connections, and as many for long requests; one alone decides and applies as well [default:
    /// half of the cores, four at most]
    #[arg(long, value_name = "N")]
    pub(crate) worker_threads: Option<usize>,
    /// Memory, in bytes, for current values; the rest is read from the log [default: chosen by the pipeline]
    #[arg(long, value_name = "BYTES")]
    pub(crate) value_cache_bytes: Option<usize>,
    /// How long requests under way may take to finish when the server is told to stop
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = go_duration)]
    pub(crate) drain_timeout: Duration,
}

/// What else the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a log: its file, and that what it says is consistent; a server may be running on it
    Verify {
        /// A data directory or a snapshot
        #[arg(value_name = "DIR|FILE")]
        path: PathBuf,
    },
    /// Make a stopped member the only one of its cluster, which has lost its majority for good. Of several
    /// survivors choose the one whose log is longest; the others join again with empty data directories
    Recover {
        /// The member's data directory
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Make a new data directory from a snapshot: of a server that is alone, or of the first member of a new cluster
    Restore(RestoreFlags),
}

/// What a restore may be told, in the words of `etcdutl snapshot restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreFlags {
    /// The snapshot, as `etcdctl snapshot save` wrote it
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) snapshot: PathBuf,
    /// The data directory to make; it must not hold a log yet
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// How far to raise the newest revision, so that clients never see it go back
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) bump_revision: u64,
    /// Mark all revisions of the snapshot as compacted, so that no watch goes on from before it
    #[arg(long)]
    pub(crate) mark_compacted: bool,
    /// Restore the store as it was at this revision [default: the newest]
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<i64>,
    /// Where the log is to be kept: sqlite or dqlite [default: dqlite if several members are named, else sqlite]
    #[arg(long, value_name = "BACKEND")]
    pub(crate) backend: Option<String>,
    /// The name of the member that the directory is for
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) name: String,
    /// The members of the new cluster, as name=URL, as they will be started. The first in the order of names is
    /// restored; the others start with empty directories
    #[arg(long, value_name = "MEMBERS", value_delimiter = ',')]
    pub(crate) initial_cluster: Vec<String>,
    /// What sets the new cluster apart from others with the same members
    #[arg(long, value_name = "TOKEN", default_value = "etcd-cluster")]
    pub(crate) initial_cluster_token: String,
    /// Where other members reach the member [default: as --initial-cluster says]
    #[arg(long, value_name = "URL")]
    pub(crate) initial_advertise_peer_urls: Option<String>,
}
