//! The policy through the real program: a new version is read by everybody before anything opens, and none widens the rules.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{fs, process::Output};

use common::{House, telephone, text, wait_for};
use serde_json::Value;

const POLICY: &str = r#"retention_days = 60
purposes = ["STAFF_CHECK", "ANALYSIS_COMPLAINT"]
bases = ["個人情報保護条例"]

[articles]
"第5条第2項" = "他の一切の二次利用を認めない。"
"#;

fn code(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(3), "{}", text(output));
    let refusal: Value = serde_json::from_slice(&output.stderr).unwrap();
    refusal["code"].as_str().unwrap().to_owned()
}

fn apply(house: &House, by: &str, policy: &str) -> Output {
    let file = house.dir().join("policy.toml");
    fs::write(&file, policy).unwrap();
    house.by(by, &["policy", "apply", file.to_str().unwrap(), "--json"])
}

#[test]
fn a_new_version_is_acknowledged_before_anything_opens_and_each_entry_says_which() {
    let (mut house, row) = telephone::recorded();
    let id = row["id"].as_str().unwrap();
    let play = ["recordings", "play", id, "--purpose"];
    let by_hanako = |purpose: &str| house.by("hanako", &[&play, &[purpose, "--json"][..]].concat());
    assert!(by_hanako("STAFF_CHECK").status.success());

    assert_eq!(code(&apply(&house, "hanako", POLICY)), "ROLE_NOT_PERMITTED");
    let applied = apply(&house, "kacho", POLICY);
    assert!(applied.status.success(), "{}", text(&applied));
    assert_eq!(code(&by_hanako("STAFF_CHECK")), "ACK_REQUIRED");
    let read = house.by("hanako", &["people", "acknowledge"]);
    assert!(read.status.success(), "{}", text(&read));
    assert!(by_hanako("STAFF_CHECK").status.success());
    assert_eq!(
        code(&by_hanako("ANALYSIS_INQUIRY")),
        "PURPOSE_NOT_PERMITTED"
    );

    let shown = house.by("hanako", &["policy", "show", "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(
        (&shown["version"], &shown["text"]),
        (&2.into(), &POLICY.trim().into())
    );
    let trail = text(&house.by("kacho", &["audit", "list", "--json"]));
    let versions: Vec<bool> = trail
        .lines()
        .filter(|line| line.contains("\"listen_granted\""))
        .map(|line| line.contains("\"policy\":2"))
        .collect();
    assert_eq!(versions, [false, true]);

    let month = rules::JstMonth::of(jiff::Timestamp::now()).to_string();
    let export = house.dir().join("trail.jsonl");
    for read in [
        &["recordings", "heard", id][..],
        &["report", "supervision", "--month", &month],
        &["audit", "export", "--out", export.to_str().unwrap()],
    ] {
        let done = house.by("kacho", read);
        assert!(done.status.success(), "{}", text(&done));
    }
    house.terminate();
    // Root is in no register, and the office is this one command.
    let trail = text(&house.done(&["audit", "list", "--json"]));
    for event in [
        "hearings_shown",
        "supervision_shown",
        "audit_export_begun",
        "trail_shown",
    ] {
        let event = format!("\"event\":\"{event}\"");
        let entry = trail.lines().rfind(|line| line.contains(&event));
        assert!(entry.unwrap().contains("\"policy\":2"), "{entry:?}");
    }
}

#[test]
fn what_would_widen_the_rules_cannot_be_applied() {
    let house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.found();
    let longer = POLICY.replace("= 60", "= 93");
    assert_eq!(code(&apply(&house, "kacho", &longer)), "RETENTION_FIXED");
    let secondary = POLICY.replace("\"STAFF_CHECK\"", "\"SECONDARY_USE\"");
    assert_eq!(
        code(&apply(&house, "kacho", &secondary)),
        "PURPOSE_NOT_PERMITTED"
    );
    let plain = format!("plain_export = true\n{POLICY}");
    let refused = apply(&house, "kacho", &plain);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));

    let decide = |basis: &[&str]| {
        let measure = ["policy", "decide", "--measure", "執務室の施錠", "--json"];
        house.by("kacho", &[&measure[..], basis].concat())
    };
    let basis = ["--basis", "個人情報保護条例"];
    assert_eq!(code(&decide(&[])), "LEGAL_BASIS_REQUIRED");
    assert_eq!(code(&decide(&basis)), "LEGAL_BASIS_REQUIRED", "too early");
    assert!(apply(&house, "kacho", POLICY).status.success());
    let again = apply(&house, "kacho", POLICY);
    assert!(text(&again).contains("already_so"), "{}", text(&again));
    let shown = text(&house.by("kacho", &["policy", "show", "--json"]));
    assert!(shown.contains("\"version\":2"), "{shown}");
    let decided = decide(&basis);
    assert!(decided.status.success(), "{}", text(&decided));
    // Whoever got no answer asks again, and one measure is decided.
    let again = decide(&basis);
    assert!(text(&again).contains("already_so"), "{}", text(&again));
    let shown = |by: &str| {
        let shown = house.by(by, &["policy", "show", "--json"]);
        serde_json::from_slice::<Value>(&shown.stdout).unwrap()["measures"].clone()
    };
    assert_eq!(shown("kacho").as_array().unwrap().len(), 1);
    assert_eq!(shown("kacho")[0]["measure"], "執務室の施錠");
    assert_eq!(shown("kanri")[0]["measure"], Value::Null);
}

