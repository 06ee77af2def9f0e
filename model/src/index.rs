//! The ordered index: every key, its newest value and its versions since compaction.
//!
//! Keys lie in chunks of a sorted array. A chunk knows how many of its keys live and the newest
//! revision in it, so counting a range skips whole chunks: exactly at the newest revision, and at an
//! older one wherever nothing changed since. That makes a count, and the rest of a page, cost what
//! changed and not what the range holds.

mod guide;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;

use self::guide::Guide;
use crate::{Event, KeyRange, KeyValue, PairRef, Position, Revision, Version};

/// Keys per chunk before it is split. A larger chunk makes inserts move more memory, a smaller one
/// makes counts visit more chunks.
const CHUNK_MAX: usize = 128;
/// Below this a chunk is merged into its neighbour when both fit comfortably.
const CHUNK_MIN: usize = 32;
/// Chunks counted in one go: about ten microseconds.
const CHUNKS_AT_ONCE: usize = 4096;

/// One key: its newest version and value, and what came before.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Bytes,
    pub(crate) latest: Version,
    /// The newest value; none for a tombstone, or when the memory budget pushed it out.
    value: Option<Bytes>,
    /// Earlier versions that may still be read, oldest first.
    older: Vec<Version>,
    /// Whether the value was read since the eviction hand last passed.
    touched: AtomicBool,
}

impl Entry {
    /// The version readable at `at`; none if the key did not exist then.
    pub(crate) fn version_at(&self, at: Revision) -> Option<&Version> {
        let version = if self.latest.mod_revision <= at {
            &self.latest
        } else {
            let newer = self.older.partition_point(|version| version.mod_revision <= at);
            self.older.get(newer.checked_sub(1)?)?
        };
        (!version.is_tombstone()).then_some(version)
    }

    /// The pair readable at `at`, where it lies.
    pub(crate) fn pair_at(&self, at: Revision) -> Option<PairRef<'_>> {
        let version = *self.version_at(at)?;
        Some(PairRef {
            key: &self.key,
            value: self.value_of(&version),
            version,
        })
    }

    fn value_of(&self, version: &Version) -> Option<&Bytes> {
        let value = self.value.as_ref()?;
        if version.position != self.latest.position {
            return None;
        }
        if !self.touched.load(Relaxed) {
            self.touched.store(true, Relaxed);
        }
        Some(value)
    }

    /// Makes `event` the newest version and returns the pair before it.
    fn supersede(&mut self, event: &Event) -> Option<KeyValue> {
        let previous = self.pair_at(self.latest.mod_revision).map(KeyValue::from);
        self.older.push(self.latest);
        self.latest = event.version;
        self.value = resident(event);
        previous
    }

    /// Forgets the versions that no revision from `compacted` on can read.
    ///
    /// The newest version at or below `compacted` stays unless it is a tombstone of an older revision:
    /// a watch from exactly `compacted` must still see the events of that revision.
    fn compact(&mut self, compacted: Revision, dropped: &mut Vec<Position>) {
        let reachable = self
            .older
            .partition_point(|version| version.mod_revision <= compacted);
        let newest_is_older = self.latest.mod_revision > compacted;
        let mut keep_from = if newest_is_older {
            reachable.saturating_sub(1)
        } else {
            reachable
        };
        if let Some(newest) = self.older.get(keep_from)
            && newest.is_tombstone()
            && newest.mod_revision < compacted
        {
            keep_from += 1;
        }
        dropped.extend(self.older.drain(..keep_from).map(|version| version.position));
        if self.older.is_empty() {
            self.older = Vec::new();
        }
    }

    /// Whether nothing is left to read of this key.
    fn is_gone(&self, compacted: Revision) -> bool {
        self.older.is_empty() && self.latest.is_tombstone() && self.latest.mod_revision < compacted
    }

    fn resident_bytes(&self) -> usize {
        self.value.as_ref().map_or(0, Bytes::len)
    }
}

fn resident(event: &Event) -> Option<Bytes> {
    (!event.is_delete()).then(|| event.value.clone())
}

#[derive(Debug, Default)]
struct Chunk {
    entries: Vec<Entry>,
    /// The way to an entry.
    guide: Guide,
    /// How many keys exist at the newest revision.
    live: usize,
    /// The newest revision of any key in the chunk.
    newest: Revision,
}

impl Chunk {
    fn first_key(&self) -> &[u8] {
        self.entries.first().map_or(&[], |entry| entry.key.as_ref())
    }

    fn search(&self, key: &[u8]) -> Result<usize, usize> {
        self.guide.search(key, |slot| self.entries[slot].key.as_ref())
    }

    fn insert(&mut self, slot: usize, event: &Event) {
        self.live += usize::from(!event.is_delete());
        self.entries.insert(slot, new_entry(event));
        if !self.guide.insert(slot, &event.key) {
            self.survey();
        }
    }

