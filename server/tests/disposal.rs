//! Disposal by command line: the plan, the certificate that an outsider checks, and a clock that is not believed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use common::{House, text};
use jiff::Timestamp;
use rules::JstDay;
use serde_json::Value;
use storage::{Group, Keys, Layout, OsDisk};

const DAY: &str = "2026-08-01";

/// A house with a recording of a day that has long expired; the day has its key, and no row knows the recording.
fn overdue() -> House {
    let house = House::init(&["--profile", "announce"]);
    let folder = house.dir().join("data/vault").join(DAY);
    fs::create_dir(&folder).unwrap();
    let expiry = format!("{{\"day\":\"{DAY}\",\"expires_at\":\"2026-10-29T15:00:00Z\"}}");
    fs::write(folder.join("expiry"), expiry).unwrap();
    fs::write(folder.join("01M87149FV0000000000000002-000.krec"), "sealed").unwrap();
    make_key(&house);
    house.found();
    house.enlist("yamada", "assistant");
    house
}

/// The key of that day, and of no other of those times.
fn make_key(house: &House) {
    let layout = Layout::new(house.dir().join("data"), house.dir().join("root"));
    let mut keys = Keys::open(Arc::new(OsDisk), &layout).unwrap();
    let before: BTreeSet<Group> = keys.groups().collect();
    let day: JstDay = DAY.parse().unwrap();
    keys.make_ahead(day.start()).unwrap();
    let is_more = |group: &Group| !before.contains(group) && *group != Group::Day(day);
    let more = keys.groups().filter(is_more).collect();
    keys.destroy(&more, Timestamp::now()).unwrap();
}

fn plan(house: &House) -> Vec<Value> {
    let output = house.denwaban(&["dispose", "--plan", "--json"]);
    assert!(output.status.success(), "{}", text(&output));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn trail(house: &House) -> String {
    let files = fs::read_dir(house.dir().join("data/office/audit")).unwrap();
    files
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect()
}

/// The public key, as the last note of its history names it.
fn public_key(house: &House) -> String {
    let folder = house.dir().join("signing/history");
    let mut notes: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|note| note.unwrap().path())
        .collect();
    notes.sort();
    let note = fs::read_to_string(notes.last().unwrap()).unwrap();
    note.lines().nth(2).unwrap().to_owned()
}

#[test]
fn what_is_due_is_planned_destroyed_certified_and_acknowledged() {
    let house = overdue();
    let planned = plan(&house);
    assert_eq!(planned.len(), 1);
    assert_eq!(planned[0]["day"], DAY);
    assert_eq!(planned[0]["expires_at"], "2026-10-30T00:00:00.000+09:00");
    assert_eq!(
        (&planned[0]["due"], &planned[0]["held"]),
        (&1.into(), &0.into())
    );
    let certificate = house.dir().join("certificate");
    let write = [
        "dispose",
        "certificate",
        DAY,
        "--out",
        certificate.to_str().unwrap(),
    ];
    assert_eq!(house.denwaban(&write).status.code(), Some(1));

    let disposed = house.denwaban(&["dispose", "--due"]);

    assert!(disposed.status.success(), "{}", text(&disposed));
    assert!(
        text(&disposed).contains("完了/complete"),
        "{}",
        text(&disposed)
    );
    assert!(!house.dir().join("data/vault").join(DAY).exists());
    assert!(plan(&house).is_empty());
    let written = house.denwaban(&write);
    assert!(written.status.success(), "{}", text(&written));
    assert_eq!(
        house.denwaban(&write).status.code(),
        Some(1),
        "nothing is overwritten"
    );
    let acknowledge = ["dispose", "acknowledge", DAY];
    assert_eq!(house.denwaban(&acknowledge).status.code(), Some(3));
    for _ in 0..2 {
        let acknowledged = house.by("kacho", &acknowledge);
        assert!(acknowledged.status.success(), "{}", text(&acknowledged));
    }
    let trail = trail(&house);
    assert_eq!(trail.matches("disposal_acknowledged").count(), 1);
    // What the statements tell of the day was counted before its rows went.
    let counted = trail.find("\"day_counted\"").unwrap();
    assert!(counted < trail.find("\"disposal_begun\"").unwrap());
}

#[test]
fn an_outsider_checks_a_certificate_with_the_public_key_alone() {
    let house = overdue();
    assert!(house.denwaban(&["dispose", "--due"]).status.success());
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("certificate");
    let file = certificate.to_str().unwrap();
    let written = house.denwaban(&["dispose", "certificate", DAY, "--out", file]);
    assert!(written.status.success(), "{}", text(&written));
    let key = public_key(&house);
    let verify = |key: &str| {
        std::process::Command::new(env!("CARGO_BIN_EXE_denwaban"))
            .args(["dispose", "verify", file, "--key", key])
            .output()
            .unwrap()
    };
    let genuine = verify(&key);
    assert!(genuine.status.success(), "{}", text(&genuine));
    assert!(
        text(&genuine).contains("対象/due=1 廃棄/disposed=1"),
        "{}",
        text(&genuine)
    );
    let keys = folder.path().join("keys");
    fs::write(&keys, format!("{key}\n")).unwrap();
    assert!(verify(keys.to_str().unwrap()).status.success());

    let other = public_key(&{
        let other = overdue();
        assert!(other.denwaban(&["dispose", "--due"]).status.success());
        other
    });
    assert_eq!(verify(&other).status.code(), Some(5));
    assert_eq!(verify("no key").status.code(), Some(2));
    let note = fs::read_to_string(&certificate).unwrap();
    fs::write(&certificate, note.replace("disposed 1", "disposed 0")).unwrap();
    assert_eq!(verify(&key).status.code(), Some(5));
}

