//! Calls that hear the notice. The world is whole unless a test says otherwise.

use std::time::Duration;

use announcements::PromptId;
use exchange::Alarm;
use expect_test::expect;
use media::{Codec, Side};
use rules::{EndCause, NoticeKind, Reason};
use tests::{
    City, Plan,
    carrier::Dial,
    department::Step,
    plan::NUMBER,
    voice::{frames_in, spoken},
};

#[test]
fn an_announced_call_is_told_connected_and_recorded() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(3_000);
    city.hang_up(call);
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
        0012.603 |------------- BYE ------------->|                                |
        0012.603 |<----------- 200 BYE -----------|                                |
        0012.603 |                                |------------- BYE ------------->|
        0012.603 |                     [Over: CALLER_HUNG_UP]                      |
        0012.613 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(call));
    assert_eq!(city.recorder.closed[0].notice.kind(), NoticeKind::Announced);
    assert_eq!(city.record(call).end_cause, Some(EndCause::CallerHungUp));
    assert_eq!(city.alarms, []);
}

#[test]
fn the_notice_is_heard_from_its_first_sample_within_300_ms_and_to_its_last() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.hang_up(call);
    city.finish();
    let caller = city.caller(call);
    let heard = &caller.voice.heard;
    let answered = caller
        .statuses
        .iter()
        .find(|(_, status)| *status == 200)
        .unwrap()
        .0;
    assert!(heard[0].at - answered < Duration::from_millis(300), "R-13");
    let prompt = city.prompt(PromptId::RecordingNotice);
    let notice = prompt.clip.encoded(Codec::Pcmu);
    let sound: Vec<u8> = heard
        .iter()
        .flat_map(|packet| packet.payload.clone())
        .collect();
    assert_eq!(&sound[..notice.len()], notice);
}

#[test]
fn prompt_ringback_and_department_reach_the_caller_as_one_stream() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(2_000);
    city.hang_up(call);
    city.finish();
    let heard = &city.caller(call).voice.heard;
    let rtp: Vec<_> = heard
        .iter()
        .filter(|packet| packet.payload_type == 0)
        .collect();
    assert!(rtp.iter().all(|packet| packet.ssrc == rtp[0].ssrc));
    assert!(
        rtp.windows(2)
            .all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)),
        "sequence numbers go on"
    );
    assert!(
        rtp.windows(2)
            .all(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp) < 1_600),
        "timestamps go on"
    );
    assert!(
        rtp.iter().any(|packet| spoken(&packet.payload).is_some()),
        "the department was heard"
    );
}

#[test]
fn both_channels_hold_what_was_spoken_after_the_gate_opened_and_nothing_else() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(5_000);
    city.hang_up(call);
    city.finish();
    let recording = &city.recorder.closed[0];
    let carrier: Vec<u32> = frames_in(recording.channel(Side::Carrier), 1)
        .into_iter()
        .map(|(_, number)| number)
        .collect();
    let department: Vec<u32> = frames_in(recording.channel(Side::Department), 2)
        .into_iter()
        .map(|(_, number)| number)
        .collect();
    for (side, frames) in [("carrier", &carrier), ("department", &department)] {
        assert!(
            (248..=252).contains(&frames.len()),
            "five seconds of {side}: {} frames",
            frames.len()
        );
        assert!(
            frames.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{side} in order, without a hole"
        );
    }
    assert!(
        frames_in(recording.channel(Side::Carrier), 2).is_empty(),
        "the parties are told apart"
    );
    assert_eq!(
        recording.channel(Side::Carrier).len(),
        recording.channel(Side::Department).len()
    );
    assert_eq!(
        city.telephone(0).voice.heard_speech()[..carrier.len()],
        carrier,
        "the department heard what was kept"
    );
}

#[test]
fn keypad_digits_cross_and_are_never_kept() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(1_000);
    city.carrier.calls[call].voice.press(7);
    city.run_ms(1_000);
    city.hang_up(call);
    city.finish();
    let digits = city
        .telephone(0)
        .voice
        .heard
        .iter()
        .filter(|packet| packet.payload_type == 101 && packet.payload[0] == 7)
        .count();
    assert_eq!(
        digits, 5,
        "the department's telephone got each packet of the digit"
    );
    let recording = &city.recorder.closed[0];
    let kept = frames_in(recording.channel(Side::Carrier), 1).len();
    let spoken = frames_in(recording.channel(Side::Department), 2).len();
    assert!(
        spoken - kept >= 4,
        "the digit's time holds no frame: {kept} of {spoken}"
    );
    assert!(
        recording.gaps.iter().any(|gap| gap.side == Side::Carrier),
        "its time is a marked gap"
    );
}

#[test]
fn names_and_numbers_cross_in_the_form_in_which_they_came_and_nothing_else_does() {
    let mut city = City::new(Plan::announce());
    let dial = Dial {
        caller: "+81790000001".into(),
        display: "神戸 \\\"太郎\\\"".into(),
        ..Dial::to("+81783331001")
    };
    let call = city.dial(dial);
    city.run_until("connected", |city| city.is_talking(0));
    city.hang_up(call);
    city.finish();
    let invite = &city.telephone(0).invite;
    assert_eq!(invite.start, "INVITE sip:100@127.0.0.3:5062 SIP/2.0");
    assert!(
        invite
            .header("From")
            .starts_with("\"神戸 \\\"太郎\\\"\" <sip:+81790000001@127.0.0.1:5060>;tag="),
        "{}",
        invite.header("From")
    );
    assert_eq!(invite.header("To"), "<sip:+81783331001@127.0.0.3:5062>");
    assert_eq!(invite.header("Max-Forwards"), "69");
    assert!(
        !invite.header("Call-ID").contains("127.0.0.2"),
        "the carrier's Call-ID stays on its leg"
    );
    assert_eq!(
        invite.payload_types(),
        [0, 101],
        "only the codec that the carrier's leg has"
    );
}

