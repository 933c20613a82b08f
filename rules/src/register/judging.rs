//! Judging a wish to record a fact: what it is about, and whether each condition of the table holds.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    Fact, Register, RegisterFault, RegisterGrant,
    about::{About, Matter},
};
use crate::{
    access::{Action, Condition, Standing, is_endable, is_grantable, judge, judge_standing},
    audit::DisposalCause,
    case::{Case, MOST_RECORDINGS, RequestFact, Verdict},
    copies::{CopyFact, CopyOf, Holder},
    credentials::Petitioner,
    hand_over::{Deed, HandOver},
    hold::HoldFact,
    ids::{CaseId, ContractId, HandOverId, Label, RecordingId, StaffId, VendorId},
    listen::Heard,
    missing::{Missing, Unsaid},
    month::JstMonth,
    people::{Person, Role, Tenure},
    policy::{PolicyFact, PolicyTerms},
    refusal::Refusal,
    vendor::{Contract, Vendor},
    waiver::WaiverFact,
};

impl Register {
    /// The recordings of which the rules must know before they judge this.
    pub fn concerns(&self, fact: &Fact) -> BTreeSet<RecordingId> {
        match fact {
            Fact::Request(RequestFact::Opened { application, .. }) => {
                application.recordings.clone()
            }
            Fact::Hold(HoldFact::Requested { terms, .. }) => terms.recordings.clone(),
            // What is kept must be there when it is decided; what is not kept need not.
            Fact::Hold(HoldFact::Decided {
                hold,
                verdict: Verdict::Approved,
                ..
            }) => {
                let hold = self.holds.get(*hold);
                hold.map_or_else(BTreeSet::new, |hold| hold.terms().recordings.clone())
            }
            _ => BTreeSet::new(),
        }
    }

    /// Judges a wish to record a fact. `None`: it is so already, and is not recorded again.
    ///
    /// # Errors
    /// [`RegisterFault`]: refused by a rule, or about somebody or something that is not there.
    pub fn request(
        &self,
        petitioner: &Petitioner<'_>,
        fact: Fact,
        now: Timestamp,
    ) -> Result<Option<RegisterGrant>, RegisterFault> {
        self.request_with(petitioner, fact, &[], now)
    }

    /// The same for a fact about recordings.
    ///
    /// `heard`: those recordings, as the office knows them; which they are says [`Self::concerns`].
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn request_with(
        &self,
        petitioner: &Petitioner<'_>,
        fact: Fact,
        heard: &[Heard],
        now: Timestamp,
    ) -> Result<Option<RegisterGrant>, RegisterFault> {
        let by = petitioner.person(self);
        let action = fact.action();
        let standing = petitioner.standing(by, action);
        judge_standing(standing, action)?;
        self.judge_fact(standing, by, &fact, heard, now)?;
        let mut next = self.clone();
        next.handle_fact(now, &petitioner.actor(), fact.clone());
        if next == *self {
            return Ok(None);
        }
        let entry = fact.entry(petitioner.actor(), self.policy.version());
        Ok(Some(RegisterGrant { entry, fact }))
    }

    fn judge_fact(
        &self,
        standing: Standing,
        by: Option<&Person>,
        fact: &Fact,
        heard: &[Heard],
        now: Timestamp,
    ) -> Result<(), RegisterFault> {
        if let Fact::SupervisionSigned { month, .. } = fact
            && now < month.end().start()
        {
            return Err(RegisterFault::MonthNotOver(*month));
        }
        let about = match self.about(fact, heard) {
            Ok(about) => about,
            Err(fault) => {
                // Whoever has not the right is not told what there is.
                self.judge_petitioner(standing, fact.action(), by, now)?;
                return Err(fault);
            }
        };
        judge(standing, fact.action(), |condition| {
            self.meets(condition, standing, by, &about, now)
        })?;
        about.deed.as_ref().map_or(Ok(()), Deed::check)
    }

    /// Judges whoever asks, whatever it is about: who has not the right is not told what there is.
    ///
    /// # Errors
    /// The first rule that refuses.
    pub fn judge_asker(
        &self,
        petitioner: &Petitioner<'_>,
        action: Action,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let by = petitioner.person(self);
        self.judge_petitioner(petitioner.standing(by, action), action, by, now)
    }

