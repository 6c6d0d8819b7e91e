//! Sums over a tree: tenants below a managing tenant, groups below groups. Each node keeps its own sum and the one over
//! itself and everything below, so that a change costs as many steps as the tree is deep.

use std::collections::BTreeMap;

use crate::sum::Sum;

/// Levels that a tree may have: a bound for input that somebody else wrote, far above what an organisation has.
pub const MAX_DEPTH: usize = 32;

/// Why a tree cannot be that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// There is no such node.
    #[error("there is no such node")]
    Unknown,
    /// The parent that is named does not exist.
    #[error("the parent does not exist")]
    NoParent,
    /// A node of that key exists.
    #[error("it is in the tree already")]
    Twice,
    /// A node would be below itself.
    #[error("it would be below itself")]
    Circle,
    /// More than [`MAX_DEPTH`] levels.
    #[error("the tree has more than {MAX_DEPTH} levels")]
    TooDeep,
    /// The node has nodes below it.
    #[error("others are below it; move or remove them first")]
    HasChildren,
}

#[derive(Debug, Clone, PartialEq)]
struct Node<K, S> {
    parent: Option<K>,
    children: usize,
    own: S,
    total: S,
}

/// Sums over a tree, or over several: a node without a parent is a root.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree<K, S> {
    nodes: BTreeMap<K, Node<K, S>>,
}

