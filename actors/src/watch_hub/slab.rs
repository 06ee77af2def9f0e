//! Numbered places that are used again.

use std::ops::{Index, IndexMut};

/// A vector whose places are given out, handed back and given out again. A place means nothing once
/// it was handed back: nobody outside the hub may keep one.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    /// Puts an item in a free place.
    pub(super) fn insert(&mut self, item: T) -> usize {
        if let Some(place) = self.free.pop() {
            self.places[place] = Some(item);
            return place;
        }
        self.places.push(Some(item));
        self.places.len() - 1
    }

    /// Takes the item out of a place.
    pub(super) fn remove(&mut self, place: usize) -> Option<T> {
        let item = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(item)
    }

    /// How many places are taken.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The taken places and their items.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.places
            .iter()
            .enumerate()
            .filter_map(|(place, item)| Some((place, item.as_ref()?)))
    }
}

impl<T> Index<usize> for Slab<T> {
    type Output = T;

    fn index(&self, place: usize) -> &T {
        self.places[place]
            .as_ref()
            .expect("a place is used between insert and remove")
    }
}

impl<T> IndexMut<usize> for Slab<T> {
    fn index_mut(&mut self, place: usize) -> &mut T {
        self.places[place]
            .as_mut()
            .expect("a place is used between insert and remove")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again() {
        let mut slab = Slab::default();
        let (first, second) = (slab.insert('a'), slab.insert('b'));
        assert_eq!((slab.remove(first), slab.remove(first)), (Some('a'), None));
        assert_eq!((slab.insert('c'), slab[second], slab.len()), (first, 'b', 2));
        assert_eq!(slab.iter().map(|(_, item)| *item).collect::<String>(), "cb");
    }
}
