//! Keys and values as the load writes them, and random choices that can be repeated.

use bytes::Bytes;

/// Names keys below one prefix. Names of one kind are in the order of their numbers.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
    size: usize,
}

impl Keys {
    /// Names of `size` bytes below `prefix`, or longer where the prefix leaves no room.
    pub(crate) fn new(prefix: &str, size: usize) -> Self {
        Self {
            prefix: prefix.trim_end_matches('/').to_owned(),
            size,
        }
    }

    /// The name of object `number` of a kind, such as `/registry/loadtest/pods/object-00000007-xxxx`.
    pub(crate) fn name(&self, kind: &str, number: usize) -> Bytes {
        let mut name = format!("{}/{kind}/object-{number:08}-", self.prefix).into_bytes();
        if name.len() < self.size {
            name.resize(self.size, b'x');
        }
        name.into()
    }

    /// The range of all objects of a kind.
    pub(crate) fn kind(&self, kind: &str) -> KeyRange {
        KeyRange::of_prefix(format!("{}/{kind}/", self.prefix).into_bytes())
    }

    /// The range of all that the load writes.
    pub(crate) fn all(&self) -> KeyRange {
        KeyRange::of_prefix(format!("{}/", self.prefix).into_bytes())
    }
}

/// A range as requests carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRange {
    /// First key.
    pub(crate) start: Bytes,
    /// First key behind the range.
    pub(crate) end: Bytes,
}

impl KeyRange {
    /// All keys that start with `prefix`, which ends with a slash.
    fn of_prefix(prefix: Vec<u8>) -> Self {
        let mut end = prefix.clone();
        *end.last_mut().expect("a prefix ends with a slash") += 1;
        Self {
            start: prefix.into(),
            end: end.into(),
        }
    }
}

/// The xorshift generator: fast, repeatable, good enough to pick keys.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A sequence of its own for each pair of seed and stream.
    pub(crate) fn new(seed: u64, stream: usize) -> Self {
        let mixed =
            (seed ^ (stream as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self(mixed | 1)
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// A value of `size` bytes that does not compress.
    pub(crate) fn value(&mut self, size: usize) -> Bytes {
        let words = std::iter::repeat_with(|| self.bits().to_le_bytes());
        words
            .take(size.div_ceil(8))
            .flatten()
            .take(size)
            .collect::<Vec<u8>>()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_size_and_order_and_lie_in_their_range() {
        let keys = Keys::new("/registry/loadtest/", 80);
        let (one, two, range) = (keys.name("pods", 9), keys.name("pods", 10), keys.kind("pods"));
        assert_eq!((one.len(), two.len()), (80, 80));
        assert!(range.start < one && one < two && two < range.end);
        assert!(keys.kind("podsets").start >= range.end || keys.kind("podsets").end <= range.start);
    }

    #[test]
    fn random_choices_repeat_and_cover_their_range() {
        let draw = || {
            let mut random = Random::new(7, 3);
            (0..1000).map(|_| random.below(10)).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
        assert!((0..10).all(|wanted| draw().contains(&wanted)));
        assert_eq!(Random::new(1, 1).value(1021).len(), 1021);
    }
}
