//! Listening: judged, written to the trail, permitted, and judged anew while it goes on (K-08, K-11, K-12).
//!
//! It takes two steps, so that the entry is durable before the first byte leaves (law 3): [`ListenRequest::judge`] returns a [`ListenGrant`], a wish that
//! holds the entry to write; with the trail's receipt for exactly that entry it becomes a [`crate::ListenPermit`].

use jiff::Timestamp;

use crate::{
    access::{Action, Condition, Standing, judge, purpose_fits},
    audit::{AuditDraft, AuditEvent},
    copies::Holder,
    credentials::Petitioner,
    ids::{CaseId, Label, RecordingId},
    number::Number,
    people::Person,
    purpose::Purpose,
    recording::RecordingState,
    refusal::Refusal,
    register::Register,
    vendor::Vendor,
};

/// A recording, as far as a right depends on it.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Which.
    pub recording: RecordingId,
    /// Where it stands.
    pub state: RecordingState,
    /// When its day expires.
    pub expires_at: Timestamp,
    /// The city's number that was called.
    pub called: Option<Number>,
    /// 管理所管課 of that number.
    pub unit: Label,
    /// Where its sound is.
    pub sound: Sound,
}

/// Where the sound of a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// In the vault, where there is one.
    Here,
    /// In a backup whose rows are restored, and whose audio is still being brought.
    Awaited,
}

impl Heard {
    /// Whether there ever was a sound.
    pub(crate) fn is_recorded(&self) -> bool {
        self.state != RecordingState::Unrecorded
    }

    /// Whether its retention goes on. Past its instant a recording is gone, whether or not the sweep ran (K-22).
    pub(crate) fn is_retained(&self, now: Timestamp) -> bool {
        self.is_kept(None, now)
    }

    /// Whether it is there for a case that holds it until then, its day notwithstanding (K-21).
    pub(crate) fn is_kept(&self, held_until: Option<Timestamp>, now: Timestamp) -> bool {
        self.is_there() && now < self.kept_until(held_until)
    }

    /// Whether it was not destroyed.
    pub(crate) fn is_there(&self) -> bool {
        self.state != RecordingState::Disposed
    }

    /// Until when it is there for a case that holds it until then.
    pub(crate) fn kept_until(&self, held_until: Option<Timestamp>) -> Timestamp {
        held_until.map_or(self.expires_at, |held| held.max(self.expires_at))
    }

    /// Whether no restore has still to bring it.
    pub(crate) fn has_arrived(&self) -> bool {
        self.sound == Sound::Here
    }

    /// Whether its call is over and stored.
    pub(crate) fn is_closed(&self) -> bool {
        self.state != RecordingState::Open
    }
}

/// Somebody asks for a recording.
#[derive(Debug, Clone)]
pub struct ListenRequest<'a> {
    /// Who.
    pub petitioner: Petitioner<'a>,
    /// In which way.
    pub action: Action,
    /// What is asked for.
    pub heard: Heard,
    /// What for.
    pub purpose: Option<Purpose>,
    /// Under which case.
    pub case: Option<CaseId>,
    /// Which part, in milliseconds from its beginning; `None` is the whole.
    pub range_ms: Option<(u64, u64)>,
}

impl ListenRequest<'_> {
    /// The entry that says that it was refused.
    pub fn refused(&self, register: &Register, refusal: &Refusal) -> AuditDraft {
        let event = AuditEvent::ListenRefused {
            recording: self.heard.recording,
            action: self.action,
            purpose: self.purpose,
            case: self.case,
            code: refusal.code(),
            policy: register.policy().version(),
        };
        AuditDraft {
            actor: self.petitioner.actor(),
            event,
        }
    }

    fn granted(&self, register: &Register, purpose: Purpose) -> AuditDraft {
        let event = AuditEvent::ListenGranted {
            recording: self.heard.recording,
            action: self.action,
            purpose,
            case: self.case,
            range_ms: self.range_ms,
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
    /// The first rule that refuses. Write [`ListenRequest::refused`] to the trail.
    pub fn judge(&self, register: &Register, now: Timestamp) -> Result<ListenGrant, Refusal> {
        let judged = Judged {
            right: Right {
                register,
                action: self.action,
                purpose: self.purpose,
                case: self.case,
            },
            heard: &self.heard,
        };
        let person = self.petitioner.person(register);
        judged.judge(self.petitioner.standing(person, self.action), person, now)?;
        // Both are there: the table opens content to nobody without either.
        let (Some(purpose), Some(person)) = (self.purpose, person) else {
            return Err(Refusal::nobody());
        };
        Ok(ListenGrant {
            entry: self.granted(register, purpose),
            action: self.action,
            heard: self.heard.clone(),
            purpose,
            case: self.case,
            range_ms: self.range_ms,
            held_until: judged.held_until(),
            lapses_at: judged.lapses_at(person, now),
        })
    }
}

impl Register {
    /// Judges whatever does not depend on the recording, of which there is none: whoever may hear none is not told which there are.
    ///
    /// # Errors
    /// The first rule that refuses.
    pub fn judge_unknown_recording(
        &self,
        petitioner: &Petitioner<'_>,
        action: Action,
        purpose: Option<Purpose>,
        case: Option<CaseId>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let right = Right {
            register: self,
            action,
            purpose,
            case,
        };
        let person = petitioner.person(self);
        right.judge_apart_from_recording(petitioner.standing(person, action), person, now)
    }
}

/// What somebody may do with recordings, whichever they are.
pub(crate) struct Right<'a> {
    pub(crate) register: &'a Register,
    pub(crate) action: Action,
    pub(crate) purpose: Option<Purpose>,
    /// Under which case, where the purpose needs one.
    pub(crate) case: Option<CaseId>,
}

