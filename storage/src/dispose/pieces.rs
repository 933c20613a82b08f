//! A disposal piece by piece, so that whoever holds the office hears others between two: a withdrawal waits for no disposal (K-11).
//!
//! What is held is looked at anew in the piece that destroys the keys; nothing can be held that has none any more.

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;
use rules::{Actor, AuditEvent, DisposalCounts, DisposalPermit, Holds, JstDay, RecordingId};

use super::{
    Attempt, DisposalRecord, DisposalStage, DisposeFault, DisposedDay, Office, Pending, Subject,
    certify, merkle_root,
    plan::{self, Candidate, DueDay, Files},
    single,
};
use crate::{catalogue::Extent, group::Group, keys::KeyFault, secret, vault::Removed};

/// Rows that one piece takes down, and files that one removes: some 50 ms of a spinning disk.
const A_PIECE: usize = 500;

/// A disposal under way.
#[derive(Debug)]
#[must_use = "a disposal goes on only by its steps"]
pub struct Disposal {
    actor: Actor,
    now: Timestamp,
    left: VecDeque<Piece>,
    /// Looked at, and their keys still there.
    due: Vec<DueDay>,
    disposed: Vec<DisposedDay>,
}

/// What a step of a disposal came to.
#[derive(Debug)]
pub enum Step {
    /// There is more to do.
    Further(Disposal),
    /// Nothing is left to do, or it waits for others.
    Done(Vec<DisposedDay>),
}

/// What is done without hearing anybody.
#[derive(Debug)]
enum Piece {
    /// A rotation that was cut off is finished, rows on their way are taken in, and what there is to do is listed.
    Settle,
    /// A recording whose keys went by themselves.
    Bury(RecordingId, JstDay),
    Look(Candidate),
    /// Recordings of a day that have a file and no row get their tombstones, by which they are counted once its key is gone.
    Strays(Candidate, Vec<RecordingId>),
    /// One rotation destroys the keys of all days that were looked at.
    Keys,
    Rows(Box<Destroying>),
    Files(Box<Destroying>),
    Certify(Box<Destroying>),
    /// Of a day nothing is left but its record, or its folder.
    Finish(Box<DueDay>),
}

/// A day whose keys are gone.
#[derive(Debug)]
struct Destroying {
    permit: DisposalPermit,
    due: DueDay,
    /// Recordings of which a file is still there.
    failed: BTreeSet<RecordingId>,
}

impl Disposal {
    /// Destroys every day whose retention is over at `now`. Nothing is done before the first step.
    pub fn new(actor: Actor, now: Timestamp) -> Disposal {
        Disposal {
            actor,
            now,
            left: VecDeque::from([Piece::Settle]),
            due: Vec::new(),
            disposed: Vec::new(),
        }
    }

    /// Does the next piece.
    ///
    /// `decided`: what is decided to be held by now, whether or not the keys hold it; `None` where nobody can say. A day of which something is
    /// decided that the keys do not hold is not begun.
    ///
    /// # Errors
    /// [`DisposeFault`]; a new disposal goes on with what was begun.
    pub async fn step(
        mut self,
        office: &mut Office<'_>,
        decided: Option<&Holds>,
    ) -> Result<Step, DisposeFault> {
        match self.left.pop_front() {
            None => return Ok(Step::Done(self.disposed)),
            Some(Piece::Settle) => self.settle(office).await?,
            Some(Piece::Bury(recording, day)) => {
                let unburied = (recording, day);
                match single::bury(office, &self.actor, unburied, self.now).await {
                    // What it waits for is gone on with by the next disposal, and no day waits for a recording.
                    Ok(_) | Err(DisposeFault::Record(_) | DisposeFault::Vault(_)) => {}
                    Err(fault) => return Err(fault),
                }
            }
            Some(Piece::Look(candidate)) => self.look(office, decided, candidate).await?,
            Some(Piece::Strays(day, strays)) => self.bury_strays(office, day, strays).await?,
            Some(Piece::Keys) => self.destroy_keys(office, decided)?,
            Some(Piece::Rows(day)) => self.bury_rows(office, day).await?,
            Some(Piece::Files(day)) => self.remove_files(office, day),
            Some(Piece::Certify(day)) => {
                let disposed = certify_day(office, &self.actor, &day, self.now)?;
                self.disposed.extend(disposed);
            }
            Some(Piece::Finish(due)) => {
                let finished = finish(office, &self.actor, &due, self.now)?;
                self.disposed.extend(finished);
            }
        }
        Ok(Step::Further(self))
    }

