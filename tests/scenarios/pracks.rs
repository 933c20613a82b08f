//! PRACKs that cross, are late, or cannot come. The caller's INVITE offers nothing, or its trunk knows no reliable answers.

use exchange::Settings;
use expect_test::expect;
use sip_core::Reliable;
use tests::{City, Plan, line::Extra, plan::NUMBER};

/// A citizen who calls without an offer and takes reliable answers; the department has answered 180 reliably.
fn ringing() -> (City, usize, usize) {
    let mut city = City::new(Plan::transparent());
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    city.line_calls(citizen, NUMBER, &Extra::header("Supported: 100rel"));
    city.run_until_line(department, "INVITE (sdp)", 1);
    city.line_answers(department, "INVITE", 180, &reliable("1"));
    city.run_until_line(citizen, "180 INVITE", 1);
    city.lines[citizen].ack_body = describe(&city, citizen);
    (city, citizen, department)
}

fn reliable(rseq: &str) -> Extra {
    Extra::header("Require: 100rel").and(format!("RSeq: {rseq}"))
}

fn describe(city: &City, line: usize) -> String {
    city.lines[line].describe_again("sendrecv", &[0, 101])
}

fn prack(city: &mut City, line: usize, status: u16, body: &str) {
    let answer = city.lines[line].answered(status, "INVITE");
    let answer = answer.expect("an answer to acknowledge").clone();
    let prack = city.lines[line].prack(&answer, body);
    city.send(prack);
}

fn talk_and_end(city: &mut City, citizen: usize) {
    city.run_ms(500);
    assert_eq!(city.lines[citizen].end_of_call(), "", "{}", city.ladder(0));
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn the_prack_of_a_180_is_no_missing_answer_to_an_offer_that_waits_behind_it() {
    let (mut city, citizen, department) = ringing();
    let body = describe(&city, department);
    let early = Extra {
        body: body.clone(),
        ..reliable("2")
    };
    city.line_answers(department, "INVITE", 183, &early);
    city.run_ms(50);
    prack(&mut city, citizen, 180, "");
    city.run_until_line(citizen, "183 INVITE (sdp)", 1);
    let own = describe(&city, citizen);
    prack(&mut city, citizen, 183, &own);
    city.run_ms(50);
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.lines[citizen].ack_body = String::new();
    city.run_until_line(citizen, "200 INVITE", 1);
    talk_and_end(&mut city, citizen);
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |----------- INVITE ------------>|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |------------ PRACK ------------>|
        0000.010 |                                |<--------- 180 INVITE ----------|
        0000.010 |<--------- 180 INVITE ----------|                                |
        0000.020 |                                |<---------- 200 PRACK ----------|
        0000.020 |                                |------------ PRACK ------------>|
        0000.020 |                                |<------ 183 INVITE (sdp) -------|
        0000.030 |                                |<---------- 200 PRACK ----------|
        0000.070 |------------ PRACK ------------>|                                |
        0000.070 |<---------- 200 PRACK ----------|                                |
        0000.070 |<------ 183 INVITE (sdp) -------|                                |
        0000.080 |--------- PRACK (sdp) --------->|                                |
        0000.080 |<---------- 200 PRACK ----------|                                |
        0000.130 |                                |<------ 200 INVITE (sdp) -------|
        0000.130 |                                |------------- ACK ------------->|
        0000.130 |<--------- 200 INVITE ----------|                                |
        0000.130 |                    [not recorded: NO_WAIVER]                    |
        0000.130 |                            [Talking]                            |
        0000.140 |------------- ACK ------------->|                                |
        0000.640 |------------- BYE ------------->|                                |
        0000.640 |<----------- 200 BYE -----------|                                |
        0000.640 |                                |------------- BYE ------------->|
        0000.640 |                     [Over: CALLER_HUNG_UP]                      |
        0000.650 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
}

#[test]
fn the_prack_of_a_180_that_crosses_our_200_is_no_missing_answer() {
    let (mut city, citizen, department) = ringing();
    let body = describe(&city, department);
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_ms(6);
    prack(&mut city, citizen, 180, "");
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    talk_and_end(&mut city, citizen);
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |----------- INVITE ------------>|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |------------ PRACK ------------>|
        0000.010 |                                |<--------- 180 INVITE ----------|
        0000.010 |<--------- 180 INVITE ----------|                                |
        0000.020 |                                |<---------- 200 PRACK ----------|
        0000.020 |                                |<------ 200 INVITE (sdp) -------|
        0000.020 |                                |------------- ACK ------------->|
        0000.020 |<------ 200 INVITE (sdp) -------|                                |
        0000.020 |                            [Joining]                            |
        0000.026 |------------ PRACK ------------>|                                |
        0000.026 |<---------- 200 PRACK ----------|                                |
        0000.030 |---------- ACK (sdp) ---------->|                                |
        0000.030 |                    [not recorded: NO_WAIVER]                    |
        0000.030 |                            [Talking]                            |
        0000.530 |------------- BYE ------------->|                                |
        0000.530 |<----------- 200 BYE -----------|                                |
        0000.530 |                                |------------- BYE ------------->|
        0000.530 |                     [Over: CALLER_HUNG_UP]                      |
        0000.540 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
}

#[test]
fn an_offer_that_still_waits_for_a_prack_is_told_in_the_200() {
    let (mut city, citizen, department) = ringing();
    let body = describe(&city, department);
    let early = Extra {
        body: body.clone(),
        ..reliable("2")
    };
    city.line_answers(department, "INVITE", 183, &early);
    city.run_ms(50);
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    prack(&mut city, citizen, 180, "");
    talk_and_end(&mut city, citizen);
}

#[test]
fn an_answer_that_is_in_no_prack_and_no_ack_ends_the_call() {
    let (mut city, citizen, department) = ringing();
    prack(&mut city, citizen, 180, "");
    let body = describe(&city, department);
    let early = Extra {
        body: body.clone(),
        ..reliable("2")
    };
    city.line_answers(department, "INVITE", 183, &early);
    city.run_until_line(citizen, "183 INVITE (sdp)", 1);
    prack(&mut city, citizen, 183, "");
    city.run_ms(50);
    city.lines[citizen].ack_body = String::new();
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.finish();
    assert_eq!(city.lines[citizen].end_of_call(), "was hung up on");
}

/// The trunk is said to know no reliable answers, whatever its INVITEs say.
fn unreliable(settings: &mut Settings) {
    settings.peers[0].sip.reliable = Reliable::Off;
}

#[test]
fn where_a_trunk_has_no_reliable_answers_our_offer_is_in_the_200() {
    let mut city = City::new(Plan {
        adapt: unreliable,
        ..Plan::transparent()
    });
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    city.line_calls(citizen, NUMBER, &Extra::header("Supported: 100rel"));
    city.run_until_line(department, "INVITE (sdp)", 1);
    let body = describe(&city, department);
    city.line_answers(department, "INVITE", 183, &Extra::body(body.clone()));
    city.run_until_line(citizen, "183 INVITE", 1);
    city.lines[citizen].ack_body = describe(&city, citizen);
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    talk_and_end(&mut city, citizen);
}
