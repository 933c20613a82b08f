//! What cannot be used costs what needs it, and never a call (law 1).

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;

use common::{
    House,
    telephone::{self, Telephone},
    text, wait_for,
};

/// A transparent call in which both parties are heard.
fn call(house: &House, call_id: &str) {
    telephone::call(house, call_id, 4_000);
}

fn waived() -> House {
    House::init(&["--profile", "transparent", "--waiver", "広報第12号"])
}

#[test]
fn without_the_days_public_half_a_call_is_connected_unrecorded_with_an_alarm() {
    let mut house = waived();
    fs::rename(house.dir().join("root"), house.dir().join("elsewhere")).unwrap();
    fs::remove_dir_all(house.dir().join("data/keys/public")).unwrap();
    house.run();
    call(&house, "keyless");
    let row = house.row("an unrecorded call", &["--all"], |row| {
        row["state"] == "unrecorded"
    });
    assert_eq!(row["reason"], "RECORDER_FAULT");
    assert!(house.log().contains("RECORDER_FAULT"), "{}", house.log());
    house.terminate();
}

#[test]
fn without_root_and_key_store_a_call_is_recorded_and_opens_when_they_are_back() {
    let mut house = waived();
    house.found();
    house.enlist("yamada.hanako", "assistant");
    fs::rename(house.dir().join("root"), house.dir().join("elsewhere")).unwrap();
    house.run();
    call(&house, "rootless");
    let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    let wav = house.dir().join("call.wav");
    let arguments = [
        "recordings",
        "export",
        row["id"].as_str().unwrap(),
        "--purpose",
        "STAFF_CHECK",
        "--out",
        wav.to_str().unwrap(),
    ];
    let export = |house: &House| house.by("yamada.hanako", &arguments);
    let refused = export(&house);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused));
    assert!(!wav.exists());
    fs::remove_dir_all(house.dir().join("root")).unwrap();
    fs::rename(house.dir().join("elsewhere"), house.dir().join("root")).unwrap();
    let done = export(&house);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done));
    fs::remove_file(&wav).unwrap();

    // The same without a running server: the command is the office for as long as it takes.
    house.terminate();
    let alone = export(&house);
    assert_eq!(alone.status.code(), Some(0), "{}", text(&alone));
    let verified = house.denwaban(&["audit", "verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified));
}

#[test]
fn without_a_database_calls_are_recorded_and_their_rows_wait() {
    let mut house = waived();
    let catalogue = house.dir().join("data/office/catalogue.db");
    let sound = fs::read(&catalogue).unwrap();
    fs::write(
        &catalogue,
        b"this is no database, and long enough to be looked at as one".repeat(20),
    )
    .unwrap();
    house.run();
    call(&house, "rowless");
    let listed = house.denwaban(&["recordings", "list"]);
    assert_eq!(listed.status.code(), Some(4), "{}", text(&listed));
    fs::write(&catalogue, sound).unwrap();
    wait_for("the waiting row", || {
        let listed = house.denwaban(&["recordings", "list", "--json"]);
        String::from_utf8_lossy(&listed.stdout)
            .contains("\"sealed\"")
            .then_some(())
    });
    house.terminate();
}

#[test]
fn without_an_audit_trail_calls_are_recorded_nobody_listens_and_the_emergency_holds() {
    let mut house = waived();
    house.found();
    house.enlist("yamada.hanako", "assistant");
    for duty in ["calls", "office"] {
        let folder = house.dir().join("data").join(duty).join("audit");
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, b"no folder").unwrap();
    }
    house.run();
    call(&house, "unaudited");
    let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    let wav = house.dir().join("call.wav");
    let arguments = [
        "recordings",
        "export",
        row["id"].as_str().unwrap(),
        "--purpose",
        "STAFF_CHECK",
        "--out",
        wav.to_str().unwrap(),
    ];
    let refused = house.by("yamada.hanako", &arguments);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused));
    assert!(!wav.exists(), "the entry comes before the file");
    let declared = house.denwaban(&["emergency", "declare", "--reason", "地震"]);
    assert_eq!(declared.status.code(), Some(0), "{}", text(&declared));
    call(&house, "unaudited-emergency");
    house.row("a recording under the emergency", &[], |row| {
        row["notice"] == "emergency"
    });

    // What waited is written once the trail is there again, also after a restart.
    house.terminate();
    let verified = house.denwaban(&["audit", "verify"]);
    assert_eq!(verified.status.code(), Some(4), "{}", text(&verified));
    for duty in ["calls", "office"] {
        fs::remove_file(house.dir().join("data").join(duty).join("audit")).unwrap();
    }
    house.run();
    wait_for("the entry of the emergency", || {
        let entries = fs::read_dir(house.dir().join("data/calls/audit")).ok()?;
        let written = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
        written
            .filter(|text| text.contains("emergency_declared"))
            .count()
            .eq(&1)
            .then_some(())
    });
    house.terminate();
}

#[test]
fn without_its_prompt_an_announced_call_is_connected_unrecorded() {
    let mut house = House::init(&["--profile", "announce"]);
    fs::write(house.dir().join("prompts/recording-notice.wav"), b"RIFF").unwrap();
    let checked = house.denwaban(&["check"]);
    assert_eq!(checked.status.code(), Some(2), "{}", text(&checked));
    assert!(
        text(&checked).contains("recording-notice"),
        "{}",
        text(&checked)
    );
    house.run();
    let sip = (house.addresses.house, 5060).into();
    let caller = Telephone::new(house.addresses.carrier, 0, sip);
    let department = Telephone::new(house.addresses.pbx, 5062, sip);
    caller.invite("promptless");
    department.pick_up();
    let dialog = caller.answered("promptless");
    caller.hang_up(&dialog);
    let row = house.row("an unrecorded call", &["--all"], |row| {
        row["state"] == "unrecorded"
    });
    assert_eq!(row["reason"], "NO_ANNOUNCEMENT");
    house.terminate();
}

/// Somebody writes a recording out, or is stopped in the midst of it, while the service manager starts us again.
#[test]
fn calls_are_carried_at_once_while_a_command_does_the_offices_duty_and_the_office_begins_when_it_is_over()
 {
    let mut house = waived();
    let layout = storage::Layout::new(house.dir().join("data"), house.dir().join("root"));
    let held = storage::Lock::acquire(&layout, storage::Duty::Office).unwrap();
    house.run();
    call(&house, "unattended");
    wait_for("the alarm", || {
        let entries = fs::read_dir(house.dir().join("data/calls/audit")).ok()?;
        let mut entries = entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
        entries
            .any(|text| text.contains("OFFICE_HELD"))
            .then_some(())
    });
    house.done(&["emergency", "declare", "--reason", "訓練"]);

    drop(held);
    house.row("the row that waited", &[], |row| row["state"] == "sealed");
    house.terminate();
}
