//! A key ring: one key store and the root it is wrapped under, the installation's own or a mirror's.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    fault::{KeyFault, at},
    root::{FolderRoots, RootProvider},
    store::Store,
};
use crate::files::{Disk, MODE_SECRET, fresh_name, remove_if_there};

pub(super) struct KeyRing {
    disk: Arc<dyn Disk>,
    pub(super) roots: Arc<dyn RootProvider>,
    /// The key store's file.
    path: PathBuf,
}

impl KeyRing {
    pub(super) fn new(disk: Arc<dyn Disk>, roots: Arc<dyn RootProvider>, path: PathBuf) -> KeyRing {
        KeyRing { disk, roots, path }
    }

    /// The ring of a mirror, whose folder holds both root and store.
    pub(super) fn in_folder(disk: &Arc<dyn Disk>, folder: &Path) -> KeyRing {
        let roots = FolderRoots::new(Arc::clone(disk), folder);
        KeyRing::new(Arc::clone(disk), Arc::new(roots), folder.join("store"))
    }

    pub(super) fn read(&self) -> Result<Store, KeyFault> {
        Store::read(&*self.disk, &self.path)
    }

    /// Reads the store, and opens every half with the root as it is there.
    pub(super) fn read_checked(&self) -> Result<Store, KeyFault> {
        let store = self.read()?;
        store.check(&*self.roots)?;
        Ok(store)
    }

    /// Writes the store under another name, reads it back, opens it, and only then renames it.
    pub(super) fn write(&self, store: &Store) -> Result<(), KeyFault> {
        let path = &self.path;
        let fresh = fresh_name(path);
        remove_if_there(&*self.disk, &fresh).map_err(at(&fresh))?;
        let mut file = self.disk.create(&fresh, MODE_SECRET).map_err(at(&fresh))?;
        file.write(&store.to_bytes()).map_err(at(&fresh))?;
        file.sync().map_err(at(&fresh))?;
        Store::read(&*self.disk, &fresh)?.check(&*self.roots)?;
        self.disk.rename(&fresh, path).map_err(at(path))?;
        let folder = path.parent().unwrap_or(path);
        self.disk.sync_folder(folder).map_err(at(folder))
    }
}
