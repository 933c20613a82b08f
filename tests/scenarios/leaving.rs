//! Whoever asked for a transfer, from its REFER to its BYE. The world is whole unless a test says otherwise.

use tests::{City, line::Extra, plan::OTHER_NUMBER};

use crate::transfer::{answer, refer, talking};

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
