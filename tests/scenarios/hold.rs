//! Hold and resume, from both sides and in each form. The world is whole; the recorder goes on, and silence is a gap.

use expect_test::expect;
use tests::{City, Plan, line::Extra};

use crate::renegotiation::talking_in;

fn talking() -> (City, usize, usize) {
    talking_in(Plan {
        is_waived: true,
        ..Plan::transparent()
    })
}

/// One side asks for a direction; the other answers with its own. What the asker hears back.
fn change(city: &mut City, asks: usize, other: usize, wanted: &str, answered: &str) -> String {
    let count = city.lines[other].count("INVITE (sdp)");
    let answers = city.lines[asks].count("200 INVITE (sdp)");
    let body = city.lines[asks].describe(wanted);
    city.line_says(asks, "INVITE", &Extra::body(body));
    city.run_until_line(other, "INVITE (sdp)", count + 1);
    let offered = city.lines[other]
        .last("INVITE")
        .expect("an offer")
        .body
        .clone();
    assert!(offered.contains(&format!("a={wanted}")), "{offered}");
    let body = city.lines[other].describe(answered);
    city.line_answers(other, "INVITE", 200, &Extra::body(body));
    city.run_until_line(asks, "200 INVITE (sdp)", answers + 1);
    city.run_ms(50);
    city.lines[asks]
        .answered(200, "INVITE")
        .expect("an answer")
        .body
        .clone()
}

#[test]
fn either_side_holds_and_resumes() {
    for holder_is_department in [true, false] {
        let (mut city, citizen, department) = talking();
        let (holder, held) = if holder_is_department {
            (department, citizen)
        } else {
            (citizen, department)
        };
        let answer = change(&mut city, holder, held, "sendonly", "recvonly");
        assert!(answer.contains("a=recvonly"), "{answer}");
        // Whoever holds may send music, and hears nothing.
        let (music, silence) = (
            city.lines[held].voice.heard_speech().len(),
            city.lines[holder].voice.heard_speech().len(),
        );
        city.run_ms(500);
        assert!(city.lines[held].voice.heard_speech().len() > music + 20);
        assert_eq!(city.lines[holder].voice.heard_speech().len(), silence);
        let answer = change(&mut city, holder, held, "sendrecv", "sendrecv");
        assert!(answer.contains("a=sendrecv"), "{answer}");
        let before = city.lines[holder].voice.heard_speech().len();
        city.run_ms(500);
        assert!(city.lines[holder].voice.heard_speech().len() > before + 20);
        city.line_says(citizen, "BYE", &Extra::default());
        city.finish();
        assert_eq!(city.recorder.closed.len(), 1, "one recording over the hold");
    }
}

#[test]
fn a_hold_in_the_old_form_is_one_too() {
    let (mut city, citizen, department) = talking();
    let body = city.lines[department]
        .describe("sendrecv")
        .replace("c=IN IP4 127.0.0.3", "c=IN IP4 0.0.0.0");
    city.line_says(department, "INVITE", &Extra::body(body));
    city.run_until_line(citizen, "INVITE (sdp)", 1);
    let offered = city.lines[citizen].last("INVITE").unwrap().body.clone();
    assert!(
        offered.contains("a=sendonly") || offered.contains("a=inactive"),
        "{offered}"
    );
    let body = city.lines[citizen].describe("recvonly");
    city.line_answers(citizen, "INVITE", 200, &Extra::body(body));
    city.run_until_line(department, "200 INVITE (sdp)", 1);
    city.run_ms(50);
    let before = city.lines[department].voice.heard_speech().len();
    city.run_ms(300);
    assert_eq!(city.lines[department].voice.heard_speech().len(), before);
    change(&mut city, department, citizen, "sendrecv", "sendrecv");
    let before = city.lines[department].voice.heard_speech().len();
    city.run_ms(500);
    assert!(city.lines[department].voice.heard_speech().len() > before + 20);
    city.line_says(citizen, "BYE", &Extra::default());
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
        0000.520 |                                |<-------- INVITE (sdp) ---------|
        0000.520 |                                |--------- 100 INVITE ---------->|
        0000.520 |<-------- INVITE (sdp) ---------|                                |
        0000.530 |------ 200 INVITE (sdp) ------->|                                |
        0000.530 |<------------- ACK -------------|                                |
        0000.530 |                                |------ 200 INVITE (sdp) ------->|
        0000.540 |                                |<------------- ACK -------------|
        0000.890 |                                |<-------- INVITE (sdp) ---------|
        0000.890 |                                |--------- 100 INVITE ---------->|
        0000.890 |<-------- INVITE (sdp) ---------|                                |
        0000.900 |------ 200 INVITE (sdp) ------->|                                |
        0000.900 |<------------- ACK -------------|                                |
        0000.900 |                                |------ 200 INVITE (sdp) ------->|
        0000.910 |                                |<------------- ACK -------------|
        0001.460 |------------- BYE ------------->|                                |
        0001.460 |<----------- 200 BYE -----------|                                |
        0001.460 |                                |------------- BYE ------------->|
        0001.460 |                     [Over: CALLER_HUNG_UP]                      |
        0001.470 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
}

