//! Destroying what is due: first the keys, then the bytes, then the rows down to tombstones.
//!
//! Every step may be the last before a power cut; the next call begins again with what it finds
//! and goes on forward. A day's folder goes last, so that a day is due until it is certified.
//! No day waits for another: what cannot be done for one is said of it, and the others go on.

mod certificate;
mod plan;
mod record;
mod single;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
};

use jiff::Timestamp;
use rules::{
    Actor, AuditDraft, AuditEvent, CaseId, DisposalCounts, DisposalPermit, Fault, JstDay, Proved,
    RecordingId, Refusal,
};
use thiserror::Error;

use self::{
    certificate::merkle_root,
    plan::{DueDay, Files},
};
pub use self::{
    certificate::{Certificate, CertificateFault, Subject, verify_certificate},
    plan::PlannedDay,
    record::{DisposalRecord, DisposalStage, RecordFault},
    single::{dispose_one, hold, release},
};
use crate::{
    catalogue::{Catalogue, CatalogueFault},
    files::Disk,
    group::Group,
    keys::{KeyFault, Keys},
    note::NoteFault,
    secret,
    signing::SigningKey,
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
    /// The key that signs certificates. Nothing waits for one that cannot be used, but the certificate.
    pub signing: Option<&'office SigningKey>,
}

impl Office<'_> {
    /// The recordings that living cases hold, by case.
    #[must_use]
    pub fn held(&self) -> BTreeMap<CaseId, BTreeSet<RecordingId>> {
        self.keys.held()
    }

    fn disk(&self) -> &dyn Disk {
        &*self.vault.disk
    }

    fn append(
        &mut self,
        actor: &Actor,
        event: AuditEvent,
        now: Timestamp,
    ) -> Result<rules::AuditReceipt, AuditFault> {
        let actor = actor.clone();
        self.trail.append(AuditDraft { actor, event }, now)
    }
}

/// A day whose recordings are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisposedDay {
    /// Which.
    pub day: JstDay,
    /// What became of its recordings.
    pub counts: DisposalCounts,
    /// Why it is not complete; empty when it is, and has its certificate.
    pub pending: Vec<Pending>,
}

/// What a disposal still waits for. The next one goes on with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    /// A mirror that has not followed still has the keys.
    Mirror(PathBuf),
    /// The bytes of so many recordings could not be removed; no key opens them.
    Bytes(u64),
    /// The signing key cannot be used.
    Signature,
    /// The record of the disposal, or the day's folder, cannot be written.
    Disk(String),
}

/// Looks what is due at `at`, and destroys nothing.
///
/// # Errors
/// [`DisposeFault`] if keys, rows or the vault cannot be read.
pub async fn plan_due(
    office: &mut Office<'_>,
    at: Timestamp,
) -> Result<Vec<PlannedDay>, DisposeFault> {
    let _ = office
        .catalogue
        .take_in(&*office.vault.disk, office.vault.layout())
        .await?;
    let due = plan::due_days(office, at).await?;
    let open = due.iter().filter(|day| !day.is_destroyed());
    Ok(open.map(DueDay::to_plan).collect())
}

/// Destroys every day whose retention is over at `now`, and certifies it.
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
    single::bury_all(office, actor, now).await?;
    let mut destroyed = Vec::new();
    let mut begun = Vec::new();
    for due in plan::due_days(office, now).await? {
        match due.is_destroyed() && is_recorded(office, due.day) {
            true => destroyed.push(due),
            false => begun.push((begin(office, actor, &due, now)?, due)),
        }
    }

    // One rotation destroys all of them.
    let groups = begun.iter().filter(|(_, due)| due.has_key);
    let groups: BTreeSet<Group> = groups.map(|(_, due)| Group::Day(due.day)).collect();
    if !groups.is_empty() {
        office.keys.destroy(&groups, now)?;
    }

    let mut disposed = Vec::new();
    for (permit, due) in begun {
        disposed.push(destroy(office, actor, permit, &due, now).await?);
    }
    for due in destroyed {
        disposed.extend(finish(office, actor, &due, now)?);
    }
    Ok(disposed)
}

/// Writes down that a day's disposal begins, which is what permits it.
fn begin(
    office: &mut Office<'_>,
    actor: &Actor,
    due: &DueDay,
    now: Timestamp,
) -> Result<DisposalPermit, DisposeFault> {
    let (day, expires_at) = (due.day, due.expires_at);
    let event = AuditEvent::DisposalBegun {
        day,
        expires_at,
        due: due.recordings().len() as u64,
    };
    let receipt = office.append(actor, event, now)?;
    Ok(DisposalPermit::due(day, expires_at, now, receipt)?)
}

