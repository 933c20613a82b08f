//! A role ends by a withdrawal, and begins anew by whoever may give it (要領3-1, 4-1; K-11).
//!
//! In this city the manager `kacho` has a deputy `taro`; `bucho` is a manager too, and there is one of each other role.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod common;

use rules::{Action, Actor, Fact, Period, Recorded, Register, RegisterFault, Role, StaffId};

use common::{now, petitioner, proved, unit};

fn id(text: &str) -> StaffId {
    text.parse().unwrap()
}

fn added(person: &str, role: Role) -> Fact {
    Fact::PersonAdded {
        person: id(person),
        role,
        unit: unit(),
        vendor: None,
    }
}

fn withdrawn(person: &str) -> Fact {
    Fact::Withdrawn { person: id(person) }
}

fn days() -> Period {
    let day = |text: &str| text.parse().unwrap();
    Period::new(day("2026-11-01"), day("2027-03-31")).unwrap()
}

fn deputised(person: &str) -> Fact {
    Fact::Deputised {
        person: id(person),
        period: days(),
        basis: rules::Digest([7; 32]),
    }
}

fn designated(person: &str) -> Fact {
    Fact::Designated {
        person: id(person),
        period: days(),
    }
}

/// Everybody there is, and then these facts.
fn city(more: Vec<Fact>) -> Register {
    let facts = vec![
        added("bucho", Role::Manager),
        added("kanri2", Role::Administrator),
        added("kansa", Role::Auditor),
        added("toban", Role::DutyOfficer),
        added("uketsuke", Role::Operator),
        added("bunseki", Role::Analyst),
        deputised("taro"),
    ];
    common::register_with([facts, more].concat())
}

fn asked(register: &Register, by: &str, fact: Fact) -> String {
    let proved = proved(by);
    match register.request(&petitioner(&proved), fact, now()) {
        Ok(Some(_)) => "yes".to_owned(),
        Ok(None) => "already so".to_owned(),
        Err(RegisterFault::Refused(refusal)) => refusal.code().code().to_owned(),
        Err(fault) => fault.to_string(),
    }
}

fn allowed(register: &Register, by: &str, action: Action) -> &'static str {
    let proved = proved(by);
    match register.judge_asker(&petitioner(&proved), action, now()) {
        Ok(()) => "yes",
        Err(refusal) => refusal.code().code(),
    }
}

#[test]
fn a_role_ends_with_its_withdrawal() {
    for (person, action) in [
        ("bucho", Action::DecideHandOver),
        ("bucho", Action::DecideHold),
        ("bucho", Action::ApplyPolicy),
        ("bucho", Action::Appoint),
        ("bucho", Action::ReadTrail),
        ("kanri2", Action::RotateKeys),
        ("kanri2", Action::AddPerson),
        ("kansa", Action::ExportTrail),
        ("kansa", Action::AcknowledgeRecovery),
        ("toban", Action::DeclareEmergency),
        ("uketsuke", Action::Acknowledge),
        ("bunseki", Action::SeePolicy),
    ] {
        let before = allowed(&city(vec![]), person, action);
        assert_ne!(before, "ROLE_ENDED", "{person} {action:?}");
        let after = allowed(&city(vec![withdrawn(person)]), person, action);
        assert_eq!(after, "ROLE_ENDED", "{person} {action:?}");
    }
    // Whoever has a role by designation has none of its rights without one, and brings back what left the city.
    let hanako = city(vec![withdrawn("hanako")]);
    assert_eq!(
        allowed(&hanako, "hanako", Action::ListHolds),
        "NOT_DESIGNATED"
    );
}

#[test]
fn nobody_ends_what_they_could_not_give_and_the_last_of_an_office_stays() {
    let city = city(vec![]);
    for (by, person, expected) in [
        ("kacho", "bucho", "yes"),
        ("kacho", "toban", "yes"),
        ("kacho", "hanako", "yes"),
        ("kacho", "taro", "yes"),
        ("kacho", "kacho", "SELF_APPROVAL"),
        ("kacho", "kanri", "ROLE_NOT_GRANTABLE"),
        ("kacho", "kansa", "ROLE_NOT_GRANTABLE"),
        ("kanri", "kanri2", "yes"),
        ("kanri", "kansa", "yes"),
        ("kanri", "toban", "yes"),
        ("kanri", "kanri", "SELF_APPROVAL"),
        ("kanri", "kacho", "ROLE_NOT_GRANTABLE"),
        ("kanri", "hanako", "ROLE_NOT_GRANTABLE"),
        ("taro", "hanako", "yes"),
        ("taro", "kacho", "ROLE_NOT_GRANTABLE"),
        ("taro", "kansa", "ROLE_NOT_GRANTABLE"),
        ("kansa", "kacho", "ROLE_NOT_PERMITTED"),
    ] {
        assert_eq!(
            asked(&city, by, withdrawn(person)),
            expected,
            "{by} {person}"
        );
    }
}