#[test]
fn both_sides_hold_and_each_resumes_for_itself() {
    let (mut city, citizen, department) = talking();
    change(&mut city, department, citizen, "sendonly", "recvonly");
    change(&mut city, citizen, department, "inactive", "inactive");
    let answer = change(&mut city, department, citizen, "sendrecv", "sendonly");
    assert!(
        answer.contains("a=sendonly"),
        "the citizen still holds: {answer}"
    );
    change(&mut city, citizen, department, "sendrecv", "sendrecv");
    let before = city.lines[department].voice.heard_speech().len();
    city.run_ms(500);
    assert!(city.lines[department].voice.heard_speech().len() > before + 20);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn a_department_that_answers_with_hold_is_connected_and_resumes() {
    let mut city = City::new(Plan::announce());
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    let offer = Extra::body(city.lines[citizen].describe("sendrecv"));
    city.line_calls(citizen, tests::plan::NUMBER, &offer);
    city.run_until_line(department, "INVITE (sdp)", 1);
    let body = city.lines[department].describe("inactive");
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(department, "ACK", 1);
    city.line_speaks(citizen);
    city.run_ms(500);
    assert!(
        city.lines[department].voice.heard.is_empty(),
        "it takes nothing"
    );
    change(&mut city, department, citizen, "sendrecv", "sendrecv");
    city.run_ms(500);
    assert!(city.lines[department].voice.heard_speech().len() > 20);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
    assert_eq!(city.recorder.closed.len(), 1);
}

#[test]
fn a_resume_by_an_invite_without_a_description_reaches_the_other_side() {
    let (mut city, citizen, department) = talking();
    change(&mut city, department, citizen, "sendonly", "recvonly");
    city.lines[department].ack_body = city.lines[department].describe("sendrecv");
    city.line_says(department, "INVITE", &Extra::default());
    city.run_until_line(citizen, "INVITE (sdp)", 2);
    let offered = city.lines[citizen].last("INVITE").unwrap().body.clone();
    assert!(offered.contains("a=sendrecv"), "{offered}");
    let body = city.lines[citizen].describe("sendrecv");
    city.line_answers(citizen, "INVITE", 200, &Extra::body(body));
    city.run_ms(50);
    let before = city.lines[department].voice.heard_speech().len();
    city.run_ms(500);
    assert!(city.lines[department].voice.heard_speech().len() > before + 20);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn whoever_holds_is_asked_for_nothing_when_the_other_side_wants_an_offer() {
    for wanted in ["sendonly", "inactive"] {
        let answer = if wanted == "sendonly" {
            "recvonly"
        } else {
            wanted
        };
        let (mut city, citizen, department) = talking();
        change(&mut city, citizen, department, wanted, answer);
        let asked = city.lines[citizen].count("INVITE (sdp)");
        city.lines[department].ack_body = city.lines[department].describe(answer);
        city.line_says(department, "INVITE", &Extra::default());
        city.run_until_line(department, "200 INVITE (sdp)", 1);
        city.run_ms(500);
        assert_eq!(city.lines[citizen].count("INVITE (sdp)"), asked, "{wanted}");
        let answer = change(&mut city, citizen, department, "sendrecv", "sendrecv");
        assert!(answer.contains("a=sendrecv"), "{answer}");
        city.line_says(citizen, "BYE", &Extra::default());
        city.finish();
    }
}

#[test]
fn a_hold_before_the_callers_ack_is_told_to_the_caller_afterwards() {
    // The citizen's INVITE offers nothing: its ACK brings the answer, and is late.
    let mut city = City::new(Plan {
        is_waived: true,
        ..Plan::transparent()
    });
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    city.lines[citizen].acknowledges = false;
    city.line_calls(citizen, "0783331001", &Extra::default());
    city.run_until_line(department, "INVITE (sdp)", 1);
    let body = city.lines[department].describe("sendrecv");
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    let body = city.lines[department].describe("sendonly");
    city.line_says(department, "INVITE", &Extra::body(body));
    city.run_until_line(department, "200 INVITE (sdp)", 1);
    let answer = city.lines[citizen].describe("sendrecv");
    let ack = city.lines[citizen].acknowledge(1, answer);
    city.send(ack);
    city.run_until_line(citizen, "INVITE (sdp)", 1);
    let offered = city.lines[citizen].last("INVITE").unwrap().body.clone();
    assert!(offered.contains("a=sendonly"), "{offered}");
    city.lines[citizen].acknowledges = true;
    let body = city.lines[citizen].describe("recvonly");
    city.line_answers(citizen, "INVITE", 200, &Extra::body(body));
    city.run_ms(50);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

/// The department answers; it is to hear at once that the citizen holds, and later that it holds no more.
fn answer_and_resume(city: &mut City, citizen: usize, department: usize) {
    let body = city.lines[department].describe_again("sendrecv", &[0, 101]);
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(department, "INVITE (sdp)", 2);
    let offer = city.lines[department].last("INVITE").expect("an offer");
    assert!(offer.body.contains("a=sendonly"), "{}", offer.body);
    let body = city.lines[department].describe("recvonly");
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_ms(50);
    change(city, citizen, department, "sendrecv", "sendrecv");
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn a_hold_of_a_caller_who_hears_our_ringback_is_told_to_the_department_when_it_answers() {
    let mut city = City::new(Plan::announce());
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    let offer = Extra::body(city.lines[citizen].describe("sendrecv"));
    city.line_calls(citizen, "0783331001", &offer);
    city.run_until_line(department, "INVITE (sdp)", 1);
    city.line_answers(department, "INVITE", 180, &Extra::default());
    city.run_ms(100);
    let body = city.lines[citizen].describe("sendonly");
    city.line_says(citizen, "INVITE", &Extra::body(body));
    city.run_until_line(citizen, "200 INVITE (sdp)", 2);
    city.run_ms(100);
    answer_and_resume(&mut city, citizen, department);
}

#[test]
fn a_hold_by_update_before_the_answer_is_told_to_a_department_without_update_when_it_answers() {
    let mut city = City::new(Plan::transparent());
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    let offer = Extra::body(city.lines[citizen].describe("sendrecv")).and("Supported: 100rel");
    city.line_calls(citizen, "0783331001", &offer);
    city.run_until_line(department, "INVITE (sdp)", 1);
    let early = Extra {
        body: city.lines[department].describe_again("sendrecv", &[0, 101]),
        ..Extra::header("Require: 100rel").and("RSeq: 1")
    };
    city.line_answers(department, "INVITE", 183, &early);
    city.run_until_line(citizen, "183 INVITE (sdp)", 1);
    let answer = city.lines[citizen].answered(183, "INVITE").unwrap().clone();
    let prack = city.lines[citizen].prack(&answer, "");
    city.send(prack);
    city.run_until_line(citizen, "200 PRACK", 1);
    let body = city.lines[citizen].describe("sendonly");
    city.line_says(citizen, "UPDATE", &Extra::body(body));
    city.run_until_line(citizen, "200 UPDATE (sdp)", 1);
    answer_and_resume(&mut city, citizen, department);
}

/// The citizen asks to hold and gives it up while the department, which has said 100, thinks about it.
fn hold_and_cancel(city: &mut City, citizen: usize, department: usize) {
    let body = city.lines[citizen].describe("sendonly");
    city.line_says(citizen, "INVITE", &Extra::body(body));
    city.run_until_line(department, "INVITE (sdp)", 2);
    city.line_answers(department, "INVITE", 100, &Extra::default());
    city.run_ms(50);
    let cancel = city.lines[citizen].cancel(&Extra::default());
    city.send(cancel);
    city.run_until_line(citizen, "487 INVITE", 1);
    city.run_until_line(department, "CANCEL", 1);
}

#[test]
fn a_hold_that_is_cancelled_is_cancelled_at_the_other_leg_too() {
    let (mut city, citizen, department) = talking();
    hold_and_cancel(&mut city, citizen, department);
    city.run_ms(500);
    assert_eq!(city.lines[department].count("INVITE (sdp)"), 2);
    change(&mut city, citizen, department, "sendonly", "recvonly");
    change(&mut city, citizen, department, "sendrecv", "sendrecv");
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn a_hold_that_the_other_leg_takes_after_its_cancel_is_taken_back() {
    let (mut city, citizen, department) = talking();
    city.lines[department].is_polite = false;
    hold_and_cancel(&mut city, citizen, department);
    let body = city.lines[department].describe("recvonly");
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(department, "INVITE (sdp)", 3);
    let offer = city.lines[department].last("INVITE").expect("an offer");
    assert!(offer.body.contains("a=sendrecv"), "{}", offer.body);
    let body = city.lines[department].describe("sendrecv");
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_ms(50);
    let before = city.lines[citizen].voice.heard_speech().len();
    city.run_ms(500);
    assert!(city.lines[citizen].voice.heard_speech().len() > before + 20);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}
