//! The permit to record a fact, made of a grant and the receipt of its own entry.

use super::{Fact, Recorded};
use crate::{
    audit::{AuditDraft, AuditReceipt},
    refusal::Refusal,
};

/// A fact that the rules allow, once the entry it holds is durable. It records nothing.
#[derive(Debug)]
#[must_use = "a grant records nothing until its entry is durable and it becomes a permit"]
pub struct RegisterGrant {
    pub(super) entry: AuditDraft,
    pub(super) fact: Fact,
}

impl RegisterGrant {
    /// The entry that must be durable first.
    pub fn entry(&self) -> &AuditDraft {
        &self.entry
    }

    /// The fact that it would record.
    pub fn fact(&self) -> &Fact {
        &self.fact
    }
}

/// Leave to record one fact. It is moved into the record.
#[derive(Debug)]
#[must_use = "a permit is moved into the record that it allows"]
pub struct RegisterPermit {
    fact: Fact,
    receipt: AuditReceipt,
}

impl RegisterPermit {
    /// Turns a grant into a permit, now that its entry is durable.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` where the receipt is for another entry than the grant's.
    pub fn issue(grant: RegisterGrant, receipt: AuditReceipt) -> Result<RegisterPermit, Refusal> {
        if !receipt.is_for(&grant.entry) {
            return Err(Refusal::audit_unavailable());
        }
        let fact = grant.fact;
        Ok(RegisterPermit { fact, receipt })
    }

    /// What is recorded: the fact, when and by whom as its entry says.
    pub fn record(&self) -> Recorded {
        Recorded {
            at: self.receipt.entry().at,
            by: self.receipt.entry().actor.clone(),
            fact: self.fact.clone(),
        }
    }

    /// The number of the entry that stands for it in the trail.
    pub fn audit_seq(&self) -> u64 {
        self.receipt.seq()
    }
}