    async fn settle(&mut self, office: &mut Office<'_>) -> Result<(), DisposeFault> {
        office.keys.settle()?;
        // Rows that are still on their way would be found nowhere else.
        let _ = office
            .catalogue
            .empty_spool(&*office.vault.disk, office.vault.layout())
            .await?;
        let unburied = office.keys.unburied().into_iter();
        self.left
            .extend(unburied.map(|(recording, day)| Piece::Bury(recording, day)));
        let candidates = plan::candidates(office, self.now).await?;
        self.left.extend(candidates.into_iter().map(Piece::Look));
        self.left.push_back(Piece::Keys);
        Ok(())
    }

    async fn look(
        &mut self,
        office: &mut Office<'_>,
        decided: Option<&Holds>,
        candidate: Candidate,
    ) -> Result<(), DisposeFault> {
        let due = plan::look(office, candidate).await?;
        if !due.is_known() {
            self.disposed.extend(leave_alone(office, &due)?);
            return Ok(());
        }
        match (due.is_destroyed(), &due.record) {
            (true, Ok(Some(_))) => self.left.push_back(Piece::Finish(Box::new(due))),
            // Who has destroyed what of it stands in a record that is not to be overwritten.
            (true, Err(fault)) => {
                let pending = Pending::Disk(fault.to_string());
                self.disposed.push(due.not_begun(pending)?);
            }
            (true, Ok(None)) | (false, _) => match plan::waits_for(office, decided, &due) {
                Some(pending) => self.disposed.push(due.not_begun(pending)?),
                None => {
                    let strays = due.strays();
                    if !strays.is_empty() {
                        self.left.push_front(Piece::Strays(candidate, strays));
                    }
                    self.due.push(due);
                }
            },
        }
        Ok(())
    }

    async fn bury_strays(
        &mut self,
        office: &mut Office<'_>,
        candidate: Candidate,
        mut strays: Vec<RecordingId>,
    ) -> Result<(), DisposeFault> {
        let part = strays.split_off(strays.len().saturating_sub(A_PIECE));
        let Candidate { day, expires_at } = candidate;
        let catalogue = &mut *office.catalogue;
        catalogue.bury_strays(day, expires_at, &part).await?;
        if !strays.is_empty() {
            self.left.push_front(Piece::Strays(candidate, strays));
        }
        Ok(())
    }

    fn destroy_keys(
        &mut self,
        office: &mut Office<'_>,
        decided: Option<&Holds>,
    ) -> Result<(), DisposeFault> {
        let mut groups = BTreeSet::new();
        let mut begun = Vec::new();
        for mut due in std::mem::take(&mut self.due) {
            // Somebody may have decided a hold since the day was looked at.
            due.look_at_holds(office);
            if let Some(pending) = plan::waits_for(office, decided, &due) {
                self.disposed.push(due.not_begun(pending)?);
                continue;
            }
            let permit = begin(office, &self.actor, &due, self.now)?;
            if due.has_key {
                groups.insert(Group::Day(due.day));
            }
            begun.push(Piece::Rows(Box::new(Destroying {
                permit,
                due,
                failed: BTreeSet::new(),
            })));
        }
        if !groups.is_empty() {
            office.keys.destroy(&groups, self.now)?;
        }
        for piece in begun.into_iter().rev() {
            self.left.push_front(piece);
        }
        Ok(())
    }

    async fn bury_rows(
        &mut self,
        office: &mut Office<'_>,
        day: Box<Destroying>,
    ) -> Result<(), DisposeFault> {
        let buried = office
            .catalogue
            .bury_part(day.permit.day(), &day.due.held, A_PIECE)
            .await?;
        self.left.push_front(match (buried, &day.due.files) {
            (Extent::Part, _) => Piece::Rows(day),
            (Extent::All, Files::Listed(_)) => Piece::Files(day),
            (Extent::All, Files::Unreadable) => Piece::Certify(day.with_every_file_left()),
        });
        Ok(())
    }

