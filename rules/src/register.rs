//! The register of people, contractors and contracts: a list of facts, from which it is computed what holds.
//!
//! A fact is asked for ([`Register::request`]), written to the trail, and only then recorded: [`RegisterPermit`] needs the receipt of its own entry.

mod about;
mod fact;
mod judging;
mod permit;
mod repeating;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    audit::Actor,
    case::{Case, Cases, MOST_RECORDINGS},
    copies::{Copies, CopyOf, OutsideCopy, destroy_by},
    fault::Fault,
    forgetting::{Forgetting, Forgotten},
    hand_over::{
        Destination, HandOver, HandOvers, MOST_ITEMS, MOST_STRETCHES, MaskBeyond, Package,
    },
    hold::{Hold, Holds},
    ids::{
        CaseId, ContractId, CopyId, DecisionId, HandOverId, HoldId, Label, RecordingId, StaffId,
        VendorId,
    },
    listen::Heard,
    mirror::{MirrorEnd, MirrorEnds},
    month::JstMonth,
    people::{Designation, Person, Recovery, Role, Tenure, Training},
    policy::Policy,
    refusal::Refusal,
    supervision::SignOffs,
    vendor::{Contract, Engagement, Vendor},
    waiver::Waivers,
};

pub use fact::{Fact, Recorded, TakenIn};
pub use permit::{RegisterGrant, RegisterPermit};

/// Everybody whom the rules know, and what is on record about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Register {
    people: BTreeMap<StaffId, Person>,
    vendors: BTreeMap<VendorId, Vendor>,
    contracts: BTreeMap<ContractId, Contract>,
    pub(crate) hand_overs: HandOvers,
    copies: Copies,
    pub(crate) sign_offs: SignOffs,
    policy: Policy,
    cases: Cases,
    holds: Holds,
    waivers: Waivers,
    forgotten: Forgotten,
    mirror_ends: MirrorEnds,
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

    /// Whether a copy lies on the medium on which it was given, and no more where it was written.
    ///
    /// `id`: of the copy.
    pub fn is_on_medium(&self, id: CopyId, copy: &OutsideCopy) -> bool {
        match copy.of() {
            CopyOf::Recording(_) => false,
            CopyOf::HandOver(hand_over) => self.hand_overs.gave(hand_over, id),
        }
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
        let to = &self.known_hand_over(id)?.wish().to;
        let contract = match to {
            Destination::Contract { contract, .. } => self.contracts.get(contract),
            Destination::Request { .. } => None,
        };
        let contract_end = contract.map(|contract| contract.terms.period.end());
        let expiries = heard
            .iter()
            .map(|heard| heard.kept_until(to.held_until(&self.holds, heard.recording)));
        Ok(destroy_by(now, expiries, contract_end))
    }

    /// The hand-overs whose passphrase waits to be shown; every other one is to be forgotten (K-23).
    pub fn kept_passphrases(&self, now: Timestamp) -> BTreeSet<HandOverId> {
        let is_retained = |package: &Package| {
            let copy = self.copies.get(package.copy);
            copy.is_some_and(|copy| now < copy.destroy_by())
        };
        let hand_overs = self.hand_overs.0.iter();
        hand_overs
            .filter(|(_, known)| known.unseen().is_some_and(is_retained))
            .map(|(id, _)| *id)
            .collect()
    }

    /// The copies outside the vault.
    pub fn copies(&self) -> &Copies {
        &self.copies
    }

    /// The requests, and what was decided about them.
    pub fn cases(&self) -> &Cases {
        &self.cases
    }

    /// The legal holds.
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// What was decided about the numbers' notices.
    pub fn waivers(&self) -> &Waivers {
        &self.waivers
    }

    /// What was decided last about the oldest months of the trail.
    pub fn forgotten(&self) -> Option<&Forgetting> {
        self.forgettings().last()
    }

    /// Every such decision, the oldest first.
    pub fn forgettings(&self) -> &[Forgetting] {
        self.forgotten.decisions()
    }

    /// Every decision by which nobody waits for a mirror of the keys any more, the oldest first.
    pub fn mirror_ends(&self) -> &[MirrorEnd] {
        self.mirror_ends.decisions()
    }

    /// The cases that a person sees: an auditor all of them, everybody else those of the own unit.
    pub fn cases_shown_to(&self, person: &StaffId) -> impl Iterator<Item = (CaseId, &Case)> {
        let cases = self.cases.iter();
        cases.filter(move |(_, case)| self.is_shown_to(case, person))
    }

    /// The holds that a person sees: those of the cases that the person sees.
    pub fn holds_shown_to(&self, person: &StaffId) -> impl Iterator<Item = (HoldId, &Hold)> {
        let is_shown = move |hold: &Hold| {
            let case = self.cases.get(hold.terms().case);
            case.is_some_and(|case| self.is_shown_to(case, person))
        };
        self.holds.iter().filter(move |(_, hold)| is_shown(hold))
    }

    fn is_shown_to(&self, case: &Case, person: &StaffId) -> bool {
        self.person(person).is_some_and(|person| {
            person.role == Role::Auditor || person.unit == case.application().unit
        })
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
                    vendor.attest(kind, until, at);
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
                person.take_office();
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
            Fact::MonthsForgotten {
                through,
                decision,
                text,
            } => self.forgotten.handle_decision(Forgetting {
                through,
                decision,
                text,
            }),
            Fact::MirrorEnded {
                mirror,
                decision,
                text,
            } => self.mirror_ends.handle_decision(at, mirror, decision, text),
            Fact::Request(fact) => self.cases.handle_fact(at, by, fact),
            Fact::Hold(fact) => self.holds.handle_fact(at, by, fact),
            Fact::Waiver(fact) => self.waivers.handle_fact(at, by, fact),
            Fact::Withdrawn { ref person } => self.withdraw(person),
            Fact::Designated { ref person, .. }
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

    /// Whatever somebody decided in this person's favour is over, each contract's approval too (K-11, K-12).
    fn withdraw(&mut self, person: &StaffId) {
        if let Some(person) = self.people.get_mut(person) {
            person.withdraw();
        }
        for contract in self.contracts.values_mut() {
            contract.supervisors.remove(person);
        }
    }

    /// Whoever came first keeps the id; whose role was withdrawn has it anew.
    fn add(&mut self, person: Person) {
        let known = self.people.entry(person.id.clone()).or_insert(person);
        known.tenure = Tenure::InOffice;
    }
}

