//! Who heard a recording, which part, what for: as the trail says it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    audit::{AuditEntry, AuditEvent},
    ids::{RecordingId, StaffId},
    purpose::Purpose,
};

/// Somebody heard a recording, or had it written to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hearing {
    /// When it was allowed.
    pub at: Timestamp,
    /// Who.
    pub who: Option<StaffId>,
    /// What for.
    pub purpose: Purpose,
    /// Which part was sent, in milliseconds from the recording's beginning; `None` while it goes on, and where nobody could write down how it ended.
    pub range_ms: Option<(u64, u64)>,
}

/// The hearings of one recording, gathered entry by entry.
#[derive(Debug)]
pub struct Hearings {
    recording: RecordingId,
    by_grant: BTreeMap<u64, Hearing>,
}

impl Hearings {
    /// Of this recording, before the first entry.
    pub fn of(recording: RecordingId) -> Hearings {
        Hearings {
            recording,
            by_grant: BTreeMap::new(),
        }
    }

    /// Takes the next entry of the trail.
    pub fn handle(&mut self, entry: &AuditEntry) {
        match entry.event {
            AuditEvent::ListenGranted {
                recording, purpose, ..
            } if recording == self.recording => {
                let hearing = Hearing {
                    at: entry.at,
                    who: entry.actor.person().cloned(),
                    purpose,
                    range_ms: None,
                };
                self.by_grant.insert(entry.seq, hearing);
            }
            AuditEvent::PlaybackEnded {
                granted, range_ms, ..
            }
            | AuditEvent::ExportCompleted {
                granted, range_ms, ..
            } => {
                if let Some(hearing) = self.by_grant.get_mut(&granted) {
                    hearing.range_ms = Some(range_ms);
                }
            }
            // Of a file that did not become whole nobody knows how much was taken: whoever took it says so.
            _ => {}
        }
    }

    /// All of them, in the order in which they were allowed.
    pub fn finish(self) -> impl Iterator<Item = Hearing> {
        self.by_grant.into_values()
    }
}
