//! Which of many key ranges hold a given key.

use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use model::KeyRange;

/// The link to nowhere.
const NIL: usize = usize::MAX;

#[derive(Debug)]
struct Node {
    range: KeyRange,
    value: usize,
    priority: u64,
    left: usize,
    right: usize,
    /// The greatest end of any range in this subtree; none if one of them has no end.
    reach: Option<Bytes>,
}

/// Distinct ranges ordered by start and end, each with a number: a treap in which every node knows
/// how far its subtree reaches, so a lookup leaves out all subtrees that end before the key.
///
/// Insert and remove cost `O(log n)`, a lookup `O(log n)` for each range it finds. Priorities are
/// drawn with a random seed, so no client can choose ranges that unbalance the tree.
#[derive(Debug)]
pub(super) struct IntervalTree {
    nodes: Vec<Node>,
    free: Vec<usize>,
    root: usize,
    drawn: u64,
    seed: RandomState,
}

impl Default for IntervalTree {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            root: NIL,
            drawn: 0,
            seed: RandomState::new(),
        }
    }
}

/// Where a range ends; none if it does not.
fn end_of(range: &KeyRange) -> Option<&Bytes> {
    match range {
        KeyRange::Single(key) => Some(key),
        KeyRange::Between(_, end) => Some(end),
        KeyRange::From(_) => None,
    }
}

fn order(left: &KeyRange, right: &KeyRange) -> Ordering {
    let by_end = || match (end_of(left), end_of(right)) {
        (Some(left), Some(right)) => left.cmp(right),
        (left, right) => right.is_some().cmp(&left.is_some()),
    };
    left.start().cmp(right.start()).then_with(by_end)
}

impl IntervalTree {
    /// Adds a range that is not in the tree.
    pub(super) fn insert(&mut self, range: KeyRange, value: usize) {
        let (before, after) = self.split(self.root, &range);
        let node = self.allocate(range, value);
        let joined = self.merge(before, node);
        self.root = self.merge(joined, after);
    }

    /// Takes a range out, if it is there.
    pub(super) fn remove(&mut self, range: &KeyRange) {
        let (before, rest) = self.split(self.root, range);
        let rest = self.remove_first(rest, range);
        self.root = self.merge(before, rest);
    }

    /// The number of exactly this range.
    pub(super) fn get(&self, range: &KeyRange) -> Option<usize> {
        let mut at = self.root;
        while let Some(node) = self.nodes.get(at) {
            at = match order(range, &node.range) {
                Ordering::Less => node.left,
                Ordering::Greater => node.right,
                Ordering::Equal => return Some(node.value),
            };
        }
        None
    }

    /// Tells `found` the number of every range that holds `key`.
    pub(super) fn stab(&self, key: &[u8], found: &mut impl FnMut(usize)) {
        self.stab_below(self.root, key, found);
    }

    fn stab_below(&self, at: usize, key: &[u8], found: &mut impl FnMut(usize)) {
        let Some(node) = self.nodes.get(at) else { return };
        if node.reach.as_ref().is_some_and(|reach| reach.as_ref() <= key) {
            return;
        }
        self.stab_below(node.left, key, found);
        if node.range.start().as_ref() > key {
            return;
        }
        if !node.range.is_past(key) {
            found(node.value);
        }
        self.stab_below(node.right, key, found);
    }

