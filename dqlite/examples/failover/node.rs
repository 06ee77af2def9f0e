//! One node, in a process of its own.

use std::path::Path;
use std::time::Duration;

use dqlite::dial::Dialer;
use dqlite::membership::{Membership, Origin, Settings};
use dqlite::proxy::serve;
use dqlite::store::DataDirectory;
use dqlite::tls::{Tls, TlsSettings};
use tokio::net::TcpListener;

use crate::Outcome;

/// The files of a node in its folder.
pub(crate) fn tls(folder: &Path) -> TlsSettings {
    TlsSettings::new(
        folder.join("node.crt"),
        folder.join("node.key"),
        folder.join("ca.crt"),
    )
}

/// Runs a node until the process is killed: latency, folder, address, and perhaps whom to join.
pub(crate) async fn run(arguments: &[String]) -> Outcome<()> {
    let [latency, folder, address, join @ ..] = arguments else {
        return Err("node <latency> <folder> <address> [<member>]".into());
    };
    let tls = Tls::load(tls(Path::new(folder)))?;
    let origin = match join {
        [] => Origin::Bootstrap { others: Vec::new() },
        members => Origin::Join {
            members: members.to_vec(),
        },
    };
    let mut settings = Settings::new(address, origin, Dialer::tls(tls.clone()));
    settings.node.network_latency = Duration::from_millis(latency.parse()?);
    if let Ok(targets) = std::env::var("FAILOVER_DQLITE_MANAGES_ROLES") {
        settings.roles = None;
        settings.node.role_management = (!targets.is_empty()).then(Default::default);
    }
    let directory = DataDirectory::open(Path::new(folder).join("data"))?;
    let membership = Membership::start(directory, settings).await?;
    let listener = TcpListener::bind(address).await?;
    serve(listener, Some(tls), membership.socket().clone()).await;
    Ok(())
}
