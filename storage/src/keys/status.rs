//! What keys there are, for whoever may look: it gives no half away and changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use jiff::Timestamp;
use rules::{CaseId, RecordingId};

use super::{
    fault::KeyFault,
    folder_roots,
    mirror::{self, Mirror, Standing},
    ring::KeyRing,
    store::Store,
    told::told_generation,
};
use crate::{files::Disk, group::Group, layout::Layout};

/// The key store and its mirrors at one moment.
#[derive(Debug)]
pub struct KeyStatus {
    /// The generation of the root.
    pub generation: u32,
    /// When it was made; the first version did not write that down.
    pub rooted_at: Option<Timestamp>,
    /// The groups that have keys.
    pub groups: Vec<GroupStatus>,
    /// The recordings that living cases hold, by case.
    pub held: BTreeMap<CaseId, BTreeSet<RecordingId>>,
    /// The mirrors of the configuration, and those that it names no more and nobody ended.
    pub mirrors: Vec<(PathBuf, Standing)>,
}

/// A group that has keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// Which.
    pub group: Group,
    /// The generation of its newest pair.
    pub generation: u32,
    /// Recordings that a case holds; the rows count those of a day.
    pub held: u64,
}

impl KeyStatus {
    /// Opens every half once, as the next start does, and changes nothing.
    ///
    /// # Errors
    /// [`KeyFault`] if store or root are missing, damaged, or not of one time.
    pub fn try_open(disk: &Arc<dyn Disk>, layout: &Layout) -> Result<(), KeyFault> {
        let ring = KeyRing::new(
            Arc::clone(disk),
            folder_roots(disk, layout),
            layout.key_store(),
        );
        let store = ring.read_checked()?;
        let told = told_generation(&**disk, layout);
        match told <= store.root {
            true => Ok(()),
            false => Err(KeyFault::TrailNewer {
                told,
                found: store.root,
            }),
        }
    }

    /// Looks.
    ///
    /// # Errors
    /// [`KeyFault`] if there is no key store, or it is damaged.
    pub fn read(disk: &Arc<dyn Disk>, layout: &Layout) -> Result<KeyStatus, KeyFault> {
        let store = Store::read(&**disk, &layout.key_store())?;
        let held = store.held();
        let groups = store.groups.iter().map(|(group, pairs)| GroupStatus {
            group: *group,
            generation: pairs.last().map_or(0, |pair| pair.generation),
            held: match group {
                Group::Case(case) => held.get(case).map_or(0, |held| held.len() as u64),
                Group::Day(_) | Group::Register(_) => 0,
            },
        });
        let mirrors = layout.mirrors().iter();
        Ok(KeyStatus {
            generation: store.root,
            rooted_at: store.rooted_at,
            groups: groups.collect(),
            held,
            mirrors: mirrors
                .map(|folder| Mirror::new(disk, folder).look(&store))
                .chain(mirror::struck(&store, layout))
                .collect(),
        })
    }
}
