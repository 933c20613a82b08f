//! An answered caller whose department cannot be had hears why, in Japanese, and never silence (S-15).

use std::time::Duration;

use announcements::PromptId;
use expect_test::expect;
use media::Codec;
use rules::{EndCause, Reason};
use tests::{
    City, Plan,
    carrier::Dial,
    department::{Manners, Step, answers_after, refuses, rings_on},
    plan::NUMBER,
};

/// Runs a call of one telephone to its end and says what the caller was told last.
fn told(manners: Manners) -> (City, PromptId) {
    let mut city = City::new(
        Plan {
            targets: vec![("100", 5)],
            ..Plan::announce()
        }
        .with("100", manners),
    );
    city.dial(Dial::to(NUMBER));
    city.finish();
    let prompt = last_prompt(&city);
    (city, prompt)
}

/// The prompt whose speech is the last that the caller heard.
fn last_prompt(city: &City) -> PromptId {
    let sound: Vec<u8> = city
        .caller(0)
        .voice
        .heard
        .iter()
        .flat_map(|packet| packet.payload.clone())
        .collect();
    let heard = |id: &PromptId| {
        let prompt = city.prompt(*id);
        let speech = prompt.clip.encoded(Codec::Pcmu);
        // The last packet may be padded to its 20 ms.
        sound.len() >= speech.len()
            && (0..160).any(|padding| sound[..sound.len() - padding].ends_with(speech))
    };
    PromptId::ALL
        .into_iter()
        .find(heard)
        .expect("the caller heard a prompt to its end")
}

#[test]
fn a_busy_department_is_said_to_be_busy() {
    let (city, prompt) = told(refuses(486));
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
        0007.613 |                                |<--------- 486 INVITE ----------|
        0007.613 |                                |------------- ACK ------------->|
        0007.613 |                          [prompt busy]                          |
        0007.613 |                            [Closing]                            |
        0017.945 |<------------- BYE -------------|                                |
        0017.945 |                          [Over: BUSY]                           |
        0017.955 |----------- 200 BYE ----------->|                                |
    "#]]
    .assert_eq(&city.ladder(0));
    assert_eq!(prompt, PromptId::Busy);
    assert_eq!(city.caller(0).reason, "Q.850;cause=17;text=\"User busy\"");
    assert_eq!(city.record(0).end_cause, Some(EndCause::Busy));
    assert_eq!(city.record(0).unrecorded, Some(Reason::NotAnswered));
}

#[test]
fn a_department_that_nobody_answers_is_said_to_be_so() {
    let (city, prompt) = told(rings_on());
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
        0012.583 |                                |----------- CANCEL ------------>|
        0012.583 |                       [prompt no-answer]                        |
        0012.583 |                            [Closing]                            |
        0012.593 |                                |<--------- 200 CANCEL ----------|
        0012.593 |                                |<--------- 487 INVITE ----------|
        0012.593 |                                |------------- ACK ------------->|
        0022.898 |<------------- BYE -------------|                                |
        0022.898 |                        [Over: NO_ANSWER]                        |
        0022.908 |----------- 200 BYE ----------->|                                |
    "#]]
    .assert_eq(&city.ladder(0));
    assert_eq!(prompt, PromptId::NoAnswer);
    assert_eq!(city.record(0).end_cause, Some(EndCause::NoAnswer));
}

#[test]
fn each_refusal_has_its_prompt() {
    for (status, expected) in [
        (600, PromptId::Busy),
        (603, PromptId::Busy),
        (480, PromptId::NoAnswer),
        (408, PromptId::NoAnswer),
        (403, PromptId::Closed),
        (404, PromptId::NoAnswer),
        (500, PromptId::Congestion),
        (503, PromptId::Congestion),
        (401, PromptId::Congestion),
    ] {
        let (_, prompt) = told(refuses(status));
        assert_eq!(prompt, expected, "{status}");
    }
}

#[test]
fn a_pbx_that_is_away_is_congestion_to_the_caller_and_unreachable_in_the_record() {
    let mut city = City::new(Plan {
        is_pbx_away: true,
        ..Plan::announce()
    });
    let call = city.dial(Dial::to(NUMBER));
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
        0007.588 |                       [prompt congestion]                       |
        0007.588 |                            [Closing]                            |
        0018.697 |<------------- BYE -------------|                                |
        0018.697 |                       [Over: UNREACHABLE]                       |
        0018.707 |----------- 200 BYE ----------->|                                |
    "#]]
    .assert_eq(&city.ladder(call));
    assert_eq!(last_prompt(&city), PromptId::Congestion);
    assert_eq!(city.record(call).end_cause, Some(EndCause::Unreachable));
}

