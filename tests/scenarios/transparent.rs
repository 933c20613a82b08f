//! Calls whose department answers for itself. The world is whole unless a test says otherwise.

use std::time::Duration;

use expect_test::expect;
use rules::{EndCause, NoticeKind, Reason};
use tests::{
    City, Plan,
    carrier::Dial,
    department::{Step, answers_after, refuses, rings_on},
    plan::NUMBER,
};

#[test]
fn an_unwaived_call_is_connected_and_not_recorded() {
    let mut city = City::new(Plan::transparent());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(1_000);
    city.hang_up(call);
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
        0002.010 |                    [not recorded: NO_WAIVER]                    |
        0002.010 |                            [Talking]                            |
        0002.020 |------------- ACK ------------->|                                |
        0003.020 |------------- BYE ------------->|                                |
        0003.020 |<----------- 200 BYE -----------|                                |
        0003.020 |                                |------------- BYE ------------->|
        0003.020 |                     [Over: CALLER_HUNG_UP]                      |
        0003.030 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(call));
    assert_eq!(city.record(call).unrecorded, Some(Reason::NoWaiver));
    assert!(city.recorder.closed.is_empty());
    assert!(!city.caller(call).voice.heard_speech().is_empty());
}

#[test]
fn a_call_under_a_decision_is_recorded_from_the_departments_answer_on() {
    let mut city = City::new(Plan {
        is_waived: true,
        ..Plan::transparent()
    });
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(1_000);
    city.hang_up(call);
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
    .assert_eq(&city.ladder(call));
    assert_eq!(city.recorder.closed[0].notice.kind(), NoticeKind::Decision);
    assert!(city.playbacks.is_empty(), "nothing was played");
}

#[test]
fn what_the_department_plays_early_is_heard_and_not_recorded() {
    let manners = vec![
        (Duration::from_millis(100), Step::PlayEarly),
        (Duration::from_secs(3), Step::Answer),
    ];
    let mut city = City::new(
        Plan {
            is_waived: true,
            ..Plan::transparent()
        }
        .with("100", manners),
    );
    let call = city.dial(Dial::to(NUMBER));
    city.run_ms(2_500);
    let heard_early = city.caller(call).voice.heard_speech().len();
    assert!(
        heard_early > 100,
        "two seconds of early media: {heard_early} frames"
    );
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(1_000);
    city.hang_up(call);
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.110 |                                |<------ 183 INVITE (sdp) -------|
        0000.110 |<------ 183 INVITE (sdp) -------|                                |
        0003.010 |                                |<------ 200 INVITE (sdp) -------|
        0003.010 |                                |------------- ACK ------------->|
        0003.010 |<------ 200 INVITE (sdp) -------|                                |
        0003.010 |                      [recording: decision]                      |
        0003.010 |                            [Talking]                            |
        0003.020 |------------- ACK ------------->|                                |
        0004.020 |------------- BYE ------------->|                                |
        0004.020 |<----------- 200 BYE -----------|                                |
        0004.020 |                                |------------- BYE ------------->|
        0004.020 |                     [Over: CALLER_HUNG_UP]                      |
        0004.030 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(call));
    let kept = city.recorder.closed[0].city.len();
    assert!(
        kept < 12_000,
        "only what came after the 200: {kept} samples of a second"
    );
}

#[test]
fn a_caller_who_gives_up_while_it_rings_stops_the_ringing() {
    let mut city = City::new(Plan::transparent().with("100", rings_on()));
    let call = city.dial(Dial::to(NUMBER));
    city.run_ms(1_000);
    city.cancel(call);
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
        0001.000 |----------- CANCEL ------------>|                                |
        0001.000 |<--------- 200 CANCEL ----------|                                |
        0001.000 |<--------- 487 INVITE ----------|                                |
        0001.000 |                                |----------- CANCEL ------------>|
        0001.000 |                        [Over: CANCELLED]                        |
        0001.010 |------------- ACK ------------->|                                |
        0001.010 |                                |<--------- 200 CANCEL ----------|
        0001.010 |                                |<--------- 487 INVITE ----------|
        0001.010 |                                |------------- ACK ------------->|
    "#]]
    .assert_eq(&city.ladder(call));
    assert_eq!(city.caller(call).end_of_call(), "487");
    assert_eq!(city.record(call).unrecorded, Some(Reason::CallerHungUp));
    assert_eq!(city.record(call).end_cause, Some(EndCause::Cancelled));
}

#[test]
fn a_cancel_that_crosses_the_departments_200_ends_both_sides() {
    // The 200 leaves the telephone at 1005 ms and is on its way to us when the CANCEL comes.
    let mut city = City::new(
        Plan {
            is_waived: true,
            ..Plan::transparent()
        }
        .with("100", answers_after(1_000)),
    );
    let call = city.dial(Dial::to(NUMBER));
    city.run_ms(1_008);
    city.cancel(call);
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
        0001.008 |----------- CANCEL ------------>|                                |
        0001.008 |<--------- 200 CANCEL ----------|                                |
        0001.008 |<--------- 487 INVITE ----------|                                |
        0001.008 |                                |----------- CANCEL ------------>|
        0001.008 |                        [Over: CANCELLED]                        |
        0001.010 |                                |<------ 200 INVITE (sdp) -------|
        0001.010 |                                |------------- ACK ------------->|
        0001.010 |                [late answer of pbx ended by BYE]                |
        0001.018 |------------- ACK ------------->|                                |
        0001.018 |                                |<--------- 200 CANCEL ----------|
    "#]]
    .assert_eq(&city.ladder(call));
    assert_eq!(city.caller(call).end_of_call(), "487");
    assert_eq!(city.telephone(0).end_of_call(), "was hung up on");
    assert_eq!(city.record(call).unrecorded, Some(Reason::CallerHungUp));
}

