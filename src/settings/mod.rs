//! What the operator wants, from the command line, the environment and a file, checked as a whole.

mod cluster;
mod errors;
mod flags;
mod sources;
mod tls;
mod unused;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use actors::AutoCompaction;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

pub(crate) use cluster::{Backend, ClusterSettings, FirstMember, first_member};
#[cfg(feature = "dqlite")]
pub(crate) use cluster::{InitialMember, PeerTls};
pub(crate) use errors::SettingsError;
pub(crate) use flags::{Command, RestoreFlags};
pub(crate) use tls::TlsSettings;
pub(crate) use values::{ListenAddress, ListenUrl};

use flags::CommandLine;

/// etcd's quota when none is set.
const DEFAULT_QUOTA_BYTES: u64 = 2 << 30;
/// The shortest interval of progress notifications that etcd allows.
const MIN_PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// More threads than this serve connections no faster.
const MOST_WORKER_THREADS: usize = 4;

/// What to do.
pub(crate) enum Request {
    /// Print the version.
    Version,
    /// Serve.
    Serve(Box<Settings>),
    /// Do something else.
    Command(Command),
}

/// Everything the server needs to know before it starts.
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) backend: Backend,
    pub(crate) listen: Listen,
    pub(crate) advertise_client_urls: Vec<String>,
    pub(crate) advertise_peer_urls: Vec<String>,
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) access: Access,
    pub(crate) limits: Limits,
    pub(crate) keepalive: Keepalive,
    pub(crate) history: History,
    pub(crate) log: LogSettings,
    pub(crate) extensive_metrics: bool,
    pub(crate) gateway: bool,
    pub(crate) worker_threads: usize,
    pub(crate) value_cache_bytes: Option<usize>,
    pub(crate) drain_timeout: Duration,
    /// What the operator should be told once the log is open.
    pub(crate) warnings: Vec<String>,
}

/// Where to listen for what.
pub(crate) struct Listen {
    /// gRPC, and HTTP unless that has URLs of its own.
    pub(crate) client: Vec<ListenUrl>,
    /// HTTP alone.
    pub(crate) http: Vec<ListenUrl>,
    /// Metrics and health alone.
    pub(crate) metrics: Vec<ListenUrl>,
    pub(crate) reuse_port: bool,
}

/// What browsers may do.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) origins: Vec<String>,
    pub(crate) hosts: Vec<String>,
}

/// What clients may ask for at most.
pub(crate) struct Limits {
    /// Bytes, `None` for no quota.
    pub(crate) quota_bytes: Option<u64>,
    pub(crate) max_request_bytes: usize,
    pub(crate) max_txn_ops: usize,
    pub(crate) max_concurrent_streams: u32,
    pub(crate) max_in_flight: Option<usize>,
    pub(crate) max_in_flight_bytes: Option<usize>,
}

/// How connections are kept alive, in etcd's terms.
#[derive(Clone, Copy)]
pub(crate) struct Keepalive {
    pub(crate) min_time: Duration,
    /// `None`: the server does not ping.
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Duration,
}

/// What happens to the past.
pub(crate) struct History {
    pub(crate) auto_compaction: AutoCompaction,
    pub(crate) progress_interval: Duration,
}

/// How to log.
pub(crate) struct LogSettings {
    /// Levels by module, in the language of `tracing_subscriber::EnvFilter`.
    pub(crate) filter: String,
    /// JSON or text; `None` lets the terminal decide.
    pub(crate) json: Option<bool>,
    pub(crate) outputs: Vec<String>,
    pub(crate) request_spans: bool,
}

/// The whole command line, the unused flags of etcd included.
fn command() -> clap::Command {
    unused::accept(CommandLine::command())
}

