//! Offers inside a call, and requests that only pass through it. The world is whole unless a test says otherwise.

use expect_test::expect;
use tests::{City, Plan, line::Extra, plan::NUMBER};

/// Two who talk, both driven by hand: a citizen and a department.
fn talking() -> (City, usize, usize) {
    let plan = Plan {
        is_waived: true,
        ..Plan::transparent()
    };
    talking_in(plan)
}

pub(crate) fn talking_in(plan: Plan) -> (City, usize, usize) {
    let mut city = City::new(plan);
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    let offer = Extra::body(city.lines[citizen].describe("sendrecv")).and(ALLOW);
    city.line_calls(citizen, NUMBER, &offer);
    city.run_until_line(department, "INVITE (sdp)", 1);
    let body = city.lines[department].describe("sendrecv");
    city.line_answers(department, "INVITE", 200, &Extra::body(body).and(ALLOW));
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    city.run_ms(20);
    city.line_speaks(citizen);
    city.line_speaks(department);
    city.run_ms(480);
    (city, citizen, department)
}

const ALLOW: &str = "Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, INFO, REFER, NOTIFY";

fn end(city: &mut City, line: usize) {
    city.run_ms(500);
    city.line_says(line, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn a_new_version_is_negotiated_with_the_other_leg_and_the_outcome_goes_back_at_once() {
    let (mut city, citizen, department) = talking();
    city.lines[citizen].version += 1;
    let body = city.lines[citizen].describe_again("sendrecv", &[0, 101]);
    city.line_says(citizen, "INVITE", &Extra::body(body));
    city.run_until_line(department, "INVITE (sdp)", 2);
    let offered = city.lines[department].last("INVITE").unwrap().body.clone();
    assert!(
        offered.contains("RTP/AVP 0 101") && offered.contains(" 2 IN IP4"),
        "{offered}"
    );
    let body = city.lines[department].describe("sendrecv");
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(citizen, "200 INVITE (sdp)", 2);
    end(&mut city, citizen);
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |<------ 200 INVITE (sdp) -------|
        0000.010 |                                |------------- ACK ------------->|
        0000.010 |<------ 200 INVITE (sdp) -------|                                |
        0000.010 |                      [recording: decision]                      |
        0000.010 |                            [Talking]                            |
        0000.020 |------------- ACK ------------->|                                |
        0000.520 |-------- INVITE (sdp) --------->|                                |
        0000.520 |<--------- 100 INVITE ----------|                                |
        0000.520 |                                |-------- INVITE (sdp) --------->|
        0000.530 |                                |<------ 200 INVITE (sdp) -------|
        0000.530 |                                |------------- ACK ------------->|
        0000.530 |<------ 200 INVITE (sdp) -------|                                |
        0000.540 |------------- ACK ------------->|                                |
        0001.040 |------------- BYE ------------->|                                |
        0001.040 |<----------- 200 BYE -----------|                                |
        0001.040 |                                |------------- BYE ------------->|
        0001.040 |                     [Over: CALLER_HUNG_UP]                      |
        0001.050 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
}

#[test]
fn the_same_version_or_no_change_is_answered_on_its_own_leg() {
    let (mut city, citizen, department) = talking();
    for line in [citizen, department] {
        let (same, words) = (
            city.lines[line].describe_again("sendrecv", &[0, 8, 101]),
            "200 INVITE (sdp)",
        );
        let before = city.lines[line].count(words);
        city.line_says(line, "INVITE", &Extra::body(same));
        city.run_until_line(line, words, before + 1);
        let newer = city.lines[line].describe("sendrecv");
        city.line_says(line, "INVITE", &Extra::body(newer));
        city.run_until_line(line, words, before + 2);
    }
    end(&mut city, department);
    assert_eq!(
        city.lines[department].count("INVITE (sdp)"),
        1,
        "its own only"
    );
    assert_eq!(city.lines[citizen].count("INVITE (sdp)"), 0);
}

#[test]
fn a_refusal_of_the_other_leg_goes_back_and_everything_stays_as_it_was() {
    for (refused, passed) in [
        (488, "488 INVITE"),
        (491, "491 INVITE"),
        (500, "488 INVITE"),
    ] {
        let (mut city, citizen, department) = talking();
        let body = city.lines[department].describe("sendonly");
        city.line_says(department, "INVITE", &Extra::body(body));
        city.run_until_line(citizen, "INVITE (sdp)", 1);
        city.line_answers(citizen, "INVITE", refused, &Extra::default());
        city.run_until_line(department, passed, 1);
        let before = city.lines[department].voice.heard_speech().len();
        city.run_ms(500);
        let heard = city.lines[department].voice.heard_speech().len() - before;
        assert!(heard > 20, "{refused}: {heard} frames after it");
        end(&mut city, department);
        assert_eq!(city.recorder.closed.len(), 1);
    }
}

#[test]
fn another_codec_goes_on_in_the_recordings_next_segment() {
    let (mut city, citizen, department) = talking();
    city.lines[citizen].version += 1;
    let body = city.lines[citizen].describe_again("sendrecv", &[8, 101]);
    city.line_says(citizen, "INVITE", &Extra::body(body));
    city.run_until_line(department, "INVITE (sdp)", 2);
    let offered = city.lines[department].last("INVITE").unwrap();
    assert_eq!(offered.payload_types(), [8, 101]);
    let body = city.lines[department].describe_again("sendrecv", &[8, 101]);
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(citizen, "200 INVITE (sdp)", 2);
    city.run_ms(20);
    city.line_speaks(citizen);
    city.line_speaks(department);
    let before = city.lines[citizen].voice.heard_speech().len();
    end(&mut city, citizen);
    assert!(city.lines[citizen].voice.heard_speech().len() > before + 20);
    let recording = &city.recorder.closed[0];
    assert_eq!(recording.earlier.len(), 1);
    assert_eq!(recording.codecs.carrier, media::Codec::Pcma);
}

#[test]
fn a_fax_is_refused_and_the_call_goes_on() {
    let (mut city, citizen, department) = talking();
    let fax = "v=0\r\no=phone 1 9 IN IP4 127.0.0.3\r\ns=fax\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\nm=image 50100 udptl t38\r\na=T38FaxVersion:0\r\n";
    city.line_says(department, "INVITE", &Extra::body(fax));
    city.run_until_line(department, "488 INVITE", 1);
    let before = city.lines[citizen].voice.heard_speech().len();
    city.run_ms(500);
    assert!(city.lines[citizen].voice.heard_speech().len() > before + 20);
    end(&mut city, citizen);
    assert_eq!(city.lines[citizen].count("INVITE (sdp)"), 0);
}

#[test]
fn media_at_a_place_that_is_not_the_peers_is_refused_in_every_description() {
    let (mut city, citizen, department) = talking();
    let body = city.lines[citizen]
        .describe("sendrecv")
        .replace("127.0.0.2", "198.51.100.7");
    city.line_says(citizen, "INVITE", &Extra::body(body));
    city.run_until_line(citizen, "488 INVITE", 1);
    // The other leg's answer is looked at too; what it had is offered to it again.
    let body = city.lines[citizen].describe("sendonly");
    city.line_says(citizen, "INVITE", &Extra::body(body));
    city.run_until_line(department, "INVITE (sdp)", 2);
    let body = city.lines[department]
        .describe("recvonly")
        .replace("127.0.0.3", "127.0.0.1");
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(citizen, "488 INVITE", 2);
    city.run_until_line(department, "INVITE (sdp)", 3);
    let body = city.lines[department].describe("sendrecv");
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    end(&mut city, citizen);
}

#[test]
fn an_invite_without_a_description_gets_our_offer_and_its_answer_moves_that_leg() {
    let (mut city, citizen, department) = talking();
    let old = city.lines[department].voice.local;
    city.lines[department].ack_body = city.lines[department].describe("sendrecv");
    city.line_says(department, "INVITE", &Extra::default());
    city.run_until_line(department, "200 INVITE (sdp)", 1);
    city.run_ms(20);
    let offer = city.lines[department].answered(200, "INVITE").unwrap();
    assert_eq!(offer.payload_types().first(), Some(&0));
    assert_eq!(city.lines[department].voice.local, old);
    let before = city.lines[citizen].voice.heard_speech().len();
    city.run_ms(500);
    assert!(city.lines[citizen].voice.heard_speech().len() > before + 20);
    end(&mut city, citizen);
    assert_eq!(city.lines[citizen].count("INVITE (sdp)"), 0);
}

#[test]
fn two_offers_that_meet_get_491_and_the_call_goes_on() {
    let (mut city, citizen, department) = talking();
    let ours = city.lines[citizen].describe("sendonly");
    let theirs = city.lines[department].describe("sendonly");
    city.line_says(citizen, "INVITE", &Extra::body(ours));
    city.line_says(department, "INVITE", &Extra::body(theirs));
    city.run_until_line(department, "491 INVITE", 1);
    city.run_until_line(department, "INVITE (sdp)", 2);
    city.line_answers(department, "INVITE", 491, &Extra::default());
    city.run_until_line(citizen, "491 INVITE", 1);
    end(&mut city, citizen);
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |<------ 200 INVITE (sdp) -------|
        0000.010 |                                |------------- ACK ------------->|
        0000.010 |<------ 200 INVITE (sdp) -------|                                |
        0000.010 |                      [recording: decision]                      |
        0000.010 |                            [Talking]                            |
        0000.020 |------------- ACK ------------->|                                |
        0000.520 |-------- INVITE (sdp) --------->|                                |
        0000.520 |<--------- 100 INVITE ----------|                                |
        0000.520 |                                |-------- INVITE (sdp) --------->|
        0000.530 |                                |<--------- 491 INVITE ----------|
        0000.530 |                                |------------- ACK ------------->|
        0000.530 |<--------- 491 INVITE ----------|                                |
        0000.540 |------------- ACK ------------->|                                |
        0001.040 |------------- BYE ------------->|                                |
        0001.040 |<----------- 200 BYE -----------|                                |
        0001.040 |                                |------------- BYE ------------->|
        0001.040 |                     [Over: CALLER_HUNG_UP]                      |
        0001.050 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
}

#[test]
fn a_bye_ends_a_negotiation_with_the_call() {
    let (mut city, citizen, department) = talking();
    let body = city.lines[citizen].describe("sendonly");
    city.line_says(citizen, "INVITE", &Extra::body(body));
    city.run_until_line(department, "INVITE (sdp)", 2);
    city.line_says(department, "BYE", &Extra::default());
    city.run_until_line(citizen, "BYE", 1);
    assert_eq!(city.lines[citizen].count("487 INVITE"), 1);
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |<------ 200 INVITE (sdp) -------|
        0000.010 |                                |------------- ACK ------------->|
        0000.010 |<------ 200 INVITE (sdp) -------|                                |
        0000.010 |                      [recording: decision]                      |
        0000.010 |                            [Talking]                            |
        0000.020 |------------- ACK ------------->|                                |
        0000.520 |-------- INVITE (sdp) --------->|                                |
        0000.520 |<--------- 100 INVITE ----------|                                |
        0000.520 |                                |-------- INVITE (sdp) --------->|
        0000.530 |                                |<------------- BYE -------------|
        0000.530 |                                |----------- 200 BYE ----------->|
        0000.530 |<------------- BYE -------------|                                |
        0000.530 |<--------- 487 INVITE ----------|                                |
        0000.530 |                   [Over: DEPARTMENT_HUNG_UP]                    |
        0000.540 |----------- 200 BYE ----------->|                                |
        0000.540 |------------- ACK ------------->|                                |
    "#]]
    .assert_eq(&city.ladder(0));
}

#[test]
fn an_update_is_negotiated_by_update() {
    let (mut city, citizen, department) = talking();
    let body = city.lines[citizen].describe("sendonly");
    city.line_says(citizen, "UPDATE", &Extra::body(body));
    city.run_until_line(department, "UPDATE (sdp)", 1);
    let body = city.lines[department].describe("recvonly");
    city.line_answers(department, "UPDATE", 200, &Extra::body(body));
    city.run_until_line(citizen, "200 UPDATE (sdp)", 1);
    let answer = city.lines[citizen].answered(200, "UPDATE").unwrap();
    assert!(answer.body.contains("a=recvonly"), "{}", answer.body);
    end(&mut city, citizen);
}

#[test]
fn a_leg_that_knows_of_no_such_dialog_ends_the_call() {
    let (mut city, citizen, department) = talking();
    let body = city.lines[citizen].describe("sendonly");
    city.line_says(citizen, "INVITE", &Extra::body(body));
    city.run_until_line(department, "INVITE (sdp)", 2);
    city.line_answers(department, "INVITE", 481, &Extra::default());
    city.finish();
    assert_eq!(city.lines[citizen].end_of_call(), "was hung up on");
}

#[test]
fn info_and_what_nobody_here_knows_cross_and_so_do_their_answers() {
    let (mut city, citizen, department) = talking();
    let info = Extra {
        headers: vec!["X-Evil: 1".to_owned()],
        body: "Signal=5\r\nDuration=160\r\n".to_owned(),
        kind: "application/dtmf-relay",
    };
    city.line_says(citizen, "INFO", &info);
    city.run_until_line(department, "INFO", 1);
    let got = city.lines[department].last("INFO").unwrap();
    assert_eq!(got.header("Content-Type"), "application/dtmf-relay");
    assert_eq!(got.body, info.body);
    assert_eq!(got.header("X-Evil"), "", "nothing else of it crosses");
    city.line_answers(department, "INFO", 200, &Extra::default());
    city.run_until_line(citizen, "200 INFO", 1);
    city.line_says(department, "FOO", &Extra::default());
    city.run_until_line(citizen, "FOO", 1);
    city.line_answers(citizen, "FOO", 405, &Extra::default());
    city.run_until_line(department, "405 FOO", 1);
    city.line_says(department, "OPTIONS", &Extra::default());
    city.run_until_line(department, "200 OPTIONS", 1);
    city.line_says(department, "MESSAGE", &info);
    city.run_until_line(citizen, "MESSAGE", 1);
    city.line_answers(citizen, "MESSAGE", 200, &Extra::default());
    city.run_until_line(department, "200 MESSAGE", 1);
    end(&mut city, citizen);
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |<------ 200 INVITE (sdp) -------|
        0000.010 |                                |------------- ACK ------------->|
        0000.010 |<------ 200 INVITE (sdp) -------|                                |
        0000.010 |                      [recording: decision]                      |
        0000.010 |                            [Talking]                            |
        0000.020 |------------- ACK ------------->|                                |
        0000.520 |------------ INFO ------------->|                                |
        0000.520 |                                |------------ INFO ------------->|
        0000.530 |                                |<---------- 200 INFO -----------|
        0000.530 |<---------- 200 INFO -----------|                                |
        0000.540 |                                |<------------ other ------------|
        0000.540 |<------------ other ------------|                                |
        0000.550 |---------- 405 other ---------->|                                |
        0000.550 |                                |---------- 405 other ---------->|
        0000.560 |                                |<----------- OPTIONS -----------|
        0000.560 |                                |--------- 200 OPTIONS --------->|
        0000.570 |                                |<----------- MESSAGE -----------|
        0000.570 |<----------- MESSAGE -----------|                                |
        0000.580 |--------- 200 MESSAGE --------->|                                |
        0000.580 |                                |--------- 200 MESSAGE --------->|
        0001.090 |------------- BYE ------------->|                                |
        0001.090 |<----------- 200 BYE -----------|                                |
        0001.090 |                                |------------- BYE ------------->|
        0001.090 |                     [Over: CALLER_HUNG_UP]                      |
        0001.100 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
}

#[test]
fn a_refer_of_a_carrier_is_forbidden() {
    let (mut city, citizen, _) = talking();
    let refer = Extra::header("Refer-To: <sip:0783331002@127.0.0.1>");
    city.line_says(citizen, "REFER", &refer);
    city.run_until_line(citizen, "403 REFER", 1);
    end(&mut city, citizen);
}
