//! Waivers (law 2): callers of a number are told by other means than our announcement, or a law excuses it, because a manager decided so.
//!
//! Announcing is what 諮問書 4① asks for; a waiver is the exception, and one that nobody looked at in time ends. So past its review, and once it is
//! withdrawn, a number announces, whatever its profile. What the configuration alone says works where the configuration has no announcement either, until
//! a manager says something about the number. Start at [`Notices::telling`].

use std::{collections::BTreeMap, fmt};

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::{
    access::{Action, Condition},
    audit::Actor,
    case::Done,
    digest::Digest,
    fault::Fault,
    ids::{DecisionId, JstDay, Label},
    number::{Number, NumberPolicy, Profile, clear},
    number_decision::{Authority, NumberDecision},
};

/// On what a waiver rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaiverBasis {
    /// Callers are told beforehand by other means: the carrier's or the PBX's own announcement.
    Means,
    /// A law excuses it.
    Law,
    /// What the document says that the configuration names.
    Document,
}

impl WaiverBasis {
    /// As lists show it.
    pub fn code(self) -> &'static str {
        match self {
            WaiverBasis::Means => "means",
            WaiverBasis::Law => "law",
            WaiverBasis::Document => "document",
        }
    }
}

impl fmt::Display for WaiverBasis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// About which number a waiver is, and until when it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaiverTerms {
    /// The city's number.
    #[serde(with = "clear")]
    pub number: Number,
    /// Whose it is.
    pub unit: Label,
    /// The last day on which it counts unless somebody looks at it.
    pub review: JstDay,
}

const LONGEST_MONTHS: i32 = 12; // Law 2: what nobody has looked at for a year is no decision any more.

impl WaiverTerms {
    /// The latest review of what is decided now: a year from today.
    pub fn latest_review(now: Timestamp) -> JstDay {
        JstDay::on(
            JstDay::of(now)
                .date()
                .saturating_add(LONGEST_MONTHS.months()),
        )
    }

    fn is_bounded(&self, now: Timestamp) -> bool {
        JstDay::of(now) <= self.review && self.review <= WaiverTerms::latest_review(now)
    }
}

/// A step of a waiver, as the register has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum WaiverFact {
    /// The manager, or a deputy, decided.
    Decided {
        /// Which from then on.
        decision: DecisionId,
        /// On what it rests.
        basis: WaiverBasis,
        /// What it is about.
        #[serde(flatten)]
        terms: WaiverTerms,
        /// The salted hash of the means or the law.
        text: Digest,
    },
    /// Somebody looked at it and it is still right, or what the configuration said becomes the manager's word.
    Confirmed {
        /// Which.
        decision: DecisionId,
        /// What it is about.
        #[serde(flatten)]
        terms: WaiverTerms,
        /// The salted hash of its words.
        text: Digest,
    },
    /// It waives nothing any more.
    Withdrawn {
        /// Which.
        decision: DecisionId,
        /// The city's number.
        #[serde(with = "clear")]
        number: Number,
        /// Whose it is.
        unit: Label,
    },
}

impl WaiverFact {
    /// What it is to bring it about.
    pub(crate) fn action(&self) -> Action {
        match self {
            WaiverFact::Decided { .. } => Action::DecideWaiver,
            WaiverFact::Confirmed { .. } => Action::ConfirmWaiver,
            WaiverFact::Withdrawn { .. } => Action::WithdrawWaiver,
        }
    }

    /// Which decision it is about.
    pub fn decision(&self) -> DecisionId {
        match self {
            WaiverFact::Decided { decision, .. }
            | WaiverFact::Confirmed { decision, .. }
            | WaiverFact::Withdrawn { decision, .. } => *decision,
        }
    }

    /// About which number.
    pub fn number(&self) -> &Number {
        match self {
            WaiverFact::Decided { terms, .. } | WaiverFact::Confirmed { terms, .. } => {
                &terms.number
            }
            WaiverFact::Withdrawn { number, .. } => number,
        }
    }

    pub(crate) fn unit(&self) -> &Label {
        match self {
            WaiverFact::Decided { terms, .. } | WaiverFact::Confirmed { terms, .. } => &terms.unit,
            WaiverFact::Withdrawn { unit, .. } => unit,
        }
    }

