//! Calls that the PBX makes, to people outside and to the city's own numbers. The world is whole unless a test says otherwise.

use expect_test::expect;
use tests::{
    City, Plan,
    carrier::Dial,
    department::answers_after,
    line::Extra,
    plan::{NUMBER, OTHER_NUMBER},
};

/// A city with a telephone of the PBX that calls, and one outside that is called.
fn two_lines(plan: Plan) -> (City, usize, usize) {
    let mut city = City::new(plan);
    let (pbx, carrier) = (city.pbx.address, city.carrier.address);
    let extension = city.line(pbx, "200");
    let citizen = city.line(carrier, "0790000009");
    (city, extension, citizen)
}

#[test]
fn the_pbx_calls_somebody_outside_and_nothing_is_recorded_or_written() {
    let (mut city, extension, citizen) = two_lines(Plan::announce());
    let offer = city.lines[extension].describe("sendrecv");
    city.line_calls(extension, "0790000009", &Extra::body(offer));
    city.run_until_line(citizen, "INVITE (sdp)", 1);
    city.line_answers(citizen, "INVITE", 180, &Extra::default());
    city.run_ms(500);
    let answer = city.lines[citizen].describe("sendrecv");
    city.line_answers(citizen, "INVITE", 200, &Extra::body(answer));
    city.run_until_line(extension, "200 INVITE (sdp)", 1);
    city.run_ms(20);
    city.line_speaks(extension);
    city.line_speaks(citizen);
    city.run_ms(1_000);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |                                |<-------- INVITE (sdp) ---------|
        0000.000 |                                |--------- 100 INVITE ---------->|
        0000.000 |                           [outbound]                            |
        0000.000 |<-------- INVITE (sdp) ---------|                                |
        0000.000 |                            [Passing]                            |
        0000.010 |--------- 100 INVITE ---------->|                                |
        0000.010 |--------- 180 INVITE ---------->|                                |
        0000.010 |                                |--------- 180 INVITE ---------->|
        0000.510 |------ 200 INVITE (sdp) ------->|                                |
        0000.510 |<------------- ACK -------------|                                |
        0000.510 |                                |------ 200 INVITE (sdp) ------->|
        0000.510 |                  [not recorded: OUT_OF_SCOPE]                   |
        0000.510 |                            [Talking]                            |
        0000.520 |                                |<------------- ACK -------------|
        0001.540 |------------- BYE ------------->|                                |
        0001.540 |<----------- 200 BYE -----------|                                |
        0001.540 |                                |------------- BYE ------------->|
        0001.540 |                   [Over: DEPARTMENT_HUNG_UP]                    |
        0001.550 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
    assert!(city.lines[extension].voice.heard_speech().len() > 40);
    assert!(city.lines[citizen].voice.heard_speech().len() > 40);
    assert_eq!(
        city.recorder.unrecorded.len() + city.recorder.closed.len(),
        0
    );
    let invite = city.lines[citizen].invite.as_ref().unwrap();
    assert_eq!(invite.called_user(), "0790000009");
}

#[test]
fn the_pbx_calls_one_of_the_citys_own_numbers_without_notice_or_record() {
    let plan = Plan::announce().with("100", answers_after(500));
    let mut city = City::new(plan);
    let extension = city.line(city.pbx.address, "200");
    let offer = city.lines[extension].describe("sendrecv");
    city.line_calls(extension, OTHER_NUMBER, &Extra::body(offer));
    city.run_until_line(extension, "200 INVITE (sdp)", 1);
    city.run_ms(10);
    city.line_says(extension, "BYE", &Extra::default());
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |                                |<-------- INVITE (sdp) ---------|
        0000.000 |                                |--------- 100 INVITE ---------->|
        0000.000 |                           [internal]                            |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.110 |                                |<--------- 180 INVITE ----------|
        0000.110 |                                |--------- 180 INVITE ---------->|
        0000.510 |                                |<------ 200 INVITE (sdp) -------|
        0000.510 |                                |------------- ACK ------------->|
        0000.510 |                                |------ 200 INVITE (sdp) ------->|
        0000.510 |                  [not recorded: OUT_OF_SCOPE]                   |
        0000.510 |                            [Talking]                            |
        0000.520 |                                |<------------- ACK -------------|
        0000.530 |                                |<------------- BYE -------------|
        0000.530 |                                |----------- 200 BYE ----------->|
        0000.530 |                                |------------- BYE ------------->|
        0000.530 |                     [Over: CALLER_HUNG_UP]                      |
        0000.540 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
    assert_eq!(
        city.recorder.unrecorded.len() + city.recorder.closed.len(),
        0
    );
}

