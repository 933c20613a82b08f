//! Backup and restore: rows, audio, audit trail and records of disposals. Never a root, never a key store.
//!
//! A backup may be as old as it likes. What is restored is measured by today's key store: a row or a file whose
//! key is gone does not come back, or goes again, before anybody may listen. So [`restore`] needs both duties' locks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rules::{Fault, JstDay, RecordingId};
use rustix::fs::OFlags;
use thiserror::Error;

use crate::{
    catalogue::{Catalogue, CatalogueFault},
    dispose::{DisposalRecord, RecordFault, Subject},
    files::{Disk, MODE_SHARED, OsDisk, fresh_name, list_if_there, open_ordinary, remove_if_there},
    group::Group,
    keys::{KeyFault, Keys},
    layout::{Layout, MODE_TAKEN_AWAY},
    lock::Lock,
    vault::{SegmentFile, Vault, VaultFault},
};

/// What a backup holds, or a restore brought back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Rows of calls.
    pub rows: u64,
    /// Segments.
    pub files: u64,
    /// Recordings whose key is gone: their rows are tombstones and their files are removed.
    pub purged: u64,
}

/// Copies rows, closed segments, audit trail and records of disposals into a new folder.
///
/// The catalogue is copied by SQLite itself, beside a writer. Segments that are still written are left out.
///
/// # Errors
/// [`BackupFault`]; what was copied so far stays and is no backup.
pub async fn back_up(layout: &Layout, out: &Path) -> Result<Carried, BackupFault> {
    let new = fs::DirBuilder::new().mode(0o700).create(out);
    new.map_err(at(out))?;
    let copy = Layout::new(out.join("data"), out.join("root-is-in-no-backup"));
    for folder in [copy.office(), copy.calls(), copy.vault()] {
        fs::create_dir_all(&folder).map_err(at(&folder))?;
    }
    let mut catalogue = Catalogue::open_read_only(layout).await?;
    let rows = catalogue.copy_to(&copy.catalogue()).await?;
    catalogue.close().await?;
    for (from, to) in [
        (layout.calls_audit(), copy.calls_audit()),
        (layout.office_audit(), copy.office_audit()),
        (layout.disposals(), copy.disposals()),
    ] {
        copy_missing(&from, &to, |_| true)?;
    }
    let mut files = 0;
    for day in days_in(&layout.vault())? {
        let is_whole = |name: &str| !name.ends_with(".open.krec") && !name.ends_with(".new");
        files += copy_missing(&layout.vault_day(day), &copy.vault_day(day), is_whole)?;
    }
    Ok(Carried {
        rows,
        files,
        purged: 0,
    })
}

/// What came of a restore.
#[derive(Debug, Default)]
pub struct Restored {
    /// What was brought back and purged.
    pub carried: Carried,
    /// Days that could not be brought back or purged as a whole, each with the reason. No key opens what is left of the dead;
    /// restoring again goes on.
    pub left: BTreeMap<JstDay, BackupFault>,
}

/// Brings back what a backup holds and this folder lacks, and purges whatever has no key any more. The backup's people stay in it:
/// the register takes up what the trail says.
///
/// `_held`: nobody records, listens or disposes meanwhile. The audit trail of this folder stays as it is, if it has one.
///
/// # Errors
/// [`BackupFault`]; restoring again goes on.
pub async fn restore(
    layout: &Layout,
    vault: &Vault,
    keys: &Keys,
    from: &Path,
    _held: &[Lock; 2],
) -> Result<Restored, BackupFault> {
    let copy = Layout::new(from.join("data"), from.join("root-is-in-no-backup"));
    if !copy.catalogue().exists() {
        return Err(BackupFault::NoBackup {
            path: from.to_owned(),
        });
    }
    for (there, here) in [
        (copy.calls_audit(), layout.calls_audit()),
        (copy.office_audit(), layout.office_audit()),
    ] {
        if is_empty(&here)? {
            copy_missing(&there, &here, |_| true)?;
        }
    }
    copy_missing(&copy.disposals(), &layout.disposals(), |_| true)?;
    let (rows, mut catalogue) = restore_rows(layout, &copy).await?;
    let mut restored = Restored::default();
    restored.carried.rows = rows;
    for day in days_in(&copy.vault())? {
        match copy_missing(&copy.vault_day(day), &layout.vault_day(day), |_| true) {
            Ok(files) => restored.carried.files += files,
            Err(fault) => drop(restored.left.insert(day, fault)),
        }
    }
    let mut days: BTreeSet<JstDay> = vault.days()?.into_iter().collect();
    days.extend(catalogue.days().await?);
    let living = Living::of(keys);
    for day in days {
        match living.purge(layout, vault, &mut catalogue, day).await {
            Ok(purged) => restored.carried.purged += purged,
            Err(fault) => drop(restored.left.insert(day, fault)),
        }
    }
    catalogue.compare(&OsDisk, layout).await?;
    catalogue.close().await?;
    Ok(restored)
}