    /// Whether a condition of the table holds for this step of the waiver, where the register has it already.
    pub(crate) fn meets(
        &self,
        condition: Condition,
        waiver: Option<&Waiver>,
        now: Timestamp,
    ) -> bool {
        match (condition, self) {
            (
                Condition::ReviewBounded,
                WaiverFact::Decided { terms, .. } | WaiverFact::Confirmed { terms, .. },
            ) => terms.is_bounded(now),
            (Condition::Undecided, WaiverFact::Confirmed { .. }) => {
                waiver.is_none_or(|waiver| waiver.stage == WaiverStage::Standing)
            }
            // Taken back twice is taken back once; whoever means the number withdraws its last word.
            (Condition::Undecided, WaiverFact::Withdrawn { .. }) => {
                waiver.is_none_or(|waiver| waiver.stage != WaiverStage::Superseded)
            }
            _ => false,
        }
    }
}

/// Whether a waiver is the manager's last word about its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaiverStage {
    /// It is.
    Standing,
    /// Another was decided or confirmed for the number.
    Superseded,
    /// It was taken back.
    Withdrawn {
        /// By whom.
        withdrawn: Done,
    },
}

/// How a decision stands, as lists show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaiverState {
    /// The configuration alone says so.
    Unconfirmed,
    /// It waives.
    InForce,
    /// The day of its review is over: the number announces.
    Lapsed,
    /// The manager's word about the number is another.
    Superseded,
    /// It was taken back: the number announces.
    Withdrawn,
}

impl WaiverState {
    /// As lists show it.
    pub fn code(self) -> &'static str {
        match self {
            WaiverState::Unconfirmed => "unconfirmed",
            WaiverState::InForce => "in_force",
            WaiverState::Lapsed => "lapsed",
            WaiverState::Superseded => "superseded",
            WaiverState::Withdrawn => "withdrawn",
        }
    }
}

/// A decision of a manager about a number's notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    terms: WaiverTerms,
    basis: WaiverBasis,
    decided: Done,
    stage: WaiverStage,
}

impl Waiver {
    /// About which number, and until when.
    pub fn terms(&self) -> &WaiverTerms {
        &self.terms
    }

    /// On what it rests.
    pub fn basis(&self) -> WaiverBasis {
        self.basis
    }

    /// Who decided or confirmed it last.
    pub fn decided(&self) -> &Done {
        &self.decided
    }

    /// Whether it is the last word about its number.
    pub fn stage(&self) -> &WaiverStage {
        &self.stage
    }

    /// How it stands.
    pub fn state(&self, now: Timestamp) -> WaiverState {
        match self.stage {
            WaiverStage::Standing if JstDay::of(now) <= self.terms.review => WaiverState::InForce,
            WaiverStage::Standing => WaiverState::Lapsed,
            WaiverStage::Superseded => WaiverState::Superseded,
            WaiverStage::Withdrawn { .. } => WaiverState::Withdrawn,
        }
    }
}

/// Every decision of a manager about a number's notice, and the last word about each number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waivers {
    all: BTreeMap<DecisionId, Waiver>,
    last: BTreeMap<Number, DecisionId>,
}

