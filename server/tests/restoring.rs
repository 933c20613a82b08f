//! A lost vault through the real program: calls are carried and others listen before the audio is back.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{fs, path::Path, process::Command};

use common::{
    House,
    hand_over::{City, code, day, field},
    telephone, text, wait_for,
};
use serde_json::Value;

#[test]
fn a_lost_vault_is_served_before_its_audio_is_back_and_nothing_of_it_counts_as_lost() {
    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.run();
    telephone::call(&house, "one", 4_000);
    let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    let recording = row["id"].as_str().unwrap();
    house.found();
    house.enlist("hanako", "assistant");
    let backup = house.dir().join("backup");
    let backup = backup.to_str().unwrap();
    let made = house.by("kanri", &["backup", "--out", backup]);
    assert!(made.status.success(), "{}", text(&made));
    let running = house.by("kanri", &["restore", "--from", backup]);
    assert_eq!(running.status.code(), Some(4), "{}", text(&running));
    house.terminate();
    fs::remove_dir_all(house.dir().join("data/vault")).unwrap();

    let restored = house.by("kanri", &["restore", "--from", backup, "--json"]);

    assert!(restored.status.success(), "{}", text(&restored));
    let restored: Value = serde_json::from_slice(&restored.stdout).unwrap();
    let counts = ["purged", "removed", "awaited"].map(|name| restored[name].clone());
    assert_eq!(counts, [0, 0, 1].map(Value::from));
    assert!(restored["rows"].is_u64() && restored["left"] == serde_json::json!([]));
    house.run();
    telephone::call(&house, "two", 4_000);
    house.row("the next recording", &[], |row| {
        row["state"] == "sealed" && row["id"] != recording
    });
    let out = house.dir().join("call.wav");
    let out = out.to_str().unwrap();
    let export = [
        "recordings",
        "export",
        recording,
        "--purpose",
        "STAFF_CHECK",
        "--json",
        "--out",
        out,
    ];
    let refused = house.by("hanako", &export);
    assert_eq!(code(&refused), "AUDIO_AWAITED");
    let compared = house.done(&["reconcile", "--json"]);
    let compared: Value = serde_json::from_slice(&compared.stdout).unwrap();
    assert_eq!(
        (&compared["missing"], &compared["awaited"]),
        (&0.into(), &1.into())
    );
    let checked = text(&house.denwaban(&["check"]));
    assert!(checked.contains("restore --audio"), "{checked}");

    let brought = house.done(&["restore", "--audio", "--json"]);

    let brought = String::from_utf8(brought.stdout).unwrap();
    let brought: Vec<Value> = brought
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = |line: &Value| [line["restored"].clone(), line["awaited_days"].clone()];
    assert!(brought[0]["day"].is_string(), "{brought:?}");
    assert_eq!(
        brought.iter().map(told).collect::<Vec<_>>(),
        [[1, 0], [1, 0]]
    );
    let heard = house.by("hanako", &export);
    assert!(heard.status.success(), "{}", text(&heard));
    let again = house.done(&["restore", "--audio"]);
    assert!(text(&again).contains("no audio is awaited"));
    let trail = text(&house.done(&["audit", "list", "--json"]));
    for event in ["\"restored\"", "\"audio_restored\"", "AUDIO_AWAITED"] {
        assert!(trail.contains(event), "{event}\n{trail}");
    }
}

#[test]
fn a_copy_is_swept_by_the_place_that_the_backup_has_and_one_whose_place_is_lost_stays_and_is_told()
{
    let mut city = City::new();
    let catalogue = city.house.dir().join("data/office/catalogue.db");
    let old = fs::read(&catalogue).unwrap();
    let (known, lost) = (city.path("known.wav"), city.path("lost.wav"));
    let export = |file: &str| {
        let purpose = ["--purpose", "STAFF_CHECK", "--out", file];
        let export = ["recordings", "export", &city.recording];
        city.done("hanako", &[&export[..], &purpose].concat());
    };
    export(&known);
    let backup = city.path("backup");
    city.done("kanri", &["backup", "--out", &backup]);
    export(&lost);
    fs::write(&catalogue, old).unwrap();

    city.done("kanri", &["restore", "--from", &backup]);

    let in_31_days = |arguments: &[&str]| {
        let command = city.house.command(arguments);
        let mut later = Command::new("faketime");
        later.arg("+31 days").arg(command.get_program());
        let proof = city.house.proof("kacho");
        later.args(command.get_args()).args(proof);
        let done = later.env("HOME", city.house.dir()).output().unwrap();
        assert!(done.status.success(), "{}", text(&done));
        String::from_utf8(done.stdout).unwrap()
    };
    let listed = city.done("hanako", &["copies", "list"]);
    assert!(text(&listed).contains(&known), "{}", text(&listed));
    assert!(text(&listed).contains("place unknown"), "{}", text(&listed));
    in_31_days(&["dispose", "--due", "--confirm-clock", "時報で確かめた"]);
    let stays = [&known, &lost].map(|file| Path::new(file).exists());
    assert_eq!(stays, [false, true]);
    let copies = in_31_days(&["copies", "list", "--json"]);
    let copy = |line| serde_json::from_str::<Value>(line).unwrap();
    let copies: Vec<Value> = copies.lines().map(copy).collect();
    let stands = |copy: &Value| ["state", "reminder", "place"].map(|name| copy[name].clone());
    let destroyed = ["destroyed".into(), Value::Null, known.into()];
    assert_eq!(stands(&copies[0]), destroyed);
    let outstanding = ["outstanding".into(), "overdue".into(), Value::Null];
    assert_eq!(stands(&copies[1]), outstanding);
    city.house.run();
    wait_for("the copy whose place is lost is told", || {
        let log = city.house.log();
        let is_told = log.contains("COPY_DUE") && log.contains("where it lies is not known");
        is_told.then_some(())
    });
}

