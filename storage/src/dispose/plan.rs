//! What is due: looked at before anything is destroyed, and shown by `dispose --plan`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rules::{DisposalCounts, Holds, JstDay, RecordingId, RetentionPolicy};

use super::{DisposalRecord, DisposeFault, DisposedDay, Office, Pending, RecordFault, Subject};
use crate::{catalogue::DayRows, group::Group, vault::SegmentFile};

/// A day that is due, as a plan shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedDay {
    /// Which.
    pub day: JstDay,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Its recordings.
    pub due: u64,
    /// Those that a case holds.
    pub held: u64,
    /// Those whose bytes cannot be reached.
    pub failed: u64,
}

/// A day that is due, and what is left of it.
#[derive(Debug)]
pub(super) struct DueDay {
    pub(super) day: JstDay,
    pub(super) expires_at: Timestamp,
    pub(super) has_key: bool,
    pub(super) rows: DayRows,
    pub(super) files: Files,
    pub(super) held: BTreeSet<RecordingId>,
    /// Recordings that were disposed of by themselves: a record of their own counts them.
    apart: BTreeSet<RecordingId>,
    /// What a disposal of this day has left before.
    pub(super) record: Result<Option<DisposalRecord>, RecordFault>,
}

/// What the day's folder holds.
#[derive(Debug)]
pub(super) enum Files {
    Listed(BTreeSet<RecordingId>),
    /// Nobody can say, which must not keep this day's key or another day alive.
    Unreadable,
}

impl Files {
    fn recordings(&self) -> impl Iterator<Item = RecordingId> {
        match self {
            Files::Listed(files) => Some(files.iter().copied()),
            Files::Unreadable => None,
        }
        .into_iter()
        .flatten()
    }
}

impl DueDay {
    /// Looks which of its recordings living cases hold.
    pub(super) fn look_at_holds(&mut self, office: &Office<'_>) {
        let mut all = self.rows.recordings.clone();
        all.extend(self.files.recordings());
        let held: BTreeSet<RecordingId> = office.held().into_values().flatten().collect();
        self.held = all.intersection(&held).copied().collect();
    }

    /// What its disposal is about. A row knows it, or a key: a case's or, with a file, the day's. Of a day that has its record, what came back.
    pub(super) fn recordings(&self) -> BTreeSet<RecordingId> {
        let is_recorded = matches!(self.record, Ok(Some(_)));
        let mut recordings = match is_recorded {
            true => self.rows.living.clone(),
            false => self.rows.recordings.clone(),
        };
        if is_recorded || self.has_key {
            recordings.extend(self.files.recordings());
        }
        recordings.extend(&self.held);
        recordings.retain(|recording| !self.apart.contains(recording));
        recordings
    }

    /// Whether audio of a recording may be here or to come by a restore. What has none cannot be held and keeps no day.
    fn may_have(&self, office: &Office<'_>, recording: RecordingId) -> bool {
        let may_be_here = match &self.files {
            Files::Listed(files) => files.contains(&recording),
            Files::Unreadable => true,
        };
        // Where nobody can tell whether it is to come, it is.
        may_be_here || office.vault.awaits(self.day, recording).unwrap_or(true)
    }

    /// Those that have a file, and no row by which they are counted once their key is gone.
    pub(super) fn strays(&self) -> Vec<RecordingId> {
        let has_row = |recording: &RecordingId| self.rows.recordings.contains(recording);
        let recordings = self.recordings().into_iter();
        recordings
            .filter(|recording| !has_row(recording) && !self.held.contains(recording))
            .collect()
    }

    /// Those whose files go with the day and that no certificate of it counts.
    pub(super) fn uncounted(&self) -> BTreeSet<RecordingId> {
        let counted = match self.record {
            Ok(Some(_)) => self.held.clone(),
            Ok(None) | Err(_) => self.recordings(),
        };
        let files = self.files.recordings();
        files.filter(|file| !counted.contains(file)).collect()
    }

    /// Whether a key, a row or a record tells of the day at all.
    pub(super) fn is_known(&self) -> bool {
        let has_rows = self.rows.unrecorded > 0 || !self.rows.recordings.is_empty();
        let is_recorded = !matches!(self.record, Ok(None));
        self.has_key || has_rows || is_recorded || !self.held.is_empty()
    }

    /// Whether nothing is left to destroy: what there still is, is held.
    pub(super) fn is_destroyed(&self) -> bool {
        let is_gone = match &self.files {
            Files::Listed(files) => files.is_subset(&self.held),
            Files::Unreadable => false,
        };
        let has_rows = self.rows.unrecorded > 0 || !self.rows.living.is_subset(&self.held);
        is_gone && !self.has_key && !has_rows
    }

