//! Copies outside the vault: of what, who holds each, until when, and what became of it (K-39).
//!
//! A copy is entered before its first byte leaves, so that none is outside that is not listed; made = destroyed + outstanding at any time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    ids::{CopyId, HandOverId, RecordingId, StaffId, VendorId},
    permit::PERMIT_MINUTES,
};

const LONGEST_HOURS: i64 = 30 * 24; // K-39: 30 days.
const LONGEST_WRITING_MINUTES: i64 = 2 * PERMIT_MINUTES; // No part leaves after a permit, and no disk takes as long again.

/// What is recorded of a copy that a listener made of one recording. Packages are told by their hand-over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum CopyFact {
    /// Its first byte leaves next; whoever wrote this holds it.
    Begun {
        /// Which.
        copy: CopyId,
        /// Of what.
        recording: RecordingId,
        /// When it must be gone.
        destroy_by: Timestamp,
        /// The salted hash of where it lies.
        place: Digest,
    },
    /// It is whole.
    Made {
        /// Which.
        copy: CopyId,
        /// Of the file.
        sha256: Digest,
        /// Its length.
        bytes: u64,
    },
    /// It is gone.
    Destroyed {
        /// Which.
        copy: CopyId,
        /// What says so.
        #[serde(flatten)]
        how: Destruction,
    },
}

impl CopyFact {
    /// Which copy.
    pub fn copy(&self) -> CopyId {
        match self {
            CopyFact::Begun { copy, .. }
            | CopyFact::Made { copy, .. }
            | CopyFact::Destroyed { copy, .. } => *copy,
        }
    }
}

/// What says that a copy is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Destruction {
    /// The service removed the file, or saw that none was made.
    Removed,
    /// A certificate, by its SHA-256.
    Certified {
        /// Of the file.
        certificate: Digest,
    },
}

/// Who holds a copy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// Somebody of the city.
    Person(StaffId),
    /// 委託事業者.
    Vendor(VendorId),
    /// Whoever a hand-over by request names.
    Receiver(HandOverId),
}

/// Of what it is a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyOf {
    /// One recording, as a WAV file.
    Recording(RecordingId),
    /// All recordings of a hand-over, encrypted.
    HandOver(HandOverId),
}

/// Where a copy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyState {
    /// It was begun, and is being written or broke off; whatever is there of it is outside.
    Unfinished,
    /// It is whole and outside.
    Whole {
        /// Of the file.
        sha256: Digest,
        /// Its length.
        bytes: u64,
    },
    /// It is gone.
    Destroyed {
        /// When that was recorded.
        at: Timestamp,
        /// What says so.
        how: Destruction,
    },
}

/// What a holder is reminded of (K-24). A copy is outside for 30 days at most, so the first comes a week before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reminder {
    /// It must be gone within seven days.
    Week,
    /// It must be gone within a day.
    Day,
    /// It must be gone.
    Overdue,
}

impl Reminder {
    fn of(destroy_by: Timestamp, now: Timestamp) -> Option<Reminder> {
        let left = now.duration_until(destroy_by);
        [
            (Reminder::Overdue, SignedDuration::ZERO),
            (Reminder::Day, SignedDuration::from_hours(24)),
            (Reminder::Week, SignedDuration::from_hours(7 * 24)),
        ]
        .into_iter()
        .find_map(|(reminder, within)| (left <= within).then_some(reminder))
    }
}

/// A copy outside the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideCopy {
    of: CopyOf,
    holder: Holder,
    made_at: Timestamp,
    destroy_by: Timestamp,
    state: CopyState,
}

impl OutsideCopy {
    pub(crate) fn begun(
        of: CopyOf,
        holder: Holder,
        made_at: Timestamp,
        destroy_by: Timestamp,
    ) -> OutsideCopy {
        OutsideCopy {
            of,
            holder,
            made_at,
            destroy_by,
            state: CopyState::Unfinished,
        }
    }

    /// Of what.
    pub fn of(&self) -> CopyOf {
        self.of
    }

    /// Who holds it, or held it last.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// When it was begun.
    pub fn made_at(&self) -> Timestamp {
        self.made_at
    }

    /// When it must be gone.
    pub fn destroy_by(&self) -> Timestamp {
        self.destroy_by
    }

    /// Where it stands.
    pub fn state(&self) -> CopyState {
        self.state
    }

    /// Whether it is still outside.
    pub fn is_outstanding(&self) -> bool {
        !matches!(self.state, CopyState::Destroyed { .. })
    }

    /// Whether its file is to be removed: it must be gone, or it broke off, which nobody may keep.
    pub fn is_to_be_removed(&self, now: Timestamp) -> bool {
        let broke_off = self.state == CopyState::Unfinished && !self.is_within_writing(now);
        broke_off || self.is_overdue(now)
    }

