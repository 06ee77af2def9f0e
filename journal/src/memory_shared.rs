//! A shared log in memory, for tests of what stands above it: leaders that a test makes and breaks.

use std::sync::Arc;

use bytes::Bytes;
use model::{Effect, Revision};
use parking_lot::Mutex;

use crate::memory::MemoryJournal;
use crate::{AppendError, Appending, Claim, Journal, ReadError, Reader, SharedJournal, SharedLog};

/// The log of a cluster in one process. A test says who leads; the log holds them to it as Dqlite does.
#[derive(Clone, Debug, Default)]
pub struct MemoryCluster {
    log: MemoryJournal,
    office: Arc<Mutex<Office>>,
    /// The replicas that were asked for; their bytes are their number.
    images: Arc<Mutex<Vec<Vec<Effect>>>>,
}

#[derive(Debug, Default)]
struct Office {
    leader: Option<u64>,
    epoch: i64,
    /// Appends of this member are stored, and reported as lost.
    loses_answers_of: Option<u64>,
}

impl MemoryCluster {
    /// A cluster with an empty log and no leader.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes this member the leader, or nobody.
    pub fn elect(&self, leader: Option<u64>) {
        self.office.lock().leader = leader;
    }

    /// Lets the next append of this member be stored, while the member learns only that it lost its office.
    pub fn lose_answer_of(&self, member: u64) {
        self.office.lock().loses_answers_of = Some(member);
    }

    /// The log as one member holds it.
    #[must_use]
    pub fn member(&self, member: u64) -> Arc<dyn SharedLog> {
        Arc::new(MemorySharedLog {
            cluster: self.clone(),
            member,
        })
    }

    /// The reading side of the log.
    #[must_use]
    pub fn reader(&self) -> Arc<dyn Reader> {
        self.log.reader()
    }
}

/// One member's hold on the log of a [`MemoryCluster`].
#[derive(Clone, Debug)]
pub struct MemorySharedLog {
    cluster: MemoryCluster,
    member: u64,
}

impl SharedLog for MemorySharedLog {
    fn claim(&self) -> Result<Claim, AppendError> {
        let mut office = self.cluster.office.lock();
        refuse_unless(
            office.leader == Some(self.member),
            "another member leads, or none",
        )?;
        office.epoch += 1;
        let mut claim = Claim {
            epoch: office.epoch,
            compact_revision: Revision::NEVER_COMPACTED,
            leases: Vec::new(),
            alarms: Vec::new(),
            lease_clock_ms: 0,
        };
        let replayed = self.cluster.log.replay(&mut |effect| match effect {
            Effect::Compacted(revision) => claim.compact_revision = revision,
            Effect::LeaseGranted(lease) => claim.leases.push(lease),
            Effect::AlarmRaised(alarm) => claim.alarms.push(alarm),
            _ => {}
        });
        replayed
            .map(|()| claim)
            .map_err(|error| AppendError::Failed(error.to_string()))
    }

    fn writer(&self, claim: &Claim) -> Result<Box<dyn SharedJournal>, AppendError> {
        Ok(Box::new(MemoryWriter {
            cluster: self.cluster.clone(),
            member: self.member,
            epoch: claim.epoch,
        }))
    }

    fn reader(&self) -> Arc<dyn Reader> {
        self.cluster.log.reader()
    }

    fn image(&self) -> Result<Bytes, ReadError> {
        let mut effects = Vec::new();
        self.cluster.log.replay(&mut |effect| effects.push(effect))?;
        let mut images = self.cluster.images.lock();
        images.push(effects);
        Ok(Bytes::copy_from_slice(&(images.len() - 1).to_le_bytes()))
    }

    fn replay_image(&self, image: Vec<Bytes>, sink: &mut dyn FnMut(Effect)) -> Result<(), ReadError> {
        let number = image.concat().try_into().map(usize::from_le_bytes);
        let effects = number
            .ok()
            .and_then(|number| self.cluster.images.lock().get(number).cloned());
        let effects = effects.ok_or_else(|| ReadError::Corrupt("not a replica of this cluster".into()))?;
        effects.into_iter().for_each(sink);
        Ok(())
    }
}

struct MemoryWriter {
    cluster: MemoryCluster,
    member: u64,
    epoch: i64,
}

impl Journal for MemoryWriter {
    fn append(&mut self, effects: &[Effect]) -> Result<(), AppendError> {
        let mut office = self.cluster.office.lock();
        refuse_unless(
            office.leader == Some(self.member),
            "another member leads, or none",
        )?;
        refuse_unless(office.epoch == self.epoch, "a later leader has claimed the log")?;
        self.cluster.log.append(effects)?;
        if office.loses_answers_of == Some(self.member) {
            office.loses_answers_of = None;
            office.leader = None;
            return Err(AppendError::Lost("the answer did not arrive".into()));
        }
        Ok(())
    }

    fn upkeep(&mut self) -> Result<bool, AppendError> {
        Ok(false)
    }
}

impl SharedJournal for MemoryWriter {
    fn append_shared<'a>(&'a mut self, effects: &'a [Effect]) -> Appending<'a> {
        Box::pin(async { self.append(effects) })
    }
}

fn refuse_unless(holds: bool, why: &str) -> Result<(), AppendError> {
    if holds {
        Ok(())
    } else {
        Err(AppendError::NotLeader(why.into()))
    }
}

#[cfg(test)]
mod tests {
    use model::{Event, Position, Version};

    use super::*;

    fn event(position: i64) -> Effect {
        Effect::Key(Event {
            key: Bytes::from_static(b"k"),
            value: Bytes::new(),
            version: Version {
                position: Position(position),
                mod_revision: Revision(position + 1),
                create_revision: Revision(2),
                version: position,
                ..Version::default()
            },
        })
    }

    fn rows(cluster: &MemoryCluster) -> usize {
        cluster
            .reader()
            .events(Revision(0), 1 << 20)
            .unwrap()
            .events
            .len()
    }

    #[test]
    fn only_the_newest_claim_of_the_leader_may_append() {
        let cluster = MemoryCluster::new();
        let [one, two] = [cluster.member(1), cluster.member(2)];
        assert!(matches!(one.claim(), Err(AppendError::NotLeader(_))));
        cluster.elect(Some(1));
        let mut first = one.writer(&one.claim().unwrap()).unwrap();
        first.append(&[event(1)]).unwrap();
        cluster.elect(Some(2));
        assert!(matches!(
            first.append(&[event(2)]),
            Err(AppendError::NotLeader(_))
        ));
        let claim = two.claim().unwrap();
        assert_eq!(claim.epoch, 2);
        cluster.elect(Some(1));
        assert!(
            matches!(first.append(&[event(2)]), Err(AppendError::NotLeader(_))),
            "its epoch is over although it leads again"
        );
        assert_eq!(rows(&cluster), 1);
    }

    #[test]
    fn a_lost_answer_leaves_the_batch_in_the_log() {
        let cluster = MemoryCluster::new();
        cluster.elect(Some(1));
        let one = cluster.member(1);
        let mut writer = one.writer(&one.claim().unwrap()).unwrap();
        cluster.lose_answer_of(1);
        assert!(matches!(writer.append(&[event(1)]), Err(AppendError::Lost(_))));
        assert_eq!(rows(&cluster), 1);
        assert!(matches!(
            writer.append(&[event(2)]),
            Err(AppendError::NotLeader(_))
        ));
    }
}
