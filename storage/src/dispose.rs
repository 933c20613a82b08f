//! Destroying what is due: first the keys, then the bytes, then the rows down to tombstones.
//!
//! Every step may be the last before a power cut; the next call begins again with what it finds
//! and goes on forward. A day's folder goes last, so that a day is due until it is certified.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rules::{
    Actor, AuditDraft, AuditEvent, DisposalCounts, DisposalPermit, Fault, JstDay, RecordingId,
    Refusal,
};
use thiserror::Error;

use crate::{
    catalogue::{Catalogue, CatalogueFault},
    group::Group,
    keys::{KeyFault, Keys},
    trail::{AuditFault, AuditTrail},
    vault::{Vault, VaultFault},
};

/// What a disposal works on; all of it belongs to the office duty.
pub struct Office<'office> {
    /// The keys.
    pub keys: &'office mut Keys,
    /// The sealed recordings.
    pub vault: &'office Vault,
    /// The rows; what the spool still holds is taken in first.
    pub catalogue: &'office mut Catalogue,
    /// The office's own chain.
    pub trail: &'office mut AuditTrail,
}

/// A day that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisposedDay {
    /// Which.
    pub day: JstDay,
    /// What became of its recordings.
    pub counts: DisposalCounts,
}

struct DueDay {
    permit: DisposalPermit,
    expires_at: Timestamp,
    recordings: BTreeSet<RecordingId>,
    strays: Vec<RecordingId>,
}

/// Destroys every day whose retention is over at `now`, and certifies it in the trail.
///
/// # Errors
/// [`DisposeFault`]; what was begun is gone on with by the next call.
pub async fn dispose_due(
    office: &mut Office<'_>,
    actor: &Actor,
    now: Timestamp,
) -> Result<Vec<DisposedDay>, DisposeFault> {
    // A rotation that was cut off is finished even if nothing else is due.
    office.keys.settle()?;
    // Rows that are still on their way would be found nowhere else.
    let _ = office
        .catalogue
        .empty_spool(&*office.vault.disk, office.vault.layout())
        .await?;
    let mut due = Vec::new();
    for (day, expires_at) in due_days(office, now).await? {
        due.push(begin(office, actor, day, expires_at, now).await?);
    }

    // One rotation destroys all of them.
    let with_keys: BTreeSet<Group> = office.keys.groups().collect();
    let groups = due.iter().map(|due| Group::Day(due.permit.day()));
    let groups: BTreeSet<Group> = groups.filter(|group| with_keys.contains(group)).collect();
    if !groups.is_empty() {
        office.keys.destroy(&groups, now)?;
    }

    let mut disposed = Vec::new();
    for due in due {
        disposed.push(destroy(office, actor, due, now).await?);
    }
    Ok(disposed)
}

/// Days that keys, folders or rows still know, and that have expired.
async fn due_days(
    office: &mut Office<'_>,
    now: Timestamp,
) -> Result<BTreeMap<JstDay, Timestamp>, DisposeFault> {
    let rows: BTreeMap<JstDay, Timestamp> =
        office.catalogue.due_days(now).await?.into_iter().collect();
    let keys = office.keys.groups().filter_map(|group| match group {
        Group::Day(day) => Some(day),
        Group::Case(_) | Group::Register(_) => None,
    });
    let mut days: BTreeSet<JstDay> = keys.collect();
    days.extend(office.vault.days()?);
    days.extend(rows.keys());
    let mut due = BTreeMap::new();
    for day in days {
        // A file that was damaged must not keep its day, or any other, alive.
        let fixed = match office.vault.fixed_expiry(day) {
            Err(VaultFault::ExpiryDamaged { .. }) => None,
            other => other?,
        };
        let fixed = fixed.or(rows.get(&day).copied());
        let expires_at = fixed.unwrap_or_else(|| office.vault.policy_expiry(day));
        if expires_at <= now {
            due.insert(day, expires_at);
        }
    }
    Ok(due)
}

/// Writes down that a day's disposal begins, which is what permits it.
async fn begin(
    office: &mut Office<'_>,
    actor: &Actor,
    day: JstDay,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<DueDay, DisposeFault> {
    let known: BTreeSet<RecordingId> = office
        .catalogue
        .recordings_of(day)
        .await?
        .into_iter()
        .collect();
    let files = office
        .vault
        .files(day)?
        .into_iter()
        .map(|file| file.recording);
    let strays: BTreeSet<RecordingId> = files.filter(|file| !known.contains(file)).collect();
    let recordings: BTreeSet<RecordingId> = known.union(&strays).copied().collect();
    let event = AuditEvent::DisposalBegun {
        day,
        expires_at,
        due: recordings.len() as u64,
    };
    let receipt = office.trail.append(
        AuditDraft {
            actor: actor.clone(),
            event,
        },
        now,
    )?;
    let permit = DisposalPermit::due(day, expires_at, now, receipt)?;
    Ok(DueDay {
        permit,
        expires_at,
        recordings,
        strays: strays.into_iter().collect(),
    })
}

/// Bytes, rows, certificate; then the folder, which is what made the day due.
async fn destroy(
    office: &mut Office<'_>,
    actor: &Actor,
    due: DueDay,
    now: Timestamp,
) -> Result<DisposedDay, DisposeFault> {
    let day = due.permit.day();
    // Tombstones first: they are what a file without a row is counted by afterwards.
    office
        .catalogue
        .bury(day, due.expires_at, &due.strays)
        .await?;
    office.vault.remove_segments(day)?;
    let total = due.recordings.len() as u64;
    let counts = DisposalCounts::new(total, total, 0, 0).map_err(|_| DisposeFault::Counts)?;
    let event = AuditEvent::DisposalCompleted { day, counts };
    let _ = office.trail.append(
        AuditDraft {
            actor: actor.clone(),
            event,
        },
        now,
    )?;
    office.vault.forget_day(day)?;
    Ok(DisposedDay { day, counts })
}

/// Why a disposal did not come to its end.
#[derive(Debug, Error)]
pub enum DisposeFault {
    /// The keys cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// The vault cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// The catalogue cannot be used.
    #[error(transparent)]
    Catalogue(#[from] CatalogueFault),
    /// The trail cannot be written, so nothing may be destroyed.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// The rules refuse it.
    #[error("{}", .0.english())]
    Refused(Box<Refusal>),
    /// The counts do not add up.
    #[error("what was due is not what was destroyed; this is a defect of denwaban")]
    Counts,
}

impl From<Refusal> for DisposeFault {
    fn from(refusal: Refusal) -> DisposeFault {
        DisposeFault::Refused(Box::new(refusal))
    }
}

impl DisposeFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            DisposeFault::Key(fault) => fault.fault(),
            DisposeFault::Vault(fault) => fault.fault(),
            DisposeFault::Catalogue(fault) => fault.fault(),
            DisposeFault::Audit(fault) => fault.fault(),
            DisposeFault::Refused(_) => Fault::Operator,
            DisposeFault::Counts => Fault::Ours,
        }
    }
}
