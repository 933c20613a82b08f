//! What is said before an answer: 18x with and without media, made reliable or not, offers that come late. The world is whole.

use expect_test::expect;
use rules::{EndCause, NoticeKind};
use tests::{
    City, Plan,
    carrier::Dial,
    line::Extra,
    plan::{NUMBER, OTHER_NUMBER},
};

/// A carrier's telephone that calls, and the department's that is called, both driven by hand.
fn lines(plan: Plan) -> (City, usize, usize) {
    let mut city = City::new(plan);
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    (city, citizen, department)
}

fn reliable(status_line: &str) -> Extra {
    Extra::header("Require: 100rel").and(format!("RSeq: {status_line}"))
}

#[test]
fn a_199_ends_nothing_for_a_caller_though_it_knows_it() {
    // RFC 6228 section 5: a branch of a forking PBX has ended, another rings on, and the caller has one dialog with us for both.
    let (mut city, citizen, department) = lines(Plan::transparent());
    let offer = Extra::body(city.lines[citizen].describe("sendrecv"));
    city.line_calls(citizen, NUMBER, &offer.and("Supported: replaces, 199"));
    city.run_until_line(department, "INVITE (sdp)", 1);
    let reason = "Reason: SIP;cause=486";
    city.line_answers(department, "INVITE", 199, &Extra::header(reason));
    city.run_ms(100);
    city.line_answers(department, "INVITE", 180, &Extra::default());
    city.run_until_line(citizen, "180 INVITE", 1);
    let body = city.lines[department].describe("sendrecv");
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    city.run_ms(100);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
    let citizen = &city.lines[citizen];
    let others = ["199 INVITE", "183 INVITE", "183 INVITE (sdp)", "181 INVITE"];
    assert!(others.iter().all(|answer| citizen.count(answer) == 0));
}

#[test]
fn reliable_provisional_answers_cross_and_each_leg_has_its_own_prack() {
    let (mut city, citizen, department) = lines(Plan::transparent());
    let offer = Extra::body(city.lines[citizen].describe("sendrecv")).and("Supported: 100rel");
    city.line_calls(citizen, NUMBER, &offer);
    city.run_until_line(department, "INVITE (sdp)", 1);
    let body = city.lines[department].describe("sendrecv");
    city.line_answers(
        department,
        "INVITE",
        183,
        &Extra {
            body,
            ..reliable("7")
        },
    );
    city.run_until_line(citizen, "183 INVITE (sdp)", 1);
    let answer = city.lines[citizen].answered(183, "INVITE").unwrap().clone();
    assert_eq!(answer.header("Require"), "100rel");
    let prack = city.lines[citizen].prack(&answer, "");
    city.send(prack);
    city.run_until_line(department, "PRACK", 1);
    assert_eq!(
        city.lines[department].last("PRACK").unwrap().header("RAck"),
        "7 1 INVITE"
    );
    city.line_answers(department, "INVITE", 180, &reliable("8"));
    city.run_until_line(citizen, "180 INVITE", 1);
    let answer = city.lines[citizen].answered(180, "INVITE").unwrap().clone();
    let prack = city.lines[citizen].prack(&answer, "");
    city.send(prack);
    city.run_ms(100);
    let body = city.lines[department].describe_again("sendrecv", &[0, 101]);
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    city.run_ms(100);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |------------ PRACK ------------>|
        0000.010 |                                |<------ 183 INVITE (sdp) -------|
        0000.010 |<------ 183 INVITE (sdp) -------|                                |
        0000.020 |                                |<---------- 200 PRACK ----------|
        0000.020 |------------ PRACK ------------>|                                |
        0000.020 |<---------- 200 PRACK ----------|                                |
        0000.020 |                                |------------ PRACK ------------>|
        0000.020 |                                |<--------- 180 INVITE ----------|
        0000.020 |<--------- 180 INVITE ----------|                                |
        0000.030 |                                |<---------- 200 PRACK ----------|
        0000.030 |------------ PRACK ------------>|                                |
        0000.030 |<---------- 200 PRACK ----------|                                |
        0000.130 |                                |<------ 200 INVITE (sdp) -------|
        0000.130 |                                |------------- ACK ------------->|
        0000.130 |<------ 200 INVITE (sdp) -------|                                |
        0000.130 |                    [not recorded: NO_WAIVER]                    |
        0000.130 |                            [Talking]                            |
        0000.140 |------------- ACK ------------->|                                |
        0000.240 |------------- BYE ------------->|                                |
        0000.240 |<----------- 200 BYE -----------|                                |
        0000.240 |                                |------------- BYE ------------->|
        0000.240 |                     [Over: CALLER_HUNG_UP]                      |
        0000.250 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
}

