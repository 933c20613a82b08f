//! Legal holds (要領 5-4; K-21): single recordings of a case outlive their day, by another person's decision, until they are let go.
//!
//! A hold keeps, and its case listens: nobody else hears what is held past its day. Past its own last day nobody hears it at all; it is shown as overdue
//! until a person lets it go, because no machine destroys evidence unasked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::{
    access::{Action, Condition},
    audit::Actor,
    case::{Done, Verdict},
    digest::Digest,
    ids::{CaseId, HoldId, IdFault, JstDay, RecordingId},
};

/// On what a hold rests: 不当要求行為の録音及び録画に関する要領, or the law.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// Its article 5.
    Article5,
    /// Its article 6.
    Article6,
    /// Its article 7.
    Article7,
    /// 法令又は条例の規定.
    Law,
}

impl Ground {
    /// All of them.
    pub const ALL: [Ground; 4] = [
        Ground::Article5,
        Ground::Article6,
        Ground::Article7,
        Ground::Law,
    ];

    /// As it is typed in and shown.
    pub fn code(self) -> &'static str {
        match self {
            Ground::Article5 => "article-5",
            Ground::Article6 => "article-6",
            Ground::Article7 => "article-7",
            Ground::Law => "law",
        }
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for Ground {
    type Err = IdFault;

    /// The number of an article is enough.
    fn from_str(text: &str) -> Result<Ground, IdFault> {
        let fault = IdFault {
            what: "ground of a hold",
            expected: "article-5, article-6, article-7 or law",
            found_bytes: text.len(),
        };
        let is_meant = |ground: &Ground| {
            let code = ground.code();
            code == text || code.strip_prefix("article-") == Some(text)
        };
        Ground::ALL.into_iter().find(is_meant).ok_or(fault)
    }
}

/// What is to be held, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldTerms {
    /// For which case.
    pub case: CaseId,
    /// Why.
    pub ground: Ground,
    /// These recordings of the case.
    pub recordings: BTreeSet<RecordingId>,
    /// The day by which somebody looks whether it is still needed.
    pub review: JstDay,
    /// Its last day.
    pub until: JstDay,
}

const LONGEST_MONTHS: i32 = 12; // K-21: a hold lasts a year; what is needed longer is decided anew.
const REVIEW_DAYS: i32 = 90; // K-21: reviewed every 90 days unless said otherwise.

impl HoldTerms {
    /// The last day of a hold that says none: a year from now.
    pub fn usual_end(now: Timestamp) -> JstDay {
        JstDay::on(
            JstDay::of(now)
                .date()
                .saturating_add(LONGEST_MONTHS.months()),
        )
    }

    /// The review of a hold that says none: 90 days from now, or its last day.
    pub fn usual_review(now: Timestamp, until: JstDay) -> JstDay {
        let usual = JstDay::of(now).date().saturating_add(REVIEW_DAYS.days());
        JstDay::on(usual).min(until)
    }

    /// Whether it begins before it ends, is looked at before that, and lasts a year at most.
    fn is_bounded(&self, now: Timestamp) -> bool {
        let today = JstDay::of(now);
        today <= self.review
            && self.review <= self.until
            && self.until <= HoldTerms::usual_end(now)
            && !self.recordings.is_empty()
    }
}

/// A step of a hold, as the register has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum HoldFact {
    /// It was asked for.
    Requested {
        /// Which from then on.
        hold: HoldId,
        /// Of what.
        #[serde(flatten)]
        terms: HoldTerms,
    },
    /// The manager, or a deputy, decided.
    Decided {
        /// Which.
        hold: HoldId,
        /// What.
        verdict: Verdict,
        /// The salted hash of why, where that was said.
        reason: Option<Digest>,
    },
    /// Its recordings were let go.
    Released {
        /// Which.
        hold: HoldId,
    },
}

impl HoldFact {
    /// What it is to bring it about.
    pub(crate) fn action(&self) -> Action {
        match self {
            HoldFact::Requested { .. } => Action::RequestHold,
            HoldFact::Decided { .. } => Action::DecideHold,
            HoldFact::Released { .. } => Action::ReleaseHold,
        }
    }

    /// Which hold it is about.
    pub fn hold(&self) -> HoldId {
        match self {
            HoldFact::Requested { hold, .. }
            | HoldFact::Decided { hold, .. }
            | HoldFact::Released { hold } => *hold,
        }
    }

