//! Keys: a root that wraps the private half of each group's pair, and the rotation that forgets.
//!
//! The key store is one small file, rewritten whole. The root is one generation a rotation, elsewhere.
//! Destroying is done by what is *not* carried over: a new root, the surviving halves wrapped under
//! it, then the old root destroyed. Old copies of the store open under no root.
//! Only the office duty uses [`Keys`]; calls have the public halves, see [`Sealer`](crate::Sealer).
//! Why it is so: `docs/decisions/0010-keys-and-disposal.md`.

mod fault;
mod living;
mod mirror;
mod renewal;
mod ring;
mod root;
mod status;
mod store;
mod told;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rules::{CaseId, JstDay, JstMonth, RecordingId};

pub use self::{
    fault::KeyFault,
    mirror::Standing,
    root::{FolderRoots, RootProvider, Wrapped},
    status::{GroupStatus, KeyStatus},
    store::Edition,
};
use self::{
    fault::at,
    mirror::{Empty, Mirror},
    ring::KeyRing,
    store::{Store, WrappedPair},
};
pub(crate) use self::{
    living::Living,
    renewal::{Fate, Parting, Sealed},
};
use crate::{
    files::{Disk, MODE_SHARED, list_if_there, remove_if_there},
    group::Group,
    layout::Layout,
    object::{Object, SealedTo},
    seal::PublicHalf,
    secret::SecretKey,
};

/// Public halves are made this far ahead, so that no call waits for an office that is down.
pub const DAYS_AHEAD: usize = 7;

/// The last day of which a mirror may hold keys that was ended on this one.
pub(crate) fn last_made_on(day: JstDay) -> JstDay {
    let days = std::iter::successors(Some(day), |day| Some(day.next()));
    days.take(DAYS_AHEAD + 1).last().unwrap_or(day)
}

/// The keys of one installation, in the hands of the office duty.
pub struct Keys {
    disk: Arc<dyn Disk>,
    layout: Layout,
    ring: KeyRing,
    mirrors: Vec<Mirror>,
    /// Those that the store knows and the configuration names no more.
    struck: Vec<(PathBuf, Standing)>,
    store: Store,
    /// The newest generation that the trail told of when these were opened.
    told: u32,
}

impl Keys {
    /// Makes the first root and an empty key store, for a new installation.
    ///
    /// # Errors
    /// [`KeyFault::AlreadyThere`] if there is a key store, or public halves of one that is missing.
    pub fn create(disk: Arc<dyn Disk>, layout: &Layout, now: Timestamp) -> Result<Keys, KeyFault> {
        let roots = folder_roots(&disk, layout);
        Keys::create_with(disk, layout, roots, now)
    }

    /// The same with roots that are kept elsewhere than in the layout's folder.
    ///
    /// # Errors
    /// As [`create`](Keys::create).
    pub fn create_with(
        disk: Arc<dyn Disk>,
        layout: &Layout,
        roots: Arc<dyn RootProvider>,
        now: Timestamp,
    ) -> Result<Keys, KeyFault> {
        let path = layout.key_store();
        let is_there = disk.exists(&path).map_err(at(&path))?;
        let public = layout.public_halves();
        let halves = list_if_there(&*disk, &public).map_err(at(&public))?;
        if is_there || !halves.is_empty() {
            return Err(KeyFault::AlreadyThere { path });
        }
        // A root may be left of a first attempt that was cut off before its key store.
        roots.generate(1)?;
        let mut keys = Keys::around(disk, layout, roots, Store::empty(1, now));
        keys.write(keys.store.clone())?;
        keys.settle()?;
        Ok(keys)
    }

    /// Opens the key store, and finishes a rotation that was cut off.
    ///
    /// # Errors
    /// [`KeyFault`] if store or root are missing, damaged, or not of the same generation;
    /// [`KeyFault::MirrorNewer`] or [`KeyFault::TrailNewer`] if they are of an old copy. Then nothing is changed.
    pub fn open(disk: Arc<dyn Disk>, layout: &Layout) -> Result<Keys, KeyFault> {
        let roots = folder_roots(&disk, layout);
        Keys::open_with(disk, layout, roots)
    }

    /// The same with roots that are kept elsewhere than in the layout's folder.
    ///
    /// # Errors
    /// As [`open`](Keys::open).
    pub fn open_with(
        disk: Arc<dyn Disk>,
        layout: &Layout,
        roots: Arc<dyn RootProvider>,
    ) -> Result<Keys, KeyFault> {
        let store = Store::read(&*disk, &layout.key_store())?;
        let mut keys = Keys::around(disk, layout, roots, store);
        // A newer mirror is named first: it is the way back.
        keys.expect_newest()?;
        keys.expect_told()?;
        keys.settle()?;
        Ok(keys)
    }

