//! The oldest months of the trail through the real program: planned, decided, removed, and what is left still verifies.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{fs, process::Output};

use common::{House, text};
use jiff::{Timestamp, ToSpan as _};
use rules::JstMonth;
use serde_json::Value;

/// More than three years, whatever month this is.
fn long_ago() -> Timestamp {
    Timestamp::now() - (24 * 31 * 38).hours()
}

/// A house whose first month is older than three years, and a head of that time that was kept outside.
fn old_house() -> (House, String) {
    let begun = long_ago();
    let house = House::init_at(begun, &["--profile", "announce"]);
    let declare = ["emergency", "declare", "--reason", "訓練"];
    house.done_at(begun, &declare);
    let note = house.done_at(begun, &["audit", "head"]).stdout;
    let kept = house.dir().join("kept.note");
    fs::write(&kept, note).unwrap();
    house.found();
    house.done(&declare);
    (house, kept.to_str().unwrap().to_owned())
}

fn forget(house: &House, by: &str, through: &str, more: &[&str]) -> Output {
    let arguments = ["audit", "forget", "--through", through, "--json"];
    house.by(by, &[&arguments, more].concat())
}

const DECIDED: [&str; 3] = ["--decision", "総務第38号", "--yes"];

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", text(output));
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = lines.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

/// Code and clause of a refusal.
fn refusal(output: &Output) -> (String, String) {
    assert_eq!(output.status.code(), Some(3), "{}", text(output));
    let refusal: Value = serde_json::from_slice(&output.stderr).unwrap();
    let field = |name: &str| refusal[name].as_str().unwrap().to_owned();
    (field("code"), field("clause"))
}

fn trail(house: &House) -> String {
    String::from_utf8(house.done(&["audit", "list", "--json"]).stdout).unwrap()
}

#[test]
fn months_past_their_term_go_by_the_managers_decision_and_a_head_of_them_still_verifies() {
    let (house, kept) = old_house();
    let old = JstMonth::of(long_ago()).to_string();

    let planned = lines(&forget(&house, "kacho", &old, &[]));
    let chains: Vec<&Value> = planned.iter().map(|line| &line["chain"]).collect();
    assert_eq!(chains, ["calls", "office"]);
    for line in &planned {
        assert_eq!(
            (&line["month"], &line["state"]),
            (&old.as_str().into(), &"planned".into())
        );
        assert!(line["entries"].as_u64() > Some(0) && line["bytes"].as_u64() > Some(0));
    }
    assert_eq!(
        lines(&forget(&house, "kacho", &old, &[])),
        planned,
        "nothing has changed"
    );

    // Neither another person, nor a month within its term, nor a clock that is not believed.
    let clause = || "諮問書7(1)".to_owned();
    let refused = refusal(&forget(&house, "kanri", &old, &DECIDED));
    assert_eq!(refused, ("ROLE_NOT_PERMITTED".to_owned(), clause()));
    let young = JstMonth::of(Timestamp::now()).to_string();
    let refused = refusal(&forget(&house, "kacho", &young, &DECIDED));
    assert_eq!(refused, ("NOT_DUE".to_owned(), clause()));
    let refused = refusal(&forget(&house, "kacho", &old, &DECIDED));
    assert_eq!(refused.0, "CLOCK_FROZEN");
    let believed = ["dispose", "--due", "--confirm-clock", "三年ぶりの点検"];
    let believed = house.by("kacho", &believed);
    assert!(believed.status.success(), "{}", text(&believed));

    let removed = lines(&forget(&house, "kacho", &old, &DECIDED));
    assert!(
        removed.iter().all(|line| line["state"] == "removed"),
        "{removed:?}"
    );
    assert_eq!(removed.len(), 2);
    for folder in ["data/calls/audit", "data/office/audit"] {
        let path = house.dir().join(folder).join(format!("{old}.jsonl"));
        assert!(!path.exists(), "{}", path.display());
    }
    let verified = lines(&house.denwaban(&["audit", "verify", "--head", &kept, "--json"]));
    for chain in &verified {
        assert!(chain["removed"].as_u64() > Some(0), "{chain}");
        assert!(chain["anchored"]["first_disagreeing"].is_null(), "{chain}");
        assert_eq!(chain["anchored"]["last_agreeing"], chain["removed"]);
    }
    let trail = trail(&house);
    for (event, count) in [
        ("months_forgotten", 1),
        // The second removal says it of the first chain anew.
        ("months_removed", 3),
        ("months_gone", 2),
    ] {
        assert_eq!(trail.matches(event).count(), count, "{event} {trail}");
    }
    assert!(!trail.contains("総務第38号"));

    // Why is told to whoever reads decisions, beside what was done; root, who lists above, has the hashes alone.
    let listed = lines(&house.by("kacho", &["audit", "list", "--json"]));
    let told = |reason: &str| {
        let lines = listed.iter().filter(|line| line["reason"] == reason);
        let event = |line: &Value| line["event"]["event"].as_str().unwrap().to_owned();
        lines.map(event).collect::<Vec<_>>()
    };
    let removed = [
        "registered",
        "months_removed",
        "months_removed",
        "months_removed",
    ];
    assert_eq!(told("総務第38号"), removed);
    assert_eq!(told("三年ぶりの点検"), ["destruction_resumed"]);
    assert_eq!(told("訓練"), ["emergency_declared"]);

    // Asked twice it has one effect, and the people are who they were.
    assert!(lines(&forget(&house, "kacho", &old, &DECIDED)).is_empty());
    assert_eq!(self::trail(&house).matches("months_gone").count(), 2);
    let people = house.by("kacho", &["people", "list"]);
    assert!(text(&people).contains("kanri"), "{}", text(&people));
}
