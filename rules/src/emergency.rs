//! The emergency: the one state in which calls go through without the announcement (K-05).
//!
//! It has a reason, a scope and an end, and ends by itself. [`EmergencyState`] is what is declared; its owner saves it to a local file after each change.
//! Expiry is written in wall time so that it survives a restart; a step of the clock moves it along ([`EmergencyState::handle_clock_step`]), so that
//! neither a step back prolongs an emergency nor a step forward ends it early.

mod state;

use std::{fmt, str::FromStr, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    fault::Fault,
    ids::{EmergencyId, StaffId},
    number::{self, Number, NumberFault},
    refusal::{Clause, Refusal, RefusalCode},
    text::TextFault,
};

pub use state::EmergencyState;

const MAX_DECLARED: usize = 64; // One for the whole city and one each for more lines than a duty officer would name one by one.

/// Where an emergency holds. A ward comes with numbers that know their ward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// For every number of the city.
    All,
    /// For one number of the city; whoever declares makes sure that it is the city's.
    Number(#[serde(with = "number::clear")] Number),
}

impl Scope {
    /// Whether calls to this number are under it.
    pub fn covers(&self, called: &Number) -> bool {
        match self {
            Scope::All => true,
            Scope::Number(number) => number == called,
        }
    }
}

impl FromStr for Scope {
    type Err = NumberFault;

    /// Reads `all` or a number.
    fn from_str(text: &str) -> Result<Scope, NumberFault> {
        if text == "all" {
            Ok(Scope::All)
        } else {
            Number::typed(text).map(Scope::Number)
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::All => f.write_str("all"),
            Scope::Number(number) => fmt::Display::fmt(number, f),
        }
    }
}

/// What someone asks for who declares an emergency.
#[derive(Clone)]
pub struct Declaration {
    /// The id that it shall have.
    pub id: EmergencyId,
    /// Where it shall hold.
    pub scope: Scope,
    /// Why; it must say something.
    pub reason: String,
    /// How long from now; four hours if not given, at most twenty-four.
    pub duration: Option<Duration>,
    /// The person, where one was named.
    pub declared_by: Option<StaffId>,
    /// The Unix user that the socket reports.
    pub unix_user: String,
}

impl fmt::Debug for Declaration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Declaration")
            .field("id", &self.id)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// A declared emergency. Only [`EmergencyState`] makes one, from a declaration or from the file in which it was saved.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Emergency {
    id: EmergencyId,
    scope: Scope,
    reason: String,
    declared_by: Option<StaffId>,
    unix_user: String,
    declared: Timestamp,
    started: Timestamp,
    expires: Timestamp,
    replaces: Option<EmergencyId>,
}

impl Emergency {
    /// The id that every call under it carries.
    pub fn id(&self) -> EmergencyId {
        self.id
    }

    /// Where it holds.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Why it was declared, in the declarer's words; for people, never for logs or the audit trail.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The person, where one was named.
    pub fn declared_by(&self) -> Option<&StaffId> {
        self.declared_by.as_ref()
    }

    /// The Unix user that declared it.
    pub fn unix_user(&self) -> &str {
        &self.unix_user
    }

    /// When it was declared, by the clock of that moment.
    pub fn declared(&self) -> Timestamp {
        self.declared
    }

    /// When it began, by the clock as it goes after all its steps; never more than 24 h before [`Self::expires`].
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// The instant from which it holds no longer.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The emergency of the same scope that this one renewed.
    pub fn replaces(&self) -> Option<EmergencyId> {
        self.replaces
    }

    /// Whether it has not ended by `now`. A clock that is behind its beginning does not end it.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        now < self.expires
    }

    fn shift(&mut self, by: SignedDuration) {
        // At the ends of time both saturate, so that the length never grows.
        self.started = self.started.saturating_add(by).unwrap_or(self.started);
        self.expires = self.expires.saturating_add(by).unwrap_or(self.expires);
    }
}

impl fmt::Debug for Emergency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emergency")
            .field("id", &self.id)
            .field("scope", &self.scope)
            .field("started", &self.started)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A declaration that declares nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmergencyFault {
    /// The reason is none that a record keeps.
    #[error("emergency needs a reason why calls shall go through without the announcement: {0}")]
    Reason(#[from] TextFault),
    /// Too long, or no time at all.
    #[error(
        "emergency would last {found_s} s, expected 1 s to 24 h; declare 24 h at most and renew it"
    )]
    Duration {
        /// Asked for.
        found_s: u64,
    },
    /// Too many scopes at once.
    #[error("{MAX_DECLARED} emergencies are declared already; declare one for all numbers")]
    TooMany,
    /// There is nothing to lift.
    #[error("no emergency of this scope is declared; see the status for what is")]
    NothingDeclared,
}

impl EmergencyFault {
    /// The operator's.
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }

    /// The rule that refuses it, where one does.
    pub fn refusal(&self) -> Option<Refusal> {
        let clause = Clause::Consultation4Announcement;
        let code = match self {
            EmergencyFault::Reason(TextFault::NotOneLine) => {
                return Some(Refusal::not_one_line(RefusalCode::ReasonRequired, clause));
            }
            EmergencyFault::Reason(TextFault::Blank) => RefusalCode::ReasonRequired,
            EmergencyFault::Duration { found_s: 0 } => RefusalCode::EmergencyTooShort,
            EmergencyFault::Duration { .. } => RefusalCode::EmergencyTooLong,
            EmergencyFault::Reason(TextFault::TooLong { .. })
            | EmergencyFault::TooMany
            | EmergencyFault::NothingDeclared => return None,
        };
        Some(Refusal::new(code, clause))
    }
}
