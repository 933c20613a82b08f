//! Destroying what is due: first the keys, then the bytes, then the rows down to tombstones.
//!
//! Every step may be the last before a power cut; the next call begins again with what it finds
//! and goes on forward. A day's folder goes last, so that a day is due until it is certified.
//! No day waits for another: what cannot be done for one is said of it, and the others go on. Go on at [`Disposal`].

mod certificate;
mod early;
mod pieces;
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
    Actor, AuditDraft, AuditEvent, CaseId, DisposalCounts, Fault, Holds, JstDay, MirrorEnd, Proved,
    RecordingId, Refusal,
};
use thiserror::Error;

use self::certificate::merkle_root;
pub use self::{
    certificate::{Certificate, CertificateFault, Subject, verify_certificate},
    early::{EarlyDisposal, EarlyStep},
    pieces::{Disposal, Step},
    plan::PlannedDay,
    record::{DisposalRecord, DisposalStage, RecordFault},
    single::{dispose_one, hold, release},
};
use crate::{
    catalogue::{Catalogue, CatalogueFault},
    files::Disk,
    keys::{KeyFault, Keys, last_made_on},
    note::NoteFault,
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
    /// The mirrors that were ended by decision. Where nobody can say which, nothing is certified.
    pub mirror_ends: Option<&'office [MirrorEnd]>,
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
    /// The record of the disposal, or the day's folder, cannot be read or written.
    Disk(String),
    /// So many of its recordings were decided to be held, and the keys do not hold them yet: nothing of the day is destroyed before.
    Holds(u64),
    /// The register cannot be read, so nobody can say what was decided to be held: nothing of the day is destroyed before.
    Register,
    /// The register cannot be read, so nobody can say which mirrors were ended by decision, which the certificate tells.
    MirrorEnds,
    /// Files of so many recordings that no row and no key knows. They are left alone and certified by nothing; reconciliation names them.
    Unknown(u64),
}

/// Looks what is due at `at`, and destroys nothing.
///
/// `decided`: as [`Disposal::step`] asks it.
///
/// # Errors
/// [`DisposeFault`] if keys, rows or the vault cannot be read.
pub async fn plan_due(
    office: &mut Office<'_>,
    decided: Option<&Holds>,
    at: Timestamp,
) -> Result<Vec<PlannedDay>, DisposeFault> {
    let _ = office
        .catalogue
        .take_in(&*office.vault.disk, office.vault.layout())
        .await?;
    let mut planned = Vec::new();
    for candidate in plan::candidates(office, at).await? {
        let due = plan::look(office, candidate).await?;
        if due.is_known() && !due.is_destroyed() {
            let waits = plan::waits_for(office, decided, &due);
            planned.push(due.to_plan(waits.as_ref()));
        }
    }
    Ok(planned)
}

/// Destroys every day whose retention is over at `now`, and certifies it, without hearing anybody meanwhile. Held is what the keys hold.
///
/// # Errors
/// [`DisposeFault`]; what was begun is gone on with by the next call.
pub async fn dispose_due(
    office: &mut Office<'_>,
    actor: &Actor,
    now: Timestamp,
) -> Result<Vec<DisposedDay>, DisposeFault> {
    let mut disposal = Disposal::new(actor.clone(), now);
    loop {
        disposal = match disposal.step(office, Some(&Holds::default())).await? {
            Step::Further(disposal) => disposal,
            Step::Done(days) => return Ok(days),
        };
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
    if office.mirror_ends.is_none() {
        pending.push(Pending::MirrorEnds);
    }
    let (Some(signing), Some(ends), []) = (office.signing, office.mirror_ends, &pending[..]) else {
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
        mirrors_ended: ends.iter().filter(|end| concerns(end, record.day)).count() as u64,
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

/// Whether a mirror may have held keys of a day when it was ended.
pub fn concerns(end: &MirrorEnd, day: JstDay) -> bool {
    day <= last_made_on(end.on)
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
    /// A case holds it since its destruction was allowed.
    #[error("recording {recording} is held by a case by now; nothing of it was destroyed")]
    HeldMeanwhile {
        /// Which.
        recording: RecordingId,
    },
    /// A call that is still being recorded cannot be destroyed under its writer.
    #[error("recording {recording} is still being written; dispose of it when the call is over")]
    StillOpen {
        /// Which.
        recording: RecordingId,
    },
    /// Audio that no key has been carried over for would be lost with the renewal of its group.
    #[error(
        "audio of {day} is still awaited from a backup; bring it by restore --audio first, nothing was destroyed"
    )]
    Awaited {
        /// The day.
        day: JstDay,
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
            | DisposeFault::HeldMeanwhile { .. }
            | DisposeFault::Awaited { .. }
            | DisposeFault::StillOpen { .. }
            | DisposeFault::NoCertificate { .. } => Fault::Operator,
            DisposeFault::Counts => Fault::Ours,
        }
    }
}
