//! The key store as a file: JSON, so that its shape can be looked at; every half in it is wrapped.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rules::{CaseId, JstDay, RecordingId};
use serde::{Deserialize, Serialize};

use super::{
    fault::KeyFault,
    root::{RootProvider, Wrapped},
};
use crate::{
    files::Disk,
    group::Group,
    hex,
    object::{Object, SealedTo},
    secret::{PrivateHalf, SecretKey, sha256},
};

const FORMAT: &str = "denwaban key store 3";
/// Without revision and checksum; the first without further keys, mirrors and the time of the root as well.
const EARLIER_FORMATS: [&str; 2] = ["denwaban key store 1", "denwaban key store 2"];

/// Everything that a root wraps.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Store {
    format: String,
    /// The generation of the root that everything here is wrapped under.
    pub(super) root: u32,
    /// Grows with each writing; 0 in the earlier formats, which did not count.
    #[serde(default)]
    pub(super) revision: u64,
    /// When that generation was made.
    #[serde(default)]
    pub(super) rooted_at: Option<Timestamp>,
    /// The generations of each group's pair, the newest last.
    pub(super) groups: BTreeMap<Group, Vec<WrappedPair>>,
    /// Keys of objects that were sealed anew; they go before the object's own.
    #[serde(default)]
    pub(super) further: BTreeMap<Object, Vec<SealedTo>>,
    /// Recordings whose keys were destroyed before their day, and whose bytes and rows are still to go.
    #[serde(default)]
    pub(super) unburied: BTreeMap<RecordingId, JstDay>,
    /// Mirrors that were set up once: an empty folder of one of these is a volume that is away.
    #[serde(default)]
    pub(super) mirrors: BTreeSet<PathBuf>,
}

/// How far a key store has come: of two of one installation the greater is the newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edition {
    /// The generation of the root.
    pub root: u32,
    /// How often the store was written.
    pub revision: u64,
}

impl fmt::Display for Edition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "generation {}, revision {}", self.root, self.revision)
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct WrappedPair {
    pub(super) generation: u32,
    #[serde(with = "hex::serde")]
    pub(super) public: [u8; 32],
    #[serde(with = "hex::serde")]
    nonce: [u8; 12],
    #[serde(with = "hex::serde")]
    wrapped: Vec<u8>,
}

impl Store {
    /// A store without groups.
    pub(super) fn empty(root: u32, now: Timestamp) -> Store {
        Store {
            format: FORMAT.into(),
            root,
            revision: 0,
            rooted_at: Some(now),
            groups: BTreeMap::new(),
            further: BTreeMap::new(),
            unburied: BTreeMap::new(),
            mirrors: BTreeSet::new(),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("texts and numbers are JSON");
        // The checksum is the last member of the same object.
        bytes.truncate(bytes.len() - "\n}".len());
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        bytes
    }

    pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Store, KeyFault> {
        let bytes = disk.read(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => KeyFault::StoreMissing {
                path: path.to_owned(),
            },
            _ => KeyFault::Disk {
                path: path.to_owned(),
                source,
            },
        })?;
        let store: Option<Store> = serde_json::from_slice(&bytes).ok();
        let store = store.filter(|store| store.is_whole(&bytes));
        let store = store.ok_or_else(|| KeyFault::StoreDamaged {
            path: path.to_owned(),
        })?;
        Ok(Store {
            format: FORMAT.into(),
            ..store
        })
    }

    /// Whether these bytes are what was written.
    fn is_whole(&self, bytes: &[u8]) -> bool {
        if EARLIER_FORMATS.contains(&&*self.format) {
            return self.revision == 0;
        }
        let content = bytes.len().checked_sub(checksum(&[]).len());
        let is_summed = content.is_some_and(|content| {
            let (content, last) = bytes.split_at(content);
            last == checksum(content).as_bytes()
        });
        self.format == FORMAT && is_summed
    }

    /// How far it has come.
    pub(super) fn edition(&self) -> Edition {
        Edition {
            root: self.root,
            revision: self.revision,
        }
    }

    /// Whether something is in it that another, written from it or before it, cannot have.
    pub(super) fn is_newer_than(&self, other: &Store) -> bool {
        let has_come_further = match self.edition().cmp(&other.edition()) {
            Ordering::Less => false,
            // Stores of before count no writings, so of them this tells nothing.
            Ordering::Equal if self.revision == 0 => false,
            // Two that went on apart from one copy may have come equally far.
            Ordering::Equal => !self.holds_the_same_as(other),
            Ordering::Greater => true,
        };
        has_come_further || self.has_parted_from(other)
    }

    /// Whether a half of the same number is another one: both went on apart from one copy, and each may hold what the other lacks.
    fn has_parted_from(&self, other: &Store) -> bool {
        let public_of = |group: &Group, generation: u32| {
            let pairs = other.groups.get(group).into_iter().flatten();
            let mut same = pairs.filter(move |pair| pair.generation == generation);
            same.next().map(|pair| pair.public)
        };
        let mut halves = self
            .groups
            .iter()
            .flat_map(|(group, pairs)| pairs.iter().map(move |pair| (group, pair)));
        halves.any(|(group, pair)| {
            public_of(group, pair.generation).is_some_and(|public| public != pair.public)
        })
    }

    /// Opens every half once.
    pub(super) fn check(&self, roots: &dyn RootProvider) -> Result<(), KeyFault> {
        let mut pairs = self
            .groups
            .iter()
            .flat_map(|(group, pairs)| pairs.iter().map(move |pair| (*group, pair)));
        pairs.try_for_each(|(group, pair)| pair.unwrap(roots, self.root, group).map(drop))
    }

