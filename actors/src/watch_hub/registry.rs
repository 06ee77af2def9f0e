//! Which watchers follow a key live.

use std::collections::HashMap;

use bytes::Bytes;
use model::{Event, KeyRange};

use super::interval_tree::IntervalTree;
use super::slab::Slab;

/// What a watcher wants of the events in its range. Watchers of one range and variant share what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Variant {
    /// Events carry the pair before.
    pub(super) prev_kv: bool,
    /// Puts are left out.
    pub(super) no_put: bool,
    /// Deletes are left out.
    pub(super) no_delete: bool,
}

impl Variant {
    /// Whether an event passes the filters.
    pub(super) fn admits(self, event: &Event) -> bool {
        if event.is_delete() {
            !self.no_delete
        } else {
            !self.no_put
        }
    }
}

/// The watchers of one range that want the same of its events.
#[derive(Debug)]
pub(super) struct Members {
    /// What they want.
    pub(super) variant: Variant,
    /// Who they are, in no order.
    pub(super) watchers: Vec<usize>,
}

/// All watchers of one range.
#[derive(Debug)]
struct Group {
    range: KeyRange,
    members: Vec<Members>,
}

/// Where a watcher stands in the registry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its group.
    pub(super) group: usize,
    /// Its variant in the group.
    pub(super) variant: Variant,
    /// Its index among the members.
    pub(super) index: usize,
}

/// The watchers that follow live, grouped by identical range: an event is matched against ranges, not
/// watchers. Single keys are found in a hash map, all other ranges in an interval tree.
#[derive(Debug, Default)]
pub(super) struct Registry {
    groups: Slab<Group>,
    singles: HashMap<Bytes, usize>,
    ranges: IntervalTree,
}

impl Registry {
    /// Adds a watcher to the group of its range.
    pub(super) fn insert(&mut self, range: &KeyRange, variant: Variant, watcher: usize) -> Place {
        let group = self.find(range).unwrap_or_else(|| self.add_group(range));
        let members = &mut self.groups[group].members;
        let at = members
            .iter()
            .position(|members| members.variant == variant)
            .unwrap_or_else(|| {
                members.push(Members {
                    variant,
                    watchers: Vec::with_capacity(1),
                });
                members.len() - 1
            });
        members[at].watchers.push(watcher);
        Place {
            group,
            variant,
            index: members[at].watchers.len() - 1,
        }
    }

    /// Takes the watcher at a place out. Returns the watcher that stands in its place now, if one moved there.
    pub(super) fn remove(&mut self, place: Place) -> Option<usize> {
        let group = &mut self.groups[place.group];
        let at = group
            .members
            .iter()
            .position(|members| members.variant == place.variant)?;
        let watchers = &mut group.members[at].watchers;
        watchers.swap_remove(place.index);
        let moved = watchers.get(place.index).copied();
        if watchers.is_empty() {
            group.members.swap_remove(at);
        }
        if group.members.is_empty() {
            self.remove_group(place.group);
        }
        moved
    }

    /// Tells `found` every group whose range holds `key`.
    pub(super) fn matches(&self, key: &[u8], found: &mut impl FnMut(usize)) {
        if let Some(group) = self.singles.get(key) {
            found(*group);
        }
        self.ranges.stab(key, found);
    }

    /// The watchers of a group, by what they want.
    pub(super) fn members(&self, group: usize) -> &[Members] {
        &self.groups[group].members
    }

    fn find(&self, range: &KeyRange) -> Option<usize> {
        match range {
            KeyRange::Single(key) => self.singles.get(key).copied(),
            _ => self.ranges.get(range),
        }
    }

    fn add_group(&mut self, range: &KeyRange) -> usize {
        let group = self.groups.insert(Group {
            range: range.clone(),
            members: Vec::with_capacity(1),
        });
        match range {
            KeyRange::Single(key) => drop(self.singles.insert(key.clone(), group)),
            _ => self.ranges.insert(range.clone(), group),
        }
        group
    }

    fn remove_group(&mut self, group: usize) {
        let Some(Group { range, .. }) = self.groups.remove(group) else {
            return;
        };
        match &range {
            KeyRange::Single(key) => drop(self.singles.remove(key)),
            _ => self.ranges.remove(&range),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Variant = Variant {
        prev_kv: false,
        no_put: false,
        no_delete: false,
    };

    fn range(key: &'static str, end: &'static str) -> KeyRange {
        KeyRange::new(
            Bytes::from_static(key.as_bytes()),
            Bytes::from_static(end.as_bytes()),
        )
    }

    fn watchers_of(registry: &Registry, key: &str) -> Vec<usize> {
        let mut found = Vec::new();
        registry.matches(key.as_bytes(), &mut |group| {
            found.extend(
                registry
                    .members(group)
                    .iter()
                    .flat_map(|members| members.watchers.clone()),
            );
        });
        found.sort_unstable();
        found
    }

    #[test]
    fn a_key_finds_single_prefix_and_open_watchers() {
        let mut registry = Registry::default();
        registry.insert(&range("a", ""), PLAIN, 1);
        registry.insert(&range("a", "b"), PLAIN, 2);
        registry.insert(
            &range("a", "b"),
            Variant {
                prev_kv: true,
                ..PLAIN
            },
            3,
        );
        registry.insert(&range("a", "\0"), PLAIN, 4);
        assert_eq!(watchers_of(&registry, "a"), [1, 2, 3, 4]);
        assert_eq!(watchers_of(&registry, "aa"), [2, 3, 4]);
        assert_eq!(watchers_of(&registry, "b"), [4]);
        assert_eq!(watchers_of(&registry, "A"), Vec::<usize>::new());
    }

    #[test]
    fn removing_names_the_watcher_that_moved_and_drops_empty_groups() {
        let mut registry = Registry::default();
        let first = registry.insert(&range("a", "b"), PLAIN, 1);
        let second = registry.insert(&range("a", "b"), PLAIN, 2);
        assert_eq!(registry.remove(first), Some(2));
        assert_eq!(
            registry.remove(Place {
                index: first.index,
                ..second
            }),
            None
        );
        assert_eq!(
            (registry.groups.len(), registry.ranges.get(&range("a", "b"))),
            (0, None)
        );
    }
}
