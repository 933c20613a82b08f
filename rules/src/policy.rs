//! The policy: what is in force, in versions (K-31), and what the manager decided where the rules say nothing (要領 6, K-30).
//!
//! A version says for what recordings are used, how long they are kept, which prompts are played and on what other measures may rest; its text lies sealed
//! beside it. It can narrow what the code permits and never widen it: a purpose has a code or it has none, and three months are the limit.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    POLICY_VERSION,
    access::Action,
    digest::Digest,
    ids::{DecisionId, JstDay, Label, StaffId},
    purpose::Purpose,
    retention::{PolicyDays, RetentionPolicy},
};

/// What a version of the policy says, as far as the code asks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyTerms {
    /// N: for how many days recordings are kept.
    pub retention_days: u16,
    /// For what they are used.
    pub purposes: BTreeSet<Purpose>,
    /// The prompts, each with the hash of its sound.
    pub prompts: BTreeMap<Label, Digest>,
    /// 要領 6: the ordinance, policy and regulation on which other measures may rest.
    pub bases: BTreeSet<Label>,
}

impl PolicyTerms {
    /// Whether N is what 要領 5-6 allows.
    pub(crate) fn is_within_limit(&self) -> bool {
        RetentionPolicy::new(self.retention_days).is_ok()
    }
}

/// What is recorded of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum PolicyFact {
    /// A version is in force from here on.
    Applied {
        /// The decision under which its text lies sealed.
        decision: DecisionId,
        /// Which version.
        version: u32,
        /// What it says.
        #[serde(flatten)]
        terms: PolicyTerms,
        /// The salted hash of its text.
        text: Digest,
    },
    /// The manager decided what the rules do not say (要領 6). It changes no refusal.
    MeasureDecided {
        /// The decision under which its text lies sealed.
        decision: DecisionId,
        /// On what it rests: one of the policy's bases.
        basis: Label,
        /// The salted hash of its text.
        measure: Digest,
    },
}

impl PolicyFact {
    pub(crate) fn action(&self) -> Action {
        match self {
            PolicyFact::Applied { .. } => Action::ApplyPolicy,
            PolicyFact::MeasureDecided { .. } => Action::DecideMeasure,
        }
    }
}

/// A version as it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedPolicy {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Option<StaffId>,
    /// Under which decision its text lies.
    pub decision: DecisionId,
    /// What it says.
    pub terms: PolicyTerms,
}

/// A measure as it was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedMeasure {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Option<StaffId>,
    /// Under which decision its text lies.
    pub decision: DecisionId,
    /// On what it rests.
    pub basis: Label,
}

/// Where what is done differs from what the version in force says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyDifference {
    /// A prompt of the policy is not played.
    PromptMissing(Label),
    /// Another sound than the policy's is played under this name.
    PromptOther(Label),
    /// A prompt is played of which the policy says nothing.
    PromptUnlisted(Label),
}

impl fmt::Display for PolicyDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyDifference::PromptMissing(prompt) => {
                write!(f, "prompt {prompt} of the policy is not played")
            }
            PolicyDifference::PromptOther(prompt) => {
                write!(
                    f,
                    "prompt {prompt} has another SHA-256 than the policy says"
                )
            }
            PolicyDifference::PromptUnlisted(prompt) => {
                write!(
                    f,
                    "prompt {prompt} is played and the policy does not name it"
                )
            }
        }
    }
}

/// All versions, and all measures beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    versions: BTreeMap<u32, AppliedPolicy>,
    measures: Vec<DecidedMeasure>,
}

impl Policy {
    /// The version in force. Until one is applied it is that of the code itself.
    pub fn version(&self) -> u32 {
        self.versions
            .last_key_value()
            .map_or(POLICY_VERSION, |(version, _)| *version)
    }

    /// What a version said; the code's own has no text.
    pub fn of_version(&self, version: u32) -> Option<&AppliedPolicy> {
        self.versions.get(&version)
    }

    /// The versions that were applied, the oldest first.
    pub fn versions(&self) -> impl Iterator<Item = (u32, &AppliedPolicy)> {
        self.versions
            .iter()
            .map(|(version, applied)| (*version, applied))
    }

    /// What was decided under 要領 6, in order.
    pub fn measures(&self) -> &[DecidedMeasure] {
        &self.measures
    }

    fn in_force(&self) -> Option<&PolicyTerms> {
        let newest = self.versions.last_key_value();
        newest.map(|(_, applied)| &applied.terms)
    }

    /// Where what is done differs from the version in force. A version without prompts says nothing about them, and the code's own says nothing at all.
    ///
    /// `played`: the prompts that are played, each with the hash of its sound.
    pub fn differences(&self, played: &BTreeMap<Label, Digest>) -> Vec<PolicyDifference> {
        let terms = self.in_force();
        let Some(terms) = terms.filter(|terms| !terms.prompts.is_empty()) else {
            return Vec::new();
        };
        let said = terms.prompts.iter();
        let said = said.filter_map(|(prompt, sha256)| match played.get(prompt) {
            None => Some(PolicyDifference::PromptMissing(prompt.clone())),
            Some(found) if found != sha256 => Some(PolicyDifference::PromptOther(prompt.clone())),
            Some(_) => None,
        });
        let unlisted = played
            .keys()
            .filter(|prompt| !terms.prompts.contains_key(*prompt));
        let unlisted = unlisted.cloned().map(PolicyDifference::PromptUnlisted);
        said.chain(unlisted).collect()
    }

    /// N of each version, from the day on that follows its decision: what has begun keeps its expiry.
    pub fn days(&self) -> PolicyDays {
        let versions = self.versions.values();
        let days = versions.filter_map(|applied| {
            let days = RetentionPolicy::new(applied.terms.retention_days).ok()?;
            Some((JstDay::of(applied.at).next(), days))
        });
        days.collect()
    }

    /// Whether the version in force lets recordings be used for this. It takes away, and gives nothing that the table of rights does not have.
    pub(crate) fn knows(&self, purpose: Purpose) -> bool {
        self.in_force()
            .is_none_or(|terms| terms.purposes.contains(&purpose))
    }

    /// Whether a measure may rest on this.
    pub(crate) fn has_basis(&self, basis: &Label) -> bool {
        self.in_force()
            .is_some_and(|terms| terms.bases.contains(basis))
    }

    /// A version follows the one before it, and no other.
    pub(crate) fn handle_fact(&mut self, at: Timestamp, by: Option<&StaffId>, fact: PolicyFact) {
        let by = by.cloned();
        match fact {
            PolicyFact::Applied {
                decision,
                version,
                terms,
                ..
            } => {
                if version == self.version() + 1 {
                    let applied = AppliedPolicy {
                        at,
                        by,
                        decision,
                        terms,
                    };
                    self.versions.insert(version, applied);
                }
            }
            PolicyFact::MeasureDecided {
                decision, basis, ..
            } => self.measures.push(DecidedMeasure {
                at,
                by,
                decision,
                basis,
            }),
        }
    }
}
