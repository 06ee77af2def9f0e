//! What can be said on the command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use http::Uri;

use crate::chaos::ChaosCommand;
use crate::client::Dialer;

/// Puts load on anything that speaks etcd's v3 API and measures what it costs.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the harness can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one scenario against a server that is already there.
    Run(RunArguments),
    /// Start Taffrail and a peer, run the same load on both in turn, and print the ratios.
    Compare(CompareArguments),
    /// Start Taffrail alone and hold it against limits that need no peer.
    Limits(ContestArguments),
    /// Run the same loads with ever more clients and on ever more keys, on Taffrail and a peer, for the report's curves.
    Sweep(SweepArguments),
    /// Turn results into one page with plots.
    Report(ReportArguments),
    /// Start nodes, hurt them under traffic, and check everything that clients saw.
    #[command(subcommand)]
    Chaos(ChaosCommand),
}

/// The kinds of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScenarioName {
    /// Overwrite random keys with unconditional puts.
    Put,
    /// Read one random key, linearizable.
    Get,
    /// Read one random key, serializable.
    GetSerializable,
    /// Walk through all keys in pages of --page keys, later pages pinned to the first one's revision.
    Page,
    /// Read all keys in one answer.
    List,
    /// The same without values.
    ListKeysOnly,
    /// The same as they were before each was written once more.
    ListHistoric,
    /// Read all keys in pieces (RangeStream; etcd has it since 3.7).
    RangeStream,
    /// Count all keys.
    Count,
    /// Create new keys in transactions as kube-apiserver does.
    TxnCreate,
    /// Update keys in transactions as kube-apiserver does.
    TxnUpdate,
    /// Delete keys in transactions as kube-apiserver does; ends when all --keys are gone.
    TxnDelete,
    /// Each client writes the next key when all of its --watchers have seen the last one.
    Watch,
    /// Each client holds --watchers watches of which nothing comes, and asks them for progress in turn.
    WatchIdle,
    /// Grant leases.
    LeaseGrant,
    /// Keep leases alive, one stream a client.
    LeaseKeepalive,
    /// Revoke leases that hold no keys; ends when all --keys leases are gone.
    LeaseRevoke,
    /// --keys leases expire together; one client watches their keys go, the others write; ends when all are gone.
    LeaseExpiry,
    /// One client compacts all superseded --revisions after a third of the duration, or 5 s, the others write; ends
    /// when they are physically gone.
    Compaction,
    /// --nodes nodes renew their Lease objects, pods come and go, events have leases, controllers list, count and
    /// watch, and compactions go on meanwhile.
    Kubernetes,
    /// 30 % updates, 50 % gets, 10 % pages, 10 % creations and deletions, with 10 watchers.
    Mixed,
}

/// How to run one scenario.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The kind of load.
    #[arg(value_enum)]
    pub(crate) scenario: ScenarioName,
    /// The servers; connections are dealt out to them in turn.
    #[arg(long, value_delimiter = ',', default_value = "http://127.0.0.1:2379")]
    pub(crate) endpoints: Vec<Uri>,
    /// The load.
    #[command(flatten)]
    pub(crate) load: LoadArguments,
    /// Processes of the servers, on this machine, whose CPU time, memory and disk writes are measured and summed.
    /// Several are separated by commas, or the flag is repeated.
    #[arg(long, value_delimiter = ',')]
    pub(crate) server_pid: Vec<u32>,
    /// How servers with https:// endpoints are reached.
    #[command(flatten)]
    pub(crate) tls: TlsArguments,
    /// Print JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Certificates, under etcdctl's names.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TlsArguments {
    /// Who must have signed the servers' certificates (PEM).
    #[arg(long)]
    pub(crate) cacert: Option<PathBuf>,
    /// The client's certificate (PEM).
    #[arg(long, requires = "key", requires = "cacert")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, requires = "cert")]
    pub(crate) key: Option<PathBuf>,
}

impl TlsArguments {
    /// What opens connections with these certificates.
    pub(crate) fn dialer(&self) -> Result<Dialer> {
        match (&self.cacert, self.cert.as_deref().zip(self.key.as_deref())) {
            (Some(authorities), identity) => Dialer::from_files(authorities, identity),
            (None, _) => Ok(Dialer::default()),
        }
    }
}

/// How much load, and of what size.
#[derive(Clone, Debug, Args)]
pub(crate) struct LoadArguments {
    /// Calls in flight at most.
    #[arg(long, default_value_t = 64)]
    pub(crate) clients: usize,
    /// HTTP/2 connections that the clients share.
    #[arg(long, default_value_t = 4)]
    pub(crate) connections: usize,
    /// Threads that the connections are dealt out to. One is leanest; add more if it is reported as busy.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// How long to measure, such as 5s or 500ms.
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How long to run before measuring.
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub(crate) warmup: Duration,
    /// Bytes of a value; they do not compress.
    #[arg(long, default_value_t = 1024)]
    pub(crate) value_size: usize,
    /// Bytes of a key.
    #[arg(long, default_value_t = 80)]
    pub(crate) key_size: usize,
    /// Keys (or leases) that are there before the load starts.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) keys: usize,
    /// Revisions that each of them has.
    #[arg(long, default_value_t = 1)]
    pub(crate) revisions: usize,
    /// They are there already, from a run with the same sizes: nothing is emptied or filled.
    #[arg(long)]
    pub(crate) filled: bool,
    /// Nodes of the scenario kubernetes.
    #[arg(long, default_value_t = 1000)]
    pub(crate) nodes: usize,
    /// Keys of a page.
    #[arg(long, default_value_t = 500)]
    pub(crate) page: usize,
    /// Seconds that the leases of the scenario lease-expiry live: longer than it takes to grant and renew all of them.
    #[arg(long, default_value_t = 20)]
    pub(crate) ttl: u32,
    /// Watchers of each client of the scenarios watch and watch-idle.
    #[arg(long, default_value_t = 100)]
    pub(crate) watchers: usize,
    /// Open loop: calls a second over all clients. Latency then counts from the moment a call was due.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Everything is written below this prefix, which is EMPTIED first.
    #[arg(long, default_value = "/registry/loadtest")]
    pub(crate) prefix: String,
    /// Start of the random choices.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// A server to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeerName {
    /// etcd.
    Etcd,
}

