//! A small city: a manager, an administrator, two sound assistants.
#![allow(dead_code, reason = "each test of this folder uses its part")]

pub(crate) mod hand_over;

use jiff::{Timestamp, ToSpan};

use rules::{
    Account, Actor, Attestation, AttestedKind, AuditDraft, AuditEntry, AuditReceipt, CodeFound,
    Digest, Fact, Heard, Host, Label, Number, Origin, POLICY_VERSION, PasswordAge, PasswordFound,
    Period, Petitioner, Proved, Purpose, Recorded, RecordingId, RecordingState, Register, Role,
    SecondFactor, StaffId, Terms, Trial,
};

pub(crate) fn now() -> Timestamp {
    "2026-11-24T00:00:00Z".parse().unwrap()
}

pub(crate) fn unit() -> Label {
    "広報課".parse().unwrap()
}

pub(crate) fn heard() -> Heard {
    Heard {
        sound: rules::Sound::Here,
        recording: RecordingId::new(now(), 1),
        state: RecordingState::Sealed,
        expires_at: now() + 720.hours(),
        called: Some(Number::parse("0783331000").unwrap()),
        unit: unit(),
    }
}

pub(crate) fn proved(id: &str) -> Proved {
    let account = Account {
        set_at: now(),
        origin: Origin::Own,
        second: SecondFactor::None,
    };
    let trial = Trial {
        person: &id.parse().unwrap(),
        account: Some(account),
        password: PasswordFound::Right,
        code: CodeFound::None,
        age: PasswordAge::default(),
    };
    trial.judge(now()).unwrap()
}

pub(crate) fn petitioner(proved: &Proved) -> Petitioner<'_> {
    Petitioner {
        proved: Some(proved),
        unix_user: "denwaban",
        host: Host::User,
    }
}

pub(crate) fn register() -> Register {
    register_with(Vec::new())
}

/// The small city after more facts, which the manager recorded.
pub(crate) fn register_with(more: Vec<Fact>) -> Register {
    register_by(more, &"kacho".parse().unwrap())
}

/// The small city after more facts, which this person recorded.
pub(crate) fn register_by(more: Vec<Fact>, recorder: &StaffId) -> Register {
    let [manager, administrator, hanako, taro] =
        ["kacho", "kanri", "hanako", "taro"].map(|id| id.parse::<StaffId>().unwrap());
    let by = |id: &StaffId| Actor::Person {
        unix_user: "denwaban".to_owned(),
        person: Some(id.clone()),
    };
    let mut facts = vec![(
        by(&manager),
        Fact::Founded {
            manager: manager.clone(),
            administrator,
            unit: unit(),
            taken_in: Vec::new(),
        },
    )];
    for person in [hanako, taro] {
        facts.extend(sound(&person).map(|fact| (by(&manager), fact)));
        let version = POLICY_VERSION;
        facts.push((by(&person), Fact::Acknowledged { version }));
    }
    facts.extend(more.into_iter().map(|fact| (by(recorder), fact)));
    let at = now();
    Register::of(
        facts
            .into_iter()
            .map(|(by, fact)| Recorded { at, by, fact }),
    )
}

/// The small city with a contractor's supervisor `kantoku`, whom no manager has approved.
pub(crate) fn register_with_supervisor() -> Register {
    register_by(contractor(), &"kantoku".parse().unwrap())
}

/// The small city with a contractor's supervisor `kantoku`, approved for inquiries to one number in November 2026.
pub(crate) fn register_with_contractor() -> Register {
    register_with_contractor_after(Vec::new())
}

/// The same after more facts.
pub(crate) fn register_with_contractor_after(more: Vec<Fact>) -> Register {
    let facts = [contractor(), vec![approved()], more].concat();
    register_by(facts, &"kantoku".parse().unwrap())
}

/// The manager's approval of `kantoku`.
pub(crate) fn approved() -> Fact {
    Fact::SupervisorApproved {
        contract: "r8-1".parse().unwrap(),
        person: "kantoku".parse().unwrap(),
    }
}

/// What the contractor attested until a day.
pub(crate) fn attested(until: &str) -> Fact {
    Fact::VendorAttested {
        vendor: "bunseki".parse().unwrap(),
        kind: AttestedKind::Listed(Attestation::SecurityPolicy),
        until: until.parse().unwrap(),
    }
}

fn contractor() -> Vec<Fact> {
    let day = |text: &str| text.parse().unwrap();
    let terms = Terms {
        vendor: "bunseki".parse().unwrap(),
        unit: unit(),
        numbers: heard().called.into_iter().collect(),
        period: Period::new(day("2026-11-01"), day("2026-11-30")).unwrap(),
        purposes: [Purpose::AnalysisInquiry].into(),
    };
    let person: StaffId = "kantoku".parse().unwrap();
    vec![
        Fact::VendorAdded {
            vendor: terms.vendor.clone(),
            recipient: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
                .parse()
                .unwrap(),
        },
        attested("2026-12-31"),
        Fact::PersonAdded {
            person: person.clone(),
            role: Role::VendorSupervisor,
            unit: unit(),
            vendor: Some(terms.vendor.clone()),
        },
        Fact::Trained {
            person,
            course: Digest([9; 32]).into(),
            on: day("2026-11-01"),
        },
        Fact::ContractAdded {
            contract: "r8-1".parse().unwrap(),
            terms,
        },
        Fact::Acknowledged {
            version: POLICY_VERSION,
        },
    ]
}

fn sound(person: &StaffId) -> [Fact; 3] {
    let day = |text: &str| text.parse().unwrap();
    [
        Fact::PersonAdded {
            person: person.clone(),
            role: Role::Assistant,
            unit: unit(),
            vendor: None,
        },
        Fact::Designated {
            person: person.clone(),
            period: Period::new(day("2026-04-01"), day("2028-03-31")).unwrap(),
        },
        Fact::Trained {
            person: person.clone(),
            course: Digest([9; 32]).into(),
            on: day("2026-04-01"),
        },
    ]
}

/// What the trail would give for this entry.
pub(crate) fn receipt(draft: &AuditDraft, at: Timestamp) -> AuditReceipt {
    let AuditDraft { actor, event } = draft.clone();
    AuditReceipt::durable(
        AuditEntry {
            seq: 9,
            at,
            actor,
            event,
        },
        [1; 32],
    )
}

/// A small generator, so that an order can be told again by its seed. Source: Knuth, MMIX.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}
