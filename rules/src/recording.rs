//! What is kept of a call beside its sound: exactly what the consultation lists (K-01), the caller's number apart, because it is sealed.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{CallId, EmergencyId, IdFault, JstDay, RecordingId},
    notice::{NoticeRecord, Reason},
    number::{self, Number},
};

/// A call's row, as far as the call has come. The caller travels beside it and is sealed apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Our id of the call.
    pub call_id: CallId,
    /// Its recording, where it has one.
    pub recording: Option<RecordingId>,
    /// The city's own number that was called.
    #[serde(with = "number::clear")]
    pub called: Number,
    /// The department that the number belongs to.
    pub department: String,
    /// When the INVITE came.
    pub started_at: Timestamp,
    /// When a department answered.
    pub answered_at: Option<Timestamp>,
    /// When the last leg ended.
    pub ended_at: Option<Timestamp>,
    /// What ended it.
    pub end_cause: Option<EndCause>,
    /// The emergency under which it came, whatever its notice was.
    pub emergency: Option<EmergencyId>,
    /// What allowed the recording.
    pub notice: Option<NoticeRecord>,
    /// Why there is no recording.
    pub unrecorded: Option<Reason>,
}

impl CallRecord {
    /// The day that all objects of the call belong to: that of its start.
    pub fn day(&self) -> JstDay {
        JstDay::of(self.started_at)
    }
}

/// What ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EndCause {
    /// The caller hung up, after an answer.
    CallerHungUp,
    /// The department hung up.
    DepartmentHungUp,
    /// The caller gave up before an answer.
    Cancelled,
    /// Every target was busy.
    Busy,
    /// No target answered in its time.
    NoAnswer,
    /// No target could be reached.
    Unreachable,
    /// A target refused the call.
    Rejected,
    /// The city does not take calls on this number at this hour.
    Closed,
    /// No leg, port or channel was left.
    Congestion,
    /// It lasted as long as a call may.
    LongestCall,
    /// An answer was never acknowledged.
    NotAcknowledged,
    /// A party's session was not refreshed any more.
    SessionExpired,
    /// The offered media cannot be carried.
    NotAcceptable,
    /// The shard that carried its media was lost.
    MediaLost,
    /// The service was stopped.
    Shutdown,
    /// A fault of ours ended this one call.
    Fault,
    /// The process died under it; the next start found it so.
    Crash,
}

impl EndCause {
    /// All of them.
    pub const ALL: [EndCause; 17] = [
        EndCause::CallerHungUp,
        EndCause::DepartmentHungUp,
        EndCause::Cancelled,
        EndCause::Busy,
        EndCause::NoAnswer,
        EndCause::Unreachable,
        EndCause::Rejected,
        EndCause::Closed,
        EndCause::Congestion,
        EndCause::LongestCall,
        EndCause::NotAcknowledged,
        EndCause::SessionExpired,
        EndCause::NotAcceptable,
        EndCause::MediaLost,
        EndCause::Shutdown,
        EndCause::Fault,
        EndCause::Crash,
    ];

    /// As rows hold it.
    pub fn code(self) -> &'static str {
        match self {
            EndCause::CallerHungUp => "CALLER_HUNG_UP",
            EndCause::DepartmentHungUp => "DEPARTMENT_HUNG_UP",
            EndCause::Cancelled => "CANCELLED",
            EndCause::Busy => "BUSY",
            EndCause::NoAnswer => "NO_ANSWER",
            EndCause::Unreachable => "UNREACHABLE",
            EndCause::Rejected => "REJECTED",
            EndCause::Closed => "CLOSED",
            EndCause::Congestion => "CONGESTION",
            EndCause::LongestCall => "LONGEST_CALL",
            EndCause::NotAcknowledged => "NOT_ACKNOWLEDGED",
            EndCause::SessionExpired => "SESSION_EXPIRED",
            EndCause::NotAcceptable => "NOT_ACCEPTABLE",
            EndCause::MediaLost => "MEDIA_LOST",
            EndCause::Shutdown => "SHUTDOWN",
            EndCause::Fault => "FAULT",
            EndCause::Crash => "CRASH",
        }
    }
}

impl FromStr for EndCause {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<EndCause, IdFault> {
        let fault = IdFault {
            what: "end cause",
            expected: "one of the codes of ended calls",
            found_bytes: text.len(),
        };
        EndCause::ALL
            .into_iter()
            .find(|cause| cause.code() == text)
            .ok_or(fault)
    }
}

/// Where a recording stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingState {
    /// The call goes on and is being recorded.
    Open,
    /// Closed in order.
    Sealed,
    /// Cut to its last whole chunk after the process died.
    Recovered,
    /// Destroyed; a tombstone is left.
    Disposed,
    /// The call was connected without a recording.
    Unrecorded,
}

impl RecordingState {
    /// All of them.
    pub const ALL: [RecordingState; 5] = [
        RecordingState::Open,
        RecordingState::Sealed,
        RecordingState::Recovered,
        RecordingState::Disposed,
        RecordingState::Unrecorded,
    ];

    /// As lists show it.
    pub fn code(self) -> &'static str {
        match self {
            RecordingState::Open => "open",
            RecordingState::Sealed => "sealed",
            RecordingState::Recovered => "recovered",
            RecordingState::Disposed => "disposed",
            RecordingState::Unrecorded => "unrecorded",
        }
    }
}

impl fmt::Display for RecordingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for RecordingState {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<RecordingState, IdFault> {
        let fault = IdFault {
            what: "recording state",
            expected: "open, sealed, recovered, disposed or unrecorded",
            found_bytes: text.len(),
        };
        RecordingState::ALL
            .into_iter()
            .find(|state| state.code() == text)
            .ok_or(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_causes_read_back_and_serialise_as_their_codes() {
        for state in RecordingState::ALL {
            assert_eq!(state.code().parse(), Ok(state));
            assert_eq!(
                serde_json::to_string(&state).unwrap(),
                format!("\"{state}\"")
            );
        }
        for cause in EndCause::ALL {
            assert_eq!(cause.code().parse(), Ok(cause));
            assert_eq!(
                serde_json::to_string(&cause).unwrap(),
                format!("\"{}\"", cause.code())
            );
        }
    }

    #[test]
    fn a_row_reads_back_and_its_debug_text_holds_no_number() {
        let record = CallRecord {
            call_id: CallId::new(Timestamp::UNIX_EPOCH, 1),
            recording: None,
            called: Number::parse("0783331000").unwrap(),
            department: "daihyo".to_owned(),
            started_at: "2026-11-24T15:00:00Z".parse().unwrap(),
            answered_at: None,
            ended_at: None,
            end_cause: Some(EndCause::Cancelled),
            emergency: None,
            notice: None,
            unrecorded: Some(Reason::CallerHungUp),
        };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<CallRecord>(&text).unwrap(), record);
        assert_eq!(record.day().to_string(), "2026-11-25");
        assert!(!format!("{record:?}").contains("3331000"));
    }
}