#[test]
fn a_cancel_that_crosses_our_200_is_answered_and_the_caller_hangs_up_by_bye() {
    let mut city = City::new(
        Plan {
            is_waived: true,
            ..Plan::transparent()
        }
        .with("100", answers_after(1_000)),
    );
    let call = city.dial(Dial::to(NUMBER));
    city.run_ms(1_017);
    city.cancel(call);
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
        0001.010 |                                |<------ 200 INVITE (sdp) -------|
        0001.010 |                                |------------- ACK ------------->|
        0001.010 |<------ 200 INVITE (sdp) -------|                                |
        0001.010 |                      [recording: decision]                      |
        0001.010 |                            [Talking]                            |
        0001.017 |----------- CANCEL ------------>|                                |
        0001.017 |<--------- 200 CANCEL ----------|                                |
        0001.020 |------------- ACK ------------->|                                |
        0001.020 |------------- BYE ------------->|                                |
        0001.020 |<----------- 200 BYE -----------|                                |
        0001.020 |                                |------------- BYE ------------->|
        0001.020 |                     [Over: CALLER_HUNG_UP]                      |
        0001.030 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(call));
    assert_eq!(city.caller(call).end_of_call(), "hung up");
    assert_eq!(city.record(call).end_cause, Some(EndCause::CallerHungUp));
}

#[test]
fn a_departments_refusal_crosses_and_what_is_between_pbx_and_us_does_not() {
    for (refused, passed) in [
        (486, "486"),
        (480, "480"),
        (404, "404"),
        (503, "500"),
        (603, "603"),
        (302, "480"),
        (401, "502"),
        (407, "502"),
    ] {
        let mut city = City::new(Plan::transparent().with("100", refuses(refused)));
        let call = city.dial(Dial::to(NUMBER));
        city.finish();
        assert_eq!(city.caller(call).end_of_call(), passed, "{refused}");
        assert_eq!(city.caller(call).retry_after, "", "{refused}");
        assert_eq!(city.record(call).unrecorded, Some(Reason::NotAnswered));
    }
}

#[test]
fn the_second_target_is_tried_before_a_refusal_crosses() {
    let plan = Plan {
        targets: vec![("100", 20), ("101", 20)],
        ..Plan::transparent()
    };
    let mut city = City::new(
        plan.with("100", refuses(486))
            .with("101", answers_after(500)),
    );
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(1));
    city.hang_up(call);
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.030 |                                |<--------- 486 INVITE ----------|
        0000.030 |                                |------------- ACK ------------->|
        0000.030 |                                |-------- INVITE (sdp) --------->|
        0000.040 |                                |<--------- 100 INVITE ----------|
        0000.140 |                                |<--------- 180 INVITE ----------|
        0000.140 |<--------- 180 INVITE ----------|                                |
        0000.540 |                                |<------ 200 INVITE (sdp) -------|
        0000.540 |                                |------------- ACK ------------->|
        0000.540 |<------ 200 INVITE (sdp) -------|                                |
        0000.540 |                    [not recorded: NO_WAIVER]                    |
        0000.540 |                            [Talking]                            |
        0000.550 |------------- ACK ------------->|                                |
        0000.550 |------------- BYE ------------->|                                |
        0000.550 |<----------- 200 BYE -----------|                                |
        0000.550 |                                |------------- BYE ------------->|
        0000.550 |                     [Over: CALLER_HUNG_UP]                      |
        0000.560 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(call));
    assert!(!city.caller(call).got(486));
}

#[test]
fn a_department_that_is_not_answered_in_its_time_is_not_answered() {
    let mut city = City::new(
        Plan {
            targets: vec![("100", 5)],
            ..Plan::transparent()
        }
        .with("100", rings_on()),
    );
    let call = city.dial(Dial::to(NUMBER));
    city.finish();
    assert_eq!(city.caller(call).end_of_call(), "480");
    assert_eq!(city.record(call).end_cause, Some(EndCause::NoAnswer));
}

#[test]
fn an_early_answer_that_fails_gives_the_next_target_the_same_codec() {
    let early = vec![
        (Duration::from_millis(100), Step::PlayEarly),
        (Duration::from_secs(1), Step::Refuse(486)),
    ];
    let plan = Plan {
        targets: vec![("100", 20), ("101", 20)],
        ..Plan::transparent()
    };
    let mut city = City::new(plan.with("100", early).with("101", answers_after(500)));
    let call = city.dial(Dial {
        payload_types: vec![8, 0, 101],
        ..Dial::to(NUMBER)
    });
    city.run_until("connected", |city| city.is_talking(1));
    city.run_ms(1_000);
    city.hang_up(call);
    city.finish();
    // In the order of the PBX's settings, whatever the caller's.
    assert_eq!(city.telephone(0).invite.payload_types(), [0, 8, 101]);
    assert_eq!(city.telephone(1).invite.payload_types(), [0, 101]);
    assert!(city.telephone(1).voice.heard_speech().len() > 40);
}