    fn remove_files(&mut self, office: &Office<'_>, mut day: Box<Destroying>) {
        let kept: BTreeSet<RecordingId> = day.due.held.union(&day.failed).copied().collect();
        let removed = office.vault.remove_part(day.permit.day(), &kept, A_PIECE);
        self.left.push_front(match removed {
            Ok(Removed { left, extent }) => {
                day.failed.extend(left);
                match extent {
                    Extent::All => Piece::Certify(day),
                    Extent::Part => Piece::Files(day),
                }
            }
            Err(_) => Piece::Certify(day.with_every_file_left()),
        });
    }
}

impl Destroying {
    fn with_every_file_left(mut self: Box<Self>) -> Box<Self> {
        let recordings = self.due.recordings();
        self.failed = recordings.difference(&self.due.held).copied().collect();
        self
    }
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

/// Leaves files alone that no row and no key knows, and names them; a folder without any goes.
fn leave_alone(office: &Office<'_>, due: &DueDay) -> Result<Option<DisposedDay>, DisposeFault> {
    let pending = match due.uncounted().len() as u64 {
        0 => match office.vault.forget_day(due.day) {
            Ok(()) => return Ok(None),
            Err(fault) => Pending::Disk(fault.to_string()),
        },
        count => Pending::Unknown(count),
    };
    due.not_begun(pending).map(Some)
}

/// Counts what became of a day, and certifies it once its bytes are gone. A day that has its record keeps it as it is.
fn certify_day(
    office: &mut Office<'_>,
    actor: &Actor,
    Destroying {
        permit,
        due,
        failed,
    }: &Destroying,
    now: Timestamp,
) -> Result<Option<DisposedDay>, DisposeFault> {
    let day = permit.day();
    let strays = due.uncounted().difference(failed).count() as u64;
    if strays > 0 {
        let recordings = strays;
        let _ = office.append(actor, AuditEvent::StraysRemoved { day, recordings }, now)?;
    }
    let recordings = due.recordings();
    let gone = recordings
        .iter()
        .filter(|id| !due.held.contains(id) && !failed.contains(id));
    let counts = [
        recordings.len(),
        gone.clone().count(),
        recordings.intersection(&due.held).count(),
        recordings.intersection(failed).count(),
    ];
    let [total, disposed, held, left] = counts.map(|count| count as u64);
    let counts =
        DisposalCounts::new(total, disposed, held, left).map_err(|_| DisposeFault::Counts)?;
    let waits = |pending| {
        Ok(Some(DisposedDay {
            day,
            counts,
            pending: vec![pending],
        }))
    };
    if !failed.is_empty() {
        let event = AuditEvent::DisposalIncomplete {
            day,
            counts,
            mirrors: office.keys.mirrors_behind().count() as u64,
        };
        let _ = office.append(actor, event, now)?;
        return waits(Pending::Bytes(failed.len() as u64));
    }
    match &due.record {
        Ok(None) => {}
        Ok(Some(_)) => return finish(office, actor, due, now),
        Err(fault) => return waits(Pending::Disk(fault.to_string())),
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
        return waits(Pending::Disk(fault.to_string()));
    }
    let pending = certify(office, actor, &record, Attempt::First, now)?;
    Ok(Some(forget(office, due, counts, pending)))
}

/// Goes on with a day of which nothing is left but its record: certifies it, or only removes its folder.
fn finish(
    office: &mut Office<'_>,
    actor: &Actor,
    due: &DueDay,
    now: Timestamp,
) -> Result<Option<DisposedDay>, DisposeFault> {
    let Ok(Some(record)) = &due.record else {
        return Ok(None);
    };
    let counts = record.counts;
    let is_new = record.stage == DisposalStage::Incomplete;
    let pending = match is_new {
        true => certify(office, actor, record, Attempt::Further, now)?,
        false => Vec::new(),
    };
    let disposed = forget(office, due, counts, pending);
    Ok((is_new || !disposed.pending.is_empty()).then_some(disposed))
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
