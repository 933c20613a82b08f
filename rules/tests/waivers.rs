//! Waivers of the notice: decided by the manager, looked at within a year, and over when nobody did (law 2).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod common;

use jiff::{Timestamp, ToSpan, civil::date};
use rules::{
    Authority, DecisionId, Digest, Fact, JstDay, Label, Notices, NoticesFault, Number,
    NumberDecision, NumberNotice, NumberPolicy, Period, Profile, RefusalCode, Register,
    RegisterFault, RegisterPermit, Telling, WaiverBasis, WaiverCounts, WaiverFact, WaiverState,
    WaiverTerms,
};

use common::{now, receipt};

fn number() -> Number {
    Number::parse("0783331000").unwrap()
}

fn id(random: u128) -> DecisionId {
    DecisionId::new(now(), random)
}

fn configured() -> NumberDecision {
    let day = date(2026, 4, 1);
    NumberDecision::by_configuration(id(1), number(), "広第1号", day, "root").unwrap()
}

fn policy(profile: Profile, decision: Option<NumberDecision>) -> NumberPolicy {
    NumberPolicy {
        number: number(),
        profile,
        decision,
        department: "代表".to_owned(),
    }
}

fn terms(review: &str) -> WaiverTerms {
    WaiverTerms {
        number: number(),
        unit: common::unit(),
        review: review.parse().unwrap(),
    }
}

fn decided(random: u128, review: &str) -> Fact {
    Fact::Waiver(WaiverFact::Decided {
        decision: id(random),
        basis: WaiverBasis::Means,
        terms: terms(review),
        text: Digest([7; 32]),
    })
}

fn confirmed(random: u128, review: &str) -> Fact {
    Fact::Waiver(WaiverFact::Confirmed {
        decision: id(random),
        terms: terms(review),
        text: Digest([7; 32]),
    })
}

fn withdrawn(random: u128) -> Fact {
    Fact::Waiver(WaiverFact::Withdrawn {
        decision: id(random),
        number: number(),
        unit: common::unit(),
    })
}

/// Asks as this person, and takes the fact in where it is allowed; `false`: it is so already.
fn ask(register: &mut Register, by: &str, fact: Fact, at: Timestamp) -> Result<bool, RefusalCode> {
    let proved = common::proved(by);
    let asked = register.request(&common::petitioner(&proved), fact, at);
    let grant = match asked {
        Ok(Some(grant)) => grant,
        Ok(None) => return Ok(false),
        Err(RegisterFault::Refused(refusal)) => return Err(refusal.code()),
        Err(fault) => panic!("{fault}"),
    };
    let receipt = receipt(grant.entry(), at);
    let permit = RegisterPermit::issue(grant, receipt).unwrap();
    register.handle_recorded(permit.record());
    Ok(true)
}

/// How callers of the number are told: as told by the words that the office hands to whoever carries calls.
fn told(register: &Register, policy: &NumberPolicy, at: Timestamp) -> String {
    let written = serde_json::to_string(&register.waivers().notices()).unwrap();
    let notices: Notices = serde_json::from_str(&written).unwrap();
    match notices.telling(policy, at) {
        Telling::Waived(decision) => format!("waived by {}", decision.reference()),
        other => other.code().to_owned(),
    }
}

#[test]
fn the_profile_tells_where_no_manager_has_said_anything() {
    let register = common::register();
    for (profile, decision, expected) in [
        (Profile::Announce, None, "announced"),
        (Profile::Announce, Some(configured()), "announced"),
        (Profile::Transparent, None, "untold"),
        (
            Profile::Transparent,
            Some(configured()),
            "waived by 広第1号",
        ),
    ] {
        assert_eq!(told(&register, &policy(profile, decision), now()), expected);
    }
}

