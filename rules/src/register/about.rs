//! What an act of the register is about, as the conditions of the table ask.

use jiff::Timestamp;

use crate::{
    access::Condition,
    case::{Case, RequestFact},
    forgetting,
    hand_over::Deed,
    hold::{Hold, HoldFact},
    ids::Label,
    listen::Heard,
    month::JstMonth,
    people::{Person, Role},
    policy::PolicyTerms,
    vendor::Vendor,
    waiver::{Waiver, WaiverFact},
};

/// What an act of the register is about, as its conditions ask.
#[derive(Default)]
pub(super) struct About<'a> {
    /// Whom, or who asked for it.
    pub(super) person: Option<&'a Person>,
    pub(super) role: Option<Role>,
    pub(super) unit: Option<Label>,
    pub(super) vendor: Option<&'a Vendor>,
    pub(super) heard: Vec<&'a Heard>,
    pub(super) matter: Matter<'a>,
    pub(super) deed: Option<Deed<'a>>,
    pub(super) terms: Option<&'a PolicyTerms>,
}

/// The noun that an act of the register is about.
#[derive(Default)]
pub(super) enum Matter<'a> {
    #[default]
    None,
    Request(&'a RequestFact, Option<&'a Case>),
    Hold(&'a HoldFact, Option<&'a Hold>),
    Waiver(&'a WaiverFact, Option<&'a Waiver>),
    /// Of recordings of a case.
    Destruction(&'a Case),
    /// Of the trail, up to this one.
    Months(JstMonth),
}

impl Matter<'_> {
    pub(super) fn meets(&self, condition: Condition, heard: &[&Heard], now: Timestamp) -> bool {
        match self {
            Matter::None => false,
            Matter::Request(fact, case) => fact.meets(condition, *case),
            Matter::Hold(fact, hold) => fact.meets(condition, *hold, now),
            Matter::Waiver(fact, waiver) => fact.meets(condition, *waiver, now),
            Matter::Destruction(case) => {
                let is_covered = heard.iter().all(|heard| case.covers(heard.recording));
                condition == Condition::CaseApproved && is_covered && case.may_destroy()
            }
            Matter::Months(through) => forgetting::meets(*through, condition, now),
        }
    }
}
