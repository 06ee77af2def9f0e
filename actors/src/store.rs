//! Store: what the front door holds. Writes enter the pipeline here, reads are answered here.

mod leader_calls;
mod standing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use journal::{Activity, Identity, Size};
use model::{
    AlarmMember, Command, Event, Found, HashKv, KeyValue, KvHasher, Limits, RangeQuery, Refusal, Revision,
    validate,
};
use tokio::sync::oneshot;

use crate::clock::LeaseClock;
use crate::cluster::{Epoch, Role, Roles};
use crate::compactor::Compactor;
use crate::errors::RequestError;
use crate::gate::{Gate, Permit};
use crate::lease_actor::LeaseActor;
use crate::mailbox::Mailbox;
use crate::range_read::{RangeChunks, read_range, read_range_into};
use crate::read_index::{Confirm, Confirmation, ReadIndex};
use crate::report::{Meters, PipelineReport};
use crate::router::{Router, Submit};
use crate::shared_state::SharedState;
use crate::ticket::Committed;
use crate::watch_hub::{self, WatchHub, WatchRequests, WatchResponses};

/// What a request occupies in the pipeline beside its bytes.
const REQUEST_OVERHEAD: u64 = 512;
/// Bytes of events read from the log at a time while hashing.
const HASH_PAGE: usize = 4 << 20;
/// How often a hash is begun again because compaction overtook it.
const HASH_ATTEMPTS: usize = 100;
/// How long it is waited before, for a member that has yet to hear of the compaction.
const HASH_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// The addresses a store sends to.
#[derive(Clone)]
pub(crate) struct Addresses {
    pub(crate) router: Mailbox<Router>,
    pub(crate) lease_actor: Mailbox<LeaseActor>,
    pub(crate) watch_hub: Mailbox<WatchHub>,
    pub(crate) compactor: Mailbox<Compactor>,
    /// None for a member that is alone: what is applied is linearizable.
    pub(crate) read_index: Option<Mailbox<ReadIndex>>,
}

/// The running store. Clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<SharedState>,
    identity: Identity,
    roles: Roles,
    gate: Arc<Gate>,
    limits: Limits,
    clock: LeaseClock,
    meters: Arc<Meters>,
    addresses: Addresses,
}

/// What a store is made of.
pub(crate) struct StoreParts {
    pub(crate) shared: Arc<SharedState>,
    pub(crate) identity: Identity,
    pub(crate) roles: Roles,
    pub(crate) limits: Limits,
    pub(crate) clock: LeaseClock,
    pub(crate) meters: Arc<Meters>,
}

impl Store {
    pub(crate) fn new(parts: StoreParts, addresses: Addresses) -> Self {
        Self {
            gate: Arc::clone(&parts.meters.gate),
            shared: parts.shared,
            identity: parts.identity,
            roles: parts.roles,
            limits: parts.limits,
            clock: parts.clock,
            meters: parts.meters,
            addresses,
        }
    }

