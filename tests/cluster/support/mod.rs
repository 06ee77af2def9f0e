//! What the tests share: members as processes, load on them, and the check of what clients saw.

pub(crate) mod calls;
#[path = "../../server/support/certificates.rs"]
pub(crate) mod certificates;
pub(crate) mod cluster;
pub(crate) mod history;
pub(crate) mod load;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod relay;
pub(crate) mod sockets;
pub(crate) mod steady;
pub(crate) mod trust;

pub(crate) use calls::{eventually, get, put};
pub(crate) use cluster::{Cluster, Plan};
pub(crate) use load::Load;
pub(crate) use steady::Steady;
