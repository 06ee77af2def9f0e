//! The log in memory, for tests of what stands above it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use model::{AlarmMember, Effect, Event, Lease, LeaseId, Position, Revision};
use parking_lot::RwLock;

use crate::page::Page;
use crate::{AppendError, History, Identity, Journal, ReadError, Reader, Size};

/// The identity of every log in memory, so that tests can name it.
const IDENTITY: Identity = Identity {
    cluster_id: 0x7461_6666,
    member_id: 0x7261_696c,
};

/// A log that lives as long as its last handle: the same behaviour as the one on disk, without the disk.
///
/// Clones share one log, so a test can keep a reader, drop the writer, and go on with a new one as
/// after a restart.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal {
    log: Arc<RwLock<Log>>,
}

impl MemoryJournal {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The reading side of this log.
    #[must_use]
    pub fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(self.clone())
    }

    /// Makes the next append fail with this error and write nothing, once; a full disk on request.
    ///
    /// After [`AppendError::Unknown`] every later append fails too, as on disk.
    pub fn fail_next(&self, error: AppendError) {
        self.log.write().failure = Some(error);
    }
}

#[derive(Debug)]
struct Log {
    rows: BTreeMap<Position, Event>,
    leases: BTreeMap<LeaseId, Lease>,
    alarms: BTreeSet<AlarmMember>,
    compacted: Revision,
    failure: Option<AppendError>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            leases: BTreeMap::new(),
            alarms: BTreeSet::new(),
            compacted: Revision::NEVER_COMPACTED,
            failure: None,
        }
    }
}

impl Log {
    fn refuse(&mut self) -> Result<(), AppendError> {
        match self.failure.take() {
            None => Ok(()),
            Some(error) => {
                if matches!(error, AppendError::Unknown(_)) {
                    self.failure = Some(error.clone());
                }
                Err(error)
            }
        }
    }

    /// All or none: the only effect that can be refused is a row at a position that is taken.
    fn check(&self, effects: &[Effect]) -> Result<(), AppendError> {
        let mut taken = BTreeSet::new();
        for position in effects.iter().filter_map(event_position) {
            if self.rows.contains_key(&position) || !taken.insert(position) {
                return Err(AppendError::Failed(format!("position {} is taken", position.0)));
            }
        }
        Ok(())
    }

    fn store(&mut self, effect: &Effect) {
        match effect {
            Effect::Key(event) => drop(self.rows.insert(event.version.position, event.clone())),
            Effect::LeaseGranted(lease) | Effect::LeaseRenewed(lease) => {
                self.leases.insert(lease.id, *lease);
            }
            Effect::LeaseRevoked(id) => drop(self.leases.remove(id)),
            Effect::Compacted(revision) => self.compacted = *revision,
            Effect::Scrubbed(positions) => positions.iter().for_each(|position| {
                self.rows.remove(position);
            }),
            Effect::AlarmRaised(alarm) => drop(self.alarms.insert(*alarm)),
            Effect::AlarmCleared(alarm) => drop(self.alarms.remove(alarm)),
        }
    }
}

fn event_position(effect: &Effect) -> Option<Position> {
    match effect {
        Effect::Key(event) => Some(event.version.position),
        _ => None,
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, effects: &[Effect]) -> Result<(), AppendError> {
        let mut log = self.log.write();
        log.refuse()?;
        log.check(effects)?;
        effects.iter().for_each(|effect| log.store(effect));
        Ok(())
    }

    fn upkeep(&mut self) -> Result<bool, AppendError> {
        Ok(false)
    }
}

impl Reader for MemoryJournal {
    fn replay(&self, sink: &mut dyn FnMut(Effect)) -> Result<(), ReadError> {
        let log = self.log.read();
        if log.compacted != Revision::NEVER_COMPACTED {
            sink(Effect::Compacted(log.compacted));
        }
        log.leases
            .values()
            .for_each(|lease| sink(Effect::LeaseGranted(*lease)));
        log.alarms
            .iter()
            .for_each(|alarm| sink(Effect::AlarmRaised(*alarm)));
        log.rows
            .values()
            .for_each(|event| sink(Effect::Key(event.clone())));
        Ok(())
    }

    fn values(&self, positions: &[Position]) -> Result<Vec<Option<Bytes>>, ReadError> {
        let log = self.log.read();
        Ok(positions
            .iter()
            .map(|position| log.rows.get(position).map(|event| event.value.clone()))
            .collect())
    }

    fn events(&self, from: Revision, budget: usize) -> Result<History, ReadError> {
        let log = self.log.read();
        let mut page = Page::new(budget);
        for event in log
            .rows
            .values()
            .filter(|event| event.version.mod_revision >= from)
        {
            if page.ends_before(event.version.mod_revision) {
                break;
            }
            page.push(event.clone());
        }
        Ok(History {
            events: page.into_events(),
            compact_revision: log.compacted,
        })
    }

    fn size(&self) -> Result<Size, ReadError> {
        let bytes: usize = self.log.read().rows.values().map(Event::size).sum();
        Ok(Size {
            allocated: bytes as u64,
            in_use: bytes as u64,
        })
    }

    /// Writes the rows in a readable form: enough to see in a test that a snapshot was taken.
    fn snapshot(&self, to: &Path) -> Result<(), ReadError> {
        let failed = |error: std::io::Error| ReadError::Failed(format!("{}: {error}", to.display()));
        let mut file = File::create_new(to).map_err(failed)?;
        for event in self.log.read().rows.values() {
            writeln!(file, "{event:?}").map_err(failed)?;
        }
        file.sync_all().map_err(failed)
    }

    fn identity(&self) -> Identity {
        IDENTITY
    }
}
