//! Sealing anew: a recording to a case that holds it, and everything but one recording to a new generation.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rules::{CaseId, JstDay, RecordingId};

use super::{Keys, fault::KeyFault, store::Store};
use crate::{
    group::Group,
    object::{Object, SealedTo},
    secret::{SealedKey, SecretFault},
};

/// An object, and the key that stands in its header or row.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) object: Object,
    pub(crate) first: SealedTo,
}

impl Keys {
    /// Seals the keys of objects to a case as well, so that they outlive their day. Safe to repeat.
    ///
    /// # Errors
    /// [`KeyFault`]; then the case holds none of them that it did not hold before.
    pub(crate) fn hold(&mut self, case: CaseId, objects: &[Sealed]) -> Result<(), KeyFault> {
        let group = Group::Case(case);
        let mut store = self.store.clone();
        if store.newest(group).is_err() {
            let pair = self.fresh_pair(group, 1)?;
            store.groups.insert(group, vec![pair]);
        }
        for sealed in objects {
            self.seal_anew(&mut store, group, sealed)?;
        }
        self.keep(store)
    }

    /// Begins a new generation of each group, which calls seal to from here on.
    ///
    /// The old ones still open: [`renew`](Keys::renew) follows when everything is listed that was sealed to them.
    ///
    /// # Errors
    /// [`KeyFault`]; nothing is destroyed.
    pub(crate) fn begin_renewal(&mut self, groups: &BTreeSet<Group>) -> Result<(), KeyFault> {
        self.settle()?;
        let mut store = self.store.clone();
        for group in groups {
            let generation = store.newest(*group)?.generation + 1;
            let pair = self.fresh_pair(*group, generation)?;
            store.groups.entry(*group).or_default().push(pair);
        }
        self.keep(store)?;
        let days = groups.iter().filter(|group| matches!(group, Group::Day(_)));
        days.copied().try_for_each(|group| self.publish(group))
    }

    /// The groups that a recording's keys are sealed to and that live.
    pub(crate) fn groups_of(&self, objects: &[Sealed]) -> BTreeSet<Group> {
        let further =
            |sealed: &Sealed| self.store.further.get(&sealed.object).into_iter().flatten();
        let groups = objects.iter().flat_map(|sealed| {
            let further = further(sealed).map(|key| key.group);
            further.chain([sealed.first.group]).collect::<Vec<_>>()
        });
        groups
            .filter(|group| self.store.groups.contains_key(group))
            .collect()
    }

    /// Seals some of the survivors of a coming [`renew`](Keys::renew) ahead, so that it finds little to do. Safe to repeat.
    ///
    /// # Errors
    /// [`KeyFault`]; then none of them is, which harms nothing: what they were sealed to before still opens.
    pub(crate) fn seal_ahead(
        &mut self,
        groups: &BTreeSet<Group>,
        survivors: &[Sealed],
    ) -> Result<(), KeyFault> {
        let mut store = self.store.clone();
        for sealed in survivors {
            self.seal_to_newest(&mut store, groups, sealed)?;
        }
        self.keep(store)
    }

    /// Parts a recording from groups: seals all `survivors` to the newest generation of their groups, and carries neither the
    /// older generations nor the recording's further keys over into the next root.
    ///
    /// # Errors
    /// [`KeyFault`]; unless the old root was already replaced, nothing is destroyed.
    pub(crate) fn renew(
        &mut self,
        groups: &BTreeSet<Group>,
        parting: &Parting,
        survivors: &[Sealed],
        now: Timestamp,
    ) -> Result<(), KeyFault> {
        let mut store = self.store.clone();
        for object in &parting.objects {
            match parting.fate {
                Fate::Destroyed => drop(store.further.remove(object)),
                Fate::Released => {
                    let keys = store.further.entry(*object).or_default();
                    keys.retain(|key| !groups.contains(&key.group));
                }
            }
        }
        // An object may be in the store alone: a case knows no files.
        let mut objects: BTreeMap<Object, SealedTo> = BTreeMap::new();
        for (object, keys) in &store.further {
            let mut keys = keys.iter().filter(|key| groups.contains(&key.group));
            if let Some(key) = keys.next() {
                objects.insert(*object, key.clone());
            }
        }
        let listed = survivors
            .iter()
            .map(|sealed| (sealed.object, sealed.first.clone()));
        objects.extend(listed.filter(|(object, _)| !parting.objects.contains(object)));
        for (object, first) in objects {
            self.seal_to_newest(&mut store, groups, &Sealed { object, first })?;
        }
        for group in groups {
            if let Some(pairs) = store.groups.get_mut(group) {
                pairs.drain(..pairs.len().saturating_sub(1));
            }
        }
        store.drop_idle_cases();
        if parting.fate == Fate::Destroyed {
            store.unburied.insert(parting.recording, parting.day);
        }
        self.replace_root(&store, now)
    }

    /// Seals an object to the newest generation of each of these groups that it is sealed to.
    fn seal_to_newest(
        &self,
        store: &mut Store,
        groups: &BTreeSet<Group>,
        sealed: &Sealed,
    ) -> Result<(), KeyFault> {
        let further = store.further.get(&sealed.object).into_iter().flatten();
        let sealed_to = further.chain([&sealed.first]).map(|key| key.group);
        let sealed_to: BTreeSet<Group> = sealed_to.collect();
        for group in sealed_to.intersection(groups) {
            match self.seal_anew(store, *group, sealed) {
                // What opens no more is not made worse, and keeps nothing else alive.
                Err(KeyFault::Secret(SecretFault::DoesNotOpen) | KeyFault::Destroyed { .. }) => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Puts a further key of an object into a store: its key, sealed to the group's newest generation.
    fn seal_anew(&self, store: &mut Store, group: Group, sealed: &Sealed) -> Result<(), KeyFault> {
        let pair = store.newest(group)?;
        let (generation, public) = (pair.generation, pair.public);
        let newest = |key: &SealedTo| key.group == group && key.generation == generation;
        let further = store.further.get(&sealed.object).into_iter().flatten();
        if further.chain([&sealed.first]).any(newest) {
            return Ok(());
        }
        let key = self
            .store
            .open_key(&*self.ring.roots, sealed.object, &sealed.first)?;
        let key = SealedKey::seal(&key, &sealed.object.info(), &public)?;
        let keys = store.further.entry(sealed.object).or_default();
        keys.retain(|key| key.group != group);
        keys.push(SealedTo::new(group, generation, &key));
        Ok(())
    }
}

/// A recording that leaves groups in which others stay.
pub(crate) struct Parting {
    pub(crate) recording: RecordingId,
    pub(crate) day: JstDay,
    /// Everything of it that has a key.
    pub(crate) objects: BTreeSet<Object>,
    pub(crate) fate: Fate,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// No key of it is left.
    Destroyed,
    /// It stays sealed to its other groups.
    Released,
}
