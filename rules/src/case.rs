//! Requests and the cases that they open (要領 5-2, 5-4; K-09, K-33): what is asked for, about which recordings, and what another person decided.
//!
//! A case says for what its recordings may be used; it opens nothing by itself. Texts (basis, requester, document, reason) lie sealed outside, here are
//! their salted hashes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    access::{Action, Condition},
    audit::Actor,
    digest::Digest,
    ids::{CaseId, IdFault, Label, RecordingId, StaffId},
    purpose::Purpose,
};

/// On what a request rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// 法令又は条例の規定 (要領 5-2).
    Statute,
    /// 開示請求等: the right of whoever was recorded, which is a statute's too.
    Subject,
    /// 不当要求行為 (要領 5-4).
    Unreasonable,
}

impl RequestKind {
    /// All of them.
    pub const ALL: [RequestKind; 3] = [
        RequestKind::Statute,
        RequestKind::Subject,
        RequestKind::Unreasonable,
    ];

    /// As it is typed in and shown.
    pub fn code(self) -> &'static str {
        match self {
            RequestKind::Statute => "statute",
            RequestKind::Subject => "subject",
            RequestKind::Unreasonable => "unreasonable",
        }
    }

    /// The use that its approval permits.
    pub fn purpose(self) -> Purpose {
        match self {
            RequestKind::Statute => Purpose::Statute,
            RequestKind::Subject => Purpose::SubjectRights,
            RequestKind::Unreasonable => Purpose::UnreasonableDemand,
        }
    }
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for RequestKind {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<RequestKind, IdFault> {
        let fault = IdFault {
            what: "kind of request",
            expected: "statute, subject or unreasonable",
            found_bytes: text.len(),
        };
        RequestKind::ALL
            .into_iter()
            .find(|kind| kind.code() == text)
            .ok_or(fault)
    }
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Yes.
    Approved,
    /// No.
    Rejected,
}

/// A step of a request, as the register holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum RequestFact {
    /// It was opened.
    Opened {
        /// The case from then on.
        case: CaseId,
        /// What is asked for.
        #[serde(flatten)]
        application: Application,
    },
    /// The manager, or a deputy, decided.
    Decided {
        /// Which case.
        case: CaseId,
        /// What.
        verdict: Verdict,
        /// The salted hash of why.
        reason: Digest,
    },
    /// 利用停止: its recordings are used for nothing but the case from then on.
    Suspended {
        /// Which case.
        case: CaseId,
    },
}

impl RequestFact {
    /// What it is to bring it about.
    pub(crate) fn action(&self) -> Action {
        match self {
            RequestFact::Opened { .. } => Action::OpenRequest,
            RequestFact::Decided { .. } => Action::DecideRequest,
            RequestFact::Suspended { .. } => Action::SuspendUse,
        }
    }

    /// Whether a condition of the table holds for this step of the case, where there is one already.
    pub(crate) fn meets(&self, condition: Condition, case: Option<&Case>) -> bool {
        match (condition, self) {
            (Condition::BasisGiven, RequestFact::Opened { application, .. }) => {
                application.is_complete()
            }
            (Condition::Undecided, RequestFact::Decided { verdict, .. }) => {
                case.is_some_and(|case| case.awaits(*verdict))
            }
            (Condition::CaseApproved, RequestFact::Suspended { .. }) => {
                case.is_some_and(Case::is_approved)
            }
            _ => false,
        }
    }

    /// Which case it is about.
    pub fn case(&self) -> CaseId {
        match self {
            RequestFact::Opened { case, .. }
            | RequestFact::Decided { case, .. }
            | RequestFact::Suspended { case } => *case,
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// On what it rests.
    pub kind: RequestKind,
    /// 管理所管課 that handles it.
    pub unit: Label,
    /// About these recordings and no others.
    pub recordings: BTreeSet<RecordingId>,
    /// The salted hash of its legal basis, or of what happened.
    pub basis: Option<Digest>,
    /// Of who asks.
    pub requester: Option<Digest>,
    /// Of the document in which that stands.
    pub document: Option<Digest>,
}

/// A court's order names single calls; a line of the trail and a request over the socket hold so many ids.
pub(crate) const MOST_RECORDINGS: usize = 1_000;

impl Application {
    /// Whether nothing is missing without which nobody may decide (K-09).
    pub(crate) fn is_complete(&self) -> bool {
        let is_written = match self.kind {
            RequestKind::Statute | RequestKind::Subject => {
                self.basis.is_some() && self.requester.is_some() && self.document.is_some()
            }
            RequestKind::Unreasonable => self.basis.is_some(),
        };
        is_written && !self.recordings.is_empty()
    }
}

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: StaffId,
}

impl Done {
    /// `None` where nobody was proved.
    pub(crate) fn of(at: Timestamp, by: &Actor) -> Option<Done> {
        by.person().cloned().map(|by| Done { at, by })
    }
}

/// How far a case has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseStage {
    /// Nobody decided.
    Undecided,
    /// Its recordings may be used for its purpose.
    Approved {
        /// By whom.
        decided: Done,
    },
    /// They may not.
    Rejected {
        /// By whom.
        decided: Done,
    },
    /// 利用停止: approved, and its recordings are used for nothing else.
    Suspended {
        /// By whom it was approved.
        decided: Done,
        /// By whom their other use was ended.
        suspended: Done,
    },
}

