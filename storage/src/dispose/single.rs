//! One recording by itself: held by a case, released from it, or destroyed while its day lives on.

use std::{collections::BTreeSet, io};

use jiff::Timestamp;
use rules::{
    Actor, DisposalCause, DisposalCounts, HoldPermit, Holds, JstDay, RecordingId, ReleasePermit,
};

use super::{
    Attempt, DisposalRecord, DisposalStage, DisposeFault, Office, Pending, Subject, certify,
    early::{EarlyDisposal, EarlyStep},
    merkle_root,
};
use crate::{
    group::Group,
    keys::{Fate, KeyFault, Parting, Sealed},
    object::Object,
    seal::SealedCaller,
    secret,
};

/// A recording, where its day is, and everything of it that has a key.
pub(super) struct Found {
    pub(super) day: JstDay,
    pub(super) objects: Vec<Sealed>,
}

/// Seals the keys of a recording to the permit's case as well, so that it outlives its day. Safe to repeat.
///
/// # Errors
/// [`DisposeFault`]; then the case does not hold it.
pub async fn hold(office: &mut Office<'_>, permit: &HoldPermit) -> Result<(), DisposeFault> {
    let found = find(office, permit.recording()).await?;
    Ok(office.keys.hold(permit.case(), &found.objects)?)
}

/// Takes a recording out of the permit's case. One whose day is over, and that no other case holds, is destroyed at once.
///
/// # Errors
/// [`DisposeFault`]; what was begun is gone on with by the next disposal.
pub async fn release(
    office: &mut Office<'_>,
    actor: &Actor,
    permit: ReleasePermit,
    now: Timestamp,
) -> Result<Vec<Pending>, DisposeFault> {
    let (case, recording) = (permit.case(), permit.recording());
    let found = find(office, recording).await?;
    let group = Group::Case(case);
    let groups = office.keys.groups_of(&found.objects);
    if groups == BTreeSet::from([group]) {
        let cause = DisposalCause::Released { case };
        return dispose_one(office, actor, recording, cause, now, || Ok(())).await;
    }
    let parting = Parting {
        recording,
        day: found.day,
        objects: found.objects.iter().map(|sealed| sealed.object).collect(),
        fate: Fate::Released,
    };
    let groups = BTreeSet::from([group]);
    office.keys.begin_renewal(&groups)?;
    office.keys.renew(&groups, &parting, &[], now)?;
    Ok(Vec::new())
}

/// Destroys the keys of one recording, and then its bytes and row, without hearing anybody meanwhile; everything else of its day
/// and cases stays. Held is what the keys hold.
///
/// `flushed`: as [`EarlyDisposal::step`] asks it.
///
/// # Errors
/// [`DisposeFault`]; what was begun is gone on with by the next disposal.
pub async fn dispose_one(
    office: &mut Office<'_>,
    actor: &Actor,
    recording: RecordingId,
    cause: DisposalCause,
    now: Timestamp,
    flushed: impl Fn() -> io::Result<()>,
) -> Result<Vec<Pending>, DisposeFault> {
    let mut disposal = EarlyDisposal::new(actor.clone(), recording, cause, now);
    loop {
        disposal = match disposal.step(office, &Holds::default(), &flushed).await? {
            EarlyStep::Further(further) => *further,
            EarlyStep::Done(pending) => return Ok(pending),
        };
    }
}

/// Goes on with a recording whose keys are gone.
pub(super) async fn bury(
    office: &mut Office<'_>,
    actor: &Actor,
    (recording, day): (RecordingId, JstDay),
    now: Timestamp,
) -> Result<Vec<Pending>, DisposeFault> {
    let fixed = office.vault.fixed_expiry(day).ok().flatten();
    let expires_at = fixed.unwrap_or_else(|| office.vault.policy_expiry(day));
    office
        .catalogue
        .bury_one(recording, day, expires_at)
        .await?;
    if !office.vault.remove_recording(day, recording) {
        return Ok(vec![Pending::Bytes(1)]);
    }
    let subject = Subject::Recording(recording);
    let record = DisposalRecord::read(office.disk(), office.vault.layout(), subject)?;
    let (record, attempt) = match record {
        Some(record) => (record, Attempt::Further),
        None => {
            let salt = secret::random().map_err(KeyFault::from)?;
            let record = DisposalRecord {
                subject,
                day,
                destroyed_at: now,
                counts: DisposalCounts::new(1, 1, 0, 0).map_err(|_| DisposeFault::Counts)?,
                salt,
                merkle_root: merkle_root(&salt, [recording].iter()),
                stage: DisposalStage::Incomplete,
            };
            record.write(office.disk(), office.vault.layout())?;
            (record, Attempt::First)
        }
    };
    let pending = match record.stage {
        DisposalStage::Incomplete => certify(office, actor, &record, attempt, now)?,
        DisposalStage::Certified { .. } | DisposalStage::Acknowledged { .. } => Vec::new(),
    };
    if pending.is_empty() {
        office.keys.note_buried(recording)?;
    }
    Ok(pending)
}

/// Finds a recording and lists what of it has a key.
pub(super) async fn find(
    office: &mut Office<'_>,
    recording: RecordingId,
) -> Result<Found, DisposeFault> {
    let _ = office
        .catalogue
        .empty_spool(&*office.vault.disk, office.vault.layout())
        .await?;
    let row = office.catalogue.find(recording).await?;
    let row = row.ok_or(DisposeFault::NoRecording { recording })?;
    if office.vault.awaits(row.day, recording)? {
        return Err(DisposeFault::Awaited { day: row.day });
    }
    let mut objects = Vec::new();
    for file in office.vault.segments(row.day, recording)? {
        if file.is_open() {
            return Err(DisposeFault::StillOpen { recording });
        }
        objects.extend(office.vault.sealed(&file)?);
    }
    let caller = office.catalogue.caller(recording).await?;
    if let (Some(call), Some(SealedCaller::Number(fields))) = (row.call, caller) {
        objects.push(Sealed {
            object: Object::Caller { call },
            first: fields.sealed_to().clone(),
        });
    }
    Ok(Found {
        day: row.day,
        objects,
    })
}
