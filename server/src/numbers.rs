//! What is asked of the office about the numbers' notices, and how it shows them.

use jiff::Timestamp;
use rules::{
    DecisionId, Done, JstDay, Label, NumberDecision, NumberPolicy, Profile, StaffId, Telling,
    Waiver, WaiverBasis, WaiverStage, WaiverState, jst_rfc3339,
};
use serde::{Deserialize, Serialize};

use crate::{
    said::{Said, Words},
    wording::Wording,
};

/// About the numbers' notices.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NumberAsk {
    Decide(WishedWaiver),
    Confirm {
        decision: DecisionId,
        /// A year from today unless said.
        review: Option<JstDay>,
    },
    Withdraw {
        decision: DecisionId,
    },
    List,
}

/// A waiver as it was typed in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WishedWaiver {
    pub(crate) number: String,
    pub(crate) basis: WaiverBasis,
    /// The means or the law.
    #[serde(default)]
    pub(crate) text: Said<Words>,
    pub(crate) review: JstDay,
}

/// A number as `numbers list` shows it, with one of the decisions about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NumberView {
    pub(crate) number: String,
    pub(crate) unit: Label,
    pub(crate) profile: String,
    /// How its callers are told at present.
    pub(crate) notice: String,
    pub(crate) decision: Option<DecisionView>,
}

/// A decision about a number's notice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DecisionView {
    pub(crate) id: DecisionId,
    pub(crate) state: WaiverState,
    pub(crate) basis: WaiverBasis,
    /// The means or the law, or where the decision is found; `None` where its key is gone, or who asks may not read it.
    pub(crate) text: Option<Wording>,
    pub(crate) decided_on: String,
    /// Who decided or confirmed it; `None` where only the configuration says so.
    pub(crate) decided_by: Option<StaffId>,
    /// Who wrote it into the configuration.
    pub(crate) unix_user: Option<Wording>,
    pub(crate) review: Option<JstDay>,
    pub(crate) withdrawn_at: Option<String>,
    pub(crate) withdrawn_by: Option<StaffId>,
}

impl NumberView {
    pub(crate) fn of(
        policy: &NumberPolicy,
        unit: &Label,
        telling: Telling<'_>,
        decision: Option<DecisionView>,
    ) -> NumberView {
        NumberView {
            number: policy.number.e164().to_owned(),
            unit: unit.clone(),
            profile: match policy.profile {
                Profile::Announce => "announce",
                Profile::Transparent => "transparent",
            }
            .to_owned(),
            notice: telling.code().to_owned(),
            decision,
        }
    }
}

impl DecisionView {
    /// A decision that the register has.
    pub(crate) fn of(
        id: DecisionId,
        waiver: &Waiver,
        text: Option<Wording>,
        now: Timestamp,
    ) -> DecisionView {
        let Done { at, by } = waiver.decided();
        let withdrawn = match waiver.stage() {
            WaiverStage::Withdrawn { withdrawn } => Some(withdrawn),
            WaiverStage::Standing | WaiverStage::Superseded => None,
        };
        DecisionView {
            id,
            state: waiver.state(now),
            basis: waiver.basis(),
            text,
            decided_on: JstDay::of(*at).to_string(),
            decided_by: Some(by.clone()),
            unix_user: None,
            review: Some(waiver.terms().review),
            withdrawn_at: withdrawn.map(|done| jst_rfc3339(done.at)),
            withdrawn_by: withdrawn.map(|done| done.by.clone()),
        }
    }

    /// A decision that only the configuration has, written there by `unix_user`.
    pub(crate) fn configured(
        decision: &NumberDecision,
        unix_user: &str,
        state: WaiverState,
    ) -> DecisionView {
        DecisionView {
            id: decision.id(),
            state,
            basis: WaiverBasis::Document,
            text: Some(decision.reference().into()),
            decided_on: decision.decided_on().to_string(),
            decided_by: None,
            unix_user: Some(unix_user.into()),
            review: None,
            withdrawn_at: None,
            withdrawn_by: None,
        }
    }
}