/// Bytes and rows, once the keys are gone.
async fn destroy(
    office: &mut Office<'_>,
    actor: &Actor,
    permit: DisposalPermit,
    due: &DueDay,
    now: Timestamp,
) -> Result<DisposedDay, DisposeFault> {
    let day = permit.day();
    // Tombstones first: they are what a file without a row is counted by afterwards.
    office
        .catalogue
        .bury(day, due.expires_at, &due.strays(), &due.held)
        .await?;
    let recordings = due.recordings();
    let failed = match &due.files {
        Files::Listed(_) => office.vault.remove_segments(day, &due.held).ok(),
        Files::Unreadable => None,
    };
    let failed = failed.unwrap_or_else(|| recordings.difference(&due.held).copied().collect());
    let gone = recordings
        .iter()
        .filter(|id| !due.held.contains(id) && !failed.contains(id));
    let counts = [
        recordings.len(),
        gone.clone().count(),
        due.held.len(),
        failed.len(),
    ];
    let [total, disposed, held, failed] = counts.map(|count| count as u64);
    let counts =
        DisposalCounts::new(total, disposed, held, failed).map_err(|_| DisposeFault::Counts)?;
    if failed > 0 {
        let event = AuditEvent::DisposalIncomplete {
            day,
            counts,
            mirrors: office.keys.mirrors_behind().count() as u64,
        };
        let _ = office.append(actor, event, now)?;
        return Ok(DisposedDay {
            day,
            counts,
            pending: vec![Pending::Bytes(failed)],
        });
    }
    let salt = secret::random().map_err(KeyFault::from)?;
    let record = DisposalRecord {
        subject: Subject::Day(day),
        day,
        destroyed_at: now,
        counts,
        salt,
        merkle_root: merkle_root(&salt, gone),
        stage: DisposalStage::Incomplete,
    };
    if let Err(fault) = record.write(office.disk(), office.vault.layout()) {
        return Ok(DisposedDay {
            day,
            counts,
            pending: vec![Pending::Disk(fault.to_string())],
        });
    }
    let pending = certify(office, actor, &record, Attempt::First, now)?;
    Ok(forget(office, due, counts, pending))
}

/// Goes on with a day of which nothing is left but its record: certifies it, or only removes its folder.
fn finish(
    office: &mut Office<'_>,
    actor: &Actor,
    due: &DueDay,
    now: Timestamp,
) -> Result<Option<DisposedDay>, DisposeFault> {
    let record = DisposalRecord::read(office.disk(), office.vault.layout(), Subject::Day(due.day));
    let Ok(Some(record)) = record else {
        return Ok(None);
    };
    let counts = record.counts;
    let is_new = record.stage == DisposalStage::Incomplete;
    let pending = match is_new {
        true => certify(office, actor, &record, Attempt::Further, now)?,
        false => Vec::new(),
    };
    let disposed = forget(office, due, counts, pending);
    Ok((is_new || !disposed.pending.is_empty()).then_some(disposed))
}

fn is_recorded(office: &Office<'_>, day: JstDay) -> bool {
    let record = DisposalRecord::read(office.disk(), office.vault.layout(), Subject::Day(day));
    matches!(record, Ok(Some(_)))
}

/// Removes the folder of a day that is complete, which is what made it due.
fn forget(
    office: &Office<'_>,
    due: &DueDay,
    counts: DisposalCounts,
    mut pending: Vec<Pending>,
) -> DisposedDay {
    if pending.is_empty() && due.held.is_empty() {
        let forgotten = office.vault.forget_day(due.day);
        pending.extend(
            forgotten
                .err()
                .map(|fault| Pending::Disk(fault.to_string())),
        );
    }
    DisposedDay {
        day: due.day,
        counts,
        pending,
    }
}

/// Whether a disposal is to be certified for the first time; the trail is told once that it waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Further,
}

