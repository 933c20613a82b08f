//! 証跡の削除: which months of the audit trail the manager decided to remove, once the log's term is over (諮問書 7(1)).
//!
//! The decision is a fact; that the files follow it is `storage`'s.

use jiff::Timestamp;

use crate::{
    access::Condition, digest::Digest, ids::DecisionId, month::JstMonth, retention::TrailTerm,
};

/// What was decided: every month up to this one goes, of either chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgetting {
    /// The last month that goes.
    pub through: JstMonth,
    /// The decision under which its text lies sealed.
    pub decision: DecisionId,
    /// The salted hash of that text.
    pub text: Digest,
}

/// The months that are decided to go, each decision with more of them than the one before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Forgotten(Vec<Forgetting>);

impl Forgotten {
    pub(crate) fn decisions(&self) -> &[Forgetting] {
        &self.0
    }

    pub(crate) fn handle_decision(&mut self, decided: Forgetting) {
        let is_further = |known: &Forgetting| known.through < decided.through;
        if self.0.last().is_none_or(is_further) {
            self.0.push(decided);
        }
    }
}

/// Whether a condition of removing every month up to this one holds.
pub(crate) fn meets(through: JstMonth, condition: Condition, now: Timestamp) -> bool {
    condition == Condition::TermOver && TrailTerm::default().is_over(through.end(), now)
}
