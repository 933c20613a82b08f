//! Whoever carries calls asks the office at the word of others. Where that process is taken, it guesses no passwords under ever new names.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
};

use common::{House, text};
use serde_json::{Value, json};

/// What the office says to a guess at the word of somebody.
fn guess(house: &House, asked_by: &str) -> String {
    let proof = json!({"person": "kacho", "password": "machigai-no-kotoba", "code": null});
    let request = json!({"judge": {
        "action": "declare_emergency",
        "proof": {"password": proof},
        "asked_by": asked_by,
    }});
    let socket = house.dir().join("data/office/socket");
    let mut office = BufReader::new(UnixStream::connect(socket).unwrap());
    writeln!(office.get_mut(), "{request}").unwrap();
    let mut answer = String::new();
    office.read_line(&mut answer).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["refused"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn guesses_at_the_word_of_many_users_count_together_and_no_free_text_enters_the_trail() {
    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.found();
    house.run();
    assert_eq!(guess(&house, "何でも書ける欄"), "LOGIN_FAILED");

    // Each wait is twice the one before, so that one of them is longer than a guess takes.
    let told = (1..=10).map(|number| guess(&house, &format!("user-{number}")));
    let told: Vec<String> = told.collect();

    let waits = |code: &String| code == "TOO_MANY_ATTEMPTS";
    assert!(told.iter().any(waits), "{told:?}");
    let trail = text(&house.done(&["audit", "list", "--json"]));
    assert!(trail.contains("user-1"), "{trail}");
    assert!(!trail.contains("何でも"), "{trail}");
}