#[test]
fn a_decision_waives_until_its_review_and_then_the_number_announces() {
    let mut register = common::register();
    let review: JstDay = "2027-03-31".parse().unwrap();
    assert_eq!(
        ask(&mut register, "kacho", decided(5, "2027-03-31"), now()),
        Ok(true)
    );
    let waived = format!("waived by {}", id(5));
    let over = review.next().start();
    for profile in [Profile::Announce, Profile::Transparent] {
        let policy = policy(profile, None);
        assert_eq!(told(&register, &policy, now()), waived);
        assert_eq!(told(&register, &policy, over - 1.nanoseconds()), waived);
        assert_eq!(told(&register, &policy, over), "announced");
    }
    assert_eq!(register.waivers().lapsed(over).count(), 1);
    assert_eq!(
        ask(&mut register, "kacho", confirmed(5, "2028-03-31"), over),
        Ok(true),
        "whoever looked at it late brings it back"
    );
    assert_eq!(
        told(&register, &policy(Profile::Announce, None), over),
        waived
    );
}

#[test]
fn what_the_configuration_says_works_until_a_manager_confirms_or_withdraws_it() {
    let numbers = [policy(Profile::Transparent, Some(configured()))];
    let mut confirming = common::register();
    let state = |register: &Register| register.waivers().state_of(&configured(), now());
    let unconfirmed = |register: &Register| register.waivers().unconfirmed(&numbers).count();
    assert_eq!(
        (state(&confirming), unconfirmed(&confirming)),
        (WaiverState::Unconfirmed, 1)
    );
    let mut withdrawing = confirming.clone();

    let confirm = || confirmed(1, "2027-11-24");
    assert_eq!(ask(&mut confirming, "kacho", confirm(), now()), Ok(true));
    assert_eq!(ask(&mut confirming, "kacho", confirm(), now()), Ok(false));
    assert_eq!(
        (state(&confirming), unconfirmed(&confirming)),
        (WaiverState::InForce, 0)
    );
    let word = confirming.waivers().notices();
    let Telling::Waived(decision) = word.telling(&numbers[0], now()) else {
        panic!("a confirmed decision waives");
    };
    assert!(
        matches!(decision.authority(), Authority::Manager { person, .. } if person.as_str() == "kacho")
    );

    assert_eq!(
        ask(&mut withdrawing, "kacho", withdrawn(1), now()),
        Ok(true)
    );
    assert_eq!(
        ask(&mut withdrawing, "kacho", withdrawn(1), now()),
        Ok(false)
    );
    assert_eq!(told(&withdrawing, &numbers[0], now()), "announced");
    assert_eq!(
        ask(&mut withdrawing, "kacho", confirm(), now()),
        Err(RefusalCode::AlreadyDecided)
    );
}

#[test]
fn the_managers_last_word_about_a_number_goes_before_every_other() {
    let numbers = [policy(Profile::Transparent, Some(configured()))];
    let mut register = common::register();
    for (fact, expected) in [
        (decided(5, "2027-03-31"), format!("waived by {}", id(5))),
        // What the configuration said is withdrawn: what was decided stands.
        (withdrawn(1), format!("waived by {}", id(5))),
        (decided(6, "2027-03-31"), format!("waived by {}", id(6))),
        // No older one comes back, nor what the configuration says.
        (withdrawn(6), "announced".to_owned()),
    ] {
        ask(&mut register, "kacho", fact, now()).unwrap();
        assert_eq!(told(&register, &numbers[0], now()), expected);
    }
    assert_eq!(
        ask(&mut register, "kacho", withdrawn(5), now()),
        Err(RefusalCode::AlreadyDecided),
        "another word took its place"
    );
    let states: Vec<_> = register
        .waivers()
        .iter()
        .map(|(_, waiver)| waiver.state(now()).code())
        .collect();
    assert_eq!(states, ["withdrawn", "superseded", "withdrawn"]);
    let reworded =
        NumberDecision::by_configuration(id(9), number(), "広第2号", date(2026, 12, 1), "root");
    assert_eq!(
        register.waivers().state_of(&reworded.unwrap(), now()),
        WaiverState::Superseded,
        "new words in the configuration do not overrule the manager"
    );
}

