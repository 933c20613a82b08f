//! Rows, trail and records of disposals brought back, and whatever has no key taken down, before anybody reads a row.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use jiff::Timestamp;
use rules::{JstDay, RecordingId};

use super::{
    BackupFault, at,
    audio::{missing, opens},
    chain::ChainRestore,
    copying::copy_missing,
    days_in,
    restoration::{Alone, Restoration},
};
use crate::{
    catalogue::{Catalogue, CatalogueFault},
    dispose::{DisposalRecord, Subject},
    files::{Disk, OsDisk},
    keys::{Keys, Living},
    layout::{Layout, MODE_OWN, MODE_TAKEN_AWAY},
    lock::{Duty, Lock},
    people::CarriedText,
    vault::{SegmentFile, Vault, VaultFault},
};

/// What came of a restore.
#[derive(Debug, Default)]
pub struct Restored {
    /// Rows of calls that were not known here.
    pub rows: u64,
    /// Recordings whose key is gone: their rows are tombstones, and files of them that were here are removed.
    pub purged: u64,
    /// Segments of them that were here.
    pub removed: u64,
    /// Segments that [`AudioRestore`](super::AudioRestore) has still to bring.
    pub awaited: u64,
    /// Tiles of the trail that stay in the backup, each with the reason: the trail is restored, and what they prove of removed months is not.
    pub tiles_left: Vec<BackupFault>,
    /// Days of which something could not be read or removed, each with the reason. Their rows are as the keys say; restoring again goes on.
    pub left: BTreeMap<JstDay, BackupFault>,
}

/// Brings rows, trail and records of disposals back that this folder lacks, and purges whatever has no key any more. The backup's people
/// stay in it: the register takes up what the trail says, and of the backup's texts those that belong to it. Audio is awaited from here on.
///
/// Cut off at any point, no row is read by anybody until it is done again.
///
/// `_held`: nobody records, listens or disposes meanwhile. An audit chain of this folder that goes on where the backup's ends stays as it is;
/// what was written since the folder was lost follows the backup's.
///
/// # Errors
/// [`BackupFault`]; restoring again goes on.
pub async fn restore(
    vault: &Vault,
    keys: &Keys,
    from: &Path,
    now: Timestamp,
    _held: &[Lock; 2],
) -> Result<Restored, BackupFault> {
    let (disk, layout) = (&*vault.disk, vault.layout());
    let copy = copy_of(from)?;
    let _alone = Alone::begin(layout)?;
    let judge = |chain| ChainRestore::judge(&vault.disk, layout, &copy, chain);
    let chains = [judge(Duty::Calls)?, judge(Duty::Office)?];
    let mut restoration = Restoration::begin(from, now);
    restoration.keep(disk, layout)?;
    let mut restored = Restored::default();
    for chain in chains {
        restored.tiles_left.extend(chain.bring(now)?);
    }
    let disposals = layout.disposals();
    copy_missing(disk, &copy.disposals(), &disposals, MODE_OWN, |_| true)?;

    let living = keys.living();
    let backup = vault.beside(&copy);
    for day in days_in(&copy.vault())? {
        match expect_audio(&living, &backup, vault, day) {
            Ok(0) => {}
            Ok(files) => {
                restored.awaited += files;
                restoration.await_day(day);
            }
            Err(fault) => {
                restored.left.insert(day, fault);
                restoration.await_day(day);
            }
        }
    }
    // Until rows are purged, the file says that nobody may read them.
    restoration.keep(disk, layout)?;
    let Taken {
        rows,
        texts,
        mut catalogue,
    } = restore_rows(disk, layout, &copy).await?;
    restored.rows = rows;
    let mut days: BTreeSet<JstDay> = vault.days()?.into_iter().collect();
    days.extend(catalogue.days().await?);
    for day in days {
        let purge = Purge {
            living: &living,
            backup: &backup,
            vault,
            day,
        };
        let purged = purge.rows(&mut catalogue).await?;
        restored.removed += purged.files;
        match purged.left {
            None => restored.purged += purged.recordings,
            Some(fault) => drop(restored.left.insert(day, fault)),
        }
    }
    let register = catalogue.compare(&OsDisk, layout).await?;
    let texts = CarriedText::living(texts, &living)?;
    catalogue.take_up_texts(&texts, &register).await?;
    catalogue.close().await?;
    restoration.note_rows();
    restoration.keep(disk, layout)?;
    Ok(restored)
}

/// The folders of a backup.
pub(super) fn copy_of(from: &Path) -> Result<Layout, BackupFault> {
    let copy = Layout::new(from.join("data"), from.join("root-is-in-no-backup"));
    match copy.catalogue().exists() {
        true => Ok(copy),
        false => Err(BackupFault::NoBackup {
            path: from.to_owned(),
        }),
    }
}

/// How many files of a day are to come. The day's end is fixed as it was.
fn expect_audio(
    living: &Living,
    backup: &Vault,
    vault: &Vault,
    day: JstDay,
) -> Result<u64, BackupFault> {
    let files = missing(living, backup, vault, day)?;
    if !files.is_empty() {
        let (there, here) = (backup.folder(day), vault.folder(day));
        let is_expiry = |name: &str| name == "expiry";
        copy_missing(&*vault.disk, &there, &here, MODE_TAKEN_AWAY, is_expiry)?;
    }
    Ok(files.len() as u64)
}

/// What the backup's catalogue gave.
struct Taken {
    rows: u64,
    /// Of which is kept what has a key and belongs to today's register, once that is compared.
    texts: Vec<CarriedText>,
    catalogue: Catalogue,
}