impl Person {
    /// The person is a manager from now on.
    fn take_office(&mut self) {
        self.role = Role::Manager;
        self.tenure = Tenure::InOffice;
    }

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
            Fact::Trained { course, on, .. } => {
                let new = Training { course, on };
                if !self.trainings.contains(&new) {
                    self.trainings.push(new);
                }
            }
            Fact::Appointed { .. } => self.take_office(),
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
            // Facts about nobody, about more than the person, or about whoever is only now taken in.
            Fact::Founded { .. }
            | Fact::PersonAdded { .. }
            | Fact::Withdrawn { .. }
            | Fact::Acknowledged { .. }
            | Fact::Recovered { .. }
            | Fact::VendorAdded { .. }
            | Fact::VendorAttested { .. }
            | Fact::ContractAdded { .. }
            | Fact::SupervisorApproved { .. }
            | Fact::HandOver(_)
            | Fact::Copy(_)
            | Fact::Policy(_)
            | Fact::SupervisionSigned { .. }
            | Fact::MonthsForgotten { .. }
            | Fact::MirrorEnded { .. }
            | Fact::Request(_)
            | Fact::Hold(_)
            | Fact::Waiver(_) => {}
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
    /// It goes on.
    #[error("the month {0} is not over; sign its report off when it is")]
    MonthNotOver(JstMonth),
    /// Nobody has this id.
    #[error("there is no person {0}; `denwaban people list` shows who is registered")]
    NoSuchPerson(StaffId),
    /// The person's role was withdrawn.
    #[error(
        "{0} was withdrawn; appoint a manager anew with `denwaban people appoint`, and take others in anew with `denwaban people add`"
    )]
    NotInOffice(StaffId),
    /// No contractor has this id.
    #[error("there is no vendor {0}; take it in with `denwaban vendors add`")]
    NoSuchVendor(VendorId),
    /// No contract has this id.
    #[error("there is no contract {0}; enter it with `denwaban contracts add`")]
    NoSuchContract(ContractId),
    /// Somebody else has it.
    #[error("the id {0} is another person's; give each person an id of their own")]
    IdTaken(StaffId),
    /// A telephone number fits into it. It is not quoted.
    #[error(
        "the id has more than 8 digits in a row, as a telephone number has; ids stand in the trail in clear, so choose another"
    )]
    IdIsNumber,
    /// Another contract has it.
    #[error(
        "the contract {0} was entered with other terms; enter the change under an id of its own"
    )]
    ContractTaken(ContractId),
    /// A contractor has another key.
    #[error(
        "the vendor {0} was taken in with another recipient; take the new key in under an id of its own, and enter a contract for it"
    )]
    VendorTaken(VendorId),
    /// A contractor's supervisor has a contractor, and nobody else has.
    #[error("{0}: a vendor_supervisor is taken in with --vendor, and nobody else is")]
    VendorOrNot(StaffId),
    /// No request has this id.
    #[error("there is no request {0}; see `denwaban requests list`")]
    NoSuchCase(CaseId),
    /// No hold has this id.
    #[error("there is no hold {0}; see `denwaban holds list`")]
    NoSuchHold(HoldId),
    /// No decision has this id, or it is about another number.
    #[error("there is no decision {0} about this number; see `denwaban numbers list`")]
    NoSuchWaiver(DecisionId),
    /// The case is not about it.
    #[error("recording {recording} is none of case {case}; open a request that names it")]
    OtherCase {
        /// Which.
        recording: RecordingId,
        /// Of which it is none.
        case: CaseId,
    },
    /// No recording has this id.
    #[error("there is no recording {0}; see `denwaban recordings list`")]
    NoSuchRecording(RecordingId),
    /// More than one request may be about.
    #[error(
        "one request is about {MOST_RECORDINGS} recordings at most, found {found}; open several"
    )]
    TooManyRecordings {
        /// So many.
        found: usize,
    },
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
    /// A mask is of recordings that are not handed over, or of too many stretches.
    #[error(
        "masks are of recordings of the hand-over alone, {MOST_STRETCHES} stretches at most; see `denwaban handover list`"
    )]
    MaskOutside,
    /// A mask goes beyond its recording.
    #[error(transparent)]
    MaskBeyond(#[from] MaskBeyond),
    /// The manager and the administrator are two persons.
    #[error("the manager and the administrator are one person; name two persons")]
    OnePerson,
}

impl RegisterFault {
    /// The operator's.
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }

    /// Whether something was named that is not there.
    pub fn names_nothing(&self) -> bool {
        matches!(
            self,
            RegisterFault::NoSuchPerson(_)
                | RegisterFault::NoSuchVendor(_)
                | RegisterFault::NoSuchContract(_)
                | RegisterFault::NoSuchCase(_)
                | RegisterFault::NoSuchHold(_)
                | RegisterFault::NoSuchWaiver(_)
                | RegisterFault::NoSuchRecording(_)
                | RegisterFault::NoSuchHandOver(_)
                | RegisterFault::NoSuchCopy(_)
        )
    }
}
