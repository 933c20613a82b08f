//! A lost vault through the real program: calls are carried and others listen before the audio is back.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;

use common::{House, hand_over::code, telephone, text};
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

    let restored = house.by("kanri", &["restore", "--from", backup]);

    assert!(text(&restored).contains("awaited=1"), "{}", text(&restored));
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

    let brought = house.done(&["restore", "--audio"]);

    assert!(text(&brought).contains("files=1"), "{}", text(&brought));
    let heard = house.by("hanako", &export);
    assert!(heard.status.success(), "{}", text(&heard));
    let again = house.done(&["restore", "--audio"]);
    assert!(text(&again).contains("no audio is awaited"));
    let trail = text(&house.done(&["audit", "list", "--json"]));
    for event in ["\"restored\"", "\"audio_restored\"", "AUDIO_AWAITED"] {
        assert!(trail.contains(event), "{event}\n{trail}");
    }
}