    /// `waits`: why nothing of it is destroyed yet.
    pub(super) fn to_plan(&self, waits: Option<&Pending>) -> PlannedDay {
        let due = self.recordings();
        let held = due.intersection(&self.held).count() as u64;
        PlannedDay {
            day: self.day,
            expires_at: self.expires_at,
            due: due.len() as u64,
            held,
            failed: match (&self.files, waits) {
                (Files::Listed(_), None) => 0,
                (Files::Unreadable, _) | (_, Some(_)) => due.len() as u64 - held,
            },
        }
    }

    /// What is told of it while nothing of it is destroyed.
    pub(super) fn not_begun(&self, pending: Pending) -> Result<DisposedDay, DisposeFault> {
        let PlannedDay { due, held, .. } = self.to_plan(Some(&pending));
        let counts = DisposalCounts::new(due, 0, held, due - held);
        Ok(DisposedDay {
            day: self.day,
            counts: counts.map_err(|_| DisposeFault::Counts)?,
            pending: vec![pending],
        })
    }
}

/// Why a day keeps its keys beyond its expiry: what cases are to keep of it is not in their keys, or nobody can say what that is.
///
/// `decided`: as [`Disposal::step`](super::Disposal::step) asks it.
pub(super) fn waits_for(
    office: &Office<'_>,
    decided: Option<&Holds>,
    due: &DueDay,
) -> Option<Pending> {
    if !due.has_key {
        return None;
    }
    let Some(decided) = decided else {
        return Some(Pending::Register);
    };
    let unsettled = decided.unsettled(&office.held()).into_iter();
    let unsettled: BTreeSet<RecordingId> = unsettled.map(|(_, recording)| recording).collect();
    let recordings = due.recordings();
    let unsettled = recordings.intersection(&unsettled);
    match unsettled.filter(|one| due.may_have(office, **one)).count() {
        0 => None,
        count => Some(Pending::Holds(count as u64)),
    }
}

/// A day that has expired and that keys, folders or rows still know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) day: JstDay,
    pub(super) expires_at: Timestamp,
}

/// Days that are to be looked at.
pub(super) async fn candidates(
    office: &mut Office<'_>,
    now: Timestamp,
) -> Result<Vec<Candidate>, DisposeFault> {
    let rows: BTreeMap<JstDay, Timestamp> =
        office.catalogue.due_days(now).await?.into_iter().collect();
    let mut days: BTreeSet<JstDay> = with_keys(office).collect();
    days.extend(office.vault.days()?);
    days.extend(rows.keys());
    let all = days.into_iter().map(|day| Candidate {
        day,
        expires_at: expiry(office, day, rows.get(&day).copied()),
    });
    Ok(all.filter(|day| day.expires_at <= now).collect())
}

/// Looks at one day.
pub(super) async fn look(
    office: &mut Office<'_>,
    Candidate { day, expires_at }: Candidate,
) -> Result<DueDay, DisposeFault> {
    let files = match office.vault.files(day) {
        Ok(files) => Files::Listed(recordings_of(&files)),
        Err(_) => Files::Unreadable,
    };
    let has_key = with_keys(office).any(|known| known == day);
    let (disk, layout) = (office.disk(), office.vault.layout());
    let record = DisposalRecord::read(disk, layout, Subject::Day(day));
    let mut apart = DisposalRecord::recordings(disk, layout)?;
    apart.extend(office.keys.unburied().into_keys());
    let mut due = DueDay {
        day,
        expires_at,
        has_key,
        rows: office.catalogue.rows_of(day).await?,
        files,
        held: BTreeSet::new(),
        apart,
        record,
    };
    due.look_at_holds(office);
    Ok(due)
}

fn with_keys(office: &Office<'_>) -> impl Iterator<Item = JstDay> {
    office.keys.groups().filter_map(|group| match group {
        Group::Day(day) => Some(day),
        Group::Case(_) | Group::Register(_) => None,
    })
}

/// When a day expires. One whose own word cannot be read is kept as its rows say, else as long as the rules ever allow: a
/// shorter guess would destroy early, and no guess would keep it for ever.
fn expiry(office: &Office<'_>, day: JstDay, rows: Option<Timestamp>) -> Timestamp {
    match office.vault.fixed_expiry(day) {
        Ok(Some(fixed)) => fixed,
        Ok(None) => rows.unwrap_or_else(|| office.vault.policy_expiry(day)),
        Err(_) => rows.unwrap_or_else(|| RetentionPolicy::LONGEST.expiry(day)),
    }
}

pub(super) fn recordings_of(files: &[SegmentFile]) -> BTreeSet<RecordingId> {
    files.iter().map(|file| file.recording).collect()
}
