//! Keys: a root that wraps the private half of each group's pair, and the rotation that forgets.
//!
//! The key store is one small file, rewritten whole. The root is one file a generation, elsewhere.
//! Destroying a group is done by what is *not* carried over: a new root, the surviving halves
//! wrapped under it, then the old root overwritten. Old copies of the store open under no root.
//! Only the office duty uses [`Keys`]; calls have the public halves, see [`Sealer`](crate::Sealer).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rules::{Fault, JstDay};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    files::{Disk, MODE_SECRET, MODE_SHARED, fresh_name, list_if_there, remove_if_there},
    group::{Group, RegisterMonth},
    hex,
    layout::Layout,
    seal::PublicHalf,
    secret::{self, PrivateHalf, SecretFault, SecretKey},
};

/// Public halves are made this far ahead, so that no call waits for an office that is down.
pub const DAYS_AHEAD: usize = 7;

/// The keys of one installation, in the hands of the office duty.
pub struct Keys {
    disk: Arc<dyn Disk>,
    layout: Layout,
    store: Store,
}

impl Keys {
    /// Makes the first root and an empty key store, for a new installation.
    ///
    /// # Errors
    /// [`KeyFault::AlreadyThere`] if there is a key store, or public halves of one that is missing.
    pub fn create(disk: Arc<dyn Disk>, layout: &Layout) -> Result<Keys, KeyFault> {
        let path = layout.key_store();
        let is_there = disk.exists(&path).map_err(at(&path))?;
        let public = layout.public_halves();
        let halves = list_if_there(&*disk, &public).map_err(at(&public))?;
        if is_there || !halves.is_empty() {
            return Err(KeyFault::AlreadyThere { path });
        }
        // A root may be left of a first attempt that was cut off before its key store.
        let generation = roots(&*disk, layout)?.last().map_or(1, |last| last + 1);
        Root::make(&*disk, layout, generation)?;
        let store = Store {
            format: FORMAT.into(),
            root: generation,
            groups: BTreeMap::new(),
        };
        disk.replace(&path, &store.to_bytes(), MODE_SECRET)
            .map_err(at(&path))?;
        let keys = Keys {
            disk,
            layout: layout.clone(),
            store,
        };
        keys.forget_other_roots()?;
        Ok(keys)
    }

    /// Opens the key store, and finishes a rotation that was cut off.
    ///
    /// # Errors
    /// [`KeyFault`] if store or root are missing, damaged, or not of the same generation.
    pub fn open(disk: Arc<dyn Disk>, layout: &Layout) -> Result<Keys, KeyFault> {
        let store = Store::read(&*disk, &layout.key_store())?;
        let mut keys = Keys {
            disk,
            layout: layout.clone(),
            store,
        };
        keys.settle()?;
        Ok(keys)
    }

    /// Takes up the store as the disk has it, and finishes a rotation that was cut off.
    ///
    /// # Errors
    /// [`KeyFault`] as for [`open`](Keys::open).
    pub(crate) fn settle(&mut self) -> Result<(), KeyFault> {
        self.store = Store::read(&*self.disk, &self.layout.key_store())?;
        // Only when the store has been shown to open may other roots go.
        self.check()?;
        self.forget_other_roots()?;
        self.forget_other_halves()
    }

    /// Makes the pairs that today and the coming week need, and writes public halves that are
    /// missing or damaged.
    ///
    /// # Errors
    /// [`KeyFault`] if they cannot be made durable; those that were made before stay.
    pub fn make_ahead(&mut self, now: Timestamp) -> Result<(), KeyFault> {
        let today = JstDay::of(now);
        let days = std::iter::successors(Some(today), |day| Some(day.next())).take(DAYS_AHEAD + 1);
        let month = RegisterMonth::of(now);
        let months = [month, month.next()].map(Group::Register);
        let wanted: Vec<Group> = days.map(Group::Day).chain(months).collect();

        let missing: Vec<Group> = wanted
            .iter()
            .copied()
            .filter(|group| !self.store.groups.contains_key(group))
            .collect();
        if !missing.is_empty() {
            let root = self.root()?;
            let mut store = self.store.clone();
            for group in missing {
                let (private, public) = PrivateHalf::generate()?;
                let pair = WrappedPair::wrap(&root, group, 1, &private, public)?;
                store.groups.insert(group, vec![pair]);
            }
            self.write_store(&store)?;
            self.store = store;
        }
        wanted.iter().try_for_each(|group| self.publish(*group))
    }

