//! A manager decides between two calls that a number's callers are told by other means; past its review the number announces (law 2).

use expect_test::expect;
use jiff::{Timestamp, ToSpan};
use rules::{
    Actor, DecisionId, Digest, Fact, JstDay, NoticeKind, NoticeRecord, Notices, Number, Recorded,
    Register, WaiverBasis, WaiverFact, WaiverTerms,
};
use tests::{
    City, Plan,
    plan::{NUMBER, OTHER_NUMBER},
};

use crate::emergency::call_through;

/// What the register says after these facts about [`NUMBER`], which its manager recorded.
fn notices(at: Timestamp, facts: impl IntoIterator<Item = WaiverFact>) -> Notices {
    let by = Actor::Person {
        unix_user: "denwaban".to_owned(),
        person: Some("kacho".parse().expect("an id")),
    };
    let recorded = facts.into_iter().map(|fact| Recorded {
        at,
        by: by.clone(),
        fact: Fact::Waiver(fact),
    });
    Register::of(recorded).waivers().notices()
}

/// To be looked at again on this very day.
fn decided(at: Timestamp) -> WaiverFact {
    WaiverFact::Decided {
        decision: DecisionId::new(at, 5),
        basis: WaiverBasis::Means,
        terms: WaiverTerms {
            number: Number::parse(NUMBER).expect("a number"),
            unit: "広報課".parse().expect("a label"),
            review: JstDay::of(at),
        },
        text: Digest([7; 32]),
    }
}

fn withdrawn(at: Timestamp) -> WaiverFact {
    WaiverFact::Withdrawn {
        decision: DecisionId::new(at, 5),
        number: Number::parse(NUMBER).expect("a number"),
        unit: "広報課".parse().expect("a label"),
    }
}

#[test]
fn a_decision_between_two_calls_spares_the_second_the_notice_until_its_review_is_over() {
    let mut city = City::new(Plan::announce());
    let (_, first) = call_through(&mut city, NUMBER);
    let at = city.clock.now().wall;
    city.decide_notices(notices(at, [decided(at)]));
    let (second_call, second) = call_through(&mut city, NUMBER);
    let (_, of_another_number) = call_through(&mut city, OTHER_NUMBER);
    let record = city.recorder.closed[1].notice.clone();
    // The second after the end of the day of review.
    let over = JstDay::of(at).next().start() + 1.seconds();
    city.step_wall(city.clock.now().wall.duration_until(over));
    let (_, lapsed) = call_through(&mut city, NUMBER);
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.110 |                                |<--------- 180 INVITE ----------|
        0000.110 |<--------- 180 INVITE ----------|                                |
        0002.010 |                                |<------ 200 INVITE (sdp) -------|
        0002.010 |                                |------------- ACK ------------->|
        0002.010 |<------ 200 INVITE (sdp) -------|                                |
        0002.010 |                      [recording: decision]                      |
        0002.010 |                            [Talking]                            |
        0002.020 |------------- ACK ------------->|                                |
        0003.020 |------------- BYE ------------->|                                |
        0003.020 |<----------- 200 BYE -----------|                                |
        0003.020 |                                |------------- BYE ------------->|
        0003.020 |                     [Over: CALLER_HUNG_UP]                      |
        0003.030 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(second_call));
    assert_eq!(
        [first, second, of_another_number, lapsed],
        [
            NoticeKind::Announced,
            NoticeKind::Decision,
            NoticeKind::Announced,
            NoticeKind::Announced
        ]
    );
    let NoticeRecord::Decision { reference, .. } = record else {
        panic!("the record says by which decision");
    };
    assert_eq!(reference, DecisionId::new(at, 5).to_string());
}

#[test]
fn a_number_whose_waiver_was_withdrawn_announces_whatever_its_profile() {
    let mut city = City::new(Plan {
        is_waived: true,
        ..Plan::transparent()
    });
    assert_eq!(call_through(&mut city, NUMBER).1, NoticeKind::Decision);
    let at = city.clock.now().wall;
    city.decide_notices(notices(at, [decided(at)]));
    assert_eq!(call_through(&mut city, NUMBER).1, NoticeKind::Decision);
    city.decide_notices(notices(at, [decided(at), withdrawn(at)]));
    assert_eq!(call_through(&mut city, NUMBER).1, NoticeKind::Announced);
    city.finish();
}