impl CaseStage {
    /// As lists show it.
    pub fn code(&self) -> &'static str {
        match self {
            CaseStage::Undecided => "undecided",
            CaseStage::Approved { .. } => "approved",
            CaseStage::Rejected { .. } => "rejected",
            CaseStage::Suspended { .. } => "suspended",
        }
    }

    /// What was decided, and by whom.
    pub fn decision(&self) -> Option<(Verdict, &Done)> {
        match self {
            CaseStage::Undecided => None,
            CaseStage::Approved { decided } | CaseStage::Suspended { decided, .. } => {
                Some((Verdict::Approved, decided))
            }
            CaseStage::Rejected { decided } => Some((Verdict::Rejected, decided)),
        }
    }
}

/// A case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    application: Application,
    opened: Done,
    stage: CaseStage,
}

impl Case {
    /// What is asked for.
    pub fn application(&self) -> &Application {
        &self.application
    }

    /// Who opened it, and when.
    pub fn opened(&self) -> &Done {
        &self.opened
    }

    /// How far it has come.
    pub fn stage(&self) -> &CaseStage {
        &self.stage
    }

    /// Whether it was approved, and is about this recording.
    pub fn covers(&self, recording: RecordingId) -> bool {
        self.is_approved() && self.application.recordings.contains(&recording)
    }

    /// Whether its approval can be a decision to destroy: the right of whoever was recorded (消去), or a law. A demand that is to be proved cannot.
    pub(crate) fn may_destroy(&self) -> bool {
        match self.application.kind {
            RequestKind::Statute | RequestKind::Subject => self.is_approved(),
            RequestKind::Unreasonable => false,
        }
    }

    pub(crate) fn is_approved(&self) -> bool {
        matches!(self.stage.decision(), Some((Verdict::Approved, _)))
    }

    /// Whether this verdict may still fall; the same one again changes nothing.
    pub(crate) fn awaits(&self, verdict: Verdict) -> bool {
        let decided = self.stage.decision();
        decided.is_none_or(|(decided, _)| decided == verdict)
    }

    /// Takes a later step in. One that nobody may take here changes nothing.
    fn handle_step(&mut self, step: Done, fact: &RequestFact) {
        // Whoever opened it decides nothing about it.
        if step.by == self.opened.by {
            return;
        }
        match (&self.stage, fact) {
            (CaseStage::Undecided, RequestFact::Decided { verdict, .. }) => {
                let decided = step;
                self.stage = match verdict {
                    Verdict::Approved => CaseStage::Approved { decided },
                    Verdict::Rejected => CaseStage::Rejected { decided },
                };
            }
            (CaseStage::Approved { decided }, RequestFact::Suspended { .. }) => {
                self.stage = CaseStage::Suspended {
                    decided: decided.clone(),
                    suspended: step,
                };
            }
            // Decided and suspended once; what was not approved is not suspended; an id is opened once.
            (
                CaseStage::Approved { .. }
                | CaseStage::Rejected { .. }
                | CaseStage::Suspended { .. },
                RequestFact::Decided { .. },
            )
            | (
                CaseStage::Undecided | CaseStage::Rejected { .. } | CaseStage::Suspended { .. },
                RequestFact::Suspended { .. },
            )
            | (_, RequestFact::Opened { .. }) => {}
        }
    }
}

/// Every case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cases(BTreeMap<CaseId, Case>);

impl Cases {
    /// Finds one.
    pub fn get(&self, case: CaseId) -> Option<&Case> {
        self.0.get(&case)
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (CaseId, &Case)> {
        self.0.iter().map(|(id, case)| (*id, case))
    }

    /// Whether an approved case permits this use of a recording.
    pub fn permit(&self, case: CaseId, recording: RecordingId, purpose: Purpose) -> bool {
        self.get(case).is_some_and(|case| {
            case.covers(recording) && case.application.kind.purpose() == purpose
        })
    }

    /// Whether the use of a recording is not suspended, but for these cases.
    pub(crate) fn leave_free(&self, recording: RecordingId, but_for: Option<CaseId>) -> bool {
        let suspends = |case: &Case| {
            matches!(case.stage, CaseStage::Suspended { .. })
                && case.application.recordings.contains(&recording)
        };
        !self
            .iter()
            .any(|(id, case)| Some(id) != but_for && suspends(case))
    }

    pub(crate) fn handle_fact(&mut self, at: Timestamp, by: &Actor, fact: RequestFact) {
        let Some(step) = Done::of(at, by) else {
            return;
        };
        if let RequestFact::Opened { case, application } = fact {
            self.0.entry(case).or_insert(Case {
                application,
                opened: step,
                stage: CaseStage::Undecided,
            });
        } else if let Some(case) = self.0.get_mut(&fact.case()) {
            case.handle_step(step, &fact);
        }
    }
}
