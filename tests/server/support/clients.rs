//! gRPC clients.

use std::net::SocketAddr;
use std::time::Duration;

use etcd_client::Client;
use proto::etcdserverpb::kv_client::KvClient;
use tonic::transport::{Channel, Endpoint};

use super::process::Server;

/// The public client, connected.
pub(crate) async fn etcd_client(server: &Server) -> Client {
    Client::connect([server.url()], None)
        .await
        .expect("the server takes connections")
}

/// A connection for our own stubs.
pub(crate) async fn grpc_channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URL");
    endpoint
        .connect_timeout(Duration::from_secs(30))
        .connect()
        .await
        .expect("the server takes connections")
}

/// Our own stub of the KV service, which shows answers as they are on the wire.
pub(crate) async fn kv_client(server: &Server) -> KvClient<Channel> {
    KvClient::new(grpc_channel(server.address()).await).max_decoding_message_size(usize::MAX)
}
