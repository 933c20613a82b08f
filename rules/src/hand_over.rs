//! 収受: hand-overs of recordings, from the request to the certificate that nothing is left outside (要領 5-3; K-19, K-20, K-24).
//!
//! A hand-over is a state machine that only recorded steps move. What each step demands is [`deed`]; what lets the bytes of a package leave is
//! [`HandOverPermit`].

mod deed;
mod fact;
mod mask;
mod permit;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    audit::Actor,
    case::Verdict,
    copies::{Copies, CopyOf, Destruction, Holder, OutsideCopy},
    ids::{CopyId, HandOverId, Label, StaffId},
};

pub(crate) use deed::Deed;
pub use fact::{Contents, Destination, HandOverFact, PackageForm, Wished};
pub use mask::{MOST_STRETCHES, MaskBeyond, Masks, Side, Stretch, StretchFault};
pub use permit::{HandOverPermit, ItemPermit};

/// Items of one hand-over, so that its entry stays a line that can be read.
pub const MOST_ITEMS: usize = 500;

/// Where a hand-over stands (K-20).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandOverState {
    /// REQUESTED.
    Requested,
    /// DECIDED, and the decision is no.
    Rejected,
    /// DECIDED, and the decision is yes.
    Decided,
    /// A package leaves, or broke off on the way.
    Packaging(Begun),
    /// PACKAGED.
    Packaged(Package),
    /// `HANDED_OVER`.
    HandedOver(Package),
    /// RECEIVED.
    Received(Package),
    /// RETURNED.
    Returned(Package),
    /// DESTROYED, as a certificate says.
    Destroyed,
    /// CLOSED.
    Closed,
}

impl HandOverState {
    /// As lists show it.
    pub fn code(&self) -> &'static str {
        match self {
            HandOverState::Requested => "REQUESTED",
            HandOverState::Rejected => "REJECTED",
            HandOverState::Decided => "DECIDED",
            HandOverState::Packaging(_) => "PACKAGING",
            HandOverState::Packaged(_) => "PACKAGED",
            HandOverState::HandedOver(_) => "HANDED_OVER",
            HandOverState::Received(_) => "RECEIVED",
            HandOverState::Returned(_) => "RETURNED",
            HandOverState::Destroyed => "DESTROYED",
            HandOverState::Closed => "CLOSED",
        }
    }
}

/// A package that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The copy that it is.
    pub copy: CopyId,
    /// How it is encrypted.
    pub form: PackageForm,
    /// Who packages.
    pub by: StaffId,
}

/// A whole package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The copy that it is.
    pub copy: CopyId,
    /// Who packaged.
    pub by: StaffId,
    /// How it opens.
    pub lock: PackageLock,
    /// What it is.
    pub contents: Contents,
}

/// How a package opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageLock {
    /// By the receiver's private key.
    Key,
    /// By a passphrase that nobody has seen.
    PassphraseKept,
    /// By a passphrase that one other person has seen.
    PassphraseShown,
}

/// A step as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Option<StaffId>,
    /// What.
    pub fact: HandOverFact,
}

/// One hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOver {
    wish: Wished,
    unit: Label,
    requested_by: StaffId,
    state: HandOverState,
    steps: Vec<Step>,
}

impl HandOver {
    /// What was asked for.
    pub fn wish(&self) -> &Wished {
        &self.wish
    }

    /// 管理所管課 that hands over.
    pub fn unit(&self) -> &Label {
        &self.unit
    }

    /// Who asked for it.
    pub fn requested_by(&self) -> &StaffId {
        &self.requested_by
    }

    /// Where it stands.
    pub fn state(&self) -> &HandOverState {
        &self.state
    }

    /// How it came there, for the 収受簿.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What its package silences, as it was decided.
    pub fn masks(&self) -> Masks {
        let decided = self.steps.iter().find_map(|step| match &step.fact {
            HandOverFact::Decided { masks, .. } => Some(masks.clone()),
            _ => None,
        });
        decided.unwrap_or_default()
    }