    fn allocate(&mut self, range: KeyRange, value: usize) -> usize {
        self.drawn += 1;
        let priority = self.seed.hash_one(self.drawn);
        let reach = end_of(&range).cloned();
        let node = Node {
            range,
            value,
            priority,
            left: NIL,
            right: NIL,
            reach,
        };
        if let Some(at) = self.free.pop() {
            self.nodes[at] = node;
            return at;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Parts a subtree into the ranges before `range` and the rest.
    fn split(&mut self, at: usize, range: &KeyRange) -> (usize, usize) {
        let Some(node) = self.nodes.get(at) else {
            return (NIL, NIL);
        };
        if order(&node.range, range) == Ordering::Less {
            let (before, after) = self.split(node.right, range);
            self.nodes[at].right = before;
            self.measure(at);
            (at, after)
        } else {
            let (before, after) = self.split(node.left, range);
            self.nodes[at].left = after;
            self.measure(at);
            (before, at)
        }
    }

    /// Joins two subtrees, everything in `before` being before everything in `after`.
    fn merge(&mut self, before: usize, after: usize) -> usize {
        let (Some(left), Some(right)) = (self.nodes.get(before), self.nodes.get(after)) else {
            return if before == NIL { after } else { before };
        };
        if left.priority > right.priority {
            let joined = self.merge(left.right, after);
            self.nodes[before].right = joined;
            self.measure(before);
            before
        } else {
            let joined = self.merge(before, right.left);
            self.nodes[after].left = joined;
            self.measure(after);
            after
        }
    }

    /// Takes the first range of a subtree out if it is `range`; returns the new top.
    fn remove_first(&mut self, at: usize, range: &KeyRange) -> usize {
        let Some(node) = self.nodes.get(at) else {
            return NIL;
        };
        if node.left != NIL {
            let left = self.remove_first(node.left, range);
            self.nodes[at].left = left;
            self.measure(at);
            return at;
        }
        if order(&node.range, range) != Ordering::Equal {
            return at;
        }
        let right = node.right;
        self.nodes[at].range = KeyRange::Single(Bytes::new());
        self.nodes[at].reach = None;
        self.free.push(at);
        right
    }

    /// Works out anew how far a subtree reaches.
    fn measure(&mut self, at: usize) {
        let node = &self.nodes[at];
        let mut reach = end_of(&node.range).cloned();
        for child in [node.left, node.right] {
            if let Some(child) = self.nodes.get(child) {
                reach = reach.zip(child.reach.clone()).map(|(one, other)| one.max(other));
            }
        }
        self.nodes[at].reach = reach;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch_hub::testing::Dice;

    fn draw_range(dice: &mut Dice) -> KeyRange {
        let start = Bytes::from(vec![b'a' + dice.below(8) as u8; 1 + dice.below(3)]);
        match dice.below(4) {
            0 => KeyRange::From(start),
            _ => {
                let mut end = start.to_vec();
                end.push(dice.below(255) as u8);
                KeyRange::Between(start, end.into())
            }
        }
    }

    fn stabbed(tree: &IntervalTree, key: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        tree.stab(key, &mut |value| found.push(value));
        found.sort_unstable();
        found
    }

    #[test]
    fn finds_exactly_the_ranges_that_hold_a_key() {
        for seed in 0..200 {
            let mut dice = Dice::new(seed);
            let mut tree = IntervalTree::default();
            let mut model: Vec<(KeyRange, usize)> = Vec::new();
            for value in 0..120 {
                let range = draw_range(&mut dice);
                let known = model
                    .iter()
                    .find(|(other, _)| *other == range)
                    .map(|(_, value)| *value);
                assert_eq!(tree.get(&range), known, "seed {seed}");
                if known.is_none() {
                    tree.insert(range.clone(), value);
                    model.push((range, value));
                } else if dice.below(2) == 0 {
                    tree.remove(&range);
                    model.retain(|(other, _)| *other != range);
                }
                let key = vec![b'a' + dice.below(9) as u8; 1 + dice.below(4)];
                let mut wanted: Vec<usize> = model
                    .iter()
                    .filter(|(range, _)| range.contains(&key))
                    .map(|(_, value)| *value)
                    .collect();
                wanted.sort_unstable();
                assert_eq!(stabbed(&tree, &key), wanted, "seed {seed}, key {key:?}");
            }
        }
    }

    #[test]
    fn ten_thousand_ranges_come_and_go_without_growing_the_tree() {
        let mut tree = IntervalTree::default();
        let prefix = |number: usize| {
            let start = format!("/registry/kind{number:05}/");
            let end = format!("/registry/kind{number:05}0");
            KeyRange::Between(start.into(), end.into())
        };
        for round in 0..2 {
            (0..10_000).for_each(|number| tree.insert(prefix(number), number));
            assert_eq!(stabbed(&tree, b"/registry/kind00417/a"), [417], "round {round}");
            (0..10_000).for_each(|number| tree.remove(&prefix(number)));
            assert_eq!(stabbed(&tree, b"/registry/kind00417/a"), Vec::<usize>::new());
        }
        assert_eq!(tree.nodes.len(), 10_000);
    }
}
