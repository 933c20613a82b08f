//! A hand-over of the small city, step by step.

use jiff::{Timestamp, ToSpan};
use rules::{
    Actor, Attestation, AttestedKind, Contents, CopyId, Destination, Digest, Fact, HandOverFact,
    HandOverId, HandOverState, Heard, Masks, PackageForm, Period, Purpose, Recorded, RefusalCode,
    Register, RegisterFault, Role, Terms, Verdict, Wished,
};

use super::{heard, now, petitioner, proved, unit};

pub(crate) const CODE: Digest = Digest([3; 32]);

pub(crate) fn hand_over() -> HandOverId {
    HandOverId::new(now(), 1)
}

pub(crate) fn copy(random: u128) -> CopyId {
    CopyId::new(now(), random)
}

pub(crate) fn by(id: &str) -> Actor {
    Actor::Person {
        unix_user: "denwaban".to_owned(),
        person: Some(id.parse().unwrap()),
    }
}

/// The small city with a second manager, a contractor that attested until the end of the year, and a contract of November.
pub(crate) struct City {
    pub(crate) register: Register,
}

impl City {
    pub(crate) fn new() -> City {
        let day = |text: &str| text.parse().unwrap();
        let vendor: rules::VendorId = "bunseki".parse().unwrap();
        let period = Period::new(day("2026-11-01"), day("2026-12-20")).unwrap();
        let terms = Terms {
            vendor: vendor.clone(),
            unit: unit(),
            numbers: heard().called.into_iter().collect(),
            period,
            purposes: [Purpose::AnalysisInquiry].into(),
        };
        let person = "bucho".parse().unwrap();
        let facts = vec![
            Fact::PersonAdded {
                person,
                role: Role::Manager,
                unit: unit(),
                vendor: None,
            },
            Fact::VendorAdded {
                vendor: vendor.clone(),
                recipient: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
                    .parse()
                    .unwrap(),
            },
            Fact::VendorAdded {
                vendor: "betsu".parse().unwrap(),
                recipient: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
                    .parse()
                    .unwrap(),
            },
            Fact::VendorAttested {
                vendor,
                kind: AttestedKind::Listed(Attestation::SecurityPolicy),
                until: day("2026-12-10"),
            },
            Fact::ContractAdded {
                contract: "r8-1".parse().unwrap(),
                terms,
            },
        ];
        let register = super::register_with(facts);
        City { register }
    }

    /// Asks, and records what is allowed.
    pub(crate) fn ask(
        &mut self,
        id: &str,
        fact: HandOverFact,
        at: Timestamp,
    ) -> Result<(), RefusalCode> {
        self.ask_about(id, fact, &[heard()], at)
    }

    pub(crate) fn ask_about(
        &mut self,
        id: &str,
        fact: HandOverFact,
        heard: &[Heard],
        at: Timestamp,
    ) -> Result<(), RefusalCode> {
        let (proved, fact) = (proved(id), Fact::HandOver(fact));
        let asked = self
            .register
            .request_with(&petitioner(&proved), fact.clone(), heard, at);
        match asked {
            Ok(None) => Ok(()),
            Ok(Some(_)) => {
                self.record(by(id), fact, at);
                Ok(())
            }
            Err(RegisterFault::Refused(refusal)) => Err(refusal.code()),
            Err(fault) => panic!("{fault}"),
        }
    }

    pub(crate) fn record(&mut self, by: Actor, fact: Fact, at: Timestamp) {
        self.register.handle_recorded(Recorded { at, by, fact });
    }

    pub(crate) fn state(&self) -> &HandOverState {
        self.register.hand_over(hand_over()).unwrap().state()
    }

    /// Takes the hand-over as far as these steps.
    pub(crate) fn led(steps: &[(&str, HandOverFact)]) -> City {
        let mut city = City::new();
        for (id, fact) in steps {
            city.ask(id, fact.clone(), now()).unwrap();
        }
        city
    }
}

pub(crate) fn requested() -> HandOverFact {
    HandOverFact::Requested {
        hand_over: hand_over(),
        wish: wished("bunseki", Purpose::AnalysisInquiry),
    }
}

pub(crate) fn wished(vendor: &str, purpose: Purpose) -> Wished {
    Wished {
        to: Destination::Contract {
            vendor: vendor.parse().unwrap(),
            contract: "r8-1".parse().unwrap(),
        },
        purpose,
        medium: Digest([12; 32]).into(),
        items: [heard().recording].into(),
    }
}

pub(crate) fn decided(verdict: Verdict) -> HandOverFact {
    HandOverFact::Decided {
        hand_over: hand_over(),
        verdict,
        reason: Digest([1; 32]),
        masks: Masks::default(),
    }
}

pub(crate) fn begun(random: u128, form: PackageForm) -> HandOverFact {
    HandOverFact::PackageBegun {
        hand_over: hand_over(),
        copy: copy(random),
        form,
        destroy_by: now() + 720.hours(),
        place: None,
    }
}

pub(crate) fn packaged(random: u128) -> HandOverFact {
    HandOverFact::Packaged {
        hand_over: hand_over(),
        copy: copy(random),
        contents: Contents {
            sha256: Digest([2; 32]),
            bytes: 1_000,
            code: CODE,
            items: [(heard().recording, Digest([4; 32]))].into(),
        },
    }
}

pub(crate) fn given() -> HandOverFact {
    HandOverFact::Given {
        hand_over: hand_over(),
        receiver: Digest([5; 32]),
    }
}

pub(crate) fn destroyed() -> HandOverFact {
    HandOverFact::Destroyed {
        hand_over: hand_over(),
        certificate: Digest([6; 32]),
    }
}

pub(crate) fn to_the_receiver() -> City {
    City::led(&[
        ("hanako", requested()),
        ("kacho", decided(Verdict::Approved)),
        ("taro", begun(1, PackageForm::Zip)),
        ("taro", packaged(1)),
        ("taro", given()),
    ])
}
