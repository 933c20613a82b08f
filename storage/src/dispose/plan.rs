//! What is due: looked at before anything is destroyed, and shown by `dispose --plan`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rules::{JstDay, RecordingId, RetentionPolicy};

use super::{DisposeFault, Office};
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
}

/// What the day's folder holds.
#[derive(Debug)]
pub(super) enum Files {
    Listed(BTreeSet<RecordingId>),
    /// Nobody can say, which must not keep this day's key or another day alive.
    Unreadable,
}

impl DueDay {
    /// Looks which of its recordings living cases hold.
    pub(super) fn look_at_holds(&mut self, office: &Office<'_>) {
        let held: BTreeSet<RecordingId> = office.held().into_values().flatten().collect();
        self.held = self.recordings().intersection(&held).copied().collect();
    }

    /// Its recordings, whether they have a row, a file or a tombstone.
    pub(super) fn recordings(&self) -> BTreeSet<RecordingId> {
        let mut recordings = self.rows.recordings.clone();
        if let Files::Listed(files) = &self.files {
            recordings.extend(files);
        }
        recordings
    }

    /// Those that have a file and no row.
    pub(super) fn strays(&self) -> Vec<RecordingId> {
        match &self.files {
            Files::Listed(files) => files.difference(&self.rows.recordings).copied().collect(),
            Files::Unreadable => Vec::new(),
        }
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

    pub(super) fn to_plan(&self) -> PlannedDay {
        let due = self.recordings();
        let held = due.intersection(&self.held).count() as u64;
        PlannedDay {
            day: self.day,
            expires_at: self.expires_at,
            due: due.len() as u64,
            held,
            failed: match self.files {
                Files::Listed(_) => 0,
                Files::Unreadable => due.len() as u64 - held,
            },
        }
    }
}

/// A day that has expired and that keys, folders or rows still know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    day: JstDay,
    expires_at: Timestamp,
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
    let mut due = DueDay {
        day,
        expires_at,
        has_key,
        rows: office.catalogue.rows_of(day).await?,
        files,
        held: BTreeSet::new(),
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