    /// Whether this step is the next one; what has been done is not done again.
    fn awaits(&self, fact: &HandOverFact, by: Option<&StaffId>) -> bool {
        match &self.state {
            HandOverState::Requested => {
                matches!(
                    fact,
                    HandOverFact::Decided { .. } | HandOverFact::Closed { .. }
                )
            }
            HandOverState::Rejected | HandOverState::Destroyed => {
                matches!(fact, HandOverFact::Closed { .. })
            }
            HandOverState::Decided => matches!(
                fact,
                HandOverFact::PackageBegun { .. } | HandOverFact::Closed { .. }
            ),
            HandOverState::Packaging(begun) => match fact {
                // Closed once its copy is certified, whoever packages no more.
                HandOverFact::PackageBegun { .. }
                | HandOverFact::Destroyed { .. }
                | HandOverFact::Closed { .. } => true,
                // Whoever began it ends it: nobody else may be kept from its passphrase.
                HandOverFact::Packaged { copy, .. } => begun.copy == *copy && by == Some(&begun.by),
                HandOverFact::PackageAbandoned { copy, .. } => begun.copy == *copy,
                _ => false,
            },
            HandOverState::Packaged(package) => match fact {
                HandOverFact::PassphraseShown { .. } => package.lock == PackageLock::PassphraseKept,
                HandOverFact::Given { .. } | HandOverFact::Destroyed { .. } => true,
                HandOverFact::PackageAbandoned { copy, .. } => package.copy == *copy,
                _ => false,
            },
            HandOverState::HandedOver(package) => match fact {
                HandOverFact::PassphraseShown { .. } => package.lock == PackageLock::PassphraseKept,
                HandOverFact::Received { .. }
                | HandOverFact::Returned { .. }
                | HandOverFact::Destroyed { .. } => true,
                _ => false,
            },
            HandOverState::Received(_) => matches!(
                fact,
                HandOverFact::Returned { .. } | HandOverFact::Destroyed { .. }
            ),
            HandOverState::Returned(_) => matches!(fact, HandOverFact::Destroyed { .. }),
            HandOverState::Closed => false,
        }
    }

    /// The package, from its last byte to its certificate.
    pub fn package(&self) -> Option<&Package> {
        match &self.state {
            HandOverState::Packaged(package)
            | HandOverState::HandedOver(package)
            | HandOverState::Received(package)
            | HandOverState::Returned(package) => Some(package),
            HandOverState::Requested
            | HandOverState::Rejected
            | HandOverState::Decided
            | HandOverState::Packaging(_)
            | HandOverState::Destroyed
            | HandOverState::Closed => None,
        }
    }

    /// The copy that is outside, from a package's beginning to its certificate.
    pub fn copy(&self) -> Option<CopyId> {
        match &self.state {
            HandOverState::Packaging(begun) => Some(begun.copy),
            _ => self.package().map(|package| package.copy),
        }
    }

    /// Whether this copy was given to the receiver: it lies on the medium.
    fn gave(&self, copy: CopyId) -> bool {
        let mut newest = self.steps.iter().rev().map(|step| &step.fact);
        let is_given = newest.any(|fact| matches!(fact, HandOverFact::Given { .. }));
        // Whatever is begun before it is given is its package, and nothing is begun behind it.
        let begun = newest.find_map(|fact| match fact {
            HandOverFact::PackageBegun { copy, .. } => Some(*copy),
            _ => None,
        });
        is_given && begun == Some(copy)
    }

    /// The package, while somebody may still see the passphrase that nobody has seen.
    pub(crate) fn unseen(&self) -> Option<&Package> {
        match &self.state {
            HandOverState::Packaged(package) | HandOverState::HandedOver(package) => {
                Some(package).filter(|package| package.lock == PackageLock::PassphraseKept)
            }
            HandOverState::Requested
            | HandOverState::Rejected
            | HandOverState::Decided
            | HandOverState::Packaging(_)
            | HandOverState::Received(_)
            | HandOverState::Returned(_)
            | HandOverState::Destroyed
            | HandOverState::Closed => None,
        }
    }

    /// Takes a step; one that is not the next changes nothing.
    fn handle_fact(&mut self, step: Step, copies: &mut Copies) {
        if !self.awaits(&step.fact, step.by.as_ref()) {
            return;
        }
        self.state = self.next(&step, copies);
        self.steps.push(step);
    }