/// How to compare.
#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    /// The peer to compare with.
    #[arg(long = "with", value_enum)]
    pub(crate) peer: PeerName,
    /// Members of each: 1, or 3 with TLS towards clients and between members. For 3, Taffrail must have been built with
    /// Dqlite.
    #[arg(long, default_value_t = 1)]
    pub(crate) members: usize,
    /// etcd's binary [default: the newest .cache/peers/etcd-*/etcd in the repository].
    #[arg(long)]
    pub(crate) etcd: Option<PathBuf>,
    /// What is measured, and how often.
    #[command(flatten)]
    pub(crate) contest: ContestArguments,
}

/// What is measured, and how often.
#[derive(Debug, Args)]
pub(crate) struct ContestArguments {
    /// Short runs and fewer repeats, in under five minutes; rows that take long are smaller.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Taffrail's binary [default: target/release/taffrail in the repository].
    #[arg(long)]
    pub(crate) taffrail: Option<PathBuf>,
    /// Folder for the data directories, which are removed afterwards [default: .cache/loadtest in the
    /// repository].
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Only these rows, by name.
    #[arg(long, value_delimiter = ',')]
    pub(crate) rows: Vec<String>,
    /// Runs of each row on each server; some rows are measured less often [default: 5; 2 if quick].
    #[arg(long)]
    pub(crate) repeats: Option<usize>,
    /// How long each run measures [default: 5s; 1s if quick].
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Write all figures of all runs here, as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// How to sweep.
#[derive(Debug, Args)]
pub(crate) struct SweepArguments {
    /// The peer to compare with.
    #[arg(long = "with", value_enum)]
    pub(crate) peer: PeerName,
    /// Where all figures are written, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: PathBuf,
    /// Short runs, and no more than 100,000 keys.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Taffrail's binary [default: target/release/taffrail in the repository].
    #[arg(long)]
    pub(crate) taffrail: Option<PathBuf>,
    /// etcd's binary [default: the newest .cache/peers/etcd-*/etcd in the repository].
    #[arg(long)]
    pub(crate) etcd: Option<PathBuf>,
    /// Folder for the data directories, which are removed afterwards [default: .cache/loadtest in the
    /// repository].
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// How long each run measures [default: 5s; 1s if quick].
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<Duration>,
}

/// What to make a page of.
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Files that compare, limits, sweep or run --json have written.
    #[arg(required = true)]
    pub(crate) results: Vec<PathBuf>,
    /// The page.
    #[arg(long, short, default_value = "report.html")]
    pub(crate) output: PathBuf,
}

impl Default for LoadArguments {
    /// What the command line says if nothing is said.
    fn default() -> Self {
        Self {
            clients: 64,
            connections: 4,
            threads: 1,
            duration: Duration::from_secs(5),
            warmup: Duration::from_secs(1),
            value_size: 1024,
            key_size: 80,
            keys: 10_000,
            revisions: 1,
            filled: false,
            nodes: 1000,
            page: 500,
            ttl: 20,
            watchers: 100,
            rate: None,
            prefix: "/registry/loadtest".to_owned(),
            seed: 1,
        }
    }
}

/// Reads `5s`, `500ms` or `2m`.
pub(crate) fn duration(text: &str) -> std::result::Result<Duration, String> {
    let unit_start = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_start);
    let number: f64 = number
        .parse()
        .map_err(|_| format!("{text:?} does not start with a number"))?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err(format!("{text:?} does not end with ms, s or m")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_the_same_everywhere() {
        let Command::Run(arguments) = Cli::parse_from(["loadtest", "run", "put"]).command else {
            panic!("not a run");
        };
        assert_eq!(
            format!("{:?}", arguments.load),
            format!("{:?}", LoadArguments::default())
        );
    }

    #[test]
    fn several_processes_may_be_named_in_either_way() {
        let parse = |arguments: &[&str]| Cli::parse_from([&["loadtest", "run", "put"], arguments].concat());
        for arguments in [
            &["--server-pid", "1,2"][..],
            &["--server-pid", "1", "--server-pid", "2"],
        ] {
            assert!(matches!(parse(arguments).command, Command::Run(run) if run.server_pid == [1, 2]));
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2.5s"), Ok(Duration::from_millis(2500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("5").is_err() && duration("s").is_err() && duration("-1s").is_err());
    }
}