/// Reads the process's arguments and environment.
pub(crate) fn load(
    arguments: impl Iterator<Item = OsString>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Request, SettingsError> {
    let command = command();
    let arguments = sources::from_command_line(&command, arguments);
    let (line, matches) = parse(&command, arguments.clone(), "")?;
    if line.version {
        return Ok(Request::Version);
    }
    if let Some(subcommand) = line.command {
        return Ok(Request::Command(subcommand));
    }
    let mut warnings = Vec::new();
    let mut environment = sources::from_environment(&command, environment);
    let file = line
        .config_file
        .clone()
        .or_else(|| config_file_of(&command, &environment));
    let (line, matches) = match file {
        Some(path) => {
            warnings.extend(overruled(&matches, &environment));
            let found = sources::from_file(&command, &path).map_err(SettingsError::from_file)?;
            warnings.extend(not_understood("configuration file", &found.unknown));
            parse(&command, program(&found.arguments), "configuration file: ")?
        }
        None => {
            warnings.extend(not_understood("environment", &environment.unknown));
            parse(&command, program(&environment.arguments), "environment: ")?;
            environment
                .arguments
                .extend_from_slice(&arguments[1.min(arguments.len())..]);
            parse(&command, program(&environment.arguments), "")?
        }
    };
    warnings.extend(without_meaning(&matches));
    settings_of(line, warnings).map(|settings| Request::Serve(Box::new(settings)))
}

fn program(arguments: &[OsString]) -> Vec<OsString> {
    std::iter::once("taffrail".into())
        .chain(arguments.iter().cloned())
        .collect()
}

fn parse(
    command: &clap::Command,
    arguments: Vec<OsString>,
    source: &str,
) -> Result<(CommandLine, ArgMatches), SettingsError> {
    let matches = command
        .clone()
        .try_get_matches_from(arguments)
        .map_err(|e| SettingsError::from_clap(&e, source))?;
    let line = CommandLine::from_arg_matches(&matches).map_err(|e| SettingsError::from_clap(&e, source))?;
    Ok((line, matches))
}

fn config_file_of(command: &clap::Command, environment: &sources::Arguments) -> Option<PathBuf> {
    parse(command, program(&environment.arguments), "")
        .ok()?
        .0
        .config_file
}

fn overruled(matches: &ArgMatches, environment: &sources::Arguments) -> Option<String> {
    let from_line = |id: &&str| {
        *id != "config_file" && matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine)
    };
    let mut names: Vec<String> = matches
        .ids()
        .map(clap::Id::as_str)
        .filter(from_line)
        .map(|id| format!("--{}", id.replace('_', "-")))
        .collect();
    names.retain(|name| {
        command()
            .get_arguments()
            .any(|known| known.get_long() == name.strip_prefix("--"))
    });
    if !environment.arguments.is_empty() {
        names.push("environment variables".to_owned());
    }
    (!names.is_empty()).then(|| format!("ignored because of --config-file: {}", names.join(", ")))
}

fn not_understood(source: &str, names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("not understood in the {source}: {}", names.join(", ")))
}

fn without_meaning(matches: &ArgMatches) -> Option<String> {
    let names: Vec<_> = unused::given(matches)
        .iter()
        .map(|name| format!("--{name}"))
        .collect();
    (!names.is_empty()).then(|| format!("accepted, but without meaning here: {}", names.join(", ")))
}

fn settings_of(line: CommandLine, mut warnings: Vec<String>) -> Result<Settings, SettingsError> {
    let CommandLine {
        member,
        cluster,
        limits,
        history,
        security,
        keepalive,
        watching,
        resources,
        ..
    } = line;
    let listen = Listen {
        client: member.listen_client_urls,
        http: member.listen_client_http_urls,
        metrics: member.listen_metrics_urls,
        reuse_port: member.socket_reuse_port,
    };
    let advertised = match member.advertise_client_urls {
        given if given.is_empty() => listen.client.iter().map(ToString::to_string).collect(),
        given => given,
    };
    let access = Access {
        origins: security.cors.clone(),
        hosts: security.host_whitelist.clone(),
    };
    Ok(Settings {
        advertise_client_urls: advertised,
        advertise_peer_urls: cluster.initial_advertise_peer_urls.clone(),
        backend: cluster::backend(cluster, &member.name, &member.data_dir)?,
        tls: tls::settings(security, &listen, &mut warnings)?,
        name: member.name,
        data_dir: member.data_dir,
        listen,
        access,
        limits: limits_of(&limits)?,
        keepalive: keepalive_of(&keepalive),
        history: history_of(&history)?,
        extensive_metrics: extensive(&watching.metrics)?,
        gateway: watching.enable_grpc_gateway,
        log: log_of(watching)?,
        worker_threads: resources
            .worker_threads
            .unwrap_or_else(default_worker_threads)
            .max(1),
        value_cache_bytes: resources.value_cache_bytes,
        drain_timeout: resources.drain_timeout,
        warnings,
    })
}

