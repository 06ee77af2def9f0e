//! The names and addresses of nodes that are to be started.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::program::Place;
use super::{Comfort, Network};

/// Names and addresses. In rooms everybody listens for clients on the same port of its own loopback device.
pub(super) fn places(folder: &Path, comfort: Comfort, scheme: &str) -> Result<Vec<Place>> {
    // All are held until all are known, so that they differ.
    let mut held = Vec::new();
    (0..comfort.nodes)
        .map(|node| {
            let name = format!("node{node}");
            let [client_url, peer_url] = match (comfort.has_rooms(), comfort.nodes) {
                (false, _) => [free_url(scheme, &mut held)?, free_url(scheme, &mut held)?],
                (true, 1) => [
                    "http://127.0.0.1:2379".to_owned(),
                    "http://127.0.0.1:2380".to_owned(),
                ],
                (true, _) => [
                    "http://127.0.0.1:2379".to_owned(),
                    format!("http://{}:2380", Network::address(node)),
                ],
            };
            Ok(Place {
                folder: PathBuf::from(folder).join(&name),
                name,
                client_url,
                peer_url,
                cluster: String::new(),
            })
        })
        .collect()
}

/// A URL at which nobody listens once the listener that holds it is gone.
fn free_url(scheme: &str, held: &mut Vec<TcpListener>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("{scheme}://{}", listener.local_addr()?);
    held.push(listener);
    Ok(url)
}