    /// Whether somebody may still be writing it, so that nothing can say that it is gone. Writing a package ends with its certificate.
    pub fn is_being_written(&self, now: Timestamp) -> bool {
        let is_file = matches!(self.of, CopyOf::Recording(_));
        is_file && self.state == CopyState::Unfinished && self.is_within_writing(now)
    }

    fn is_within_writing(&self, now: Timestamp) -> bool {
        let end = self
            .made_at
            .saturating_add(LONGEST_WRITING_MINUTES.minutes());
        end.is_ok_and(|end| now < end)
    }

    /// What its holder is reminded of; nothing once it is gone.
    pub fn reminder(&self, now: Timestamp) -> Option<Reminder> {
        Reminder::of(self.destroy_by, now).filter(|_| self.is_outstanding())
    }

    /// Whether it is still outside although it must be gone.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.is_outstanding() && self.destroy_by <= now
    }
}

/// The register of copies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copies(BTreeMap<CopyId, OutsideCopy>);

/// made = destroyed + outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyCounts {
    /// All that were ever begun.
    pub made: usize,
    /// Gone.
    pub destroyed: usize,
    /// Still outside.
    pub outstanding: usize,
}

impl Copies {
    /// Finds a copy.
    pub fn get(&self, copy: CopyId) -> Option<&OutsideCopy> {
        self.0.get(&copy)
    }

    /// All of them, in the order in which they were begun.
    pub fn iter(&self) -> impl Iterator<Item = (CopyId, &OutsideCopy)> {
        self.0.iter().map(|(id, copy)| (*id, copy))
    }

    /// How many.
    pub fn counts(&self) -> CopyCounts {
        let outstanding = |copy: &&OutsideCopy| copy.is_outstanding();
        CopyCounts {
            made: self.0.len(),
            destroyed: self.0.values().filter(|copy| !outstanding(copy)).count(),
            outstanding: self.0.values().filter(outstanding).count(),
        }
    }

    /// Whether somebody still holds what must be gone.
    pub fn is_overdue(&self, holder: &Holder, now: Timestamp) -> bool {
        let held = self.0.values().filter(|copy| copy.holder == *holder);
        held.into_iter().any(|copy| copy.is_overdue(now))
    }

    /// Whether somebody still holds something of what is handed over.
    pub(crate) fn is_outside(&self, hand_over: HandOverId) -> bool {
        let mut copies = self.0.values();
        copies.any(|copy| copy.of == CopyOf::HandOver(hand_over) && copy.is_outstanding())
    }

    /// Takes a fact in; one about a copy that is not there, or is gone, changes nothing.
    pub(crate) fn handle_fact(&mut self, at: Timestamp, by: Option<&StaffId>, fact: &CopyFact) {
        match (fact, by) {
            (
                CopyFact::Begun {
                    copy,
                    recording,
                    destroy_by,
                    ..
                },
                Some(by),
            ) => {
                let (of, holder) = (CopyOf::Recording(*recording), Holder::Person(by.clone()));
                self.begin(*copy, OutsideCopy::begun(of, holder, at, *destroy_by));
            }
            // A copy has a holder.
            (CopyFact::Begun { .. }, None) => {}
            (
                CopyFact::Made {
                    copy,
                    sha256,
                    bytes,
                },
                _,
            ) => self.finish(*copy, *sha256, *bytes),
            (CopyFact::Destroyed { copy, how }, _) => self.destroy(*copy, at, *how),
        }
    }

    pub(crate) fn begin(&mut self, copy: CopyId, begun: OutsideCopy) {
        self.0.entry(copy).or_insert(begun);
    }

    pub(crate) fn finish(&mut self, copy: CopyId, sha256: Digest, bytes: u64) {
        if let Some(copy) = self.0.get_mut(&copy)
            && copy.state == CopyState::Unfinished
        {
            copy.state = CopyState::Whole { sha256, bytes };
        }
    }

    pub(crate) fn hand_to(&mut self, copy: CopyId, holder: Holder) {
        if let Some(copy) = self.0.get_mut(&copy) {
            copy.holder = holder;
        }
    }

    pub(crate) fn destroy(&mut self, copy: CopyId, at: Timestamp, how: Destruction) {
        if let Some(copy) = self.0.get_mut(&copy)
            && copy.is_outstanding()
        {
            copy.state = CopyState::Destroyed { at, how };
        }
    }
}