    /// Who this member is, and of which cluster.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The newest revision that can be read.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.shared.revision()
    }

    /// The oldest revision that can be read.
    #[must_use]
    pub fn compact_revision(&self) -> Revision {
        self.shared.compact_revision()
    }

    /// The lease clock, milliseconds.
    #[must_use]
    pub fn lease_clock_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Whether anything is on its way to the log.
    #[must_use]
    pub fn has_writes_under_way(&self) -> bool {
        self.gate.is_busy()
    }

    /// The raised alarms.
    #[must_use]
    pub fn alarms(&self) -> Vec<AlarmMember> {
        self.shared.read(|state| state.alarms().iter().copied().collect())
    }

    /// Carries out a command: when this returns `Ok`, its effects survive power loss and can be read.
    ///
    /// # Errors
    /// The refusal of the rules, or [`RequestError::Overloaded`] at once when the pipeline is full.
    pub async fn submit(&self, command: Command) -> Result<Committed, RequestError> {
        validate(&command, self.limits)?;
        let permit = self.gate.admit(REQUEST_OVERHEAD + model::space_cost(&command))?;
        self.send(command, permit, None).await
    }

    /// Carries out another member's command, if this one leads.
    pub(crate) async fn submit_here(&self, command: Command) -> Result<Committed, RequestError> {
        validate(&command, self.limits)?;
        let permit = self.gate.admit(REQUEST_OVERHEAD + model::space_cost(&command))?;
        let office = self.roles.office().await?;
        self.send(command, permit, Some(office.epoch)).await
    }

    /// Carries out a command of the server's own, which is not refused for want of room. Only the leader
    /// has such commands.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), except for [`RequestError::Overloaded`]; [`RequestError::NotLeader`] when
    /// another member leads, or comes to before the command is decided.
    pub async fn submit_own(&self, command: Command) -> Result<Committed, RequestError> {
        let Role::Leading(office) = self.roles.now() else {
            return Err(RequestError::NotLeader);
        };
        self.send(command, self.gate.admit_own(), Some(office.epoch))
            .await
    }

    async fn send(
        &self,
        command: Command,
        permit: Permit,
        office: Option<Epoch>,
    ) -> Result<Committed, RequestError> {
        let (answer, answered) = oneshot::channel();
        self.addresses.router.tell(Submit {
            command,
            permit,
            answer,
            office,
        });
        let mut committed = answered.await.map_err(|_| RequestError::Stopped)??;
        self.resolve(&mut committed).await?;
        Ok(committed)
    }

    /// Pairs in the answer may have to be read from the log; the ones before a change are left out if
    /// compaction was faster.
    async fn resolve(&self, committed: &mut Committed) -> Result<(), RequestError> {
        let mut stored: Vec<KeyValue> = Vec::new();
        committed.reply.for_each_pair(&mut |pair| {
            if matches!(pair.value, model::Value::Stored(_)) {
                stored.push(pair.clone());
            }
        });
        if stored.is_empty() {
            return Ok(());
        }
        let complete = self.shared.resolve(stored.iter_mut().collect()).await?;
        let mut resolved = stored.into_iter();
        committed.reply.for_each_pair(&mut |pair| {
            if matches!(pair.value, model::Value::Stored(_))
                && let Some(found) = resolved.next()
            {
                *pair = found;
            }
        });
        if complete {
            Ok(())
        } else {
            Err(RequestError::Unreadable("a row is missing".into()))
        }
    }

    /// Waits until what can be read here includes everything acknowledged before the call, on any member.
    ///
    /// # Errors
    /// [`RequestError::TimedOut`] when no leader confirms that within the time a request may take.
    pub async fn linearize(&self) -> Result<(), RequestError> {
        let Some(read_index) = &self.addresses.read_index else {
            return Ok(());
        };
        let revision = confirm(read_index).await?.revision;
        let applied = self.shared.reached(revision);
        tokio::time::timeout(self.roles.patience(), applied)
            .await
            .map_err(|_| RequestError::TimedOut)
    }

    /// The revision that a read must have reached, if this member leads.
    pub(crate) async fn confirm_here(&self) -> Result<Revision, RequestError> {
        self.roles.office().await?;
        let Some(read_index) = &self.addresses.read_index else {
            return Ok(self.revision());
        };
        let confirmation = confirm(read_index).await?;
        confirmation.office.ok_or(RequestError::NotLeader)?;
        Ok(confirmation.revision)
    }

    /// Answers a range from this member's newest state; after [`linearize`](Self::linearize), with everything
    /// that was acknowledged before.
    ///
    /// # Errors
    /// A revision that is compacted or in the future, an empty key, or a log that cannot be read.
    pub async fn range(&self, query: RangeQuery) -> Result<model::RangeReply, RequestError> {
        read_range(&self.shared, query).await
    }

    /// Hands the pairs of a range to `found`, and returns that with what else there is to say. None if the range has to
    /// be [asked for](Self::range): it is not [plain](RangeQuery::is_plain), has a value that is not in memory, or would
    /// be refused; or writes are under way.
    pub async fn range_into<F: Found>(&self, query: &RangeQuery, found: F) -> Option<(F, model::RangeReply)> {
        read_range_into(&self.shared, &self.gate, query, found).await
    }

    /// Answers a range in parts of about `chunk_bytes`, all at one revision.
    #[must_use]
    pub fn range_stream(&self, query: RangeQuery, chunk_bytes: usize) -> RangeChunks {
        RangeChunks::new(
            Arc::clone(&self.shared),
            Arc::clone(&self.gate),
            query,
            chunk_bytes,
        )
    }

    /// Opens a watch stream; dropping either side closes it.
    #[must_use]
    pub fn open_watch_stream(&self) -> (WatchRequests, WatchResponses) {
        watch_hub::open_stream(&self.addresses.watch_hub)
    }

    /// etcd stops the world to give space back; here that goes on all the time, and this waits for
    /// what compaction has yet to delete.
    ///
    /// # Errors
    /// When the server is going down.
    pub async fn defragment(&self) -> Result<(), RequestError> {
        self.compact_physically().await
    }

    /// How much space the log takes.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn size(&self) -> Result<Size, RequestError> {
        let store = self.clone();
        blocking(move || store.measure()).await
    }

    /// As [`size`](Self::size), but blocks.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn measure(&self) -> Result<Size, RequestError> {
        let size = self.shared.reader().size();
        size.map_err(|error| RequestError::Unreadable(error.to_string()))
    }

    /// What goes on at the files of the log.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.shared.reader().activity()
    }

    /// Writes a consistent copy of the log to a new file.
    ///
    /// # Errors
    /// When the log cannot be read or the file not be written.
    pub async fn snapshot(&self, to: PathBuf) -> Result<(), RequestError> {
        let reader = Arc::clone(self.shared.reader());
        blocking(move || {
            reader
                .snapshot(&to)
                .map_err(|error| RequestError::Unreadable(error.to_string()))
        })
        .await
    }

    /// Hashes every version retained up to a revision, as etcd does; zero means the newest.
    ///
    /// # Errors
    /// A revision that is compacted or in the future, or a log that cannot be read.
    pub async fn hash_kv(&self, wanted: Revision) -> Result<HashKv, RequestError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || hash_kv(&shared, wanted)).await
    }

    /// Everything the pipeline shows of itself.
    #[must_use]
    pub fn report(&self) -> PipelineReport {
        self.meters.report(&self.shared)
    }

    /// The name of an actor that has work and makes no progress.
    #[must_use]
    pub fn stalled(&self) -> Option<String> {
        self.meters.stalled()
    }
}