    fn next(&self, step: &Step, copies: &mut Copies) -> HandOverState {
        let (package, outside) = (self.package(), self.copy());
        match (&step.fact, &step.by, package) {
            (HandOverFact::Decided { verdict, .. }, _, _) => match verdict {
                Verdict::Approved => HandOverState::Decided,
                Verdict::Rejected => HandOverState::Rejected,
            },
            (
                HandOverFact::PackageBegun {
                    hand_over,
                    copy,
                    form,
                    destroy_by,
                    ..
                },
                Some(by),
                _,
            ) => {
                let (of, holder) = (CopyOf::HandOver(*hand_over), Holder::Person(by.clone()));
                copies.begin(*copy, OutsideCopy::begun(of, holder, step.at, *destroy_by));
                HandOverState::Packaging(Begun {
                    copy: *copy,
                    form: *form,
                    by: by.clone(),
                })
            }
            (HandOverFact::PackageAbandoned { copy, .. }, _, _) => {
                copies.destroy(*copy, step.at, Destruction::Removed);
                HandOverState::Decided
            }
            (HandOverFact::Packaged { contents, .. }, _, _) => self.packaged(contents, copies),
            (HandOverFact::PassphraseShown { .. }, _, Some(package)) => {
                let shown = Package {
                    lock: PackageLock::PassphraseShown,
                    ..package.clone()
                };
                match self.state {
                    HandOverState::HandedOver(_) => HandOverState::HandedOver(shown),
                    _ => HandOverState::Packaged(shown),
                }
            }
            (HandOverFact::Given { hand_over, .. }, _, Some(package)) => {
                copies.hand_to(package.copy, self.receiver(*hand_over));
                HandOverState::HandedOver(package.clone())
            }
            (HandOverFact::Received { .. }, _, Some(package)) => {
                HandOverState::Received(package.clone())
            }
            (HandOverFact::Returned { .. }, Some(by), Some(package)) => {
                copies.hand_to(package.copy, Holder::Person(by.clone()));
                HandOverState::Returned(package.clone())
            }
            (HandOverFact::Destroyed { certificate, .. }, _, _) => {
                let certificate = *certificate;
                let how = Destruction::Certified { certificate };
                if let Some(copy) = outside {
                    copies.destroy(copy, step.at, how);
                }
                HandOverState::Destroyed
            }
            (HandOverFact::Closed { .. }, _, _) => HandOverState::Closed,
            // The request made it what it is; the rest is not awaited without a person or a package.
            (
                HandOverFact::Requested { .. }
                | HandOverFact::PackageBegun { .. }
                | HandOverFact::PassphraseShown { .. }
                | HandOverFact::Given { .. }
                | HandOverFact::Received { .. }
                | HandOverFact::Returned { .. },
                _,
                _,
            ) => self.state.clone(),
        }
    }

    fn packaged(&self, contents: &Contents, copies: &mut Copies) -> HandOverState {
        let HandOverState::Packaging(begun) = &self.state else {
            return self.state.clone();
        };
        copies.finish(begun.copy, contents.sha256, contents.bytes);
        HandOverState::Packaged(Package {
            copy: begun.copy,
            by: begun.by.clone(),
            lock: match begun.form {
                PackageForm::Age => PackageLock::Key,
                PackageForm::Zip => PackageLock::PassphraseKept,
            },
            contents: contents.clone(),
        })
    }

    fn receiver(&self, hand_over: HandOverId) -> Holder {
        match &self.wish.to {
            Destination::Contract { vendor, .. } => Holder::Vendor(vendor.clone()),
            Destination::Request { .. } => Holder::Receiver(hand_over),
        }
    }
}

/// All hand-overs, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HandOvers(pub(crate) BTreeMap<HandOverId, HandOver>);

impl HandOvers {
    /// Whether this copy was given to its receiver.
    pub(crate) fn gave(&self, hand_over: HandOverId, copy: CopyId) -> bool {
        let known = self.0.get(&hand_over);
        known.is_some_and(|known| known.gave(copy))
    }

    /// Whether whoever this goes to has something that should be gone (K-39).
    pub(crate) fn is_overdue(&self, to: &Destination, copies: &Copies, now: Timestamp) -> bool {
        let mut same = self
            .0
            .iter()
            .filter(|(_, known)| known.wish.to.shares_receiver(to));
        same.any(|(id, known)| copies.is_overdue(&known.receiver(*id), now))
    }

    /// Takes a step in. `unit`: of whoever took it.
    pub(crate) fn handle_fact(
        &mut self,
        at: Timestamp,
        by: &Actor,
        unit: Option<&Label>,
        fact: HandOverFact,
        copies: &mut Copies,
    ) {
        let id = fact.hand_over();
        let by = by.person().cloned();
        let step = Step { at, by, fact };
        match (&step.fact, &step.by, unit) {
            (HandOverFact::Requested { wish, .. }, Some(by), Some(unit)) => {
                let requested = HandOver {
                    wish: wish.clone(),
                    unit: unit.clone(),
                    requested_by: by.clone(),
                    state: HandOverState::Requested,
                    steps: vec![step],
                };
                self.0.entry(id).or_insert(requested);
            }
            _ => {
                if let Some(known) = self.0.get_mut(&id) {
                    known.handle_fact(step, copies);
                }
            }
        }
    }
}
