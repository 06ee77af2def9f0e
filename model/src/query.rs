//! The question a read asks.

use crate::{KeyRange, Revision};

/// What the result of a range is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortTarget {
    /// The key.
    #[default]
    Key,
    /// The version.
    Version,
    /// The create revision.
    CreateRevision,
    /// The mod revision.
    ModRevision,
    /// The value.
    Value,
}

/// In which direction the result is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// As the keys lie; with a target other than the key etcd sorts ascending.
    #[default]
    None,
    /// Smallest first.
    Ascending,
    /// Greatest first.
    Descending,
}

/// A range read with all of etcd's options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeQuery {
    /// The keys asked for.
    pub range: KeyRange,
    /// The revision to read at; zero or less means the newest.
    pub revision: Revision,
    /// How many pairs to return at most; zero or less means all.
    pub limit: i64,
    /// The order of the result.
    pub sort_order: SortOrder,
    /// What the order is by.
    pub sort_target: SortTarget,
    /// Leave the values out.
    pub keys_only: bool,
    /// Return the count alone.
    pub count_only: bool,
    /// Leave out pairs with a smaller mod revision; zero means no bound. The same holds for the three below.
    pub min_mod_revision: Revision,
    /// Leave out pairs with a greater mod revision.
    pub max_mod_revision: Revision,
    /// Leave out pairs with a smaller create revision.
    pub min_create_revision: Revision,
    /// Leave out pairs with a greater create revision.
    pub max_create_revision: Revision,
}

impl RangeQuery {
    /// The plain newest read of a range.
    #[must_use]
    pub fn new(range: KeyRange) -> Self {
        let none = Revision(0);
        Self {
            range,
            revision: none,
            limit: 0,
            sort_order: SortOrder::None,
            sort_target: SortTarget::Key,
            keys_only: false,
            count_only: false,
            min_mod_revision: none,
            max_mod_revision: none,
            min_create_revision: none,
            max_create_revision: none,
        }
    }

    /// Whether a filter on revisions may drop pairs of the range.
    #[must_use]
    pub fn has_revision_filter(&self) -> bool {
        [
            self.min_mod_revision,
            self.max_mod_revision,
            self.min_create_revision,
            self.max_create_revision,
        ]
        .iter()
        .any(|bound| bound.0 != 0)
    }

    /// Whether the result is what a scan finds, as it finds it, so far as the limit goes.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.has_sort() && !self.has_revision_filter()
    }

    /// Whether the result needs ordering beyond the order of the keys.
    #[must_use]
    pub fn has_sort(&self) -> bool {
        self.sort_target != SortTarget::Key || self.sort_order == SortOrder::Descending
    }
}
