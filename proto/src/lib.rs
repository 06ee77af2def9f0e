//! etcd's v3 gRPC interface as of etcd 3.7: the services and messages that clients see. And [`peer`], what our
//! members say to each other.
//!
//! The `.proto` files beside this crate's manifest state packages, names, numbers and types exactly as they
//! are on the wire; their comments and layout are our own. Everything but the [`codec`] is generated from them, and no
//! logic lives here. Left out is what no client call carries: the messages that etcd's members exchange
//! among themselves and the records that they store.
//!
//! Fields of type `bytes` are [`prost::bytes::Bytes`], so a decoded request shares the buffer it arrived in.

pub mod codec;

/// The services KV, Watch, Lease, Cluster, Maintenance and Auth, with their messages.
#[allow(
    clippy::too_many_lines,
    reason = "generated: a server's dispatch is one function"
)]
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}

/// Keys and events.
pub mod mvccpb {
    tonic::include_proto!("mvccpb");
}

/// What the Auth service says about users and permissions.
pub mod authpb {
    tonic::include_proto!("authpb");
}

/// The service Lock, with its messages.
#[allow(
    clippy::too_many_lines,
    reason = "generated: a server's dispatch is one function"
)]
pub mod v3lockpb {
    tonic::include_proto!("v3lockpb");
}

/// The service Election, with its messages.
#[allow(
    clippy::too_many_lines,
    reason = "generated: a server's dispatch is one function"
)]
pub mod v3electionpb {
    tonic::include_proto!("v3electionpb");
}

/// The service by which the members of a cluster reach each other, with its messages; our own.
#[allow(
    clippy::too_many_lines,
    reason = "generated: a server's dispatch is one function"
)]
pub mod peer {
    tonic::include_proto!("taffrail.peer.v1");
}

/// All of etcd's above as an encoded `google.protobuf.FileDescriptorSet`, for what works by reflection, such as
/// a JSON gateway. It holds no comments.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
