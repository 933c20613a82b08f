//! Audio brought back, day by day, while calls are carried and others listen: what a day has is heard as it arrives.
//!
//! Whatever is cut off goes on with the next run. Nothing is brought whose key is gone, and what was destroyed while it was
//! copied goes again before its day is done.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use rules::JstDay;

use super::{
    BackupFault, Restoration, at,
    copying::{Copied, copy_files},
    restoration::{self, Alone},
    restore::copy_of,
};
use crate::{
    dispose::{DisposalRecord, Subject},
    keys::{self, Living, RootProvider},
    layout::MODE_TAKEN_AWAY,
    vault::{SegmentFile, Vault},
};

/// So much is made durable with one sync: more would keep the recorder's own waiting.
const A_PART_BYTES: u64 = 64 * 1024 * 1024;
/// The same for files that are short.
const A_PART: usize = 500;

/// The second step of a restore.
pub struct AudioRestore<'vault> {
    vault: &'vault Vault,
    roots: Arc<dyn RootProvider>,
    backup: Vault,
    restoration: Restoration,
    _alone: Alone,
}

impl<'vault> AudioRestore<'vault> {
    /// Goes on with a restore; `None` where no audio is awaited.
    ///
    /// `from`: where the backup lies today, if elsewhere than when its rows were restored.
    ///
    /// # Errors
    /// [`BackupFault`] if rows come first, another process restores, or the backup is not there.
    pub fn resume(
        vault: &'vault Vault,
        from: Option<&Path>,
    ) -> Result<Option<AudioRestore<'vault>>, BackupFault> {
        let alone = Alone::begin(vault.layout())?;
        let Some(restoration) = Restoration::read(&*vault.disk, vault.layout())? else {
            return Ok(None);
        };
        if !restoration.has_rows() {
            return Err(BackupFault::RowsFirst {
                path: restoration.from().to_owned(),
            });
        }
        let copy = copy_of(from.unwrap_or(restoration.from()))?;
        Ok(Some(AudioRestore {
            roots: keys::folder_roots(&vault.disk, vault.layout()),
            backup: vault.beside(&copy),
            vault,
            restoration,
            _alone: alone,
        }))
    }

    /// Gives up what is still awaited: it counts as missing from here on.
    ///
    /// # Returns
    /// The days of which something was.
    ///
    /// # Errors
    /// [`BackupFault`] if rows come first, or another process restores.
    pub fn give_up(vault: &Vault) -> Result<Vec<JstDay>, BackupFault> {
        let _alone = Alone::begin(vault.layout())?;
        let Some(restoration) = Restoration::read(&*vault.disk, vault.layout())? else {
            return Ok(Vec::new());
        };
        if !restoration.has_rows() {
            return Err(BackupFault::RowsFirst {
                path: restoration.from().to_owned(),
            });
        }
        restoration::forget(&*vault.disk, vault.layout())?;
        Ok(restoration.days().iter().copied().collect())
    }

    /// The days that are awaited, those first that are nearest to their end.
    #[must_use]
    pub fn days(&self) -> BTreeSet<JstDay> {
        self.restoration.days().clone()
    }

    /// Brings what a day lacks.
    ///
    /// # Returns
    /// How many segments were brought.
    ///
    /// # Errors
    /// [`BackupFault`]; the day is still awaited, and bringing it again goes on.
    pub fn bring_day(&mut self, day: JstDay) -> Result<u64, BackupFault> {
        let files = missing(&self.living()?, &self.backup, self.vault, day)?;
        let (mut brought, mut first_fault) = (0, None);
        for part in self.parts(files) {
            match self.bring_part(day, &part) {
                Ok(files) => brought += files,
                Err(_) => {
                    let (files, fault) = self.bring_one_by_one(day, &part);
                    brought += files;
                    first_fault = first_fault.or(fault);
                }
            }
        }
        self.purge(day)?;
        if let Some(fault) = first_fault {
            return Err(fault);
        }
        self.restoration.note_brought(day);
        let (disk, layout) = (&*self.vault.disk, self.vault.layout());
        self.restoration.keep(disk, layout)?;
        Ok(brought)
    }

    fn parts(&self, files: Vec<SegmentFile>) -> Vec<Vec<SegmentFile>> {
        let mut parts: Vec<Vec<SegmentFile>> = Vec::new();
        let mut bytes = 0;
        for file in files {
            // What cannot be looked at tells why when it is copied.
            let length = self.backup.disk.len(&self.backup.path(&file)).unwrap_or(0);
            match parts.last_mut() {
                Some(part) if part.len() < A_PART && bytes + length <= A_PART_BYTES => {
                    part.push(file);
                    bytes += length;
                }
                Some(_) | None => {
                    parts.push(vec![file]);
                    bytes = length;
                }
            }
        }
        parts
    }

    fn bring_part(&self, day: JstDay, part: &[SegmentFile]) -> Result<u64, BackupFault> {
        let living = self.living()?;
        let mut files = Vec::with_capacity(part.len());
        for file in part {
            if lives(&living, &self.backup, self.vault, file)? {
                files.push(Copied {
                    source: self.backup.path(file),
                    target: self.vault.path(file),
                });
            }
        }
        if files.is_empty() {
            return Ok(0);
        }
        let (disk, folder) = (&*self.vault.disk, self.vault.folder(day));
        disk.make_folder(&folder, MODE_TAKEN_AWAY)
            .map_err(at(&folder))?;
        let named: Vec<PathBuf> = copy_files(disk, &folder, &files)?;
        Ok(named.len() as u64)
    }

    /// Brings what can be brought of a part in which something cannot: of a recording all segments or none more.
    fn bring_one_by_one(&self, day: JstDay, part: &[SegmentFile]) -> (u64, Option<BackupFault>) {
        let (mut brought, mut first_fault, mut left) = (0, None, BTreeSet::new());
        for file in part {
            if left.contains(&file.recording) {
                continue;
            }
            match self.bring_part(day, std::slice::from_ref(file)) {
                Ok(files) => brought += files,
                Err(fault) => {
                    left.insert(file.recording);
                    first_fault.get_or_insert(fault);
                }
            }
        }
        (brought, first_fault)
    }

    /// Removes what the office has destroyed while it was copied: keys that are there after the last name were there before it.
    fn purge(&self, day: JstDay) -> Result<(), BackupFault> {
        let living = self.living()?;
        let mut dead = BTreeSet::new();
        for file in self.vault.files(day)? {
            if !file.is_open() && !lives(&living, self.vault, self.vault, &file)? {
                dead.insert(file.recording);
            }
        }
        let folder = self.vault.folder(day);
        if !self.vault.remove_recordings(day, &dead)?.is_empty() {
            return Err(BackupFault::NotRemoved { path: folder });
        }
        if !living.has_day(day) {
            // It stays where something of it is held.
            let _ = self.vault.disk.remove_folder(&folder);
        }
        Ok(())
    }

    /// What has a key at this moment: the office may destroy meanwhile.
    fn living(&self) -> Result<Living, BackupFault> {
        let roots = Arc::clone(&self.roots);
        Ok(Living::read(&*self.vault.disk, self.vault.layout(), roots)?)
    }
}

