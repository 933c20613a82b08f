//! The commands of the audit trail: heads that are kept outside, and what they show.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use common::{House, text, wait_for};

fn house() -> House {
    let house = House::init(&["--profile", "announce"]);
    for scope in ["all", "0783331000"] {
        let declared =
            house.denwaban(&["emergency", "declare", "--scope", scope, "--reason", "訓練"]);
        assert!(declared.status.success(), "{}", text(&declared));
    }
    house
}

fn said(house: &House, arguments: &[&str], exit: i32) -> String {
    let output = house.denwaban(arguments);
    assert_eq!(output.status.code(), Some(exit), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn calls_file(house: &House) -> PathBuf {
    month_of(house, "calls")
}

/// The one file of a chain.
fn month_of(house: &House, chain: &str) -> PathBuf {
    let folder = house.dir().join("data").join(chain).join("audit");
    let entry = fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    entry.path()
}

fn cut_last_line(path: &Path) {
    let file = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = file.lines().collect();
    fs::write(path, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
}

#[test]
fn a_head_that_was_kept_outside_shows_a_trail_that_was_shortened() {
    let house = house();
    let kept = house.dir().join("kept.note");
    let note = said(&house, &["audit", "head"], 0);
    fs::write(&kept, &note).unwrap();
    let kept = kept.to_str().unwrap();
    assert_eq!(note.matches("\u{2014} denwaban-").count(), 2, "{note}");

    let alone = said(&house, &["audit", "verify", "--json"], 0);
    assert_eq!(alone.matches("\"anchored\":\"none\"").count(), 2, "{alone}");
    let anchored = said(&house, &["audit", "verify", "--head", kept, "--json"], 0);
    assert!(
        anchored.starts_with("{\"chain\":\"calls\",\"entries\":3,\"head\":\"")
            && anchored.contains("\"first_bad\":null,\"reason\":null,\"anchored\":{\"last_agreeing\":3,\"first_disagreeing\":null},\"signed_here\":{\"size\":3,\"agrees\":true}}"),
        "{anchored}"
    );
    // The key is the one that the installation shows, under the head's own name.
    let keys = said(&house, &["keys", "public"], 0);
    let origin = note.lines().next().unwrap();
    assert!(
        keys.lines()
            .any(|key| key.starts_with(&format!("{origin}+"))),
        "{keys}"
    );

    cut_last_line(&calls_file(&house));
    let alone = said(&house, &["audit", "verify", "--json"], 5);
    let differs = "\"anchored\":\"none\",\"signed_here\":{\"size\":3,\"agrees\":false}";
    assert!(
        alone.contains("\"entries\":2") && alone.contains(differs),
        "{alone}"
    );
    let check = house.denwaban(&["check"]);
    assert_eq!(check.status.code(), Some(5), "{}", text(&check));
    let shown = said(&house, &["audit", "verify", "--head", kept, "--json"], 5);
    assert!(
        shown.contains("\"first_bad\":null,\"reason\":null,\"anchored\":{\"last_agreeing\":null,\"first_disagreeing\":3}"),
        "{shown}"
    );
    // The office knows what it signed, and signs nothing else.
    let refused = house.denwaban(&["audit", "head", "--chain", "calls"]);
    assert_eq!(refused.status.code(), Some(5), "{}", text(&refused));
    assert!(
        text(&refused).contains("AUDIT_ALTERED"),
        "{}",
        text(&refused)
    );
}

#[test]
fn a_head_of_another_house_is_none_of_ours() {
    let (house, other) = (house(), house());
    let kept = house.dir().join("kept.note");
    fs::write(
        &kept,
        said(&other, &["audit", "head", "--chain", "calls"], 0),
    )
    .unwrap();
    said(
        &house,
        &["audit", "verify", "--head", kept.to_str().unwrap()],
        5,
    );
    fs::write(&kept, "no note").unwrap();
    said(
        &house,
        &["audit", "verify", "--head", kept.to_str().unwrap()],
        5,
    );
    said(&house, &["audit", "verify", "--head", "/nowhere"], 2);
}

#[test]
fn what_was_changed_is_named_with_its_number_and_reason() {
    let house = house();
    let path = calls_file(&house);
    let file = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        file.replacen("emergency_declared", "emergency_Declared", 1),
    )
    .unwrap();
    let shown = said(&house, &["audit", "verify", "--json"], 5);
    assert!(
        shown.contains("\"first_bad\":2,\"reason\":\"HASH_DIFFERS\",\"anchored\":\"none\"")
            && shown.contains("\"line\":2"),
        "{shown}"
    );
    let shown = said(&house, &["audit", "list", "--json"], 5);
    let shown: Vec<String> = shown.lines().map(chain_and_number).collect();
    assert_eq!(shown[..2], ["calls 1", "office 1"], "{shown:?}");
}

/// Of a line of `audit list --json`.
fn chain_and_number(line: &str) -> String {
    let entry: serde_json::Value = serde_json::from_str(line).unwrap();
    format!("{} {}", entry["chain"].as_str().unwrap(), entry["seq"])
}

#[test]
fn whoever_lists_entries_is_written_down_first_with_the_version_of_the_policy() {
    let house = House::init(&[]);
    house.found();
    let listed = house.by("kacho", &["audit", "list", "--from-seq", "2", "--json"]);
    assert!(listed.status.success(), "{}", text(&listed));
    let last = String::from_utf8(listed.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    assert_eq!(
        last["event"],
        serde_json::json!({
            "event": "trail_shown",
            "chains": ["calls", "office"],
            "from_seq": 2,
            "policy": 1,
        })
    );
    assert_eq!(last["actor"]["person"]["person"], "kacho");
}

#[test]
fn a_trail_that_cannot_be_written_is_shown_to_nobody_and_verifies_all_the_same() {
    let house = house();
    let month = month_of(&house, "office");
    let sound = fs::read_to_string(&month).unwrap();
    fs::write(&month, format!("{sound}no entry\n")).unwrap();
    let refused = house.denwaban(&["audit", "list", "--chain", "calls", "--json"]);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused));
    assert!(refused.stdout.is_empty(), "{}", text(&refused));
    let told: serde_json::Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!(
        (&told["code"], &told["status"]),
        (&"AUDIT_UNAVAILABLE".into(), &503.into())
    );
    let shown = said(&house, &["audit", "verify", "--json"], 5);
    assert!(shown.contains("\"first_bad\":null") && shown.contains("NO_ENTRY"));
}

#[test]
fn entries_are_listed_from_a_number_on_and_exported_with_an_entry_that_says_so() {
    let house = house();
    let listed = said(&house, &["audit", "list", "--from-seq", "3", "--json"], 0);
    let first = listed.lines().next().unwrap();
    assert!(
        first.starts_with("{\"chain\":\"calls\",\"seq\":3,\"at\":\"20")
            && first.contains("+09:00\",\"actor\":"),
        "{listed}"
    );
    assert!(
        listed.contains("\"event\":\"emergency_declared\""),
        "{listed}"
    );
    for line in listed.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }

    let out = house.dir().join("trail.jsonl");
    let exported = said(
        &house,
        &["audit", "export", "--out", out.to_str().unwrap()],
        0,
    );
    let sha256 = exported.split_whitespace().last().unwrap();
    let listed = said(&house, &["audit", "list", "--chain", "office", "--json"], 0);
    // The last is the entry of the listing itself.
    let exported = listed.lines().rev().nth(1).unwrap();
    assert!(
        exported.contains("\"event\":\"audit_exported\",\"granted\":") && exported.contains(sha256),
        "{listed}"
    );
    let file = fs::read_to_string(&out).unwrap();
    for begin in [
        "{\"key\":\"denwaban-",
        "{\"head\":\"denwaban-",
        "{\"chain\":\"calls\",\"hash\":\"",
    ] {
        assert!(file.lines().any(|line| line.starts_with(begin)), "{file}");
    }
    said(
        &house,
        &["audit", "export", "--out", out.to_str().unwrap()],
        1,
    );
}

