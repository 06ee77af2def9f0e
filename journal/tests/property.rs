//! Any sequence of effects, given to all logs, reads the same from all.

mod common;
#[cfg(feature = "dqlite")]
#[path = "../../dqlite/tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use common::{lease, raised, replayed};
use journal::{Journal, MemoryJournal, Reader, SqliteJournal, SqliteOptions};
use model::{Alarm, AlarmMember, Effect, Event, LeaseId, Position, Revision, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

/// An effect before it gets its place in the log.
#[derive(Clone, Debug)]
enum Draft {
    Key {
        key: Vec<u8>,
        value: Vec<u8>,
        same_revision: bool,
        skipped: i64,
        delete: bool,
    },
    Scrub(Vec<i64>),
    Other(Effect),
}

fn drafts() -> impl Strategy<Value = Draft> {
    let bytes = |most| vec(any::<u8>(), 0..most);
    let key = (
        bytes(12),
        prop_oneof![9 => bytes(40), 1 => bytes(30_000)],
        any::<bool>(),
        1..4_i64,
        any::<bool>(),
    )
        .prop_map(|(key, value, same_revision, skipped, delete)| Draft::Key {
            key,
            value,
            same_revision,
            skipped,
            delete,
        });
    let id = prop_oneof![Just(1_i64), Just(2), Just(i64::MIN), any::<i64>()];
    let kind = prop_oneof![Just(Alarm::NoSpace), Just(Alarm::Corrupt)];
    let member_id = prop_oneof![Just(0_u64), Just(u64::MAX), any::<u64>()];
    let alarm = (kind, member_id).prop_map(|(alarm, member_id)| raised(alarm, member_id));
    let other = prop_oneof![
        (id.clone(), any::<i64>(), any::<i64>())
            .prop_map(|(id, ttl, at)| Effect::LeaseGranted(lease(id, ttl, at))),
        (id.clone(), any::<i64>(), any::<i64>())
            .prop_map(|(id, ttl, at)| Effect::LeaseRenewed(lease(id, ttl, at))),
        id.prop_map(|id| Effect::LeaseRevoked(LeaseId(id))),
        (0..200_i64).prop_map(|revision| Effect::Compacted(Revision(revision))),
        alarm.clone().prop_map(Effect::AlarmRaised),
        alarm.prop_map(Effect::AlarmCleared),
    ];
    prop_oneof![6 => key, 1 => vec(0..150_i64, 0..20).prop_map(Draft::Scrub), 2 => other.prop_map(Draft::Other)]
}

/// Gives drafts growing positions and revisions that do not fall.
struct Numbering {
    position: i64,
    revision: i64,
}

impl Numbering {
    fn place(&mut self, draft: &Draft) -> Effect {
        match draft {
            Draft::Other(effect) => effect.clone(),
            Draft::Scrub(positions) => Effect::Scrubbed(positions.iter().copied().map(Position).collect()),
            Draft::Key {
                key,
                value,
                same_revision,
                skipped,
                delete,
            } => {
                self.position += skipped;
                self.revision += if *same_revision { 0 } else { *skipped };
                let version = Version {
                    position: Position(self.position),
                    mod_revision: Revision(self.revision),
                    create_revision: Revision(if *delete { 0 } else { self.revision }),
                    version: i64::from(!delete),
                    lease: LeaseId::NONE,
                };
                Effect::Key(Event {
                    key: Bytes::copy_from_slice(key),
                    value: Bytes::copy_from_slice(value),
                    version,
                })
            }
        }
    }
}

/// Both logs, side by side.
struct Pair {
    memory: MemoryJournal,
    sqlite: SqliteJournal,
    disk: Arc<dyn Reader>,
    home: TempDir,
}

impl Pair {
    fn new() -> Self {
        let home = TempDir::new().expect("a directory");
        let (sqlite, disk) = open(&home);
        Self {
            memory: MemoryJournal::new(),
            sqlite,
            disk,
            home,
        }
    }

    fn append(&mut self, batch: &[Effect]) {
        self.memory.append(batch).expect("memory takes the batch");
        self.sqlite.append(batch).expect("the disk takes the batch");
        self.sqlite.upkeep().expect("upkeep runs");
    }

    fn reopen(self) -> Self {
        let Self {
            memory,
            sqlite,
            disk,
            home,
        } = self;
        drop((sqlite, disk));
        let (sqlite, disk) = open(&home);
        Self {
            memory,
            sqlite,
            disk,
            home,
        }
    }

    fn compare(&self, last: &Numbering) -> Result<(), TestCaseError> {
        let memory = self.memory.reader();
        prop_assert_eq!(told(&*memory), told(&*self.disk));
        let positions: Vec<_> = (-1..last.position + 3).map(Position).collect();
        prop_assert_eq!(memory.values(&positions), self.disk.values(&positions));
        for revision in (0..last.revision + 3).map(Revision) {
            for budget in [0, 300, usize::MAX] {
                prop_assert_eq!(
                    memory.events(revision, budget),
                    self.disk.events(revision, budget)
                );
            }
        }
        Ok(())
    }
}

/// What a log replays. Alarms come between leases and rows, in whatever order their members sort.
fn told(log: &dyn Reader) -> (Vec<Effect>, BTreeSet<AlarmMember>) {
    let mut alarms = BTreeSet::new();
    let mut others = replayed(log);
    others.retain(|effect| match effect {
        Effect::AlarmRaised(alarm) => !alarms.insert(*alarm),
        _ => true,
    });
    (others, alarms)
}

/// No space is kept spare and every piece is small, so that upkeep and checkpoints take part.
fn open(home: &TempDir) -> (SqliteJournal, Arc<dyn Reader>) {
    let options = SqliteOptions {
        checkpoint: 16 << 10,
        wal_limit: 64 << 10,
        spare: 0,
        readers: 2,
    };
    SqliteJournal::open(home.path(), options).expect("the log opens")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn both_logs_read_the_same(batches in vec(vec(drafts(), 0..12), 1..12), reopen in any::<bool>()) {
        let mut pair = Pair::new();
        let mut numbering = Numbering { position: 0, revision: 2 };
        for batch in &batches {
            let effects: Vec<_> = batch.iter().map(|draft| numbering.place(draft)).collect();
            pair.append(&effects);
        }
        pair.compare(&numbering)?;
        if reopen {
            pair.reopen().compare(&numbering)?;
        }
    }
}

/// Logs on Dqlite: members' claims follow each other, and the database goes on.
#[cfg(feature = "dqlite")]
mod dqlite {
    use journal::{DqliteLog, DqliteOptions, SharedLog as _};

    use super::support::Single;
    use super::*;

    struct Pair {
        memory: MemoryJournal,
        log: DqliteLog,
        journal: Box<dyn Journal>,
        _node: Single,
    }

    impl Pair {
        fn new() -> Self {
            let node = Single::start();
            let log = DqliteLog::new(DqliteOptions::new(1, node.address()));
            Self {
                memory: MemoryJournal::new(),
                journal: log
                    .writer(&log.claim().expect("it leads"))
                    .expect("the claim holds"),
                log,
                _node: node,
            }
        }

        fn claim_again(&mut self) -> Result<(), TestCaseError> {
            let claim = self.log.claim().expect("it leads");
            let mut effects = vec![];
            if claim.compact_revision != Revision::NEVER_COMPACTED {
                effects.push(Effect::Compacted(claim.compact_revision));
            }
            effects.extend(claim.leases.iter().copied().map(Effect::LeaseGranted));
            let (mut stored, alarms) = told(&*self.memory.reader());
            stored.retain(|effect| !matches!(effect, Effect::Key(_)));
            prop_assert_eq!(
                (effects, claim.alarms.iter().copied().collect()),
                (stored, alarms)
            );
            self.journal = self.log.writer(&claim).expect("the claim holds");
            Ok(())
        }

        fn compare(&self, last: &Numbering) -> Result<(), TestCaseError> {
            let (memory, shared) = (self.memory.reader(), self.log.reader());
            prop_assert_eq!(told(&*memory), told(&*shared));
            let positions: Vec<_> = (-1..last.position + 3).map(Position).collect();
            prop_assert_eq!(memory.values(&positions), shared.values(&positions));
            for revision in (0..last.revision + 3).map(Revision) {
                for budget in [0, 300, usize::MAX] {
                    prop_assert_eq!(memory.events(revision, budget), shared.events(revision, budget));
                }
            }
            Ok(())
        }
    }

    /// Compaction never scrubs the newest row, by which a log on Dqlite tells how far it has come.
    fn spare_the_newest(effects: &mut [Effect], newest: Position) {
        for effect in effects {
            if let Effect::Scrubbed(positions) = effect {
                positions.retain(|position| *position < newest);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn the_shared_log_reads_the_same(batches in vec((vec(drafts(), 0..12), 0..6), 1..12)) {
            let mut pair = Pair::new();
            let mut numbering = Numbering { position: 0, revision: 2 };
            for (batch, claim) in &batches {
                let mut effects: Vec<_> = batch.iter().map(|draft| numbering.place(draft)).collect();
                spare_the_newest(&mut effects, Position(numbering.position));
                pair.memory.append(&effects).expect("memory takes the batch");
                pair.journal.append(&effects).expect("the node takes the batch");
                if *claim == 0 {
                    pair.claim_again()?;
                }
            }
            pair.compare(&numbering)?;
        }
    }
}
