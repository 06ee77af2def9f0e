//! The running server: the log, the pipeline on it, and the doors to it, opened and closed in that order.

use std::sync::Arc;
use std::time::Duration;

use actors::{LeaseClock, Pipeline, Store, Threads};
use anyhow::{Context, Result};
use futures_util::FutureExt as _;
use journal::{SqliteJournal, SqliteOptions, make_directory};
use model::Limits;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "dqlite")]
use crate::cluster::ClusterMember;
use crate::company::Company;
use crate::door::House;
use crate::gateway;
use crate::http::{self, Site};
use crate::listeners::{Listeners, Serving};
use crate::metrics::{HealthMetrics, Metrics, RpcMetrics};
use crate::notify;
use crate::services::{self, MemberInfo, RequestLimits, Services};
use crate::settings::{Backend, ClusterSettings, Settings};
use crate::signals::Signals;

/// Where the lease clock goes on from, beside the log.
const LEASE_CLOCK: &str = "lease-clock";
/// How long a member that starts waits for a leader before it serves clients.
#[cfg(feature = "dqlite")]
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts to hear of one.
#[cfg(feature = "dqlite")]
const CATCH_UP_PAUSE: Duration = Duration::from_millis(100);

/// The pipeline with its log open.
pub(crate) struct Server {
    pipeline: Pipeline,
    store: Store,
    #[cfg(feature = "dqlite")]
    member: Option<ClusterMember>,
}

impl Server {
    /// Opens the log, replays it and starts the pipeline.
    pub(crate) async fn open(settings: &Settings, threads: Threads) -> Result<Self> {
        let begun = std::time::Instant::now();
        // Before anything looks for it: the lease clock is beside the log.
        make_directory(&settings.data_dir)
            .with_context(|| format!("cannot make the data directory {}", settings.data_dir.display()))?;
        let pipeline = pipeline_settings(settings, threads);
        let server = match &settings.backend {
            Backend::Sqlite => Self::open_alone(settings, pipeline).await?,
            Backend::Dqlite(cluster) => Self::open_member(settings, cluster, pipeline).await?,
        };
        let (store, millis) = (&server.store, begun.elapsed().as_millis());
        tracing::info!(
            data_dir = %settings.data_dir.display(),
            revision = store.revision().0,
            keys = store.report().keyspace.keys,
            member_id = format!("{:x}", store.identity().member_id),
            millis = u64::try_from(millis).unwrap_or(u64::MAX),
            "opened the log"
        );
        Ok(server)
    }

    async fn open_alone(settings: &Settings, pipeline: actors::Settings) -> Result<Self> {
        let data_dir = settings.data_dir.clone();
        let opened = tokio::task::spawn_blocking(move || -> Result<_> {
            let (journal, reader) = SqliteJournal::open(&data_dir, SqliteOptions::default())?;
            Ok(Pipeline::start(journal, reader, pipeline)?)
        });
        let (pipeline, store) = opened.await.context("the log was not opened")??;
        Ok(Self {
            pipeline,
            store,
            #[cfg(feature = "dqlite")]
            member: None,
        })
    }

    #[cfg(feature = "dqlite")]
    async fn open_member(
        settings: &Settings,
        cluster: &ClusterSettings,
        pipeline: actors::Settings,
    ) -> Result<Self> {
        let (running, pipeline, member) = ClusterMember::start(settings, cluster, pipeline).await?;
        tokio::select! {
            () = catch_up(member.store()) => {}
            _ = running.removed() => {}
        }
        Ok(Self {
            pipeline,
            store: member.store().clone(),
            member: Some(running),
        })
    }

    #[cfg(not(feature = "dqlite"))]
    async fn open_member(_: &Settings, _: &ClusterSettings, _: actors::Settings) -> Result<Self> {
        anyhow::bail!(
            "this build has no Dqlite: `make build` makes one that has (cargo build --features dqlite)"
        )
    }

    /// The members that this server is one of.
    fn company(&self) -> Company {
        #[cfg(feature = "dqlite")]
        return Company::of(self.member.as_ref().map(ClusterMember::changes));
        #[cfg(not(feature = "dqlite"))]
        Company::default()
    }

    /// Waits until this member has been removed from its cluster, if it has one; why it ends then. etcd's ends as well.
    async fn removed(&self) -> anyhow::Error {
        #[cfg(feature = "dqlite")]
        if let Some(member) = &self.member {
            return member.removed().await.into();
        }
        std::future::pending().await
    }

    /// Waits until the log of this member's cluster is one that only newer releases can read; why it can be none any more.
    async fn outdated(&self) -> String {
        #[cfg(feature = "dqlite")]
        if let Some(member) = &self.member {
            return member.outdated().await;
        }
        std::future::pending().await
    }