impl<K, S> Default for Tree<K, S> {
    fn default() -> Self {
        Self { nodes: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, S: Sum> Tree<K, S> {
    /// The tree of all these nodes, in any order: key, parent, own sum.
    pub fn of(nodes: impl IntoIterator<Item = (K, Option<K>, S)>) -> Result<Self, TreeError> {
        let mut children: BTreeMap<Option<K>, Vec<(K, S)>> = BTreeMap::new();
        let mut count = 0;
        for (key, parent, own) in nodes {
            children.entry(parent).or_default().push((key, own));
            count += 1;
        }
        let mut tree = Self::default();
        let mut todo = vec![None];
        while let Some(parent) = todo.pop() {
            for (key, own) in children.remove(&parent).unwrap_or_default() {
                tree.insert(key.clone(), parent.clone())?;
                tree.change(&key, own)?;
                todo.push(Some(key));
            }
        }
        if tree.nodes.len() == count {
            return Ok(tree);
        }
        // What no root reaches hangs on a parent that is not there, or goes round.
        let keys: Vec<&K> = children.values().flatten().map(|(key, _)| key).collect();
        let is_missing = children.keys().flatten().any(|parent| !keys.contains(&parent));
        Err(if is_missing { TreeError::NoParent } else { TreeError::Circle })
    }

    /// Adds a node with an empty sum.
    pub fn insert(&mut self, key: K, parent: Option<K>) -> Result<(), TreeError> {
        if self.nodes.contains_key(&key) {
            return Err(TreeError::Twice);
        }
        if let Some(parent) = &parent {
            if self.path(parent).map_err(|_| TreeError::NoParent)?.len() >= MAX_DEPTH {
                return Err(TreeError::TooDeep);
            }
            self.count_child(parent, true);
        }
        self.nodes.insert(key, Node { parent, children: 0, own: S::default(), total: S::default() });
        Ok(())
    }

    /// Adds a difference to a node, and to everything above it.
    pub fn change(&mut self, key: &K, by: S) -> Result<(), TreeError> {
        self.nodes.get_mut(key).map(|node| node.own = node.own.plus(by)).ok_or(TreeError::Unknown)?;
        self.add_upwards(Some(key.clone()), by);
        Ok(())
    }

    /// Moves a node, with everything below it, to another parent.
    pub fn move_to(&mut self, key: &K, parent: Option<K>) -> Result<(), TreeError> {
        let (before, total) =
            self.nodes.get(key).map(|node| (node.parent.clone(), node.total)).ok_or(TreeError::Unknown)?;
        if let Some(parent) = &parent {
            let path = self.path(parent).map_err(|_| TreeError::NoParent)?;
            if path.contains(key) {
                return Err(TreeError::Circle);
            }
            if path.len() + self.height(key) > MAX_DEPTH {
                return Err(TreeError::TooDeep);
            }
        }
        self.add_upwards(before.clone(), total.negated());
        self.add_upwards(parent.clone(), total);
        if let Some(before) = &before {
            self.count_child(before, false);
        }
        if let Some(parent) = &parent {
            self.count_child(parent, true);
        }
        if let Some(node) = self.nodes.get_mut(key) {
            node.parent = parent;
        }
        Ok(())
    }

    /// Takes a node out, with its sum. Nothing may be below it.
    pub fn remove(&mut self, key: &K) -> Result<(), TreeError> {
        let node = self.nodes.get(key).ok_or(TreeError::Unknown)?;
        if node.children > 0 {
            return Err(TreeError::HasChildren);
        }
        let (parent, own) = (node.parent.clone(), node.own);
        self.add_upwards(parent.clone(), own.negated());
        if let Some(parent) = &parent {
            self.count_child(parent, false);
        }
        self.nodes.remove(key);
        Ok(())
    }

    /// The node's own sum.
    pub fn own(&self, key: &K) -> Option<S> {
        self.nodes.get(key).map(|node| node.own)
    }

    /// The sum over the node and everything below it.
    pub fn total(&self, key: &K) -> Option<S> {
        self.nodes.get(key).map(|node| node.total)
    }

    /// The node and all above it, itself first. Ends, because no circle can be built and depth is bounded.
    fn path(&self, key: &K) -> Result<Vec<K>, TreeError> {
        let mut path = Vec::new();
        let mut next = Some(key.clone());
        while let Some(key) = next.take() {
            let node = self.nodes.get(&key).ok_or(TreeError::Unknown)?;
            next.clone_from(&node.parent);
            path.push(key);
        }
        Ok(path)
    }

    /// Levels of the part that begins with that node.
    fn height(&self, top: &K) -> usize {
        let depths = self.nodes.keys().filter_map(|key| self.path(key).ok()?.iter().position(|above| above == top));
        depths.max().map_or(1, |deepest| deepest + 1)
    }

    fn add_upwards(&mut self, mut next: Option<K>, by: S) {
        while let Some(node) = next.as_ref().and_then(|key| self.nodes.get_mut(key)) {
            node.total = node.total.plus(by);
            next.clone_from(&node.parent);
        }
    }

    fn count_child(&mut self, parent: &K, is_more: bool) {
        if let Some(node) = self.nodes.get_mut(parent) {
            node.children = if is_more { node.children + 1 } else { node.children.saturating_sub(1) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compliance::Counts;
    use proptest::prelude::*;

    fn passed(passed: i64) -> Counts {
        Counts { passed, ..Counts::default() }
    }

    #[test]
    fn a_managing_tenant_shows_the_sum_of_its_tenants_in_whatever_order_they_come() {
        let nodes = [("shop", Some("msp"), 3), ("msp", None, 1), ("branch", Some("shop"), 5), ("other", None, 7)];
        let tree = Tree::of(nodes.map(|(key, parent, own)| (key, parent, passed(own)))).unwrap();
        assert_eq!(tree.total(&"msp"), Some(passed(9)));
        assert_eq!(tree.total(&"shop"), Some(passed(8)));
        assert_eq!(tree.own(&"msp"), Some(passed(1)));
        assert_eq!(tree.total(&"other"), Some(passed(7)));
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let of = |nodes: &[(u32, Option<u32>)]| {
            Tree::of(nodes.iter().map(|(key, parent)| (*key, *parent, passed(1)))).map(|_| ())
        };
        assert_eq!(of(&[(1, Some(2)), (2, Some(1)), (3, None)]), Err(TreeError::Circle));
        assert_eq!(of(&[(1, Some(1))]), Err(TreeError::Circle));
        assert_eq!(of(&[(1, Some(9))]), Err(TreeError::NoParent));
        assert_eq!(of(&[(1, None), (1, None)]), Err(TreeError::Twice));
        let chain: Vec<_> = (0..40).map(|key: u32| (key, key.checked_sub(1))).collect();
        assert_eq!(of(&chain), Err(TreeError::TooDeep));
        assert_eq!(of(&chain[..MAX_DEPTH]), Ok(()));

        let mut tree = Tree::of(chain[..MAX_DEPTH].iter().map(|(key, parent)| (*key, *parent, passed(1)))).unwrap();
        assert_eq!(tree.move_to(&0, Some(5)), Err(TreeError::Circle));
        assert_eq!(tree.remove(&5), Err(TreeError::HasChildren));
        assert_eq!(tree.change(&99, passed(1)), Err(TreeError::Unknown));
        tree.insert(100, None).unwrap();
        assert_eq!(tree.move_to(&0, Some(100)), Err(TreeError::TooDeep));
    }

    proptest! {
        #[test]
        fn kept_totals_equal_those_of_a_tree_built_anew(
            changes in proptest::collection::vec((0_u32..12, proptest::option::of(0_u32..12), -5_i64..6, 0_u8..4), 0..80),
        ) {
            let mut tree: Tree<u32, Counts> = Tree::default();
            for (key, parent, by, what) in changes {
                // What is refused must leave the tree as it was; that is checked with the rest.
                let _ = match what {
                    0 => tree.insert(key, parent),
                    1 => tree.move_to(&key, parent),
                    2 => tree.remove(&key),
                    _ => tree.change(&key, passed(by)),
                };
                let anew = Tree::of(tree.nodes.iter().map(|(key, node)| (*key, node.parent, node.own)));
                prop_assert_eq!(Ok(&tree), anew.as_ref().map_err(|error| *error));
            }
        }
    }
}
