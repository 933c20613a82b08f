//! What a sealed text is about.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{CaseId, CopyId, DecisionId, HandOverId, HoldId, RecordingId, StaffId};

/// What a sealed text is about: a name, a basis, a reason never stands without it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A person.
    Person(StaffId),
    /// A request, or the case that it opened.
    Case(CaseId),
    /// A recording: why its caller's number was looked at.
    Recording(RecordingId),
    /// A legal hold.
    Hold(HoldId),
    /// A hand-over.
    HandOver(HandOverId),
    /// A copy outside the vault.
    Copy(CopyId),
    /// A manager's decision: about a number's notice, a measure, a policy.
    Decision(DecisionId),
}

impl fmt::Display for Subject {
    /// The id alone: none has the form of another's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Person(id) => id.fmt(f),
            Subject::Case(id) => id.fmt(f),
            Subject::Recording(id) => id.fmt(f),
            Subject::Hold(id) => id.fmt(f),
            Subject::HandOver(id) => id.fmt(f),
            Subject::Copy(id) => id.fmt(f),
            Subject::Decision(id) => id.fmt(f),
        }
    }
}