#[test]
fn a_caller_who_hangs_up_in_the_notice_never_rings_the_department() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_ms(3_000);
    city.hang_up(call);
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |<------ 200 INVITE (sdp) -------|                                |
        0000.000 |                           [ExpectAck]                           |
        0000.010 |------------- ACK ------------->|                                |
        0000.010 |                          [Announcing]                           |
        0003.000 |------------- BYE ------------->|                                |
        0003.000 |<----------- 200 BYE -----------|                                |
        0003.000 |                     [Over: CALLER_HUNG_UP]                      |
    "#]]
    .assert_eq(&city.ladder(call));
    assert!(city.pbx.calls.is_empty(), "S-18");
    assert_eq!(city.record(call).unrecorded, Some(Reason::CallerHungUp));
    assert_eq!(city.playbacks.len(), 1);
    assert!(city.playbacks[0].sent < city.playbacks[0].total);
}

#[test]
fn a_caller_who_hangs_up_in_the_ringback_stops_the_ringing() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("ringing", |city| city.pbx.calls.len() == 1);
    city.run_ms(500);
    city.hang_up(call);
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
        0008.093 |------------- BYE ------------->|                                |
        0008.093 |<----------- 200 BYE -----------|                                |
        0008.093 |                                |----------- CANCEL ------------>|
        0008.093 |                     [Over: CALLER_HUNG_UP]                      |
        0008.103 |                                |<--------- 200 CANCEL ----------|
        0008.103 |                                |<--------- 487 INVITE ----------|
        0008.103 |                                |------------- ACK ------------->|
    "#]]
    .assert_eq(&city.ladder(call));
    assert_eq!(city.telephone(0).end_of_call(), "cancelled");
    assert_eq!(city.record(call).unrecorded, Some(Reason::CallerHungUp));
}

#[test]
fn the_department_may_hang_up_first() {
    let manners = vec![
        (Duration::from_millis(100), Step::Answer),
        (Duration::from_millis(2_100), Step::HangUp),
    ];
    let mut city = City::new(Plan::announce().with("100", manners));
    let call = city.dial(Dial::to(NUMBER));
    city.finish();
    assert_eq!(city.caller(call).end_of_call(), "was hung up on");
    assert_eq!(
        city.record(call).end_cause,
        Some(EndCause::DepartmentHungUp)
    );
    assert_eq!(city.recorder.closed.len(), 1);
}

#[test]
fn without_its_notice_a_number_is_connected_unrecorded_even_where_a_decision_waives_it() {
    let [unwaived, waived] = [false, true].map(|is_waived| {
        let mut city = City::new(Plan {
            prompts_missing: vec![PromptId::RecordingNotice],
            is_waived,
            ..Plan::announce()
        });
        let call = city.dial(Dial::to(NUMBER));
        city.run_until("connected", |city| city.is_talking(0));
        city.run_ms(1_000);
        city.hang_up(call);
        city.finish();
        assert_eq!(city.record(call).unrecorded, Some(Reason::NoAnnouncement));
        assert!(city.alarms.contains(&Alarm::PromptMissing {
            prompt: "recording-notice"
        }));
        assert!(
            !city.telephone(0).voice.heard_speech().is_empty(),
            "the parties hear each other"
        );
        city.ladder(call)
    });
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
        0002.010 |                 [not recorded: NO_ANNOUNCEMENT]                 |
        0002.010 |                            [Talking]                            |
        0002.020 |------------- ACK ------------->|                                |
        0003.020 |------------- BYE ------------->|                                |
        0003.020 |<----------- 200 BYE -----------|                                |
        0003.020 |                                |------------- BYE ------------->|
        0003.020 |                     [Over: CALLER_HUNG_UP]                      |
        0003.030 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&unwaived);
    assert_eq!(unwaived, waived);
}

#[test]
fn an_address_hidden_in_a_user_part_does_not_cross() {
    // A PBX that takes the first `@` for the one before the host would call somebody else's.
    let hidden = format!("{NUMBER};x=@192.0.2.66");
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial {
        caller: hidden.clone(),
        ..Dial::to(&hidden)
    });
    city.run_until("called", |city| !city.pbx.calls.is_empty());
    city.hang_up(call);
    city.finish();
    let invite = &city.telephone(0).invite;
    for line in [
        invite.start.as_str(),
        invite.header("From"),
        invite.header("To"),
    ] {
        assert_eq!(line.matches('@').count(), 1, "{line}");
    }
}

#[test]
fn a_decision_changes_nothing_where_the_number_announces() {
    let mut city = City::new(Plan {
        is_waived: true,
        ..Plan::announce()
    });
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.hang_up(call);
    city.finish();
    assert_eq!(city.recorder.closed[0].notice.kind(), NoticeKind::Announced);
}
