//! A call as people are shown it: where it stands and why, with numbers that call nobody back.

use jiff::Timestamp;
use rules::{CallId, CallRecord, EmergencyId, EndCause, Number, Reason, RecordingId};

use crate::{call_record::Kept, direction::Direction};

/// A call as it stands, or as it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallReport {
    /// Our id.
    pub id: CallId,
    /// Which way it goes.
    pub direction: Direction,
    /// The stage it is in, by the name that its ladder shows.
    pub stage: &'static str,
    /// Since when it is in that stage.
    pub since: Timestamp,
    /// When its INVITE came.
    pub started_at: Timestamp,
    /// When the two parties were joined.
    pub answered_at: Option<Timestamp>,
    /// Who calls.
    pub caller: ShownCaller,
    /// Who is called, masked; empty where what was called is no number.
    pub called: String,
    /// The peers that have a leg of it: who called first, then who is called.
    pub peers: Vec<String>,
    /// Whether it is recorded.
    pub recorded: Recorded,
    /// The emergency under which it came.
    pub emergency: Option<EmergencyId>,
    /// How it ended; none while it goes on.
    pub ending: Option<Ending>,
}

/// Who calls, as far as people are shown it: masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShownCaller {
    /// By this number.
    Number(String),
    /// A telephone of the PBX that has no number of its own (内線).
    Extension(String),
    /// No number was given, or it is withheld.
    Anonymous,
}

/// Whether a call is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The parties are not joined: there is nothing to record yet.
    Undecided,
    /// It is, or was.
    Kept(RecordingId),
    /// It is not, and this is why.
    Not(Reason),
    /// It is none that is ever recorded (K-02), or it never became a call.
    Never,
}

impl From<Kept> for Recorded {
    fn from(kept: Kept) -> Recorded {
        match kept {
            Kept::Recording(recording) => Recorded::Kept(recording),
            Kept::Unrecorded(reason) => Recorded::Not(reason),
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// When.
    pub at: Timestamp,
    /// What ended it.
    pub by: EndedBy,
}

/// What ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// It was taken in, and ended.
    Cause(EndCause),
    /// It was not taken in: the status that its INVITE got.
    Refusal(u16),
}

impl CallReport {
    /// A call of which nothing but its INVITE is known, because a fault of ours ended it before it was taken in.
    pub(crate) fn unread(id: CallId, now: crate::now::Now) -> CallReport {
        CallReport {
            id,
            direction: Direction::Inbound,
            stage: "Refused",
            since: now.wall,
            started_at: now.wall,
            answered_at: None,
            caller: ShownCaller::Anonymous,
            called: String::new(),
            peers: Vec::new(),
            recorded: Recorded::Never,
            emergency: None,
            ending: Some(Ending {
                at: now.wall,
                by: EndedBy::Refusal(500),
            }),
        }
    }

    /// The number, as far as people are shown it.
    pub fn masked(number: Option<&Number>) -> String {
        number.map(Number::to_string).unwrap_or_default()
    }

    /// What a call's record says about its recording: it is written when the parties are joined, and closed at the end.
    pub(crate) fn recorded(record: &CallRecord) -> Recorded {
        match (record.recording, record.unrecorded) {
            (Some(recording), _) => Recorded::Kept(recording),
            (None, Some(reason)) => Recorded::Not(reason),
            (None, None) => Recorded::Undecided,
        }
    }
}