/// Makes the certificate, once every mirror has followed.
fn certify(
    office: &mut Office<'_>,
    actor: &Actor,
    record: &DisposalRecord,
    attempt: Attempt,
    now: Timestamp,
) -> Result<Vec<Pending>, DisposeFault> {
    let behind = office.keys.mirrors_behind();
    let mut pending: Vec<Pending> = behind
        .map(|(folder, _)| Pending::Mirror(folder.to_owned()))
        .collect();
    if office.signing.is_none() {
        pending.push(Pending::Signature);
    }
    let (Some(signing), []) = (office.signing, &pending[..]) else {
        if attempt == Attempt::First {
            let event = AuditEvent::DisposalIncomplete {
                day: record.day,
                counts: record.counts,
                mirrors: office.keys.mirrors_behind().count() as u64,
            };
            let _ = office.append(actor, event, now)?;
        }
        return Ok(pending);
    };
    let event = match record.subject {
        Subject::Day(day) => AuditEvent::DisposalCompleted {
            day,
            counts: record.counts,
        },
        Subject::Recording(recording) => AuditEvent::RecordingDisposed {
            recording,
            day: record.day,
        },
    };
    let receipt = office.append(actor, event, now)?;
    let certificate = Certificate {
        day: record.day,
        completed_at: now,
        counts: record.counts,
        merkle_root: record.merkle_root,
        audit_seq: receipt.seq(),
    };
    let note = signing.sign_note(certificate.to_text())?;
    let stage = DisposalStage::Certified {
        certificate: note.to_string(),
    };
    let record = DisposalRecord {
        stage,
        ..record.clone()
    };
    let written = record.write(office.disk(), office.vault.layout());
    Ok(written
        .err()
        .map(|fault| Pending::Disk(fault.to_string()))
        .into_iter()
        .collect())
}

/// Writes down that the responsible manager has seen a certificate. Doing it twice changes nothing.
///
/// # Errors
/// [`DisposeFault::NoCertificate`] where there is none yet.
pub fn acknowledge(
    office: &mut Office<'_>,
    actor: &Actor,
    by: &Proved,
    subject: Subject,
    now: Timestamp,
) -> Result<DisposalRecord, DisposeFault> {
    let record = DisposalRecord::read(office.disk(), office.vault.layout(), subject)?;
    let Some(record) = record else {
        return Err(DisposeFault::NoCertificate { subject });
    };
    let certificate = match &record.stage {
        DisposalStage::Incomplete => return Err(DisposeFault::NoCertificate { subject }),
        DisposalStage::Acknowledged { .. } => return Ok(record),
        DisposalStage::Certified { certificate } => certificate.clone(),
    };
    let event = AuditEvent::DisposalAcknowledged {
        day: record.day,
        recording: match subject {
            Subject::Day(_) => None,
            Subject::Recording(recording) => Some(recording),
        },
    };
    let _ = office.append(actor, event, now)?;
    let stage = DisposalStage::Acknowledged {
        certificate,
        person: by.person().clone(),
        at: now,
    };
    let record = DisposalRecord { stage, ..record };
    record.write(office.disk(), office.vault.layout())?;
    Ok(record)
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
    /// A record cannot be used.
    #[error(transparent)]
    Record(#[from] RecordFault),
    /// The certificate cannot be signed.
    #[error(transparent)]
    Note(#[from] NoteFault),
    /// The rules refuse it.
    #[error("{}", .0.english())]
    Refused(Box<Refusal>),
    /// There is no such recording.
    #[error("there is no recording {recording} that could be disposed of; see recordings list")]
    NoRecording {
        /// Which.
        recording: RecordingId,
    },
    /// A call that is still being recorded cannot be destroyed under its writer.
    #[error("recording {recording} is still being written; dispose of it when the call is over")]
    StillOpen {
        /// Which.
        recording: RecordingId,
    },
    /// What calls have sealed may not be on disk yet, so nothing was destroyed.
    #[error(
        "the process that carries calls did not say that its rows are on disk ({0}); nothing was destroyed, dispose again"
    )]
    NotFlushed(io::Error),
    /// Nothing was disposed of, or its disposal is not complete.
    #[error("there is no certificate for {subject}; see dispose --plan and dispose --due")]
    NoCertificate {
        /// Of what.
        subject: Subject,
    },
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
            DisposeFault::Record(_) | DisposeFault::NotFlushed(_) => Fault::Resource,
            DisposeFault::Note(fault) => fault.fault(),
            DisposeFault::Refused(_)
            | DisposeFault::NoRecording { .. }
            | DisposeFault::StillOpen { .. }
            | DisposeFault::NoCertificate { .. } => Fault::Operator,
            DisposeFault::Counts => Fault::Ours,
        }
    }
}