#[test]
fn a_clock_that_left_the_monotonic_one_destroys_nothing_until_the_manager_confirms_it() {
    let house = overdue();
    assert_eq!(plan(&house).len(), 1);
    let path = house.dir().join("data/office/clock.json");
    let mut clock: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    // As if the wall had been put on by six minutes since then.
    let anchor = &mut clock["clock"]["believed"]["anchor"]["wall"];
    let wall: Timestamp = anchor.as_str().unwrap().parse().unwrap();
    *anchor = (wall - jiff::SignedDuration::from_mins(6))
        .to_string()
        .into();
    fs::write(&path, serde_json::to_vec(&clock).unwrap()).unwrap();

    for _ in 0..2 {
        let refused = house.denwaban(&["dispose", "--due"]);
        assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
        assert!(
            text(&refused).contains("CLOCK_FROZEN"),
            "{}",
            text(&refused)
        );
    }
    assert_eq!(plan(&house).len(), 1, "the plan destroys nothing");
    let check = house.denwaban(&["check"]);
    assert_eq!(check.status.code(), Some(4), "{}", text(&check));
    assert!(text(&check).contains("CLOCK_FROZEN"), "{}", text(&check));
    let confirm = ["dispose", "--due", "--confirm-clock", "時報で確かめた"];
    let unnamed = house.denwaban(&confirm);
    assert_eq!(unnamed.status.code(), Some(3), "{}", text(&unnamed));
    let assistant = house.by("yamada", &confirm);
    assert_eq!(assistant.status.code(), Some(3), "{}", text(&assistant));
    let empty = ["dispose", "--due", "--confirm-clock", " "];
    assert_eq!(house.by("kacho", &empty).status.code(), Some(3));

    let confirmed = house.by("kacho", &confirm);

    assert!(confirmed.status.success(), "{}", text(&confirmed));
    assert!(plan(&house).is_empty());
    let check = house.denwaban(&["check"]);
    assert!(!text(&check).contains("CLOCK_FROZEN"), "{}", text(&check));
    let trail = trail(&house);
    assert_eq!(
        trail.matches("\"destruction_frozen\"").count(),
        1,
        "{trail}"
    );
    assert_eq!(trail.matches("\"destruction_resumed\"").count(), 1);
    assert!(trail.contains("DESTRUCTION_FROZEN"));
    let kept = fs::read_to_string(&path).unwrap();
    assert!(
        !kept.contains("時報") && !trail.contains("時報"),
        "reasons lie sealed"
    );
}

#[test]
fn a_frozen_clock_does_not_thaw_when_its_file_is_damaged_or_removed() {
    let house = overdue();
    assert_eq!(plan(&house).len(), 1);
    let path = house.dir().join("data/office/clock.json");
    let lose: [fn(&std::path::Path); 2] = [
        |path| fs::write(path, b"{\"clock\":").unwrap(),
        // Frozen stands in the trail by now.
        |path| fs::remove_file(path).unwrap(),
    ];
    for lose in lose {
        lose(&path);
        let refused = house.denwaban(&["dispose", "--due"]);
        assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
        assert!(text(&refused).contains("CLOCK_FROZEN"));
    }
    assert!(trail(&house).contains("\"word_lost\""));
    let confirm = ["dispose", "--due", "--confirm-clock", "時報で確かめた"];
    let today = JstDay::of(Timestamp::now()).to_string();
    let days = ["--from", &today, "--until", &today, "--basis", "出張"];
    let deputise = ["people", "deputise", "yamada"];
    let deputised = house.by("kacho", &[&deputise[..], &days].concat());
    assert!(deputised.status.success(), "{}", text(&deputised));
    let confirmed = house.by("yamada", &confirm);
    assert!(confirmed.status.success(), "{}", text(&confirmed));
    assert!(plan(&house).is_empty(), "the office's own to destroy");
    let alone = house.by("yamada", &["dispose", "--due"]);
    assert_eq!(alone.status.code(), Some(3), "{}", text(&alone));
    // Once a person has said so, a file that is gone is no freeze.
    fs::remove_file(&path).unwrap();
    house.done(&["dispose", "--due"]);
}

#[test]
fn a_backup_brings_nothing_back_that_has_no_key() {
    let house = overdue();
    let backup = house.dir().join("backup");
    let made = house.denwaban(&["backup", "--out", backup.to_str().unwrap()]);
    assert!(made.status.success(), "{}", text(&made));
    assert!(backup.join("data/vault").join(DAY).exists());
    assert!(!backup.join("data/keys").exists());
    assert!(house.denwaban(&["dispose", "--due"]).status.success());

    let restored = house.denwaban(&["restore", "--from", backup.to_str().unwrap()]);

    assert!(restored.status.success(), "{}", text(&restored));
    assert!(text(&restored).contains("awaited=0"), "{}", text(&restored));
    assert!(!house.dir().join("data/vault").join(DAY).exists());
    let trail = trail(&house);
    assert!(
        trail.contains("\"backed_up\"") && trail.contains("\"restored\""),
        "{trail}"
    );
    let nothing = house.dir().join("prompts");
    let refused = house.denwaban(&["restore", "--from", nothing.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused));
}

#[test]
fn nothing_is_destroyed_before_its_day_without_a_decision() {
    let house = overdue();
    let one = ["dispose", "--one", "01M87149FV0000000000000002"];
    for decision in [&[][..], &["--decision", "1"]] {
        let refused = house.by("kacho", &[&one[..], decision].concat());
        assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
        assert!(
            text(&refused).contains("DECISION_REQUIRED"),
            "{}",
            text(&refused)
        );
    }
}
