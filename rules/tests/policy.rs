//! The policy in its versions: what is in force narrows and never widens, and a measure changes no refusal (K-30, K-31).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod common;

use rules::{
    Action, AuditEvent, DecisionId, Digest, Fact, Heard, JstDay, Label, ListenRequest, PolicyFact,
    PolicyTerms, Purpose, RefusalCode, Register, RegisterFault, RetentionPolicy, StaffId,
};

use common::now;

fn terms(purposes: &[Purpose]) -> PolicyTerms {
    PolicyTerms {
        retention_days: 89,
        purposes: purposes.iter().copied().collect(),
        prompts: [].into(),
        bases: ["個人情報保護条例".parse().unwrap()].into(),
    }
}

fn applied(version: u32, terms: PolicyTerms) -> Fact {
    Fact::Policy(PolicyFact::Applied {
        decision: DecisionId::new(now(), u128::from(version)),
        version,
        terms,
        text: Digest([7; 32]),
    })
}

fn measure(basis: &str) -> Fact {
    Fact::Policy(PolicyFact::MeasureDecided {
        decision: DecisionId::new(now(), 99),
        basis: basis.parse().unwrap(),
        measure: Digest([8; 32]),
    })
}

/// After these versions, acknowledged or not by `hanako`.
fn register(facts: Vec<Fact>, acknowledged: u32) -> Register {
    let hanako: StaffId = "hanako".parse().unwrap();
    let version = acknowledged;
    let facts = [facts, vec![Fact::Acknowledged { version }]].concat();
    common::register_by(facts, &hanako)
}

/// The version that the entry stores, or why not.
fn listen(register: &Register, purpose: Purpose, heard: Heard) -> Result<u32, &'static str> {
    let proved = common::proved("hanako");
    let request = ListenRequest {
        petitioner: common::petitioner(&proved),
        action: Action::Listen,
        heard,
        purpose: Some(purpose),
        case: None,
        range_ms: None,
    };
    let grant = request
        .judge(register, now())
        .map_err(|refusal| refusal.code().code())?;
    match grant.entry().event {
        AuditEvent::ListenGranted { policy, .. } => Ok(policy),
        _ => panic!("a grant's entry says what was granted"),
    }
}

#[test]
fn each_access_stores_the_version_in_force_and_old_ones_still_resolve() {
    let before = register(vec![], 1);
    assert_eq!(listen(&before, Purpose::StaffCheck, common::heard()), Ok(1));
    let two = terms(&[Purpose::StaffCheck]);
    let facts = vec![applied(2, two.clone()), applied(3, terms(&Purpose::ALL))];
    let after = register(facts, 3);
    assert_eq!(listen(&after, Purpose::StaffCheck, common::heard()), Ok(3));
    assert_eq!(after.policy().of_version(2).unwrap().terms, two);
    assert!(after.policy().of_version(1).is_none(), "the program's own");
}

#[test]
fn a_new_version_is_acknowledged_anew_and_narrows_what_may_be_done() {
    let facts = || vec![applied(2, terms(&[Purpose::StaffCheck]))];
    let unread = register(facts(), 1);
    let heard = listen(&unread, Purpose::StaffCheck, common::heard());
    assert_eq!(heard, Err("ACK_REQUIRED"));
    let read = register(facts(), 2);
    for (purpose, expected) in [
        (Purpose::StaffCheck, Ok(2)),
        (Purpose::AnalysisInquiry, Err("PURPOSE_NOT_PERMITTED")),
        // In no version of the code, so in none of the city's.
        (Purpose::Disposal, Err("PURPOSE_NOT_PERMITTED")),
    ] {
        assert_eq!(listen(&read, purpose, common::heard()), expected);
    }
}

#[test]
fn no_version_keeps_longer_than_three_months_or_skips_the_one_before() {
    let proved = common::proved("kacho");
    let register = common::register();
    let apply = |fact| register.request(&common::petitioner(&proved), fact, now());
    for (days, is_allowed) in [(0, false), (1, true), (92, true), (93, false)] {
        let terms = PolicyTerms {
            retention_days: days,
            ..terms(&Purpose::ALL)
        };
        match apply(applied(2, terms)) {
            Ok(_) => assert!(is_allowed, "{days} days"),
            Err(RegisterFault::Refused(refusal)) => {
                assert!(!is_allowed, "{days} days");
                assert_eq!(refusal.code().code(), "RETENTION_FIXED");
            }
            Err(fault) => panic!("{fault}"),
        }
    }
    let skipped = apply(applied(3, terms(&Purpose::ALL)));
    assert!(matches!(skipped, Err(RegisterFault::OtherVersion(3))));
}