/// When a copy must be gone: the earliest of 30 days, the expiry of what it holds, and the contract's end (K-24, K-39).
pub fn destroy_by(
    made_at: Timestamp,
    expiries: impl IntoIterator<Item = Timestamp>,
    contract_end: Option<Timestamp>,
) -> Timestamp {
    let longest = made_at.saturating_add(LONGEST_HOURS.hours());
    expiries
        .into_iter()
        .chain(contract_end)
        .fold(longest.unwrap_or(made_at), Timestamp::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        let begin: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        begin + hours.hours()
    }

    #[test]
    fn a_copy_is_gone_by_the_earliest_of_its_three_limits() {
        assert_eq!(destroy_by(at(0), [at(2_000)], None), at(720));
        assert_eq!(
            destroy_by(at(0), [at(500), at(300)], Some(at(400))),
            at(300)
        );
        assert_eq!(destroy_by(at(0), [at(500)], Some(at(100))), at(100));
    }

    #[test]
    fn a_holder_is_reminded_a_week_and_a_day_before_and_until_the_copy_is_gone() {
        let of = CopyOf::Recording(RecordingId::new(at(0), 1));
        let holder = Holder::Person("hanako".parse().unwrap());
        let mut copy = OutsideCopy::begun(of, holder, at(0), at(720));
        for (hours, reminder) in [
            (0, None),
            (720 - 169, None),
            (720 - 168, Some(Reminder::Week)),
            (720 - 25, Some(Reminder::Week)),
            (720 - 24, Some(Reminder::Day)),
            (719, Some(Reminder::Day)),
            (720, Some(Reminder::Overdue)),
        ] {
            assert_eq!(copy.reminder(at(hours)), reminder, "{hours}");
            assert_eq!(
                copy.is_overdue(at(hours)),
                reminder == Some(Reminder::Overdue)
            );
        }
        copy.state = CopyState::Destroyed {
            at: at(1),
            how: Destruction::Removed,
        };
        assert_eq!(copy.reminder(at(720)), None);
    }

    #[test]
    fn made_is_destroyed_plus_outstanding_after_every_fact() {
        let (holder, digest): (StaffId, _) = ("hanako".parse().unwrap(), Digest([7; 32]));
        let ids: Vec<CopyId> = (0..4).map(|random| CopyId::new(at(0), random)).collect();
        let mut copies = Copies::default();
        for round in 0..200_u64 {
            // A fixed walk over all steps and copies, in and out of order.
            let copy = ids[usize::try_from(round * 7 % 4).unwrap()];
            let fact = match round * 5 % 3 {
                0 => CopyFact::Begun {
                    copy,
                    recording: RecordingId::new(at(0), 1),
                    destroy_by: at(720),
                    place: digest,
                },
                1 => CopyFact::Made {
                    copy,
                    sha256: digest,
                    bytes: round,
                },
                _ => CopyFact::Destroyed {
                    copy,
                    how: Destruction::Removed,
                },
            };
            copies.handle_fact(at(0), Some(&holder), &fact);
            let counts = copies.counts();
            assert_eq!(counts.made, counts.destroyed + counts.outstanding);
        }
        assert_eq!(copies.counts().made, 4);
    }

    #[test]
    fn what_broke_off_is_removed_soon_and_what_is_whole_at_its_time() {
        let of = CopyOf::Recording(RecordingId::new(at(0), 1));
        let holder = Holder::Person("hanako".parse().unwrap());
        let (broken_off, whole) = (CopyId::new(at(0), 1), CopyId::new(at(0), 2));
        let mut copies = Copies::default();
        for copy in [broken_off, whole] {
            copies.begin(copy, OutsideCopy::begun(of, holder.clone(), at(0), at(720)));
        }
        copies.finish(whole, Digest([7; 32]), 44);
        let removed = |now: Timestamp| {
            let due = copies.iter().filter(|(_, copy)| copy.is_to_be_removed(now));
            due.map(|(id, _)| id).collect::<Vec<_>>()
        };
        let is_written = |now| [broken_off, whole].map(|id| copies.0[&id].is_being_written(now));
        assert_eq!(removed(at(0) + 29.minutes()), []);
        assert_eq!(is_written(at(0) + 29.minutes()), [true, false]);
        assert_eq!(removed(at(0) + 30.minutes()), [broken_off]);
        assert_eq!(is_written(at(0) + 30.minutes()), [false, false]);
        assert_eq!(removed(at(720)), [broken_off, whole]);
    }

    #[test]
    fn what_is_outside_past_its_time_is_overdue_for_its_holder_alone() {
        let (hanako, copy) = ("hanako".parse().unwrap(), CopyId::new(at(0), 1));
        let mut copies = Copies::default();
        let begun = CopyFact::Begun {
            copy,
            recording: RecordingId::new(at(0), 1),
            destroy_by: at(720),
            place: Digest([7; 32]),
        };
        copies.handle_fact(at(0), Some(&hanako), &begun);
        let (own, other) = (
            Holder::Person(hanako),
            Holder::Person("taro".parse().unwrap()),
        );
        assert!(!copies.is_overdue(&own, at(719)));
        assert!(copies.is_overdue(&own, at(720)));
        assert!(!copies.is_overdue(&other, at(720)));
        copies.destroy(copy, at(721), Destruction::Removed);
        assert!(!copies.is_overdue(&own, at(722)));
    }
}