    /// The same halves under a generation of another root, or of the same.
    pub(super) fn rewrapped(
        &self,
        from: &dyn RootProvider,
        to: &dyn RootProvider,
        root: u32,
    ) -> Result<Store, KeyFault> {
        let mut store = Store {
            root,
            ..self.clone()
        };
        for (group, pairs) in &mut store.groups {
            for pair in pairs {
                let private = pair.unwrap(from, self.root, *group)?;
                *pair =
                    WrappedPair::wrap(to, root, *group, (pair.generation, &private, pair.public))?;
            }
        }
        Ok(store)
    }

    /// Whether both hold the same halves and further keys; what wraps them may differ.
    pub(super) fn holds_the_same_as(&self, other: &Store) -> bool {
        let halves = |store: &Store| -> Vec<(Group, Vec<[u8; 32]>)> {
            let publics = |pairs: &Vec<WrappedPair>| pairs.iter().map(|pair| pair.public).collect();
            let groups = store.groups.iter();
            groups
                .map(|(group, pairs)| (*group, publics(pairs)))
                .collect()
        };
        self.root == other.root
            && halves(self) == halves(other)
            && self.further == other.further
            && self.unburied == other.unburied
    }

    /// The newest pair of a group.
    pub(super) fn newest(&self, group: Group) -> Result<&WrappedPair, KeyFault> {
        let newest = self.groups.get(&group).and_then(|pairs| pairs.last());
        newest.ok_or(KeyFault::Destroyed { group })
    }

    /// The private half of one generation of a group.
    pub(super) fn private(
        &self,
        roots: &dyn RootProvider,
        group: Group,
        generation: u32,
    ) -> Result<PrivateHalf, KeyFault> {
        let pairs = self.groups.get(&group).into_iter().flatten();
        let pair = pairs
            .clone()
            .find(|pair| pair.generation == generation)
            .ok_or(KeyFault::Destroyed { group })?;
        pair.unwrap(roots, self.root, group)
    }

    /// Opens the key of an object: by a further key if there is one, else by its first.
    pub(super) fn open_key(
        &self,
        roots: &dyn RootProvider,
        object: Object,
        first: &SealedTo,
    ) -> Result<SecretKey, KeyFault> {
        let further = self.further.get(&object).into_iter().flatten();
        let mut outcome = Err(KeyFault::Destroyed { group: first.group });
        for sealed in further.chain([first]) {
            outcome = self
                .private(roots, sealed.group, sealed.generation)
                .and_then(|private| Ok(sealed.open(object, &private)?));
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// The recordings that living cases hold, by case.
    pub(super) fn held(&self) -> BTreeMap<CaseId, BTreeSet<RecordingId>> {
        let mut held: BTreeMap<CaseId, BTreeSet<RecordingId>> = BTreeMap::new();
        for (object, keys) in &self.further {
            let Object::Segment { recording, .. } = *object else {
                continue;
            };
            for key in keys {
                if let Group::Case(case) = key.group {
                    held.entry(case).or_default().insert(recording);
                }
            }
        }
        held
    }

    /// Takes cases away that hold nothing any more.
    pub(super) fn drop_idle_cases(&mut self) {
        self.further.retain(|_, keys| !keys.is_empty());
        let keys = self.further.values().flatten();
        let held: BTreeSet<Group> = keys.map(|key| key.group).collect();
        self.groups.retain(|group, _| match group {
            Group::Case(_) => held.contains(group),
            Group::Day(_) | Group::Register(_) => true,
        });
    }

    /// Takes groups away, and what was sealed to them.
    pub(super) fn remove(&mut self, groups: &BTreeSet<Group>) {
        self.groups.retain(|group, _| !groups.contains(group));
        for keys in self.further.values_mut() {
            keys.retain(|key| !groups.contains(&key.group));
        }
        self.further.retain(|_, keys| !keys.is_empty());
    }
}

impl WrappedPair {
    /// A fresh pair.
    pub(super) fn generate(
        roots: &dyn RootProvider,
        root: u32,
        group: Group,
        generation: u32,
    ) -> Result<WrappedPair, KeyFault> {
        let (private, public) = PrivateHalf::generate()?;
        WrappedPair::wrap(roots, root, group, (generation, &private, public))
    }

    fn wrap(
        roots: &dyn RootProvider,
        root: u32,
        group: Group,
        (generation, private, public): (u32, &PrivateHalf, [u8; 32]),
    ) -> Result<WrappedPair, KeyFault> {
        let words = wrap_words(root, group, generation, &public);
        let Wrapped { nonce, bytes } = roots.wrap(root, &words, private.bytes())?;
        Ok(WrappedPair {
            generation,
            public,
            nonce,
            wrapped: bytes,
        })
    }

    fn unwrap(
        &self,
        roots: &dyn RootProvider,
        root: u32,
        group: Group,
    ) -> Result<PrivateHalf, KeyFault> {
        let words = wrap_words(root, group, self.generation, &self.public);
        let wrapped = Wrapped {
            nonce: self.nonce,
            bytes: self.wrapped.clone(),
        };
        let mut private = roots.unwrap(root, &words, &wrapped)?;
        Ok(PrivateHalf::from_bytes(std::mem::take(&mut *private)))
    }
}

/// How a key store ends: SHA-256 over all of it that comes before.
fn checksum(content: &[u8]) -> String {
    format!(
        ",\n  \"sha256\": \"{}\"\n}}\n",
        hex::encode(&sha256(&[content]))
    )
}

fn wrap_words(root: u32, group: Group, generation: u32, public: &[u8; 32]) -> Vec<u8> {
    let group = group.to_string();
    let words: [&[u8]; 5] = [
        b"denwaban wrapped half",
        &root.to_be_bytes(),
        &generation.to_be_bytes(),
        public,
        group.as_bytes(),
    ];
    words.concat()
}