async fn confirm(read_index: &Mailbox<ReadIndex>) -> Result<Confirmation, RequestError> {
    let (answer, answered) = oneshot::channel();
    read_index.tell(Confirm { answer });
    answered.await.map_err(|_| RequestError::Stopped)?
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RequestError> + Send + 'static,
) -> Result<T, RequestError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| RequestError::Stopped)?
}

/// Compaction may overtake a hash, and of several members one may find the log compacted before it hears of it.
fn hash_kv(shared: &SharedState, wanted: Revision) -> Result<HashKv, RequestError> {
    for _ in 0..HASH_ATTEMPTS {
        if let Some(hash) = attempt_hash(shared, wanted)? {
            return Ok(hash);
        }
        std::thread::sleep(HASH_AGAIN_AFTER);
    }
    let overtaken = "the log is compacted further than this member knows";
    Err(RequestError::Unreadable(overtaken.into()))
}

/// None if compaction was faster.
fn attempt_hash(shared: &SharedState, wanted: Revision) -> Result<Option<HashKv>, RequestError> {
    let (revision, compact_revision) = shared.read(|state| (state.revision(), state.compact_revision()));
    let at = if wanted.0 == 0 { revision } else { wanted };
    if at > revision {
        return Err(Refusal::FutureRevision.into());
    }
    if at.0 > 0 && at < compact_revision {
        return Err(Refusal::Compacted.into());
    }
    let hash = hash_log(shared, compact_revision, at)?;
    let still_true = |_: &u32| shared.compact_revision() == compact_revision;
    Ok(hash.filter(still_true).map(|hash| HashKv {
        hash,
        compact_revision,
        hash_revision: at,
        revision,
    }))
}

/// Goes through the log once, up to `at`. None if that is compacted further than is known.
fn hash_log(
    shared: &SharedState,
    compact_revision: Revision,
    at: Revision,
) -> Result<Option<u32>, RequestError> {
    let mut hasher = KvHasher::new(compact_revision);
    // If compacting at this revision would keep nothing, etcd leaves out nothing that is still there.
    let keeping = if shared.read(|state| state.has_keys_at(at)) {
        at
    } else {
        compact_revision
    };
    let mut from = Revision(0);
    while from <= at {
        let page = shared.reader().own_events(from, at, HASH_PAGE);
        let page = page.map_err(|error| RequestError::Unreadable(error.to_string()))?;
        if page.compact_revision > compact_revision {
            return Ok(None);
        }
        let Some(last) = page.events.last() else { break };
        from = last.version.mod_revision.next();
        shared.read(|state| {
            let taken_in = |event: &&Event| event.version.mod_revision <= at && state.hashes(event, keeping);
            let hashed = page.events.iter().filter(taken_in);
            hashed.for_each(|event| hasher.add(event));
        });
    }
    Ok(Some(hasher.finish()))
}
