//! What is left on a disk when its power goes: of what was not synced each thing may be there, or not, or in part.

use std::fmt;

use fastrand::Rng;

use super::Power;
use super::file::{Change, Fate, Pending};
use super::names::kept_with;
use super::tree::{Body, Tree};

/// What became of the changes that were not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Changes of files that the disk has.
    pub kept: usize,
    /// Changes of files of which it has nothing.
    pub dropped: usize,
    /// Changes of files of which it has some sectors, or the length only.
    pub torn: usize,
    /// Changes of names that it has.
    pub names_kept: usize,
    /// Changes of names that it does not have.
    pub names_dropped: usize,
}

impl std::iter::Sum for Loss {
    fn sum<I: Iterator<Item = Self>>(losses: I) -> Self {
        losses.fold(Self::default(), |one, other| Self {
            kept: one.kept + other.kept,
            dropped: one.dropped + other.dropped,
            torn: one.torn + other.torn,
            names_kept: one.names_kept + other.names_kept,
            names_dropped: one.names_dropped + other.names_dropped,
        })
    }
}

impl Loss {
    /// Whether anything that was done is gone.
    #[must_use]
    pub fn is_felt(&self) -> bool {
        self.dropped + self.torn + self.names_dropped > 0
    }

    fn count(&mut self, fate: &Fate) {
        match fate {
            Fate::Kept => self.kept += 1,
            Fate::Dropped => self.dropped += 1,
            Fate::Torn(_) | Fate::OnlyLength => self.torn += 1,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kept,
            dropped,
            torn,
            names_kept,
            names_dropped,
        } = self;
        write!(
            out,
            "of what was not synced {kept} changes are kept, {dropped} dropped, {torn} torn; of names {names_kept} kept, \
             {names_dropped} dropped"
        )
    }
}

/// How one loss treats what was not synced.
#[derive(Clone, Copy, Debug)]
enum Style {
    /// All of it is gone.
    Nothing,
    /// All of it is there.
    Everything,
    /// Each by itself.
    Each,
}

/// The choices of one loss.
struct Choices<'a> {
    rng: &'a mut Rng,
    power: Power,
    style: Style,
    /// How far the journal reached the disk, where there is one.
    journal: u64,
}

impl Choices<'_> {
    fn fate(&mut self, pending: &Pending) -> Fate {
        match (self.style, &pending.change) {
            (Style::Nothing, _) => Fate::Dropped,
            (Style::Everything, _) => Fate::Kept,
            (Style::Each, Change::Resize(_)) if self.keeps_name(pending.sequence) => Fate::Kept,
            (Style::Each, Change::Resize(_)) => Fate::Dropped,
            (Style::Each, change) => match self.rng.u8(..8) {
                0..=2 => Fate::Kept,
                3..=5 => Fate::Dropped,
                6 if self.power == Power::Posix => Fate::OnlyLength,
                _ => Fate::Torn(self.tear(change)),
            },
        }
    }

    /// A beginning of the sectors, an end, or any of them.
    fn tear(&mut self, change: &Change) -> Vec<u64> {
        let mut sectors: Vec<_> = change.sectors().collect();
        let at = self.rng.usize(0..=sectors.len());
        match self.rng.u8(..3) {
            0 => sectors.truncate(at),
            1 => drop(sectors.drain(..at)),
            _ => sectors.retain(|_| self.rng.bool()),
        }
        sectors
    }

    fn keeps_name(&mut self, sequence: u64) -> bool {
        match (self.style, self.power) {
            (Style::Nothing, _) => false,
            (Style::Everything, _) => true,
            (Style::Each, Power::Journal) => sequence <= self.journal,
            (Style::Each, _) => self.rng.bool(),
        }
    }
}

impl Tree {
    /// The power goes, and comes back. Nothing is open any more.
    pub(super) fn lose_power(&mut self, rng: &mut Rng) -> Loss {
        let style = match (self.power, rng.u8(..8)) {
            (Power::Lie, _) | (_, 0 | 1) => Style::Nothing,
            (_, 2) => Style::Everything,
            _ => Style::Each,
        };
        let journal = rng.u64(self.oldest_pending()..=self.sequence + 1) - 1;
        let mut choices = Choices {
            rng,
            power: self.power,
            style,
            journal,
        };
        let mut loss = Loss::default();
        self.lose_names(&mut choices, &mut loss);
        self.lose_changes(&mut choices, &mut loss);
        self.forget_all();
        loss
    }

    fn oldest_pending(&self) -> u64 {
        let files = self.inodes.values().filter_map(|inode| match &inode.body {
            Body::File(file) => file.pending.first().map(|pending| pending.sequence),
            _ => None,
        });
        let names = self.pending.first().map(|pending| pending.sequence);
        files.chain(names).min().unwrap_or(self.sequence + 1).max(1)
    }

    fn lose_names(&mut self, choices: &mut Choices<'_>, loss: &mut Loss) {
        let kept = kept_with(&self.pending, |renaming| choices.keeps_name(renaming.sequence));
        loss.names_kept = kept.len();
        loss.names_dropped = self.pending.len() - kept.len();
        self.settle(|renaming| kept.contains(&renaming.sequence));
        self.pending.clear();
    }

    fn lose_changes(&mut self, choices: &mut Choices<'_>, loss: &mut Loss) {
        // In the order of their numbers, so that a seed chooses the same again.
        let mut numbers: Vec<_> = self.inodes.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            let inode = self.inodes.get_mut(&number).expect("it was just there");
            inode.open = 0;
            match &mut inode.body {
                Body::File(file) => file.lose(|pending| {
                    let fate = choices.fate(pending);
                    loss.count(&fate);
                    fate
                }),
                Body::Folder(folder) => folder.seen.clone_from(&folder.durable),
                Body::Link(_) => {}
            }
        }
    }

    /// Forgets what has no name, and then what only that had.
    fn forget_all(&mut self) {
        let mut before = usize::MAX;
        while self.inodes.len() < before {
            before = self.inodes.len();
            self.forget();
        }
    }
}
