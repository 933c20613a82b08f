//! Whoever asked for a transfer, from its REFER to its BYE. The world is whole unless a test says otherwise.

use tests::{City, Plan, line::Extra, plan::OTHER_NUMBER};

use crate::transfer::{answer, refer, refer_to_dialog, talk, talking};

/// The department has asked for a transfer to the other number, and that telephone rings.
fn transferring() -> (City, [usize; 3]) {
    let (mut city, citizen, department) = talking();
    let next = ask(&mut city, department);
    (city, [citizen, department, next])
}

fn ask(city: &mut City, department: usize) -> usize {
    let next = city.line(city.pbx.address, "100");
    refer(city, department, &inside());
    city.run_until_line(next, "INVITE (sdp)", 1);
    next
}

fn inside() -> String {
    format!("sip:{OTHER_NUMBER}@127.0.0.1")
}

#[test]
fn whoever_transferred_is_let_go_once_it_knows_that_it_is_done() {
    let (mut city, [citizen, department, next]) = transferring();
    city.run_ms(100);
    city.lines[department].is_polite = false;
    answer(&mut city, next);
    city.run_until_line(department, "NOTIFY", 2);
    city.run_ms(3_000);
    assert_eq!(city.lines[department].count("BYE"), 0, "it does not know");
    city.line_speaks(next);
    city.run_ms(500);
    let voice = &city.lines[citizen].voice;
    assert!(voice.heard_speech().len() > 20, "nobody waits for it");
    city.line_answers(department, "NOTIFY", 200, &Extra::default());
    city.run_ms(15);
    assert_eq!(city.lines[department].end_of_call(), "was hung up on");
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn a_refused_last_notify_or_none_that_is_answered_lets_whoever_transferred_go_too() {
    for refused in [true, false] {
        let (mut city, [citizen, department, next]) = transferring();
        city.run_ms(100);
        city.lines[department].is_polite = false;
        answer(&mut city, next);
        city.run_until_line(department, "NOTIFY", 2);
        if refused {
            city.line_answers(department, "NOTIFY", 481, &Extra::default());
            city.run_ms(15);
        } else {
            // The citizen's own BYE does not hasten it.
            city.run_ms(1_000);
            city.line_says(citizen, "BYE", &Extra::default());
            city.run_ms(30_000);
            assert_eq!(city.lines[department].count("BYE"), 0);
            city.run_ms(1_500);
        }
        let end = city.lines[department].end_of_call();
        assert_eq!(end, "was hung up on", "refused: {refused}");
        if refused {
            city.line_says(citizen, "BYE", &Extra::default());
        }
        city.finish();
    }
}

#[test]
fn whoever_transferred_and_hangs_up_itself_gets_no_bye() {
    let (mut city, [citizen, department, next]) = transferring();
    city.run_ms(100);
    city.lines[department].is_polite = false;
    answer(&mut city, next);
    city.run_until_line(department, "NOTIFY", 2);
    city.line_says(department, "BYE", &Extra::default());
    city.run_until_line(department, "200 BYE", 1);
    city.line_answers(department, "NOTIFY", 200, &Extra::default());
    city.run_ms(1_000);
    assert_eq!(city.lines[department].count("BYE"), 0);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn the_end_of_the_service_waits_for_no_answer_to_a_notify() {
    let (mut city, [_, department, next]) = transferring();
    city.run_ms(100);
    city.lines[department].is_polite = false;
    answer(&mut city, next);
    city.run_until_line(department, "NOTIFY", 2);
    assert!(!city.exchange_at_work().is_idle());
    city.shut_down();
    city.run_ms(15);
    assert_eq!(city.lines[department].end_of_call(), "was hung up on");
    city.finish();
}

#[test]
fn a_request_that_whoever_leaves_knows_nothing_of_ends_no_transfer() {
    for hangs_up in [true, false] {
        let (mut city, citizen, department) = talking();
        let info = Extra {
            body: "Signal=5\r\n".to_owned(),
            kind: "application/dtmf-relay",
            ..Extra::default()
        };
        city.line_says(citizen, "INFO", &info);
        city.run_until_line(department, "INFO", 1);
        let next = ask(&mut city, department);
        if hangs_up {
            city.line_says(department, "BYE", &Extra::default());
            city.run_until_line(department, "200 BYE", 1);
        }
        city.line_answers(department, "INFO", 481, &Extra::default());
        city.run_until_line(citizen, "481 INFO", 1);
        city.run_ms(1_000);
        assert_eq!(city.lines[citizen].end_of_call(), "", "{hangs_up}");
        assert_ne!(city.lines[department].end_of_call(), "", "{hangs_up}");
        answer(&mut city, next);
        city.run_ms(500);
        assert!(city.lines[next].voice.heard_speech().len() > 20);
        city.line_says(citizen, "BYE", &Extra::default());
        city.finish();
    }
}

#[test]
fn an_ack_that_is_lost_of_whoever_leaves_ends_no_transfer() {
    // The ACK of the department's hold is lost for good; 32 s later its transfer still rings.
    let mut city = City::new(Plan {
        targets: vec![("100", 100)],
        ..Plan::announce()
    });
    let (citizen, department) = talk(&mut city);
    city.lines[department].acknowledges = false;
    let body = city.lines[department].describe("sendonly");
    city.line_says(department, "INVITE", &Extra::body(body));
    city.run_until_line(citizen, "INVITE (sdp)", 1);
    let body = city.lines[citizen].describe("recvonly");
    city.line_answers(citizen, "INVITE", 200, &Extra::body(body));
    city.run_until_line(department, "200 INVITE (sdp)", 1);
    let next = ask(&mut city, department);
    let body = city.lines[citizen].describe("sendrecv");
    city.run_until_line(citizen, "INVITE (sdp)", 2);
    city.line_answers(citizen, "INVITE", 200, &Extra::body(body));
    city.line_answers(next, "INVITE", 180, &Extra::default());
    city.run_ms(40_000);
    assert_eq!(city.lines[citizen].end_of_call(), "");
    answer(&mut city, next);
    city.run_until_line(department, "BYE", 1);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

/// Event and Subscription-State of the NOTIFYs it got.
fn events(city: &City, line: usize) -> Vec<String> {
    let got = city.lines[line].got.iter().map(|(_, message)| message);
    let notifies = got.filter(|message| message.method() == "NOTIFY" && message.status().is_none());
    let words = notifies.map(|message| {
        let state = message.header("Subscription-State");
        format!("{} {state}", message.header("Event"))
    });
    words.collect()
}

#[test]
fn each_refer_of_a_dialog_has_its_own_id() {
    let (mut city, citizen, department) = talking();
    for _ in 0..2 {
        let next = ask(&mut city, department);
        city.line_answers(next, "INVITE", 486, &Extra::default());
        city.run_ms(100);
    }
    let told = [
        "refer;id=1 active;expires=180",
        "refer;id=1 terminated;reason=noresource",
        "refer;id=2 active;expires=180",
        "refer;id=2 terminated;reason=noresource",
    ];
    assert_eq!(events(&city, department), told);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn a_second_transfer_waits_for_the_end_of_the_first() {
    // Neither 403, 481 nor 603, which say that it is in vain or that the dialog is over.
    let (mut city, [citizen, department, next]) = transferring();
    refer(&mut city, department, &inside());
    city.run_until_line(department, "491 REFER", 1);
    city.line_answers(next, "INVITE", 486, &Extra::default());
    city.run_ms(100);
    let other = ask(&mut city, department);
    answer(&mut city, other);
    city.run_until_line(department, "BYE", 1);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn a_subscription_to_a_transfer_is_renewed_and_given_up_on_its_own_leg() {
    let (mut city, [citizen, department, next]) = transferring();
    city.line_answers(next, "INVITE", 180, &Extra::default());
    city.run_ms(100);
    let event = |event: &str| Extra::header(format!("Event: {event}"));
    city.line_says(department, "SUBSCRIBE", &event("refer").and("Expires: 60"));
    city.run_until_line(department, "200 SUBSCRIBE", 1);
    let renewed = city.lines[department].answered(200, "SUBSCRIBE").unwrap();
    assert_eq!(renewed.header("Expires"), "180");
    city.line_says(department, "SUBSCRIBE", &event("refer;id=7"));
    city.run_until_line(department, "481 SUBSCRIBE", 1);
    let given_up = event("refer;id=1").and("Expires: 0");
    city.line_says(department, "SUBSCRIBE", &given_up);
    city.run_until_line(department, "200 SUBSCRIBE", 2);
    city.run_ms(100);
    answer(&mut city, next);
    city.run_until_line(department, "BYE", 1);
    let told = [
        "refer;id=1 active;expires=180",
        "refer;id=1 active;expires=180",
        "refer;id=1 active;expires=180",
        "refer;id=1 terminated;reason=timeout",
    ];
    assert_eq!(events(&city, department), told);
    assert_eq!(city.lines[citizen].count("SUBSCRIBE"), 0);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn a_subscription_that_there_is_not_crosses_to_nobody_and_ends_nothing() {
    let (mut city, citizen, department) = talking();
    for (event, status) in [("refer", 481), ("refer;id=1", 481), ("dialog", 489)] {
        let subscribe = Extra::header(format!("Event: {event}")).and("Expires: 0");
        let refused = format!("{status} SUBSCRIBE");
        let count = city.lines[department].count(&refused);
        city.line_says(department, "SUBSCRIBE", &subscribe);
        city.run_until_line(department, &refused, count + 1);
    }
    assert_eq!(city.lines[citizen].count("SUBSCRIBE"), 0);
    let before = city.lines[citizen].voice.heard_speech().len();
    city.run_ms(500);
    assert!(city.lines[citizen].voice.heard_speech().len() > before + 20);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn what_is_asked_in_a_call_that_is_given_away_is_answered() {
    let (mut city, citizen, department) = talking();
    let consulting = city.line(city.pbx.address, "300");
    let expert = city.line(city.pbx.address, "100");
    let offer = Extra::body(city.lines[consulting].describe("sendrecv"));
    city.line_calls(consulting, OTHER_NUMBER, &offer);
    city.run_until_line(expert, "INVITE (sdp)", 1);
    answer(&mut city, expert);
    city.run_until_line(consulting, "200 INVITE (sdp)", 1);
    city.run_ms(50);
    let info = Extra {
        body: "Signal=5\r\n".to_owned(),
        kind: "application/dtmf-relay",
        ..Extra::default()
    };
    city.line_says(expert, "INFO", &info);
    city.run_until_line(consulting, "INFO", 1);
    let replaces = city.lines[consulting].replaces();
    refer_to_dialog(&mut city, department, &replaces);
    city.run_until_line(expert, "487 INFO", 1);
    city.run_until_line(consulting, "BYE", 1);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn what_whoever_leaves_has_asked_is_answered() {
    let key = Extra {
        body: "Signal=5\r\n".to_owned(),
        kind: "application/dtmf-relay",
        ..Extra::default()
    };
    // It is let go, or hangs up by itself.
    for is_let_go in [true, false] {
        let (mut city, citizen, department) = talking();
        city.line_says(department, "INFO", &key);
        city.run_until_line(citizen, "INFO", 1);
        let next = ask(&mut city, department);
        if is_let_go {
            answer(&mut city, next);
        } else {
            city.line_says(department, "BYE", &Extra::default());
        }
        city.run_until_line(department, "487 INFO", 1);
        if !is_let_go {
            answer(&mut city, next);
        }
        city.run_ms(100);
        city.line_says(citizen, "BYE", &Extra::default());
        city.finish();
    }
}

#[test]
fn whoever_transfers_refreshes_its_session_and_holds_on_its_own_leg() {
    let (mut city, [citizen, department, next]) = transferring();
    let same = city.lines[department].describe_again("sendrecv", &[0, 8, 101]);
    let held = city.lines[department].describe("sendonly");
    for (count, body) in [same, held].into_iter().enumerate() {
        city.line_says(department, "INVITE", &Extra::body(body));
        city.run_until_line(department, "200 INVITE (sdp)", count + 1);
        city.run_ms(50);
    }
    let answer = city.lines[department].answered(200, "INVITE").unwrap();
    assert!(answer.body.contains("a=recvonly"), "{}", answer.body);
    assert_eq!(city.lines[citizen].count("INVITE (sdp)"), 0);
    // It has the call back, and still holds it.
    city.line_answers(next, "INVITE", 486, &Extra::default());
    city.run_until_line(citizen, "INVITE (sdp)", 1);
    let offer = city.lines[citizen].last("INVITE").unwrap().body.clone();
    assert!(offer.contains("a=sendonly"), "{offer}");
    let body = city.lines[citizen].describe("recvonly");
    city.line_answers(citizen, "INVITE", 200, &Extra::body(body));
    city.run_ms(100);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

/// What the citizen is offered for the `count`th time says this; it agrees.
fn citizen_agrees(city: &mut City, citizen: usize, count: usize, asked: &str, answered: &str) {
    city.run_until_line(citizen, "INVITE (sdp)", count);
    let offer = city.lines[citizen].last("INVITE").expect("an offer");
    let body = &offer.body;
    assert!(body.contains(&format!("a={asked}")), "{body}");
    let body = city.lines[citizen].describe(answered);
    city.line_answers(citizen, "INVITE", 200, &Extra::body(body));
    city.run_ms(100);
}

#[test]
fn whoever_transfers_and_offers_nothing_is_offered_what_it_has() {
    // Its answer is in the ACK; that comes while the target rings, and only after the target has refused.
    for is_late in [false, true] {
        let (mut city, [citizen, department, next]) = transferring();
        city.run_ms(100);
        city.lines[department].acknowledges = false;
        city.line_says(department, "INVITE", &Extra::default());
        city.run_until_line(department, "200 INVITE (sdp)", 1);
        let ours = city.lines[department].answered(200, "INVITE").unwrap();
        assert!(ours.body.contains("a=sendrecv"), "{}", ours.body);
        let sequence = ours.sequence();
        let held = city.lines[department].describe("sendonly");
        let ack = city.lines[department].acknowledge(sequence, held);
        if is_late {
            city.line_answers(next, "INVITE", 486, &Extra::default());
            city.run_ms(100);
            city.send(ack);
        } else {
            city.send(ack);
            city.run_ms(100);
            assert_eq!(city.lines[citizen].count("INVITE (sdp)"), 0);
            city.line_answers(next, "INVITE", 486, &Extra::default());
        }
        citizen_agrees(&mut city, citizen, 1, "sendonly", "recvonly");
        city.line_says(citizen, "BYE", &Extra::default());
        city.finish();
        assert_eq!(city.lines[department].end_of_call(), "was hung up on");
    }
}

#[test]
fn whoever_transfers_and_answers_with_nothing_is_hung_up_on_alone() {
    let (mut city, [citizen, department, next]) = transferring();
    city.run_ms(100);
    city.line_says(department, "INVITE", &Extra::default());
    city.run_until_line(department, "BYE", 1);
    answer(&mut city, next);
    city.run_ms(100);
    city.line_speaks(next);
    city.run_ms(500);
    assert!(city.lines[citizen].voice.heard_speech().len() > 20);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn a_citizen_who_was_fetched_from_hold_while_the_transfer_failed_is_on_hold_again() {
    let (mut city, citizen, department) = talking();
    let body = city.lines[department].describe("sendonly");
    city.line_says(department, "INVITE", &Extra::body(body));
    citizen_agrees(&mut city, citizen, 1, "sendonly", "recvonly");
    let next = ask(&mut city, department);
    city.run_until_line(citizen, "INVITE (sdp)", 2);
    city.line_answers(next, "INVITE", 486, &Extra::default());
    city.run_ms(100);
    citizen_agrees(&mut city, citizen, 2, "sendrecv", "sendrecv");
    citizen_agrees(&mut city, citizen, 3, "sendonly", "recvonly");
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn a_citizen_who_is_being_fetched_from_hold_comes_before_what_whoever_transfers_wants() {
    let (mut city, citizen, department) = talking();
    let body = city.lines[department].describe("sendonly");
    city.line_says(department, "INVITE", &Extra::body(body));
    citizen_agrees(&mut city, citizen, 1, "sendonly", "recvonly");
    let next = ask(&mut city, department);
    city.run_until_line(citizen, "INVITE (sdp)", 2);
    city.line_says(department, "INVITE", &Extra::default());
    city.run_until_line(department, "491 INVITE", 1);
    city.line_answers(next, "INVITE", 486, &Extra::default());
    city.run_ms(100);
    citizen_agrees(&mut city, citizen, 2, "sendrecv", "sendrecv");
    citizen_agrees(&mut city, citizen, 3, "sendonly", "recvonly");
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn what_whoever_transfers_is_offered_comes_before_what_the_citizen_wants() {
    let (mut city, [citizen, department, next]) = transferring();
    city.run_ms(100);
    city.lines[department].acknowledges = false;
    city.line_says(department, "INVITE", &Extra::default());
    city.run_until_line(department, "200 INVITE (sdp)", 1);
    city.line_says(citizen, "INVITE", &Extra::default());
    city.run_until_line(citizen, "491 INVITE", 1);
    // Once it is let go, nobody waits for its ACK.
    answer(&mut city, next);
    city.run_until_line(department, "BYE", 1);
    city.line_says(citizen, "INVITE", &Extra::default());
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn whoever_wants_the_place_of_a_party_in_a_transfer_is_told_to_wait() {
    // Not 481: the dialog lives.
    let (mut city, [citizen, department, next]) = transferring();
    let other = city.line(city.pbx.address, "300");
    let replaces = city.lines[department].replaces();
    let body = city.lines[other].describe("sendrecv");
    let wants = Extra::body(body).and(format!("Replaces: {replaces}"));
    city.line_calls(other, OTHER_NUMBER, &wants);
    city.run_until_line(other, "491 INVITE", 1);
    answer(&mut city, next);
    city.run_until_line(department, "BYE", 1);
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
}