    /// The groups that have keys.
    pub fn groups(&self) -> impl Iterator<Item = Group> {
        self.store.groups.keys().copied()
    }

    /// The generation of the root.
    #[must_use]
    pub fn root_generation(&self) -> u32 {
        self.store.root
    }

    /// Destroys the keys of groups for good: no file, old or new, opens them afterwards.
    ///
    /// With no group it is the daily rotation, after which old key stores open nothing. Cut off
    /// at any point, the next [`open`](Keys::open) goes on forward, and calling it again is safe.
    ///
    /// # Errors
    /// [`KeyFault`]; unless the old root was already replaced, nothing is destroyed.
    pub fn destroy(&mut self, groups: &BTreeSet<Group>) -> Result<(), KeyFault> {
        // The disk is right: an earlier attempt may have got further than it could tell.
        self.settle()?;
        let (disk, layout) = (&*self.disk, &self.layout);
        let old = self.root()?;
        let fresh = Root::make(disk, layout, self.store.root + 1)?;

        let mut store = Store {
            root: fresh.generation,
            ..self.store.clone()
        };
        store.groups.retain(|group, _| !groups.contains(group));
        for (group, pairs) in &mut store.groups {
            for pair in pairs {
                let private = pair.unwrap(&old, *group)?;
                *pair = WrappedPair::wrap(&fresh, *group, pair.generation, &private, pair.public)?;
            }
        }
        self.write_store(&store)?;
        // Opened once from the disk, with the new root from the disk, before the old root goes.
        self.settle()
    }

    /// Writes the store under another name, reads it back, and only then renames it.
    fn write_store(&self, store: &Store) -> Result<(), KeyFault> {
        let path = self.layout.key_store();
        let fresh = fresh_name(&path);
        remove_if_there(&*self.disk, &fresh).map_err(at(&fresh))?;
        let mut file = self.disk.create(&fresh, MODE_SECRET).map_err(at(&fresh))?;
        file.write(&store.to_bytes()).map_err(at(&fresh))?;
        file.sync().map_err(at(&fresh))?;
        Store::read(&*self.disk, &fresh)?.check(&*self.disk, &self.layout)?;
        self.disk.rename(&fresh, &path).map_err(at(&path))?;
        let folder = self.layout.keys();
        self.disk.sync_folder(&folder).map_err(at(&folder))
    }

    /// Reads store and root from the disk and opens every half.
    fn check(&self) -> Result<(), KeyFault> {
        Store::read(&*self.disk, &self.layout.key_store())?.check(&*self.disk, &self.layout)
    }

    fn root(&self) -> Result<Root, KeyFault> {
        Root::read(&*self.disk, &self.layout, self.store.root)
    }

    /// Overwrites and removes every root but the one that the store names.
    fn forget_other_roots(&self) -> Result<(), KeyFault> {
        let (disk, folder) = (&*self.disk, self.layout.root());
        let others = roots(disk, &self.layout)?
            .into_iter()
            .filter(|root| *root != self.store.root);
        let mut forgotten: Vec<PathBuf> =
            others.map(|root| root_path(&self.layout, root)).collect();
        let names = list_if_there(disk, folder).map_err(at(folder))?;
        forgotten.extend(
            names
                .iter()
                .filter(|name| name.ends_with(".new"))
                .map(|name| folder.join(name)),
        );
        if forgotten.is_empty() {
            return Ok(());
        }
        for path in &forgotten {
            disk.overwrite(path).map_err(at(path))?;
            disk.unlink(path).map_err(at(path))?;
        }
        disk.sync_folder(folder).map_err(at(folder))
    }

    /// Removes public halves of groups that have no keys any more.
    fn forget_other_halves(&self) -> Result<(), KeyFault> {
        let folder = self.layout.public_halves();
        let names = list_if_there(&*self.disk, &folder).map_err(at(&folder))?;
        let is_dead = |name: &&String| {
            name.parse()
                .is_ok_and(|group: Group| !self.store.groups.contains_key(&group))
        };
        let dead: Vec<&String> = names.iter().filter(is_dead).collect();
        if dead.is_empty() {
            return Ok(());
        }
        for name in dead {
            let path = folder.join(name);
            remove_if_there(&*self.disk, &path).map_err(at(&path))?;
        }
        self.disk.sync_folder(&folder).map_err(at(&folder))
    }

