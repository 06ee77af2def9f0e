//! The rules: what a command changes, or why it is refused.

mod intervals;
mod lease;
mod txn;
mod validate;

use bytes::Bytes;

use crate::tally::Work;
use crate::{
    Alarm, AlarmAction, Command, DeleteRange, DeleteRangeReply, Effect, Event, KeyRange, KeyValue, LeaseId,
    Operation, Overlay, Position, Put, PutReply, Refusal, Reply, Revision, State, Txn, Value, ValueSource,
    Version, View,
};

pub use validate::{space_cost, validate};

/// The bounds that the rules know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Comparisons or operations in one transaction, nested ones counted in (`--max-txn-ops`).
    pub max_txn_ops: usize,
    /// The shortest time to live that is granted, seconds.
    pub min_lease_ttl: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_txn_ops: 128,
            min_lease_ttl: 2,
        }
    }
}

/// What follows from a command: what must be stored, and what may be told once it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The revision that the answer's header carries.
    pub revision: Revision,
    /// What must be durable before anything is told or shown, in order.
    pub effects: Vec<Effect>,
    /// The answer. Values in it may still be [`Value::Stored`].
    pub reply: Reply,
}

/// What a decision is made on.
pub(crate) struct Decider<'a> {
    state: &'a State,
    overlay: &'a mut Overlay,
    values: &'a dyn ValueSource,
    limits: Limits,
    /// The newest revision before this command.
    begun_at: Revision,
    effects: Vec<Effect>,
    /// What etcd would count of the transaction on the store that goes on.
    work: Work,
}

/// Decides a command, which must be [valid](validate), on the newest state.
///
/// The decision is taken into the overlay: the next one is made on top of it.
///
/// # Errors
/// The refusal in etcd's words; nothing was changed, the overlay neither.
pub fn decide(
    command: Command,
    state: &State,
    overlay: &mut Overlay,
    values: &dyn ValueSource,
    limits: Limits,
) -> Result<Decision, Refusal> {
    refuse_by_alarm(&command, overlay)?;
    let begun_at = overlay.revision();
    let position = overlay.position();
    let mut decider = Decider {
        state,
        overlay,
        values,
        limits,
        begun_at,
        effects: Vec::new(),
        work: Work::default(),
    };
    let outcome = decider.decide(command);
    decider.count_work();
    match outcome {
        Ok(reply) => Ok(Decision {
            revision: decider.overlay.revision(),
            effects: decider.effects,
            reply,
        }),
        Err(refusal) => {
            decider.overlay.withdraw(&decider.effects, begun_at, position);
            Err(refusal)
        }
    }
}

/// A member out of space takes nothing that needs space; a corrupt one takes no change at all.
fn refuse_by_alarm(command: &Command, overlay: &Overlay) -> Result<(), Refusal> {
    if overlay.alarms().is_empty() || matches!(command, Command::Alarm(_) | Command::Scrub(_)) {
        return Ok(());
    }
    let reads_only = matches!(command, Command::Txn(txn) if txn.is_read_only());
    if overlay.is_raised(Alarm::Corrupt) && !reads_only && !matches!(command, Command::LeaseRenew { .. }) {
        return Err(Refusal::Corrupt);
    }
    if overlay.is_raised(Alarm::NoSpace) && space_cost(command) > 0 {
        return Err(Refusal::NoSpace);
    }
    Ok(())
}

