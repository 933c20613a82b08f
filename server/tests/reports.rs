//! Monthly reports through the real program: the manager's equals a recount, the public's is verified by anybody.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Output},
};

use common::{House, telephone, text};
use jiff::{SignedDuration, Timestamp};
use rules::{JstDay, JstMonth};
use serde_json::Value;

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", text(output));
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn this_month() -> JstMonth {
    JstMonth::of(Timestamp::now())
}

/// Counts by what an entry says, without a type of the program.
fn recount(trail: &[Value], of: impl Fn(&Value) -> Option<String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for key in trail.iter().filter_map(of) {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

fn reported(report: &[Value], line: &str, key: impl Fn(&Value) -> String) -> BTreeMap<String, u64> {
    report
        .iter()
        .filter(|found| found["line"] == line)
        .map(|found| (key(found), found["count"].as_u64().unwrap()))
        .collect()
}

#[test]
fn a_months_report_equals_a_recount_of_the_trail() {
    let (mut house, row) = telephone::recorded();
    let id = row["id"].as_str().unwrap();
    let file = house.dir().join("heard.wav");
    let file = file.to_str().unwrap();
    let check = ["--purpose", "STAFF_CHECK"];
    for arguments in [
        &["recordings", "play", id][..],
        &["recordings", "export", id, "--out", file],
        &["recordings", "find"],
        &["recordings", "find"],
        &["recordings", "reveal", id, "--reason", "折り返し"],
    ] {
        let done = house.by("hanako", &[arguments, &check[..]].concat());
        assert!(done.status.success(), "{}", text(&done));
    }
    let refused = house.by("kanri", &[&["recordings", "play", id][..], &check].concat());
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
    let refused = house.by("hanako", &["recordings", "play", id]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
    house.done(&["emergency", "declare", "--reason", "訓練"]);

    let month = this_month().to_string();
    let trail: Vec<Value> = lines(&house.done(&["audit", "list", "--json"]))
        .into_iter()
        .map(|line| line.get("entry").cloned().unwrap_or(line))
        .collect();
    let report = ["report", "supervision", "--month", &month, "--json"];
    let report = lines(&house.by("kacho", &report));
    let person = |entry: &Value| entry["actor"]["person"]["person"].to_string();
    let accesses = recount(&trail, |entry| {
        let event = &entry["event"];
        let action = match event["event"].as_str()? {
            "listen_granted" => event["action"].as_str()?,
            "search_granted" => "find",
            "number_revealed" => "reveal",
            _ => return None,
        };
        Some(format!("{} {action} {}", person(entry), event["purpose"]))
    });
    let shown = reported(&report, "access", |line| {
        let action = line["action"].as_str().unwrap();
        format!("{} {action} {}", line["who"], line["purpose"])
    });
    assert_eq!(shown, accesses);
    assert_eq!(shown.values().sum::<u64>(), 5);
    let denials = recount(&trail, |entry| {
        let event = &entry["event"];
        let who = match event["event"].as_str()? {
            "listen_refused" | "action_refused" => person(entry),
            "login_refused" => event["tried"].to_string(),
            _ => return None,
        };
        Some(format!("{who} {}", event["code"]))
    });
    let shown = reported(&report, "denial", |line| {
        format!("{} {}", line["who"], line["code"])
    });
    assert_eq!(shown, denials);
    assert!(shown.len() >= 2, "{shown:?}");
    for (line, event) in [
        ("export", "export_completed"),
        ("emergencies", "emergency_declared"),
    ] {
        let counted = recount(&trail, |entry| {
            (entry["event"]["event"] == event).then(|| person(entry))
        });
        assert_eq!(
            reported(&report, line, |line| line["who"].to_string()),
            counted
        );
        assert_eq!(counted.values().sum::<u64>(), 1, "{event}");
    }
    house.terminate();
}

#[test]
fn a_report_is_signed_off_by_the_manager_once_its_month_is_over() {
    let house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.found();
    let sign = |by: &str, month: JstMonth| {
        let month = month.to_string();
        house.by(
            by,
            &[
                "report",
                "supervision",
                "--month",
                &month,
                "--sign",
                "--json",
            ],
        )
    };
    let early = sign("kacho", this_month());
    assert_eq!(early.status.code(), Some(1), "{}", text(&early));
    let last = this_month().previous();
    let refused = sign("kanri", last);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
    let signed = lines(&sign("kacho", last));
    let signature = signed.iter().find(|line| line["line"] == "signed_off");
    assert_eq!(signature.unwrap()["by"], "kacho");
}

#[test]
fn anybody_verifies_what_the_public_is_told_and_nobody_changes_it() {
    let house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.found();
    let note = house.dir().join("statement.note");
    let note = note.to_str().unwrap();
    let publish = |month: JstMonth| {
        let month = month.to_string();
        house.by("kacho", &["statement", "--month", &month, "--out", note])
    };
    let running = publish(this_month());
    assert_eq!(running.status.code(), Some(1), "{}", text(&running));
    assert!(text(&running).contains("まだ終わっていない"));
    // On the first of a month the last one is not counted yet.
    let month = this_month().previous().previous();
    let published = publish(month);
    assert!(published.status.success(), "{}", text(&published));
    let again = publish(month);
    assert_eq!(again.status.code(), Some(1), "an existing file is kept");
    let keys = house.dir().join("keys.pub");
    fs::write(&keys, house.done(&["keys", "public"]).stdout).unwrap();
    let verify = |note: &str| {
        Command::new(env!("CARGO_BIN_EXE_denwaban"))
            .args(["statement", "verify", note, "--json", "--key"])
            .arg(&keys)
            .output()
            .unwrap()
    };
    let verified = lines(&verify(note));
    assert_eq!(verified[0]["month"], month.to_string());
    assert_eq!(verified[0]["lines"]["waivers unconfirmed"], 1);
    assert_eq!(verified[0]["lines"]["managers recovered"], 0);
    let words = fs::read_to_string(note).unwrap();
    assert!(!words.contains("kacho") && !words.contains("783331000"));
    let changed = house.dir().join("changed.note");
    let lie = words.replace("waivers unconfirmed 1", "waivers unconfirmed 0");
    fs::write(&changed, lie).unwrap();
    let refused = verify(changed.to_str().unwrap());
    assert_eq!(refused.status.code(), Some(5), "{}", text(&refused));
}

/// Nobody ran the office when the day was over, so nobody has counted it.
#[test]
fn a_month_is_not_told_while_a_day_with_calls_is_not_counted() {
    let (mut house, row) = telephone::recorded();
    house.terminate();
    let month = this_month();
    let told_from = month.end().next().start() + SignedDuration::from_hours(1);
    let note = house.dir().join("statement.note");
    let publish = |month: JstMonth| {
        let month = month.to_string();
        let publish = ["statement", "--month", &month, "--out"];
        house.denwaban_at(
            told_from,
            &[&publish[..], &[note.to_str().unwrap()]].concat(),
        )
    };

    let refused = publish(month);

    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    let day = JstDay::of(row["started_at"].as_str().unwrap().parse().unwrap());
    let left_out = format!("{day} has calls and is not counted yet");
    assert!(text(&refused).contains(&left_out), "{}", text(&refused));
    assert!(!note.exists());
    let trail = text(&house.done(&["audit", "list", "--json"]));
    assert!(!trail.contains("statement_signed"), "{trail}");
    // Of another month nothing is left out.
    let other = publish(month.previous());
    assert!(other.status.success(), "{}", text(&other));
}