#[test]
fn early_media_is_heard_before_the_answer() {
    let (mut city, citizen, department) = lines(Plan::transparent());
    let offer = Extra::body(city.lines[citizen].describe("sendrecv"));
    city.line_calls(citizen, NUMBER, &offer);
    city.run_until_line(department, "INVITE (sdp)", 1);
    let body = city.lines[department].describe("sendrecv");
    city.line_answers(department, "INVITE", 183, &Extra::body(body));
    city.run_until_line(citizen, "183 INVITE (sdp)", 1);
    city.line_speaks(department);
    city.run_ms(500);
    let early = city.lines[citizen].voice.heard_speech().len();
    assert!(early > 20, "{early} frames before any answer");
    city.line_answers(department, "INVITE", 486, &Extra::default());
    city.finish();
    assert_eq!(city.lines[citizen].end_of_call(), "486");
}

#[test]
fn a_caller_without_an_offer_gets_ours_in_the_200_and_answers_in_the_ack() {
    let plan = Plan {
        is_waived: true,
        ..Plan::transparent()
    };
    let (mut city, citizen, department) = lines(plan);
    city.line_calls(citizen, NUMBER, &Extra::default());
    city.run_until_line(department, "INVITE (sdp)", 1);
    let invite = city.lines[department].invite.clone().unwrap();
    assert_eq!(invite.payload_types(), [0, 8, 101], "we offer in its place");
    city.line_answers(department, "INVITE", 180, &Extra::default());
    city.run_ms(200);
    city.lines[citizen].ack_body = city.lines[citizen].describe_again("sendrecv", &[0, 101]);
    let body = city.lines[department].describe_again("sendrecv", &[0, 101]);
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    city.run_ms(20);
    city.line_speaks(citizen);
    city.line_speaks(department);
    city.run_ms(1_000);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |----------- INVITE ------------>|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |<--------- 180 INVITE ----------|
        0000.010 |<--------- 180 INVITE ----------|                                |
        0000.210 |                                |<------ 200 INVITE (sdp) -------|
        0000.210 |                                |------------- ACK ------------->|
        0000.210 |<------ 200 INVITE (sdp) -------|                                |
        0000.210 |                            [Joining]                            |
        0000.220 |---------- ACK (sdp) ---------->|                                |
        0000.220 |                      [recording: decision]                      |
        0000.220 |                            [Talking]                            |
        0001.240 |------------- BYE ------------->|                                |
        0001.240 |<----------- 200 BYE -----------|                                |
        0001.240 |                                |------------- BYE ------------->|
        0001.240 |                     [Over: CALLER_HUNG_UP]                      |
        0001.250 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
    let offered = city.lines[citizen].answered(200, "INVITE").unwrap();
    assert_eq!(
        offered.payload_types(),
        [0, 8, 101],
        "what the department chose comes first"
    );
    assert!(city.lines[citizen].voice.heard_speech().len() > 40);
    assert_eq!(city.recorder.closed.len(), 1);
}

#[test]
fn a_caller_without_an_offer_hears_early_media_after_its_prack() {
    let (mut city, citizen, department) = lines(Plan::transparent());
    city.line_calls(citizen, NUMBER, &Extra::header("Supported: 100rel"));
    city.run_until_line(department, "INVITE (sdp)", 1);
    let body = city.lines[department].describe_again("sendrecv", &[0, 101]);
    city.line_answers(department, "INVITE", 183, &Extra::body(body.clone()));
    city.run_until_line(citizen, "183 INVITE (sdp)", 1);
    let answer = city.lines[citizen].answered(183, "INVITE").unwrap().clone();
    let own = city.lines[citizen].describe_again("sendrecv", &[0, 101]);
    let prack = city.lines[citizen].prack(&answer, &own);
    city.send(prack);
    city.run_until_line(citizen, "200 PRACK", 1);
    city.line_speaks(department);
    city.run_ms(500);
    assert!(city.lines[citizen].voice.heard_speech().len() > 20);
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(citizen, "200 INVITE", 1);
    city.run_ms(100);
    city.line_says(department, "BYE", &Extra::default());
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |----------- INVITE ------------>|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |<------ 183 INVITE (sdp) -------|
        0000.010 |<------ 183 INVITE (sdp) -------|                                |
        0000.020 |--------- PRACK (sdp) --------->|                                |
        0000.020 |<---------- 200 PRACK ----------|                                |
        0000.530 |                                |<------ 200 INVITE (sdp) -------|
        0000.530 |                                |------------- ACK ------------->|
        0000.530 |<--------- 200 INVITE ----------|                                |
        0000.530 |                    [not recorded: NO_WAIVER]                    |
        0000.530 |                            [Talking]                            |
        0000.540 |------------- ACK ------------->|                                |
        0000.640 |                                |<------------- BYE -------------|
        0000.640 |                                |----------- 200 BYE ----------->|
        0000.640 |<------------- BYE -------------|                                |
        0000.640 |                   [Over: DEPARTMENT_HUNG_UP]                    |
        0000.650 |----------- 200 BYE ----------->|                                |
    "#]]
    .assert_eq(&city.ladder(0));
}

