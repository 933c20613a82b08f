//! A declared emergency: new calls go through at once, recorded without the notice, until it ends by itself (K-05).

use std::time::Duration;

use expect_test::expect;
use jiff::SignedDuration;
use rules::{AuditEvent, NoticeKind, NoticeRecord, Number, Scope};
use tests::{
    City, Plan,
    carrier::Dial,
    plan::{NUMBER, OTHER_NUMBER},
};

/// A call from its dial tone to its end; the kind of notice it was recorded under.
pub(crate) fn call_through(city: &mut City, number: &str) -> (usize, NoticeKind) {
    let before = city.pbx.calls.len();
    let call = city.dial(Dial::to(number));
    city.run_until("connected", |city| city.is_talking(before));
    city.run_ms(1_000);
    city.hang_up(call);
    city.run_until("over", |city| !city.caller(call).end_of_call().is_empty());
    city.run_ms(100);
    (
        call,
        city.recorder
            .closed
            .last()
            .expect("it was recorded")
            .notice
            .kind(),
    )
}

#[test]
fn an_emergency_declared_between_two_calls_spares_the_second_the_notice() {
    let mut city = City::new(Plan::announce());
    let (_, first) = call_through(&mut city, NUMBER);
    let emergency = city.declare(Scope::All, 4).unwrap();
    let (second_call, second) = call_through(&mut city, NUMBER);
    city.lift().unwrap();
    let (_, third) = call_through(&mut city, NUMBER);
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
        0002.010 |                     [recording: emergency]                      |
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
        [first, second, third],
        [
            NoticeKind::Announced,
            NoticeKind::Emergency,
            NoticeKind::Announced
        ]
    );
    assert_eq!(city.record(second_call).emergency, Some(emergency.id()));
    assert_eq!(city.saved.len(), 2);
    let events: Vec<_> = city.audits.iter().map(|draft| &draft.event).collect();
    assert!(
        matches!(
            events[..],
            [
                AuditEvent::EmergencyDeclared { .. },
                AuditEvent::EmergencyLifted { .. }
            ]
        ),
        "{events:?}"
    );
}

#[test]
fn a_call_in_the_middle_of_the_notice_finishes_it() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_ms(3_000);
    city.declare(Scope::All, 4).unwrap();
    city.run_until("connected", |city| city.is_talking(0));
    city.hang_up(call);
    city.finish();
    assert_eq!(city.recorder.closed[0].notice.kind(), NoticeKind::Announced);
    assert_eq!(city.record(call).emergency, None);
}

#[test]
fn an_emergency_of_one_number_leaves_the_other_its_notice() {
    let mut city = City::new(Plan::announce());
    city.declare(Scope::Number(Number::parse(NUMBER).unwrap()), 1)
        .unwrap();
    assert_eq!(call_through(&mut city, NUMBER).1, NoticeKind::Emergency);
    assert_eq!(
        call_through(&mut city, OTHER_NUMBER).1,
        NoticeKind::Announced
    );
    city.finish();
}

#[test]
fn an_emergency_ends_by_itself_and_says_so() {
    let mut city = City::new(Plan::announce());
    city.declare(Scope::All, 1).unwrap();
    city.run_ms(3_599_000);
    assert_eq!(call_through(&mut city, NUMBER).1, NoticeKind::Emergency);
    assert_eq!(call_through(&mut city, NUMBER).1, NoticeKind::Announced);
    city.finish();
    assert!(matches!(
        city.audits.last().unwrap().event,
        AuditEvent::EmergencyExpired { .. }
    ));
    assert!(city.saved.last().unwrap().declared().is_empty());
    assert!(
        city.wiring
            .poll_timeout()
            .is_none_or(|(due, _)| due > city.clock.now().at + Duration::from_secs(2))
    );
}

#[test]
fn a_step_of_the_wall_clock_neither_ends_nor_prolongs_it() {
    for step_h in [-3, 3] {
        let mut city = City::new(Plan::announce());
        city.declare(Scope::All, 1).unwrap();
        city.run_ms(1_000);
        city.step_wall(SignedDuration::from_hours(step_h));
        city.run_ms(3_500_000);
        assert_eq!(
            call_through(&mut city, NUMBER).1,
            NoticeKind::Emergency,
            "an hour is not over"
        );
        city.run_ms(100_000);
        assert_eq!(
            call_through(&mut city, NUMBER).1,
            NoticeKind::Announced,
            "an hour is over"
        );
        city.finish();
    }
}

#[test]
fn an_emergency_without_a_prompt_records_all_the_same() {
    let mut city = City::new(Plan {
        prompts_missing: vec![announcements::PromptId::RecordingNotice],
        ..Plan::announce()
    });
    city.declare(Scope::All, 1).unwrap();
    assert_eq!(call_through(&mut city, NUMBER).1, NoticeKind::Emergency);
    city.finish();
}

#[test]
fn a_call_that_began_under_an_emergency_stays_under_it_when_it_is_lifted_while_it_rings() {
    let mut city = City::new(Plan::announce());
    city.declare(Scope::All, 1).unwrap();
    let call = city.dial(Dial::to(NUMBER));
    city.run_ms(500);
    city.lift().unwrap();
    city.run_until("connected", |city| city.is_talking(0));
    city.hang_up(call);
    city.finish();
    assert_eq!(city.recorder.closed[0].notice.kind(), NoticeKind::Emergency);
}

#[test]
fn an_emergency_that_comes_and_goes_in_a_busy_minute_costs_no_call() {
    let mut city = City::new(Plan {
        legs: 200,
        ..Plan::announce()
    });
    let calls: Vec<usize> = (0..60)
        .map(|index| {
            match index {
                20 => drop(city.declare(Scope::All, 1).unwrap()),
                40 => drop(city.lift().unwrap()),
                _ => {}
            }
            let call = city.dial(Dial::to(NUMBER));
            city.run_ms(100);
            call
        })
        .collect();
    city.run_until("all connected", |city| {
        (0..60).all(|index| city.is_talking(index))
    });
    city.run_ms(500);
    for call in calls {
        city.hang_up(call);
    }
    city.finish();
    let kinds: Vec<NoticeKind> = city
        .calls()
        .iter()
        .filter_map(|call| {
            city.recorder
                .record(*call)?
                .notice
                .as_ref()
                .map(NoticeRecord::kind)
        })
        .collect();
    let expected = [
        [NoticeKind::Announced; 20],
        [NoticeKind::Emergency; 20],
        [NoticeKind::Announced; 20],
    ]
    .concat();
    assert_eq!(kinds, expected);
}
