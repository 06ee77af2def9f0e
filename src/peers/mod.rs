//! How members of a cluster reach each other: the peer protocol over gRPC.
//!
//! [`RemotePeer`] is a member elsewhere, as the pipeline sees it; [`PeerService`] lets others see a pipeline.
//! Connections are made by whoever owns the port, which carries other traffic too: here a connection is a
//! [`Wire`] that speaks HTTP/2.
//!
//! A queue that could grow is bounded by bytes: what was asked by a gate, a follower's feed by its budget, and
//! what is on the wire by HTTP/2's windows.

mod client;
mod convert;
mod errors;
mod introduction;
mod patience;
mod server;
#[cfg(test)]
mod tests;
mod wire;

pub use client::RemotePeer;
pub use introduction::Introduction;
pub use patience::Patience;
pub use server::PeerService;
pub use wire::{Connector, Wire, tune};

/// The version of the peer protocol that this release speaks. It grows when a message comes to mean something
/// that an older release would misunderstand; what an older release can ignore or refuse needs no new one.
pub const PROTOCOL: u32 = 1;
/// The oldest version that it still speaks.
pub const OLDEST_PROTOCOL: u32 = 1;

/// Small messages are packed until about this many bytes are full: enough to make the cost of a message small,
/// little enough for others to get in between.
const PACK_BYTES: usize = 256 << 10;
/// What a stream takes beside what is written in it: the encodings of lengths, numbers and names.
const PACK_OVERHEAD: usize = 16;
/// The largest message that is read. A batch is one message, and revoking a lease deletes all its keys in one.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// Calls that may be under way between two members.
const CALLS_MAX: usize = 16 << 10;
/// What may be sent on one stream before the reader takes it.
const STREAM_WINDOW: u32 = 1 << 20;
/// The same for all streams of a connection: a follower that reads slowly must not stop the others.
const CONNECTION_WINDOW: u32 = 8 << 20;
