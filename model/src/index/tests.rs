//! The index with more keys than fit into a chunk, against a map.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::Index;
use crate::{Event, KeyRange, Position, Revision, Version};

/// What is done to a key.
#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>),
    Delete(Vec<u8>),
    Compact,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let kinds = [
        "",
        "/registry/pods/",
        "/registry/pods/a/",
        "/registry/leases/kube-node-lease/",
        "z",
    ];
    (0..kinds.len(), 0_u16..700)
        .prop_map(move |(kind, number)| format!("{}{number:o}", kinds[kind]).into_bytes())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        300 => key().prop_map(Step::Put),
        200 => key().prop_map(Step::Delete),
        1 => Just(Step::Compact),
    ]
}

/// The versions of each key that lives, or that is still remembered.
#[derive(Default)]
struct Reference {
    newest: BTreeMap<Vec<u8>, Version>,
}

impl Reference {
    fn change(&mut self, key: &[u8], at: i64, delete: bool) -> Option<Event> {
        let before = self.newest.get(key).copied().unwrap_or_default();
        if delete && before.is_tombstone() {
            return None;
        }
        let version = Version {
            position: Position(at),
            mod_revision: Revision(at),
            create_revision: match (delete, before.is_tombstone()) {
                (true, _) => Revision::default(),
                (false, true) => Revision(at),
                (false, false) => before.create_revision,
            },
            version: if delete { 0 } else { before.version + 1 },
            ..Version::default()
        };
        self.newest.insert(key.to_vec(), version);
        Some(Event {
            key: Bytes::copy_from_slice(key),
            value: Bytes::new(),
            version,
        })
    }

    fn compact(&mut self, at: i64) {
        self.newest
            .retain(|_, version| !version.is_tombstone() || version.mod_revision >= Revision(at));
    }
}

fn compact(index: &mut Index, at: i64) {
    let mut from = Bytes::new();
    while let Some(next) = index.compact(&from, Revision(at), 50).next {
        from = next;
    }
}

/// How many keys of a range live, whole chunks at once where that is possible.
fn count(index: &Index, range: &KeyRange, newest: Revision) -> usize {
    let (mut cursor, mut live) = (index.seek(range.start()), 0);
    loop {
        if let Some((found, after)) = index.whole_chunks(cursor, range, newest) {
            (live, cursor) = (live + found, after);
        } else if let Some((entry, after)) = index
            .entry(cursor)
            .filter(|(entry, _)| !range.is_past(&entry.key))
        {
            (live, cursor) = (live + usize::from(!entry.latest.is_tombstone()), after);
        } else {
            return live;
        }
    }
}

fn counts_agree(index: &Index, reference: &Reference, newest: i64) {
    let keys: Vec<&Vec<u8>> = reference.newest.keys().collect();
    let ends = (0..keys.len()).step_by(97);
    for (from, to) in ends
        .clone()
        .flat_map(|from| ends.clone().map(move |to| (from, to)))
    {
        let range = KeyRange::Between(
            Bytes::copy_from_slice(keys[from]),
            Bytes::copy_from_slice(keys[to]),
        );
        let living = |key: &&&Vec<u8>| !reference.newest[**key].is_tombstone();
        let expected = keys
            .get(from..to)
            .map_or(0, |within| within.iter().filter(living).count());
        assert_eq!(count(index, &range, Revision(newest)), expected, "{from}..{to}");
    }
}

fn agree(index: &Index, reference: &Reference) {
    let mut cursor = index.seek(b"");
    for (key, version) in &reference.newest {
        let found = index.get(key).expect("a key of the reference");
        assert_eq!((&found.key[..], found.latest), (&key[..], *version));
        let (entry, next) = index.entry(cursor).expect("as many keys as the reference has");
        assert_eq!(entry.key, found.key);
        assert_eq!(
            index.entry(index.seek(key)).map(|(entry, _)| &entry.key),
            Some(&found.key)
        );
        cursor = next;
    }
    assert!(index.entry(cursor).is_none());
    assert_eq!(index.keys(), reference.newest.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn finds_what_a_map_finds(steps in prop::collection::vec(step(), 1..3000)) {
        let (mut index, mut reference) = (Index::default(), Reference::default());
        for (step, at) in steps.iter().zip(2..) {
            let event = match step {
                Step::Put(key) => reference.change(key, at, false),
                Step::Delete(key) => reference.change(key, at, true),
                Step::Compact => {
                    compact(&mut index, at - 1);
                    reference.compact(at - 1);
                    agree(&index, &reference);
                    None
                }
            };
            if let Some(event) = event {
                index.apply(&event);
            }
        }
        agree(&index, &reference);
        counts_agree(&index, &reference, i64::MAX);
    }
}
