//! What has a key, for whoever brings something back: looked at beside an office that may be destroying.

use std::{collections::BTreeSet, sync::Arc};

use rules::{Digest, JstDay, RecordingId};

use super::{Keys, RootProvider, Sealed, fault::KeyFault, store::Store};
use crate::{
    files::Disk, group::Group, layout::Layout, object::Object, seal::SealedFields, secret::sha256,
};

/// What has a key at one moment.
pub(crate) struct Living {
    store: Store,
    held: BTreeSet<RecordingId>,
    roots: Arc<dyn RootProvider>,
}

impl Keys {
    /// What has a key.
    pub(crate) fn living(&self) -> Living {
        Living::of(self.store.clone(), Arc::clone(&self.ring.roots))
    }
}

impl Living {
    fn of(store: Store, roots: Arc<dyn RootProvider>) -> Living {
        Living {
            held: store.held().into_values().flatten().collect(),
            store,
            roots,
        }
    }

    /// As the disk has it.
    ///
    /// # Errors
    /// [`KeyFault`] if the store cannot be read.
    pub(crate) fn read(
        disk: &dyn Disk,
        layout: &Layout,
        roots: Arc<dyn RootProvider>,
    ) -> Result<Living, KeyFault> {
        let store = Store::read(disk, &layout.key_store())?;
        Ok(Living::of(store, roots))
    }

    /// Whether a day has a key.
    pub(crate) fn has_day(&self, day: JstDay) -> bool {
        self.store.groups.contains_key(&Group::Day(day))
    }

    /// Whether some of a living day may have no key: only a renewal leaves one out.
    pub(crate) fn tells_apart(&self, day: JstDay) -> bool {
        let newest = self.store.newest(Group::Day(day));
        newest.is_ok_and(|pair| pair.generation > 1)
    }

    /// The recordings that cases hold.
    pub(crate) fn held(&self) -> &BTreeSet<RecordingId> {
        &self.held
    }

    /// Whether every key that an object was sealed to is destroyed. One that is damaged is not: it is evidence.
    ///
    /// # Errors
    /// [`KeyFault`] where that cannot be told, because the root or the store cannot be read.
    pub(crate) fn has_destroyed(&self, sealed: &Sealed) -> Result<bool, KeyFault> {
        let opened = self
            .store
            .open_key(&*self.roots, sealed.object, &sealed.first);
        match opened {
            Ok(_) | Err(KeyFault::Secret(_)) => Ok(false),
            Err(KeyFault::Destroyed { .. }) => Ok(true),
            Err(fault) => Err(fault),
        }
    }
    /// The SHA-256 of a sealed text and its salt, as its entry has it; `None` where no key opens it.
    ///
    /// # Errors
    /// [`KeyFault`] where that cannot be told, because the root or the store cannot be read.
    pub(crate) fn digest_of(
        &self,
        object: Object,
        text: &SealedFields,
    ) -> Result<Option<Digest>, KeyFault> {
        let key = match self.store.open_key(&*self.roots, object, text.sealed_to()) {
            Ok(key) => key,
            Err(KeyFault::Secret(_) | KeyFault::Destroyed { .. }) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let salted = text.open(object, &key).ok();
        Ok(salted.map(|salted| Digest(sha256(&[&salted]))))
    }
}
