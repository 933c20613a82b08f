//! Who heard a recording or packed it, which part, what for, and who saw the caller's number: as the trail says it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    audit::{AuditEntry, AuditEvent},
    digest::Digest,
    hand_over::HandOverFact,
    ids::{HandOverId, RecordingId, StaffId},
    purpose::Purpose,
    register::Fact,
};

/// Somebody heard a recording, had it written to a file, or packed it for a hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hearing {
    /// When it was allowed.
    pub at: Timestamp,
    /// Who.
    pub who: Option<StaffId>,
    /// What for.
    pub purpose: Purpose,
    /// The hand-over for which it was packed, whole or broken off.
    pub hand_over: Option<HandOverId>,
    /// Which part was sent, in milliseconds from the recording's beginning; `None` while it goes on, of a package, and where nobody wrote down how far it came.
    pub range_ms: Option<(u64, u64)>,
}

/// Somebody was allowed to see the number of a recording's caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: Option<StaffId>,
    /// What for.
    pub purpose: Purpose,
    /// The salted hash of why.
    pub reason: Digest,
}

/// The hearings of one recording, and the sightings of its caller's number, gathered entry by entry.
#[derive(Debug)]
pub struct Hearings {
    recording: RecordingId,
    by_grant: BTreeMap<u64, Hearing>,
    sightings: Vec<Sighting>,
    /// The hand-overs that are about it, and their purposes.
    hand_overs: BTreeMap<HandOverId, Purpose>,
    /// How the ids look in an entry.
    names: BTreeSet<String>,
}

impl Hearings {
    /// Of this recording, before the first entry.
    pub fn of(recording: RecordingId) -> Hearings {
        Hearings {
            recording,
            by_grant: BTreeMap::new(),
            sightings: Vec::new(),
            hand_overs: BTreeMap::new(),
            names: [recording.to_string()].into(),
        }
    }

    /// Whether an entry may be about it: most need not be read as JSON.
    pub fn may_concern(&self, entry: &str) -> bool {
        self.names.iter().any(|name| entry.contains(name))
    }

    /// Takes the next entry of the trail.
    pub fn handle(&mut self, entry: &AuditEntry) {
        match &entry.event {
            AuditEvent::ListenGranted {
                recording, purpose, ..
            } if *recording == self.recording => self.allow(entry, *purpose, None),
            AuditEvent::PlaybackEnded {
                granted, range_ms, ..
            }
            | AuditEvent::ExportCompleted {
                granted, range_ms, ..
            }
            | AuditEvent::ExportFailed {
                granted,
                range_ms: Some(range_ms),
                ..
            } => {
                if let Some(hearing) = self.by_grant.get_mut(granted) {
                    hearing.range_ms = Some(*range_ms);
                }
            }
            AuditEvent::NumberRevealed {
                recording,
                purpose,
                reason,
                ..
            } if *recording == self.recording => self.sightings.push(Sighting {
                at: entry.at,
                who: entry.actor.person().cloned(),
                purpose: *purpose,
                reason: *reason,
            }),
            AuditEvent::Registered {
                change: Fact::HandOver(fact),
                ..
            } => self.handle_hand_over(entry, fact),
            _ => {}
        }
    }

    /// A package opens all recordings of its request; of one that broke off nobody knows how much was taken.
    fn handle_hand_over(&mut self, entry: &AuditEntry, fact: &HandOverFact) {
        match fact {
            HandOverFact::Requested { hand_over, wish } if wish.items.contains(&self.recording) => {
                self.hand_overs.insert(*hand_over, wish.purpose);
                self.names.insert(hand_over.to_string());
            }
            HandOverFact::PackageBegun { hand_over, .. } => {
                if let Some(purpose) = self.hand_overs.get(hand_over) {
                    self.allow(entry, *purpose, Some(*hand_over));
                }
            }
            _ => {}
        }
    }

    fn allow(&mut self, entry: &AuditEntry, purpose: Purpose, hand_over: Option<HandOverId>) {
        let hearing = Hearing {
            at: entry.at,
            who: entry.actor.person().cloned(),
            purpose,
            hand_over,
            range_ms: None,
        };
        self.by_grant.insert(entry.seq, hearing);
    }

    /// Who saw the number so far, in order.
    pub fn sightings(&self) -> &[Sighting] {
        &self.sightings
    }

    /// All hearings, in the order in which they were allowed.
    pub fn finish(self) -> impl Iterator<Item = Hearing> {
        self.by_grant.into_values()
    }
}
