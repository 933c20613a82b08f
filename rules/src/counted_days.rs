//! What the office's trail tells of the days that are kept: what each had counted, and what of it was disposed of.
//!
//! Rows and files can be altered by whoever may write them; an entry of the trail cannot without being seen. [`Reconciled`](crate::Reconciled)
//! is measured by it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    audit::{AuditEntry, AuditEvent},
    ids::{JstDay, RecordingId},
    month::JstMonth,
    reconciliation::DayCounts,
    retention::RetentionPolicy,
};

/// The entries that matter, as the trail spells them.
const EVENTS: [&str; 3] = [
    "\"day_counted\"",
    "\"disposal_begun\"",
    "\"recording_disposal_begun\"",
];

/// Gathered entry by entry from the office's chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountedDays {
    counted: BTreeMap<JstDay, DayCounts>,
    disposed_days: BTreeSet<JstDay>,
    disposed_alone: BTreeSet<RecordingId>,
}

impl CountedDays {
    /// The month from which on entries are about a day that may still be kept: none is kept longer, and each is counted after it.
    pub fn since(now: Timestamp) -> JstMonth {
        let first = JstDay::of(now)
            .date()
            .saturating_sub(jiff::Span::new().days(i64::from(RetentionPolicy::LONGEST.days())));
        JstMonth::of_day(JstDay::on(first))
    }

    /// Whether an entry may be about a day: most need not be read as JSON.
    pub fn may_concern(entry: &str) -> bool {
        EVENTS.iter().any(|event| entry.contains(event))
    }

    /// Takes the next entry. Of a day that was counted twice the first count holds.
    pub fn handle(&mut self, entry: &AuditEntry) {
        match &entry.event {
            AuditEvent::DayCounted { day, counts } => {
                self.counted.entry(*day).or_insert_with(|| counts.clone());
            }
            AuditEvent::DisposalBegun { day, .. } => {
                self.disposed_days.insert(*day);
            }
            AuditEvent::RecordingDisposalBegun { recording, .. } => {
                self.disposed_alone.insert(*recording);
            }
            _ => {}
        }
    }

    /// The days that were counted and must still have their rows.
    pub fn kept(&self, now: Timestamp) -> impl Iterator<Item = JstDay> {
        let days = self.counted.keys().copied();
        days.filter(move |day| !self.disposed_days.contains(day) && !is_expired(*day, None, now))
    }

    /// What it tells of one day.
    ///
    /// `expiry`: the instant that was fixed when the day began, where that is still known.
    pub fn told_of(&self, day: JstDay, expiry: Option<Timestamp>, now: Timestamp) -> ToldOfDay<'_> {
        match self.disposed_days.contains(&day) || is_expired(day, expiry, now) {
            true => ToldOfDay::Over,
            false => ToldOfDay::Kept {
                counted: self.counted.get(&day),
                disposed_alone: &self.disposed_alone,
            },
        }
    }
}

/// By what was fixed for the day; in any case by the longest that the rules allow.
fn is_expired(day: JstDay, expiry: Option<Timestamp>, now: Timestamp) -> bool {
    let longest = RetentionPolicy::LONGEST.expiry(day);
    expiry.map_or(longest, |expiry| expiry.min(longest)) <= now
}

/// What the trail tells of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToldOfDay<'days> {
    /// It has expired, or its disposal has begun: its rows may go.
    Over,
    /// It is kept.
    Kept {
        /// What it had counted when it had ended.
        counted: Option<&'days DayCounts>,
        /// Recordings whose own disposal has begun, of whatever day.
        disposed_alone: &'days BTreeSet<RecordingId>,
    },
}

impl ToldOfDay<'_> {
    /// What it had counted, as long as all of it must be there.
    pub(crate) fn counted(&self) -> Option<&DayCounts> {
        match self {
            ToldOfDay::Over => None,
            ToldOfDay::Kept { counted, .. } => *counted,
        }
    }

    /// Whether it knows why a recording is disposed of.
    pub(crate) fn explains(&self, recording: RecordingId) -> bool {
        match self {
            ToldOfDay::Over => true,
            ToldOfDay::Kept { disposed_alone, .. } => disposed_alone.contains(&recording),
        }
    }
}
