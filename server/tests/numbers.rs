//! The numbers' notices through the real program: decided, confirmed, withdrawn, and in force from the next call on (law 2).

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{fs, process::Output};

use common::{House, telephone, text, wait_for};
use jiff::{Timestamp, ToSpan};
use rules::JstDay;
use serde_json::Value;

const NUMBER: &str = "0783331000";

fn day_in_months(months: i32) -> String {
    let today = JstDay::of(Timestamp::now()).date();
    JstDay::on(today.saturating_add(months.months())).to_string()
}

fn decide(house: &House, by: &str, review: &str) -> Output {
    let words = ["--means", "通信事業者の案内", "--review", review, "--json"];
    house.by(by, &[&["numbers", "decide", NUMBER], &words[..]].concat())
}

fn id(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    told["id"].as_str().unwrap().to_owned()
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", text(output));
}

fn code(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(3), "{}", text(output));
    let refusal: Value = serde_json::from_slice(&output.stderr).unwrap();
    refusal["code"].as_str().unwrap().to_owned()
}

fn listed(house: &House) -> Vec<Value> {
    let listed = house.by("kacho", &["numbers", "list", "--json"]);
    done(&listed);
    let lines = String::from_utf8(listed.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Calls the number; whether we answered before the department was called.
fn is_announced(house: &House, call_id: &str) -> bool {
    let sip = (house.addresses.house, 5060).into();
    let caller = telephone::Telephone::new(house.addresses.carrier, 0, sip);
    caller.invite(call_id);
    let first = caller.expect_any(&["SIP/2.0 200", "SIP/2.0 180"]);
    first.text.starts_with("SIP/2.0 200")
}

fn notices(house: &House) -> Vec<String> {
    let rows = house.rows(&["--all"]);
    let shown = |row: &Value| {
        let notice = row["notice"].as_str().or(row["reason"].as_str());
        notice.unwrap_or_default().to_owned()
    };
    rows.iter().map(shown).collect()
}

#[test]
fn a_decision_holds_from_the_next_call_on_and_so_does_its_withdrawal() {
    let mut house = House::init(&["--profile", "transparent"]);
    house.found();
    house.run();
    telephone::call(&house, "before", 1_600);
    let decision = id(&decide(&house, "kacho", &day_in_months(6)));
    telephone::call(&house, "decided", 1_600);
    wait_for("both rows", || {
        let mut notices = notices(&house);
        notices.sort();
        (notices == ["NO_WAIVER", "decision"]).then_some(())
    });
    let shown = listed(&house);
    assert_eq!(shown[0]["notice"], "waived");
    assert_eq!(shown[0]["decision"]["id"], decision.as_str());
    assert_eq!(shown[0]["decision"]["text"], "通信事業者の案内");
    assert_eq!(shown[0]["decision"]["decided_by"], "kacho");

    // How callers are told may everybody know; the words are for whoever handles them or watches over it.
    let others = house.by("kanri", &["numbers", "list", "--json"]);
    let others: Value = serde_json::from_slice(&others.stdout).unwrap();
    assert_eq!(others["decision"]["id"], decision.as_str());
    assert_eq!(others["decision"]["text"], Value::Null);

    done(&house.by("kacho", &["numbers", "withdraw", &decision]));
    assert!(is_announced(&house, "withdrawn"));
    assert_eq!(listed(&house)[0]["decision"]["state"], "withdrawn");
    // Whoever starts again goes by what was decided last.
    house.terminate();
    house.run();
    assert!(is_announced(&house, "again"));
    house.terminate();
    let trail = text(&house.by("kacho", &["audit", "list", "--json"]));
    assert!(!trail.contains("通信事業者"), "{trail}");
}

#[test]
fn what_init_wrote_is_named_until_a_manager_confirms_it() {
    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.found();
    house.run();
    let unconfirmed = "未確認";
    let check = || text(&house.denwaban(&["check"]));
    wait_for("the database", || {
        check().contains(unconfirmed).then_some(())
    });
    // On the first of a month the last one is not counted yet.
    let month = rules::JstMonth::of(Timestamp::now()).previous().previous();
    let month = month.to_string();
    let state = || {
        let out = house.dir().join("statement.note");
        let out = out.to_str().unwrap();
        let _ = fs::remove_file(out);
        done(&house.by("kacho", &["statement", "--month", &month, "--out", out]));
        fs::read_to_string(out).unwrap()
    };
    assert!(state().contains("waivers unconfirmed 1"));
    let shown = listed(&house);
    assert_eq!(shown[0]["decision"]["state"], "unconfirmed");
    let decision = shown[0]["decision"]["id"].as_str().unwrap().to_owned();
    let trail = || text(&house.by("kacho", &["audit", "list", "--json"]));
    wait_for("its name in the trail", || {
        trail().contains("waiver_unconfirmed").then_some(())
    });

    let confirm = |by: &str| house.by(by, &["numbers", "confirm", &decision, "--json"]);
    assert_eq!(code(&confirm("kanri")), "ROLE_NOT_PERMITTED");
    done(&confirm("kacho"));
    let again: Value = serde_json::from_slice(&confirm("kacho").stdout).unwrap();
    assert_eq!(again["state"], "already_so");
    assert!(!check().contains(unconfirmed), "{}", check());
    let statement = state();
    assert!(statement.contains("waivers unconfirmed 0"), "{statement}");
    assert!(statement.contains("waivers by-document 1"), "{statement}");
    let shown = listed(&house);
    assert_eq!(shown[0]["decision"]["state"], "in_force");
    assert_eq!(shown[0]["decision"]["text"], "広報第12号");
    telephone::call(&house, "confirmed", 1_600);
    house.row("a recording under the decision", &[], |row| {
        row["notice"] == "decision"
    });
    house.terminate();
}

#[test]
fn a_decision_is_the_managers_about_a_number_of_the_city_and_for_a_year_at_most() {
    let house = House::init(&["--profile", "announce"]);
    house.found();
    house.enlist("hanako", "assistant");
    assert_eq!(
        code(&decide(&house, "hanako", &day_in_months(6))),
        "ROLE_NOT_PERMITTED"
    );
    assert_eq!(
        code(&decide(&house, "kacho", &day_in_months(13))),
        "REVIEW_TOO_LATE"
    );
    let usage = |arguments: &[&str]| {
        let refused = house.by("kacho", arguments);
        assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    };
    let review = day_in_months(6);
    let decide = |number| ["numbers", "decide", number, "--review", &review];
    usage(&[&decide("0783331009")[..], &["--law", "条例"]].concat());
    let both = ["--law", "条例", "--means", "看板"];
    usage(&[&decide(NUMBER)[..], &both].concat());
    let unknown = house.by(
        "kacho",
        &["numbers", "withdraw", "01KB0000000000000000000000"],
    );
    assert_eq!(unknown.status.code(), Some(1), "{}", text(&unknown));
    let shown = listed(&house);
    assert_eq!(shown[0]["notice"], "announced");
    assert_eq!(shown[0]["decision"], Value::Null);
    // Another word takes the place of the first, which nobody has to take back.
    let first = id(&self::decide(&house, "kacho", &review));
    id(&self::decide(&house, "kacho", &review));
    let superseded = house.by("kacho", &["numbers", "withdraw", &first, "--json"]);
    assert_eq!(code(&superseded), "ALREADY_DECIDED");
}

#[test]
fn with_both_duties_apart_a_decision_holds_from_the_next_call_on_and_a_damaged_file_changes_nothing()
 {
    let house = House::init(&["--profile", "announce"]);
    house.found();
    let calls = house.run_duty("calls", |_| {});
    let office = house.run_duty("office", |_| {});
    assert!(is_announced(&house, "before"));
    let decision = id(&decide(&house, "kacho", &day_in_months(6)));
    telephone::call(&house, "decided", 1_600);
    office.terminate();
    fs::write(house.dir().join("data/office/notices.json"), "[{").unwrap();
    wait_for("the alarm", || {
        // A command in the office's absence would do its duty, and write the file anew.
        let files = fs::read_dir(house.dir().join("data/calls/audit")).unwrap();
        let mut entries = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        entries
            .any(|entries| entries.contains("NOTICES_UNKNOWN"))
            .then_some(())
    });
    telephone::call(&house, "damaged", 1_600);
    // The office comes back and writes it anew.
    let office = house.run_duty("office", |_| {});
    wait_for("the file", || {
        let written = fs::read_to_string(house.dir().join("data/office/notices.json"));
        written.unwrap().contains(&decision).then_some(())
    });
    office.terminate();
    let trail = text(&house.by("kacho", &["audit", "list", "--json"]));
    assert!(trail.contains("NOTICES_ALTERED"), "{trail}");
    calls.terminate();
}

#[test]
fn an_older_file_for_calls_is_named_and_written_anew_within_seconds() {
    let mut house = House::init(&["--profile", "announce"]);
    house.found();
    let file = house.dir().join("data/office/notices.json");
    let decision = id(&decide(&house, "kacho", &day_in_months(6)));
    let older = fs::read_to_string(&file).unwrap();
    let withdrawn = house.by("kacho", &["numbers", "withdraw", &decision]);
    assert!(withdrawn.status.success(), "{}", text(&withdrawn));
    let newest = fs::read_to_string(&file).unwrap();
    assert_ne!(older, newest);
    assert_eq!(house.denwaban(&["check"]).status.code(), Some(0));

    fs::write(&file, &older).unwrap();
    let checked = house.denwaban(&["check"]);
    assert_eq!(checked.status.code(), Some(5), "{}", text(&checked));
    assert!(
        text(&checked).contains("notices.json"),
        "{}",
        text(&checked)
    );
    house.run();
    let is_mended = || (fs::read_to_string(&file).unwrap() == newest).then_some(());
    wait_for("the first look", is_mended);
    // Again while it runs: each time is told.
    fs::write(&file, &older).unwrap();
    wait_for("the next look", is_mended);
    let days = house.dir().join("data/office/policy-days.json");
    fs::write(&days, "{\"2026-01-01\":1}").unwrap();
    let is_mended = || (fs::read_to_string(&days).unwrap() == "{}").then_some(());
    wait_for("the file of N", is_mended);
    house.terminate();

    let trail = text(&house.by("kacho", &["audit", "list", "--json"]));
    assert_eq!(trail.matches("NOTICES_ALTERED").count(), 2, "{trail}");
    assert_eq!(trail.matches("POLICY_DAYS_ALTERED").count(), 1, "{trail}");
    let checked = house.denwaban(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked));
}
