//! Which cluster this member belongs to: computed by those who make a new one, asked for by those who join.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use actors::{MemberDescription, Peer as _};
use anyhow::{Context as _, Result, anyhow, ensure};
use dqlite::dial::Dialer;
use journal::{Identity, SchemaRule, replace_file};
use sha2::{Digest as _, Sha256};

use super::members::connector;
use super::versions::outdated;
use crate::peers::{Introduction, Patience, RemotePeer};
use crate::settings::{ClusterSettings, InitialMember};

/// The file in the data directory that remembers it.
const FILE: &str = "cluster-id";
/// The first line of that file.
const HEADING: &str = "taffrail cluster 1";
/// How long a member that wants to join waits before it asks again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The identity of the cluster, as this data directory remembers it or, the first time, as it is to be.
pub(super) async fn cluster_id(
    data_dir: &Path,
    cluster: &ClusterSettings,
    dialer: &Dialer,
    rule: &SchemaRule,
) -> Result<u64> {
    let path = data_dir.join(FILE);
    if let Some(known) = read(&path)? {
        return Ok(known);
    }
    let joins = cluster.existing || !cluster.join.is_empty();
    let id = if joins {
        ask_until_known(cluster, dialer, rule).await?
    } else {
        computed(&cluster.token, &cluster.initial)
    };
    remember(data_dir, id)?;
    Ok(id)
}

/// Has this data directory remember to which cluster it belongs.
pub(super) fn remember(data_dir: &Path, id: u64) -> Result<()> {
    let path = data_dir.join(FILE);
    write(&path, id).with_context(|| format!("cannot write {}", path.display()))
}

/// The same on every member that is given the same list, and another one for another token.
pub(super) fn computed(token: &str, initial: &[InitialMember]) -> u64 {
    let mut digest = Sha256::new();
    digest.update(token.as_bytes());
    for member in initial {
        digest.update([0]);
        digest.update(member.name.as_bytes());
        digest.update([0]);
        digest.update(member.address.as_bytes());
    }
    let digest: [u8; 32] = digest.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    // Zero means "no identity".
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) | 1
}

/// The members to join may be slower to start than this one.
async fn ask_until_known(cluster: &ClusterSettings, dialer: &Dialer, rule: &SchemaRule) -> Result<u64> {
    let initial = cluster.initial.iter().map(|member| &member.address);
    let others: Vec<&String> = cluster
        .join
        .iter()
        .chain(initial)
        .filter(|address| **address != cluster.address)
        .collect();
    loop {
        for address in &others {
            match ask(address, dialer).await {
                Ok(member) => {
                    let readable = rule.see(member.schemas.in_use);
                    return readable
                        .map(|()| member.identity.cluster_id)
                        .map_err(|said| anyhow!(outdated(&said)));
                }
                Err(error) => tracing::info!(%address, %error, "waiting for a member of the cluster to join"),
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

async fn ask(address: &str, dialer: &Dialer) -> Result<MemberDescription> {
    let newcomer = Introduction {
        caller: Identity::default(),
        called: 0,
    };
    let peer = RemotePeer::new(connector(dialer, address), newcomer, Patience::default());
    let member = peer.describe().await?;
    ensure!(
        member.identity.cluster_id != 0,
        "it does not know its cluster yet"
    );
    Ok(member)
}

fn read(path: &Path) -> Result<Option<u64>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let id = text
                .split_once('\n')
                .filter(|(heading, _)| *heading == HEADING)
                .and_then(|(_, id)| u64::from_str_radix(id.trim_end(), 16).ok())
                .filter(|id| *id != 0);
            id.map(Some)
                .with_context(|| format!("{} holds no identity of a cluster", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn write(path: &Path, id: u64) -> io::Result<()> {
    replace_file(path, &format!("{HEADING}\n{id:x}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert!(read(&path).unwrap().is_none());
        write(&path, 0xabc).unwrap();
        assert_eq!(read(&path).unwrap(), Some(0xabc));
        for damaged in [
            "",
            "taffrail cluster 1\n0\n",
            "other\nabc\n",
            "taffrail cluster 1\nxyz\n",
        ] {
            fs::write(&path, damaged).unwrap();
            assert!(read(&path).is_err(), "{damaged:?}");
        }
    }
}