#[test]
fn a_service_signs_its_heads_when_it_begins_and_when_it_ends() {
    let mut house = house();
    house.run();
    let heads = house.dir().join("data/office/tiles/calls/checkpoint");
    wait_for("a first head", || heads.exists().then_some(()));
    house.terminate();
    let head = said(
        &house,
        &[
            "audit",
            "verify",
            "--head",
            heads.to_str().unwrap(),
            "--json",
        ],
        0,
    );
    let calls = head.lines().next().unwrap();
    let entries = fs::read_to_string(calls_file(&house))
        .unwrap()
        .lines()
        .count();
    assert!(
        calls.contains(&format!("\"anchored\":{{\"last_agreeing\":{entries},")),
        "its last head holds its last entry: {calls}"
    );
    let last = fs::read_to_string(calls_file(&house)).unwrap();
    assert!(last.lines().last().unwrap().contains("server_stopped"));
}

#[test]
fn a_key_that_was_changed_still_verifies_what_it_signed() {
    let house = house();
    let kept = house.dir().join("kept.note");
    fs::write(&kept, said(&house, &["audit", "head"], 0)).unwrap();
    let before = said(&house, &["keys", "public"], 0);
    let after = said(&house, &["keys", "rotate", "--signing"], 0);
    assert!(
        after.starts_with(&before) && after.lines().count() == 6,
        "{after}"
    );
    let new = said(&house, &["audit", "head"], 0);
    let both = fs::read_to_string(&kept).unwrap() + "\n" + &new;
    fs::write(&kept, both).unwrap();
    let shown = said(
        &house,
        &[
            "audit",
            "verify",
            "--head",
            kept.to_str().unwrap(),
            "--json",
        ],
        0,
    );
    assert!(
        shown.contains("\"last_agreeing\":3,\"first_disagreeing\":null"),
        "{shown}"
    );
    let listed = said(&house, &["audit", "list", "--chain", "office"], 0);
    assert_eq!(
        listed.matches("\"event\":\"signing_key_made\"").count(),
        2,
        "{listed}"
    );

    let key = house.dir().join("signing/key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let checked = house.denwaban(&["check"]);
    assert!(
        text(&checked).contains("others can read the key that signs"),
        "{}",
        text(&checked)
    );
}

#[test]
fn whoever_is_shown_what_lies_sealed_is_written_down_first() {
    let house = House::init(&[]);
    house.found();
    let csv = house.dir().join("register.csv");
    let csv = csv.to_str().unwrap();
    for (command, action) in [
        (&["people", "list"][..], "list_people"),
        (&["policy", "show"], "see_policy"),
        (&["handover", "list"], "list_hand_overs"),
        (&["handover", "register", "--csv", csv], "list_hand_overs"),
        (&["copies", "list"], "list_copies"),
    ] {
        let shown = || {
            let trail = text(&house.by("kacho", &["audit", "list", "--chain", "office"]));
            let entry = format!("\"register_shown\",\"action\":\"{action}\"");
            trail.matches(&entry).count()
        };
        let before = shown();
        let done = house.by("kacho", command);
        assert!(done.status.success(), "{command:?}: {}", text(&done));
        assert_eq!(shown(), before + 1, "{command:?}");
    }
}
