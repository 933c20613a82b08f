//! 委託事業者: contractors with what they attested, and contracts with what they cover (consultation 7(2), 7(3); K-12, K-25).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    ids::{ContractId, IdFault, JstDay, Label, StaffId, VendorId},
    number::{self, Number},
    people::Period,
    purpose::Purpose,
};

/// The public key to which packages for a contractor are encrypted: an X25519 recipient of `age`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient(String);

const RECIPIENT_CHARACTERS: usize = 62; // `age1`, 52 of Bech32 for 32 bytes, 6 for the checksum.

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Recipient {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<Recipient, IdFault> {
        let is_bech32 = |byte: u8| b"qpzry9x8gf2tvdw0s3jn54khce6mua7l".contains(&byte);
        let rest = text.strip_prefix("age1");
        if text.len() == RECIPIENT_CHARACTERS
            && rest.is_some_and(|rest| rest.bytes().all(is_bech32))
        {
            return Ok(Recipient(text.to_owned()));
        }
        Err(IdFault {
            what: "recipient",
            expected: "an age public key, age1 and 58 characters",
            found_bytes: text.len(),
        })
    }
}

impl Serialize for Recipient {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Recipient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Recipient, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

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
        let today = JstDay::of(now);
        !self.attestations.is_empty() && self.attestations.values().all(|until| today <= *until)
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

    const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudqhqjmsxg5jz9";

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
    fn a_recipient_is_a_public_key_of_age_and_never_a_secret_one() {
        assert!(RECIPIENT.parse::<Recipient>().is_ok());
        let secret = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";
        for text in ["", "age1", secret] {
            assert!(text.parse::<Recipient>().is_err());
        }
        let fault = secret.parse::<Recipient>().unwrap_err();
        assert!(!fault.to_string().contains(secret));
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
