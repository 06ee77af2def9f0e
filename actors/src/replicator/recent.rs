//! The newest batches of one leadership, kept in memory for followers whose connection broke.

use std::collections::VecDeque;

use model::Revision;

use super::Replicate;
use crate::cluster::{Epoch, Followed, Progress};

/// Bytes of recent batches that are kept: seconds of writes at full speed. The keyspace and the watch hub
/// hold most of it anyway.
const RECENT_BYTES: usize = 32 << 20;

/// A run of batches without a gap, ending with the newest one.
#[derive(Debug)]
pub(super) struct Recent {
    /// Where somebody stands who has everything.
    newest: Progress,
    /// Each batch, with where somebody stands who has taken it.
    batches: VecDeque<(Progress, Followed)>,
    bytes: usize,
}

impl Recent {
    /// The beginning of a leadership, at this revision.
    pub(super) fn new(epoch: Epoch, revision: Revision) -> Self {
        Self {
            newest: Progress {
                epoch,
                revision,
                ..Progress::default()
            },
            batches: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Where somebody stands who has everything.
    pub(super) fn progress(&self) -> Progress {
        self.newest
    }

    /// Takes the next batch in, lets the oldest ones go, and returns what followers are told of it.
    pub(super) fn push(&mut self, batch: Replicate, lease_clock_ms: i64) -> Followed {
        let Replicate {
            sequence,
            revision,
            effects,
            tally,
        } = batch;
        debug_assert_eq!(
            sequence,
            self.newest.sequence + 1,
            "batches come one after the other"
        );
        let followed = Followed::Batch {
            sequence,
            effects,
            lease_clock_ms,
            tally,
        };
        self.newest.sequence = sequence;
        self.newest.revision = revision;
        self.bytes += followed.size();
        self.batches.push_back((self.newest, followed.clone()));
        while self.bytes > RECENT_BYTES
            && let Some((_, oldest)) = self.batches.pop_front()
        {
            self.bytes -= oldest.size();
        }
        followed
    }

    /// What a follower misses, each with where it stands then; none if that is not all here.
    pub(super) fn after(&self, progress: Progress) -> Option<impl Iterator<Item = (Progress, Followed)>> {
        if progress.epoch != self.newest.epoch {
            return None;
        }
        let missed = self.newest.sequence.checked_sub(progress.sequence)?;
        let skipped = self.batches.len().checked_sub(usize::try_from(missed).ok()?)?;
        let first = (progress, Followed::Continued);
        Some(std::iter::once(first).chain(self.batches.range(skipped..).cloned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use model::{Effect, Event, Position, Tally, Version};

    use super::*;

    const EPOCH: Epoch = Epoch(5);

    /// The batch that puts a value of this length at the revision after its sequence.
    fn batch(sequence: u64, length: usize) -> Replicate {
        let revision = Revision(sequence as i64 + 10);
        let version = Version {
            position: Position(sequence as i64),
            mod_revision: revision,
            ..Version::default()
        };
        let event = Event {
            key: Bytes::from_static(b"key"),
            value: Bytes::from(vec![b'v'; length]),
            version,
        };
        Replicate {
            sequence,
            revision,
            effects: Arc::new(vec![Effect::Key(event)]),
            tally: Tally::default(),
        }
    }

    fn filled(batches: u64, length: usize) -> Recent {
        let mut recent = Recent::new(EPOCH, Revision(10));
        for sequence in 1..=batches {
            recent.push(batch(sequence, length), 0);
        }
        recent
    }

    fn at(epoch: Epoch, sequence: u64) -> Progress {
        Progress {
            epoch,
            sequence,
            ..Progress::default()
        }
    }

    /// The sequences and revisions that a follower is told of after it stood there.
    fn missed(recent: &Recent, progress: Progress) -> Option<Vec<(u64, Revision)>> {
        let mut missed = recent.after(progress)?;
        assert_eq!(missed.next(), Some((progress, Followed::Continued)));
        let told = missed.map(|(then, followed)| match followed {
            Followed::Batch { sequence, .. } => {
                assert_eq!((then.epoch, then.sequence), (EPOCH, sequence));
                (sequence, then.revision)
            }
            other => panic!("not a batch: {other:?}"),
        });
        Some(told.collect())
    }

    #[test]
    fn a_follower_of_this_epoch_is_told_exactly_what_it_misses() {
        let recent = filled(3, 1);
        assert_eq!(
            missed(&recent, at(EPOCH, 1)),
            Some(vec![(2, Revision(12)), (3, Revision(13))])
        );
        assert_eq!(missed(&recent, at(EPOCH, 3)), Some(vec![]));
        assert_eq!(missed(&recent, at(EPOCH, 0)).map(|all| all.len()), Some(3));
        assert_eq!(
            (recent.progress().sequence, recent.progress().revision),
            (3, Revision(13))
        );
    }

    #[test]
    fn at_the_beginning_only_who_has_everything_goes_on() {
        let recent = filled(0, 0);
        assert_eq!(missed(&recent, at(EPOCH, 0)), Some(vec![]));
        assert_eq!(recent.progress().revision, Revision(10));
    }

    #[test]
    fn who_stands_elsewhere_is_sent_to_the_log() {
        let recent = filled(3, 1);
        assert_eq!(missed(&recent, at(EPOCH, 4)), None, "ahead");
        assert_eq!(missed(&recent, at(Epoch(4), 2)), None, "another leadership");
        assert_eq!(missed(&recent, Progress::default()), None, "nowhere");
    }

    #[test]
    fn the_oldest_batches_go_when_there_are_too_many_bytes() {
        let mut recent = filled(40, RECENT_BYTES / 10);
        assert!(recent.bytes <= RECENT_BYTES);
        let kept = recent.batches.len() as u64;
        assert!((8..=10).contains(&kept), "{kept} of 40");
        assert_eq!(
            missed(&recent, at(EPOCH, 40 - kept)).map(|all| all.len() as u64),
            Some(kept)
        );
        assert_eq!(missed(&recent, at(EPOCH, 39 - kept)), None);
        recent.push(batch(41, 2 * RECENT_BYTES), 0);
        assert_eq!(recent.bytes, 0, "one that is too large is not kept either");
        assert_eq!(missed(&recent, at(EPOCH, 40)), None);
        assert_eq!(missed(&recent, at(EPOCH, 41)), Some(vec![]));
    }
}
