//! The sockets that clients come to, and what is said through them.

mod aside;
mod bind;
mod connection;
mod driven;
mod frames;
mod gathered;
mod politeness;
mod requests;
mod supervised;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::door::Door;
use crate::settings::{Settings, TlsSettings};
use aside::Aside;
use bind::Socketed;
use connection::Manner;
use tls::Tls;

pub(crate) use requests::step_aside;

/// How long to wait before accepting again when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// gRPC and HTTP on one port.
    Everything,
    /// gRPC alone.
    Grpc,
    /// HTTP alone.
    Http,
    /// Metrics and health alone, for whoever can reach the port.
    Metrics,
}

/// A bound socket with what it serves.
struct Listener {
    socket: Socketed,
    purpose: Purpose,
    tls: Option<Arc<Tls>>,
}

/// All bound sockets, not yet accepting.
pub(crate) struct Listeners {
    listeners: Vec<Listener>,
    manner: Manner,
    aside: Aside,
}

/// The accept loops and connections that are running.
pub(crate) struct Serving {
    tasks: TaskTracker,
    _aside: Aside,
}

impl Listeners {
    /// Binds every URL of the settings and reads the TLS files. Serving ends when `stopping` is cancelled.
    pub(crate) fn bind(settings: &Settings, stopping: CancellationToken) -> Result<Self> {
        let listen = &settings.listen;
        let split = !listen.http.is_empty();
        let client = if split { Purpose::Grpc } else { Purpose::Everything };
        let tls = settings.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        // Scrapers and probes have no client certificates.
        let open_tls = settings.tls.clone().map(|tls| TlsSettings {
            client_authority: None,
            ..tls
        });
        let open_tls = open_tls
            .filter(|_| !listen.metrics.is_empty())
            .map(Tls::load)
            .transpose()?
            .map(Arc::new);
        let mut listeners = Vec::new();
        for (urls, purpose, tls) in [
            (&listen.client, client, &tls),
            (&listen.http, Purpose::Http, &tls),
            (&listen.metrics, Purpose::Metrics, &open_tls),
        ] {
            for url in urls {
                let socket = Socketed::bind(url, listen.reuse_port)?;
                listeners.push(Listener {
                    socket,
                    purpose,
                    tls: tls.clone().filter(|_| url.secure),
                });
            }
        }
        let aside = Aside::start(settings.worker_threads)?;
        let manner = Manner {
            keepalive: settings.keepalive,
            max_concurrent_streams: settings.limits.max_concurrent_streams,
            stopping,
            aside: aside.handle(),
        };
        Ok(Self {
            listeners,
            manner,
            aside,
        })
    }

    /// Starts to accept connections and to lead them to the door that fits each listener.
    pub(crate) fn serve(self, door: impl Fn(Purpose, bool) -> Door) -> Serving {
        let tasks = TaskTracker::new();
        for listener in self.listeners {
            announce(&listener);
            let door = door(listener.purpose, listener.tls.is_some());
            tasks.spawn(accept(listener, door, self.manner.clone(), tasks.clone()));
        }
        tasks.close();
        Serving {
            tasks,
            _aside: self.aside,
        }
    }
}

impl Serving {
    /// Waits until all connections have ended, for so long at most; returns whether they have.
    pub(crate) async fn drained(self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.tasks.wait()).await.is_ok()
    }
}

fn announce(listener: &Listener) {
    let address = listener.socket.address();
    let traffic = match listener.purpose {
        Purpose::Everything => "grpc+http",
        Purpose::Grpc => "grpc",
        Purpose::Http => "http",
        Purpose::Metrics => "metrics",
    };
    if listener.tls.is_some() {
        tracing::info!(traffic, address, "serving client traffic securely");
    } else {
        tracing::info!(traffic, address, "serving client traffic insecurely");
    }
}

async fn accept(listener: Listener, door: Door, manner: Manner, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.socket.accept() => accepted,
            () = manner.stopping.cancelled() => return,
        };
        match accepted {
            Ok(stream) => {
                let conversation =
                    connection::serve(stream, listener.tls.clone(), door.clone(), manner.clone());
                tasks.spawn(async move {
                    if let Err(error) = conversation.await {
                        tracing::debug!(error = format!("{error:#}"), "a connection ended badly");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