    /// Whether a condition of the table holds for this step of the hold, where there is one already.
    pub(crate) fn meets(&self, condition: Condition, hold: Option<&Hold>, now: Timestamp) -> bool {
        match (condition, self) {
            (Condition::HoldBounded, HoldFact::Requested { terms, .. }) => terms.is_bounded(now),
            (Condition::Undecided, HoldFact::Decided { verdict, .. }) => {
                hold.is_some_and(|hold| hold.awaits(*verdict))
            }
            (Condition::HoldApproved, HoldFact::Released { .. }) => {
                hold.is_some_and(|hold| hold.stage.verdict() == Some(Verdict::Approved))
            }
            _ => false,
        }
    }
}

/// How far a hold has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldStage {
    /// Nobody decided.
    Undecided,
    /// Its recordings outlive their day.
    Approved {
        /// By whom.
        decided: Done,
    },
    /// They do not.
    Rejected {
        /// By whom.
        decided: Done,
    },
    /// They did, and were let go.
    Released {
        /// By whom it was approved.
        decided: Done,
        /// By whom it was ended.
        released: Done,
    },
}

impl HoldStage {
    /// As lists show it.
    pub fn code(&self) -> &'static str {
        match self {
            HoldStage::Undecided => "undecided",
            HoldStage::Approved { .. } => "approved",
            HoldStage::Rejected { .. } => "rejected",
            HoldStage::Released { .. } => "released",
        }
    }

    /// Who decided.
    pub fn decided(&self) -> Option<&Done> {
        match self {
            HoldStage::Undecided => None,
            HoldStage::Approved { decided }
            | HoldStage::Rejected { decided }
            | HoldStage::Released { decided, .. } => Some(decided),
        }
    }

    fn verdict(&self) -> Option<Verdict> {
        match self {
            HoldStage::Undecided => None,
            HoldStage::Approved { .. } | HoldStage::Released { .. } => Some(Verdict::Approved),
            HoldStage::Rejected { .. } => Some(Verdict::Rejected),
        }
    }
}

/// What of a hold waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// The day of its review is over.
    Review,
    /// Its last day is over: nobody hears it any more.
    End,
}

impl Overdue {
    /// As lists show it.
    pub fn code(self) -> &'static str {
        match self {
            Overdue::Review => "review",
            Overdue::End => "end",
        }
    }
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    terms: HoldTerms,
    requested: Done,
    stage: HoldStage,
}

impl Hold {
    /// Of what.
    pub fn terms(&self) -> &HoldTerms {
        &self.terms
    }

    /// Who asked for it.
    pub fn requested(&self) -> &Done {
        &self.requested
    }

    /// How far it has come.
    pub fn stage(&self) -> &HoldStage {
        &self.stage
    }

    /// What waits for a person.
    pub fn overdue(&self, now: Timestamp) -> Option<Overdue> {
        if !self.keeps() {
            return None;
        }
        let today = JstDay::of(now);
        if today > self.terms.until {
            return Some(Overdue::End);
        }
        (today > self.terms.review).then_some(Overdue::Review)
    }

    /// Whether its recordings outlive their day.
    fn keeps(&self) -> bool {
        matches!(self.stage, HoldStage::Approved { .. })
    }

    /// What it is about, each recording with its case.
    fn named(&self) -> impl Iterator<Item = (CaseId, RecordingId)> {
        let recordings = self.terms.recordings.iter();
        recordings.map(|recording| (self.terms.case, *recording))
    }

    fn keeps_recording(&self, recording: RecordingId) -> bool {
        self.keeps() && self.terms.recordings.contains(&recording)
    }

    /// Whether this verdict may still fall; the same one again changes nothing.
    fn awaits(&self, verdict: Verdict) -> bool {
        let decided = self.stage.verdict();
        decided.is_none_or(|decided| decided == verdict)
    }

    /// Takes a later step in. One that nobody may take here changes nothing.
    fn handle_step(&mut self, step: Done, fact: &HoldFact) {
        match (&self.stage, fact) {
            // Whoever asked for it does not decide.
            (HoldStage::Undecided, HoldFact::Decided { verdict, .. })
                if step.by != self.requested.by =>
            {
                let decided = step;
                self.stage = match verdict {
                    Verdict::Approved => HoldStage::Approved { decided },
                    Verdict::Rejected => HoldStage::Rejected { decided },
                };
            }
            (HoldStage::Approved { decided }, HoldFact::Released { .. }) => {
                self.stage = HoldStage::Released {
                    decided: decided.clone(),
                    released: step,
                };
            }
            // Decided and released once; what is not held is not released; an id is given once.
            (
                HoldStage::Undecided
                | HoldStage::Approved { .. }
                | HoldStage::Rejected { .. }
                | HoldStage::Released { .. },
                HoldFact::Requested { .. } | HoldFact::Decided { .. } | HoldFact::Released { .. },
            ) => {}
        }
    }
}

/// Every hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds(BTreeMap<HoldId, Hold>);

