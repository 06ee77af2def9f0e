//! etcd's way of naming a set of keys by `key` and `range_end`.

use bytes::Bytes;

/// A contiguous set of keys in byte order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyRange {
    /// `range_end` empty: exactly this key.
    Single(Bytes),
    /// From the first key on, up to but without the second; empty if the second is not greater.
    Between(Bytes, Bytes),
    /// `range_end` is a zero byte: every key from this one on.
    From(Bytes),
}

impl KeyRange {
    /// The range that `key` and `range_end` name on the wire.
    #[must_use]
    pub fn new(key: Bytes, range_end: Bytes) -> Self {
        match range_end.as_ref() {
            [] => Self::Single(key),
            [0] => Self::From(key),
            _ => Self::Between(key, range_end),
        }
    }

    /// The smallest key that may be in the range.
    #[must_use]
    pub fn start(&self) -> &Bytes {
        match self {
            Self::Single(key) | Self::Between(key, _) | Self::From(key) => key,
        }
    }

    /// The first key behind the range; none if it has no end, or is one key.
    #[must_use]
    pub fn end(&self) -> Option<&Bytes> {
        match self {
            Self::Between(_, end) => Some(end),
            Self::Single(_) | Self::From(_) => None,
        }
    }

    /// Whether `key` is in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start().as_ref() && !self.is_past(key)
    }

    /// Whether `key` lies behind the end of the range.
    #[must_use]
    pub fn is_past(&self, key: &[u8]) -> bool {
        match self {
            Self::Single(only) => key > only.as_ref(),
            Self::Between(_, end) => key >= end.as_ref(),
            Self::From(_) => false,
        }
    }

    /// Whether the range cannot hold any key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Between(start, end) if end <= start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &'static str, end: &'static str) -> KeyRange {
        KeyRange::new(
            Bytes::from_static(key.as_bytes()),
            Bytes::from_static(end.as_bytes()),
        )
    }

    #[test]
    fn range_end_decides_the_kind() {
        assert!(range("a", "").contains(b"a") && !range("a", "").contains(b"aa"));
        assert!(range("a", "c").contains(b"bz") && !range("a", "c").contains(b"c"));
        assert!(range("b", "\0").contains(b"zzz") && !range("b", "\0").contains(b"a"));
        assert!(range("b", "a").is_empty() && range("b", "b").is_empty() && !range("b", "").is_empty());
    }
}
