//! What storms have found: requests that nobody answered, dialogs that nobody closed. Two telephones are driven by hand.

use tests::{City, Plan, line::Extra, plan::NUMBER, text::Text};

/// A citizen and a department's telephone, which has been called.
fn called(plan: Plan, headers: &[&str]) -> (City, usize, usize) {
    let mut city = City::new(plan);
    let (pbx, carrier) = (city.pbx.address, city.carrier.address);
    let citizen = city.line(carrier, "0790000001");
    let department = city.line(pbx, "100");
    let extra = Extra {
        headers: headers.iter().map(ToString::to_string).collect(),
        body: city.lines[citizen].describe("sendrecv"),
        kind: "",
    };
    city.line_calls(citizen, NUMBER, &extra);
    city.run_until_line(department, "INVITE (sdp)", 1);
    (city, citizen, department)
}

fn answer(city: &mut City, citizen: usize, department: usize) {
    let answer = city.lines[department].describe("sendrecv");
    city.line_answers(department, "INVITE", 200, &Extra::body(answer));
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    city.run_ms(20);
}

/// The origins of all descriptions that a line got in requests.
fn origins(city: &City, line: usize) -> Vec<String> {
    let requests = city.lines[line]
        .got
        .iter()
        .map(|(_, message)| message)
        .filter(|message: &&Text| message.status().is_none());
    requests
        .filter_map(|message| message.body.lines().find(|line| line.starts_with("o=")))
        .map(|origin| origin.split(' ').nth(2).unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn an_offer_that_was_refused_has_used_up_its_version() {
    let (mut city, citizen, department) = called(Plan::transparent(), &[]);
    answer(&mut city, citizen, department);
    for (count, direction) in [(2, "sendonly"), (3, "inactive")] {
        let offer = city.lines[citizen].describe(direction);
        city.line_says(citizen, "INVITE", &Extra::body(offer));
        city.run_until_line(department, "INVITE (sdp)", count);
        city.line_answers(department, "INVITE", 488, &Extra::default());
        city.run_until_line(citizen, "488 INVITE", count - 1);
        city.run_ms(20);
    }
    assert_eq!(origins(&city, department), ["1", "2", "3"]);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn a_request_that_still_waits_when_the_call_ends_is_answered() {
    let (mut city, citizen, department) = called(Plan::transparent(), &[]);
    answer(&mut city, citizen, department);
    city.line_says(citizen, "INFO", &Extra::default());
    city.run_until_line(department, "INFO", 1);
    city.line_says(department, "BYE", &Extra::default());
    city.run_until_line(citizen, "BYE", 1);
    assert_eq!(city.lines[citizen].count("487 INFO"), 1);
    city.finish();
}

#[test]
fn a_request_in_a_call_that_is_over_is_answered() {
    // The department hangs up before the citizen's ACK has come: the goodbye waits for it, and the call is over.
    let (mut city, citizen, department) = called(Plan::transparent(), &[]);
    city.lines[citizen].acknowledges = false;
    let answer = city.lines[department].describe("sendrecv");
    city.line_answers(department, "INVITE", 200, &Extra::body(answer));
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    city.line_says(department, "BYE", &Extra::default());
    city.run_until_line(department, "200 BYE", 1);
    for method in ["OPTIONS", "INFO"] {
        city.line_says(citizen, method, &Extra::default());
        city.run_until_line(citizen, &format!("481 {method}"), 1);
    }
    let ack = city.lines[citizen].acknowledge(1, String::new());
    city.send(ack);
    city.run_until_line(citizen, "BYE", 1);
    city.finish();
}

#[test]
fn a_call_that_ends_while_its_answer_waits_for_a_prack_leaves_no_dialog() {
    let (mut city, citizen, department) = called(Plan::transparent(), &["Supported: 100rel"]);
    let early = city.lines[department].describe("sendrecv");
    let reliable = Extra::body(early.clone())
        .and("Require: 100rel")
        .and("RSeq: 1");
    city.line_answers(department, "INVITE", 183, &reliable);
    city.run_until_line(department, "PRACK", 1);
    city.run_until_line(citizen, "183 INVITE (sdp)", 1);
    city.line_answers(department, "INVITE", 200, &Extra::default());
    city.run_until_line(department, "ACK", 1);
    assert_eq!(
        city.lines[citizen].count("200 INVITE"),
        0,
        "its PRACK has not come"
    );
    city.line_says(department, "BYE", &Extra::default());
    city.run_until_line(citizen, "480 INVITE", 1);
    city.finish();
}
