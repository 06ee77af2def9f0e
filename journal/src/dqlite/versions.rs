//! Which schema version the shared log has, and which it may get: the rule by which a cluster is upgraded one member
//! after the other.
//!
//! As with etcd's cluster version, the oldest member decides. The log keeps its version for as long as one member knows
//! no newer one; it is moved forward by a claim, once every member has said that it knows the version; and a member that
//! knows less than the log has reads and writes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::Schemas;
use crate::sqlite::schema::MIGRATIONS;

/// What one member knows of schema versions. Clones share it.
#[derive(Clone, Debug)]
pub struct SchemaRule(Arc<Versions>);

#[derive(Debug)]
struct Versions {
    /// The newest version that this member can read and write.
    known: u32,
    /// The newest version that every member is known to know; zero before anybody was asked.
    agreed: AtomicU32,
    /// The version of the log, as far as this member has seen it; zero before that.
    in_use: AtomicU32,
}

impl SchemaRule {
    /// The rule for a member that has others, none of which has been asked yet.
    #[must_use]
    pub fn one_of_several() -> Self {
        Self::new(released(), 0)
    }

    /// The same for a member that knows one version more than this release: for rehearsals of an upgrade.
    #[must_use]
    pub fn of_the_next_release() -> Self {
        Self::new(released() + 1, 0)
    }

    /// The rule for whoever is alone with a log, which every claim brings to the newest version.
    #[must_use]
    pub fn alone() -> Self {
        Self::new(released(), released())
    }

    fn new(known: u32, agreed: u32) -> Self {
        let (agreed, in_use) = (AtomicU32::new(agreed), AtomicU32::new(0));
        Self(Arc::new(Versions {
            known,
            agreed,
            in_use,
        }))
    }

    /// Every member knows this version: the next claim may bring the log there. Returns whether that is news.
    pub fn agree(&self, version: u32) -> bool {
        self.0.agreed.swap(version, Relaxed) != version
    }

    /// What this member knows, and what it has seen.
    #[must_use]
    pub fn schemas(&self) -> Schemas {
        Schemas {
            known: self.0.known,
            in_use: self.0.in_use.load(Relaxed),
        }
    }

    /// The version that a claim leaves a log with which has this one. A new log begins with the newest.
    pub(super) fn target(&self, found: u32) -> u32 {
        let Versions { known, agreed, .. } = &*self.0;
        match found {
            0 => *known,
            found => found.max(agreed.load(Relaxed).min(*known)),
        }
    }

    /// Takes note of the version that the log has. It never has an older one later.
    ///
    /// # Errors
    /// What to say if this member does not know the version.
    pub fn see(&self, version: u32) -> Result<(), String> {
        self.0.in_use.fetch_max(version, Relaxed);
        let known = self.0.known;
        if version > known {
            return Err(format!(
                "the log has schema version {version}, this program knows versions up to {known}"
            ));
        }
        Ok(())
    }
}

fn released() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_member_decides() {
        let rule = SchemaRule::of_the_next_release();
        let next = released() + 1;
        assert_eq!(rule.target(0), next, "a new log");
        assert_eq!(rule.target(released()), released(), "nobody was asked yet");
        assert!(rule.agree(released()));
        assert_eq!(rule.target(released()), released());
        assert!(rule.agree(next) && !rule.agree(next));
        assert_eq!(rule.target(released()), next);
        rule.agree(next + 5);
        assert_eq!(rule.target(released()), next, "no further than it knows itself");
        rule.agree(released());
        assert_eq!(rule.target(next), next, "never back");
    }

    #[test]
    fn a_version_that_is_not_known_is_refused() {
        let rule = SchemaRule::one_of_several();
        assert!(rule.see(released()).is_ok());
        let said = rule.see(released() + 1).unwrap_err();
        assert_eq!(
            said,
            "the log has schema version 2, this program knows versions up to 1"
        );
        assert_eq!(rule.schemas().in_use, released() + 1);
    }
}