    fn judge_petitioner(
        &self,
        standing: Standing,
        action: Action,
        by: Option<&Person>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let nothing = About::default();
        judge(standing, action, |condition| {
            !condition.is_of_petitioner() || self.meets(condition, standing, by, &nothing, now)
        })
    }

    /// Judges a fact that goes on anew, for whoever it was granted to.
    ///
    /// # Errors
    /// Whatever refuses it by now.
    pub(crate) fn judge_again(
        &self,
        person: &StaffId,
        fact: &Fact,
        heard: &[Heard],
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let person = self.person(person).ok_or_else(Refusal::nobody)?;
        let standing = person.standing();
        match self.judge_fact(standing, Some(person), fact, heard, now) {
            Ok(()) => Ok(()),
            Err(RegisterFault::Refused(refusal)) => Err(refusal),
            // What it is about was there and facts are never taken back.
            Err(_) => Err(Refusal::nobody()),
        }
    }

    /// Whom and what a fact is about.
    ///
    /// # Errors
    /// [`RegisterFault`] where that is not there, or is there already as something else.
    fn about<'a>(&'a self, fact: &'a Fact, heard: &'a [Heard]) -> Result<About<'a>, RegisterFault> {
        let mut about = About::default();
        match fact {
            Fact::PersonAdded {
                person,
                role,
                unit,
                vendor,
            } => {
                self.vacant(person, *role, unit, vendor.as_ref())?;
                about.unit = Some(unit.clone());
                about.role = Some(*role);
            }
            Fact::Founded {
                manager,
                administrator,
                ..
            } if manager == administrator => {
                return Err(RegisterFault::OnePerson);
            }
            Fact::Founded {
                manager,
                administrator,
                ..
            } => {
                self.nameable(manager)?;
                self.nameable(administrator)?;
            }
            Fact::Policy(PolicyFact::Applied { version, terms, .. }) => {
                if *version != self.policy.version() + 1 {
                    return Err(RegisterFault::OtherVersion(*version));
                }
                about.terms = Some(terms);
            }
            Fact::Policy(PolicyFact::MeasureDecided { basis, .. }) => {
                if !self.policy.has_basis(basis) {
                    return Err(Missing::Basis.refusal(Unsaid::Blank, fact.action()).into());
                }
            }
            // Whoever could change the key of a contractor could have the next package encrypted to the own.
            Fact::VendorAdded { vendor, recipient }
                if self
                    .vendors
                    .get(vendor)
                    .is_some_and(|known| known.recipient != *recipient) =>
            {
                return Err(RegisterFault::VendorTaken(vendor.clone()));
            }
            Fact::Recovered { person, .. } => {
                self.nameable(person)?;
                about.person = self.person(person);
            }
            Fact::SupervisionSigned { .. }
            | Fact::MirrorEnded { .. }
            | Fact::Acknowledged { .. }
            | Fact::VendorAdded { .. } => {}
            Fact::Designated { person, .. } | Fact::Deputised { person, .. } => {
                about.person = Some(self.in_office(person)?);
            }
            Fact::Withdrawn { person }
            | Fact::Trained { person, .. }
            | Fact::Appointed { person }
            | Fact::RecoveryAcknowledged { person } => about.person = Some(self.known(person)?),
            Fact::VendorAttested { vendor, .. } => {
                about.vendor = Some(self.known_vendor(vendor)?);
            }
            Fact::ContractAdded { contract, terms } => {
                about.vendor = Some(self.known_vendor(&terms.vendor)?);
                about.unit = Some(terms.unit.clone());
                if self
                    .contracts
                    .get(contract)
                    .is_some_and(|known| known.terms != *terms)
                {
                    return Err(RegisterFault::ContractTaken(contract.clone()));
                }
            }
            Fact::SupervisorApproved { contract, person } => {
                let terms = &self.known_contract(contract)?.terms;
                let supervisor = self.known(person)?;
                if supervisor.vendor.as_ref() != Some(&terms.vendor) {
                    return Err(RegisterFault::OtherVendor(person.clone()));
                }
                about.vendor = self.vendors.get(&terms.vendor);
                about.unit = Some(terms.unit.clone());
                about.person = Some(supervisor);
            }
            Fact::MonthsForgotten { through, .. } => about.matter = Matter::Months(*through),
            Fact::Request(step) => about = self.about_request(step)?,
            Fact::Hold(step) => about = self.about_hold(step)?,
            Fact::Waiver(step) => about = self.about_waiver(step)?,
            Fact::HandOver(step) => about.deed = Some(Deed::of(self, step, heard)?),
            Fact::Copy(fact) => about.person = self.holder_of(fact)?,
        }
        about.heard = self.told_of(fact, heard)?;
        Ok(about)
    }

    fn about_request<'a>(&'a self, fact: &'a RequestFact) -> Result<About<'a>, RegisterFault> {
        let matter = Matter::Request(fact, self.cases.get(fact.case()));
        if let RequestFact::Opened { application, .. } = fact {
            let found = application.recordings.len();
            if found > MOST_RECORDINGS {
                return Err(RegisterFault::TooManyRecordings { found });
            }
            return Ok(About {
                unit: Some(application.unit.clone()),
                matter,
                ..About::default()
            });
        }
        let case = self.known_case(fact.case())?;
        Ok(About {
            person: self.person(&case.opened().by),
            unit: Some(case.application().unit.clone()),
            matter,
            ..About::default()
        })
    }

    fn about_hold<'a>(&'a self, fact: &'a HoldFact) -> Result<About<'a>, RegisterFault> {
        let known = self.holds.get(fact.hold());
        let terms = match (fact, known) {
            (HoldFact::Requested { terms, .. }, _) => terms,
            (HoldFact::Decided { .. } | HoldFact::Released { .. }, Some(hold)) => hold.terms(),
            (HoldFact::Decided { hold, .. } | HoldFact::Released { hold }, None) => {
                return Err(RegisterFault::NoSuchHold(*hold));
            }
        };
        let case = self.known_case(terms.case)?;
        let recordings = &case.application().recordings;
        if let Some(recording) = terms.recordings.difference(recordings).next() {
            return Err(RegisterFault::OtherCase {
                recording: *recording,
                case: terms.case,
            });
        }
        Ok(About {
            person: known.and_then(|hold| self.person(&hold.requested().by)),
            unit: Some(case.application().unit.clone()),
            matter: Matter::Hold(fact, known),
            ..About::default()
        })
    }

    /// Of what only the configuration has the register knows nothing; number and unit are told with the fact.
    fn about_waiver<'a>(&'a self, fact: &'a WaiverFact) -> Result<About<'a>, RegisterFault> {
        let known = self.waivers.get(fact.decision());
        if known.is_some_and(|waiver| waiver.terms().number != *fact.number()) {
            return Err(RegisterFault::NoSuchWaiver(fact.decision()));
        }
        Ok(About {
            unit: Some(fact.unit().clone()),
            matter: Matter::Waiver(fact, known),
            ..About::default()
        })
    }

    fn known_case(&self, id: CaseId) -> Result<&Case, RegisterFault> {
        self.cases.get(id).ok_or(RegisterFault::NoSuchCase(id))
    }

    /// Judges the destruction of one recording before its day, by an approved request that is about it.
    ///
    /// `case`: what was named as the decision; `None` is something that is no request's id. `heard`: the recording, where there is such.
    ///
    /// # Errors
    /// [`RegisterFault`]: refused by a rule, or about a recording that is not there.
    pub fn judge_early_disposal(
        &self,
        petitioner: &Petitioner<'_>,
        case: Option<CaseId>,
        recording: RecordingId,
        heard: Option<&Heard>,
        now: Timestamp,
    ) -> Result<DisposalCause, RegisterFault> {
        let by = petitioner.person(self);
        let action = Action::DisposeOne;
        let standing = petitioner.standing(by, action);
        judge_standing(standing, action)?;
        let known = case.and_then(|id| Some((id, self.cases.get(id)?)));
        let Some((case, known)) = known else {
            return Err(Condition::CaseApproved.refusal().into());
        };
        let Some(heard) = heard else {
            self.judge_petitioner(standing, action, by, now)?;
            return Err(RegisterFault::NoSuchRecording(recording));
        };
        let about = About {
            person: self.person(&known.opened().by),
            unit: Some(known.application().unit.clone()),
            heard: vec![heard],
            matter: Matter::Destruction(known),
            ..About::default()
        };
        judge(standing, action, |condition| {
            self.meets(condition, standing, by, &about, now)
        })?;
        Ok(DisposalCause::Decided { case })
    }

    /// Judges whether every month of the trail up to this one may be decided to go.
    ///
    /// # Errors
    /// The first rule that refuses.
    pub fn judge_forgetting(
        &self,
        petitioner: &Petitioner<'_>,
        through: JstMonth,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let by = petitioner.person(self);
        let action = Action::ForgetMonths;
        let standing = petitioner.standing(by, action);
        let about = About {
            matter: Matter::Months(through),
            ..About::default()
        };
        judge(standing, action, |condition| {
            self.meets(condition, standing, by, &about, now)
        })
    }

    /// What was told of the recordings that a fact concerns.
    fn told_of<'a>(
        &self,
        fact: &Fact,
        heard: &'a [Heard],
    ) -> Result<Vec<&'a Heard>, RegisterFault> {
        let told = |recording| {
            let heard = heard.iter().find(|heard| heard.recording == recording);
            heard.ok_or(RegisterFault::NoSuchRecording(recording))
        };
        self.concerns(fact).into_iter().map(told).collect()
    }

    fn known(&self, id: &StaffId) -> Result<&Person, RegisterFault> {
        self.person(id)
            .ok_or_else(|| RegisterFault::NoSuchPerson(id.clone()))
    }

    /// A person who has the role still: nobody who lost it is designated or named a deputy instead.
    fn in_office(&self, id: &StaffId) -> Result<&Person, RegisterFault> {
        let person = self.known(id)?;
        match person.tenure {
            Tenure::InOffice => Ok(person),
            Tenure::Withdrawn => Err(RegisterFault::NotInOffice(id.clone())),
        }
    }

    pub(crate) fn known_vendor(&self, id: &VendorId) -> Result<&Vendor, RegisterFault> {
        self.vendors
            .get(id)
            .ok_or_else(|| RegisterFault::NoSuchVendor(id.clone()))
    }

    pub(crate) fn known_contract(&self, id: &ContractId) -> Result<&Contract, RegisterFault> {
        self.contracts
            .get(id)
            .ok_or_else(|| RegisterFault::NoSuchContract(id.clone()))
    }

    pub(crate) fn known_hand_over(&self, id: HandOverId) -> Result<&HandOver, RegisterFault> {
        self.hand_over(id).ok_or(RegisterFault::NoSuchHandOver(id))
    }

    /// Who holds the copy that a fact is about; a package that is still known is told by its hand-over.
    fn holder_of(&self, fact: &CopyFact) -> Result<Option<&Person>, RegisterFault> {
        let id = fact.copy();
        if matches!(fact, CopyFact::Begun { .. }) {
            return Ok(None);
        }
        let copy = self.copies.get(id).ok_or(RegisterFault::NoSuchCopy(id))?;
        if let CopyOf::HandOver(hand_over) = copy.of() {
            let known = self.known_hand_over(hand_over)?;
            if known.package().is_some_and(|package| package.copy == id) {
                return Err(RegisterFault::OfHandOver(id, hand_over));
            }
        }
        match copy.holder() {
            Holder::Person(person) => self.known(person).map(Some),
            Holder::Vendor(_) | Holder::Receiver(_) => Ok(None),
        }
    }

    /// Whether somebody new may have this id; whoever an earlier version took in keeps theirs.
    fn nameable(&self, id: &StaffId) -> Result<(), RegisterFault> {
        match self.person(id).is_none() && id.fits_a_number() {
            true => Err(RegisterFault::IdIsNumber),
            false => Ok(()),
        }
    }

    /// Whether a person can be taken in under this id; the same person twice is no fault.
    fn vacant(
        &self,
        id: &StaffId,
        role: Role,
        unit: &Label,
        vendor: Option<&VendorId>,
    ) -> Result<(), RegisterFault> {
        self.nameable(id)?;
        if let Some(vendor) = vendor {
            self.known_vendor(vendor)?;
        }
        if vendor.is_some() != (role == Role::VendorSupervisor) {
            return Err(RegisterFault::VendorOrNot(id.clone()));
        }
        let is_other = |known: &Person| {
            (known.role, &known.unit, known.vendor.as_ref()) != (role, unit, vendor)
        };
        match self.person(id) {
            Some(known) if is_other(known) => Err(RegisterFault::IdTaken(id.clone())),
            Some(_) | None => Ok(()),
        }
    }

    fn meets(
        &self,
        condition: Condition,
        standing: Standing,
        by: Option<&Person>,
        about: &About<'_>,
        now: Timestamp,
    ) -> bool {
        if let Some(deed) = &about.deed {
            return by.is_some_and(|by| deed.holds(condition, standing, by, now));
        }
        match condition {
            Condition::OwnUnit => {
                let unit = about
                    .unit
                    .as_ref()
                    .or(about.person.map(|person| &person.unit));
                let own = by.map(|person| &person.unit);
                unit.is_some()
                    && unit == own
                    && about.heard.iter().all(|heard| Some(&heard.unit) == own)
            }
            Condition::OtherPerson => {
                about.person.map(|person| &person.id) != by.map(|person| &person.id)
            }
            Condition::DeputyPeriod => by.is_some_and(|person| person.is_deputy(now)),
            Condition::RoleGrantable => about.role.is_some_and(|role| is_grantable(standing, role)),
            Condition::RoleEndable => about
                .person
                .is_some_and(|person| is_endable(standing, person.role)),
            // Nobody is known of whom root takes in.
            Condition::CityStaff => about.person.is_none_or(Person::may_decide),
            Condition::NotFounded => !self.is_founded(),
            Condition::Attested => about.vendor.is_some_and(|vendor| vendor.is_attested(now)),
            Condition::Designated => by.is_some_and(|person| person.designation(now).is_some()),
            Condition::Trained => by.is_some_and(|person| person.training(now).is_some()),
            Condition::Acknowledged => {
                by.is_some_and(|person| person.acknowledged >= Some(self.policy.version()))
            }
            Condition::Recorded => about.heard.iter().all(|heard| heard.is_recorded()),
            // What a case keeps is there for another case too, as long as it is kept.
            Condition::Retained => about.heard.iter().all(|heard| {
                heard.is_retained(now) || (heard.is_there() && self.holds.keep(heard.recording))
            }),
            Condition::Closed => about.heard.iter().all(|heard| heard.is_closed()),
            Condition::Arrived => about.heard.iter().all(|heard| heard.has_arrived()),
            Condition::Unheld => {
                let mut heard = about.heard.iter();
                heard.all(|heard| !self.holds.keep(heard.recording))
            }
            Condition::BasisGiven
            | Condition::Undecided
            | Condition::CaseApproved
            | Condition::HoldBounded
            | Condition::HoldApproved
            | Condition::ReviewBounded
            | Condition::TermOver => about.matter.meets(condition, &about.heard, now),
            Condition::WithinLimit => about.terms.is_some_and(PolicyTerms::is_within_limit),
            // Conditions of listening and of hand-overs.
            Condition::PurposeGiven
            | Condition::PurposeFits
            | Condition::ReasonGiven
            | Condition::Approved
            | Condition::ContractInForce
            | Condition::InScope
            | Condition::UseFree
            | Condition::OfRecipient
            | Condition::VendorClear
            | Condition::HolderClear
            | Condition::Decided
            | Condition::InOrder
            | Condition::Encrypted
            | Condition::CodeRight
            | Condition::NothingOutside => false,
        }
    }

    /// Judges an act that records no fact: giving another person a password, or looking at the register.
    ///
    /// `target`: whom it is about.
    ///
    /// # Errors
    /// [`RegisterFault`]: refused by a rule, or about somebody who is not there.
    pub fn judge(
        &self,
        petitioner: &Petitioner<'_>,
        action: Action,
        target: Option<&StaffId>,
        now: Timestamp,
    ) -> Result<(), RegisterFault> {
        let by = petitioner.person(self);
        let standing = petitioner.standing(by, action);
        judge_standing(standing, action)?;
        let person = match target.map(|id| self.known(id)).transpose() {
            Ok(person) => person,
            Err(fault) => {
                self.judge_petitioner(standing, action, by, now)?;
                return Err(fault);
            }
        };
        let about = About {
            person,
            role: person.map(|person| person.role),
            ..About::default()
        };
        judge(standing, action, |condition| {
            self.meets(condition, standing, by, &about, now)
        })?;
        Ok(())
    }
}