impl Waivers {
    /// Finds one.
    pub fn get(&self, decision: DecisionId) -> Option<&Waiver> {
        self.all.get(&decision)
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (DecisionId, &Waiver)> {
        self.all.iter().map(|(id, waiver)| (*id, waiver))
    }

    /// What whoever carries calls has to know of them.
    pub fn notices(&self) -> Notices {
        let words = self.last.iter().filter_map(|(number, id)| {
            let waiver = self.all.get(id)?;
            let word = match waiver.stage {
                WaiverStage::Standing => NumberNotice::Waived(NumberDecision::by_manager(
                    *id,
                    number.clone(),
                    waiver.decided.at,
                    waiver.decided.by.clone(),
                    waiver.terms.review,
                )),
                WaiverStage::Superseded | WaiverStage::Withdrawn { .. } => {
                    NumberNotice::Announced {
                        number: number.clone(),
                    }
                }
            };
            Some((number.clone(), word))
        });
        Notices(words.collect())
    }

    /// How a decision stands that the configuration has.
    pub fn state_of(&self, configured: &NumberDecision, now: Timestamp) -> WaiverState {
        match self.all.get(&configured.id()) {
            Some(waiver) => waiver.state(now),
            None if self.last.contains_key(configured.number()) => WaiverState::Superseded,
            None => WaiverState::Unconfirmed,
        }
    }

    /// The decisions about these numbers that only the configuration has.
    pub fn unconfirmed<'a>(
        &'a self,
        numbers: &'a [NumberPolicy],
    ) -> impl Iterator<Item = &'a NumberDecision> {
        let configured = numbers.iter().filter_map(|number| number.decision.as_ref());
        configured.filter(|decision| !self.last.contains_key(decision.number()))
    }

    /// Those whose day of review is over: their numbers announce, and a person should look.
    pub fn lapsed(&self, now: Timestamp) -> impl Iterator<Item = (DecisionId, &Waiver)> {
        self.iter()
            .filter(move |(_, waiver)| waiver.state(now) == WaiverState::Lapsed)
    }

    /// How many there are of each kind for these numbers, as the public is told.
    pub fn counts(&self, numbers: &[NumberPolicy], now: Timestamp) -> WaiverCounts {
        let mut counts = WaiverCounts {
            unconfirmed: count(self.unconfirmed(numbers)),
            lapsed: count(self.lapsed(now)),
            ..WaiverCounts::default()
        };
        for (_, waiver) in self.iter() {
            if waiver.state(now) == WaiverState::InForce {
                match waiver.basis {
                    WaiverBasis::Means => counts.by_means += 1,
                    WaiverBasis::Law => counts.by_law += 1,
                    WaiverBasis::Document => counts.by_document += 1,
                }
            }
        }
        counts
    }

    pub(crate) fn handle_fact(&mut self, at: Timestamp, by: &Actor, fact: WaiverFact) {
        let Some(step) = Done::of(at, by) else {
            return;
        };
        match (self.all.get_mut(&fact.decision()), fact) {
            (
                None,
                WaiverFact::Decided {
                    decision,
                    basis,
                    terms,
                    ..
                },
            ) => self.set_word(decision, terms, basis, step),
            // What the configuration said is the manager's word from here on.
            (
                None,
                WaiverFact::Confirmed {
                    decision, terms, ..
                },
            ) => self.set_word(decision, terms, WaiverBasis::Document, step),
            (
                None,
                WaiverFact::Withdrawn {
                    decision,
                    number,
                    unit,
                },
            ) => self.refuse_configured(decision, number, unit, step),
            (Some(waiver), WaiverFact::Confirmed { terms, .. })
                if waiver.stage == WaiverStage::Standing && waiver.terms != terms =>
            {
                waiver.terms = terms;
                waiver.decided = step;
            }
            (Some(waiver), WaiverFact::Withdrawn { .. })
                if waiver.stage == WaiverStage::Standing =>
            {
                waiver.stage = WaiverStage::Withdrawn { withdrawn: step };
            }
            // An id is given once; what ended does not begin again, and the same again changes nothing.
            (
                Some(_),
                WaiverFact::Decided { .. }
                | WaiverFact::Confirmed { .. }
                | WaiverFact::Withdrawn { .. },
            ) => {}
        }
    }

    fn set_word(
        &mut self,
        decision: DecisionId,
        terms: WaiverTerms,
        basis: WaiverBasis,
        decided: Done,
    ) {
        let before = self.last.insert(terms.number.clone(), decision);
        if let Some(before) = before.and_then(|before| self.all.get_mut(&before))
            && before.stage == WaiverStage::Standing
        {
            before.stage = WaiverStage::Superseded;
        }
        let stage = WaiverStage::Standing;
        self.all.insert(
            decision,
            Waiver {
                terms,
                basis,
                decided,
                stage,
            },
        );
    }

    /// The manager takes back what only the configuration said. What was decided about the number before stands.
    fn refuse_configured(
        &mut self,
        decision: DecisionId,
        number: Number,
        unit: Label,
        withdrawn: Done,
    ) {
        self.last.entry(number.clone()).or_insert(decision);
        let terms = WaiverTerms {
            number,
            unit,
            review: JstDay::of(withdrawn.at),
        };
        self.all.insert(
            decision,
            Waiver {
                terms,
                basis: WaiverBasis::Document,
                decided: withdrawn.clone(),
                stage: WaiverStage::Withdrawn { withdrawn },
            },
        );
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u64 {
    u64::try_from(items.count()).unwrap_or(u64::MAX)
}

/// How many numbers are connected without our announcement, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaiverCounts {
    /// Their callers are told by other means.
    pub by_means: u64,
    /// A law excuses it.
    pub by_law: u64,
    /// A manager confirmed what the configuration names.
    pub by_document: u64,
    /// Only the configuration says so.
    pub unconfirmed: u64,
    /// They were, and announce because nobody looked in time.
    pub lapsed: u64,
}

