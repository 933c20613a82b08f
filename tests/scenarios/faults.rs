//! What breaks in our own house: a panic, a shard, the recorder, and the end of service.

use std::time::Duration;

use exchange::{Alarm, FaultMoment, Limits};
use expect_test::expect;
use rules::{EndCause, NoticeKind, Reason};
use tests::{
    City, Plan,
    carrier::Dial,
    department::refuses,
    plan::{NUMBER, OTHER_NUMBER},
};

#[test]
fn a_panic_inside_one_call_leaves_its_neighbour_untouched() {
    let mut city = City::new(Plan {
        broken_number: Some(OTHER_NUMBER),
        ..Plan::announce()
    });
    let neighbour = city.dial(Dial::to(NUMBER));
    city.run_ms(500);
    let broken = city.dial(Dial::to(OTHER_NUMBER));
    city.run_until("abandoned", |city| !city.abandoned.is_empty());
    city.run_ms(2_000);
    assert!(city.is_talking(0), "the neighbour talks on");
    city.hang_up(neighbour);
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |<------ 200 INVITE (sdp) -------|                                |
        0000.000 |                           [ExpectAck]                           |
        0000.010 |------------- ACK ------------->|                                |
        0000.010 |                          [Announcing]                           |
        0007.583 |                    [notice sent to its end]                     |
        0007.583 |                                |-------- INVITE (sdp) --------->|
        0007.583 |                            [Calling]                            |
        0007.593 |                                |<--------- 100 INVITE ----------|
        0007.693 |                                |<--------- 180 INVITE ----------|
        0009.593 |                                |<------ 200 INVITE (sdp) -------|
        0009.593 |                                |------------- ACK ------------->|
        0009.593 |<------------- BYE -------------|                                |
        0009.593 |                                |------------- BYE ------------->|
        0009.593 |                          [Over: FAULT]                          |
        0009.603 |----------- 200 BYE ----------->|                                |
        0009.603 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(broken));
    assert_eq!(city.abandoned, [city.calls()[broken]]);
    assert_eq!(city.caller(broken).end_of_call(), "was hung up on");
    assert_eq!(city.telephone(1).end_of_call(), "was hung up on");
    assert_eq!(city.record(broken).end_cause, Some(EndCause::Fault));
    assert_eq!(
        city.record(neighbour).end_cause,
        Some(EndCause::CallerHungUp)
    );
    assert_eq!(city.recorder.closed.len(), 1);
    let speech = city.telephone(0).voice.heard_speech();
    assert!(
        speech.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "the neighbour lost not one frame"
    );
}

#[test]
fn a_panic_while_a_call_begins_leaves_its_row() {
    for plan in [Plan::announce(), Plan::transparent()] {
        let mut city = City::new(Plan {
            broken_number: Some(NUMBER),
            broken_at: FaultMoment::Beginning,
            ..plan
        });
        let call = city.dial(Dial::to(NUMBER));
        city.finish();
        assert_eq!(city.abandoned, [city.calls()[call]]);
        assert_eq!(city.caller(call).end_of_call(), "500");
        let record = city.record(call);
        assert_eq!(record.end_cause, Some(EndCause::Fault));
        assert_eq!(record.unrecorded, Some(Reason::NotAnswered));
    }
}

#[test]
fn a_panic_before_a_call_is_taken_in_gets_500_and_ends_nothing_else() {
    let mut city = City::new(Plan {
        broken_number: Some(NUMBER),
        broken_at: FaultMoment::Admitting,
        ..Plan::transparent()
    });
    let call = city.dial(Dial::to(NUMBER));
    let other = city.dial(Dial::to(OTHER_NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.hang_up(other);
    city.finish();
    assert_eq!(city.caller(call).end_of_call(), "500");
    assert_eq!(city.abandoned.len(), 1);
}

#[test]
fn a_panic_after_the_recorder_refused_ends_no_recording() {
    // The recorder has no key, so nothing was begun; an end would name a recording that is not there.
    let mut city = City::new(Plan {
        has_keys: false,
        broken_number: Some(NUMBER),
        broken_at: FaultMoment::HangingUp,
        ..Plan::announce()
    });
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(1_000);
    city.department_hangs_up(0);
    city.finish();
    assert_eq!(city.abandoned, [city.calls()[call]]);
    assert!(city.recorder.closed.is_empty());
    let record = city.record(call);
    assert_eq!(record.end_cause, Some(EndCause::Fault));
    assert_eq!(record.unrecorded, Some(Reason::RecorderFault));
}

#[test]
fn a_lost_shard_ends_its_calls_on_both_sides() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(1_000);
    city.lose_shard();
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |<------ 200 INVITE (sdp) -------|                                |
        0000.000 |                           [ExpectAck]                           |
        0000.010 |------------- ACK ------------->|                                |
        0000.010 |                          [Announcing]                           |
        0007.583 |                    [notice sent to its end]                     |
        0007.583 |                                |-------- INVITE (sdp) --------->|
        0007.583 |                            [Calling]                            |
        0007.593 |                                |<--------- 100 INVITE ----------|
        0007.693 |                                |<--------- 180 INVITE ----------|
        0009.593 |                                |<------ 200 INVITE (sdp) -------|
        0009.593 |                                |------------- ACK ------------->|
        0009.593 |                     [recording: announced]                      |
        0009.593 |                            [Talking]                            |
        0010.598 |<------------- BYE -------------|                                |
        0010.598 |                                |------------- BYE ------------->|
        0010.598 |                       [Over: MEDIA_LOST]                        |
        0010.608 |----------- 200 BYE ----------->|                                |
        0010.608 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(call));
    assert_eq!(city.record(call).end_cause, Some(EndCause::MediaLost));
    assert_eq!(
        city.recorder.closed.len(),
        1,
        "what was kept before is kept"
    );
    assert_eq!(city.alarms, [Alarm::ShardLost { shard: 0, calls: 1 }]);
    let later = city.dial(Dial::to(NUMBER));
    city.finish();
    assert_eq!(
        city.caller(later).end_of_call(),
        "503",
        "no ports, no calls"
    );
}