impl Right<'_> {
    /// Judges whatever does not depend on the recording.
    pub(crate) fn judge_apart_from_recording(
        &self,
        standing: Standing,
        person: Option<&Person>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        judge(standing, self.action, |condition| {
            condition.is_of_recording() || self.holds(condition, standing, person, now)
        })
    }

    /// Whether a condition on person and purpose holds; one on a recording does not.
    pub(crate) fn holds(
        &self,
        condition: Condition,
        standing: Standing,
        person: Option<&Person>,
        now: Timestamp,
    ) -> bool {
        match (condition, person) {
            (Condition::PurposeGiven, _) => self.purpose.is_some(),
            (Condition::Designated, Some(person)) => person.designation(now).is_some(),
            (Condition::Trained, Some(person)) => person.training(now).is_some(),
            (Condition::Acknowledged, Some(person)) => {
                person.acknowledged >= Some(self.register.policy().version())
            }
            (Condition::PurposeFits, Some(person)) => self.purpose.is_some_and(|purpose| {
                self.register.policy().knows(purpose)
                    && purpose_fits(standing, self.action, purpose)
                    && (purpose.needs_case() || self.case.is_none())
                    && self.is_agreed(person, purpose, now)
            }),
            (Condition::Approved, Some(person)) => {
                self.register.engagement(person).approved().next().is_some()
            }
            (Condition::ContractInForce, Some(person)) => self
                .register
                .engagement(person)
                .in_force(now)
                .next()
                .is_some(),
            (Condition::Attested, Some(person)) => self
                .vendor(person)
                .is_some_and(|vendor| vendor.is_attested(now)),
            (Condition::HolderClear, Some(person)) => {
                let own = Holder::Person(person.id.clone());
                !self.register.copies().is_overdue(&own, now)
            }
            // Conditions of the register's acts and of a recording, and a person's where there is nobody.
            (
                Condition::BasisGiven
                | Condition::Undecided
                | Condition::CaseApproved
                | Condition::UseFree
                | Condition::HoldBounded
                | Condition::HoldApproved
                | Condition::Unheld
                | Condition::ReviewBounded
                | Condition::TermOver
                | Condition::DeputyPeriod
                | Condition::OtherPerson
                | Condition::RoleGrantable
                | Condition::RoleEndable
                | Condition::CityStaff
                | Condition::NotFounded
                | Condition::ReasonGiven
                | Condition::WithinLimit
                | Condition::OwnUnit
                | Condition::InScope
                | Condition::Recorded
                | Condition::Retained
                | Condition::Closed
                | Condition::Arrived
                | Condition::Designated
                | Condition::Trained
                | Condition::Acknowledged
                | Condition::PurposeFits
                | Condition::Approved
                | Condition::ContractInForce
                | Condition::Attested
                | Condition::HolderClear
                | Condition::OfRecipient
                | Condition::VendorClear
                | Condition::Decided
                | Condition::InOrder
                | Condition::Encrypted
                | Condition::CodeRight
                | Condition::NothingOutside,
                _,
            ) => false,
        }
    }

    /// The contractor whom the person works for.
    fn vendor(&self, person: &Person) -> Option<&Vendor> {
        let vendor = person.vendor.as_ref()?;
        self.register.vendors().get(vendor)
    }

    /// A contractor's purpose is also one of a contract in force.
    fn is_agreed(&self, person: &Person, purpose: Purpose, now: Timestamp) -> bool {
        person.vendor.is_none()
            || self
                .register
                .engagement(person)
                .in_force(now)
                .any(|contract| contract.terms.purposes.contains(&purpose))
    }
}