#[test]
fn a_measure_rests_on_the_policy_and_changes_no_refusal() {
    let proved = common::proved("kacho");
    let facts = vec![applied(2, terms(&Purpose::ALL))];
    let before = register(facts.clone(), 2);
    let decide = |basis| before.request(&common::petitioner(&proved), measure(basis), now());
    assert!(decide("個人情報保護条例").unwrap().is_some());
    let baseless = decide("上司の指示");
    let Err(RegisterFault::Refused(refusal)) = baseless else {
        panic!("{baseless:?}");
    };
    assert_eq!(refusal.code(), RefusalCode::LegalBasisRequired);

    let after = register([facts, vec![measure("個人情報保護条例")]].concat(), 2);
    assert_eq!(after.policy().measures().len(), 1);
    let elsewhere = || Heard {
        unit: "税務課".parse().unwrap(),
        ..common::heard()
    };
    let expired = || Heard {
        expires_at: now(),
        ..common::heard()
    };
    for purpose in Purpose::ALL {
        for heard in [common::heard(), elsewhere(), expired()] {
            assert_eq!(
                listen(&after, purpose, heard.clone()),
                listen(&before, purpose, heard),
                "{purpose}"
            );
        }
    }
}

#[test]
fn a_measure_that_is_decided_again_is_found_where_it_is_the_newest_of_the_same_person() {
    let (own, other): (StaffId, StaffId) = ("hanako".parse().unwrap(), "kacho".parse().unwrap());
    let bases = ["個人情報保護条例", "データ保護管理規程"];
    let facts = vec![applied(2, terms(&Purpose::ALL)), measure(bases[0])];
    let once = register(facts.clone(), 2);
    let found = |register: &Register, by, basis| register.asked_before(by, &measure(basis)).len();
    assert_eq!(found(&once, &own, bases[0]), 1);
    assert_eq!(found(&once, &own, bases[1]), 0);
    assert_eq!(found(&once, &other, bases[0]), 0);
    let twice = register([facts, vec![measure(bases[1])]].concat(), 2);
    assert_eq!(found(&twice, &own, bases[0]), 0, "another came after it");
}

#[test]
fn what_is_played_is_compared_with_the_version_in_force() {
    let prompt = |name: &str, byte| (name.parse().unwrap(), Digest([byte; 32]));
    let played = [prompt("recording-notice", 1), prompt("busy", 2)].into();
    assert_eq!(register(vec![], 1).policy().differences(&played), []);
    let differences = |prompts: &[(Label, Digest)]| {
        let said = PolicyTerms {
            prompts: prompts.iter().cloned().collect(),
            ..terms(&[Purpose::StaffCheck])
        };
        let register = register(vec![applied(2, said)], 2);
        let found = register.policy().differences(&played);
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let same = [prompt("recording-notice", 1), prompt("busy", 2)];
    assert_eq!(differences(&same), [] as [&str; 0]);
    assert_eq!(differences(&[]), [] as [&str; 0]);
    assert_eq!(
        differences(&[prompt("recording-notice", 9), prompt("closed", 3)]),
        [
            "prompt closed of the policy is not played",
            "prompt recording-notice has another SHA-256 than the policy says",
            "prompt busy is played and the policy does not name it",
        ]
    );
}

#[test]
fn n_of_a_version_holds_from_the_next_day_and_never_beyond_the_configuration() {
    let days = |retention_days| PolicyTerms {
        retention_days,
        ..terms(&[Purpose::StaffCheck])
    };
    let set = RetentionPolicy::default();
    let today = JstDay::of(now());
    let unsaid = register(vec![], 1).policy().days();
    assert_eq!(unsaid.within(set, today.next()).days(), 89);

    let said = register(vec![applied(2, days(60))], 2).policy().days();
    assert_eq!(said.within(set, today).days(), 89);
    assert_eq!(said.within(set, today.next()).days(), 60);
    let shorter = RetentionPolicy::new(30).unwrap();
    assert_eq!(said.within(shorter, today.next()).days(), 30);
    // The last word of a day counts, and none is longer than the configuration.
    let versions = vec![applied(2, days(60)), applied(3, days(92))];
    let longer = register(versions, 3).policy().days();
    assert_eq!(longer.within(set, today.next()).days(), 89);
}