/// Takes rows over from the backup's catalogue that are not known here.
async fn restore_rows(layout: &Layout, copy: &Layout) -> Result<(u64, Catalogue), BackupFault> {
    // Opened as a copy of its own, so that an old one is brought up to date and the backup stays as it is.
    let beside = layout.office().join("restoring");
    let _ = fs::remove_dir_all(&beside);
    let restoring = Layout::new(&beside, beside.join("root"));
    fs::create_dir_all(restoring.office()).map_err(at(&beside))?;
    let path = restoring.catalogue();
    fs::copy(copy.catalogue(), &path).map_err(at(&path))?;
    let taken = take_over(layout, &restoring).await;
    // What the backup's rows say of disposed recordings must not stay in a file, whatever came of it.
    OsDisk.overwrite(&path).map_err(at(&path))?;
    fs::remove_dir_all(&beside).map_err(at(&beside))?;
    Ok(taken?)
}

async fn take_over(
    layout: &Layout,
    restoring: &Layout,
) -> Result<(u64, Catalogue), CatalogueFault> {
    Catalogue::open(restoring).await?.close().await?;
    let mut catalogue = Catalogue::open(layout).await?;
    let rows = catalogue.take_over(&restoring.catalogue()).await?;
    Ok((rows, catalogue))
}

/// What has a key.
struct Living<'keys> {
    keys: &'keys Keys,
    groups: BTreeSet<Group>,
    held: BTreeSet<RecordingId>,
}

