//! The Merkle tree over a chain's entries, as far as it is kept: the roots of its perfect subtrees.
//!
//! Leaves and nodes are hashed as RFC 6962 section 2.1 says. Whole levels lie in
//! [`tiles`](crate::tiles); nobody holds a tree in memory.

use rules::Digest;

use crate::secret::sha256;

const LEAF: &[u8] = &[0];
const NODE: &[u8] = &[1];

/// The hash of an entry. Source: RFC 6962 section 2.1.
pub(crate) fn leaf_hash(entry: &[u8]) -> Digest {
    Digest(sha256(&[LEAF, entry]))
}

/// The hash of two subtrees. Source: RFC 6962 section 2.1.
pub(crate) fn node_hash(older: &Digest, newer: &Digest) -> Digest {
    Digest(sha256(&[NODE, &older.0, &newer.0]))
}

/// The root of a perfect subtree, given the hashes of one of its levels.
pub(crate) fn perfect_root(hashes: &[Digest]) -> Digest {
    debug_assert!(hashes.len().is_power_of_two());
    match hashes {
        [root] => *root,
        _ => {
            let (older, newer) = hashes.split_at(hashes.len() / 2);
            node_hash(&perfect_root(older), &perfect_root(newer))
        }
    }
}

/// The roots of the perfect subtrees that so many leaves fill, largest first: all that a tree needs to grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frontier {
    size: u64,
    roots: Vec<Digest>,
}

impl Frontier {
    /// A tree without leaves.
    pub(crate) fn empty() -> Frontier {
        Frontier {
            size: 0,
            roots: Vec::new(),
        }
    }

    /// A tree of `size` leaves; `None` unless there is a root for each bit of the size.
    pub(crate) fn new(size: u64, roots: Vec<Digest>) -> Option<Frontier> {
        let wanted = usize::try_from(size.count_ones()).ok()?;
        (roots.len() == wanted).then_some(Frontier { size, roots })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn roots(&self) -> &[Digest] {
        &self.roots
    }

    /// Adds a leaf.
    pub(crate) fn push(&mut self, leaf: Digest) {
        // Each subtree that the leaf fills joins with the one before it.
        let mut joined = leaf;
        for _ in 0..self.size.trailing_ones() {
            let older = self.roots.pop().expect("a root for each bit of the size");
            joined = node_hash(&older, &joined);
        }
        self.roots.push(joined);
        self.size += 1;
    }

    /// The root of the whole tree. Source: RFC 6962 section 2.1.
    pub(crate) fn root(&self) -> Digest {
        let joined = self.roots.iter().rev().copied();
        joined
            .reduce(|newer, older| node_hash(&older, &newer))
            .unwrap_or_else(|| Digest(sha256(&[])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962 section 2.1, word by word.
    fn by_definition(leaves: &[Vec<u8>]) -> Digest {
        match leaves {
            [] => Digest(sha256(&[])),
            [leaf] => leaf_hash(leaf),
            _ => {
                let (older, newer) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&by_definition(older), &by_definition(newer))
            }
        }
    }

    #[test]
    fn a_frontier_has_the_root_that_the_definition_gives_at_every_size() {
        let mut frontier = Frontier::empty();
        let mut leaves: Vec<Vec<u8>> = Vec::new();
        for number in 0..300u32 {
            assert_eq!(frontier.root(), by_definition(&leaves), "{number} leaves");
            let again = Frontier::new(frontier.size(), frontier.roots().to_vec());
            assert_eq!(again.as_ref(), Some(&frontier));
            leaves.push(number.to_be_bytes().to_vec());
            frontier.push(leaf_hash(leaves.last().unwrap()));
        }
        assert_eq!(Frontier::new(3, vec![frontier.root()]), None);
        let hashes: Vec<Digest> = leaves[..256].iter().map(|leaf| leaf_hash(leaf)).collect();
        assert_eq!(perfect_root(&hashes), by_definition(&leaves[..256]));
    }

    #[test]
    fn the_hashes_are_those_of_rfc_6962() {
        // Certificate Transparency's known answers: the empty tree and the leaf without bytes.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let leaf = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(Frontier::empty().root().to_string(), empty);
        assert_eq!(leaf_hash(b"").to_string(), leaf);
    }
}