#[test]
fn a_target_that_hangs_up_before_it_answers_gives_way_to_the_next() {
    // A PBX may end an early dialog by BYE; waiting for the ring limit would only keep the caller.
    for plan in [Plan::announce(), Plan::transparent()] {
        let plan = Plan {
            targets: vec![("100", 60), ("101", 20)],
            ..plan
        };
        let mut hangs_up_early = rings_on();
        hangs_up_early.push((Duration::from_millis(400), Step::HangUp));
        let city = City::new(
            plan.with("100", hangs_up_early)
                .with("101", answers_after(500)),
        );
        let mut city = city;
        let call = city.dial(Dial::to(NUMBER));
        city.run_ms(10_000);
        assert!(city.is_talking(1), "within the ring limit of the first");
        city.hang_up(call);
        city.finish();
    }
}

#[test]
fn the_second_target_answers_when_the_first_is_busy_or_rings_too_long() {
    for (first, ring_s) in [(refuses(486), 20), (rings_on(), 3)] {
        let plan = Plan {
            targets: vec![("100", ring_s), ("101", 20)],
            ..Plan::announce()
        };
        let mut city = City::new(plan.with("100", first).with("101", answers_after(500)));
        let call = city.dial(Dial::to(NUMBER));
        city.run_until("connected", |city| city.is_talking(1));
        city.run_ms(1_000);
        city.hang_up(call);
        city.finish();
        assert_eq!(city.recorder.closed.len(), 1);
        assert_eq!(city.record(call).end_cause, Some(EndCause::CallerHungUp));
        if ring_s == 3 {
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
                0010.583 |                                |----------- CANCEL ------------>|
                0010.583 |                                |-------- INVITE (sdp) --------->|
                0010.593 |                                |<--------- 200 CANCEL ----------|
                0010.593 |                                |<--------- 487 INVITE ----------|
                0010.593 |                                |------------- ACK ------------->|
                0010.593 |                                |<--------- 100 INVITE ----------|
                0010.693 |                                |<--------- 180 INVITE ----------|
                0011.093 |                                |<------ 200 INVITE (sdp) -------|
                0011.093 |                                |------------- ACK ------------->|
                0011.093 |                     [recording: announced]                      |
                0011.093 |                            [Talking]                            |
                0012.103 |------------- BYE ------------->|                                |
                0012.103 |<----------- 200 BYE -----------|                                |
                0012.103 |                                |------------- BYE ------------->|
                0012.103 |                     [Over: CALLER_HUNG_UP]                      |
                0012.113 |                                |<----------- 200 BYE -----------|
            "#]]
            .assert_eq(&city.ladder(call));
        }
    }
}

#[test]
fn of_two_failures_the_caller_hears_the_more_telling() {
    let plan = Plan {
        targets: vec![("100", 20), ("101", 20)],
        ..Plan::announce()
    };
    let mut city = City::new(plan.with("100", refuses(486)).with("101", refuses(503)));
    city.dial(Dial::to(NUMBER));
    city.finish();
    assert_eq!(last_prompt(&city), PromptId::Busy);
}

#[test]
fn a_target_that_answers_with_media_of_a_stranger_is_hung_up_on_and_the_next_is_tried() {
    let stranger = "198.51.100.7:4000".parse().unwrap();
    let answers = vec![(Duration::from_millis(100), Step::AnswerAt(stranger))];
    let plan = Plan {
        targets: vec![("100", 20), ("101", 20)],
        ..Plan::announce()
    };
    let mut city = City::new(plan.with("100", answers).with("101", answers_after(500)));
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(1));
    city.hang_up(call);
    city.finish();
    assert_eq!(city.telephone(0).end_of_call(), "was hung up on");
    assert!(
        city.media_sent.iter().all(|(_, to)| *to != stranger),
        "T-15: no packet"
    );
}

#[test]
fn a_caller_who_hangs_up_in_the_closing_prompt_ends_it() {
    let mut city = City::new(Plan::announce().with("100", refuses(486)));
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("refused", |city| !city.pbx.calls.is_empty());
    city.run_ms(1_000);
    city.hang_up(call);
    city.finish();
    assert_eq!(city.caller(call).end_of_call(), "hung up");
    assert_eq!(city.record(call).end_cause, Some(EndCause::Busy));
    assert_eq!(city.record(call).unrecorded, Some(Reason::NotAnswered));
}

#[test]
fn without_a_closing_prompt_the_call_ends_at_once_with_its_reason() {
    let mut city = City::new(
        Plan {
            prompts_missing: vec![PromptId::Busy],
            ..Plan::announce()
        }
        .with("100", refuses(486)),
    );
    let call = city.dial(Dial::to(NUMBER));
    city.finish();
    assert_eq!(city.caller(call).end_of_call(), "was hung up on");
    assert_eq!(
        city.caller(call).reason,
        "Q.850;cause=17;text=\"User busy\""
    );
}
