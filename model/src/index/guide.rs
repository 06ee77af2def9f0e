//! The way to a key in sorted keys that lie all over memory.
//!
//! A binary search that follows a pointer for every comparison waits for memory each time. The eight octets behind
//! what all keys have in common tell almost any two of them apart, and lie side by side here.

/// What is known of some sorted keys without looking at them.
#[derive(Debug, Default)]
pub(super) struct Guide {
    /// What all of them begin with.
    shared: Vec<u8>,
    /// The octets of each key behind that, as a number that is ordered as they are; zeros where there are none.
    heads: Vec<u64>,
}

/// Octets of a key that a head holds.
const HEAD: usize = size_of::<u64>();

impl Guide {
    /// A guide to these keys.
    pub(super) fn to<'a>(keys: impl DoubleEndedIterator<Item = &'a [u8]> + Clone) -> Self {
        let (Some(first), Some(last)) = (keys.clone().next(), keys.clone().next_back()) else {
            return Self::default();
        };
        let shared = &first[..common(first, last)];
        Self {
            heads: keys.map(|key| head(&key[shared.len()..])).collect(),
            shared: shared.to_vec(),
        }
    }

    /// Where `key` is, or where it would belong. `at` gives the key of a place.
    pub(super) fn search<'a>(&self, key: &[u8], at: impl Fn(usize) -> &'a [u8]) -> Result<usize, usize> {
        let begin = &key[..key.len().min(self.shared.len())];
        match begin.cmp(self.shared.as_slice()) {
            std::cmp::Ordering::Less => return Err(0),
            std::cmp::Ordering::Greater => return Err(self.heads.len()),
            std::cmp::Ordering::Equal => {}
        }
        let wanted = head(&key[self.shared.len()..]);
        let mut low = self.heads.partition_point(|head| *head < wanted);
        let mut high = low + self.heads[low..].partition_point(|head| *head == wanted);
        while low < high {
            let middle = low + (high - low) / 2;
            match at(middle).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// Takes in a key that came to this place. False if it does not begin as the others do: then a new guide is
    /// needed.
    #[must_use]
    pub(super) fn insert(&mut self, place: usize, key: &[u8]) -> bool {
        let fits = !self.heads.is_empty() && key.starts_with(&self.shared);
        if fits {
            self.heads.insert(place, head(&key[self.shared.len()..]));
        }
        fits
    }

    /// Another key lies at this place. False as for a new one.
    #[must_use]
    pub(super) fn replace(&mut self, place: usize, key: &[u8]) -> bool {
        let fits = place < self.heads.len() && key.starts_with(&self.shared);
        if fits {
            self.heads[place] = head(&key[self.shared.len()..]);
        }
        fits
    }

    /// The key at this place is gone.
    pub(super) fn remove(&mut self, place: usize) {
        self.heads.remove(place);
    }
}

/// How many octets two keys have in common at their beginning. Of sorted keys all have in common what the first
/// and the last have.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

fn head(rest: &[u8]) -> u64 {
    let mut octets = [0; HEAD];
    let length = rest.len().min(HEAD);
    octets[..length].copy_from_slice(&rest[..length]);
    u64::from_be_bytes(octets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        let tail = prop::collection::vec(0_u8..3, 0..12);
        (0_u8..3, tail).prop_map(|(begin, tail)| {
            let mut key = [&b""[..], b"/registry/", b"/registry/pods/default/"][usize::from(begin)].to_vec();
            key.extend(tail);
            key
        })
    }

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(mut keys in prop::collection::vec(key(), 0..40), wanted in key()) {
            keys.sort();
            keys.dedup();
            let guide = Guide::to(keys.iter().map(Vec::as_slice));
            prop_assert_eq!(guide.search(&wanted, |at| &keys[at]), keys.binary_search(&wanted));
            for key in &keys {
                prop_assert_eq!(guide.search(key, |at| &keys[at]), keys.binary_search(key));
            }
        }

        #[test]
        fn a_guide_that_changes_is_one_made_anew(keys in prop::collection::vec(key(), 1..60), wanted in key()) {
            let mut sorted: Vec<Vec<u8>> = Vec::new();
            let mut guide = Guide::default();
            for key in keys {
                let fits = match sorted.binary_search(&key) {
                    Ok(place) => {
                        sorted.remove(place);
                        guide.remove(place);
                        true
                    }
                    Err(place) if sorted.get(place).is_some_and(|next| next.starts_with(&key)) => {
                        sorted[place] = key.clone();
                        guide.replace(place, &key)
                    }
                    Err(place) => {
                        sorted.insert(place, key.clone());
                        guide.insert(place, &key)
                    }
                };
                if !fits {
                    guide = Guide::to(sorted.iter().map(Vec::as_slice));
                }
                prop_assert_eq!(guide.search(&wanted, |at| &sorted[at]), sorted.binary_search(&wanted));
            }
        }
    }
}