/// What is judged of one recording, when it is asked for and while it goes on.
pub(crate) struct Judged<'a> {
    pub(crate) right: Right<'a>,
    pub(crate) heard: &'a Heard,
}

impl Judged<'_> {
    pub(crate) fn judge(
        &self,
        standing: Standing,
        person: Option<&Person>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        judge(standing, self.right.action, |condition| {
            self.holds(condition, standing, person, now)
        })
    }

    pub(crate) fn holds(
        &self,
        condition: Condition,
        standing: Standing,
        person: Option<&Person>,
        now: Timestamp,
    ) -> bool {
        let Heard { unit, called, .. } = self.heard;
        match (condition, person) {
            (Condition::Recorded, _) => self.heard.is_recorded(),
            (Condition::Retained, _) => self.heard.is_kept(self.held_until(), now),
            (Condition::Closed, _) => self.heard.is_closed(),
            (Condition::Arrived, _) => self.heard.has_arrived(),
            (Condition::CaseApproved, _) => self.is_permitted_by_case(),
            (Condition::UseFree, _) => {
                let cases = self.right.register.cases();
                cases.leave_free(self.heard.recording, self.right.case)
            }
            (Condition::OwnUnit, Some(person)) => person.unit == *unit,
            (Condition::InScope, Some(person)) => self
                .right
                .register
                .engagement(person)
                .covering(unit, called.as_ref(), now)
                .any(|contract| {
                    self.right
                        .purpose
                        .is_some_and(|purpose| contract.terms.purposes.contains(&purpose))
                }),
            _ => self.right.holds(condition, standing, person, now),
        }
    }

    /// The purpose needs no case, or the case is approved, of the purpose's kind, and about the recording.
    fn is_permitted_by_case(&self) -> bool {
        let Right {
            register,
            purpose,
            case,
            ..
        } = self.right;
        let is_case_of = |purpose| {
            case.is_some_and(|case| register.cases().permit(case, self.heard.recording, purpose))
        };
        purpose.is_some_and(|purpose: Purpose| !purpose.needs_case() || is_case_of(purpose))
    }

    /// Until when the own case hears what it holds, its day notwithstanding (K-21).
    fn held_until(&self) -> Option<Timestamp> {
        let holds = self.right.register.holds();
        let case = self.right.case?;
        holds.end_for(case, self.heard.recording)
    }

    /// The instant from which the right is over, as far as known now.
    fn lapses_at(&self, person: &Person, now: Timestamp) -> Timestamp {
        let retained = self.heard.kept_until(self.held_until());
        let contract = self
            .right
            .register
            .engagement(person)
            .covering(&self.heard.unit, self.heard.called.as_ref(), now)
            .map(|contract| contract.terms.period.end())
            .max();
        let attested = self.right.vendor(person).and_then(Vendor::lapses_at);
        person
            .lapses_at(now)
            .into_iter()
            .chain(contract)
            .chain(attested)
            .fold(retained, Timestamp::min)
    }
}

/// A request that the rules allow, once the entry it holds is durable. It opens nothing.
#[derive(Debug)]
#[must_use = "a grant opens nothing until its entry is durable and it becomes a permit"]
pub struct ListenGrant {
    pub(crate) entry: AuditDraft,
    pub(crate) action: Action,
    pub(crate) heard: Heard,
    pub(crate) purpose: Purpose,
    pub(crate) case: Option<CaseId>,
    pub(crate) range_ms: Option<(u64, u64)>,
    pub(crate) held_until: Option<Timestamp>,
    pub(crate) lapses_at: Timestamp,
}

impl ListenGrant {
    /// The entry that must be durable first.
    pub fn entry(&self) -> &AuditDraft {
        &self.entry
    }

    /// Judges it anew with the register as it stands by now; `person` is as that register has them, `state` as the row has it.
    pub(crate) fn judge_again(
        &self,
        register: &Register,
        person: &Person,
        state: RecordingState,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let judged = Judged {
            right: Right {
                register,
                action: self.action,
                purpose: Some(self.purpose),
                case: self.case,
            },
            heard: &Heard {
                state,
                ..self.heard.clone()
            },
        };
        judged.judge(person.standing(), Some(person), now)
    }
}
