//! What the tests share: a server process, clients, certificates, plain HTTP.

pub(crate) mod certificates;
pub(crate) mod clients;
pub(crate) mod http;
pub(crate) mod process;

pub(crate) use clients::{grpc_channel, kv_client};
pub(crate) use process::{Server, Start};