/// Takes rows over from the backup's catalogue that are not known here.
async fn restore_rows(
    disk: &dyn Disk,
    layout: &Layout,
    copy: &Layout,
) -> Result<Taken, BackupFault> {
    // Opened as a copy of its own, so that an old one is brought up to date and the backup stays as it is.
    let beside = layout.office().join("restoring");
    let _ = fs::remove_dir_all(&beside);
    let restoring = Layout::new(&beside, beside.join("root"));
    fs::create_dir_all(restoring.office()).map_err(at(&beside))?;
    let path = restoring.catalogue();
    fs::copy(copy.catalogue(), &path).map_err(at(&path))?;
    let taken = take_over(layout, &restoring).await;
    // What the backup's rows say of disposed recordings must not stay in a file, whatever came of it.
    disk.overwrite(&path).map_err(at(&path))?;
    fs::remove_dir_all(&beside).map_err(at(&beside))?;
    Ok(taken?)
}

async fn take_over(layout: &Layout, restoring: &Layout) -> Result<Taken, CatalogueFault> {
    let mut old = Catalogue::open(restoring).await?;
    let texts = old.texts().await?;
    old.close().await?;
    let mut catalogue = Catalogue::open_while_restoring(layout).await?;
    let rows = catalogue.take_over(&restoring.catalogue()).await?;
    Ok(Taken {
        rows,
        texts,
        catalogue,
    })
}

/// A day of which some may have no key.
struct Purge<'day> {
    living: &'day Living,
    backup: &'day Vault,
    vault: &'day Vault,
    day: JstDay,
}

/// What came of it.
#[derive(Default)]
struct Purged {
    recordings: u64,
    files: u64,
    /// Why files are left, where some are.
    left: Option<BackupFault>,
}

impl Purge<'_> {
    /// Takes rows down to tombstones and removes files that no key opens any more.
    async fn rows(&self, catalogue: &mut Catalogue) -> Result<Purged, BackupFault> {
        let fixed = self.vault.fixed_expiry(self.day).ok().flatten();
        let expires_at = fixed.unwrap_or_else(|| self.vault.policy_expiry(self.day));
        let rows = catalogue.rows_of(self.day).await?;
        if self.living.has_day(self.day) {
            let dead = match self.living.tells_apart(self.day) {
                true => self.dead_of_a_living_day(&rows.living)?,
                false => return Ok(Purged::default()),
            };
            for recording in &dead {
                catalogue.bury_one(*recording, self.day, expires_at).await?;
            }
            let files = self.vault.files(self.day);
            let left = self.vault.remove_recordings(self.day, &dead);
            return Ok(self.purged(&dead, &files.unwrap_or_default(), left));
        }
        // Of a day without a key only what is held has one; rows go with it, unrecorded calls too.
        let files = self.vault.files(self.day);
        let here = files.iter().flatten().map(|file| file.recording);
        let known: BTreeSet<RecordingId> = here.chain(rows.living.iter().copied()).collect();
        let held = self.living.held();
        let dead: BTreeSet<RecordingId> = known.difference(held).copied().collect();
        let is_stray = |recording: &RecordingId| !rows.recordings.contains(recording);
        let strays: Vec<RecordingId> = dead.iter().copied().filter(is_stray).collect();
        catalogue.bury_strays(self.day, expires_at, &strays).await?;
        catalogue.bury(self.day, held).await?;
        Ok(match files {
            Ok(files) => {
                let left = self.vault.remove_segments(self.day, held);
                self.purged(&dead, &files, left)
            }
            Err(fault) => self.purged(&dead, &[], Err(fault)),
        })
    }

    /// Those that were disposed of by themselves: a record says so, or a header whose key is destroyed.
    fn dead_of_a_living_day(
        &self,
        rows: &BTreeSet<RecordingId>,
    ) -> Result<BTreeSet<RecordingId>, BackupFault> {
        let mut dead = BTreeSet::new();
        for recording in rows {
            // One that was disposed of may have had no closed file when the backup was made.
            let subject = Subject::Recording(*recording);
            let record = DisposalRecord::read(&*self.vault.disk, self.vault.layout(), subject)?;
            if record.is_some() {
                dead.insert(*recording);
            }
        }
        let here = self.vault.files(self.day)?;
        for (place, files) in [
            (self.vault, &here),
            (self.backup, &self.backup.files(self.day)?),
        ] {
            for file in files {
                if !opens(self.living, place, file)? {
                    dead.insert(file.recording);
                }
            }
        }
        // What is a tombstone and has no file is purged already.
        let here: BTreeSet<RecordingId> = here.into_iter().map(|file| file.recording).collect();
        dead.retain(|recording| rows.contains(recording) || here.contains(recording));
        Ok(dead)
    }

    /// `files`: what was here of the day. `left`: the recordings of which something still is.
    fn purged(
        &self,
        dead: &BTreeSet<RecordingId>,
        files: &[SegmentFile],
        left: Result<BTreeSet<RecordingId>, VaultFault>,
    ) -> Purged {
        let recordings = dead.len() as u64;
        let left = match left {
            Ok(left) => left,
            Err(fault) => {
                return Purged {
                    recordings,
                    files: 0,
                    left: Some(fault.into()),
                };
            }
        };
        let is_gone =
            |file: &&SegmentFile| dead.contains(&file.recording) && !left.contains(&file.recording);
        Purged {
            recordings,
            files: files.iter().filter(is_gone).count() as u64,
            left: (!left.is_empty()).then(|| BackupFault::NotRemoved {
                path: self.vault.folder(self.day),
            }),
        }
    }
}
