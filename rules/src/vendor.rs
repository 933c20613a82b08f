//! 委託事業者: contractors with what they attested, and contracts with what they cover (consultation 7(2), 7(3); K-12, K-25).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{ContractId, JstDay, Label, StaffId, VendorId},
    number::{self, Number},
    people::Period,
    purpose::Purpose,
    recipient::Recipient,
};

/// A contractor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vendor {
    pub(crate) recipient: Recipient,
    pub(crate) attestations: BTreeMap<Label, JstDay>,
}

impl Vendor {
    /// To whom its packages are encrypted.
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// What it attested, each with the last day on which it counts.
    pub fn attestations(&self) -> &BTreeMap<Label, JstDay> {
        &self.attestations
    }

    /// Whether it attested anything and nothing of it has lapsed.
    pub fn is_attested(&self, now: Timestamp) -> bool {
        self.lapses_at().is_some_and(|end| now < end)
    }

    /// The first instant at which something of it has lapsed; `None` where it attested nothing.
    pub(crate) fn lapses_at(&self) -> Option<Timestamp> {
        let soonest = self.attestations.values().min();
        soonest.map(|until| until.next().start())
    }
}

/// What a contract is about, as it is entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// With whom.
    pub vendor: VendorId,
    /// 管理所管課 that made it.
    pub unit: Label,
    /// Calls to which of the city's numbers.
    #[serde(with = "number::clear_set")]
    pub numbers: BTreeSet<Number>,
    /// For which days.
    pub period: Period,
    /// What for.
    pub purposes: BTreeSet<Purpose>,
}

/// A contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    pub(crate) terms: Terms,
    pub(crate) supervisors: BTreeSet<StaffId>,
}

impl Contract {
    /// What it is about.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// 監督者権限を持つ者, each approved by the manager.
    pub fn supervisors(&self) -> &BTreeSet<StaffId> {
        &self.supervisors
    }
}

/// The contracts under which a supervisor listens, each approved; conditions of access ask them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Engagement<'a> {
    pub(crate) contracts: &'a BTreeMap<ContractId, Contract>,
    pub(crate) supervisor: &'a StaffId,
    pub(crate) vendor: Option<&'a VendorId>,
}

impl<'a> Engagement<'a> {
    pub(crate) fn approved(self) -> impl Iterator<Item = &'a Contract> {
        self.contracts.values().filter(move |contract| {
            Some(&contract.terms.vendor) == self.vendor
                && contract.supervisors.contains(self.supervisor)
        })
    }

    pub(crate) fn in_force(self, now: Timestamp) -> impl Iterator<Item = &'a Contract> {
        self.approved()
            .filter(move |contract| contract.terms.period.contains(now))
    }

    /// The contracts in force that cover calls to this number of this unit.
    pub(crate) fn covering(
        self,
        unit: &Label,
        called: Option<&Number>,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Contract> {
        self.in_force(now).filter(move |contract| {
            contract.terms.unit == *unit
                && called.is_some_and(|number| contract.terms.numbers.contains(number))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    fn vendor(attestations: &[(&str, &str)]) -> Vendor {
        Vendor {
            recipient: RECIPIENT.parse().unwrap(),
            attestations: attestations
                .iter()
                .map(|(kind, until)| (kind.parse().unwrap(), until.parse().unwrap()))
                .collect(),
        }
    }

    #[test]
    fn one_lapsed_attestation_is_enough_to_be_attested_no_more() {
        let now = "2026-11-24T00:00:00Z".parse().unwrap();
        for (attestations, expected) in [
            (&[][..], false),
            (&[("isms", "2026-11-24")][..], true),
            (&[("isms", "2026-11-23")][..], false),
            (
                &[("isms", "2027-11-23"), ("policy", "2026-01-01")][..],
                false,
            ),
        ] {
            assert_eq!(vendor(attestations).is_attested(now), expected);
        }
    }
}
