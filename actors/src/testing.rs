//! Actors around the one that a test is about, on the thread of the test.

use std::sync::Arc;
use std::time::Duration;

use actix::Actor;
use bytes::Bytes;
use journal::MemoryJournal;
use model::{Event, LeaseId, Limits, Position, Revision, Version};

use crate::auto_compaction::AutoCompaction;
use crate::batch_meter::BatchMeter;
use crate::clock::LeaseClock;
use crate::compactor::{Compactor, CompactorMeter};
use crate::keyspace::{Followers, Keyspace, KeyspaceMeter};
use crate::lease_actor::{LeaseActor, LeaseMeter};
use crate::mailbox::Mailbox;
use crate::meter::Meter;
use crate::revision_allocator::RevisionAllocator;
use crate::shared_state::SharedState;
use crate::space::Space;
use crate::watch_hub::{HubMeter, WatchHub};
use crate::write_batcher::{BatcherMeters, Tenure, WriteBatcher};
use crate::writer::{Writer, WriterPlace, WritingSide};

/// Bytes of values in memory.
const VALUE_CACHE_BYTES: usize = 1 << 20;

/// Those who follow the log.
pub(crate) fn followers(shared: &Arc<SharedState>, clock: &LeaseClock) -> Followers {
    let meter = Meter::new("other");
    let shared = || Arc::clone(shared);
    let compactor = Compactor::new(
        shared(),
        Arc::new(Space::new(None, 0, 1)),
        AutoCompaction::Off,
        Arc::new(CompactorMeter::default()),
        Arc::clone(&meter),
    );
    let leases = Arc::new(LeaseMeter::default());
    let lease_actor = LeaseActor::new(shared(), clock.clone(), leases, Arc::clone(&meter));
    let (interval, hub) = (Duration::from_secs(600), Arc::new(HubMeter::default()));
    let watch_hub = WatchHub::new(shared(), interval, hub, Arc::clone(&meter));
    Followers {
        watch_hub: Mailbox::new(watch_hub.start(), Arc::clone(&meter)),
        lease_actor: Mailbox::new(lease_actor.start(), Arc::clone(&meter)),
        compactor: Mailbox::new(compactor.start(), meter),
    }
}

/// A keyspace that replicates nothing.
pub(crate) fn keyspace(
    shared: &Arc<SharedState>,
    followers: &Followers,
    meter: &Arc<Meter>,
) -> Mailbox<Keyspace> {
    let (shared, counts) = (Arc::clone(shared), Arc::new(KeyspaceMeter::default()));
    let keyspace = Keyspace::new(shared, VALUE_CACHE_BYTES, counts, followers.clone(), None);
    Mailbox::new(keyspace.start(), Arc::clone(meter))
}

/// An allocator whose decisions go to a log in memory.
pub(crate) fn allocator(shared: &Arc<SharedState>) -> Mailbox<RevisionAllocator> {
    let meter = Meter::new("other");
    let meters = BatcherMeters {
        mailbox: Arc::clone(&meter),
        batches: Arc::new(BatchMeter::default()),
    };
    let keyspace = keyspace(shared, &followers(shared, &LeaseClock::fresh()), &meter);
    let log = WritingSide::Own(Box::new(MemoryJournal::new()));
    let writer = Writer::new(log, WriterPlace::Inline);
    let batcher = WriteBatcher::new(writer, Tenure::Life, shared.epoch(), meters, keyspace);
    let batcher = Mailbox::new(batcher.start(), Arc::clone(&meter));
    let allocator = RevisionAllocator::new(
        Arc::clone(shared),
        Limits::default(),
        Arc::new(KeyspaceMeter::default()),
        batcher,
    );
    Mailbox::new(allocator.start(), meter)
}

/// The put of a key that every put here is of: the log's row `number`, at the revision after it.
pub(crate) fn put(number: i64, value: &'static str) -> Event {
    Event {
        key: Bytes::from_static(b"key"),
        value: Bytes::from_static(value.as_bytes()),
        version: Version {
            position: Position(number),
            mod_revision: Revision(number + 1),
            create_revision: Revision(2),
            version: number,
            lease: LeaseId::NONE,
        },
    }
}