#[test]
fn two_who_withdraw_each_other_leave_one() {
    let city = city(vec![withdrawn("kacho")]);
    assert_eq!(asked(&city, "kacho", withdrawn("bucho")), "ROLE_ENDED");
    assert_eq!(asked(&city, "bucho", withdrawn("bucho")), "SELF_APPROVAL");
}

#[test]
fn a_role_begins_anew_by_whoever_may_give_it() {
    let all = ["bucho", "kanri2", "kansa", "toban", "uketsuke"].map(withdrawn);
    let gone = city(all.to_vec());
    let appointed = Fact::Appointed {
        person: id("bucho"),
    };
    for (by, fact, expected) in [
        ("kacho", appointed.clone(), "yes"),
        ("kacho", added("bucho", Role::Manager), "ROLE_NOT_GRANTABLE"),
        ("kanri", added("kanri2", Role::Administrator), "yes"),
        ("kanri", added("kansa", Role::Auditor), "yes"),
        ("kacho", added("kansa", Role::Auditor), "ROLE_NOT_GRANTABLE"),
        ("kanri", added("toban", Role::DutyOfficer), "yes"),
        ("kacho", added("toban", Role::DutyOfficer), "yes"),
        ("kacho", added("uketsuke", Role::Operator), "yes"),
        (
            "taro",
            added("uketsuke", Role::Operator),
            "ROLE_NOT_PERMITTED",
        ),
    ] {
        assert_eq!(asked(&gone, by, fact.clone()), expected, "{by} {fact:?}");
    }
    // A designation or a deputyship gives no role back.
    for fact in [designated("bucho"), deputised("bucho"), designated("toban")] {
        let told = asked(&gone, "kacho", fact);
        assert!(told.contains("was withdrawn"), "{told}");
    }
    let back = city(vec![withdrawn("bucho"), appointed]);
    assert_eq!(allowed(&back, "bucho", Action::ApplyPolicy), "yes");
    let kansa = added("kansa", Role::Auditor);
    let back = city(vec![withdrawn("kansa"), kansa]);
    assert_eq!(allowed(&back, "kansa", Action::ReadTrail), "yes");
    let back = city(vec![withdrawn("hanako"), designated("hanako")]);
    assert_eq!(allowed(&back, "hanako", Action::ListHolds), "yes");
}

/// 市職員のみ (7(2)): no contractor decides, and nobody who controls whoever decides.
#[test]
fn whoever_decides_for_the_unit_is_of_the_city_and_controls_nobody() {
    let contractor = vec![
        Fact::VendorAdded {
            vendor: "itaku".parse().unwrap(),
            recipient: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
                .parse()
                .unwrap(),
        },
        Fact::PersonAdded {
            person: id("kantoku"),
            role: Role::VendorSupervisor,
            unit: unit(),
            vendor: Some("itaku".parse().unwrap()),
        },
    ];
    let register = city(contractor);
    let appointed = |person| Fact::Appointed { person: id(person) };
    for (person, expected) in [
        ("hanako", "yes"),
        ("uketsuke", "yes"),
        ("kantoku", "ROLE_NOT_GRANTABLE"),
        ("kansa", "ROLE_NOT_GRANTABLE"),
        ("kanri2", "ROLE_NOT_GRANTABLE"),
    ] {
        for fact in [appointed(person), deputised(person)] {
            assert_eq!(asked(&register, "kacho", fact), expected, "{person}");
        }
    }
    // Who controls no more may be appointed.
    let left = city(vec![withdrawn("kansa")]);
    assert_eq!(asked(&left, "kacho", appointed("kansa")), "yes");
}

#[test]
fn a_recovery_by_root_gives_an_office_back() {
    let mut city = city(vec![withdrawn("bucho")]);
    city.handle_recorded(Recorded {
        at: now(),
        by: Actor::Person {
            unix_user: "root".to_owned(),
            person: None,
        },
        fact: Fact::Recovered {
            person: id("bucho"),
            unit: unit(),
        },
    });
    assert_eq!(allowed(&city, "bucho", Action::ApplyPolicy), "yes");
}

/// 代決: in the manager's place, whoever that is; the unit always has one who can end it.
#[test]
fn a_deputy_stands_for_the_office_and_goes_on_when_its_holder_changes() {
    let city = city(vec![withdrawn("kacho")]);
    assert_eq!(asked(&city, "taro", designated("hanako")), "yes");
    assert_eq!(asked(&city, "bucho", withdrawn("taro")), "yes");
    let ended = self::city(vec![withdrawn("taro")]);
    assert_eq!(
        asked(&ended, "taro", designated("hanako")),
        "ROLE_NOT_PERMITTED"
    );
}