impl Holds {
    /// Finds one.
    pub fn get(&self, hold: HoldId) -> Option<&Hold> {
        self.0.get(&hold)
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (HoldId, &Hold)> {
        self.0.iter().map(|(id, hold)| (*id, hold))
    }

    /// Whether some case keeps a recording past its day.
    pub fn keep(&self, recording: RecordingId) -> bool {
        self.0.values().any(|hold| hold.keeps_recording(recording))
    }

    /// Until when a case may hear what it holds of a recording.
    pub fn end_for(&self, case: CaseId, recording: RecordingId) -> Option<Timestamp> {
        let holds = self.0.values();
        let own = holds.filter(|hold| hold.terms.case == case && hold.keeps_recording(recording));
        own.map(|hold| hold.terms.until.next().start()).max()
    }

    /// What must be done so that the keys hold what the register says, and nothing that it let go.
    ///
    /// `held`: by case, what the keys hold. What no hold of the register was ever about is left alone: a register that was lost lets nothing go.
    /// What one case lets go and another is still to hold waits for that.
    pub fn settle(&self, held: &BTreeMap<CaseId, BTreeSet<RecordingId>>) -> HoldTasks {
        let wanted = self.unsettled(held);
        // The last case to let it go would dispose of it.
        let awaited: BTreeSet<RecordingId> =
            wanted.iter().map(|(_, recording)| *recording).collect();
        let kept = self.kept();
        let released = |hold: &&Hold| matches!(hold.stage, HoldStage::Released { .. });
        let let_go = self.0.values().filter(released).flat_map(Hold::named);
        let unwanted: BTreeSet<(CaseId, RecordingId)> = let_go
            .filter(|pair| is_held(held, pair) && !kept.contains(pair))
            .filter(|(_, recording)| !awaited.contains(recording))
            .collect();
        HoldTasks {
            hold: wanted
                .into_iter()
                .map(|(case, recording)| HoldPermit { case, recording })
                .collect(),
            release: unwanted
                .into_iter()
                .map(|(case, recording)| ReleasePermit { case, recording })
                .collect(),
        }
    }

    /// What cases keep and the keys do not hold for them: none of it may be destroyed, whatever its day.
    ///
    /// `held`: by case, what the keys hold.
    pub fn unsettled(
        &self,
        held: &BTreeMap<CaseId, BTreeSet<RecordingId>>,
    ) -> BTreeSet<(CaseId, RecordingId)> {
        let mut kept = self.kept();
        kept.retain(|pair| !is_held(held, pair));
        kept
    }

    /// What cases keep past its day.
    fn kept(&self) -> BTreeSet<(CaseId, RecordingId)> {
        let keeping = self.0.values().filter(|hold| hold.keeps());
        keeping.flat_map(Hold::named).collect()
    }

    pub(crate) fn handle_fact(&mut self, at: Timestamp, by: &Actor, fact: HoldFact) {
        let Some(step) = Done::of(at, by) else {
            return;
        };
        if let HoldFact::Requested { hold, terms } = fact {
            self.0.entry(hold).or_insert(Hold {
                terms,
                requested: step,
                stage: HoldStage::Undecided,
            });
        } else if let Some(hold) = self.0.get_mut(&fact.hold()) {
            hold.handle_step(step, &fact);
        }
    }
}

fn is_held(
    held: &BTreeMap<CaseId, BTreeSet<RecordingId>>,
    (case, recording): &(CaseId, RecordingId),
) -> bool {
    held.get(case).is_some_and(|held| held.contains(recording))
}

/// What is to be done about keys.
#[derive(Debug, Default)]
pub struct HoldTasks {
    /// To be sealed to their cases.
    pub hold: Vec<HoldPermit>,
    /// To be taken out of them.
    pub release: Vec<ReleasePermit>,
}

/// Leave to seal one recording to a case. Only the register makes one, and every fact of it has its entry.
#[derive(Debug)]
#[must_use = "a permit is moved into the hold that it allows"]
pub struct HoldPermit {
    case: CaseId,
    recording: RecordingId,
}

impl HoldPermit {
    /// The case that holds it.
    pub fn case(&self) -> CaseId {
        self.case
    }

    /// Which.
    pub fn recording(&self) -> RecordingId {
        self.recording
    }
}

/// Leave to take one recording out of a case. Only the register makes one.
#[derive(Debug)]
#[must_use = "a permit is moved into the release that it allows"]
pub struct ReleasePermit {
    case: CaseId,
    recording: RecordingId,
}

impl ReleasePermit {
    /// The case that lets it go.
    pub fn case(&self) -> CaseId {
        self.case
    }

    /// Which.
    pub fn recording(&self) -> RecordingId {
        self.recording
    }
}
