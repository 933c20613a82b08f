//! What is asked of the office about the oldest months of the audit trail, and how it answers.

use rules::{Chain, JstMonth};
use serde::{Deserialize, Serialize};

use crate::said::{Said, Words};

/// That every month up to one goes, of both chains.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ForgetAsk {
    /// The last of them.
    pub(crate) through: JstMonth,
    pub(crate) step: ForgetStep,
}

/// What is done about them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ForgetStep {
    /// Show which would go.
    Plan,
    /// Remove them, by this decision.
    Remove {
        #[serde(default)]
        decision: Said<Words>,
    },
}

/// What goes, and what has not followed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Forgotten {
    pub(crate) months: Vec<MonthView>,
    pub(crate) incomplete: Vec<Incomplete>,
}

/// A month as `audit forget` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MonthView {
    pub(crate) chain: Chain,
    pub(crate) month: JstMonth,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) state: MonthState,
}

/// Whether it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MonthState {
    /// It would go.
    Planned,
    /// It is gone.
    Removed,
    /// It is decided that it goes, and its file is still there.
    Incomplete,
}

/// A chain whose files have not followed the decision.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Incomplete {
    pub(crate) chain: Chain,
    pub(crate) why: String,
}
