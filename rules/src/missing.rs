//! What an act must say and does not: refused as whatever the rules do not allow, with the clause that says who does it.

use jiff::Timestamp;

use crate::{
    access::Action,
    credentials::Petitioner,
    refusal::{Refusal, RefusalCode},
    register::Register,
};

/// What was not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// What for.
    Purpose,
    /// By which decision: that of a case, or its words.
    Decision,
    /// On what it rests.
    Basis,
    /// Why.
    Reason,
    /// What the register is to hold of it, such as a medium or a receiver.
    Particulars,
}

/// In which way it was not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsaid {
    /// Left out, or blank.
    Blank,
    /// In a text that no record holds ([`crate::TextFault::NotOneLine`]).
    NotOneLine,
}

impl Missing {
    fn code(self) -> RefusalCode {
        match self {
            Missing::Purpose => RefusalCode::PurposeRequired,
            Missing::Decision => RefusalCode::DecisionRequired,
            Missing::Basis => RefusalCode::LegalBasisRequired,
            Missing::Reason => RefusalCode::ReasonRequired,
            Missing::Particulars => RefusalCode::ParticularsRequired,
        }
    }

    /// Why the act is refused without it.
    pub fn refusal(self, unsaid: Unsaid, action: Action) -> Refusal {
        match unsaid {
            Unsaid::Blank => Refusal::new(self.code(), action.clause()),
            Unsaid::NotOneLine => Refusal::not_one_line(self.code(), action.clause()),
        }
    }
}

impl Register {
    /// Why an act is refused of which something is not said; whoever has not the right is told that first.
    pub fn refuse_without(
        &self,
        petitioner: &Petitioner<'_>,
        action: Action,
        (missing, unsaid): (Missing, Unsaid),
        now: Timestamp,
    ) -> Refusal {
        match self.judge_asker(petitioner, action, now) {
            Err(refusal) => refusal,
            Ok(()) => missing.refusal(unsaid, action),
        }
    }
}
