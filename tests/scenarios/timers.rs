//! Sessions that are not refreshed any more. The world is whole, but one telephone system has lost its calls.

use tests::{City, Plan, line::Extra, plan::NUMBER};

const TIMER: &str = "Session-Expires: 90;refresher=uac";

/// Two who talk; whoever called promised to refresh and never does.
fn talking(city: &mut City, calls: usize, called: &str, answers: usize) {
    let offer = Extra::body(city.lines[calls].describe("sendrecv"))
        .and("Supported: timer")
        .and(TIMER);
    city.line_calls(calls, called, &offer);
    city.run_until_line(answers, "INVITE (sdp)", 1);
    let body = city.lines[answers].describe("sendrecv");
    city.line_answers(answers, "INVITE", 200, &Extra::body(body));
    city.run_until_line(calls, "200 INVITE (sdp)", 1);
    city.run_ms(20);
    city.line_speaks(calls);
    city.line_speaks(answers);
}

#[test]
fn a_session_that_is_not_refreshed_ends_both_legs_with_a_reason() {
    let mut city = City::new(Plan::transparent());
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    talking(&mut city, citizen, NUMBER, department);
    city.run_ms(95_000);
    city.finish();
    for line in [citizen, department] {
        assert_eq!(city.lines[line].end_of_call(), "was hung up on");
        let bye = city.lines[line].last("BYE").unwrap();
        assert!(
            bye.header("Reason").contains("cause=102"),
            "{}",
            bye.header("Reason")
        );
    }
    assert_eq!(
        city.record(0).end_cause,
        Some(rules::EndCause::SessionExpired)
    );
}

#[test]
fn an_emergency_call_outlives_its_session_and_ends_by_silence_on_both_legs() {
    let mut city = City::new(Plan::transparent());
    let extension = city.line(city.pbx.address, "200");
    let police = city.line(city.carrier.address, "110");
    talking(&mut city, extension, "110", police);
    city.run_ms(200_000);
    assert_eq!(city.lines[police].end_of_call(), "");
    city.lines[extension].voice.hush();
    city.run_ms(90_000);
    assert_eq!(
        city.lines[police].end_of_call(),
        "",
        "one of them still speaks"
    );
    city.lines[police].voice.hush();
    city.run_ms(58_000);
    assert_eq!(city.lines[police].end_of_call(), "");
    city.run_ms(4_000);
    city.finish();
    assert_eq!(city.lines[police].end_of_call(), "was hung up on");
    assert_eq!(city.lines[extension].end_of_call(), "was hung up on");
}

#[test]
fn an_emergency_call_ends_by_a_bye() {
    let mut city = City::new(Plan::transparent());
    let extension = city.line(city.pbx.address, "200");
    let police = city.line(city.carrier.address, "110");
    talking(&mut city, extension, "110", police);
    city.run_ms(1_000);
    city.line_says(police, "BYE", &Extra::default());
    city.finish();
    assert_eq!(city.lines[extension].end_of_call(), "was hung up on");
}