    /// Other keys lie here than did before.
    fn survey(&mut self) {
        self.guide = Guide::to(self.entries.iter().map(|entry| entry.key.as_ref()));
    }

    fn recount(&mut self) {
        self.survey();
        self.live = self
            .entries
            .iter()
            .filter(|entry| !entry.latest.is_tombstone())
            .count();
        self.newest = self
            .entries
            .iter()
            .map(|entry| entry.latest.mod_revision)
            .max()
            .unwrap_or_default();
    }

    fn split_off(&mut self, at: usize) -> Self {
        let mut right = Self {
            entries: self.entries.split_off(at),
            ..Self::default()
        };
        right.recount();
        self.recount();
        right
    }
}

/// What one step of compaction took out of the index.
#[derive(Debug, Default)]
pub struct CompactedVersions {
    /// The log rows nobody can reach any more.
    pub positions: Vec<Position>,
    /// Where the next step goes on; none when the index has been walked through.
    pub next: Option<Bytes>,
}

/// A place in the index: a chunk and a slot in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    chunk: usize,
    slot: usize,
}

/// All keys in byte order with their versions since compaction.
#[derive(Debug, Default)]
pub struct Index {
    chunks: Vec<Chunk>,
    /// The way to the chunk with a key: by their first keys.
    guide: Guide,
    versions: usize,
    resident_bytes: usize,
    /// Where the eviction hand stands.
    hand: Bytes,
}

impl Index {
    /// Makes `event` the newest version of its key and returns the pair before it.
    pub fn apply(&mut self, event: &Event) -> Option<KeyValue> {
        self.versions += 1;
        self.resident_bytes += resident(event).map_or(0, |value| value.len());
        let at = self.chunk_of(&event.key);
        if self.chunks.is_empty() {
            self.chunks.push(Chunk::default());
        }
        let chunk = &mut self.chunks[at];
        chunk.newest = chunk.newest.max(event.version.mod_revision);
        match chunk.search(&event.key) {
            Ok(slot) => {
                let entry = &mut chunk.entries[slot];
                chunk.live -= usize::from(!entry.latest.is_tombstone());
                chunk.live += usize::from(!event.is_delete());
                self.resident_bytes -= entry.resident_bytes();
                entry.supersede(event)
            }
            Err(slot) => {
                chunk.insert(slot, event);
                if slot == 0 {
                    self.begins_anew(at);
                }
                self.split_if_full(at, slot);
                None
            }
        }
    }

    /// A chunk that grew at its end is left full and a new one begun: keys often arrive in order.
    fn split_if_full(&mut self, at: usize, inserted: usize) {
        let chunk = &mut self.chunks[at];
        let length = chunk.entries.len();
        if length <= CHUNK_MAX {
            return;
        }
        let right = chunk.split_off(if inserted + 1 == length {
            length - 1
        } else {
            length / 2
        });
        let fits = self.guide.insert(at + 1, right.first_key());
        self.chunks.insert(at + 1, right);
        if !fits {
            self.survey();
        }
    }

    /// The chunk at this place begins with another key than before.
    fn begins_anew(&mut self, at: usize) {
        if !self.guide.replace(at, self.chunks[at].first_key()) {
            self.survey();
        }
    }

    /// Chunks begin with other keys than they did before.
    fn survey(&mut self) {
        self.guide = Guide::to(self.chunks.iter().map(Chunk::first_key));
    }

    fn chunk_of(&self, key: &[u8]) -> usize {
        match self.guide.search(key, |at| self.chunks[at].first_key()) {
            Ok(at) => at,
            Err(after) => after.saturating_sub(1),
        }
    }

