//! What is asked of the office about requests and holds, and how it shows them.

use jiff::Timestamp;
use rules::{
    Case, CaseId, CaseStage, Done, Ground, Hold, HoldId, HoldStage, JstDay, Label, RecordingId,
    RequestKind, StaffId, Verdict, jst_rfc3339,
};
use serde::{Deserialize, Serialize};

use crate::{
    said::{Said, Words},
    wording::Wording,
};

/// About requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RequestAsk {
    Open(WishedRequest),
    Decide {
        case: CaseId,
        verdict: Verdict,
        #[serde(default)]
        reason: Said<Words>,
    },
    Suspend {
        case: CaseId,
    },
    List,
}

/// A request as it was typed in; the rules say what may not be missing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WishedRequest {
    pub(crate) kind: RequestKind,
    #[serde(default)]
    pub(crate) basis: Said<Words>,
    #[serde(default)]
    pub(crate) requester: Said<Words>,
    #[serde(default)]
    pub(crate) document: Said<Words>,
    pub(crate) recordings: Vec<RecordingId>,
}

/// A request as `requests list` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CaseView {
    pub(crate) id: CaseId,
    pub(crate) kind: RequestKind,
    pub(crate) unit: Label,
    pub(crate) state: String,
    pub(crate) recordings: Vec<RecordingId>,
    #[serde(flatten)]
    pub(crate) texts: CaseTexts,
    pub(crate) opened_at: String,
    pub(crate) opened_by: StaffId,
    pub(crate) decided_at: Option<String>,
    pub(crate) decided_by: Option<StaffId>,
    pub(crate) suspended_at: Option<String>,
    pub(crate) suspended_by: Option<StaffId>,
}

/// What lies sealed beside it; a text whose key is gone is not shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CaseTexts {
    pub(crate) basis: Option<Wording>,
    pub(crate) requester: Option<Wording>,
    pub(crate) document: Option<Wording>,
    pub(crate) reason: Option<Wording>,
}

impl CaseView {
    pub(crate) fn of(id: CaseId, case: &Case, texts: CaseTexts) -> CaseView {
        let application = case.application();
        let decided = case.stage().decision().map(|(_, decided)| decided);
        let suspended = match case.stage() {
            CaseStage::Suspended { suspended, .. } => Some(suspended),
            CaseStage::Undecided | CaseStage::Approved { .. } | CaseStage::Rejected { .. } => None,
        };
        CaseView {
            id,
            kind: application.kind,
            unit: application.unit.clone(),
            state: case.stage().code().to_owned(),
            recordings: application.recordings.iter().copied().collect(),
            texts,
            opened_at: jst_rfc3339(case.opened().at),
            opened_by: case.opened().by.clone(),
            decided_at: at(decided),
            decided_by: by(decided),
            suspended_at: at(suspended),
            suspended_by: by(suspended),
        }
    }
}

/// About holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HoldAsk {
    Request(WishedHold),
    Decide {
        hold: HoldId,
        verdict: Verdict,
        #[serde(default)]
        reason: Said<Words>,
    },
    Release {
        hold: HoldId,
    },
    List,
}

/// A hold as it was typed in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WishedHold {
    #[serde(default)]
    pub(crate) case: Said<CaseId>,
    #[serde(default)]
    pub(crate) ground: Said<Ground>,
    pub(crate) recordings: Vec<RecordingId>,
    /// 90 days from today unless said.
    pub(crate) review: Option<JstDay>,
    /// A year from today unless said.
    pub(crate) until: Option<JstDay>,
}

/// A hold as `holds list` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HoldView {
    pub(crate) id: HoldId,
    pub(crate) case: CaseId,
    pub(crate) ground: Ground,
    pub(crate) state: String,
    /// What waits for a person: `review` or `end`.
    pub(crate) overdue: Option<String>,
    pub(crate) recordings: Vec<RecordingId>,
    pub(crate) review: JstDay,
    pub(crate) until: JstDay,
    pub(crate) reason: Option<Wording>,
    pub(crate) requested_at: String,
    pub(crate) requested_by: StaffId,
    pub(crate) decided_at: Option<String>,
    pub(crate) decided_by: Option<StaffId>,
    pub(crate) released_at: Option<String>,
    pub(crate) released_by: Option<StaffId>,
}

impl HoldView {
    pub(crate) fn of(id: HoldId, hold: &Hold, reason: Option<Wording>, now: Timestamp) -> HoldView {
        let terms = hold.terms();
        let decided = hold.stage().decided();
        let released = match hold.stage() {
            HoldStage::Released { released, .. } => Some(released),
            HoldStage::Undecided | HoldStage::Approved { .. } | HoldStage::Rejected { .. } => None,
        };
        HoldView {
            id,
            case: terms.case,
            ground: terms.ground,
            state: hold.stage().code().to_owned(),
            overdue: hold.overdue(now).map(|overdue| overdue.code().to_owned()),
            recordings: terms.recordings.iter().copied().collect(),
            review: terms.review,
            until: terms.until,
            reason,
            requested_at: jst_rfc3339(hold.requested().at),
            requested_by: hold.requested().by.clone(),
            decided_at: at(decided),
            decided_by: by(decided),
            released_at: at(released),
            released_by: by(released),
        }
    }
}

fn at(done: Option<&Done>) -> Option<String> {
    done.map(|done| jst_rfc3339(done.at))
}

fn by(done: Option<&Done>) -> Option<StaffId> {
    done.map(|done| done.by.clone())
}
