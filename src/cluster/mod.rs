//! This server as one member of several: its Dqlite node, its pipeline, and the port that members share.
//!
//! ```text
//! peer port --- HTTP/2 --> PeerService --> Member (pipeline)
//!          '--- dqlite --> node's socket --> Dqlite node <-- DqliteLog <-- Leadership (pipeline)
//! ```

mod changes;
mod descriptions;
mod identity;
mod members;
mod peer_port;
mod recover;
mod restore;
mod versions;
mod voters;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actors::{Member, MemberDescription, Patience, Pipeline, Promises};
use anyhow::{Context as _, Result};
use dqlite::dial::Dialer;
use dqlite::membership::{self, Origin, RoleSettings, StartError};
use dqlite::node::{Options, Targets};
use dqlite::store::DataDirectory;
use dqlite::tls::{Tls, TlsSettings};
use journal::{DqliteLog, DqliteOptions, Identity, SchemaRule};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::peers::{PROTOCOL, Patience as PeerPatience, PeerService};
use crate::services;
use crate::settings::{ClusterSettings, Settings};
use crate::version;

pub(crate) use changes::{ClusterChanges, NotChanged};
pub(crate) use descriptions::KnownMember;
pub(crate) use recover::recover;
pub(crate) use restore::restore;

use members::MemberDirectory;
use peer_port::PeerPort;
use versions::VersionKeeper;

/// How long a request waits for a leader, and for what it asks of it: etcd's five seconds and two elections.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
/// Dqlite's election timeout in latencies.
const LATENCIES_PER_ELECTION: u32 = 15;
/// How long giving the leadership to another member may take when this one stops.
const HANDOVER_PATIENCE: Duration = Duration::from_secs(5);

/// The file that holds what was promised to leaders.
const PROMISED_EPOCH: &str = "promised-epoch";

/// The parts of a member that run beside its pipeline.
pub(crate) struct ClusterMember {
    membership: Arc<membership::Membership>,
    changes: ClusterChanges,
    outdated: watch::Receiver<Option<String>>,
    stopping: CancellationToken,
    tasks: tokio::task::JoinSet<()>,
}

/// What a member is built around, before its pipeline.
struct Foundation {
    settings: ClusterSettings,
    identity: Identity,
    dialer: Dialer,
    schema: SchemaRule,
    membership: Arc<membership::Membership>,
}

impl ClusterMember {
    /// Starts the node and everything on it. Must run on the runtime that serves connections.
    pub(crate) async fn start(
        settings: &Settings,
        cluster: &ClusterSettings,
        pipeline: actors::Settings,
    ) -> Result<(Self, Pipeline, Member)> {
        let port = PeerPort::bind(&cluster.listen).await?;
        let (directory, has_been_member) = open_directory(settings).await?;
        let foundation = lay_foundation(directory, settings, cluster);
        let foundation = port.while_beginning(foundation, has_been_member).await?;
        let stopping = CancellationToken::new();
        let directory = Arc::new(MemberDirectory::start(&foundation, &stopping));
        let clock = pipeline.clock.clone();
        let log = open_log(&foundation, &directory, move || clock.now_ms());
        let election = cluster.election_timeout;
        let own = actors::Membership {
            identity: foundation.identity,
            log: Arc::new(log),
            members: Arc::clone(&directory) as _,
            promises: Arc::new(load_promises(&settings.data_dir).await?),
            patience: Patience {
                request: REQUEST_PATIENCE + 2 * election,
                leader: 3 * election,
            },
            claim_again: Arc::default(),
        };
        let (told, outdated) = watch::channel(None);
        let versions = VersionKeeper {
            rule: foundation.schema.clone(),
            directory: Arc::clone(&directory),
            claim_again: Arc::clone(&own.claim_again),
            outdated: told,
        };
        let description = describe(settings, foundation.identity);
        let (pipeline, member) =
            tokio::task::spawn_blocking(move || Pipeline::start_member(own, description, pipeline))
                .await
                .context("the pipeline did not start")??;
        let service = PeerService::new(
            Arc::new(member.clone()),
            foundation.identity,
            PeerPatience::default(),
            stopping.clone(),
        );
        let mut tasks = tokio::task::JoinSet::new();
        let node = foundation.membership.socket().clone();
        tasks.spawn(port.serve(tls(&cluster.tls)?, node, service, stopping.clone()));
        tasks.spawn(versions.keep());
        let changes = ClusterChanges::new(
            Arc::clone(&foundation.membership),
            Arc::clone(&directory),
            member.clone(),
            cluster.max_learners,
        );
        let running = Self {
            membership: foundation.membership,
            changes,
            outdated,
            stopping,
            tasks,
        };
        Ok((running, pipeline, member))
    }

    /// Who belongs to the cluster, and how that is changed.
    pub(crate) fn changes(&self) -> ClusterChanges {
        self.changes.clone()
    }

    /// Waits until this member has been removed from its cluster, and returns what its next start would say.
    pub(crate) async fn removed(&self) -> StartError {
        self.membership.removed().await
    }

