//! 委託事業者: contractors with what they attested, and contracts with what they cover (consultation 7(2), 7(3); K-12, K-25).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{ContractId, IdFault, JstDay, Label, StaffId, VendorId},
    number::{self, Number},
    people::Period,
    purpose::Purpose,
    recipient::Recipient,
};

/// 遵守の証明: what a contract makes a contractor keep (consultation 7(3)).
///
/// A closed list, because the rules ask of each kind whether it has lapsed: one must be told from another, and a renewal known, without words that lie sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attestation {
    /// 情報セキュリティポリシー等の遵守.
    SecurityPolicy,
    /// 記憶領域の暗号化又はファイルへのパスワード設定.
    EncryptedStorage,
    /// 委託期間終了後の廃棄.
    Disposal,
}

impl Attestation {
    /// All of them.
    pub const ALL: [Attestation; 3] = [
        Attestation::SecurityPolicy,
        Attestation::EncryptedStorage,
        Attestation::Disposal,
    ];

    /// As it is typed in and written down.
    pub fn code(self) -> &'static str {
        match self {
            Attestation::SecurityPolicy => "security-policy",
            Attestation::EncryptedStorage => "encrypted-storage",
            Attestation::Disposal => "disposal",
        }
    }
}

impl fmt::Display for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for Attestation {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<Attestation, IdFault> {
        let fault = IdFault {
            what: "kind of attestation",
            expected: "security-policy, encrypted-storage or disposal",
            found_bytes: text.len(),
        };
        let mut kinds = Attestation::ALL.into_iter();
        kinds.find(|kind| kind.code() == text.trim()).ok_or(fault)
    }
}

/// A kind of attestation as the register has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttestedKind {
    /// One of the list.
    Listed(Attestation),
    /// By a name that an earlier version took.
    Named(Label),
}

/// A contractor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vendor {
    pub(crate) recipient: Recipient,
    pub(crate) attestations: BTreeMap<AttestedKind, JstDay>,
}

impl Vendor {
    /// To whom its packages are encrypted.
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// What it attested, each with the last day on which it counts.
    pub fn attestations(&self) -> &BTreeMap<AttestedKind, JstDay> {
        &self.attestations
    }

    /// Takes an attestation in. One of the list takes the place of what has lapsed under a name of its own, which nobody can renew.
    ///
    /// `at`: when it was recorded.
    pub(crate) fn attest(&mut self, kind: AttestedKind, until: JstDay, at: Timestamp) {
        if let AttestedKind::Listed(_) = kind {
            let counts = |until: &JstDay| at < until.next().start();
            self.attestations
                .retain(|known, until| matches!(known, AttestedKind::Listed(_)) || counts(until));
        }
        self.attestations.insert(kind, until);
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
                .map(|(kind, until)| (read(kind), until.parse().unwrap()))
                .collect(),
        }
    }

    /// As it stands in an entry.
    fn read(kind: &str) -> AttestedKind {
        serde_json::from_value(kind.into()).unwrap()
    }

    #[test]
    fn a_kind_is_of_the_list_or_has_the_name_that_an_earlier_version_took() {
        for kind in Attestation::ALL {
            assert_eq!(kind.code().parse(), Ok(kind));
            assert_eq!(read(kind.code()), AttestedKind::Listed(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.code());
        }
        assert!("isms".parse::<Attestation>().is_err());
        assert_eq!(read("isms"), AttestedKind::Named("isms".parse().unwrap()));
    }

    #[test]
    fn what_has_lapsed_under_a_name_of_its_own_ends_with_the_next_of_the_list_and_what_counts_goes_on()
     {
        let day = |text: &str| text.parse::<JstDay>().unwrap();
        let until = day("2027-11-23");
        for (known, at, expected) in [
            (("isms", "2026-11-23"), "2026-11-24", true),
            (("disposal", "2026-11-23"), "2026-11-24", false),
            (("isms", "2026-11-24"), "2026-11-24", true),
        ] {
            let (mut vendor, at) = (vendor(&[known]), day(at).start());
            vendor.attest(read("security-policy"), until, at);
            assert_eq!(vendor.is_attested(at), expected, "{known:?}");
        }
        let mut vendor = vendor(&[("isms", "2026-11-24")]);
        vendor.attest(read("security-policy"), until, day("2026-11-24").start());
        assert!(!vendor.is_attested(day("2026-11-25").start()));
        vendor.attest(read("policy"), until, day("2026-11-25").start());
        assert!(!vendor.is_attested(day("2026-11-25").start()));
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