#[test]
fn a_day_without_its_key_costs_the_recording_and_not_the_call() {
    let mut city = City::new(Plan {
        has_keys: false,
        ..Plan::announce()
    });
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(1_000);
    assert!(city.is_talking(0));
    city.hang_up(call);
    city.finish();
    assert_eq!(city.record(call).unrecorded, Some(Reason::RecorderFault));
    assert_eq!(city.record(call).notice, None);
    assert!(city.telephone(0).voice.heard_speech().len() > 45);
    assert_eq!(city.alarms.len(), 1);
}

#[test]
fn the_end_of_service_ends_every_call_with_bye_whatever_its_stage() {
    for after_ms in [0, 15, 3_000, 9_000, 12_000] {
        let mut city = City::new(Plan::announce());
        let call = city.dial(Dial::to(NUMBER));
        city.run_ms(after_ms);
        city.shut_down();
        city.finish();
        let later = city.dial(Dial::to(NUMBER));
        city.finish();
        assert_eq!(
            city.caller(later).end_of_call(),
            "503",
            "no new call is taken"
        );
        if after_ms == 12_000 {
            assert_eq!(city.recorder.closed[0].notice.kind(), NoticeKind::Announced);
            expect![[r#"
                seconds  carrier                       denwaban                       department
                0000.000 |-------- INVITE (sdp) --------->|                                |
                0000.000 |<--------- 100 INVITE ----------|                                |
                0000.000 |<------ 200 INVITE (sdp) -------|                                |
                0000.000 |                           [ExpectAck]                           |
                0000.010 |------------- ACK ------------->|                                |
                0000.010 |                          [Announcing]                           |
                0007.583 |                    [notice sent to its end]                     |
                0007.583 |                                |-------- INVITE (sdp) --------->|
                0007.583 |                            [Calling]                            |
                0007.593 |                                |<--------- 100 INVITE ----------|
                0007.693 |                                |<--------- 180 INVITE ----------|
                0009.593 |                                |<------ 200 INVITE (sdp) -------|
                0009.593 |                                |------------- ACK ------------->|
                0009.593 |                     [recording: announced]                      |
                0009.593 |                            [Talking]                            |
                0011.995 |<------------- BYE -------------|                                |
                0011.995 |                                |------------- BYE ------------->|
                0011.995 |                        [Over: SHUTDOWN]                         |
                0012.005 |----------- 200 BYE ----------->|                                |
                0012.005 |                                |<----------- 200 BYE -----------|
            "#]]
            .assert_eq(&city.ladder(call));
        }
    }
}

#[test]
fn the_end_of_service_refuses_a_call_that_only_rings() {
    let mut city = City::new(Plan::transparent());
    let call = city.dial(Dial::to(NUMBER));
    city.run_ms(500);
    city.shut_down();
    city.finish();
    assert_eq!(city.caller(call).end_of_call(), "503");
    assert_eq!(city.telephone(0).end_of_call(), "cancelled");
}

#[test]
fn a_shard_that_never_reports_the_notice_costs_the_recording_and_not_the_call() {
    let mut city = City::new(Plan {
        is_shard_mute: true,
        ..Plan::announce()
    });
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(1_000);
    city.hang_up(call);
    city.finish();
    assert_eq!(
        city.record(call).unrecorded,
        Some(Reason::NoAnnouncement),
        "what nobody reports has not been played"
    );
    assert_eq!(
        city.alarms,
        [Alarm::NoticeCutShort {
            call: city.calls()[call]
        }]
    );
    assert!(city.telephone(0).voice.heard_speech().len() > 45);
}

#[test]
fn a_shard_that_never_reports_the_closing_prompt_does_not_hold_the_caller() {
    let mut city = City::new(
        Plan {
            is_shard_mute: true,
            ..Plan::announce()
        }
        .with("100", refuses(486)),
    );
    let call = city.dial(Dial::to(NUMBER));
    city.finish();
    assert_eq!(city.caller(call).end_of_call(), "was hung up on");
    assert_eq!(city.record(call).end_cause, Some(EndCause::Busy));
}

#[test]
fn a_call_whose_parties_forgot_it_ends_at_the_longest_that_a_call_may_last() {
    let limits = Limits {
        longest_call: Duration::from_secs(60),
        ..Limits::default()
    };
    let mut city = City::new(Plan {
        limits,
        ..Plan::announce()
    });
    let call = city.dial(Dial::to(NUMBER));
    city.finish();
    assert_eq!(city.caller(call).end_of_call(), "was hung up on");
    assert_eq!(city.telephone(0).end_of_call(), "was hung up on");
    assert_eq!(city.recorder.closed.len(), 1);
    assert_eq!(city.record(call).end_cause, Some(EndCause::LongestCall));
}
