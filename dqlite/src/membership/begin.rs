//! Who a node is when it starts: read from its data directory, or decided in an empty one.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::context::{Context, on_disk};
use super::{Origin, Settings, Standing, StartError};
use crate::client::leader::{Finder, Patience};
use crate::client::{self, Client};
use crate::dial::Dialer;
use crate::node::{BOOTSTRAP_ID, bootstraps, generate_id};
use crate::store::{DataDirectory, Pending};
use crate::wire::{Member, Role, Server};

/// How long a node that may belong to a cluster has to say so.
const ASK: Duration = Duration::from_secs(5);

/// The identity under which to start, which is on disk when this returns.
pub(super) async fn begin(directory: &Arc<DataDirectory>, settings: &Settings) -> Result<Server, StartError> {
    if let Some(roles) = &settings.roles
        && roles.targets.voters.is_multiple_of(2)
    {
        return Err(StartError::Voters(roles.targets.voters));
    }
    let known = on_disk(directory, |directory| directory.identity()).await?;
    match known {
        Some(server) => resume(directory, settings, server).await,
        None => begin_anew(directory, settings).await,
    }
}

/// Remembers that what a new node does has been done, and says where the node stands.
pub(super) async fn settle(context: &Context) -> Result<Standing, StartError> {
    let standing = context.on_disk(|directory| {
        directory.settle(Pending::Bootstrap)?;
        let joining = directory.is_pending(Pending::Join);
        Ok((joining, directory.members()?))
    });
    let (joining, members) = standing.await?;
    Ok(match context.own_role(&members) {
        _ if joining => Standing::Joining { obstacle: None },
        Some(role) => Standing::Member(role),
        // The members on disk are those that a leader told, and this node has been one of them.
        None => Standing::Removed,
    })
}

/// What the files say beside the identity.
struct Past {
    has_log: bool,
    bootstrapping: bool,
    joining: bool,
    /// The members on disk are those that a leader told, and the node has been one of them.
    removed: bool,
    role: Option<Role>,
}

async fn resume(
    directory: &Arc<DataDirectory>,
    settings: &Settings,
    server: Server,
) -> Result<Server, StartError> {
    let path = directory.path().to_owned();
    if server.address != settings.address {
        return Err(StartError::OtherAddress {
            path,
            stored: server.address,
            configured: settings.address.clone(),
        });
    }
    let past = past(directory, server.id).await?;
    if past.removed {
        return Err(StartError::Removed { path, id: server.id });
    }
    if past.joining && bootstraps(server.id) {
        return Err(StartError::BootstrapIdentity { path });
    }
    if past.bootstrapping && !past.has_log {
        refuse_second_cluster(settings).await?;
    }
    let promised = bootstraps(server.id) || past.role != Some(Role::Spare);
    if !past.has_log && !past.bootstrapping && !past.joining && promised {
        return Err(StartError::LogMissing { path, id: server.id });
    }
    Ok(server)
}

async fn past(directory: &Arc<DataDirectory>, id: u64) -> Result<Past, StartError> {
    let past = on_disk(directory, move |directory| {
        let members = directory.members()?;
        let own = members.iter().find(|member| member.id == id);
        let bootstrapping = directory.is_pending(Pending::Bootstrap);
        let joining = directory.is_pending(Pending::Join);
        Ok(Past {
            has_log: directory.has_log()?,
            bootstrapping,
            joining,
            removed: !bootstrapping && !joining && !members.is_empty() && own.is_none(),
            role: own.map(|member| member.role),
        })
    });
    Ok(past.await?)
}

async fn begin_anew(directory: &Arc<DataDirectory>, settings: &Settings) -> Result<Server, StartError> {
    let address = settings.address.clone();
    let (id, known, pending) = match &settings.origin {
        Origin::Nowhere => {
            let path = directory.path().to_owned();
            return Err(StartError::NoOrigin { path });
        }
        Origin::Bootstrap { .. } => {
            refuse_second_cluster(settings).await?;
            (
                BOOTSTRAP_ID,
                vec![voter(BOOTSTRAP_ID, &address)],
                Pending::Bootstrap,
            )
        }
        Origin::Join { members } => {
            let known: Vec<_> = members.iter().filter(|member| **member != address).collect();
            if known.is_empty() {
                return Err(StartError::NobodyToJoin { address });
            }
            let known: Vec<_> = known.into_iter().map(|member| voter(0, member)).collect();
            let prepared = prepared_identity(settings, &known).await?;
            let id = prepared.map_or_else(|| generate_id(&address), Ok)?;
            (id, known, Pending::Join)
        }
    };
    let server = Server { id, address };
    let identity = server.clone();
    on_disk(directory, move |directory| {
        directory.initialize(&identity, &known, pending)
    })
    .await?;
    tracing::info!(id, address = %server.address, ?pending, "a new node");
    Ok(server)
}

fn voter(id: u64, address: &str) -> Member {
    Member {
        id,
        address: address.to_owned(),
        role: Role::Voter,
    }
}

/// The identity that was given to this address if the node was added before its first start. A spare has
/// promised nothing to anybody, so it may begin without a log. A member in any other role has had one, and
/// whoever would go on in its name without it could vote twice.
async fn prepared_identity(settings: &Settings, known: &[Member]) -> Result<Option<u64>, StartError> {
    let address = &settings.address;
    let listed = listed_members(settings, known).await.unwrap_or_default();
    match listed.into_iter().find(|member| member.address == *address) {
        None => Ok(None),
        Some(member) if member.role == Role::Spare && !bootstraps(member.id) => Ok(Some(member.id)),
        Some(member) => Err(StartError::AddressTaken {
            address: address.clone(),
            id: member.id,
        }),
    }
}

/// The members as their leader knows them; none if it is not found at once: a cluster that is being begun has none.
async fn listed_members(settings: &Settings, known: &[Member]) -> Option<Vec<Member>> {
    let options = client::Options {
        timeout: ASK,
        ..client::Options::default()
    };
    let patience = Patience {
        node: ASK,
        round: ASK,
        ..Patience::default()
    };
    let mut finder = Finder::new(Arc::new(settings.dialer.clone()), options, patience);
    let mut led = finder.round(known).await.ok()?;
    led.client.cluster().await.ok()
}

/// Asks the other nodes that are planned whether they have a cluster; those that do not answer have none to tell of.
async fn refuse_second_cluster(settings: &Settings) -> Result<(), StartError> {
    let Origin::Bootstrap { others } = &settings.origin else {
        return Ok(());
    };
    let mut asked = JoinSet::new();
    for other in others.iter().filter(|other| **other != settings.address) {
        let (dialer, other) = (settings.dialer.clone(), other.clone());
        asked.spawn(async move {
            let members = cluster_of(&dialer, &other).await;
            (other, members)
        });
    }
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok((_, Ok(0))) | Err(_) => {}
            Ok((other, Ok(members))) => return Err(StartError::ClusterExists { other, members }),
            Ok((other, Err(error))) => {
                tracing::info!(%other, %error, "it belongs to no cluster that is heard of")
            }
        }
    }
    Ok(())
}

async fn cluster_of(dialer: &Dialer, address: &str) -> Result<usize, client::Error> {
    let options = client::Options {
        timeout: ASK,
        ..client::Options::default()
    };
    let mut client = Client::connect(dialer, address, options).await?;
    client.cluster().await.map(|members| members.len())
}