#[test]
fn an_answer_in_the_ack_that_cannot_be_used_ends_the_call() {
    for plan in [Plan::transparent(), Plan::announce()] {
        let (mut city, citizen, department) = lines(plan.clone());
        city.line_calls(citizen, NUMBER, &Extra::default());
        if plan.profile == rules::Profile::Transparent {
            city.run_until_line(department, "INVITE (sdp)", 1);
            let body = city.lines[department].describe_again("sendrecv", &[0, 101]);
            city.line_answers(department, "INVITE", 200, &Extra::body(body));
        }
        city.lines[citizen].ack_body = "v=0\r\n".to_owned();
        city.finish();
        assert_eq!(city.lines[citizen].end_of_call(), "was hung up on");
        assert_eq!(city.record(0).end_cause, Some(EndCause::NotAcceptable));
        assert!(city.recorder.closed.is_empty());
    }
}

#[test]
fn the_notice_to_a_caller_without_an_offer_begins_with_the_ack_that_brings_its_answer() {
    let mut city = City::new(Plan::announce());
    let citizen = city.line(city.carrier.address, "0790000001");
    city.lines[citizen].ack_body = city.lines[citizen].describe_again("sendrecv", &[0, 101]);
    city.line_calls(citizen, NUMBER, &Extra::default());
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(500);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |----------- INVITE ------------>|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |<------ 200 INVITE (sdp) -------|                                |
        0000.000 |                           [ExpectAck]                           |
        0000.010 |---------- ACK (sdp) ---------->|                                |
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
        0010.103 |------------- BYE ------------->|                                |
        0010.103 |<----------- 200 BYE -----------|                                |
        0010.103 |                                |------------- BYE ------------->|
        0010.103 |                     [Over: CALLER_HUNG_UP]                      |
        0010.113 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
    assert_eq!(city.recorder.closed[0].notice.kind(), NoticeKind::Announced);
    assert!(!city.lines[citizen].voice.heard.is_empty());
}

#[test]
fn a_callers_demand_for_reliable_answers_is_made_of_the_department_unless_it_cannot() {
    let (mut city, citizen, department) = lines(Plan::transparent());
    let second = city.line(city.pbx.address, "100");
    let offer = Extra::body(city.lines[citizen].describe("sendrecv")).and("Require: 100rel");
    city.line_calls(citizen, NUMBER, &offer);
    city.run_until_line(department, "INVITE (sdp)", 1);
    let invite = city.lines[department].invite.clone().unwrap();
    assert_eq!(invite.header("Require"), "100rel");
    city.line_answers(
        department,
        "INVITE",
        420,
        &Extra::header("Unsupported: 100rel"),
    );
    city.run_until_line(second, "INVITE (sdp)", 1);
    let invite = city.lines[second].invite.clone().unwrap();
    assert_eq!(invite.header("Require"), "");
    city.line_answers(second, "INVITE", 180, &Extra::default());
    city.run_until_line(citizen, "180 INVITE", 1);
    let answer = city.lines[citizen].answered(180, "INVITE").unwrap().clone();
    assert_eq!(
        answer.header("Require"),
        "100rel",
        "the caller's leg is reliable all the same"
    );
    let prack = city.lines[citizen].prack(&answer, "");
    city.send(prack);
    city.run_ms(100);
    city.line_says(citizen, "CANCEL", &Extra::default());
    city.finish();
    assert_eq!(city.lines[citizen].end_of_call(), "487");
}

