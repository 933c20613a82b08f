//! A caller's number in clear: for a purpose, with a reason, each time anew (K-03).

use jiff::Timestamp;

use crate::{
    access::{Action, Condition, judge},
    audit::{AuditDraft, AuditEvent, AuditReceipt},
    credentials::Petitioner,
    digest::Digest,
    ids::RecordingId,
    listen::{Heard, Judged, Right},
    permit::Validity,
    purpose::Purpose,
    refusal::Refusal,
    register::Register,
};

/// Somebody asks for the number from which a recorded call came.
#[derive(Debug, Clone)]
pub struct RevealRequest<'a> {
    /// Who.
    pub petitioner: Petitioner<'a>,
    /// Of which recording.
    pub heard: Heard,
    /// What for.
    pub purpose: Option<Purpose>,
    /// The salted hash of why.
    pub reason: Option<Digest>,
}

impl RevealRequest<'_> {
    /// The entry that says that it was refused.
    pub fn refused(&self, register: &Register, refusal: &Refusal) -> AuditDraft {
        let event = AuditEvent::ListenRefused {
            recording: self.heard.recording,
            action: Action::Reveal,
            purpose: self.purpose,
            case: None,
            code: refusal.code(),
            policy: register.policy().version(),
        };
        AuditDraft {
            actor: self.petitioner.actor(),
            event,
        }
    }

    /// Judges the request.
    ///
    /// # Errors
    /// The first rule that refuses. Write [`RevealRequest::refused`] to the trail.
    pub fn judge(&self, register: &Register, now: Timestamp) -> Result<RevealGrant, Refusal> {
        let person = self.petitioner.person(register);
        let standing = self.petitioner.standing(person, Action::Reveal);
        let judged = Judged {
            right: Right {
                register,
                action: Action::Reveal,
                purpose: self.purpose,
                case: None,
            },
            heard: &self.heard,
        };
        judge(standing, Action::Reveal, |condition| match condition {
            Condition::ReasonGiven => self.reason.is_some(),
            other => judged.holds(other, standing, person, now),
        })?;
        // Both are there: the table reveals to nobody without either.
        let (Some(purpose), Some(reason)) = (self.purpose, self.reason) else {
            return Err(Refusal::nobody());
        };
        let event = AuditEvent::NumberRevealed {
            recording: self.heard.recording,
            purpose,
            reason,
            policy: register.policy().version(),
        };
        Ok(RevealGrant {
            entry: AuditDraft {
                actor: self.petitioner.actor(),
                event,
            },
            recording: self.heard.recording,
            expires_at: self.heard.expires_at,
        })
    }
}

/// A look at a number that the rules allow, once the entry it holds is durable. It reveals nothing.
#[derive(Debug)]
#[must_use = "a grant reveals nothing until its entry is durable and it becomes a permit"]
pub struct RevealGrant {
    entry: AuditDraft,
    recording: RecordingId,
    expires_at: Timestamp,
}

impl RevealGrant {
    /// The entry that must be durable first.
    pub fn entry(&self) -> &AuditDraft {
        &self.entry
    }
}

/// Leave to open the number of one recording's caller.
#[derive(Debug)]
#[must_use = "a permit opens the one number that it is for"]
pub struct RevealPermit {
    grant: RevealGrant,
    receipt: AuditReceipt,
    validity: Validity,
}

impl RevealPermit {
    /// Turns a grant into a permit, now that its entry is durable.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` where the receipt is for another entry than the grant's.
    pub fn issue(
        grant: RevealGrant,
        receipt: AuditReceipt,
        now: Timestamp,
    ) -> Result<RevealPermit, Refusal> {
        if !receipt.is_for(&grant.entry) {
            return Err(Refusal::audit_unavailable());
        }
        let validity = Validity::begin(now, grant.expires_at);
        Ok(RevealPermit {
            grant,
            receipt,
            validity,
        })
    }

    /// Whether it still holds.
    ///
    /// # Errors
    /// `PERMIT_LAPSED`.
    pub fn check(&self, now: Timestamp) -> Result<(), Refusal> {
        self.validity.check(now)
    }

    /// The recording whose caller it is about, and no other.
    pub fn recording(&self) -> RecordingId {
        self.grant.recording
    }

    /// The number of the entry that stands for it in the trail.
    pub fn audit_seq(&self) -> u64 {
        self.receipt.seq()
    }
}
