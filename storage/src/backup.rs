//! Backup and restore: rows, audio, audit trail with its tiles, and records of disposals. Never a root, never a key store.
//!
//! A backup may be as old as it likes. What is restored is measured by today's key store: a row or a file whose
//! key is gone does not come back, or goes again, before anybody may listen. [`restore`] needs both duties' locks
//! and reads no audio; [`AudioRestore`] brings that while calls are carried and others listen.
//! Why it is two steps: `docs/decisions/0014-a-restore-in-two-steps.md`.

mod audio;
mod chain;
mod copying;
mod restoration;
mod restore;
mod tiles;

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rules::{Fault, JstDay};
use thiserror::Error;

use self::copying::copy_missing;
pub use self::{
    audio::AudioRestore,
    restoration::Restoration,
    restore::{Restored, restore},
};
use crate::{
    catalogue::{Catalogue, CatalogueFault},
    dispose::RecordFault,
    files::{OsDisk, list_if_there},
    heads::SignFault,
    keys::KeyFault,
    layout::{Layout, MODE_TAKEN_AWAY},
    lock::{Duty, LockFault},
    trail::AuditFault,
    vault::VaultFault,
};

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Rows of calls.
    pub rows: u64,
    /// Segments.
    pub files: u64,
}

/// Copies rows, closed segments, audit trail with its tiles, and records of disposals into a new folder.
///
/// The catalogue is copied by SQLite itself, beside a writer. Segments that are still written are left out.
///
/// # Errors
/// [`BackupFault`]; what was copied so far stays and is no backup.
pub async fn back_up(layout: &Layout, out: &Path) -> Result<Carried, BackupFault> {
    if let Some(restoration) = Restoration::read(&OsDisk, layout)? {
        return Err(BackupFault::Restoring {
            path: restoration.from().to_owned(),
        });
    }
    let new = fs::DirBuilder::new().mode(0o700).create(out);
    new.map_err(at(out))?;
    let copy = Layout::new(out.join("data"), out.join("root-is-in-no-backup"));
    for folder in [copy.office(), copy.calls(), copy.vault()] {
        fs::create_dir_all(&folder).map_err(at(&folder))?;
    }
    let mut catalogue = Catalogue::open_read_only(layout).await?;
    let rows = catalogue.copy_to(&copy.catalogue()).await?;
    catalogue.close().await?;
    // The office's last: it tells who decided that months of either are gone.
    for chain in [Duty::Calls, Duty::Office] {
        chain::back_up(layout, &copy, chain)?;
    }
    let (from, to) = (layout.disposals(), copy.disposals());
    copy_missing(&OsDisk, &from, &to, MODE_TAKEN_AWAY, |_| true)?;
    let mut files = 0;
    for day in days_in(&layout.vault())? {
        let is_whole = |name: &str| !name.ends_with(".open.krec") && !name.ends_with(".new");
        let (from, to) = (layout.vault_day(day), copy.vault_day(day));
        files += copy_missing(&OsDisk, &from, &to, MODE_TAKEN_AWAY, is_whole)?;
    }
    Ok(Carried { rows, files })
}

fn days_in(vault: &Path) -> Result<Vec<JstDay>, BackupFault> {
    let names = list_if_there(&OsDisk, vault).map_err(at(vault))?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupFault {
    let path = path.to_owned();
    move |source| BackupFault::Disk { path, source }
}

/// Why a backup was not made, or not brought back.
#[derive(Debug, Error)]
pub enum BackupFault {
    /// The folder holds no backup.
    #[error("{} holds no backup of denwaban, expected data/office/catalogue.db in it", path.display())]
    NoBackup {
        /// The folder.
        path: PathBuf,
    },
    /// Something without a key is still there.
    #[error("files in {} could not be removed although no key opens them; remove them by hand and restore again", path.display())]
    NotRemoved {
        /// The day's folder.
        path: PathBuf,
    },
    /// The trail that is here has a register of its own.
    #[error("{} tells of people or decisions and does not go on from the backup's trail, so the two cannot be one; nothing was changed: keep data as evidence, and restore into a folder without it", path.display())]
    Parted {
        /// The chain's folder.
        path: PathBuf,
    },
    /// Tiles of a backup are not those of the trail that is here.
    #[error("{} does not lead to the trail that stands here, so it was not brought back; keep it as evidence, and see whether another backup holds it", path.display())]
    TilesDiffer {
        /// The tile, or the head beside them.
        path: PathBuf,
    },
    /// A trail was changed while it was copied.
    #[error("heads were signed, or months removed, each time that {} was copied; make the backup once more, into another folder", path.display())]
    Moving {
        /// The chain's folder.
        path: PathBuf,
    },
    /// A copy is not what was read.
    #[error("{} is not what was copied; check the disk and its memory, and do it again", path.display())]
    NotTheSame {
        /// The copy.
        path: PathBuf,
    },
    /// A restore was cut off before its rows were there.
    #[error("the restore from {} was cut off before its rows were there; stop denwaban and restore --from it again", path.display())]
    RowsFirst {
        /// The backup.
        path: PathBuf,
    },
    /// A backup of what is still being restored would lack audio.
    #[error("audio of {} is still awaited, so a backup would lack it; bring it by restore --audio, or give it up by restore --give-up", path.display())]
    Restoring {
        /// The backup that is being restored.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("{} cannot be used ({source}); check free space, the disk and the file's owner", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The trail.
    #[error(transparent)]
    Trail(#[from] AuditFault),
    /// The head beside tiles.
    #[error(transparent)]
    Head(#[from] SignFault),
    /// The rows.
    #[error(transparent)]
    Catalogue(#[from] CatalogueFault),
    /// The audio.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// The keys.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// Another process restores.
    #[error(transparent)]
    Lock(#[from] LockFault),
    /// A record of a disposal.
    #[error(transparent)]
    Record(#[from] RecordFault),
}

impl BackupFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            BackupFault::NoBackup { .. }
            | BackupFault::Parted { .. }
            | BackupFault::RowsFirst { .. }
            | BackupFault::Restoring { .. } => Fault::Operator,
            BackupFault::TilesDiffer { .. }
            | BackupFault::Moving { .. }
            | BackupFault::NotTheSame { .. }
            | BackupFault::NotRemoved { .. }
            | BackupFault::Disk { .. }
            | BackupFault::Record(_) => Fault::Resource,
            BackupFault::Trail(fault) => fault.fault(),
            BackupFault::Head(fault) => fault.fault(),
            BackupFault::Catalogue(fault) => fault.fault(),
            BackupFault::Vault(fault) => fault.fault(),
            BackupFault::Key(fault) => fault.fault(),
            BackupFault::Lock(fault) => fault.fault(),
        }
    }
}
