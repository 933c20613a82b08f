//! One recording destroyed while its day lives on, piece by piece: of a long day every other recording is sealed anew (K-11).

use std::{collections::BTreeSet, io};

use jiff::Timestamp;
use rules::{
    Actor, AuditEvent, DisposalCause, Holds, JstDay, RecordingDisposalPermit, RecordingId,
};

use super::{
    DisposalRecord, DisposeFault, Office, Pending, Subject,
    single::{self, Found},
};
use crate::{
    group::Group,
    keys::{Fate, Parting, Sealed},
    object::Object,
    vault::SegmentFile,
};

/// Headers that one piece reads, and keys that it seals anew.
const A_PIECE: usize = 500;

/// The destruction of one recording under way.
#[derive(Debug)]
#[must_use = "a disposal goes on only by its steps"]
pub struct EarlyDisposal {
    actor: Actor,
    recording: RecordingId,
    now: Timestamp,
    stage: Stage,
}

/// What a step of it came to.
#[derive(Debug)]
pub enum EarlyStep {
    /// There is more to do.
    Further(Box<EarlyDisposal>),
    /// It is destroyed; why its certificate waits, where it does.
    Done(Vec<Pending>),
}

#[derive(Debug)]
enum Stage {
    New(DisposalCause),
    /// Calls seal to new halves; everything that was sealed to the old ones is to be listed.
    Published(Leaving),
    /// Files whose headers are to be read, and what was read and sealed anew.
    Sealing {
        leaving: Leaving,
        files: Vec<SegmentFile>,
        survivors: Vec<Sealed>,
    },
    Bury(JstDay),
}

/// The recording, and what it parts from.
#[derive(Debug)]
struct Leaving {
    permit: RecordingDisposalPermit,
    day: JstDay,
    sealed: Vec<Sealed>,
    groups: BTreeSet<Group>,
}

impl Leaving {
    fn objects(&self) -> BTreeSet<Object> {
        self.sealed.iter().map(|sealed| sealed.object).collect()
    }
}

impl EarlyDisposal {
    /// Destroys one recording. Nothing is done before the first step.
    pub fn new(
        actor: Actor,
        recording: RecordingId,
        cause: DisposalCause,
        now: Timestamp,
    ) -> EarlyDisposal {
        EarlyDisposal {
            actor,
            recording,
            now,
            stage: Stage::New(cause),
        }
    }

    /// Which.
    #[must_use]
    pub fn recording(&self) -> RecordingId {
        self.recording
    }

    /// Does the next piece.
    ///
    /// `decided`: what is decided to be held by now, whether or not the keys hold it. `flushed`: returns when everything that calls had sealed before is on disk; it is asked once new public halves are published.
    ///
    /// # Errors
    /// [`DisposeFault`]; what was begun is gone on with by the next disposal.
    pub async fn step(
        mut self,
        office: &mut Office<'_>,
        decided: &Holds,
        flushed: impl FnOnce() -> io::Result<()>,
    ) -> Result<EarlyStep, DisposeFault> {
        self.stage = match self.stage {
            Stage::New(cause) => match self.begin(office, cause).await? {
                Some(stage) => stage,
                None => return Ok(EarlyStep::Done(Vec::new())),
            },
            Stage::Published(leaving) => {
                flushed().map_err(DisposeFault::NotFlushed)?;
                list(office, leaving).await?
            }
            Stage::Sealing {
                leaving,
                files,
                survivors,
            } => {
                // Somebody may have decided a hold since it was allowed.
                if decided.keep(self.recording) {
                    let recording = self.recording;
                    return Err(DisposeFault::HeldMeanwhile { recording });
                }
                seal_part(office, leaving, files, survivors, self.now)?
            }
            Stage::Bury(day) => {
                let recording = (self.recording, day);
                let pending = single::bury(office, &self.actor, recording, self.now).await?;
                return Ok(EarlyStep::Done(pending));
            }
        };
        Ok(EarlyStep::Further(Box::new(self)))
    }

    /// Writes down that it begins, which permits it; `None` where it was certified before.
    async fn begin(
        &self,
        office: &mut Office<'_>,
        cause: DisposalCause,
    ) -> Result<Option<Stage>, DisposeFault> {
        let recording = self.recording;
        office.keys.settle()?;
        let subject = Subject::Recording(recording);
        let record = DisposalRecord::read(office.disk(), office.vault.layout(), subject)?;
        if record.is_some_and(|record| record.certificate().is_some()) {
            return Ok(None);
        }
        let Found { day, objects } = single::find(office, recording).await?;
        let groups = office.keys.groups_of(&objects);
        for group in &groups {
            if let Group::Day(day) = *group
                && office.vault.awaits_some(day)?
            {
                return Err(DisposeFault::Awaited { day });
            }
        }
        let event = AuditEvent::RecordingDisposalBegun {
            recording,
            day,
            cause,
        };
        let receipt = office.append(&self.actor, event, self.now)?;
        let permit = RecordingDisposalPermit::begun(recording, receipt)?;
        if groups.is_empty() {
            return Ok(Some(Stage::Bury(day)));
        }
        office.keys.begin_renewal(&groups)?;
        Ok(Some(Stage::Published(Leaving {
            permit,
            day,
            sealed: objects,
            groups,
        })))
    }
}

/// Lists everything that was first sealed to one of the groups; what is sealed to a case stands in the key store.
async fn list(office: &mut Office<'_>, leaving: Leaving) -> Result<Stage, DisposeFault> {
    let _ = office
        .catalogue
        .empty_spool(&*office.vault.disk, office.vault.layout())
        .await?;
    let (mut files, mut survivors) = (Vec::new(), Vec::new());
    for group in &leaving.groups {
        let Group::Day(day) = *group else {
            continue;
        };
        files.extend(office.vault.files(day)?);
        for (call, fields) in office.catalogue.callers_of(day).await? {
            survivors.push(Sealed {
                object: Object::Caller { call },
                first: fields.sealed_to().clone(),
            });
        }
    }
    Ok(Stage::Sealing {
        leaving,
        files,
        survivors,
    })
}

/// Reads some headers and seals their keys anew; with the last of them the old keys go.
fn seal_part(
    office: &mut Office<'_>,
    leaving: Leaving,
    mut files: Vec<SegmentFile>,
    mut survivors: Vec<Sealed>,
    now: Timestamp,
) -> Result<Stage, DisposeFault> {
    let part = files.split_off(files.len().saturating_sub(A_PIECE));
    let mut read = Vec::new();
    for file in &part {
        read.extend(office.vault.sealed(file)?);
    }
    if !files.is_empty() {
        let leave = leaving.objects();
        read.retain(|sealed| !leave.contains(&sealed.object));
        office.keys.seal_ahead(&leaving.groups, &read)?;
        survivors.extend(read);
        return Ok(Stage::Sealing {
            leaving,
            files,
            survivors,
        });
    }
    survivors.extend(read);
    let recording = leaving.permit.recording();
    if office.keys.groups_of(&leaving.sealed) != leaving.groups {
        return Err(DisposeFault::HeldMeanwhile { recording });
    }
    let parting = Parting {
        recording,
        day: leaving.day,
        objects: leaving.objects(),
        fate: Fate::Destroyed,
    };
    office
        .keys
        .renew(&leaving.groups, &parting, &survivors, now)?;
    Ok(Stage::Bury(leaving.day))
}
