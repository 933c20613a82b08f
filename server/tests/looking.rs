//! Looking for recordings, at a caller's number and at who heard, through the real program: nothing in clear but what was revealed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{fs, process::Output};

use common::{telephone, text};
use serde_json::Value;

const CALLER: &str = "0790000001"; // As every telephone of these tests calls.
const DIGITS: &str = "90000001";

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", text(output));
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn code(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(3), "{}", text(output));
    let refusal: Value = serde_json::from_slice(&output.stderr).unwrap();
    refusal["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_call_is_found_by_its_caller_and_only_a_reveal_shows_the_number() {
    let (mut house, row) = telephone::recorded();
    let id = row["id"].as_str().unwrap();
    let find = |more: &[&str]| {
        let arguments = ["recordings", "find", "--json"];
        house.by("hanako", &[&arguments, more].concat())
    };
    assert_eq!(code(&find(&["--caller", CALLER])), "PURPOSE_REQUIRED");
    let purpose = ["--purpose", "SUBJECT_RIGHTS"];
    let found = find(&[&["--caller", "079-000-0001"], &purpose[..]].concat());
    assert!(!text(&found).contains(DIGITS), "{}", text(&found));
    assert_eq!(lines(&found), std::slice::from_ref(&row));
    for (criteria, expected) in [
        (&["--caller", "0790000002"][..], 0),
        (&["--called", "0783331000"], 1),
        (&["--called", "0783332000"], 0),
        (&["--until", "2026-01-01T00:00:00+09:00"], 0),
        (&["--from", "2026-01-01T00:00:00+09:00"], 1),
    ] {
        let found = lines(&find(&[criteria, &purpose[..]].concat()));
        assert_eq!(found.len(), expected, "{criteria:?}");
    }
    let unreadable = find(&[&["--caller", "nobody"], &purpose[..]].concat());
    assert_eq!(unreadable.status.code(), Some(2), "{}", text(&unreadable));

    let reveal = |by: &str, more: &[&str]| {
        let arguments = ["recordings", "reveal", id, "--json"];
        house.by(by, &[&arguments, more].concat())
    };
    let check = ["--purpose", "STAFF_CHECK"];
    assert_eq!(code(&reveal("hanako", &check)), "REASON_REQUIRED");
    let blank = [&check[..], &["--reason", "\u{3000}"]].concat();
    assert_eq!(code(&reveal("hanako", &blank)), "REASON_REQUIRED");
    let why = ["--reason", "折り返しの電話のため"];
    let allowed = [&check[..], &why].concat();
    assert_eq!(code(&reveal("kanri", &allowed)), "ROLE_NOT_PERMITTED");
    let revealed = lines(&reveal("hanako", &allowed));
    assert_eq!(revealed[0]["caller"], format!("+81{}", &CALLER[1..]));
    let second = ["--reason", "苦情の確認"];
    lines(&reveal("hanako", &[&check[..], &second].concat()));
    let seen = ["recordings", "revealed", id, "--json"];
    assert_eq!(code(&house.by("hanako", &seen)), "ROLE_NOT_PERMITTED");
    let told = lines(&house.by("kacho", &seen));
    let told = told
        .iter()
        .map(|line| ["who", "reason"].map(|name| line[name].clone()));
    let expected = [["hanako", why[1]], ["hanako", second[1]]];
    assert_eq!(
        told.collect::<Vec<_>>(),
        expected.map(|line| line.map(Value::from))
    );

    house.terminate();
    let leaks = |needle: &str| {
        ["catalogue.db", "catalogue.db-wal"]
            .map(|name| house.dir().join("data/office").join(name))
            .into_iter()
            .filter_map(|file| fs::read(file).ok())
            .any(|bytes| {
                bytes
                    .windows(needle.len())
                    .any(|window| window == needle.as_bytes())
            })
    };
    assert!(!leaks(DIGITS), "a number lies in the clear");
    assert!(!leaks("折り返し"), "a reason lies in the clear");
    let listed = text(&house.done(&["audit", "list", "--json"]));
    for event in [
        "search_granted",
        "search_ended",
        "number_revealed",
        "hearings_shown",
    ] {
        assert!(listed.contains(event), "{event} in {listed}");
    }
    assert!(!listed.contains(DIGITS) && !house.log().contains(DIGITS));
}

#[test]
fn who_heard_is_told_with_the_part_that_was_sent() {
    let (mut house, row) = telephone::recorded();
    let id = row["id"].as_str().unwrap();
    let heard = ["recordings", "heard", id, "--json"];
    assert!(lines(&house.denwaban(&heard)).is_empty());
    let range = ["--purpose", "STAFF_CHECK", "--to-ms", "100"];
    let played = house.by(
        "hanako",
        &[&["recordings", "play", id], &range[..]].concat(),
    );
    assert!(played.status.success(), "{}", text(&played));
    let told = lines(&house.by("kacho", &heard));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["who"], "hanako");
    assert_eq!(told[0]["purpose"], "STAFF_CHECK");
    assert_eq!(
        (told[0]["from_ms"].as_u64(), told[0]["to_ms"].as_u64()),
        (Some(0), Some(100))
    );
    assert_eq!(code(&house.by("hanako", &heard)), "ROLE_NOT_PERMITTED");
    house.terminate();
}