    /// Waits until the log is found to be of a newer release, and returns what to say then.
    pub(crate) async fn outdated(&self) -> String {
        let mut outdated = self.outdated.clone();
        let told = outdated.wait_for(Option::is_some).await;
        match told.ok().and_then(|said| said.clone()) {
            Some(said) => said,
            None => std::future::pending().await,
        }
    }

    /// Gives the leadership to another member, so that the others need no election.
    pub(crate) async fn hand_over(&self) {
        match self.membership.handover(HANDOVER_PATIENCE).await {
            Ok(handover) => tracing::info!(?handover, "handed over"),
            Err(error) => tracing::warn!(%error, "could not hand over to another member"),
        }
    }

    /// Stops the node, once the pipeline has ended.
    pub(crate) async fn stop(mut self) {
        self.stopping.cancel();
        self.tasks.shutdown().await;
        drop(self.changes);
        match Arc::try_unwrap(self.membership) {
            Ok(membership) => {
                if let Err(error) = membership.stop().await {
                    tracing::warn!(%error, "the node did not stop well");
                }
            }
            Err(_) => tracing::debug!("the node ends with the process"),
        }
    }
}

/// The data directory, and whether it is one of a member.
async fn open_directory(settings: &Settings) -> Result<(DataDirectory, bool)> {
    let data_dir = settings.data_dir.clone();
    let opened = move || {
        let directory = DataDirectory::open(data_dir).context("cannot use the data directory")?;
        let has_been_member = directory.identity()?.is_some();
        Ok((directory, has_been_member))
    };
    tokio::task::spawn_blocking(opened).await?
}

async fn lay_foundation(
    directory: DataDirectory,
    settings: &Settings,
    cluster: &ClusterSettings,
) -> Result<Foundation> {
    let dialer = match tls(&cluster.tls)? {
        Some(tls) => Dialer::tls(tls),
        None => Dialer::plain(),
    };
    let schema = match cluster.next_release {
        false => SchemaRule::one_of_several(),
        true => SchemaRule::of_the_next_release(),
    };
    let cluster_id = identity::cluster_id(&settings.data_dir, cluster, &dialer, &schema).await?;
    let own = membership::Settings {
        node: Options {
            network_latency: cluster.election_timeout / LATENCIES_PER_ELECTION,
            failure_domain: cluster.failure_domain,
            ..Options::default()
        },
        roles: Some(RoleSettings {
            targets: Targets {
                voters: cluster.voters,
                standbys: cluster.standbys,
            },
            ..RoleSettings::default()
        }),
        ..membership::Settings::new(cluster.address.clone(), origin(cluster), dialer.clone())
    };
    let membership = membership::Membership::start(directory, own)
        .await
        .context("cannot start the node")?;
    let identity = Identity {
        cluster_id,
        member_id: membership.server().id,
    };
    Ok(Foundation {
        settings: cluster.clone(),
        identity,
        dialer,
        schema,
        membership: Arc::new(membership),
    })
}

/// Of the members of a new cluster the first in the order of names begins it and the others join.
fn origin(cluster: &ClusterSettings) -> Origin {
    let others: Vec<String> = cluster
        .initial
        .iter()
        .map(|member| member.address.clone())
        .filter(|address| *address != cluster.address)
        .collect();
    let begins = cluster
        .initial
        .first()
        .is_some_and(|first| first.address == cluster.address);
    if !cluster.join.is_empty() {
        Origin::Join {
            members: cluster.join.clone(),
        }
    } else if begins && !cluster.existing {
        Origin::Bootstrap { others }
    } else {
        Origin::Join { members: others }
    }
}

fn tls(files: &Option<crate::settings::PeerTls>) -> Result<Option<Tls>> {
    files
        .as_ref()
        .map(|files| {
            let settings = TlsSettings::new(&files.certificate, &files.key, &files.authority);
            Tls::load(settings).context("cannot use the peer certificates")
        })
        .transpose()
}

fn open_log(
    foundation: &Foundation,
    directory: &Arc<MemberDirectory>,
    clock: impl Fn() -> i64 + Send + Sync + 'static,
) -> DqliteLog {
    let leader = Arc::downgrade(directory);
    DqliteLog::new(DqliteOptions {
        cluster_id: foundation.identity.cluster_id,
        connector: foundation.membership.connector(),
        leader: Arc::new(move || leader.upgrade()?.leader_address()),
        clock: Arc::new(clock),
        schema: foundation.schema.clone(),
        ..DqliteOptions::new(
            foundation.identity.member_id,
            foundation.membership.socket().address(),
        )
    })
}

async fn load_promises(data_dir: &Path) -> Result<Promises> {
    let path = data_dir.join(PROMISED_EPOCH);
    tokio::task::spawn_blocking(move || Promises::load(&path))
        .await?
        .context("cannot read what was promised to leaders")
}

fn describe(settings: &Settings, identity: Identity) -> MemberDescription {
    MemberDescription {
        identity,
        name: settings.name.clone(),
        client_urls: settings.advertise_client_urls.clone(),
        server_version: format!("{} ({})", services::ETCD_VERSION, version::TAFFRAIL),
        protocol: PROTOCOL,
        ..MemberDescription::default()
    }
}
