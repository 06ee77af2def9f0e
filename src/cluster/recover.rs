//! A member that goes on alone, for a cluster that has lost its majority for good.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use dqlite::node::{LastEntry, Options, Stopped};
use dqlite::store::{DataDirectory, Pending};
use dqlite::wire::{Member, Role, Server};

/// What a member has that went on alone.
pub(crate) struct Recovered {
    /// Who it is.
    pub(crate) server: Server,
    /// The last entry of its log: among several survivors, the one with the greatest is to be recovered.
    pub(crate) last_entry: LastEntry,
}

/// Makes a stopped member the only one of its cluster. Its log is kept; whatever it lacks of what a majority had
/// is lost.
///
/// # Errors
/// When the directory is not a member's, is in use, or holds no log.
pub(crate) fn recover(data_dir: &Path) -> Result<Recovered> {
    ensure!(data_dir.is_dir(), "there is no directory {}", data_dir.display());
    let directory = DataDirectory::open(data_dir).context("cannot use the data directory")?;
    let identity = directory.identity().context("cannot use the data directory")?;
    let server = identity.with_context(|| format!("{} is no member's data directory", data_dir.display()))?;
    let joined = directory.has_log()? && !directory.is_pending(Pending::Join);
    ensure!(
        joined,
        "the member in {} has no log to go on with",
        data_dir.display()
    );
    let alone = vec![Member {
        id: server.id,
        address: server.address.clone(),
        role: Role::Voter,
    }];
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let directory = Arc::new(directory);
    let node = Stopped::new(Arc::clone(&directory), server.clone(), Options::default());
    let (node, last_entry) = runtime
        .block_on(node.last_entry())
        .context("cannot read the log")?;
    runtime
        .block_on(node.recover(alone.clone()))
        .context("cannot rewrite who belongs to the cluster")?;
    directory.set_members(&alone)?;
    Ok(Recovered { server, last_entry })
}
