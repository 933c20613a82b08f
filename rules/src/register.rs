//! The register of people, contractors and contracts: a list of facts, from which it is computed what holds.
//!
//! A fact is asked for ([`Register::request`]), written to the trail, and only then recorded: [`RegisterPermit`] needs the receipt of its own entry.

mod fact;
mod permit;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    access::{Action, Condition, Standing, is_grantable, judge, judge_standing},
    audit::Actor,
    copies::{Copies, CopyFact, CopyOf, Holder, destroy_by},
    credentials::Petitioner,
    fault::Fault,
    hand_over::{Deed, Destination, HandOver, HandOvers, MOST_ITEMS},
    ids::{ContractId, CopyId, HandOverId, Label, StaffId, VendorId},
    listen::Heard,
    month::JstMonth,
    people::{Designation, Person, Recovery, Role, Training},
    policy::{Policy, PolicyFact, PolicyTerms},
    refusal::Refusal,
    supervision::SignOffs,
    vendor::{Contract, Engagement, Vendor},
};

pub use fact::{Fact, Recorded, TakenIn};
pub use permit::{RegisterGrant, RegisterPermit};

/// Everybody whom the rules know, and what is on record about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Register {
    people: BTreeMap<StaffId, Person>,
    vendors: BTreeMap<VendorId, Vendor>,
    contracts: BTreeMap<ContractId, Contract>,
    hand_overs: HandOvers,
    copies: Copies,
    pub(crate) sign_offs: SignOffs,
    policy: Policy,
    history: History,
}

/// Whether anything was ever recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum History {
    /// Nobody was named yet.
    #[default]
    Blank,
    /// Somebody was, known or not.
    Begun,
}

impl Register {
    /// What holds after these facts, in the order in which they were recorded.
    pub fn of(recorded: impl IntoIterator<Item = Recorded>) -> Register {
        let mut register = Register::default();
        for recorded in recorded {
            register.handle_recorded(recorded);
        }
        register
    }

    /// Takes in one more fact.
    pub fn handle_recorded(&mut self, Recorded { at, by, fact }: Recorded) {
        self.handle_fact(at, &by, fact);
    }

    /// A register of which nothing is left, and of which nobody knows any more how it began: it gives no right, and nobody founds it anew.
    pub fn without_its_beginning() -> Register {
        Register {
            history: History::Begun,
            ..Register::default()
        }
    }

    /// Whether the first manager was named.
    pub fn is_founded(&self) -> bool {
        self.history == History::Begun
    }

    /// Finds a person.
    pub fn person(&self, id: &StaffId) -> Option<&Person> {
        self.people.get(id)
    }

