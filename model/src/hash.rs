//! etcd's hash of the key space, so that members, and an etcd beside us, can be compared.

use crate::{Event, Revision};

/// The hash of the key space at a revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashKv {
    /// CRC-32C over the retained versions up to `hash_revision`, in order.
    pub hash: u32,
    /// The compact revision when the hash was taken.
    pub compact_revision: Revision,
    /// The revision that was hashed.
    pub hash_revision: Revision,
    /// The newest revision when the hash was taken.
    pub revision: Revision,
}

/// Computes [`HashKv::hash`] as etcd does: over its own record form, revision key and encoded pair.
#[derive(Clone, Copy, Debug)]
pub struct KvHasher {
    crc: u32,
    compact_revision: Revision,
    at: (Revision, i64),
}

impl KvHasher {
    /// A hasher for a store with this compact revision.
    #[must_use]
    pub fn new(compact_revision: Revision) -> Self {
        Self {
            crc: crc32c::crc32c(b"key"),
            compact_revision,
            at: (Revision(0), -1),
        }
    }

    /// Takes in the next event, in log order. Events that compaction does not retain must be left out.
    pub fn add(&mut self, event: &Event) {
        let revision = event.version.mod_revision;
        let sub = if self.at.0 == revision { self.at.1 + 1 } else { 0 };
        self.at = (revision, sub);
        // etcd leaves a tombstone at the compact revision out, so that versions which drop it agree.
        if revision == self.compact_revision && event.is_delete() {
            return;
        }
        self.crc = crc32c::crc32c_append(self.crc, &record_key(revision, sub, event.is_delete()));
        self.crc = crc32c::crc32c_append(self.crc, &encoded(event));
    }

    /// The hash of everything taken in.
    #[must_use]
    pub fn finish(self) -> u32 {
        self.crc
    }
}

/// etcd's key of a record: main revision, underscore, sub revision, and a mark on tombstones.
fn record_key(revision: Revision, sub: i64, tombstone: bool) -> Vec<u8> {
    let mut key = Vec::with_capacity(18);
    key.extend_from_slice(&revision.0.to_be_bytes());
    key.push(b'_');
    key.extend_from_slice(&sub.to_be_bytes());
    if tombstone {
        key.push(b't');
    }
    key
}

/// The pair in protobuf, `mvccpb.KeyValue`: zero fields are left out.
fn encoded(event: &Event) -> Vec<u8> {
    let mut out = Vec::with_capacity(event.key.len() + event.value.len() + 48);
    put_bytes(&mut out, 1, &event.key);
    put_number(&mut out, 2, event.version.create_revision.0);
    if !event.is_delete() {
        put_number(&mut out, 3, event.version.mod_revision.0);
    }
    put_number(&mut out, 4, event.version.version);
    put_bytes(&mut out, 5, &event.value);
    put_number(&mut out, 6, event.version.lease.0);
    out
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        out.push(field << 3 | 2);
        put_varint(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
}

fn put_number(out: &mut Vec<u8>, field: u8, number: i64) {
    if number != 0 {
        out.push(field << 3);
        put_varint(out, number.cast_unsigned());
    }
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low & 0x7f);
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Position, Version};

    #[test]
    fn varints_end_where_the_number_does() {
        let encoded = |number| {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            out
        };
        assert_eq!(encoded(0), [0]);
        assert_eq!(encoded(127), [127]);
        assert_eq!(encoded(128), [0x80, 1]);
        assert_eq!(encoded(300), [0xac, 2]);
        assert_eq!(encoded(u64::MAX).len(), 10);
    }

    /// `etcdctl endpoint hashkv` of etcd 3.7 with nothing but this pair in it is compared in `tests/parity`;
    /// here the record form is pinned, so that a change of it is noticed without an etcd.
    #[test]
    fn the_record_form_is_etcds() {
        let version = Version {
            position: Position(1),
            mod_revision: Revision(2),
            create_revision: Revision(2),
            version: 1,
            ..Version::default()
        };
        let event = Event {
            key: Bytes::from_static(b"k"),
            value: Bytes::from_static(b"v"),
            version,
        };
        assert_eq!(
            record_key(Revision(2), 0, false),
            b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0"
        );
        assert_eq!(record_key(Revision(2), 1, true).len(), 18);
        assert_eq!(encoded(&event), b"\x0a\x01k\x10\x02\x18\x02\x20\x01\x2a\x01v");
    }
}