    fn publish(&self, group: Group) -> Result<(), KeyFault> {
        let Some(pair) = self.store.groups.get(&group).and_then(|pairs| pairs.last()) else {
            return Ok(());
        };
        let half = PublicHalf {
            group,
            generation: pair.generation,
            bytes: pair.public,
        };
        let path = self.layout.public_halves().join(group.to_string());
        let bytes = half.to_file();
        match self.disk.read(&path) {
            Ok(there) if there == bytes => Ok(()),
            _ => self
                .disk
                .replace(&path, &bytes, MODE_SHARED)
                .map_err(at(&path)),
        }
    }
}

/// Reads one private half for the opener; nothing is kept.
pub(crate) fn private_half(
    disk: &dyn Disk,
    layout: &Layout,
    group: Group,
    generation: u32,
) -> Result<PrivateHalf, KeyFault> {
    let store = Store::read(disk, &layout.key_store())?;
    let pairs = store
        .groups
        .get(&group)
        .ok_or(KeyFault::Destroyed { group })?;
    let pair = pairs.iter().find(|pair| pair.generation == generation);
    let root = Root::read(disk, layout, store.root)?;
    pair.ok_or(KeyFault::Destroyed { group })?
        .unwrap(&root, group)
}

/// The key store as a file: JSON, so that its shape can be looked at; every half in it is wrapped.
#[derive(Clone, Serialize, Deserialize)]
struct Store {
    format: String,
    /// The generation of the root that everything here is wrapped under.
    root: u32,
    /// The generations of each group's pair, the newest last.
    groups: BTreeMap<Group, Vec<WrappedPair>>,
}

const FORMAT: &str = "denwaban key store 1";

#[derive(Clone, Serialize, Deserialize)]
struct WrappedPair {
    generation: u32,
    #[serde(with = "hex::serde")]
    public: [u8; 32],
    #[serde(with = "hex::serde")]
    nonce: [u8; 12],
    #[serde(with = "hex::serde")]
    wrapped: Vec<u8>,
}

impl Store {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("texts and numbers are JSON");
        bytes.push(b'\n');
        bytes
    }

    fn read(disk: &dyn Disk, path: &Path) -> Result<Store, KeyFault> {
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
        let store = store.filter(|store| store.format == FORMAT);
        store.ok_or_else(|| KeyFault::StoreDamaged {
            path: path.to_owned(),
        })
    }

    fn check(&self, disk: &dyn Disk, layout: &Layout) -> Result<(), KeyFault> {
        let root = Root::read(disk, layout, self.root)?;
        for (group, pairs) in &self.groups {
            for pair in pairs {
                pair.unwrap(&root, *group)?;
            }
        }
        Ok(())
    }
}

impl WrappedPair {
    fn wrap(
        root: &Root,
        group: Group,
        generation: u32,
        private: &PrivateHalf,
        public: [u8; 32],
    ) -> Result<WrappedPair, KeyFault> {
        let nonce = secret::random()?;
        // Wrapping happens in place; room for the tag, so that no copy is left behind.
        let mut wrapped = Vec::with_capacity(private.bytes().len() + secret::TAG_BYTES);
        wrapped.extend_from_slice(private.bytes());
        let aad = wrap_aad(root.generation, group, generation, &public);
        root.key.encrypt(nonce, &aad, &mut wrapped)?;
        Ok(WrappedPair {
            generation,
            public,
            nonce,
            wrapped,
        })
    }

    fn unwrap(&self, root: &Root, group: Group) -> Result<PrivateHalf, KeyFault> {
        let aad = wrap_aad(root.generation, group, self.generation, &self.public);
        let opened = root.key.decrypt(self.nonce, &aad, &self.wrapped);
        let private = opened.map_err(|_| KeyFault::DoesNotUnwrap {
            group,
            root: root.generation,
        })?;
        Ok(PrivateHalf::from_bytes(private))
    }
}