    /// Everybody, by id.
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values()
    }

    /// The contractors, by id.
    pub fn vendors(&self) -> &BTreeMap<VendorId, Vendor> {
        &self.vendors
    }

    /// The policy: the version in force, those before it, and the measures.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The contracts, by id.
    pub fn contracts(&self) -> &BTreeMap<ContractId, Contract> {
        &self.contracts
    }

    /// Finds a hand-over.
    pub fn hand_over(&self, id: HandOverId) -> Option<&HandOver> {
        self.hand_overs.0.get(&id)
    }

    /// The hand-overs, by id.
    pub fn hand_overs(&self) -> &BTreeMap<HandOverId, HandOver> {
        &self.hand_overs.0
    }

    /// When a package of this hand-over, begun now, must be gone (K-24).
    ///
    /// `heard`: its recordings, as the office knows them.
    ///
    /// # Errors
    /// [`RegisterFault::NoSuchHandOver`].
    pub fn package_destroy_by(
        &self,
        id: HandOverId,
        heard: &[Heard],
        now: Timestamp,
    ) -> Result<Timestamp, RegisterFault> {
        let contract = match &self.known_hand_over(id)?.wish().to {
            Destination::Contract { contract, .. } => self.contracts.get(contract),
            Destination::Request { .. } => None,
        };
        let contract_end = contract.map(|contract| contract.terms.period.end());
        let expiries = heard.iter().map(|heard| heard.expires_at);
        Ok(destroy_by(now, expiries, contract_end))
    }

    /// The copies outside the vault.
    pub fn copies(&self) -> &Copies {
        &self.copies
    }

    pub(crate) fn engagement<'a>(&'a self, supervisor: &'a Person) -> Engagement<'a> {
        Engagement {
            contracts: &self.contracts,
            supervisor: &supervisor.id,
            vendor: supervisor.vendor.as_ref(),
        }
    }

    /// Takes a fact in. One about somebody who is not there changes nothing, which denies.
    fn handle_fact(&mut self, at: Timestamp, by: &Actor, fact: Fact) {
        self.history = History::Begun;
        self.sign_offs.begin(at);
        match fact {
            Fact::Founded {
                manager,
                administrator,
                unit,
                taken_in,
            } => self.found(manager, administrator, &unit, taken_in),
            Fact::PersonAdded {
                person,
                role,
                unit,
                vendor,
            } => self.add(Person::new(person, role, unit, vendor)),
            Fact::VendorAdded { vendor, recipient } => {
                let attestations = BTreeMap::new();
                let new = Vendor {
                    recipient,
                    attestations,
                };
                self.vendors.insert(vendor, new);
            }
            Fact::VendorAttested {
                vendor,
                kind,
                until,
            } => {
                if let Some(vendor) = self.vendors.get_mut(&vendor) {
                    vendor.attestations.insert(kind, until);
                }
            }
            Fact::ContractAdded { contract, terms } => {
                let supervisors = BTreeSet::new();
                self.contracts
                    .insert(contract, Contract { terms, supervisors });
            }
            Fact::SupervisorApproved { contract, person } => {
                if let Some(contract) = self.contracts.get_mut(&contract) {
                    contract.supervisors.insert(person);
                }
            }
            Fact::Recovered { person, unit } => {
                let known = self.people.entry(person.clone());
                let person =
                    known.or_insert_with(|| Person::new(person, Role::Manager, unit.clone(), None));
                person.role = Role::Manager;
                person.unit = unit;
                person.recovery = Some(Recovery::Open { at });
            }
            Fact::Acknowledged { version } => {
                if let Some(person) = by.person().and_then(|id| self.people.get_mut(id)) {
                    person.acknowledged = person.acknowledged.max(Some(version));
                }
            }
            Fact::HandOver(step) => {
                let unit = by.person().and_then(|id| self.people.get(id));
                let unit = unit.map(|person| &person.unit);
                self.hand_overs
                    .handle_fact(at, by, unit, step, &mut self.copies);
            }
            Fact::Copy(fact) => self.copies.handle_fact(at, by.person(), &fact),
            Fact::Policy(step) => self.policy.handle_fact(at, by.person(), step),
            Fact::SupervisionSigned { month, report } => {
                self.sign_offs.sign(month, by.person().cloned(), report);
            }
            Fact::Designated { ref person, .. }
            | Fact::Withdrawn { ref person }
            | Fact::Trained { ref person, .. }
            | Fact::Appointed { ref person }
            | Fact::Deputised { ref person, .. }
            | Fact::RecoveryAcknowledged { ref person } => {
                if let Some(person) = self.people.get_mut(person) {
                    person.handle_fact(by, fact);
                }
            }
        }
    }

    fn found(
        &mut self,
        manager: StaffId,
        administrator: StaffId,
        unit: &Label,
        taken_in: Vec<TakenIn>,
    ) {
        self.add(Person::new(manager, Role::Manager, unit.clone(), None));
        let role = Role::Administrator;
        self.add(Person::new(administrator, role, unit.clone(), None));
        for taken in taken_in {
            self.add(taken.person());
        }
    }

    /// Whoever came first keeps the id.
    fn add(&mut self, person: Person) {
        self.people.entry(person.id.clone()).or_insert(person);
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
    /// `heard`: those recordings, as the office knows them.
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
        let about = self.about(fact, heard)?;
        judge(standing, fact.action(), |condition| {
            self.holds(condition, standing, by, &about, now)
        })?;
        Ok(())
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
        let standing = Standing::Role(person.role);
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
            Fact::Policy(PolicyFact::Applied { version, terms, .. }) => {
                if *version != self.policy.version() + 1 {
                    return Err(RegisterFault::OtherVersion(*version));
                }
                about.terms = Some(terms);
            }
            Fact::Policy(PolicyFact::MeasureDecided { basis, .. }) => {
                if !self.policy.has_basis(basis) {
                    return Err(RegisterFault::NoSuchBasis(basis.clone()));
                }
            }
            Fact::Founded { .. }
            | Fact::SupervisionSigned { .. }
            | Fact::Recovered { .. }
            | Fact::Acknowledged { .. }
            | Fact::VendorAdded { .. } => {}
            Fact::Designated { person, .. }
            | Fact::Withdrawn { person }
            | Fact::Trained { person, .. }
            | Fact::Appointed { person }
            | Fact::Deputised { person, .. }
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
            Fact::HandOver(step) => about.deed = Some(Deed::of(self, step, heard)?),
            Fact::Copy(fact) => about.person = self.holder_of(fact)?,
        }
        Ok(about)
    }

    fn known(&self, id: &StaffId) -> Result<&Person, RegisterFault> {
        self.person(id)
            .ok_or_else(|| RegisterFault::NoSuchPerson(id.clone()))
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

    /// Whether a person can be taken in under this id; the same person twice is no fault.
    fn vacant(
        &self,
        id: &StaffId,
        role: Role,
        unit: &Label,
        vendor: Option<&VendorId>,
    ) -> Result<(), RegisterFault> {
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

    fn holds(
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
                unit.is_some() && unit == by.map(|person| &person.unit)
            }
            Condition::OtherPerson => {
                about.person.map(|person| &person.id) != by.map(|person| &person.id)
            }
            Condition::DeputyPeriod => by.is_some_and(|person| person.is_deputy(now)),
            Condition::RoleGrantable => about.role.is_some_and(|role| is_grantable(standing, role)),
            Condition::NotFounded => !self.is_founded(),
            Condition::Attested => about.vendor.is_some_and(|vendor| vendor.is_attested(now)),
            Condition::WithinLimit => about.terms.is_some_and(PolicyTerms::is_within_limit),
            // Conditions of listening and of hand-overs.
            Condition::PurposeGiven
            | Condition::PurposeFits
            | Condition::ReasonGiven
            | Condition::Designated
            | Condition::Trained
            | Condition::Acknowledged
            | Condition::Approved
            | Condition::ContractInForce
            | Condition::InScope
            | Condition::Recorded
            | Condition::Retained
            | Condition::Closed
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
        let person = target.map(|id| self.known(id)).transpose()?;
        let about = About {
            person,
            role: person.map(|person| person.role),
            ..About::default()
        };
        judge(standing, action, |condition| {
            self.holds(condition, standing, by, &about, now)
        })?;
        Ok(())
    }
}

