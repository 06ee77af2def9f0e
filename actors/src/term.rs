//! One leadership of this member: the actors that decide and make durable, from the first command to the last.
//!
//! A leadership has a revision allocator and a write batcher of its own, so that nothing decided under one
//! can be stored under another.

use std::sync::Arc;

use journal::SharedJournal;
use model::Limits;
use tokio::sync::oneshot;

use crate::cluster::Epoch;
use crate::keyspace::{Keyspace, KeyspaceMeter};
use crate::mailbox::Mailbox;
use crate::meter::Meter;
use crate::pipeline::Place;
use crate::read_index::ReadIndex;
use crate::revision_allocator::RevisionAllocator;
use crate::shared_state::SharedState;
use crate::write_batcher::{Abdicate, BatcherMeters, Drain, Elected, Tenure, WriteBatcher};
use crate::writer::{Alone, Writer, WritingSide};

/// Starts the actors of one leadership on the write arbiter.
pub(crate) type TermStarter = Box<dyn Fn(Box<dyn SharedJournal>, Epoch) -> Term + Send + Sync>;

/// What every leadership's actors need.
#[derive(Clone)]
pub(crate) struct TermParts {
    pub(crate) shared: Arc<SharedState>,
    pub(crate) limits: Limits,
    pub(crate) allocator_meter: Arc<Meter>,
    pub(crate) keyspace_meter: Arc<KeyspaceMeter>,
    pub(crate) batcher_meters: BatcherMeters,
    pub(crate) keyspace: Mailbox<Keyspace>,
}

impl TermParts {
    /// Starts a batcher on this log and an allocator that feeds it.
    pub(crate) fn start<P: Place>(
        self,
        log: WritingSide,
        tenure: Tenure,
        place: &P,
    ) -> (Mailbox<RevisionAllocator>, Mailbox<WriteBatcher>) {
        let epoch = self.shared.epoch();
        let (meters, keyspace) = (self.batcher_meters.clone(), self.keyspace);
        let alone = Alone::new(Arc::clone(&self.shared));
        let batcher = Mailbox::new(
            place.start(move || {
                let writer = Writer::new(log, P::writer(alone));
                WriteBatcher::new(writer, tenure, epoch, meters, keyspace)
            }),
            self.batcher_meters.mailbox,
        );
        let (shared, limits, next) = (self.shared, self.limits, batcher.clone());
        let decisions = self.keyspace_meter;
        let allocator = Mailbox::new(
            place.start(move || RevisionAllocator::new(shared, limits, decisions, next)),
            self.allocator_meter,
        );
        (allocator, batcher)
    }

    /// Starts the actors of a leadership that ends.
    pub(crate) fn start_term<P: Place>(
        self,
        journal: Box<dyn SharedJournal>,
        epoch: Epoch,
        read_index: Mailbox<ReadIndex>,
        place: &P,
    ) -> Term {
        let (over, ended) = oneshot::channel();
        let tenure = Tenure::Elected(Elected {
            epoch,
            read_index,
            over,
        });
        let (allocator, batcher) = self.start(WritingSide::Shared(journal), tenure, place);
        Term {
            epoch,
            allocator,
            batcher,
            ended: Some(ended),
        }
    }
}

/// A leadership under way.
pub(crate) struct Term {
    epoch: Epoch,
    allocator: Mailbox<RevisionAllocator>,
    batcher: Mailbox<WriteBatcher>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Term {
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn allocator(&self) -> Mailbox<RevisionAllocator> {
        self.allocator.clone()
    }

    /// Waits until the log no longer takes anything from this leadership.
    pub(crate) async fn lost(&mut self) {
        if let Some(ended) = &mut self.ended {
            let _gone = ended.await;
            self.ended = None;
        }
    }

    /// Waits until everything decided so far is durable, or refused.
    pub(crate) async fn drained(&self) {
        let (done, drained) = oneshot::channel();
        self.batcher.tell(Drain { done });
        let _gone = drained.await;
    }

    /// Ends the leadership: when this returns, nothing more is stored or shown under it.
    pub(crate) async fn end(mut self) {
        self.batcher.tell(Abdicate);
        self.lost().await;
    }
}