impl<'keys> Living<'keys> {
    fn of(keys: &'keys Keys) -> Living<'keys> {
        Living {
            keys,
            groups: keys.groups().collect(),
            held: keys.held().into_values().flatten().collect(),
        }
    }

    /// Takes down to tombstones, and removes, whatever of a day no key opens any more, and counts it.
    async fn purge(
        &self,
        layout: &Layout,
        vault: &Vault,
        catalogue: &mut Catalogue,
        day: JstDay,
    ) -> Result<u64, BackupFault> {
        let fixed = vault.fixed_expiry(day).ok().flatten();
        let expires_at = fixed.unwrap_or_else(|| vault.policy_expiry(day));
        let rows = catalogue.rows_of(day).await?;
        let files = vault.files(day)?;
        let mut dead = self.dead_files(vault, &files)?;
        let left = match self.groups.contains(&Group::Day(day)) {
            true => {
                // One that was disposed of by itself may have had no closed file when the backup was made.
                for recording in &rows.living {
                    let subject = Subject::Recording(*recording);
                    if DisposalRecord::read(&OsDisk, layout, subject)?.is_some() {
                        dead.insert(*recording);
                    }
                }
                for recording in &dead {
                    catalogue.bury_one(*recording, day, expires_at).await?;
                }
                vault.remove_recordings(day, &dead)?
            }
            false => {
                // Of a day without a key only what is held has one; rows go with it, unrecorded calls too.
                let all: BTreeSet<RecordingId> = files.iter().map(|file| file.recording).collect();
                let known = rows.living.union(&all);
                dead.extend(known.filter(|recording| !self.held.contains(recording)));
                let strays: Vec<RecordingId> = dead.difference(&rows.recordings).copied().collect();
                catalogue.bury(day, expires_at, &strays, &self.held).await?;
                vault.remove_segments(day, &self.held)?
            }
        };
        match left.is_empty() {
            true => Ok(dead.len() as u64),
            false => Err(BackupFault::NotRemoved {
                path: layout.vault_day(day),
            }),
        }
    }

    /// The recordings of these files whose keys are destroyed.
    fn dead_files(
        &self,
        vault: &Vault,
        files: &[SegmentFile],
    ) -> Result<BTreeSet<RecordingId>, BackupFault> {
        let mut dead = BTreeSet::new();
        for file in files {
            // What cannot be read is damaged, not dead: it stays as evidence while its day has a key.
            let is_dead = match vault.sealed(file)? {
                Some(sealed) => self.keys.has_destroyed(&sealed)?,
                None => false,
            };
            if is_dead && !self.held.contains(&file.recording) {
                dead.insert(file.recording);
            }
        }
        Ok(dead)
    }
}

/// Copies the files of a folder that are not there yet, each whole or not at all.
fn copy_missing(
    from: &Path,
    to: &Path,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<u64, BackupFault> {
    let entries = match fs::read_dir(from) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other.map_err(at(from))?,
    };
    OsDisk.make_folder(to, MODE_TAKEN_AWAY).map_err(at(to))?;
    let mut written = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let is_wanted = entry.file_name().to_str().is_some_and(&is_wanted);
        // A link or a pipe is nothing that the service made.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_wanted || !is_file || target.exists() {
            continue;
        }
        let fresh = fresh_name(&target);
        match copy_bytes(&source, &fresh) {
            // Its day was disposed of meanwhile.
            Err(fault) if fault.kind() == io::ErrorKind::NotFound && !source.exists() => {}
            copied => {
                copied.map_err(at(&target))?;
                written.push((fresh, target));
            }
        }
    }
    // All are made durable together, and named then: a name stands for a whole file.
    OsDisk.sync_all(to).map_err(at(to))?;
    for (fresh, target) in &written {
        fs::rename(fresh, target).map_err(at(target))?;
    }
    OsDisk.sync_folder(to).map_err(at(to))?;
    let is_segment = |(_, target): &&(PathBuf, PathBuf)| {
        target.extension().is_some_and(|ending| ending == "krec")
    };
    Ok(written.iter().filter(is_segment).count() as u64)
}

fn copy_bytes(source: &Path, fresh: &Path) -> io::Result<()> {
    let mut from = open_ordinary(source, OFlags::RDONLY)?;
    remove_if_there(&OsDisk, fresh)?;
    let mut to = OsDisk.create(fresh, MODE_SHARED)?;
    let mut piece = vec![0; 64 * 1024];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            length => to.write(&piece[..length])?,
        }
    }
}

fn days_in(vault: &Path) -> Result<Vec<JstDay>, BackupFault> {
    let names = list_if_there(&OsDisk, vault).map_err(at(vault))?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

fn is_empty(folder: &Path) -> Result<bool, BackupFault> {
    let names = list_if_there(&OsDisk, folder).map_err(at(folder))?;
    Ok(names.is_empty())
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
    /// The disk refused.
    #[error("{} cannot be used ({source}); check free space, the disk and the file's owner", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The rows.
    #[error(transparent)]
    Catalogue(#[from] CatalogueFault),
    /// The audio.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// The keys.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// A record of a disposal.
    #[error(transparent)]
    Record(#[from] RecordFault),
}

impl BackupFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            BackupFault::NoBackup { .. } => Fault::Operator,
            BackupFault::NotRemoved { .. } | BackupFault::Disk { .. } | BackupFault::Record(_) => {
                Fault::Resource
            }
            BackupFault::Catalogue(fault) => fault.fault(),
            BackupFault::Vault(fault) => fault.fault(),
            BackupFault::Key(fault) => fault.fault(),
        }
    }
}