#[test]
fn the_public_is_told_how_many_there_are_and_why() {
    let numbers = [policy(Profile::Transparent, Some(configured()))];
    let mut register = common::register();
    let counts = |register: &Register, at| register.waivers().counts(&numbers, at);
    let none = WaiverCounts::default();
    let unconfirmed = 1;
    assert_eq!(
        counts(&register, now()),
        WaiverCounts {
            unconfirmed,
            ..none
        }
    );
    ask(&mut register, "kacho", decided(5, "2027-03-31"), now()).unwrap();
    let by_means = 1;
    assert_eq!(counts(&register, now()), WaiverCounts { by_means, ..none });
    let later = now() + (24 * 200).hours();
    let lapsed = 1;
    assert_eq!(counts(&register, later), WaiverCounts { lapsed, ..none });
}

#[test]
fn only_the_manager_of_the_numbers_unit_decides_and_for_a_year_at_most() {
    let mut register = common::register();
    let mut refused = |by: &str, fact| ask(&mut register, by, fact, now()).unwrap_err();
    for by in ["hanako", "kanri"] {
        for fact in [
            decided(5, "2027-03-31"),
            confirmed(1, "2027-03-31"),
            withdrawn(1),
        ] {
            assert_eq!(refused(by, fact), RefusalCode::RoleNotPermitted, "{by}");
        }
    }
    for late in ["2027-11-25", "2026-11-23"] {
        assert_eq!(
            refused("kacho", decided(5, late)),
            RefusalCode::ReviewTooLate
        );
        assert_eq!(
            refused("kacho", confirmed(1, late)),
            RefusalCode::ReviewTooLate
        );
    }
    let unit: Label = "他の課".parse().unwrap();
    let elsewhere = WaiverFact::Withdrawn {
        decision: id(1),
        number: number(),
        unit,
    };
    assert_eq!(
        refused("kacho", Fact::Waiver(elsewhere)),
        RefusalCode::OrgNotPermitted
    );
}

#[test]
fn a_deputy_decides_inside_the_period_and_another_numbers_decision_is_none_of_this_one() {
    let deputised = Fact::Deputised {
        person: "hanako".parse().unwrap(),
        period: Period::new("2026-11-24".parse().unwrap(), "2026-11-30".parse().unwrap()).unwrap(),
        basis: Digest([3; 32]),
    };
    let mut register = common::register_with(vec![deputised]);
    let decide = || decided(5, "2027-03-31");
    assert_eq!(
        ask(&mut register, "hanako", decide(), now() + (24 * 10).hours()),
        Err(RefusalCode::DeputyNotInPeriod)
    );
    assert_eq!(ask(&mut register, "hanako", decide(), now()), Ok(true));
    let other = WaiverFact::Withdrawn {
        decision: id(5),
        number: Number::parse("0783331001").unwrap(),
        unit: common::unit(),
    };
    let proved = common::proved("kacho");
    let asked = register.request(&common::petitioner(&proved), Fact::Waiver(other), now());
    assert_eq!(asked.unwrap_err(), RegisterFault::NoSuchWaiver(id(5)));
}

#[test]
fn whoever_carries_calls_believes_no_word_that_no_register_has() {
    let mut register = common::register();
    ask(&mut register, "kacho", decided(5, "2027-11-24"), now()).unwrap();
    let notices = |register: &Register| register.waivers().notices();
    assert_eq!(notices(&register).check(now()), Ok(()));
    assert_eq!(
        notices(&register).check(now() + (24 * 900).hours()),
        Ok(()),
        "lapsed, not forged"
    );
    let early = notices(&register).check(now() - (24 * 2).hours());
    assert!(matches!(early, Err(NoticesFault::ReviewTooLate { .. })));

    let longer = common::register_with(vec![decided(5, "2027-11-25")]);
    let longer = notices(&longer).check(now());
    assert!(matches!(longer, Err(NoticesFault::ReviewTooLate { .. })));
    let forged = Notices::from(vec![NumberNotice::Waived(configured())]);
    assert_eq!(forged.check(now()), Err(NoticesFault::NoManager(id(1))));
}