#[test]
fn what_calls_have_loaded_is_compared_and_not_what_lies_on_disk_since() {
    let mut house = House::init(&["--profile", "announce"]);
    house.found();
    let manifest = house.dir().join("prompts/manifest.toml");
    let kept = fs::read_to_string(&manifest).unwrap();
    let listed: Value = toml::from_str(&kept).unwrap();
    let mut policy = format!("{}[prompts]\n", POLICY.replace("= 60", "= 89"));
    for prompt in listed["prompt"].as_array().unwrap() {
        policy += &format!(
            "{} = {}\n",
            prompt["id"].as_str().unwrap(),
            prompt["sha256"]
        );
    }
    let applied = apply(&house, "kacho", &policy);
    assert!(applied.status.success(), "{}", text(&applied));
    let differs = |house: &House| text(&house.denwaban(&["check"])).contains("policy:");
    assert!(!differs(&house));
    house.run();
    fs::write(&manifest, "").unwrap();
    assert!(!differs(&house), "it plays what it has loaded");
    house.terminate();
    assert!(differs(&house), "the next start plays nothing");
    house.run();
    fs::write(&manifest, kept).unwrap();
    assert!(differs(&house), "it goes on without them");
    house.terminate();
    assert!(!differs(&house));
}

#[test]
fn prompts_that_are_not_the_policys_are_named_and_calls_go_on() {
    let mut house = House::init(&["--profile", "announce"]);
    house.found();
    let check = || text(&house.denwaban(&["check"]));
    assert!(!check().contains("policy:"), "{}", check());
    let other = "ab".repeat(32);
    let policy = format!("{POLICY}[prompts]\nrecording-notice = \"{other}\"\n");
    let applied = apply(&house, "kacho", &policy);
    assert!(applied.status.success(), "{}", text(&applied));
    let checked = check();
    for difference in [
        "prompt recording-notice has another SHA-256",
        "prompt busy is played and the policy does not name it",
    ] {
        assert!(checked.contains(difference), "{checked}");
    }
    house.run();
    wait_for("the alarm", || {
        let trail = text(&house.by("kacho", &["audit", "list", "--json"]));
        trail.contains("POLICY_DIFFERS").then_some(())
    });
    house.terminate();
}

#[test]
fn days_that_begin_after_a_decision_are_kept_as_the_policy_says_and_todays_as_before() {
    let house = House::init(&["--profile", "announce"]);
    house.found();
    let kept = || {
        let shown = house.done(&["keys", "status", "--json"]);
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        let groups = shown["groups"].as_array().unwrap().clone();
        let days = groups.iter().filter(|group| group["kind"] == "day");
        let date = |text: &Value| {
            let text = text.as_str().unwrap().trim_start_matches("day-");
            text[..10].parse::<jiff::civil::Date>().unwrap()
        };
        let kept = |day: &Value| (date(&day["expires_at"]) - date(&day["id"])).get_days();
        days.map(kept).collect::<Vec<_>>()
    };
    assert!(kept().iter().all(|days| *days == 89), "{:?}", kept());
    assert!(apply(&house, "kacho", POLICY).status.success());
    let (first, later) = kept()
        .split_first()
        .map(|(first, later)| (*first, later.to_vec()))
        .unwrap();
    assert_eq!(first, 89, "what has begun keeps its expiry");
    assert!(
        !later.is_empty() && later.iter().all(|days| *days == 60),
        "{later:?}"
    );
    let file = house.dir().join("data/office/policy-days.json");
    fs::write(&file, "[{").unwrap();
    let longer = apply(&house, "kacho", &POLICY.replace("= 60", "= 92"));
    assert!(longer.status.success(), "{}", text(&longer));
    assert!(
        kept().iter().all(|days| *days == 89),
        "never beyond the configuration: {:?}",
        kept()
    );
}