/// What an act of the register is about, as its conditions ask.
#[derive(Default)]
struct About<'a> {
    person: Option<&'a Person>,
    role: Option<Role>,
    unit: Option<Label>,
    vendor: Option<&'a Vendor>,
    deed: Option<Deed<'a>>,
    terms: Option<&'a PolicyTerms>,
}

impl Person {
    /// Takes in a fact about this person.
    fn handle_fact(&mut self, by: &Actor, fact: Fact) {
        match fact {
            Fact::Designated { period, .. } => {
                let new = Designation {
                    period,
                    by: by.person().cloned(),
                };
                if !self.designations.contains(&new) {
                    self.designations.push(new);
                }
            }
            Fact::Withdrawn { .. } => self.designations.clear(),
            Fact::Trained { course, on, .. } => {
                let new = Training { course, on };
                if !self.trainings.contains(&new) {
                    self.trainings.push(new);
                }
            }
            Fact::Appointed { .. } => self.role = Role::Manager,
            Fact::Deputised { period, .. } => {
                if !self.deputyships.contains(&period) {
                    self.deputyships.push(period);
                }
            }
            Fact::RecoveryAcknowledged { .. } => {
                if self.recovery.is_some() {
                    self.recovery = Some(Recovery::Acknowledged);
                }
            }
            // Facts about nobody, or about whoever is only now taken in.
            Fact::Founded { .. }
            | Fact::PersonAdded { .. }
            | Fact::Acknowledged { .. }
            | Fact::Recovered { .. }
            | Fact::VendorAdded { .. }
            | Fact::VendorAttested { .. }
            | Fact::ContractAdded { .. }
            | Fact::SupervisorApproved { .. }
            | Fact::HandOver(_)
            | Fact::Copy(_)
            | Fact::Policy(_)
            | Fact::SupervisionSigned { .. } => {}
        }
    }
}

/// Why a fact is not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterFault {
    /// A rule forbids it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another version of the policy came between.
    #[error(
        "version {0} of the policy does not follow the one in force; look at it with `denwaban policy show` and apply again"
    )]
    OtherVersion(u32),
    /// The policy names no such basis.
    #[error("the policy names no basis {0}; see `denwaban policy show`")]
    NoSuchBasis(Label),
    /// It goes on.
    #[error("the month {0} is not over; sign its report off when it is")]
    MonthNotOver(JstMonth),
    /// Nobody has this id.
    #[error("there is no person {0}; `denwaban people list` shows who is registered")]
    NoSuchPerson(StaffId),
    /// No contractor has this id.
    #[error("there is no vendor {0}; take it in with `denwaban vendors add`")]
    NoSuchVendor(VendorId),
    /// No contract has this id.
    #[error("there is no contract {0}; enter it with `denwaban contracts add`")]
    NoSuchContract(ContractId),
    /// Somebody else has it.
    #[error("the id {0} is another person's; give each person an id of their own")]
    IdTaken(StaffId),
    /// Another contract has it.
    #[error(
        "the contract {0} was entered with other terms; enter the change under an id of its own"
    )]
    ContractTaken(ContractId),
    /// A contractor's supervisor has a contractor, and nobody else has.
    #[error("{0}: a vendor_supervisor is taken in with --vendor, and nobody else is")]
    VendorOrNot(StaffId),
    /// The person works for another contractor.
    #[error("{0} does not work for the contract's vendor; approve a supervisor of that vendor")]
    OtherVendor(StaffId),
    /// No hand-over has this id.
    #[error("there is no hand-over {0}; `denwaban handover list` shows what is known")]
    NoSuchHandOver(HandOverId),
    /// No copy has this id.
    #[error("there is no copy {0}; `denwaban copies list` shows what is known")]
    NoSuchCopy(CopyId),
    /// The copy is the package of a hand-over.
    #[error(
        "the copy {0} is the package of hand-over {1}; record it with `denwaban handover destroyed`"
    )]
    OfHandOver(CopyId, HandOverId),
    /// A hand-over is of some recordings, and of few enough for one entry.
    #[error(
        "a hand-over is of 1 to {MOST_ITEMS} recordings, found {0}; name them with --recording, or hand over in parts"
    )]
    ItemCount(usize),
    /// The manager and the administrator are two persons.
    #[error("the manager and the administrator are one person; name two persons")]
    OnePerson,
}

impl RegisterFault {
    /// The operator's.
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}
