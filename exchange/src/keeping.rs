//! Whether a call is kept: the one place that makes a [`Notice`].
//!
//! A checked-in list names this file as the only caller of the makers.

use jiff::Timestamp;
use rules::{CutShort, Emergency, Keeping, Notice, Number, NumberDecision, Played, Reason};

/// After the announcement: kept if it was sent to its end, else not.
pub(crate) fn after_announcement(report: &Result<Played, CutShort>) -> Keeping {
    match report {
        Ok(played) => Keeping::Record(Notice::announced(played)),
        Err(CutShort::Samples { .. } | CutShort::OtherPrompt) => {
            Keeping::Unrecorded(Reason::NoAnnouncement)
        }
    }
}

/// Under an emergency that was in force when the call came.
pub(crate) fn under_emergency(emergency: &Emergency, called: &Number, now: Timestamp) -> Keeping {
    match Notice::waived_by_emergency(emergency, called, now) {
        Ok(notice) => Keeping::Record(notice),
        Err(_) => Keeping::Unrecorded(Reason::NoWaiver),
    }
}

/// Under the number's recorded decision, which counted when the call came.
pub(crate) fn under_decision(
    decision: &NumberDecision,
    called: &Number,
    now: Timestamp,
) -> Keeping {
    match Notice::waived_by_decision(decision, called, now) {
        Ok(notice) => Keeping::Record(notice),
        Err(_) => Keeping::Unrecorded(Reason::NoWaiver),
    }
}