impl Decider<'_> {
    fn decide(&mut self, command: Command) -> Result<Reply, Refusal> {
        match command {
            Command::Put(put) => {
                self.check_put(&put)?;
                Ok(Reply::Put(self.put(put)?))
            }
            Command::DeleteRange(delete) => Ok(Reply::DeleteRange(self.delete_range(&delete))),
            Command::Txn(txn) => self.txn(txn),
            Command::Compact(revision) => self.compact(revision),
            Command::LeaseGrant(grant) => self.lease_grant(grant),
            Command::LeaseRenew { id, deadline_ms } => self.lease_renew(id, deadline_ms),
            Command::LeaseRevoke(id) => self.lease_revoke(id),
            Command::Scrub(positions) => Ok(self.scrub(positions)),
            Command::Alarm(action) => Ok(self.alarm(action)),
        }
    }

    /// A transaction on the store ends here.
    fn count_work(&mut self) {
        self.overlay.count(std::mem::take(&mut self.work));
    }

    fn view(&self) -> View<'_> {
        View {
            state: self.state,
            overlay: self.overlay,
            values: self.values,
        }
    }

    /// The revision this command's changes get.
    fn made_at(&self) -> Revision {
        self.begun_at.next()
    }

    fn emit(&mut self, effect: Effect) {
        self.overlay.record(&effect);
        self.effects.push(effect);
    }

    /// What must hold of a put before anything of its transaction is written.
    fn check_put(&mut self, put: &Put) -> Result<(), Refusal> {
        if put.lease != LeaseId::NONE && self.view().lease(put.lease).is_none() {
            return Err(Refusal::LeaseNotFound);
        }
        self.work.ranges += u64::from(put.looks_before());
        if !put.ignore_value && !put.ignore_lease {
            return Ok(());
        }
        let mut existing = self.view().latest(&put.key).ok_or(Refusal::KeyNotFound)?;
        if put.ignore_value {
            self.view().resolve(&mut existing)
        } else {
            Ok(())
        }
    }

    fn put(&mut self, put: Put) -> Result<PutReply, Refusal> {
        self.work.puts += 1;
        let before = self.view().latest(&put.key);
        let event = self.put_event(&put, before.as_ref())?;
        self.emit(Effect::Key(event));
        Ok(PutReply {
            prev_kv: before.filter(|_| put.prev_kv),
        })
    }

    fn put_event(&self, put: &Put, before: Option<&KeyValue>) -> Result<Event, Refusal> {
        let version = before.map(|pair| pair.version).unwrap_or_default();
        let created = if version.is_tombstone() {
            self.made_at()
        } else {
            version.create_revision
        };
        Ok(Event {
            key: before.map_or_else(|| self.owned_key(&put.key), |pair| pair.key.clone()),
            value: self.put_value(put, before)?,
            version: Version {
                position: self.overlay.position().next(),
                mod_revision: self.made_at(),
                create_revision: created,
                version: version.version + 1,
                lease: if put.ignore_lease {
                    version.lease
                } else {
                    put.lease
                },
            },
        })
    }

    /// Bytes from the wire are copied: a slice of it would keep the whole request in memory.
    fn put_value(&self, put: &Put, before: Option<&KeyValue>) -> Result<Bytes, Refusal> {
        let Some(kept) = before.filter(|_| put.ignore_value) else {
            return Ok(Bytes::copy_from_slice(&put.value));
        };
        let mut kept = kept.clone();
        self.view().resolve(&mut kept)?;
        match kept.value {
            Value::Resident(value) => Ok(value),
            Value::Stored(_) => Err(Refusal::ValueUnavailable),
        }
    }

    /// One allocation serves every version of a key.
    fn owned_key(&self, key: &Bytes) -> Bytes {
        self.state
            .index()
            .get(key)
            .map_or_else(|| Bytes::copy_from_slice(key), |entry| entry.key.clone())
    }

    fn delete_range(&mut self, delete: &DeleteRange) -> DeleteRangeReply {
        self.work.ranges += u64::from(delete.prev_kv);
        self.work.deletes += 1;
        let doomed = match &delete.range {
            KeyRange::Single(key) => self.view().latest(key).into_iter().collect(),
            range => self.view().pairs(range, self.overlay.revision()),
        };
        for pair in &doomed {
            self.emit_delete(pair.key.clone());
        }
        let deleted = i64::try_from(doomed.len()).unwrap_or(i64::MAX);
        DeleteRangeReply {
            deleted,
            prev_kvs: if delete.prev_kv { doomed } else { Vec::new() },
        }
    }

    fn emit_delete(&mut self, key: Bytes) {
        let position = self.overlay.position().next();
        let version = Version {
            position,
            mod_revision: self.made_at(),
            ..Version::default()
        };
        self.emit(Effect::Key(Event {
            key,
            value: Bytes::new(),
            version,
        }));
    }

    /// A compaction is legal once per revision, up to the newest one.
    fn compact(&mut self, revision: Revision) -> Result<Reply, Refusal> {
        if revision <= self.overlay.compact_revision() {
            return Err(Refusal::Compacted);
        }
        if revision > self.overlay.revision() {
            return Err(Refusal::FutureRevision);
        }
        self.emit(Effect::Compacted(revision));
        Ok(Reply::Done)
    }

    fn scrub(&mut self, positions: Vec<Position>) -> Reply {
        self.emit(Effect::Scrubbed(positions));
        Reply::Done
    }

    fn alarm(&mut self, action: AlarmAction) -> Reply {
        let (effect, changes) = match action {
            AlarmAction::Activate(alarm) => (
                Effect::AlarmRaised(alarm),
                !self.overlay.alarms().contains(&alarm),
            ),
            AlarmAction::Deactivate(alarm) => (
                Effect::AlarmCleared(alarm),
                self.overlay.alarms().contains(&alarm),
            ),
        };
        if changes {
            self.emit(effect);
        }
        Reply::Alarm(changes)
    }
}

impl Put {
    /// Whether the pair before must be read; here it always is.
    fn looks_before(&self) -> bool {
        self.prev_kv || self.ignore_value || self.ignore_lease
    }
}

impl Txn {
    /// Whether etcd takes it for one that only reads: what it nests counts as writing, whatever that is.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.success
            .iter()
            .chain(&self.failure)
            .all(|operation| matches!(operation, Operation::Range(_)))
    }
}
