//! The pipeline: one concern, one actor, one file; data flows one way.
//!
//! ```text
//! Store -> Router -> RevisionAllocator -> WriteBatcher -> Keyspace -> WatchHub -> watch streams
//!   |                 decides, numbers     makes durable    applies    LeaseActor, Compactor
//!   '-- reads: the shared state                               '-> answers
//! ```
//!
//! Decide, then make durable, then show: an answer leaves, a watcher hears, a reader finds only what
//! survives power loss. Nothing here knows gRPC or SQL.

mod auto_compaction;
mod batch_meter;
mod clock;
mod cluster;
mod committed;
mod compactor;
mod errors;
mod gate;
mod keyspace;
mod leadership;
mod lease_actor;
mod mailbox;
mod member;
mod membership;
mod meter;
mod pipeline;
mod range_read;
mod read_index;
mod replicator;
mod report;
mod revision_allocator;
mod router;
mod shared_state;
mod space;
mod store;
mod superseded;
mod term;
#[cfg(test)]
mod testing;
mod threads;
mod ticket;
mod watch;
mod watch_hub;
mod write_batcher;
mod writer;

pub use auto_compaction::AutoCompaction;
pub use batch_meter::BatchReport;
pub use clock::LeaseClock;
pub use cluster::{
    Ask, AskOutcome, Claim, Epoch, Feeder, Followed, Following, Image, ImageWriter, MemberDescription,
    Members, NotFed, Patience, Peer, PeerAnswer, PeerError, Progress, Promised, Promises, Standing, Told,
};
pub use compactor::CompactorReport;
pub use errors::RequestError;
pub use gate::{Gate, GateReport, Permit};
pub use keyspace::KeyspaceReport;
pub use leadership::LeadershipReport;
pub use lease_actor::{KeepAliveReply, LeaseReport, TimeToLiveReply};
pub use member::Member;
pub use membership::Membership;
pub use meter::{HISTOGRAM_BUCKETS, Histogram, HistogramSnapshot, MailboxReport};
pub use pipeline::{Pipeline, Settings, StartError};
pub use range_read::{RangeChunk, RangeChunks, RangePart};
pub use replicator::ReplicatorReport;
pub use report::{ClusterReport, PipelineReport};
pub use store::Store;
pub use threads::{Threads, serve_on};
pub use ticket::Committed;
pub use watch::{CancelReason, WatchCreate, WatchEvent, WatchRequest, WatchResponse};
pub use watch_hub::{HubReport, WatchRequests, WatchResponses};