fn wrap_aad(root: u32, group: Group, generation: u32, public: &[u8; 32]) -> Vec<u8> {
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

/// One generation of the root.
struct Root {
    generation: u32,
    key: SecretKey,
}

const ROOT_MAGIC: &[u8; 8] = b"DENWROOT";

impl Root {
    /// Makes a generation durable.
    fn make(disk: &dyn Disk, layout: &Layout, generation: u32) -> Result<Root, KeyFault> {
        let key = SecretKey::random()?;
        let path = root_path(layout, generation);
        let bytes = Zeroizing::new(root_bytes(generation, &key));
        disk.replace(&path, &bytes, MODE_SECRET)
            .map_err(at(&path))?;
        Ok(Root { generation, key })
    }

    fn read(disk: &dyn Disk, layout: &Layout, generation: u32) -> Result<Root, KeyFault> {
        let path = root_path(layout, generation);
        let bytes = disk.read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => KeyFault::RootMissing { path: path.clone() },
            _ => KeyFault::Disk {
                path: path.clone(),
                source,
            },
        })?;
        let bytes = Zeroizing::new(bytes);
        let key = bytes
            .get(12..44)
            .ok_or_else(|| KeyFault::RootDamaged { path: path.clone() })?;
        let key = SecretKey::from_slice(key)?;
        match *bytes == root_bytes(generation, &key) {
            true => Ok(Root { generation, key }),
            false => Err(KeyFault::RootDamaged { path }),
        }
    }
}

/// Magic, generation, key, and 8 bytes of their SHA-256, so that damage is told from another key.
fn root_bytes(generation: u32, key: &SecretKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(52);
    bytes.extend_from_slice(ROOT_MAGIC);
    bytes.extend_from_slice(&generation.to_be_bytes());
    bytes.extend_from_slice(key.bytes());
    let check = secret::sha256(&[&bytes]);
    bytes.extend_from_slice(&check[..8]);
    bytes
}

fn root_path(layout: &Layout, generation: u32) -> PathBuf {
    layout.root().join(format!("{generation:04}.root"))
}

/// The generations that lie in the root's folder, in order.
fn roots(disk: &dyn Disk, layout: &Layout) -> Result<BTreeSet<u32>, KeyFault> {
    let names = list_if_there(disk, layout.root()).map_err(at(layout.root()))?;
    let generation = |name: &String| name.strip_suffix(".root")?.parse().ok();
    Ok(names.iter().filter_map(generation).collect())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyFault {
    let path = path.to_owned();
    move |source| KeyFault::Disk { path, source }
}

/// Why keys cannot be used.
#[derive(Debug, Error)]
pub enum KeyFault {
    /// A new installation was to be made over another.
    #[error("there are keys already beside {}; nothing is made anew over them", path.display())]
    AlreadyThere {
        /// The key store.
        path: PathBuf,
    },
    /// There is no key store.
    #[error("key store {} is missing; put back the current mirror, or run init in an empty folder", path.display())]
    StoreMissing {
        /// Where it was expected.
        path: PathBuf,
    },
    /// The key store is not what was written.
    #[error("key store {} is damaged; put back the current mirror", path.display())]
    StoreDamaged {
        /// The file.
        path: PathBuf,
    },
    /// The root that the store names is not there.
    #[error("root {} is missing, which the key store is wrapped under; mount the root's volume, or put back root and store of one time", path.display())]
    RootMissing {
        /// Where it was expected.
        path: PathBuf,
    },
    /// The root is not what was written.
    #[error("root {} is damaged; put back root and key store of one time from the mirror", path.display())]
    RootDamaged {
        /// The file.
        path: PathBuf,
    },
    /// The store's halves are wrapped under something else.
    #[error(
        "the private half of {group} does not open under root {root}; root and key store are not of one time"
    )]
    DoesNotUnwrap {
        /// Whose half it is.
        group: Group,
        /// The root's generation.
        root: u32,
    },
    /// The group has no key any more: what was sealed to it is gone.
    #[error("the keys of {group} were destroyed; what was sealed to them cannot be opened again")]
    Destroyed {
        /// The group.
        group: Group,
    },
    /// The disk refused.
    #[error("key file {} cannot be used ({source}); check the disk and the file's owner", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The cipher refused.
    #[error(transparent)]
    Secret(#[from] SecretFault),
}

impl KeyFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            KeyFault::AlreadyThere { .. } | KeyFault::Destroyed { .. } => Fault::Operator,
            KeyFault::StoreMissing { .. }
            | KeyFault::StoreDamaged { .. }
            | KeyFault::RootMissing { .. }
            | KeyFault::RootDamaged { .. }
            | KeyFault::DoesNotUnwrap { .. }
            | KeyFault::Disk { .. } => Fault::Resource,
            KeyFault::Secret(fault) => fault.fault(),
        }
    }
}
