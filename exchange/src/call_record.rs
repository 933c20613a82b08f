//! What a call writes down about itself, from its INVITE to its end.

use rules::{CallId, CallRecord, EmergencyId, EndCause, Number, Reason, RecordingId};

use crate::now::Now;

/// Opens the record of a call that has come in.
pub(crate) fn open(
    call: CallId,
    called: Number,
    department: String,
    emergency: Option<EmergencyId>,
    now: Now,
) -> CallRecord {
    CallRecord {
        call_id: call,
        recording: None,
        called,
        department,
        started_at: now.wall,
        answered_at: None,
        ended_at: None,
        end_cause: None,
        emergency,
        notice: None,
        unrecorded: None,
    }
}

/// What a connected call has of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is being recorded.
    Recording(RecordingId),
    /// It is not.
    Unrecorded(Reason),
}

/// Closes the record of a call.
pub(crate) fn close(record: &mut CallRecord, kept: Kept, cause: EndCause, now: Now) {
    record.ended_at = Some(now.wall.max(record.started_at));
    record.end_cause = Some(cause);
    match kept {
        Kept::Recording(recording) => record.recording = Some(recording),
        Kept::Unrecorded(reason) => {
            record.recording = None;
            record.notice = None;
            record.unrecorded = Some(reason);
        }
    }
}