/// The manager's last word about a number's notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberNotice {
    /// The announcement is waived, until the review.
    Waived(NumberDecision),
    /// A waiver was taken back.
    Announced {
        /// The city's number.
        #[serde(with = "clear")]
        number: Number,
    },
}

impl NumberNotice {
    fn number(&self) -> &Number {
        match self {
            NumberNotice::Waived(decision) => decision.number(),
            NumberNotice::Announced { number } => number,
        }
    }
}

/// The managers' last words about the numbers' notices, as whoever carries calls knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<NumberNotice>", into = "Vec<NumberNotice>")]
pub struct Notices(BTreeMap<Number, NumberNotice>);

impl From<Vec<NumberNotice>> for Notices {
    fn from(words: Vec<NumberNotice>) -> Notices {
        let words = words.into_iter();
        Notices(words.map(|word| (word.number().clone(), word)).collect())
    }
}

impl From<Notices> for Vec<NumberNotice> {
    fn from(notices: Notices) -> Vec<NumberNotice> {
        notices.0.into_values().collect()
    }
}

/// How the callers of a number are told that the call is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling<'a> {
    /// By our announcement.
    Announced,
    /// By other means, or a law excuses it: this decision says so.
    Waived(&'a NumberDecision),
    /// Not at all, so nothing is recorded.
    Untold,
}

impl Telling<'_> {
    /// As lists show it.
    pub fn code(self) -> &'static str {
        match self {
            Telling::Announced => "announced",
            Telling::Waived(_) => "waived",
            Telling::Untold => "untold",
        }
    }
}

/// What no register would have said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticesFault {
    /// Only the configuration itself speaks for the configuration.
    #[error("decision {0} stands on nobody's word; the register has managers' decisions alone")]
    NoManager(DecisionId),
    /// Nobody can decide for longer.
    #[error(
        "decision {decision} is reviewed on {review}, expected within {LONGEST_MONTHS} months of its day, which is not to come"
    )]
    ReviewTooLate {
        /// Which.
        decision: DecisionId,
        /// The day.
        review: JstDay,
    },
}

impl NoticesFault {
    /// The operator's: somebody else than the office wrote it.
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}

impl Notices {
    /// Whether a register can have said so: what waives is a manager's, and reviewed as early as every decision is.
    ///
    /// # Errors
    /// [`NoticesFault`] with the first word that no register has.
    pub fn check(&self, now: Timestamp) -> Result<(), NoticesFault> {
        for word in self.0.values() {
            let NumberNotice::Waived(decision) = word else {
                continue;
            };
            let Authority::Manager { review, .. } = decision.authority() else {
                return Err(NoticesFault::NoManager(decision.id()));
            };
            let decided = JstDay::on(decision.decided_on());
            let latest = WaiverTerms::latest_review(decided.start());
            if *review > latest || decided > JstDay::of(now) {
                let (decision, review) = (decision.id(), *review);
                return Err(NoticesFault::ReviewTooLate { decision, review });
            }
        }
        Ok(())
    }

    /// Decides how the callers of a number are told, where no emergency says otherwise.
    ///
    /// The manager's word goes before the configuration's. A waiver of the configuration takes no announcement away that the configuration has.
    pub fn telling<'a>(&'a self, policy: &'a NumberPolicy, now: Timestamp) -> Telling<'a> {
        match (self.0.get(&policy.number), policy.profile, &policy.decision) {
            (Some(NumberNotice::Waived(decision)), _, _) if decision.is_in_force(now) => {
                Telling::Waived(decision)
            }
            (Some(NumberNotice::Waived(_) | NumberNotice::Announced { .. }), _, _)
            | (None, Profile::Announce, _) => Telling::Announced,
            (None, Profile::Transparent, Some(decision)) => Telling::Waived(decision),
            (None, Profile::Transparent, None) => Telling::Untold,
        }
    }
}
