//! The recorded decision that waives the announcement for one number (law 2): by whom, where it is found, until when it counts.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    fault::Fault,
    ids::{DecisionId, JstDay, StaffId},
    number::{Number, clear},
};

/// The city's recorded decision that callers of one number are told by other means, or that a law excuses it (law 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberDecision {
    id: DecisionId,
    #[serde(with = "clear")]
    number: Number,
    reference: String,
    decided_on: Date,
    #[serde(flatten)]
    authority: Authority,
}

/// On whose word a decision stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Authority {
    /// A manager (管理責任者) decided or confirmed it. It counts to the end of the day by which somebody looks at it again.
    Manager {
        /// Who.
        person: StaffId,
        /// That day.
        review: JstDay,
    },
    /// The configuration alone says so, unconfirmed. It works until a manager says something about the number.
    Configuration {
        /// Who wrote it there.
        unix_user: String,
    },
}

impl NumberDecision {
    /// Makes the decision that a configuration file states, "by configuration, unconfirmed".
    ///
    /// `id`: made of what the file says, so that other words are another decision.
    ///
    /// # Errors
    /// [`DecisionFault`] where nobody could find the decision again: no reference, no person.
    pub fn by_configuration(
        id: DecisionId,
        number: Number,
        reference: &str,
        decided_on: Date,
        unix_user: &str,
    ) -> Result<NumberDecision, DecisionFault> {
        let (reference, unix_user) = (reference.trim(), unix_user.trim());
        if reference.is_empty() {
            return Err(DecisionFault::ReferenceMissing);
        }
        if reference.len() > MAX_REFERENCE_BYTES {
            return Err(DecisionFault::ReferenceTooLong {
                found_bytes: reference.len(),
            });
        }
        if unix_user.is_empty() {
            return Err(DecisionFault::UserMissing);
        }
        Ok(NumberDecision {
            id,
            number,
            reference: reference.to_owned(),
            decided_on,
            authority: Authority::Configuration {
                unix_user: unix_user.to_owned(),
            },
        })
    }

    /// The decision of a manager, as the register has it; under its id its words are found there.
    pub(crate) fn by_manager(
        id: DecisionId,
        number: Number,
        decided_at: Timestamp,
        person: StaffId,
        review: JstDay,
    ) -> NumberDecision {
        NumberDecision {
            id,
            number,
            reference: id.to_string(),
            decided_on: JstDay::of(decided_at).date(),
            authority: Authority::Manager { person, review },
        }
    }

    /// Under which it is confirmed, withdrawn and listed.
    pub fn id(&self) -> DecisionId {
        self.id
    }

    /// The number it is about, and no other.
    pub fn number(&self) -> &Number {
        &self.number
    }

    /// Where the decision can be found: a document number, or its id in the register.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The day it was taken.
    pub fn decided_on(&self) -> Date {
        self.decided_on
    }

    /// On whose word it stands.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether it still waives: nobody has to have looked at it yet.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        match &self.authority {
            Authority::Manager { review, .. } => JstDay::of(now) <= *review,
            Authority::Configuration { .. } => true,
        }
    }
}

/// A document number with its office fits ten times; a text longer than that is no reference.
const MAX_REFERENCE_BYTES: usize = 512;

/// A decision that names no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecisionFault {
    /// No reference is given.
    #[error("waiver has no reference; name the decision, for example its document number")]
    ReferenceMissing,
    /// The reference is no reference.
    #[error(
        "waiver reference is {found_bytes} bytes long, expected at most {MAX_REFERENCE_BYTES}; name the document, do not quote it"
    )]
    ReferenceTooLong {
        /// Length of the text.
        found_bytes: usize,
    },
    /// Nobody is named.
    #[error("waiver names no Unix user; name who wrote it into the configuration")]
    UserMissing,
}

impl DecisionFault {
    /// The operator's.
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_that_nobody_could_find_again_is_none() {
        let number = Number::parse("0783331000").unwrap();
        let day = jiff::civil::date(2026, 4, 1);
        let made = |reference: &str, user: &str| {
            let id = DecisionId::from_bytes([7; 16]);
            NumberDecision::by_configuration(id, number.clone(), reference, day, user)
        };
        assert_eq!(made(" ", "root"), Err(DecisionFault::ReferenceMissing));
        assert_eq!(made("広第1号", ""), Err(DecisionFault::UserMissing));
        assert_eq!(
            made(&"x".repeat(513), "root"),
            Err(DecisionFault::ReferenceTooLong { found_bytes: 513 })
        );
        let made = made("広第1号", "root").unwrap();
        assert!(matches!(made.authority(), Authority::Configuration { .. }));
        assert!(made.is_in_force("2036-04-01T00:00:00Z".parse().unwrap()));
    }
}