#[test]
fn an_update_before_the_answer_crosses() {
    let (mut city, citizen, department) = lines(Plan::transparent());
    let offer = Extra::body(city.lines[citizen].describe("sendrecv"))
        .and("Supported: 100rel")
        .and("Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE");
    city.line_calls(citizen, NUMBER, &offer);
    city.run_until_line(department, "INVITE (sdp)", 1);
    let body = city.lines[department].describe("sendrecv");
    let extra = reliable("1").and("Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE");
    city.line_answers(department, "INVITE", 183, &Extra { body, ..extra });
    city.run_until_line(citizen, "183 INVITE (sdp)", 1);
    let answer = city.lines[citizen].answered(183, "INVITE").unwrap().clone();
    let prack = city.lines[citizen].prack(&answer, "");
    city.send(prack);
    city.run_ms(100);
    let body = city.lines[department].describe("sendonly");
    city.line_says(department, "UPDATE", &Extra::body(body));
    city.run_until_line(citizen, "UPDATE (sdp)", 1);
    let body = city.lines[citizen].describe("recvonly");
    city.line_answers(citizen, "UPDATE", 200, &Extra::body(body));
    city.run_until_line(department, "200 UPDATE (sdp)", 1);
    city.line_says(citizen, "CANCEL", &Extra::default());
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.010 |                                |------------ PRACK ------------>|
        0000.010 |                                |<------ 183 INVITE (sdp) -------|
        0000.010 |<------ 183 INVITE (sdp) -------|                                |
        0000.020 |                                |<---------- 200 PRACK ----------|
        0000.020 |------------ PRACK ------------>|                                |
        0000.020 |<---------- 200 PRACK ----------|                                |
        0000.120 |                                |<-------- UPDATE (sdp) ---------|
        0000.120 |<-------- UPDATE (sdp) ---------|                                |
        0000.130 |------ 200 UPDATE (sdp) ------->|                                |
        0000.130 |                                |------ 200 UPDATE (sdp) ------->|
        0000.140 |----------- CANCEL ------------>|                                |
        0000.140 |<--------- 200 CANCEL ----------|                                |
        0000.140 |<--------- 487 INVITE ----------|                                |
        0000.140 |                                |----------- CANCEL ------------>|
        0000.140 |                        [Over: CANCELLED]                        |
        0000.150 |------------- ACK ------------->|                                |
        0000.150 |                                |<--------- 200 CANCEL ----------|
        0000.150 |                                |<--------- 487 INVITE ----------|
        0000.150 |                                |------------- ACK ------------->|
    "#]]
    .assert_eq(&city.ladder(0));
}

#[test]
fn a_redirection_is_followed_to_a_number_of_the_city_only() {
    for (contact, expected) in [
        (
            format!("<sip:{OTHER_NUMBER}@127.0.0.3>"),
            "200 INVITE (sdp)",
        ),
        ("<sip:0790000009@203.0.113.9>".to_owned(), "480 INVITE"),
        ("<sip:evil@203.0.113.9>".to_owned(), "480 INVITE"),
    ] {
        let (mut city, citizen, department) = lines(Plan::transparent());
        let second = city.line(city.pbx.address, "100");
        let offer = Extra::body(city.lines[citizen].describe("sendrecv"));
        city.line_calls(citizen, NUMBER, &offer);
        city.run_until_line(department, "INVITE (sdp)", 1);
        city.line_answers(
            department,
            "INVITE",
            302,
            &Extra::header(format!("Contact: {contact}")),
        );
        city.run_ms(100);
        if expected.starts_with("200") {
            let body = city.lines[second].describe("sendrecv");
            city.line_answers(second, "INVITE", 200, &Extra::body(body));
        }
        city.run_until_line(citizen, expected, 1);
        let final_answer = &city.lines[citizen].got.last().unwrap().1;
        assert!(!final_answer.contact().contains("203.0.113.9"));
        if expected.starts_with("200") {
            city.run_ms(50);
            city.line_says(citizen, "BYE", &Extra::default());
        }
        city.finish();
    }
}

#[test]
fn numbers_that_point_to_each_other_end_somewhere() {
    let mut city = City::new(Plan::transparent());
    let department: Vec<usize> = (0..7).map(|_| city.line(city.pbx.address, "100")).collect();
    let call = city.dial(Dial::to(NUMBER));
    for line in &department[..6] {
        city.run_until_line(*line, "INVITE (sdp)", 1);
        let contact = format!("Contact: <sip:{OTHER_NUMBER}@127.0.0.3>");
        city.line_answers(*line, "INVITE", 302, &Extra::header(contact));
    }
    city.finish();
    assert_eq!(city.caller(call).end_of_call(), "480");
    assert_eq!(city.lines[department[6]].end_of_call(), "never called");
}

