//! The numbers everything else is counted in.

/// A point in the history of the store: one per transaction that changed something.
///
/// An empty store is at revision 1 and the first write makes 2, as in etcd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub i64);

impl Revision {
    /// The revision of a store in which nothing was ever written.
    pub const INITIAL: Self = Self(1);
    /// The compact revision of a store that was never compacted: etcd's -1, so that `Compact(0)` is legal once.
    pub const NEVER_COMPACTED: Self = Self(-1);

    /// The revision after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The place of a row in the log. Positions only grow; those of one revision are in request order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub i64);

impl Position {
    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The identity of a lease; zero means "no lease".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

impl LeaseId {
    /// What a key without a lease carries.
    pub const NONE: Self = Self(0);
}

/// Everything about one version of a key but its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// The log row that holds the value.
    pub position: Position,
    /// The revision that wrote this version.
    pub mod_revision: Revision,
    /// The revision that created the key; zero on a tombstone.
    pub create_revision: Revision,
    /// How often the key was written since its creation; zero marks a tombstone.
    pub version: i64,
    /// The lease this version is attached to.
    pub lease: LeaseId,
}

impl Version {
    /// Whether this version says that the key was deleted.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.version == 0
    }
}