#[test]
fn a_carriers_call_never_leaves_through_a_carrier() {
    let mut city = City::new(Plan::announce());
    let citizen = city.line(city.carrier.address, "0790000009");
    let call = city.dial(Dial::to("0790000009"));
    city.finish();
    assert_eq!(city.caller(call).end_of_call(), "404");
    assert_eq!(city.lines[citizen].end_of_call(), "never called");
}

#[test]
fn what_is_outside_refuses_as_it_likes_and_the_pbx_hears_it() {
    for (refused, passed) in [
        (486, "486"),
        (404, "404"),
        (302, "480"),
        (407, "502"),
        (503, "500"),
    ] {
        let (mut city, extension, citizen) = two_lines(Plan::announce());
        let offer = city.lines[extension].describe("sendrecv");
        city.line_calls(extension, "0790000009", &Extra::body(offer));
        city.run_until_line(citizen, "INVITE (sdp)", 1);
        city.line_answers(citizen, "INVITE", refused, &Extra::default());
        city.finish();
        assert_eq!(city.lines[extension].end_of_call(), passed, "{refused}");
    }
}

#[test]
fn an_inbound_call_beside_an_outbound_one_is_recorded_alone() {
    let (mut city, extension, citizen) = two_lines(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    let offer = city.lines[extension].describe("sendrecv");
    city.line_calls(extension, "0790000009", &Extra::body(offer));
    city.run_until_line(citizen, "INVITE (sdp)", 1);
    let answer = city.lines[citizen].describe("sendrecv");
    city.line_answers(citizen, "INVITE", 200, &Extra::body(answer));
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(1_000);
    city.hang_up(call);
    city.line_says(extension, "BYE", &Extra::default());
    city.finish();
    assert_eq!(city.recorder.closed.len(), 1);
    assert_eq!(city.recorder.unrecorded.len(), 0);
}

/// A call between two lines that are driven by hand, until they talk.
fn connect(city: &mut City, calls: usize, called: &str, answers: usize) {
    let offer = city.lines[calls].describe("sendrecv");
    city.line_calls(calls, called, &Extra::body(offer));
    city.run_until_line(answers, "INVITE (sdp)", 1);
    let answer = city.lines[answers].describe("sendrecv");
    city.line_answers(answers, "INVITE", 200, &Extra::body(answer));
    city.run_until_line(calls, "200 INVITE (sdp)", 1);
    city.run_ms(20);
}

#[test]
fn of_calls_of_every_kind_exactly_the_inbound_ones_are_kept() {
    // A hundred in, of which fifty are transferred, a hundred out and a hundred inside; nobody sees the others' calls.
    let mut city = City::new(Plan {
        is_waived: true,
        legs: 32,
        ..Plan::transparent()
    });
    let (carrier, pbx) = (city.carrier.address, city.pbx.address);
    for round in 0..100 {
        let lines = [
            (carrier, "0790000001"),
            (pbx, "100"),
            (pbx, "200"),
            (carrier, "0790000009"),
            (pbx, "201"),
            (pbx, "100"),
        ];
        let lines = lines.map(|(address, user)| city.line(address, user));
        let [citizen, department, outward, outside, inward, inside] = lines;
        connect(&mut city, citizen, NUMBER, department);
        connect(&mut city, outward, "0790000009", outside);
        connect(&mut city, inward, OTHER_NUMBER, inside);
        let mut talks = department;
        if round % 2 == 0 {
            let next = city.line(pbx, "100");
            let target = format!("Refer-To: <sip:{OTHER_NUMBER}@127.0.0.1>");
            city.line_says(department, "REFER", &Extra::header(target));
            city.run_until_line(next, "INVITE (sdp)", 1);
            let answer = city.lines[next].describe("sendrecv");
            city.line_answers(next, "INVITE", 200, &Extra::body(answer));
            city.run_until_line(department, "BYE", 1);
            talks = next;
        }
        city.run_ms(40);
        for line in [talks, outward, inside] {
            city.line_says(line, "BYE", &Extra::default());
        }
        city.run_ms(100);
    }
    city.finish();
    assert_eq!(city.recorder.closed.len(), 100);
    assert_eq!(city.recorder.unrecorded.len(), 0);
    let in_two = city.recorder.closed.iter();
    let in_two = in_two.filter(|recording| recording.earlier.len() == 1);
    assert_eq!(in_two.count(), 50);
}
