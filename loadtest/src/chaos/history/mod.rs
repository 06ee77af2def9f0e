//! What clients saw: every call and every answer on every watch stream, with times on one clock. A history can
//! be written to a file of JSON lines and checked again.

mod answer;
mod file;
mod lease;
mod recorder;
mod request;
mod show;
mod wire;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use answer::{Answer, Body, Event, Outcome, Pair, RangeBody, Refusal};
pub use lease::{Fate, Renewal};
pub use recorder::Recorder;
pub use request::{
    Compare, DeleteRange, Operation, Put, Range, Relation, Request, Target, Text, Txn, in_range, prefix_end,
};
pub(crate) use wire::{call_of, outcome_of, watch_request, watched};

/// Nanoseconds since the recording began, on a clock that never goes back.
pub type Moment = u64;

/// Everything that was seen of one cluster from its start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// What was run, in the order of time: the seed, the faults. For people.
    pub notes: Vec<Note>,
    /// The store at the beginning, if it was not empty.
    pub start: Start,
    /// The calls, in no particular order.
    pub calls: Vec<Call>,
    /// The keep-alives, in no particular order.
    pub renewals: Vec<Renewal>,
    /// What became of leases in the end.
    pub fates: Vec<Fate>,
    /// The watch streams.
    pub streams: Vec<Stream>,
    /// What each member said of its hash at the end.
    pub hashes: Vec<Hash>,
}

/// Something that happened, said to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When.
    pub at: Moment,
    /// What.
    pub text: String,
}

/// A store that a history begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Its revision.
    pub revision: i64,
    /// Its compact revision; -1 if it was never compacted.
    pub compact_revision: i64,
    /// Its keys.
    pub pairs: Vec<Pair>,
    /// Its leases.
    pub leases: Vec<i64>,
}

impl Default for Start {
    /// An empty store: revision 1, never compacted.
    fn default() -> Self {
        Self {
            revision: 1,
            compact_revision: -1,
            pairs: Vec::new(),
            leases: Vec::new(),
        }
    }
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Who called. A client has one call at a time.
    pub client: u32,
    /// The member that was called, counted from 0.
    pub member: u32,
    /// When the request left.
    pub invoked: Moment,
    /// When the answer came, or the client gave up.
    pub returned: Moment,
    /// What was asked.
    pub request: Request,
    /// How it ended.
    pub outcome: Outcome,
}

/// One watch stream: the watches that were created on it, and all that came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Its number.
    pub id: u64,
    /// The member it was opened to.
    pub member: u32,
    /// The watches, by their id on the stream.
    pub watches: BTreeMap<i64, Watch>,
    /// What came, in order.
    pub responses: Vec<Watched>,
    /// The store was at this revision, with nothing written after it, when the stream was last asked how far it
    /// is; all its watches must have come that far. None if it ended earlier.
    pub settled: Option<i64>,
}

/// A watch as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// First key.
    pub key: Text,
    /// End of the range, under the rules of [`Range::range_end`].
    pub range_end: Text,
    /// First revision to report; 0 for what happens from now on.
    pub start_revision: i64,
    /// Asked for the pairs before.
    pub prev_kv: bool,
    /// Asked for notices of progress.
    pub progress_notify: bool,
    /// When the request left.
    pub invoked: Moment,
}

/// One message on a watch stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Watched {
    /// When it came.
    pub at: Moment,
    /// The watch it is about; -1 for the whole stream.
    pub watch: i64,
    /// `header.revision`.
    pub revision: i64,
    /// The watch has begun.
    pub created: bool,
    /// The watch has ended.
    pub canceled: bool,
    /// The compact revision that ended it; 0 if that is not why.
    pub compact_revision: i64,
    /// Why it ended.
    pub cancel_reason: String,
    /// More of the same follows.
    pub fragment: bool,
    /// The changes.
    pub events: Vec<Event>,
}

impl Watched {
    /// Whether this says how far the watch has come, and nothing else: clientv3's rule.
    #[must_use]
    pub fn is_progress(&self) -> bool {
        self.events.is_empty()
            && !self.created
            && !self.canceled
            && self.compact_revision == 0
            && self.revision != 0
    }
}

/// What one member said of its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hash {
    /// The member.
    pub member: u32,
    /// Newest revision that counted.
    pub revision: i64,
    /// The compact revision it was taken at.
    pub compact_revision: i64,
    /// The hash.
    pub hash: u32,
}
