//! A file as programs see it, as the disk has it, and what lies between the two.

use std::ops::Range;

use super::content::{Content, SECTOR};

/// One change of a file's bytes or length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Bytes are written.
    Write(u64, Vec<u8>),
    /// Bytes become zeros.
    Zero(u64, u64),
    /// The length changes.
    Resize(u64),
}

impl Change {
    pub(super) fn apply(&self, content: &mut Content) {
        match self {
            Self::Write(offset, bytes) => content.write(*offset, bytes),
            Self::Zero(offset, length) => content.zero(*offset, *length),
            Self::Resize(size) => content.resize(*size),
        }
    }

    /// The sectors that it writes.
    pub(super) fn sectors(&self) -> Range<u64> {
        let (offset, length) = match self {
            Self::Write(offset, bytes) => (*offset, bytes.len() as u64),
            Self::Zero(offset, length) => (*offset, *length),
            Self::Resize(_) => (0, 0),
        };
        offset / SECTOR..offset.saturating_add(length).div_ceil(SECTOR)
    }
}

/// A change that was not synced, and its place among all changes of the disk.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) sequence: u64,
    pub(super) change: Change,
}

/// What becomes of a change when the power goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The disk has it.
    Kept,
    /// The disk has nothing of it.
    Dropped,
    /// The disk has these of its sectors.
    Torn(Vec<u64>),
    /// The disk has the length, and zeros for what was written beyond the old one.
    OnlyLength,
}

/// A file.
#[derive(Clone, Debug, Default)]
pub(super) struct FileBody {
    /// As programs see it.
    pub(super) seen: Content,
    /// What the disk certainly has.
    pub(super) durable: Content,
    /// What was changed and not synced, in order.
    pub(super) pending: Vec<Pending>,
}

impl FileBody {
    /// Changes what programs see.
    pub(super) fn change(&mut self, sequence: u64, change: Change) {
        change.apply(&mut self.seen);
        self.pending.push(Pending { sequence, change });
    }

    /// Makes all changes up to a place in the order durable.
    pub(super) fn sync(&mut self, mark: u64) {
        let synced = self.pending.partition_point(|pending| pending.sequence <= mark);
        for pending in self.pending.drain(..synced) {
            pending.change.apply(&mut self.durable);
        }
    }

    /// What is left after a loss of power. A sector is always as it was after some change: a change that the disk has
    /// brings along what earlier ones did to its sectors, as a page that is written back does.
    pub(super) fn lose(&mut self, mut fate: impl FnMut(&Pending) -> Fate) {
        let (mut whole, mut left) = (self.durable.clone(), self.durable.clone());
        for pending in self.pending.drain(..) {
            pending.change.apply(&mut whole);
            match (fate(&pending), &pending.change) {
                (Fate::Dropped, _) => {}
                (Fate::Kept, Change::Resize(size)) => left.resize(*size),
                (Fate::Kept, change) => take(&mut left, &whole, change.sectors()),
                (Fate::Torn(sectors), _) => take(&mut left, &whole, sectors),
                (Fate::OnlyLength, _) => left.resize(left.size().max(whole.size())),
            }
        }
        self.seen = left.clone();
        self.durable = left;
    }
}

fn take(left: &mut Content, whole: &Content, sectors: impl IntoIterator<Item = u64>) {
    for sector in sectors {
        left.take_sector(whole, sector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(changes: &[Change]) -> FileBody {
        let mut file = FileBody::default();
        for (sequence, change) in (1..).zip(changes) {
            file.change(sequence, change.clone());
        }
        file
    }

    fn write(offset: u64, byte: u8, length: usize) -> Change {
        Change::Write(offset, vec![byte; length])
    }

    #[test]
    fn what_is_synced_stays() {
        let mut file = file(&[write(0, 1, 10), write(10, 2, 10)]);
        file.sync(1);
        file.lose(|_| Fate::Dropped);
        assert_eq!(file.seen.read(0, 100), [1; 10]);
    }

    #[test]
    fn a_later_write_that_is_kept_brings_along_what_its_sector_had() {
        let mut file = file(&[write(0, 1, 10), write(10, 2, 10)]);
        file.lose(|pending| {
            if pending.sequence == 2 {
                Fate::Kept
            } else {
                Fate::Dropped
            }
        });
        assert_eq!(file.seen.read(0, 100), [[1; 10], [2; 10]].concat());
    }

    #[test]
    fn writes_to_different_sectors_are_kept_one_by_one() {
        let mut file = file(&[write(0, 1, 512), write(512, 2, 512)]);
        file.lose(|pending| {
            if pending.sequence == 2 {
                Fate::Kept
            } else {
                Fate::Dropped
            }
        });
        assert_eq!(file.seen.read(0, 2000), [[0; 512], [2; 512]].concat());
    }

    #[test]
    fn a_write_is_torn_between_sectors() {
        let mut file = file(&[write(100, 1, 1400)]);
        file.lose(|_| Fate::Torn(vec![1]));
        assert_eq!(file.seen.read(0, 4000), [[0; 512], [1; 512]].concat());
    }

    #[test]
    fn a_length_may_be_lost_or_outlive_what_was_written() {
        let both = [write(0, 1, 600), Change::Resize(100)];
        let mut shrunk = file(&both);
        shrunk.lose(|pending| {
            if pending.sequence == 1 {
                Fate::Kept
            } else {
                Fate::Dropped
            }
        });
        assert_eq!(shrunk.seen.size(), 600);
        let mut kept = file(&both);
        kept.lose(|_| Fate::Kept);
        assert_eq!(kept.seen.read(0, 1000), [1; 100]);
        let mut longer = file(&both[..1]);
        longer.lose(|_| Fate::OnlyLength);
        assert_eq!(longer.seen.read(0, 1000), [0; 600]);
    }
}
