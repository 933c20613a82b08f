//! Looking for recordings: by a caller's number, the number called, the time (K-12, K-33).
//!
//! A search is permitted once and judged anew for each recording that it might show. It shows no number: a caller's is compared, never given away.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    access::{Action, judge},
    audit::{AuditDraft, AuditEvent, AuditReceipt},
    credentials::Petitioner,
    ids::StaffId,
    listen::{Heard, Judged, Right},
    number::Number,
    permit::Validity,
    purpose::Purpose,
    refusal::Refusal,
    register::Register,
};

/// What is looked for; whatever is `None` is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sought {
    /// Who called.
    pub caller: Option<Number>,
    /// The city's number that was called.
    pub called: Option<Number>,
    /// Calls that began at this instant or later.
    pub from: Option<Timestamp>,
    /// Calls that began before this one.
    pub until: Option<Timestamp>,
}

/// By what somebody looks for recordings, as the trail says it: never the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// The caller's number.
    Caller,
    /// The city's number.
    Called,
    /// The time.
    Time,
}

impl Sought {
    /// By what it looks.
    fn criteria(&self) -> BTreeSet<Criterion> {
        let caller = self.caller.as_ref().map(|_| Criterion::Caller);
        let called = self.called.as_ref().map(|_| Criterion::Called);
        let time = self.from.or(self.until).map(|_| Criterion::Time);
        caller.into_iter().chain(called).chain(time).collect()
    }
}

/// Somebody looks for recordings.
#[derive(Debug, Clone)]
pub struct FindRequest<'a> {
    /// Who.
    pub petitioner: Petitioner<'a>,
    /// What is looked for.
    pub sought: Sought,
    /// What for.
    pub purpose: Option<Purpose>,
}

impl FindRequest<'_> {
    /// Judges the request, as far as it is about no recording yet.
    ///
    /// # Errors
    /// The first rule that refuses.
    pub fn judge(self, register: &Register, now: Timestamp) -> Result<FindGrant, Refusal> {
        let person = self.petitioner.person(register);
        let right = Right {
            register,
            action: Action::Find,
            purpose: self.purpose,
            case: None,
        };
        let standing = self.petitioner.standing(person, Action::Find);
        right.judge_apart_from_recording(standing, person, now)?;
        // Both are there: the table lets nobody look without either.
        let (Some(purpose), Some(person)) = (self.purpose, person) else {
            return Err(Refusal::nobody());
        };
        let event = AuditEvent::SearchGranted {
            criteria: self.sought.criteria(),
            purpose,
            policy: register.policy().version(),
        };
        Ok(FindGrant {
            entry: AuditDraft {
                actor: self.petitioner.actor(),
                event,
            },
            person: person.id.clone(),
            sought: self.sought,
            purpose,
        })
    }
}

/// A search that the rules allow, once the entry it holds is durable. It finds nothing.
#[derive(Debug)]
#[must_use = "a grant finds nothing until its entry is durable and it becomes a permit"]
pub struct FindGrant {
    entry: AuditDraft,
    person: StaffId,
    sought: Sought,
    purpose: Purpose,
}

impl FindGrant {
    /// The entry that must be durable first.
    pub fn entry(&self) -> &AuditDraft {
        &self.entry
    }
}

/// Leave to look for recordings for one purpose, for at most 15 minutes. It is moved into the search and asked again at every page.
#[derive(Debug)]
#[must_use = "a permit is moved into the search that it allows"]
pub struct FindPermit {
    grant: FindGrant,
    receipt: AuditReceipt,
    validity: Validity,
}

impl FindPermit {
    /// Turns a grant into a permit, now that its entry is durable.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` where the receipt is for another entry than the grant's.
    pub fn issue(
        grant: FindGrant,
        receipt: AuditReceipt,
        now: Timestamp,
    ) -> Result<FindPermit, Refusal> {
        if !receipt.is_for(&grant.entry) {
            return Err(Refusal::audit_unavailable());
        }
        Ok(FindPermit {
            grant,
            receipt,
            validity: Validity::begin(now, Timestamp::MAX),
        })
    }

    /// Whether it still holds: within its 15 minutes.
    ///
    /// # Errors
    /// `PERMIT_LAPSED`.
    pub fn check(&self, now: Timestamp) -> Result<(), Refusal> {
        self.validity.check(now)
    }

    /// Whether it shows this recording, with the register as it stands by now. To whoever it does not show it, it is not there.
    ///
    /// # Errors
    /// As [`Self::check`], and whatever refuses the person by now.
    pub fn shows(
        &self,
        register: &Register,
        heard: &Heard,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        self.check(now)?;
        let person = register.person(&self.grant.person);
        let person = person.ok_or_else(Refusal::nobody)?;
        let standing = person.standing();
        let judged = Judged {
            right: Right {
                register,
                action: Action::Find,
                purpose: Some(self.grant.purpose),
                case: None,
            },
            heard,
        };
        judge(standing, Action::Find, |condition| {
            condition.is_of_recording() || judged.holds(condition, standing, Some(person), now)
        })?;
        Ok(judged.judge(standing, Some(person), now).is_ok())
    }

    /// What is looked for.
    pub fn sought(&self) -> &Sought {
        &self.grant.sought
    }

    /// The number of the entry that stands for it in the trail.
    pub fn audit_seq(&self) -> u64 {
        self.receipt.seq()
    }
}
