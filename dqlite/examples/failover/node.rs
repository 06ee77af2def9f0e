//! One node, in a process of its own.

use std::path::Path;
use std::time::Duration;

use dqlite::dial::Dialer;
use dqlite::membership::{Membership, Origin, Settings};
use dqlite::node::Targets;
use dqlite::proxy::serve;
use dqlite::store::DataDirectory;
use dqlite::tls::{Tls, TlsSettings};
use tokio::net::TcpListener;

use crate::Outcome;

/// The TLS of a node with its files in a folder, if there is to be any.
pub(crate) fn tls(folder: &Path) -> Outcome<Option<Tls>> {
    if std::env::var_os("FAILOVER_PLAIN").is_some() {
        return Ok(None);
    }
    let file = |name| folder.join(name);
    let settings = TlsSettings::new(file("node.crt"), file("node.key"), file("ca.crt"));
    Ok(Some(Tls::load(settings)?))
}

/// How nodes are reached.
pub(crate) fn dialer(tls: Option<&Tls>) -> Dialer {
    tls.cloned().map_or_else(Dialer::plain, Dialer::tls)
}

/// Runs a node until the process is killed: latency, folder, address, and perhaps whom to join.
pub(crate) async fn run(arguments: &[String]) -> Outcome<()> {
    let [latency, folder, address, join @ ..] = arguments else {
        return Err("node <latency> <folder> <address> [<member>]".into());
    };
    let tls = tls(Path::new(folder))?;
    let origin = match join {
        [] => Origin::Bootstrap { others: Vec::new() },
        members => Origin::Join {
            members: members.to_vec(),
        },
    };
    let mut settings = Settings::new(address, origin, dialer(tls.as_ref()));
    settings.node.network_latency = Duration::from_millis(latency.parse()?);
    if std::env::var_os("FAILOVER_DQLITE_MANAGES_ROLES").is_some() {
        settings.roles = None;
        settings.node.role_management = Some(Targets::default());
    }
    let directory = DataDirectory::open(Path::new(folder).join("data"))?;
    let membership = Membership::start(directory, settings).await?;
    let listener = TcpListener::bind(address).await?;
    serve(listener, tls, membership.socket().clone()).await;
    Ok(())
}
