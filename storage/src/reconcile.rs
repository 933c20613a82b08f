//! Rows and files of a day side by side (K-06). What a difference means is `rules::Reconciled`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use jiff::Timestamp;
use rules::{CountedDays, JstDay, Reconciled, RecordingId};
use thiserror::Error;

use crate::{
    backup::Restoration,
    catalogue::{Catalogue, CatalogueFault},
    files::Disk,
    vault::{Vault, VaultFault, at},
};

/// Compares the rows of a day with its files, and both with what the trail tells of it.
///
/// # Errors
/// [`ReconcileFault`] if either cannot be read.
pub async fn reconcile_day(
    catalogue: &mut Catalogue,
    vault: &Arc<Vault>,
    disk: &dyn Disk,
    day: JstDay,
    told: &CountedDays,
    now: Timestamp,
) -> Result<Reconciled, ReconcileFault> {
    // Files first, then the rows: a row that was on its way meanwhile explains its file.
    let restoration = Restoration::read(disk, vault.layout())?;
    let mut files = vault.lengths(day)?;
    catalogue.take_in(disk, vault.layout()).await?;
    let calls = catalogue.kept_calls(day).await?;
    // A recording that ended meanwhile has grown since.
    files.extend(vault.lengths(day)?);
    let is_awaited = |recording| {
        let restoration = restoration.as_ref();
        restoration.is_some_and(|restoration| restoration.may_bring(day, recording))
    };
    let told = told.told_of(day, vault.fixed_expiry(day)?, now);
    Ok(Reconciled::of(calls, &files, is_awaited, told, now))
}

impl Vault {
    /// How many bytes there are of each recording of a day, over all its segments.
    ///
    /// # Errors
    /// [`VaultFault::Disk`] if the day's folder cannot be read.
    pub fn lengths(&self, day: JstDay) -> Result<BTreeMap<RecordingId, u64>, VaultFault> {
        let mut lengths = BTreeMap::new();
        for file in self.files(day)? {
            let path = self.path(&file);
            let bytes = match self.disk.len(&path) {
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => 0,
                found => found.map_err(at(&path))?,
            };
            *lengths.entry(file.recording).or_default() += bytes;
        }
        Ok(lengths)
    }
}

/// The days that have rows or files, and those that must have them by what the trail tells, the oldest first.
///
/// # Errors
/// [`ReconcileFault`] if either cannot be read.
pub async fn days_to_reconcile(
    catalogue: &mut Catalogue,
    vault: &Vault,
    told: &CountedDays,
    now: Timestamp,
) -> Result<BTreeSet<JstDay>, ReconcileFault> {
    let mut days: BTreeSet<JstDay> = vault.days()?.into_iter().collect();
    days.extend(told.kept(now));
    days.extend(catalogue.living_days().await?);
    Ok(days)
}

/// Why a day cannot be compared.
#[derive(Debug, Error)]
pub enum ReconcileFault {
    /// The files.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// The rows.
    #[error(transparent)]
    Catalogue(#[from] CatalogueFault),
}