/// What the handbook says for a lost data volume.
#[test]
fn after_the_data_volume_is_lost_keys_and_backup_bring_people_holds_and_trail_back() {
    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    let mirror = house.dir().join("mirror");
    let config = fs::read_to_string(house.config()).unwrap();
    let mirrored = format!("{config}\n[keys]\nmirrors = [\"{}\"]\n", mirror.display());
    fs::write(house.config(), mirrored).unwrap();
    house.run();
    telephone::call(&house, "one", 4_000);
    let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    let recording = row["id"].as_str().unwrap();
    house.found();
    house.enlist("hanako", "assistant");
    hold(&house, recording);
    let backup = house.dir().join("backup");
    let backup = backup.to_str().unwrap();
    let made = house.by("kanri", &["backup", "--out", backup]);
    assert!(made.status.success(), "{}", text(&made));
    house.terminate();
    for lost in ["data", "root"] {
        fs::remove_dir_all(house.dir().join(lost)).unwrap();
    }

    house.done(&["keys", "recover", "--from", mirror.to_str().unwrap()]);
    house.done(&["restore", "--from", backup]);
    house.run();
    house.done(&["restore", "--audio"]);

    let bootstrap = house.denwaban(&[
        "people",
        "bootstrap",
        "--manager",
        "dareka",
        "--manager-password-file",
        &house.password_file("dareka", "umi-no-mieru-oka-2\n"),
        "--administrator",
        "dareka-2",
        "--administrator-password-file",
        &house.password_file("dareka-2", "yama-wa-rokko-2\n"),
        "--json",
    ]);
    assert_eq!(code(&bootstrap), "ALREADY_FOUNDED");
    let first = house.done(&["people", "recover", "kacho", "--json"]);
    house.password_file("kacho.first", &field(&first, "password"));
    renew(&house, "kacho");
    let people = text(&house.by("kacho", &["people", "list"]));
    for person in ["kacho", "kanri", "hanako"] {
        assert!(people.contains(person), "{person}\n{people}");
    }
    let holds = house.by("kacho", &["holds", "list", "--json"]);
    let holds: Value = serde_json::from_slice(&holds.stdout).unwrap();
    assert_eq!(holds["state"], "approved", "{holds}");
    let groups = house.done(&["keys", "status", "--json"]);
    let groups: Value = serde_json::from_slice(&groups.stdout).unwrap();
    let is_case = |group: &&Value| group["kind"] == "case" && group["recordings"] == 1;
    let held = groups["groups"].as_array().unwrap().iter().find(is_case);
    assert!(held.is_some(), "{groups}");
    let head = house.done(&["audit", "head", "--chain", "office"]);
    let note = house.dir().join("head.note");
    fs::write(&note, &head.stdout).unwrap();
    house.done(&["audit", "verify", "--head", note.to_str().unwrap()]);
    let trail = text(&house.by("kacho", &["audit", "list", "--json"]));
    for event in ["\"founded\"", "keys_recovered", "trail_restored"] {
        assert!(trail.contains(event), "{event}\n{trail}");
    }
}

/// A recording is held by a decision of the manager.
fn hold(house: &House, recording: &str) {
    let open = [
        "requests",
        "open",
        "--kind",
        "unreasonable",
        "--basis",
        "要領第5条",
        "--requester",
        "市民の窓口",
        "--document",
        "試発第1号",
        "--recording",
        recording,
        "--json",
    ];
    let case = field(&house.by("hanako", &open), "id");
    let approve = ["--approve", "--reason", "根拠を確認", "--json"];
    let decided = house.by(
        "kacho",
        &[&["requests", "decide", &case], &approve[..]].concat(),
    );
    assert!(decided.status.success(), "{}", text(&decided));
    let request = [
        "holds",
        "request",
        "--case",
        &case,
        "--ground",
        "5",
        "--recording",
        recording,
        "--review",
        &day(0),
        "--json",
    ];
    let hold = field(&house.by("hanako", &request), "id");
    let held = house.by("kacho", &["holds", "decide", &hold, "--approve", "--json"]);
    assert!(held.status.success(), "{}", text(&held));
}

/// A password that was issued is changed into the own.
fn renew(house: &House, id: &str) {
    let first = house.dir().join(format!("{id}.first.password"));
    let own = house.dir().join(format!("{id}.password"));
    let renewed = house.denwaban(&[
        "password",
        "--as",
        id,
        "--password-file",
        first.to_str().unwrap(),
        "--new-password-file",
        own.to_str().unwrap(),
    ]);
    assert!(renewed.status.success(), "{}", text(&renewed));
}