    /// Serves until a signal comes and everything admitted has been answered.
    pub(crate) async fn run(self, settings: Settings, mut signals: Signals) -> Result<()> {
        let stopping = CancellationToken::new();
        let patience = settings.drain_timeout;
        let serving = match self.removed().now_or_never() {
            Some(removed) => Err(removed),
            None => self.open_doors(&settings, &stopping),
        };
        let outcome = match serving {
            Ok(serving) => {
                let outcome = tokio::select! {
                    signal = signals.next() => {
                        tracing::info!(signal, "stopping");
                        Ok(())
                    }
                    removed = self.removed() => Err(removed),
                    said = self.outdated() => Err(anyhow::anyhow!(said)),
                };
                stopping.cancel();
                tokio::select! {
                    () = drain(serving, patience) => {}
                    signal = signals.next() => tracing::warn!(signal, "stopping at once"),
                }
                outcome
            }
            Err(error) => Err(error),
        };
        #[cfg(feature = "dqlite")]
        if let Some(member) = &self.member {
            member.hand_over().await;
        }
        let pipeline = self.pipeline;
        tokio::task::spawn_blocking(move || pipeline.stop())
            .await
            .context("the pipeline did not end well")?;
        #[cfg(feature = "dqlite")]
        if let Some(member) = self.member {
            member.stop().await;
        }
        tracing::info!("stopped");
        outcome
    }
}

/// A member that was away shows nothing older than what it showed before: it serves clients once it has what the
/// leader has. Its own replica does not tell how far it may be shown, so without any leader it holds back for a while,
/// as when all members begin together on slow machines; then what it has must do.
#[cfg(feature = "dqlite")]
async fn catch_up(store: &Store) {
    let begun = std::time::Instant::now();
    while let Err(error) = store.linearize().await {
        if begun.elapsed() > CATCH_UP_PATIENCE {
            tracing::warn!(%error, "serving clients without having heard of a leader");
            return;
        }
        tokio::time::sleep(CATCH_UP_PAUSE).await;
    }
}

async fn drain(serving: Serving, patience: Duration) {
    let _sent = notify::notify("STOPPING=1");
    if !serving.drained(patience).await {
        tracing::warn!("some requests did not finish in time");
    }
}

fn pipeline_settings(settings: &Settings, threads: Threads) -> actors::Settings {
    let defaults = actors::Settings::default();
    let bytes = |given: Option<usize>| given.map(|bytes| bytes as u64);
    actors::Settings {
        limits: Limits {
            max_txn_ops: settings.limits.max_txn_ops,
            ..defaults.limits
        },
        quota_bytes: settings.limits.quota_bytes,
        watch_progress_interval: settings.history.progress_interval,
        auto_compaction: settings.history.auto_compaction.clone(),
        threads,
        value_cache_bytes: settings.value_cache_bytes.unwrap_or(defaults.value_cache_bytes),
        clock: LeaseClock::resume(settings.data_dir.join(LEASE_CLOCK)),
        max_in_flight: bytes(settings.limits.max_in_flight).unwrap_or(defaults.max_in_flight),
        max_in_flight_bytes: bytes(settings.limits.max_in_flight_bytes)
            .unwrap_or(defaults.max_in_flight_bytes),
    }
}

impl Server {
    fn open_doors(&self, settings: &Settings, stopping: &CancellationToken) -> Result<Serving> {
        let listeners = Listeners::bind(settings, stopping.clone())?;
        let house = self.build_house(settings, stopping)?;
        let serving = listeners.serve(|purpose, secure| {
            house.door(purpose, |router| http::guard(router, &settings.access, secure))
        });
        // Whatever starts an etcd waits for this line, or for systemd's.
        tracing::info!("ready to serve client requests");
        if let Err(error) = notify::notify("READY=1") {
            tracing::warn!(%error, "cannot tell systemd that the server is ready");
        }
        Ok(serving)
    }

    fn build_house(&self, settings: &Settings, stopping: &CancellationToken) -> Result<House> {
        let limits = RequestLimits {
            max_request_bytes: settings.limits.max_request_bytes,
            quota_bytes: settings.limits.quota_bytes,
        };
        let member = MemberInfo {
            name: settings.name.clone(),
            peer_urls: settings.advertise_peer_urls.clone(),
            client_urls: settings.advertise_client_urls.clone(),
        };
        let context = services::Context::new(
            self.store.clone(),
            member,
            limits,
            settings.data_dir.clone(),
            stopping.clone(),
        );
        let context = context.with_company(self.company());
        let calls = Arc::new(RpcMetrics::new(settings.extensive_metrics)?);
        let site = Site::new(
            self.store.clone(),
            Arc::new(Metrics::new(Arc::clone(&calls))),
            Arc::new(HealthMetrics::default()),
            self.company(),
        );
        let services = Services::new(context);
        let mut pages = http::router(site.clone());
        if settings.gateway {
            pages = pages.merge(gateway::router(services.routes(), limits.max_message_bytes()));
        }
        Ok(House {
            http: pages,
            metrics: http::metrics_router(site),
            grpc: services,
            calls,
            request_spans: settings.log.request_spans,
        })
    }
}
