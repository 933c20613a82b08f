//! The network loses, repeats and delays; parties speak at the same time.

use std::time::Duration;

use exchange::{Input, Unreachable};
use expect_test::expect;
use rules::{EndCause, Reason};
use sip_core::Hop;
use tests::{City, Plan, carrier::Dial, line::Extra, net::Weather, plan::NUMBER};

use crate::renegotiation::talking_in;

#[test]
fn a_repeated_invite_is_one_call() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    for _ in 0..2 {
        city.run_ms(2);
        let again = city.carrier.invite(call);
        city.send(again);
    }
    city.run_until("connected", |city| city.is_talking(0));
    city.hang_up(call);
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |<------ 200 INVITE (sdp) -------|                                |
        0000.000 |                           [ExpectAck]                           |
        0000.002 |----- INVITE (sdp) again ------>|                                |
        0000.004 |----- INVITE (sdp) again ------>|                                |
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
        0009.603 |------------- BYE ------------->|                                |
        0009.603 |<----------- 200 BYE -----------|                                |
        0009.603 |                                |------------- BYE ------------->|
        0009.603 |                     [Over: CALLER_HUNG_UP]                      |
        0009.613 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(call));
    assert_eq!(city.pbx.calls.len(), 1);
}

#[test]
fn a_lost_ack_delays_the_notice_and_loses_nothing_of_it() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial {
        acks_missing: 2,
        ..Dial::to(NUMBER)
    });
    city.run_until("connected", |city| city.is_talking(0));
    city.hang_up(call);
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |<------ 200 INVITE (sdp) -------|                                |
        0000.000 |                           [ExpectAck]                           |
        0000.500 |<--- 200 INVITE (sdp) again ----|                                |
        0001.500 |<--- 200 INVITE (sdp) again ----|                                |
        0001.510 |------------- ACK ------------->|                                |
        0001.510 |                          [Announcing]                           |
        0009.083 |                    [notice sent to its end]                     |
        0009.083 |                                |-------- INVITE (sdp) --------->|
        0009.083 |                            [Calling]                            |
        0009.093 |                                |<--------- 100 INVITE ----------|
        0009.193 |                                |<--------- 180 INVITE ----------|
        0011.093 |                                |<------ 200 INVITE (sdp) -------|
        0011.093 |                                |------------- ACK ------------->|
        0011.093 |                     [recording: announced]                      |
        0011.093 |                            [Talking]                            |
        0011.103 |------------- BYE ------------->|                                |
        0011.103 |<----------- 200 BYE -----------|                                |
        0011.103 |                                |------------- BYE ------------->|
        0011.103 |                     [Over: CALLER_HUNG_UP]                      |
        0011.113 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(call));
    assert_eq!(city.recorder.closed.len(), 1);
}

#[test]
fn an_ack_that_never_comes_ends_the_call() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial {
        acks_missing: u32::MAX,
        ..Dial::to(NUMBER)
    });
    city.finish();
    assert_eq!(city.caller(call).end_of_call(), "was hung up on");
    assert_eq!(city.record(call).end_cause, Some(EndCause::NotAcknowledged));
    assert_eq!(city.record(call).unrecorded, Some(Reason::NotAnswered));
    assert!(city.pbx.calls.is_empty() && city.playbacks.is_empty());
}

#[test]
fn byes_that_cross_end_the_call_once() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(1_000);
    city.hang_up(call);
    city.run_ms(6);
    city.department_hangs_up(0);
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
        0010.603 |------------- BYE ------------->|                                |
        0010.603 |<----------- 200 BYE -----------|                                |
        0010.603 |                                |------------- BYE ------------->|
        0010.603 |                     [Over: CALLER_HUNG_UP]                      |
        0010.609 |                                |<------------- BYE -------------|
        0010.609 |                                |----------- 200 BYE ----------->|
        0010.613 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(call));
    assert_eq!(city.record(call).end_cause, Some(EndCause::CallerHungUp));
    assert_eq!(city.recorder.closed.len(), 1);
}

#[test]
fn both_parties_that_hang_up_at_the_same_moment_get_their_answer() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.hang_up(call);
    city.department_hangs_up(0);
    city.finish();
    assert!(
        city.caller(call)
            .other_answers
            .contains(&"200 BYE".to_owned())
    );
    assert!(
        city.telephone(0).answers.contains(&"200 BYE".to_owned()),
        "{:?}",
        city.telephone(0).answers
    );
}

#[test]
fn with_5_percent_lost_both_ways_and_some_repeated_every_call_comes_to_its_end() {
    let mut lost = 0;
    for seed in 0..30 {
        let weather = Weather {
            overtake_permille: 0,
            delay: Duration::from_millis(20),
            loss_permille: 50,
            repeat_permille: 20,
        };
        let mut city = City::new(Plan {
            weather,
            seed,
            ..Plan::announce()
        });
        let call = city.dial(Dial::to(NUMBER));
        city.run_until(&format!("connected, seed {seed}"), |city| {
            city.is_talking(0)
        });
        city.run_ms(2_000);
        if seed % 2 == 0 {
            city.hang_up(call);
        } else {
            city.department_hangs_up(0);
        }
        city.finish();
        assert_eq!(city.recorder.closed.len(), 1, "seed {seed}");
        let kept = city.recorder.closed[0].carrier.len();
        assert!(
            (15_000..22_000).contains(&kept),
            "seed {seed}: {kept} samples of two seconds and what the handshake took"
        );
        lost += city.lost();
    }
    assert!(lost > 1_000, "the network did lose packets: {lost}");
}

#[test]
fn an_error_of_the_network_while_a_hold_is_passed_on_ends_no_call() {
    // The host of the held side reports once that nobody listens at its port.
    let (mut city, citizen, department) = talking_in(Plan {
        is_waived: true,
        ..Plan::transparent()
    });
    let body = city.lines[department].describe("sendonly");
    city.line_says(department, "INVITE", &Extra::body(body));
    city.run_ms(6);
    let ours = "127.0.0.1:5060".parse().unwrap();
    let theirs = city.lines[citizen].address;
    city.tell(Input::Unreachable {
        hop: Hop::udp(ours, theirs),
        why: Unreachable::Nobody,
    });
    city.run_until_line(department, "488 INVITE", 1);
    city.run_ms(2_000);
    for line in [citizen, department] {
        assert_eq!(city.lines[line].end_of_call(), "");
    }
}