    /// Opens a key store that may be older than what the trail tells of: whoever asks for its rotation gives up what came since.
    ///
    /// # Errors
    /// As [`open`](Keys::open), but never [`KeyFault::TrailNewer`].
    pub fn open_old(disk: Arc<dyn Disk>, layout: &Layout) -> Result<Keys, KeyFault> {
        let roots = folder_roots(&disk, layout);
        let store = Store::read(&*disk, &layout.key_store())?;
        let mut keys = Keys::around(disk, layout, roots, store);
        keys.settle()?;
        Ok(keys)
    }

    /// Makes root and key store anew from a mirror, when either is lost, damaged or of an old copy.
    ///
    /// What was destroyed while the mirror was away comes back with it, until the next disposal destroys it again.
    /// The mirror itself and what opens here stay until the new root and the new store are durable.
    ///
    /// # Errors
    /// [`KeyFault::NothingLost`] while the installation's own keys can be used and the mirror's are not newer;
    /// [`KeyFault::MirrorNewer`] if another mirror's are; [`KeyFault::MirrorUnread`] if they may be; [`KeyFault`] if the mirror cannot be used.
    pub fn recover(
        disk: Arc<dyn Disk>,
        layout: &Layout,
        folder: &Path,
        now: Timestamp,
    ) -> Result<Keys, KeyFault> {
        let roots = folder_roots(&disk, layout);
        let mirror = Mirror::new(&disk, folder);
        let mut keys = Keys::around(disk, layout, roots, mirror.read_checked()?);
        let own = keys.ring.read_checked();
        if own.is_ok_and(|own| !keys.store.is_newer_than(&own)) {
            let path = layout.key_store();
            return Err(KeyFault::NothingLost { path });
        }
        keys.expect_newest()?;
        keys.expect_none_away(folder)?;
        // A number that was used here does not come again.
        let lost = keys.ring.read().ok().map(|lost| lost.edition());
        let lost_root = lost.map_or(0, |lost| lost.root);
        let generation = keys.store.root.max(lost_root).max(keys.told) + 1;
        let revision = keys
            .store
            .revision
            .max(lost.map_or(0, |lost| lost.revision));
        keys.ring.roots.generate(generation)?;
        let mut own = keys
            .store
            .rewrapped(mirror.roots(), &*keys.ring.roots, generation)?;
        own.revision = revision;
        own.rooted_at = Some(now);
        keys.write(own)?;
        keys.settle()?;
        let groups: Vec<Group> = keys.groups().collect();
        groups.iter().try_for_each(|group| keys.publish(*group))?;
        Ok(keys)
    }

