//! What a step of a hand-over demands, and whether it holds.

use jiff::Timestamp;

use super::{Destination, HandOver, HandOverFact, HandOverState, PackageForm, Wished};
use crate::{
    access::{Action, Condition, Standing, purpose_fits},
    case::Verdict,
    copies::Holder,
    listen::Heard,
    people::Person,
    register::{Register, RegisterFault},
    vendor::{Contract, Vendor},
};

/// A step that somebody wants to take, with everything that its conditions ask.
pub(crate) struct Deed<'a> {
    register: &'a Register,
    fact: &'a HandOverFact,
    wish: &'a Wished,
    /// `None` for the request, which makes it.
    known: Option<&'a HandOver>,
    contract: Option<(&'a Contract, &'a Vendor)>,
    heard: &'a [Heard],
}

impl<'a> Deed<'a> {
    /// Looks up what the step is about.
    ///
    /// `heard`: the recordings, as the office knows them.
    ///
    /// # Errors
    /// [`RegisterFault`] where a hand-over, vendor or contract is not there, or the request names no recordings or too many.
    pub(crate) fn of(
        register: &'a Register,
        fact: &'a HandOverFact,
        heard: &'a [Heard],
    ) -> Result<Deed<'a>, RegisterFault> {
        let (wish, known) = match fact {
            HandOverFact::Requested { wish, .. } => (wish, None),
            _ => {
                let known = register.known_hand_over(fact.hand_over())?;
                (&known.wish, Some(known))
            }
        };
        if wish.items.is_empty() || wish.items.len() > super::MOST_ITEMS {
            return Err(RegisterFault::ItemCount(wish.items.len()));
        }
        let contract = match &wish.to {
            Destination::Contract { vendor, contract } => Some((
                register.known_contract(contract)?,
                register.known_vendor(vendor)?,
            )),
            Destination::Request { .. } => None,
        };
        Ok(Deed {
            register,
            fact,
            wish,
            known,
            contract,
            heard,
        })
    }

    /// Whether a condition holds for whoever takes the step.
    pub(crate) fn holds(
        &self,
        condition: Condition,
        standing: Standing,
        by: &Person,
        now: Timestamp,
    ) -> bool {
        match condition {
            Condition::Designated => by.designation(now).is_some(),
            Condition::Trained => by.training(now).is_some(),
            Condition::Acknowledged => by.acknowledged >= Some(self.register.policy().version()),
            Condition::DeputyPeriod => by.is_deputy(now),
            Condition::OwnUnit => {
                self.known.is_none_or(|known| known.unit == by.unit)
                    && self.heard.iter().all(|heard| heard.unit == by.unit)
            }
            Condition::OtherPerson => self.is_another(by),
            Condition::PurposeFits => self.purpose_fits(standing),
            Condition::CaseApproved => self.is_permitted_by_case(),
            Condition::UseFree => self.is_use_free(),
            Condition::OfRecipient => self.is_of_recipient(),
            Condition::ContractInForce => {
                self.contract_holds(|contract, _| contract.terms.period.contains(now))
            }
            Condition::Attested => self.contract_holds(|_, vendor| vendor.is_attested(now)),
            Condition::VendorClear => self.vendor_is_clear(now),
            Condition::HolderClear => {
                let own = Holder::Person(by.id.clone());
                !self.register.copies().is_overdue(&own, now)
            }
            Condition::InScope => self.is_in_scope(),
            Condition::Recorded => self.all(Heard::is_recorded),
            Condition::Retained => self.is_retained(now),
            Condition::Closed => self.all(Heard::is_closed),
            Condition::Arrived => self.all(Heard::has_arrived),
            Condition::Decided => !matches!(
                self.state(),
                Some(HandOverState::Requested | HandOverState::Rejected) | None
            ),
            Condition::InOrder => self
                .known
                .is_some_and(|known| known.awaits(self.fact, Some(&by.id))),
            Condition::Encrypted => self.is_encrypted(),
            Condition::CodeRight => self.is_code_right(),
            Condition::NothingOutside => !self.is_outside(),
            // A wish has a purpose.
            Condition::PurposeGiven => true,
            // Conditions of other acts.
            Condition::ReasonGiven
            | Condition::WithinLimit
            | Condition::Approved
            | Condition::RoleGrantable
            | Condition::RoleEndable
            | Condition::CityStaff
            | Condition::NotFounded
            | Condition::BasisGiven
            | Condition::Undecided
            | Condition::HoldBounded
            | Condition::HoldApproved
            | Condition::Unheld
            | Condition::ReviewBounded
            | Condition::TermOver => false,
        }
    }

    /// Checks what of the step no condition says, for whoever may take it.
    ///
    /// # Errors
    /// [`RegisterFault::MaskOutside`]: a mask names other recordings.
    pub(crate) fn check(&self) -> Result<(), RegisterFault> {
        match self.fact {
            HandOverFact::Decided { masks, .. } if !masks.fit(&self.wish.items) => {
                Err(RegisterFault::MaskOutside)
            }
            _ => Ok(()),
        }
    }

    fn state(&self) -> Option<&HandOverState> {
        self.known.map(HandOver::state)
    }

    fn all(&self, holds: impl Fn(&Heard) -> bool) -> bool {
        self.heard.iter().all(holds)
    }

    /// Past its instant a recording is gone for everybody, whether or not the sweep ran (K-22), and so is a package.
    fn is_retained(&self, now: Timestamp) -> bool {
        let package = self.known.and_then(HandOver::package);
        let copy = package.and_then(|package| self.register.copies().get(package.copy));
        copy.is_none_or(|copy| now < copy.destroy_by())
            && self.all(|heard| {
                let holds = self.register.holds();
                heard.is_kept(self.wish.to.held_until(holds, heard.recording), now)
            })
    }

    /// Nothing of it is suspended, but by the request under which it is handed over (利用停止).
    fn is_use_free(&self) -> bool {
        let (cases, own) = (self.register.cases(), self.wish.to.case());
        let mut items = self.wish.items.iter();
        items.all(|item| cases.leave_free(*item, own))
    }

    /// Whoever decides did not ask; whoever sees the passphrase did not package.
    fn is_another(&self, by: &Person) -> bool {
        match (self.fact, self.known) {
            (HandOverFact::PassphraseShown { .. }, Some(known)) => {
                known.package().is_none_or(|package| package.by != by.id)
            }
            (_, Some(known)) => known.requested_by != by.id,
            (_, None) => true,
        }
    }

    /// A contractor gets what its contract is for; what needs a case goes to whom the request names, and nothing else goes there.
    fn purpose_fits(&self, standing: Standing) -> bool {
        let Wished { to, purpose, .. } = self.wish;
        self.register.policy().knows(*purpose)
            && purpose_fits(standing, Action::RequestHandOver, *purpose)
            && purpose.needs_case() == to.case().is_some()
    }

    /// The request is approved, of the purpose's kind, and about each recording (K-09).
    fn is_permitted_by_case(&self) -> bool {
        let Wished {
            to, purpose, items, ..
        } = self.wish;
        let cases = self.register.cases();
        match to.case() {
            None => !purpose.needs_case(),
            Some(case) => items.iter().all(|item| cases.permit(case, *item, *purpose)),
        }
    }

    fn is_of_recipient(&self) -> bool {
        match (&self.wish.to, self.contract) {
            (Destination::Contract { vendor, .. }, Some((contract, _))) => {
                contract.terms.vendor == *vendor
            }
            (Destination::Contract { .. }, None) => false,
            (Destination::Request { .. }, _) => true,
        }
    }

    /// What is asked of a contract holds where none is needed, and where the answer is no anyway.
    fn contract_holds(&self, holds: impl Fn(&Contract, &Vendor) -> bool) -> bool {
        let contract = self.contract;
        self.is_rejection() || contract.is_none_or(|(contract, vendor)| holds(contract, vendor))
    }

    fn is_rejection(&self) -> bool {
        matches!(
            self.fact,
            HandOverFact::Decided {
                verdict: Verdict::Rejected,
                ..
            }
        )
    }

    fn vendor_is_clear(&self, now: Timestamp) -> bool {
        let (copies, to) = (self.register.copies(), &self.wish.to);
        self.is_rejection() || !self.register.hand_overs.is_overdue(to, copies, now)
    }

    /// Exactly the wished recordings were looked up, and the contract covers each.
    fn is_in_scope(&self) -> bool {
        let is_whole = self.heard.len() == self.wish.items.len()
            && self.all(|heard| self.wish.items.contains(&heard.recording));
        is_whole
            && self.contract_holds(|contract, _| {
                let terms = &contract.terms;
                terms.purposes.contains(&self.wish.purpose)
                    && self.all(|heard| {
                        let called = heard.called.as_ref();
                        terms.unit == heard.unit
                            && called.is_some_and(|number| terms.numbers.contains(number))
                    })
            })
    }

    /// What leaves is encrypted to a key, or under a passphrase (K-19).
    fn is_encrypted(&self) -> bool {
        match (self.fact, &self.wish.to) {
            (
                HandOverFact::PackageBegun {
                    form: PackageForm::Age,
                    ..
                },
                Destination::Request { recipient, .. },
            ) => recipient.is_some(),
            _ => true,
        }
    }

    fn is_code_right(&self) -> bool {
        match (self.fact, self.known.and_then(HandOver::package)) {
            (HandOverFact::Received { code, .. }, Some(package)) => package.contents.code == *code,
            _ => false,
        }
    }

    fn is_outside(&self) -> bool {
        let copies = self.register.copies();
        self.known.is_some() && copies.is_outside(self.fact.hand_over())
    }
}