fn notice_before_answer(settings: &mut exchange::Settings) {
    settings.peers[0].announcement = exchange::AnnouncementMedia::Early;
}

#[test]
fn a_trunk_that_wants_it_so_hears_the_notice_before_the_answer() {
    let mut city = City::new(Plan {
        adapt: notice_before_answer,
        ..Plan::announce()
    });
    let citizen = city.line(city.carrier.address, "0790000001");
    let offer = Extra::body(city.lines[citizen].describe("sendrecv")).and("Supported: 100rel");
    city.line_calls(citizen, NUMBER, &offer);
    city.run_until_line(citizen, "183 INVITE (sdp)", 1);
    city.run_ms(300);
    assert!(
        city.lines[citizen].voice.heard.is_empty(),
        "not before the PRACK"
    );
    let answer = city.lines[citizen].answered(183, "INVITE").unwrap().clone();
    let prack = city.lines[citizen].prack(&answer, "");
    city.send(prack);
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    assert!(city.lines[citizen].voice.heard.len() > 100);
    city.run_ms(500);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |<------ 183 INVITE (sdp) -------|                                |
        0000.000 |                          [ExpectPrack]                          |
        0000.310 |------------ PRACK ------------>|                                |
        0000.310 |<---------- 200 PRACK ----------|                                |
        0000.310 |                          [Announcing]                           |
        0007.883 |                    [notice sent to its end]                     |
        0007.883 |                                |-------- INVITE (sdp) --------->|
        0007.883 |                            [Passing]                            |
        0007.893 |                                |<--------- 100 INVITE ----------|
        0007.993 |                                |<--------- 180 INVITE ----------|
        0009.893 |                                |<------ 200 INVITE (sdp) -------|
        0009.893 |                                |------------- ACK ------------->|
        0009.893 |<------ 200 INVITE (sdp) -------|                                |
        0009.893 |                     [recording: announced]                      |
        0009.893 |                            [Talking]                            |
        0009.903 |------------- ACK ------------->|                                |
        0010.403 |------------- BYE ------------->|                                |
        0010.403 |<----------- 200 BYE -----------|                                |
        0010.403 |                                |------------- BYE ------------->|
        0010.403 |                     [Over: CALLER_HUNG_UP]                      |
        0010.413 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
    assert_eq!(city.recorder.closed[0].notice.kind(), NoticeKind::Announced);
}

#[test]
fn an_early_notice_needs_a_caller_that_can_say_it_has_our_answer() {
    let mut city = City::new(Plan {
        adapt: notice_before_answer,
        ..Plan::announce()
    });
    let call = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    assert!(!city.caller(call).got(183));
    city.hang_up(call);
    city.finish();
}

#[test]
fn after_an_early_notice_a_failure_is_passed_on_and_nothing_is_kept() {
    let mut city = City::new(
        Plan {
            adapt: notice_before_answer,
            ..Plan::announce()
        }
        .with("100", tests::department::refuses(486)),
    );
    let citizen = city.line(city.carrier.address, "0790000001");
    let offer = Extra::body(city.lines[citizen].describe("sendrecv")).and("Supported: 100rel");
    city.line_calls(citizen, NUMBER, &offer);
    city.run_until_line(citizen, "183 INVITE (sdp)", 1);
    let answer = city.lines[citizen].answered(183, "INVITE").unwrap().clone();
    let prack = city.lines[citizen].prack(&answer, "");
    city.send(prack);
    city.finish();
    assert_eq!(city.lines[citizen].end_of_call(), "486");
    assert!(city.recorder.closed.is_empty());
}

#[test]
fn a_secure_offer_that_may_not_be_met_is_refused() {
    let mut city = City::new(Plan::transparent());
    let citizen = city.line(city.carrier.address, "0790000001");
    // Over UDP everybody on the way could read the key.
    let key = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\na=ptime:20";
    let body = city.lines[citizen]
        .describe("sendrecv")
        .replace("RTP/AVP", "RTP/SAVP")
        .replace("a=ptime:20", key);
    city.line_calls(citizen, NUMBER, &Extra::body(body));
    city.finish();
    assert_eq!(city.lines[citizen].end_of_call(), "488");
}
