//! A caller without an offer answers ours in another codec than the called telephone. The world is whole; answers are late.

use expect_test::expect;
use tests::{City, Plan, line::Extra, plan::NUMBER, text::Text};

const PCMU: &[u8] = &[0, 101];
const PCMA: &[u8] = &[8, 101];

/// A citizen who calls without an offer and takes reliable answers, and the telephones 100 and 101; 100 plays something in PCMA.
fn playing() -> (City, usize, [usize; 2]) {
    let mut city = City::new(Plan {
        targets: vec![("100", 20), ("101", 20)],
        is_waived: true,
        ..Plan::transparent()
    });
    let citizen = city.line(city.carrier.address, "0790000001");
    let departments = ["100", "101"].map(|user| city.line(city.pbx.address, user));
    city.line_calls(citizen, NUMBER, &Extra::header("Supported: 100rel"));
    city.run_until_line(departments[0], "INVITE (sdp)", 1);
    let body = city.lines[departments[0]].describe_again("sendrecv", PCMA);
    let early = Extra::body(body)
        .and("Require: 100rel")
        .and("RSeq: 1")
        .and("Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE");
    city.line_answers(departments[0], "INVITE", 183, &early);
    city.run_until_line(citizen, "183 INVITE (sdp)", 1);
    let offered = city.lines[citizen].answered(183, "INVITE");
    let offered = offered.map(Text::payload_types).unwrap_or_default();
    assert_eq!(offered, [8, 0, 101], "the far side's first");
    (city, citizen, departments)
}

fn answer(city: &mut City, line: usize, status: u16, payload_types: &[u8]) {
    city.lines[line].version += 1;
    let body = city.lines[line].describe_again("sendrecv", payload_types);
    city.line_answers(line, "INVITE", status, &Extra::body(body));
}

fn prack(city: &mut City, citizen: usize, payload_types: &[u8]) {
    let ringing = city.lines[citizen].answered(183, "INVITE");
    let ringing = ringing.expect("a 183").clone();
    let body = city.lines[citizen].describe_again("sendrecv", payload_types);
    let prack = city.lines[citizen].prack(&ringing, &body);
    city.send(prack);
    city.run_until_line(citizen, "200 PRACK", 1);
}

/// They speak in this codec, and each hears the other.
fn talk_and_end(mut city: City, codec: &[u8], lines: [usize; 2]) -> String {
    let now = city.clock.now().at;
    for index in lines {
        let line = &mut city.lines[index];
        let mut got = line.got.iter().rev();
        let media = got
            .find_map(|(_, message)| message.media())
            .expect("a description");
        line.voice.speak(now, media, codec[0]);
    }
    city.run_ms(1_000);
    for line in lines {
        let heard = city.lines[line].voice.heard_speech();
        assert!(
            heard.len() > 40,
            "{} frames\n{}",
            heard.len(),
            city.ladder(0)
        );
    }
    city.line_says(lines[0], "BYE", &Extra::default());
    city.finish();
    city.ladder(0)
}

#[test]
fn the_answered_target_is_offered_what_the_callers_late_prack_has_answered() {
    let (mut city, citizen, [first, second]) = playing();
    city.line_answers(first, "INVITE", 486, &Extra::default());
    city.run_until_line(second, "INVITE (sdp)", 1);
    answer(&mut city, second, 200, PCMA);
    city.run_until_line(second, "ACK", 1);
    prack(&mut city, citizen, PCMU);
    city.run_until_line(second, "INVITE (sdp)", 2);
    let asked = city.lines[second].last("INVITE").unwrap();
    assert_eq!(asked.payload_types(), PCMU);
    answer(&mut city, second, 200, PCMU);
    city.run_until_line(second, "ACK", 2);
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |----------- INVITE ------------>|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |------------ PRACK ------------>|
        0000.010 |                                |<------ 183 INVITE (sdp) -------|
        0000.010 |<------ 183 INVITE (sdp) -------|                                |
        0000.020 |                                |<---------- 200 PRACK ----------|
        0000.020 |                                |<--------- 486 INVITE ----------|
        0000.020 |                                |------------- ACK ------------->|
        0000.020 |                                |-------- INVITE (sdp) --------->|
        0000.030 |                                |<--------- 100 INVITE ----------|
        0000.030 |                                |<------ 200 INVITE (sdp) -------|
        0000.030 |                                |------------- ACK ------------->|
        0000.030 |                            [Joining]                            |
        0000.040 |--------- PRACK (sdp) --------->|                                |
        0000.040 |<---------- 200 PRACK ----------|                                |
        0000.040 |<--------- 200 INVITE ----------|                                |
        0000.040 |                                |-------- INVITE (sdp) --------->|
        0000.050 |------------- ACK ------------->|                                |
        0000.050 |                                |<------ 200 INVITE (sdp) -------|
        0000.050 |                                |------------- ACK ------------->|
        0000.050 |                      [recording: decision]                      |
        0000.050 |                            [Talking]                            |
        0001.060 |------------- BYE ------------->|                                |
        0001.060 |<----------- 200 BYE -----------|                                |
        0001.060 |                                |------------- BYE ------------->|
        0001.060 |                     [Over: CALLER_HUNG_UP]                      |
        0001.070 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&talk_and_end(city, PCMU, [citizen, second]));
}

