//! Mirrors: the same halves under a root of their own, in a folder on another volume, without history.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    fault::{KeyFault, at},
    ring::KeyRing,
    root::RootProvider,
    store::Store,
};
use crate::{files::Disk, layout::Layout};

/// A folder that follows the key store.
pub(super) struct Mirror {
    pub(super) folder: PathBuf,
    disk: Arc<dyn Disk>,
    ring: KeyRing,
    pub(super) standing: Standing,
}

/// Whether a mirror has followed.
#[derive(Debug)]
pub enum Standing {
    /// It holds what the key store holds, under a root of the same number.
    Current,
    /// It does not.
    Behind(KeyFault),
}

/// The mirrors that were set up once and that the configuration names no more: what they hold nobody knows.
pub(super) fn struck(store: &Store, layout: &Layout) -> Vec<(PathBuf, Standing)> {
    let is_struck = |folder: &&PathBuf| !layout.mirrors().contains(folder);
    let struck = store.mirrors.iter().filter(is_struck).cloned();
    let behind = |path: PathBuf| {
        (
            path.clone(),
            Standing::Behind(KeyFault::MirrorStruck { path }),
        )
    };
    struck.map(behind).collect()
}

/// How an empty folder is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    /// As a new mirror.
    New,
    /// As a volume that is not mounted.
    Away,
}

impl Mirror {
    /// Nothing is read yet; until it has followed it is taken to be behind.
    pub(super) fn new(disk: &Arc<dyn Disk>, folder: &Path) -> Mirror {
        Mirror {
            folder: folder.to_owned(),
            disk: Arc::clone(disk),
            ring: KeyRing::in_folder(disk, folder),
            standing: Standing::Behind(KeyFault::MirrorAway {
                path: folder.to_owned(),
            }),
        }
    }

    /// What the mirror holds, every half opened.
    pub(super) fn read_checked(&self) -> Result<Store, KeyFault> {
        self.ring.read_checked()
    }

    pub(super) fn roots(&self) -> &dyn RootProvider {
        &*self.ring.roots
    }

    /// Looks that it holds nothing newer than a key store. What cannot be read tells nothing.
    ///
    /// # Errors
    /// [`KeyFault::MirrorNewer`].
    pub(super) fn expect_nothing_newer_than(&self, store: &Store) -> Result<(), KeyFault> {
        match self.ring.read() {
            Ok(there) => self.compare(&there, store),
            Err(_) => Ok(()),
        }
    }

    fn compare(&self, there: &Store, store: &Store) -> Result<(), KeyFault> {
        match there.is_newer_than(store) {
            false => Ok(()),
            true => Err(KeyFault::MirrorNewer {
                path: self.folder.clone(),
                found: there.edition(),
                expected: store.edition(),
            }),
        }
    }

    /// Compares without writing.
    pub(super) fn look(self, store: &Store) -> (PathBuf, Standing) {
        let standing = match self.ring.read() {
            Ok(there) => match self.compare(&there, store) {
                Err(newer) => Standing::Behind(newer),
                Ok(()) if there.holds_the_same_as(store) => Standing::Current,
                Ok(()) => Standing::Behind(KeyFault::MirrorStale {
                    path: self.folder.clone(),
                    found: there.root,
                    expected: store.root,
                }),
            },
            Err(KeyFault::StoreMissing { .. }) => self.standing,
            Err(fault) => Standing::Behind(fault),
        };
        (self.folder, standing)
    }

    /// Brings the mirror to what the store holds, if it is not there yet.
    pub(super) fn follow(&mut self, store: &Store, roots: &dyn RootProvider, empty: Empty) {
        self.standing = match self.try_follow(store, roots, empty) {
            Ok(()) => Standing::Current,
            Err(fault) => Standing::Behind(fault),
        };
    }

    fn try_follow(
        &self,
        store: &Store,
        roots: &dyn RootProvider,
        empty: Empty,
    ) -> Result<(), KeyFault> {
        let there = match self.ring.read() {
            Ok(there) => {
                self.compare(&there, store)?;
                Some(there)
            }
            Err(KeyFault::StoreMissing { .. }) if empty == Empty::Away => {
                let path = self.folder.clone();
                return Err(KeyFault::MirrorAway { path });
            }
            // What is missing or damaged is written anew, under a new root.
            Err(KeyFault::StoreMissing { .. } | KeyFault::StoreDamaged { .. }) => None,
            Err(fault) => return Err(fault),
        };
        let opens = |there: &Store| there.check(self.roots()).is_ok();
        let there = there.filter(opens);
        if !there
            .as_ref()
            .is_some_and(|there| there.holds_the_same_as(store))
        {
            self.disk
                .make_folder(&self.folder, 0o700)
                .map_err(at(&self.folder))?;
            if there.is_none_or(|there| there.root != store.root) {
                self.roots().generate(store.root)?;
            }
            self.ring
                .write(&store.rewrapped(roots, self.roots(), store.root)?)?;
        }
        // A rewriting that was cut off may have left the one before.
        self.roots().destroy(store.root)
    }
}
