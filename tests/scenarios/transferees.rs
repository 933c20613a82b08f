//! Whom the next one is told of when a party is handed on: the party that it will talk with, and never one that has left.
// Our people call outside and inside, are called by citizens, and hand their calls on; the PBX is inside the trust domain.
use tests::{
    city::City,
    line::Extra,
    plan::{NUMBER, OTHER_NUMBER, Plan},
};

use crate::transfer::{answer, refer, refer_to_dialog};

/// A call inside or out that was answered, by whoever said this of itself.
fn call(city: &mut City, [caller, called]: [usize; 2], number: &str, said: &str) {
    let offer = Extra::body(city.lines[caller].describe("sendrecv"));
    let asked = city.lines[called].count("INVITE (sdp)");
    city.line_calls(caller, number, &offer);
    city.run_until_line(called, "INVITE (sdp)", asked + 1);
    let body = Extra::body(city.lines[called].describe("sendrecv"));
    let body = match said {
        "" => body,
        said => body.and(said),
    };
    city.line_answers(called, "INVITE", 200, &body);
    city.run_until_line(caller, "200 INVITE (sdp)", 1);
    city.run_ms(100);
}

/// Who calls, as the INVITE of whoever is called next says.
fn named(city: &mut City, next: usize) -> [String; 3] {
    city.run_until_line(next, "INVITE (sdp)", 1);
    let invite = city.lines[next].invite.as_ref().expect("an INVITE");
    let from = invite.header("From").split(";tag=").next();
    [
        from.unwrap_or_default().to_owned(),
        invite.header("P-Asserted-Identity").to_owned(),
        invite.header("Referred-By").to_owned(),
    ]
}

const REFERRER: &str = "<sip:100@127.0.0.1:5060>";

fn inside(number: &str) -> String {
    format!("sip:{number}@127.0.0.1")
}

const OTHER: &str = "<sip:0783331002@127.0.0.1:5060>";

#[test]
fn whoever_was_called_outside_is_named_when_it_is_handed_on() {
    let mut city = City::new(Plan::announce());
    let extension = city.line(city.pbx.address, "200");
    let citizen = city.line(city.carrier.address, "0790000009");
    let next = city.line(city.pbx.address, "100");
    let said = "P-Asserted-Identity: <sip:+81790000008@carrier.example>";
    call(&mut city, [extension, citizen], "0790000009", said);
    refer(&mut city, extension, &inside(OTHER_NUMBER));
    assert_eq!(
        named(&mut city, next),
        [
            "<sip:0790000009@127.0.0.1:5060>",
            "<sip:+81790000008@carrier.example>",
            REFERRER
        ]
    );
    answer(&mut city, next);
    city.run_until_line(extension, "BYE", 1);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn after_an_attended_transfer_the_party_at_the_other_end_is_named() {
    let mut city = City::new(Plan::announce());
    let extension = city.line(city.pbx.address, "200");
    let citizen = city.line(city.carrier.address, "0790000009");
    let consulting = city.line(city.pbx.address, "300");
    let expert = city.line(city.pbx.address, "100");
    let next = city.line(city.pbx.address, "100");
    call(&mut city, [extension, citizen], "0790000009", "");
    call(&mut city, [consulting, expert], OTHER_NUMBER, "");
    let replaces = city.lines[consulting].replaces();
    refer_to_dialog(&mut city, extension, &replaces);
    city.run_until_line(extension, "BYE", 1);
    city.run_ms(100);
    refer(&mut city, expert, &inside(NUMBER));
    assert_eq!(
        named(&mut city, next),
        ["<sip:0790000009@127.0.0.1:5060>", "", REFERRER]
    );
    answer(&mut city, next);
    city.run_until_line(expert, "BYE", 1);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn of_two_who_were_joined_each_is_named_when_the_other_hands_it_on() {
    let says = |user: &str| format!("P-Asserted-Identity: <sip:{user}@127.0.0.3>");
    for hands_on in 0..2 {
        let mut city = City::new(Plan::announce());
        let [one, two] = ["200", "300"].map(|user| city.line(city.pbx.address, user));
        let joined = ["101", "102"].map(|user| {
            let caller = if user == "101" { one } else { two };
            let called = city.line(city.pbx.address, "100");
            call(&mut city, [caller, called], OTHER_NUMBER, &says(user));
            called
        });
        let next = city.line(city.pbx.address, "100");
        let replaces = city.lines[two].replaces();
        refer_to_dialog(&mut city, one, &replaces);
        city.run_until_line(one, "BYE", 1);
        city.run_ms(100);
        refer(&mut city, joined[hands_on], &inside(NUMBER));
        let asserted = ["<sip:102@127.0.0.3>", "<sip:101@127.0.0.3>"][hands_on];
        assert_eq!(named(&mut city, next), [OTHER, asserted, REFERRER]);
        answer(&mut city, next);
        city.run_until_line(joined[hands_on], "BYE", 1);
        city.line_says(next, "BYE", &Extra::default());
        city.finish();
    }
}

#[test]
fn whoever_fetched_a_call_and_hands_it_on_names_whom_it_talked_with() {
    let mut city = City::new(Plan::announce());
    let extension = city.line(city.pbx.address, "200");
    let citizen = city.line(city.carrier.address, "0790000009");
    let fetching = city.line(city.pbx.address, "201");
    let next = city.line(city.pbx.address, "100");
    call(&mut city, [extension, citizen], "0790000009", "");
    let replaces = city.lines[extension].replaces();
    let body = city.lines[fetching].describe("sendrecv");
    let wants = Extra::body(body).and(format!("Replaces: {replaces}"));
    city.line_calls(fetching, "0790000009", &wants);
    city.run_until_line(extension, "BYE", 1);
    city.run_ms(100);
    refer(&mut city, fetching, &inside(OTHER_NUMBER));
    assert_eq!(
        named(&mut city, next),
        ["<sip:0790000009@127.0.0.1:5060>", "", REFERRER]
    );
    answer(&mut city, next);
    city.run_until_line(fetching, "BYE", 1);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}