/// The closed segments of a day of the backup that have a key and are not here. A recording's first segment comes last: where it is, all are.
pub(super) fn missing(
    living: &Living,
    backup: &Vault,
    vault: &Vault,
    day: JstDay,
) -> Result<Vec<SegmentFile>, BackupFault> {
    if !living.has_day(day) && living.held().is_empty() {
        return Ok(Vec::new());
    }
    let here: BTreeSet<SegmentFile> = vault.files(day)?.into_iter().collect();
    let mut files = backup.files(day)?;
    files.retain(|file| !file.is_open() && !here.contains(file));
    let mut missing = Vec::new();
    for file in files {
        if lives(living, backup, vault, &file)? {
            missing.push(file);
        }
    }
    missing.sort_by(|one, other| {
        let by_recording = one.recording.cmp(&other.recording);
        by_recording.then(other.segment.cmp(&one.segment))
    });
    Ok(missing)
}

/// Whether a key of a segment is left. What cannot be read is damaged, not dead: it stays as evidence while its day has a key.
pub(super) fn opens(
    living: &Living,
    place: &Vault,
    file: &SegmentFile,
) -> Result<bool, BackupFault> {
    match place.sealed(file)? {
        Some(sealed) => Ok(!living.has_destroyed(&sealed)?),
        None => Ok(true),
    }
}

/// Whether a file that lies in `place` has a key.
fn lives(
    living: &Living,
    place: &Vault,
    vault: &Vault,
    file: &SegmentFile,
) -> Result<bool, BackupFault> {
    if !living.has_day(file.day) || living.held().contains(&file.recording) {
        return Ok(living.held().contains(&file.recording));
    }
    if !living.tells_apart(file.day) {
        return Ok(true);
    }
    let subject = Subject::Recording(file.recording);
    let record = DisposalRecord::read(&*vault.disk, vault.layout(), subject)?;
    Ok(record.is_none() && opens(living, place, file)?)
}
