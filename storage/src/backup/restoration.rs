//! What a restore has still to bring, as a file of the office's folder: whoever looks for audio asks it.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rules::{JstDay, RecordingId};
use serde::{Deserialize, Serialize};

use super::{BackupFault, at};
use crate::{
    files::{Disk, MODE_SECRET, remove_if_there},
    layout::Layout,
    lock::{self, LockFault},
    vault::{Vault, VaultFault},
};

/// A path and at most some hundred days.
const MAX_BYTES: usize = 64 * 1024;

/// A restore that has not brought everything yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoration {
    /// The backup.
    from: PathBuf,
    /// What began later is in no backup.
    begun_at: Timestamp,
    stage: Stage,
    /// The days whose audio is awaited.
    days: BTreeSet<JstDay>,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// Rows may be there that have no key any more, so nobody reads any.
    Rows,
    /// Rows are as today's keys say; audio is awaited.
    Audio,
}

impl Restoration {
    pub(super) fn begin(from: &Path, now: Timestamp) -> Restoration {
        Restoration {
            from: from.to_owned(),
            begun_at: now,
            stage: Stage::Rows,
            days: BTreeSet::new(),
        }
    }

    /// The restore that goes on, if one does.
    ///
    /// # Errors
    /// [`VaultFault::Disk`] if that cannot be told.
    pub fn read(disk: &dyn Disk, layout: &Layout) -> Result<Option<Restoration>, VaultFault> {
        let path = layout.restoration();
        let bytes = match disk.read_short(&path, MAX_BYTES) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other,
        };
        let read = bytes.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        match read {
            Ok(restoration) => Ok(Some(restoration)),
            Err(source) => Err(VaultFault::Disk { path, source }),
        }
    }

    /// Whether nobody may read a row, because some may have no key any more. What cannot be read says so too.
    pub(crate) fn keeps_rows(disk: &dyn Disk, layout: &Layout) -> bool {
        match Restoration::read(disk, layout) {
            Ok(Some(restoration)) => restoration.stage == Stage::Rows,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// The backup.
    #[must_use]
    pub fn from(&self) -> &Path {
        &self.from
    }

    /// The days whose audio is awaited, the oldest first.
    #[must_use]
    pub fn days(&self) -> &BTreeSet<JstDay> {
        &self.days
    }

    /// Whether rows are restored, so that only audio is awaited.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        self.stage == Stage::Audio
    }

    /// Whether the audio of a recording of that day may be still to come.
    pub(crate) fn may_bring(&self, day: JstDay, recording: RecordingId) -> bool {
        self.days.contains(&day) && recording.made_at() < self.begun_at
    }

    pub(super) fn await_day(&mut self, day: JstDay) {
        self.days.insert(day);
    }

    pub(super) fn note_rows(&mut self) {
        self.stage = Stage::Audio;
    }

    pub(super) fn note_brought(&mut self, day: JstDay) {
        self.days.remove(&day);
    }

    /// Makes durable how far it has come; what has nothing left to bring is no restore any more.
    pub(super) fn keep(&self, disk: &dyn Disk, layout: &Layout) -> Result<(), BackupFault> {
        if self.has_rows() && self.days.is_empty() {
            return forget(disk, layout);
        }
        let path = layout.restoration();
        let bytes = serde_json::to_vec(self).expect("a path and days are JSON");
        disk.replace(&path, &bytes, MODE_SECRET).map_err(at(&path))
    }
}

pub(super) fn forget(disk: &dyn Disk, layout: &Layout) -> Result<(), BackupFault> {
    let path = layout.restoration();
    remove_if_there(disk, &path).map_err(at(&path))?;
    let folder = layout.office();
    disk.sync_folder(&folder).map_err(at(&folder))
}

impl Vault {
    /// Whether the audio of a recording is still to be brought by a restore. Its first segment comes last.
    ///
    /// # Errors
    /// [`VaultFault::Disk`] if that cannot be told.
    pub fn awaits(&self, day: JstDay, recording: RecordingId) -> Result<bool, VaultFault> {
        let restoration = Restoration::read(&*self.disk, self.layout())?;
        if !restoration.is_some_and(|restoration| restoration.may_bring(day, recording)) {
            return Ok(false);
        }
        let files = self.segments(day, recording)?;
        Ok(files.first().is_none_or(|file| file.segment != 0))
    }

    /// Whether audio of a day is still to be brought by a restore.
    ///
    /// # Errors
    /// [`VaultFault::Disk`] if that cannot be told.
    pub(crate) fn awaits_some(&self, day: JstDay) -> Result<bool, VaultFault> {
        let restoration = Restoration::read(&*self.disk, self.layout())?;
        Ok(restoration.is_some_and(|restoration| restoration.days.contains(&day)))
    }
}

/// Whoever restores, and nobody else meanwhile.
#[derive(Debug)]
pub(super) struct Alone {
    _file: File,
}

impl Alone {
    pub(super) fn begin(layout: &Layout) -> Result<Alone, LockFault> {
        let path = layout.office().join("restore.lock");
        let file = lock::take(&path, MODE_SECRET, "restore")?;
        Ok(Alone { _file: file })
    }
}
