//! The first member of a new cluster, made from a snapshot: of a cluster before, or of a server that was alone.
//!
//! The snapshot is restored as for a server that is alone, beside the data directory to be, so that everything which is
//! checked there is checked here. Its content is then written through the writer that every leader uses, by a node
//! that runs for this only, and what that node has on disk becomes the data directory.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use dqlite::dial::Dialer;
use dqlite::node::{BOOTSTRAP_ID, Options, Running, Stopped};
use dqlite::store::{DataDirectory, Pending};
use dqlite::wire::{Member, Role, Server};
use journal::{
    AppendError, DqliteLog, DqliteOptions, Reader, RestoreOptions, SharedJournal, SharedLog as _,
    SqliteJournal, SqliteOptions, Verification, make_directory, sync_directory,
};
use model::{AlarmMember, Effect, Lease};

use super::identity;
use crate::settings::FirstMember;

/// How long a node that is alone may take to lead.
const ELECTION: Duration = Duration::from_secs(30);
/// The pause between two looks at whether it does.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// Bytes that are stored at once: a transaction is one entry of the replicated log.
const AT_ONCE_BYTES: usize = 1 << 20;
/// Effects that are stored at once.
const AT_ONCE: usize = 1024;
/// Who a node is; whatever is in its directory without this is not used.
const WHO: &str = "info.yaml";
/// Locks, which belong to a directory and not to what is in it.
const LOCKS: [&str; 2] = ["store-lock", "dqlite-lock"];

/// Makes the data directory of a new cluster's first member. It must not exist, or be empty.
///
/// Returns what the log holds.
///
/// # Errors
/// When the snapshot is not sound, the directory is in use or not empty, or the disk refuses. The directory is then no
/// member's, and a server that is started on it says so.
pub(crate) fn restore(
    snapshot: &Path,
    data_dir: &Path,
    options: RestoreOptions,
    first: &FirstMember,
) -> Result<Verification> {
    make_directory(data_dir)
        .with_context(|| format!("cannot make the data directory {}", data_dir.display()))?;
    let held = DataDirectory::open(data_dir).context("cannot use the data directory")?;
    refuse_used(data_dir)?;
    let scratch = tempfile::tempdir_in(data_dir).context("cannot use the data directory")?;
    let alone = scratch.path().join("alone");
    let restored = journal::restore(snapshot, &alone, options)?;
    let node_dir = scratch.path().join("node");
    make_node(&node_dir, &alone, first)?;
    move_in(&node_dir, data_dir).context("cannot put the log in place")?;
    drop(held);
    Ok(restored)
}

fn refuse_used(data_dir: &Path) -> Result<()> {
    for entry in fs::read_dir(data_dir)? {
        let name = entry?.file_name();
        if !LOCKS.iter().any(|lock| name == *lock) {
            bail!(
                "data directory {} is not empty: it holds {}",
                data_dir.display(),
                name.display()
            );
        }
    }
    Ok(())
}

/// Makes a node's directory that holds what a log on SQLite holds.
fn make_node(node_dir: &Path, alone: &Path, first: &FirstMember) -> Result<()> {
    let (journal, reader) = SqliteJournal::open(alone, SqliteOptions::default())?;
    let cluster_id = identity::computed(&first.token, &first.initial);
    let directory = begin_directory(node_dir, &first.address)?;
    let server = Server {
        id: BOOTSTRAP_ID,
        address: first.address.clone(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let node = Stopped::new(directory, server, Options::default());
    let node = runtime
        .block_on(node.start(Dialer::plain()))
        .context("cannot start the node")?;
    let filled = fill(&node, reader.as_ref(), cluster_id);
    let stopped = runtime.block_on(node.stop());
    drop(journal);
    filled?;
    stopped.context("the node did not stop well")?;
    identity::remember(node_dir, cluster_id)
}

/// The cluster is begun as soon as the node is started.
fn begin_directory(path: &Path, address: &str) -> Result<DataDirectory> {
    let directory = DataDirectory::open(path)?;
    let itself = Member {
        id: BOOTSTRAP_ID,
        address: address.to_owned(),
        role: Role::Voter,
    };
    let server = Server {
        id: BOOTSTRAP_ID,
        address: address.to_owned(),
    };
    directory.initialize(&server, &[itself], Pending::Bootstrap)?;
    directory.settle(Pending::Bootstrap)?;
    Ok(directory)
}

fn fill(node: &Running, from: &dyn Reader, cluster_id: u64) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let log = DqliteLog::new(DqliteOptions {
        cluster_id,
        clock: std::sync::Arc::new(move || now_ms),
        ..DqliteOptions::new(BOOTSTRAP_ID, node.socket().address())
    });
    let mut writing = Writing {
        writer: claimed(&log)?,
        lease_clock_ms: now_ms,
        member_before: from.identity().member_id,
        batch: Vec::new(),
        bytes: 0,
        failed: None,
    };
    from.replay(&mut |effect| writing.take(effect))?;
    writing.finish()
}

/// The writing side, once the node leads.
fn claimed(log: &DqliteLog) -> Result<Box<dyn SharedJournal>> {
    let begun = Instant::now();
    loop {
        match log.claim().and_then(|claim| log.writer(&claim)) {
            Err(AppendError::NotLeader(_)) if begun.elapsed() < ELECTION => std::thread::sleep(AGAIN_AFTER),
            outcome => return outcome.context("the node does not lead"),
        }
    }
}

/// Effects on their way from one log to the other.
struct Writing {
    writer: Box<dyn SharedJournal>,
    lease_clock_ms: i64,
    /// Who the member was whose alarms are this one's now.
    member_before: u64,
    batch: Vec<Effect>,
    bytes: usize,
    failed: Option<AppendError>,
}

impl Writing {
    fn take(&mut self, effect: Effect) {
        self.bytes += effect.size();
        self.batch.push(self.adopted(effect));
        if self.bytes >= AT_ONCE_BYTES || self.batch.len() >= AT_ONCE {
            self.store();
        }
    }

    /// As etcd does, a lease gets its whole time again: nobody could keep it alive meanwhile.
    fn adopted(&self, effect: Effect) -> Effect {
        match effect {
            Effect::LeaseGranted(lease) => Effect::LeaseGranted(Lease {
                deadline_ms: self.lease_clock_ms.saturating_add(Lease::ttl_ms(lease.ttl)),
                ..lease
            }),
            Effect::AlarmRaised(AlarmMember { alarm, member_id }) if member_id == self.member_before => {
                let member_id = BOOTSTRAP_ID;
                Effect::AlarmRaised(AlarmMember { alarm, member_id })
            }
            other => other,
        }
    }

    fn store(&mut self) {
        if self.failed.is_none() {
            self.failed = self.writer.append(&self.batch).err();
        }
        self.batch.clear();
        self.bytes = 0;
    }

    fn finish(mut self) -> Result<()> {
        self.store();
        self.failed.map_or(Ok(()), Err).context("cannot write the log")
    }
}

/// Moves a node's files, who it is last of all: without that the others are no node's, and refused by name.
fn move_in(node_dir: &Path, data_dir: &Path) -> io::Result<()> {
    let names: Vec<_> = fs::read_dir(node_dir)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<_>>()?;
    let belongs = |name: &&std::ffi::OsString| *name != WHO && !LOCKS.iter().any(|lock| *name == *lock);
    for name in names.iter().filter(belongs) {
        fs::rename(node_dir.join(name), data_dir.join(name))?;
    }
    sync_directory(data_dir)?;
    fs::rename(node_dir.join(WHO), data_dir.join(WHO))?;
    sync_directory(data_dir)
}