/// Half of the cores: the other half decides, writes, and asks. One thread that is never idle wakes nobody and hears
/// more at once than two that wait for each other.
fn default_worker_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / 2).clamp(1, MOST_WORKER_THREADS)
}

fn limits_of(flags: &flags::LimitFlags) -> Result<Limits, SettingsError> {
    if flags.max_request_bytes == 0 || flags.max_txn_ops == 0 || flags.max_concurrent_streams == 0 {
        return Err(SettingsError::bad(
            "--max-request-bytes, --max-txn-ops and --max-concurrent-streams must not be 0",
        ));
    }
    Ok(Limits {
        quota_bytes: match flags.quota_backend_bytes {
            0 => Some(DEFAULT_QUOTA_BYTES),
            quota => u64::try_from(quota).ok(),
        },
        max_request_bytes: flags.max_request_bytes as usize,
        max_txn_ops: flags.max_txn_ops as usize,
        max_concurrent_streams: flags.max_concurrent_streams,
        max_in_flight: flags.max_in_flight,
        max_in_flight_bytes: flags.max_in_flight_bytes,
    })
}

fn keepalive_of(flags: &flags::KeepaliveFlags) -> Keepalive {
    let interval = flags.grpc_keepalive_interval;
    Keepalive {
        min_time: flags.grpc_keepalive_min_time,
        interval: (!interval.is_zero() && !flags.grpc_keepalive_timeout.is_zero()).then_some(interval),
        timeout: flags.grpc_keepalive_timeout,
    }
}

fn history_of(flags: &flags::HistoryFlags) -> Result<History, SettingsError> {
    let auto_compaction = auto_compaction(&flags.auto_compaction_mode, &flags.auto_compaction_retention)?;
    let progress_interval = flags.watch_progress_notify_interval.max(MIN_PROGRESS_INTERVAL);
    Ok(History {
        auto_compaction,
        progress_interval,
    })
}

fn auto_compaction(mode: &str, retention: &str) -> Result<AutoCompaction, SettingsError> {
    let number: Option<u32> = retention.parse().ok();
    match (mode, number) {
        ("periodic" | "revision", Some(0)) => Ok(AutoCompaction::Off),
        ("periodic", Some(hours)) => Ok(AutoCompaction::Periodic(Duration::from_secs(
            u64::from(hours) * 3600,
        ))),
        ("periodic", None) => match values::go_duration(retention) {
            Ok(Duration::ZERO) => Ok(AutoCompaction::Off),
            Ok(duration) => Ok(AutoCompaction::Periodic(duration)),
            Err(wrong) => Err(SettingsError::bad(format!(
                "--auto-compaction-retention {retention:?}: {wrong}"
            ))),
        },
        ("revision", Some(revisions)) => Ok(AutoCompaction::Revision(i64::from(revisions))),
        ("revision", None) => Err(SettingsError::bad(format!(
            "--auto-compaction-retention {retention:?}: expected a number"
        ))),
        _ => Err(SettingsError::bad(format!(
            "--auto-compaction-mode {mode:?}: expected periodic or revision"
        ))),
    }
}

fn extensive(level: &str) -> Result<bool, SettingsError> {
    match level {
        "basic" => Ok(false),
        "extensive" => Ok(true),
        _ => Err(SettingsError::bad(format!(
            "--metrics {level:?}: expected basic or extensive"
        ))),
    }
}

fn log_of(flags: flags::ObservationFlags) -> Result<LogSettings, SettingsError> {
    let filter = match flags.log_level.as_str() {
        "panic" | "fatal" | "dpanic" => "error".to_owned(),
        level => level.to_owned(),
    };
    let json = match flags.log_format.as_str() {
        "" => None,
        "json" => Some(true),
        "console" | "text" => Some(false),
        other => {
            return Err(SettingsError::bad(format!(
                "--log-format {other:?}: expected json or console"
            )));
        }
    };
    Ok(LogSettings {
        filter,
        json,
        outputs: flags.log_outputs,
        request_spans: flags.request_spans,
    })
}

#[cfg(test)]
mod tests;