    /// Where the trail tells of newer keys than this mirror holds, whichever has them may be one that cannot be read just now.
    fn expect_none_away(&self, from: &Path) -> Result<(), KeyFault> {
        let (told, found) = (self.told, self.store.root);
        let is_away = |mirror: &&Mirror| mirror.folder != from && mirror.read_checked().is_err();
        match self.mirrors.iter().find(is_away) {
            Some(mirror) if told > found => Err(KeyFault::MirrorUnread {
                path: mirror.folder.clone(),
                told,
                found,
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn around(
        disk: Arc<dyn Disk>,
        layout: &Layout,
        roots: Arc<dyn RootProvider>,
        store: Store,
    ) -> Keys {
        let mirrors = layout.mirrors().iter();
        Keys {
            mirrors: mirrors.map(|folder| Mirror::new(&disk, folder)).collect(),
            struck: mirror::struck(&store, layout),
            ring: KeyRing::new(Arc::clone(&disk), roots, layout.key_store()),
            layout: layout.clone(),
            told: told::told_generation(&*disk, layout),
            disk,
            store,
        }
    }

    /// Takes up the store as the disk has it, and finishes a rotation that was cut off.
    ///
    /// # Errors
    /// [`KeyFault`] as for [`open`](Keys::open).
    pub(crate) fn settle(&mut self) -> Result<(), KeyFault> {
        // Only when the store has been shown to open, and to be no old copy, may other roots go.
        self.store = self.ring.read_checked()?;
        self.expect_newest()?;
        if self.store.revision == 0 {
            self.write(self.store.clone())?;
        }
        self.ring.roots.destroy(self.store.root)?;
        self.forget_other_halves()?;
        self.follow(Empty::Away)
    }

    /// Makes the pairs that today and the coming week need, and writes public halves that are
    /// missing or damaged.
    ///
    /// # Errors
    /// [`KeyFault`] if they cannot be made durable; those that were made before stay.
    pub fn make_ahead(&mut self, now: Timestamp) -> Result<(), KeyFault> {
        let today = JstDay::of(now);
        let days = std::iter::successors(Some(today), |day| Some(day.next())).take(DAYS_AHEAD + 1);
        let month = JstMonth::of(now);
        let months = [month, month.next()].map(Group::Register);
        let wanted: Vec<Group> = days.map(Group::Day).chain(months).collect();

        let missing = wanted
            .iter()
            .copied()
            .filter(|group| !self.store.groups.contains_key(group));
        let missing: Vec<Group> = missing.collect();
        if !missing.is_empty() {
            let mut store = self.store.clone();
            for group in missing {
                store.groups.insert(group, vec![self.fresh_pair(group, 1)?]);
            }
            self.keep(store)?;
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

    /// When that generation was made; the first version did not write it down.
    #[must_use]
    pub fn rooted_at(&self) -> Option<Timestamp> {
        self.store.rooted_at
    }

    /// The mirrors of the configuration, and whether each has followed; and those that it names no more and nobody ended.
    pub fn mirrors(&self) -> impl Iterator<Item = (&Path, &Standing)> {
        let mirrors = self.mirrors.iter();
        let named = mirrors.map(|mirror| (mirror.folder.as_path(), &mirror.standing));
        let struck = self.struck.iter();
        named.chain(struck.map(|(folder, standing)| (folder.as_path(), standing)))
    }

    /// The mirrors that have not followed.
    pub fn mirrors_behind(&self) -> impl Iterator<Item = (&Path, &KeyFault)> {
        self.mirrors()
            .filter_map(|(folder, standing)| match standing {
                Standing::Current => None,
                Standing::Behind(fault) => Some((folder, fault)),
            })
    }

    /// The recordings that living cases hold, by case.
    #[must_use]
    pub fn held(&self) -> BTreeMap<CaseId, BTreeSet<RecordingId>> {
        self.store.held()
    }

    /// Recordings whose keys were destroyed by themselves, and whose bytes and rows are still to go.
    pub(crate) fn unburied(&self) -> BTreeMap<RecordingId, JstDay> {
        self.store.unburied.clone()
    }

    /// Notes that nothing is left of a recording.
    pub(crate) fn note_buried(&mut self, recording: RecordingId) -> Result<(), KeyFault> {
        let mut store = self.store.clone();
        store.unburied.remove(&recording);
        self.keep(store)
    }

    /// Tries the mirrors again that have not followed.
    ///
    /// # Errors
    /// [`KeyFault`] if the store itself cannot be used; a mirror's own fault is its [`Standing`].
    pub fn follow_again(&mut self) -> Result<(), KeyFault> {
        self.expect_newest()?;
        self.follow(Empty::Away)
    }

    /// Brings every mirror to what the store holds, one whose folder is empty too.
    ///
    /// # Errors
    /// [`KeyFault`] if the store itself cannot be used; a mirror's own fault is its [`Standing`].
    pub fn mirror(&mut self) -> Result<(), KeyFault> {
        self.store = self.ring.read_checked()?;
        self.expect_newest()?;
        self.follow(Empty::New)
    }

    /// Whether a mirror may be ended.
    ///
    /// # Errors
    /// [`KeyFault::MirrorConfigured`] while the configuration names it, [`KeyFault::NoMirror`] if the store does not know it.
    pub fn check_end(&self, mirror: &Path) -> Result<(), KeyFault> {
        let path = mirror.to_owned();
        if self.layout.mirrors().contains(&path) {
            return Err(KeyFault::MirrorConfigured { path });
        }
        match self.store.mirrors.contains(&path) {
            true => Ok(()),
            false => Err(KeyFault::NoMirror { path }),
        }
    }

    /// Waits for a mirror no more. Whoever asks has made the decision durable in the trail.
    ///
    /// # Errors
    /// As [`check_end`](Keys::check_end), or [`KeyFault`] if that cannot be made durable: then it is waited for.
    pub fn end_mirror(&mut self, mirror: &Path) -> Result<(), KeyFault> {
        self.check_end(mirror)?;
        let mut store = self.store.clone();
        store.mirrors.remove(mirror);
        self.keep(store)
    }

    /// Replaces the root, after which old key stores open nothing.
    ///
    /// # Errors
    /// As [`destroy`](Keys::destroy).
    pub fn rotate(&mut self, now: Timestamp) -> Result<(), KeyFault> {
        self.destroy(&BTreeSet::new(), now)
    }

    /// Destroys the keys of groups for good: no file, old or new, opens them afterwards.
    ///
    /// Cut off at any point, the next [`open`](Keys::open) goes on forward, and calling it again is
    /// safe. A mirror that could not follow still has them: see [`mirrors_behind`](Keys::mirrors_behind).
    ///
    /// # Errors
    /// [`KeyFault`]; unless the old root was already replaced, nothing is destroyed.
    pub fn destroy(&mut self, groups: &BTreeSet<Group>, now: Timestamp) -> Result<(), KeyFault> {
        // The disk is right: an earlier attempt may have got further than it could tell.
        self.settle()?;
        let mut store = self.store.clone();
        store.remove(groups);
        self.replace_root(&store, now)
    }

    /// Carries a store over into the next root, and nothing else.
    fn replace_root(&mut self, store: &Store, now: Timestamp) -> Result<(), KeyFault> {
        let roots = &*self.ring.roots;
        let generation = self.store.root.max(self.told) + 1;
        roots.generate(generation)?;
        let mut next = store.rewrapped(roots, roots, generation)?;
        next.rooted_at = Some(now);
        self.write(next)?;
        // Opened once from the disk, with the new root from the disk, before the old root goes.
        self.settle()
    }

    /// Makes a store durable that takes nothing away.
    fn keep(&mut self, store: Store) -> Result<(), KeyFault> {
        self.write(store)?;
        self.follow(Empty::Away)
    }

    /// Makes a store durable as the next revision, which no mirror can be ahead of.
    fn write(&mut self, mut store: Store) -> Result<(), KeyFault> {
        self.expect_newest()?;
        store.revision += 1;
        self.ring.write(&store)?;
        self.store = store;
        Ok(())
    }

    /// Looks that the trail tells of no generation that the store never had.
    fn expect_told(&self) -> Result<(), KeyFault> {
        match self.told <= self.store.root {
            true => Ok(()),
            false => Err(KeyFault::TrailNewer {
                told: self.told,
                found: self.store.root,
            }),
        }
    }

    /// Looks that no mirror holds newer keys than the store.
    fn expect_newest(&self) -> Result<(), KeyFault> {
        let mut mirrors = self.mirrors.iter();
        mirrors.try_for_each(|mirror| mirror.expect_nothing_newer_than(&self.store))
    }

    fn fresh_pair(&self, group: Group, generation: u32) -> Result<WrappedPair, KeyFault> {
        WrappedPair::generate(&*self.ring.roots, self.store.root, group, generation)
    }

    /// Brings the mirrors to what the store holds, and writes down those that were set up.
    fn follow(&mut self, empty: Empty) -> Result<(), KeyFault> {
        for mirror in &mut self.mirrors {
            let is_known = self.store.mirrors.contains(&mirror.folder);
            let empty = match is_known {
                true => empty,
                false => Empty::New,
            };
            mirror.follow(&self.store, &*self.ring.roots, empty);
        }
        let is_current = |mirror: &&Mirror| matches!(mirror.standing, Standing::Current);
        let current = self.mirrors.iter().filter(is_current);
        let mut known = self.store.mirrors.clone();
        known.extend(current.map(|mirror| mirror.folder.clone()));
        if known != self.store.mirrors {
            let mut store = self.store.clone();
            store.mirrors = known;
            self.write(store)?;
        }
        self.struck = mirror::struck(&self.store, &self.layout);
        Ok(())
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

    /// Writes the public half of a group's newest pair, where calls look for it.
    fn publish(&self, group: Group) -> Result<(), KeyFault> {
        let pair = self.store.newest(group)?;
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

/// Opens the key of one object for the opener; nothing is kept.
pub(crate) fn open_key(
    disk: &dyn Disk,
    layout: &Layout,
    roots: &dyn RootProvider,
    object: Object,
    first: &SealedTo,
) -> Result<SecretKey, KeyFault> {
    Store::read(disk, &layout.key_store())?.open_key(roots, object, first)
}

/// The keys of several objects, for which the key store is read once.
pub(crate) fn open_keys<'first>(
    disk: &dyn Disk,
    layout: &Layout,
    roots: &dyn RootProvider,
    objects: impl Iterator<Item = (Object, &'first SealedTo)>,
) -> Result<Vec<Result<SecretKey, KeyFault>>, KeyFault> {
    let store = Store::read(disk, &layout.key_store())?;
    Ok(objects
        .map(|(object, first)| store.open_key(roots, object, first))
        .collect())
}

pub(crate) fn folder_roots(disk: &Arc<dyn Disk>, layout: &Layout) -> Arc<dyn RootProvider> {
    Arc::new(FolderRoots::new(Arc::clone(disk), layout.root()))
}