#[test]
fn a_target_that_played_in_another_codec_is_asked_before_the_caller_hears_of_its_answer() {
    let (mut city, citizen, [first, _]) = playing();
    prack(&mut city, citizen, PCMU);
    answer(&mut city, first, 200, PCMA);
    city.run_until_line(first, "INVITE (sdp)", 2);
    assert_eq!(city.lines[citizen].count("200 INVITE"), 0);
    answer(&mut city, first, 200, PCMU);
    city.run_until_line(citizen, "200 INVITE", 1);
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |----------- INVITE ------------>|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |------------ PRACK ------------>|
        0000.010 |                                |<------ 183 INVITE (sdp) -------|
        0000.010 |<------ 183 INVITE (sdp) -------|                                |
        0000.020 |                                |<---------- 200 PRACK ----------|
        0000.020 |--------- PRACK (sdp) --------->|                                |
        0000.020 |<---------- 200 PRACK ----------|                                |
        0000.030 |                                |<------ 200 INVITE (sdp) -------|
        0000.030 |                                |------------- ACK ------------->|
        0000.030 |                                |-------- INVITE (sdp) --------->|
        0000.040 |                                |<------ 200 INVITE (sdp) -------|
        0000.040 |                                |------------- ACK ------------->|
        0000.040 |<--------- 200 INVITE ----------|                                |
        0000.040 |                      [recording: decision]                      |
        0000.040 |                            [Talking]                            |
        0000.050 |------------- ACK ------------->|                                |
        0001.050 |------------- BYE ------------->|                                |
        0001.050 |<----------- 200 BYE -----------|                                |
        0001.050 |                                |------------- BYE ------------->|
        0001.050 |                     [Over: CALLER_HUNG_UP]                      |
        0001.060 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&talk_and_end(city, PCMU, [citizen, first]));
}

#[test]
fn a_target_that_has_no_codec_of_the_callers_gives_way_to_the_next() {
    let (mut city, citizen, [first, second]) = playing();
    prack(&mut city, citizen, PCMU);
    answer(&mut city, first, 200, PCMA);
    city.run_until_line(first, "INVITE (sdp)", 2);
    city.line_answers(first, "INVITE", 488, &Extra::default());
    city.run_until_line(first, "BYE", 1);
    city.run_until_line(second, "INVITE (sdp)", 1);
    let asked = city.lines[second].last("INVITE").unwrap();
    assert_eq!(asked.payload_types(), PCMU);
    answer(&mut city, second, 200, PCMU);
    city.run_until_line(citizen, "200 INVITE", 1);
    talk_and_end(city, PCMU, [citizen, second]);
}

/// The telephone has answered in PCMA, and the caller's ACK answers in PCMU.
fn answered() -> (City, usize, usize) {
    let mut city = City::new(Plan::transparent());
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    city.line_calls(citizen, NUMBER, &Extra::default());
    city.run_until_line(department, "INVITE (sdp)", 1);
    city.lines[citizen].ack_body = city.lines[citizen].describe_again("sendrecv", PCMU);
    answer(&mut city, department, 200, PCMA);
    city.run_until_line(department, "INVITE (sdp)", 2);
    city.line_answers(department, "INVITE", 488, &Extra::default());
    city.run_until_line(citizen, "INVITE (sdp)", 1);
    let asked = city.lines[citizen].last("INVITE").expect("it is asked");
    assert_eq!(asked.payload_types(), PCMA);
    (city, citizen, department)
}

#[test]
fn where_the_target_refuses_the_callers_codec_the_answered_caller_is_asked_for_the_targets() {
    let (mut city, citizen, department) = answered();
    answer(&mut city, citizen, 200, PCMA);
    city.run_until_line(citizen, "ACK", 1);
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |----------- INVITE ------------>|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |<------ 200 INVITE (sdp) -------|
        0000.010 |                                |------------- ACK ------------->|
        0000.010 |<------ 200 INVITE (sdp) -------|                                |
        0000.010 |                            [Joining]                            |
        0000.020 |---------- ACK (sdp) ---------->|                                |
        0000.020 |                                |-------- INVITE (sdp) --------->|
        0000.030 |                                |<--------- 488 INVITE ----------|
        0000.030 |                                |------------- ACK ------------->|
        0000.030 |<-------- INVITE (sdp) ---------|                                |
        0000.040 |------ 200 INVITE (sdp) ------->|                                |
        0000.040 |<------------- ACK -------------|                                |
        0000.040 |                    [not recorded: NO_WAIVER]                    |
        0000.040 |                            [Talking]                            |
        0001.050 |------------- BYE ------------->|                                |
        0001.050 |<----------- 200 BYE -----------|                                |
        0001.050 |                                |------------- BYE ------------->|
        0001.050 |                     [Over: CALLER_HUNG_UP]                      |
        0001.060 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&talk_and_end(city, PCMA, [citizen, department]));
}

#[test]
fn where_both_insist_on_their_codec_the_call_ends() {
    let (mut city, citizen, department) = answered();
    city.line_answers(citizen, "INVITE", 488, &Extra::default());
    city.finish();
    for line in [citizen, department] {
        assert_eq!(city.lines[line].end_of_call(), "was hung up on");
    }
}

#[test]
fn an_update_that_waits_for_a_target_is_answered_when_the_target_refuses_the_call() {
    let (mut city, citizen, [first, second]) = playing();
    prack(&mut city, citizen, PCMA);
    let body = city.lines[citizen].describe("sendonly");
    city.line_says(citizen, "UPDATE", &Extra::body(body));
    city.run_until_line(first, "UPDATE (sdp)", 1);
    city.line_answers(first, "INVITE", 486, &Extra::default());
    city.run_until_line(citizen, "491 UPDATE", 1);
    city.run_until_line(second, "INVITE (sdp)", 1);
    answer(&mut city, second, 200, PCMA);
    city.run_until_line(citizen, "200 INVITE", 1);
    let body = city.lines[citizen].describe("sendrecv");
    city.line_says(citizen, "INVITE", &Extra::body(body));
    city.run_until_line(second, "INVITE (sdp)", 2);
    answer(&mut city, second, 200, PCMA);
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    talk_and_end(city, PCMA, [citizen, second]);
}