    /// The entry of a key, whether it lives or not.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Entry> {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        chunk.search(key).ok().map(|slot| &chunk.entries[slot])
    }

    /// The place of the first key not less than `key`.
    pub(crate) fn seek(&self, key: &[u8]) -> Cursor {
        let chunk = self.chunk_of(key);
        let slot = self
            .chunks
            .get(chunk)
            .map_or(0, |found| found.search(key).unwrap_or_else(|slot| slot));
        self.normalized(Cursor { chunk, slot })
    }

    fn normalized(&self, cursor: Cursor) -> Cursor {
        match self.chunks.get(cursor.chunk) {
            Some(chunk) if cursor.slot >= chunk.entries.len() => Cursor {
                chunk: cursor.chunk + 1,
                slot: 0,
            },
            _ => cursor,
        }
    }

    /// The entry at a place, and the place after it.
    pub(crate) fn entry(&self, cursor: Cursor) -> Option<(&Entry, Cursor)> {
        let entry = self.chunks.get(cursor.chunk)?.entries.get(cursor.slot)?;
        Some((
            entry,
            self.normalized(Cursor {
                slot: cursor.slot + 1,
                ..cursor
            }),
        ))
    }

    /// Counts whole chunks at once, up to the one in which the range ends: possible from the beginning of a chunk on,
    /// as long as nothing in it changed after `at`.
    pub(crate) fn whole_chunks(
        &self,
        cursor: Cursor,
        range: &KeyRange,
        at: Revision,
    ) -> Option<(usize, Cursor)> {
        if cursor.slot > 0 {
            return None;
        }
        // No chunk before this one has a key behind the range, and none behind it one within.
        let last = range.end().map_or(self.chunks.len(), |end| self.chunk_of(end));
        let whole = |(place, chunk): &(usize, &Chunk)| {
            let within = |entry: &Entry| !range.is_past(&entry.key);
            chunk.newest <= at && (*place < last || chunk.entries.last().is_some_and(within))
        };
        let chunks = self.chunks.iter().enumerate().skip(cursor.chunk);
        let (mut live, mut after) = (0, cursor.chunk);
        for (place, chunk) in chunks.take(CHUNKS_AT_ONCE).take_while(whole) {
            live += chunk.live;
            after = place + 1;
        }
        (after > cursor.chunk).then_some((
            live,
            Cursor {
                chunk: after,
                slot: 0,
            },
        ))
    }

    /// Forgets versions that no revision from `compacted` on can read, in about `budget` keys from `from` on.
    pub fn compact(&mut self, from: &[u8], compacted: Revision, budget: usize) -> CompactedVersions {
        let mut out = CompactedVersions::default();
        let mut at = self.chunk_of(from);
        let mut walked = 0;
        while at < self.chunks.len() && walked < budget {
            walked += self.chunks[at].entries.len();
            self.compact_chunk(at, compacted, &mut out.positions);
            at = self.tidy_chunk(at);
        }
        self.versions -= out.positions.len();
        out.next = self
            .chunks
            .get(at)
            .map(|chunk| Bytes::copy_from_slice(chunk.first_key()));
        out
    }

    fn compact_chunk(&mut self, at: usize, compacted: Revision, dropped: &mut Vec<Position>) {
        let chunk = &mut self.chunks[at];
        let before = chunk.entries.len();
        chunk.entries.retain_mut(|entry| {
            entry.compact(compacted, dropped);
            let gone = entry.is_gone(compacted);
            if gone {
                dropped.push(entry.latest.position);
            }
            !gone
        });
        if chunk.entries.len() < before && !chunk.entries.is_empty() {
            chunk.survey();
            self.begins_anew(at);
        }
    }

    /// Removes an empty chunk, merges a small one into its left neighbour; returns the chunk to go on with.
    fn tidy_chunk(&mut self, at: usize) -> usize {
        let length = self.chunks[at].entries.len();
        if length == 0 {
            self.remove_chunk(at);
            return at;
        }
        let fits = at > 0 && self.chunks[at - 1].entries.len() + length <= CHUNK_MAX - CHUNK_MIN;
        if length < CHUNK_MIN && fits {
            let small = self.remove_chunk(at);
            let left = &mut self.chunks[at - 1];
            left.entries.extend(small.entries);
            left.recount();
            return at;
        }
        at + 1
    }

    fn remove_chunk(&mut self, at: usize) -> Chunk {
        self.guide.remove(at);
        self.chunks.remove(at)
    }

    /// Pushes values out of memory until they take at most `budget` bytes, second-chance order,
    /// visiting at most about `visits` keys.
    pub fn evict(&mut self, budget: usize, visits: usize) {
        let mut visited = 0;
        while self.resident_bytes > budget && visited < visits && !self.chunks.is_empty() {
            let at = self.chunk_of(&self.hand);
            visited += self.chunks[at].entries.len();
            self.resident_bytes -= evict_chunk(&mut self.chunks[at]);
            self.hand = self
                .chunks
                .get(at + 1)
                .map_or_else(Bytes::new, |next| next.entries[0].key.clone());
        }
    }

    /// How many keys there are, deleted ones that still have readable versions included.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.entries.len()).sum()
    }

    /// How many keys exist at the newest revision.
    #[must_use]
    pub fn live_keys(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.live).sum()
    }

    /// How many versions the index holds.
    #[must_use]
    pub fn versions(&self) -> usize {
        self.versions
    }

    /// Bytes of values held in memory.
    #[must_use]
    pub fn resident_bytes(&self) -> usize {
        self.resident_bytes
    }
}

fn new_entry(event: &Event) -> Entry {
    Entry {
        key: event.key.clone(),
        latest: event.version,
        value: resident(event),
        older: Vec::new(),
        touched: AtomicBool::new(true),
    }
}

fn evict_chunk(chunk: &mut Chunk) -> usize {
    let cold = |entry: &&mut Entry| !entry.touched.swap(false, Relaxed);
    chunk
        .entries
        .iter_mut()
        .filter(cold)
        .map(|entry| entry.value.take().map_or(0, |value| value.len()))
        .sum()
}
