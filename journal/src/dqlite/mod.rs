//! The log on Dqlite: a database that several machines hold in common, of which one writes it.
//!
//! The tables are those of a log on one machine, and a fence: the epoch under which rows may be appended.
//! Whoever leads claims the log first, which raises the epoch, and every append is conditional on it in
//! the same statement or transaction. So a leader that was cut off, or that lost its office and has it
//! again, stores nothing on top of decisions that are out of date.
//!
//! Calls block, and must not be made on a thread that drives asynchronous work; but for the writer's
//! [`append_shared`](SharedJournal::append_shared), which is for such a thread.

mod claim;
mod fault;
mod image;
mod images;
mod insert;
mod kept;
mod reader;
mod row;
mod schema;
mod script;
mod select;
mod session;
mod versions;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dqlite::client::{Connector, PlainConnector};
use model::{Effect, Position};

use self::fault::append_error;
use self::reader::DqliteReader;
use self::session::Session;
use self::writer::DqliteJournal;
use crate::{AppendError, Claim, ReadError, Reader, Schemas, SharedJournal, SharedLog};

pub use self::image::Image;
pub use self::versions::SchemaRule;

/// Tells where the leader is reached; none when nobody is known to lead.
pub type LeaderAddress = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Tells what the lease clock shows, milliseconds.
pub type LeaseClockReading = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How a member reaches its log.
#[derive(Clone)]
pub struct DqliteOptions {
    /// The member's identity, which is its node's.
    pub member_id: u64,
    /// The cluster's identity, which a log that is made gets and one that is found must have; zero for whichever.
    pub cluster_id: u64,
    /// The address of the node in this process: an abstract unix socket, `@name`.
    pub node: String,
    /// How nodes of other members are reached.
    pub connector: Arc<dyn Connector>,
    /// Where the leader is reached. On the member that leads this should be `node`.
    pub leader: LeaderAddress,
    /// What is stored as the lease clock's reading whenever a lease is.
    pub clock: LeaseClockReading,
    /// How far this process has come: nothing that lacks a part of that is read.
    pub horizon: Horizon,
    /// Which schema version the log may get, and which it has.
    pub schema: SchemaRule,
    /// How long a request may take, and how long it may take to connect.
    pub timeout: Duration,
    /// How many connections are kept open for reading. More readers than that open their own.
    pub readers: usize,
    /// How long an image of the local replica may serve while there is no leader.
    pub image_kept: Duration,
}

impl DqliteOptions {
    /// Options for a member whose own node leads for as long as it leads at all.
    #[must_use]
    pub fn new(member_id: u64, node: impl Into<String>) -> Self {
        let node = node.into();
        let leader = node.clone();
        Self {
            member_id,
            cluster_id: 0,
            node,
            connector: Arc::new(PlainConnector),
            leader: Arc::new(move || Some(leader.clone())),
            clock: Arc::new(|| 0),
            horizon: Horizon::default(),
            schema: SchemaRule::alone(),
            timeout: Duration::from_secs(10),
            readers: 4,
            image_kept: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for DqliteOptions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DqliteOptions")
            .field("member_id", &self.member_id)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// The newest row that a process has seen, by which it knows a log that lacks something. Clones share it.
///
/// This holds because the newest row of a log is never scrubbed: compaction keeps the rows of the revision
/// that it compacts to.
#[derive(Clone, Debug, Default)]
pub struct Horizon(Arc<AtomicI64>);

impl Horizon {
    /// Moves it forward to this row; never back.
    pub fn advance(&self, to: Position) {
        self.0.fetch_max(to.0, Ordering::Relaxed);
    }

    /// Where it is.
    #[must_use]
    pub fn position(&self) -> Position {
        Position(self.0.load(Ordering::Relaxed))
    }
}

/// A member's hold on the log that its cluster keeps on Dqlite.
#[derive(Clone)]
pub struct DqliteLog {
    options: DqliteOptions,
    reader: Arc<DqliteReader>,
}

impl DqliteLog {
    /// The log as this member reaches it. Nothing is asked of anybody yet.
    #[must_use]
    pub fn new(options: DqliteOptions) -> Self {
        let reader = Arc::new(DqliteReader::new(options.clone()));
        Self { options, reader }
    }

    /// A connection to the node in this process, which must lead.
    fn at_home(&self) -> Result<Session, AppendError> {
        Session::open(&PlainConnector, &self.options.node, self.options.timeout).map_err(append_error)
    }
}

impl fmt::Debug for DqliteLog {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DqliteLog")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl SharedLog for DqliteLog {
    /// Makes the tables if there are none, and brings older ones as far as the rule allows.
    fn claim(&self) -> Result<Claim, AppendError> {
        let (cluster_id, rule) = (self.options.cluster_id, &self.options.schema);
        let claimed = claim::claim(&mut self.at_home()?, cluster_id, rule)?;
        self.reader.learn(claimed.cluster_id);
        self.options.horizon.advance(claimed.newest);
        Ok(claimed.claim)
    }

    fn writer(&self, claim: &Claim) -> Result<Box<dyn SharedJournal>, AppendError> {
        let writer = DqliteJournal::begin(self.at_home()?, claim, &self.options)?;
        Ok(Box::new(writer))
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::clone(&self.reader) as Arc<dyn Reader>
    }

    fn schemas(&self) -> Schemas {
        self.options.schema.schemas()
    }

    fn image(&self) -> Result<Bytes, ReadError> {
        self.reader.dump()
    }

    fn replay_image(&self, image: Vec<Bytes>, sink: &mut dyn FnMut(Effect)) -> Result<(), ReadError> {
        let image = Image::under(&self.options.schema, image)?;
        self.reader.learn(image.cluster_id());
        image.replay(sink)
    }
}
