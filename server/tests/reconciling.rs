//! Rows and files side by side through the real program: what lacks its counterpart is named, and the alarm is in the trail.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{fs, path::Path, process::Output, sync::Arc};

use common::{House, telephone, text, wait_for};
use jiff::Timestamp;
use rules::{AuditDraft, AuditEvent, DayCounts, JstDay, RecordingId};
use serde_json::{Value, json};
use storage::{AuditTrail, Duty, Layout, OsDisk};

fn compared(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)))
}

#[test]
fn a_file_that_no_row_knows_is_named() {
    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.run();
    telephone::call(&house, "one", 4_000);
    house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    let whole = house.done(&["reconcile", "--json"]);
    let whole = compared(&whole);
    for (key, expected) in [
        ("calls", 1),
        ("recorded", 1),
        ("unrecorded", 0),
        ("missing", 0),
        ("orphan_files", 0),
        ("orphan_rows", 0),
    ] {
        assert_eq!(whole[key], expected, "{key}");
    }
    house.terminate();

    let folder = house.dir().join("data/vault");
    let file = fs::read_dir(&folder)
        .unwrap()
        .flat_map(|day| fs::read_dir(day.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "krec"))
        .unwrap();
    // Of an id as old as can be, so that it is not one whose row is still on its way.
    let stray = "0".repeat(26);
    fs::copy(&file, file.with_file_name(format!("{stray}-000.krec"))).unwrap();
    let stray_found = house.denwaban(&["reconcile", "--json"]);
    assert_eq!(stray_found.status.code(), Some(5), "{}", text(&stray_found));
    let found = compared(&stray_found);
    assert_eq!(
        (&found["recorded"], &found["orphan_files"]),
        (&1.into(), &1.into())
    );
    assert_eq!(found["discrepancies"][0]["recording"], stray.as_str());
    let listed = text(&house.done(&["audit", "list", "--json"]));
    assert!(listed.contains("UNRECONCILED"), "{listed}");
}

#[test]
fn a_recording_that_lost_its_sound_is_named_and_refused_and_a_day_that_cannot_be_read_keeps_no_other_back()
 {
    let (mut house, row) = telephone::recorded();
    let recording = row["id"].as_str().unwrap();
    house.terminate();
    let vault = house.dir().join("data/vault");
    let days = fs::read_dir(&vault).unwrap();
    let name = format!("{recording}-000.krec");
    let file = days
        .map(|day| day.unwrap().path().join(&name))
        .find(|path| path.exists())
        .unwrap();
    let header = 600;
    fs::File::options()
        .write(true)
        .open(&file)
        .and_then(|file| file.set_len(header))
        .unwrap();
    fs::write(vault.join("2026-10-01"), "no folder").unwrap();

    let found = house.denwaban(&["reconcile", "--json"]);

    assert_eq!(found.status.code(), Some(5), "{}", text(&found));
    let found = compared(&found);
    let counted = ["recorded", "incomplete", "missing", "unread_days"].map(|key| &found[key]);
    assert_eq!(counted, [1, 1, 0, 1]);
    assert_eq!(found["discrepancies"][0]["finding"], "not_whole");
    assert!(found["unread"]["2026-10-01"].is_string(), "{found}");
    let out = house.dir().join("half.wav");
    let out = out.to_str().unwrap();
    let purpose = ["--purpose", "STAFF_CHECK", "--out", out];
    let export = [&["recordings", "export", recording], &purpose[..]].concat();
    let refused = house.by("hanako", &export);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(
        text(&refused).contains("as its row says"),
        "{}",
        text(&refused)
    );
    assert!(!Path::new(out).exists());
    // The office's own round comes to its end, and tells it once.
    house.run();
    wait_for("the round", || {
        house.log().contains("UNRECONCILED").then_some(())
    });
    assert!(house.log().contains("a day cannot be compared"));
    let listed = text(&house.by("kacho", &["audit", "list", "--json"]));
    let told = listed.matches("UNRECONCILED").count();
    assert!((1..=2).contains(&told), "{listed}");
}

#[test]
fn a_day_with_fewer_calls_than_the_trail_had_counted_is_named_whatever_rows_and_files_say() {
    let (mut house, row) = telephone::recorded();
    house.terminate();
    let recording: RecordingId = row["id"].as_str().unwrap().parse().unwrap();
    let day = JstDay::of(recording.made_at());
    let layout = Layout::new(house.dir().join("data"), house.dir().join("root"));
    let mut trail = AuditTrail::open(Arc::new(OsDisk), &layout, Duty::Office).unwrap();
    let counts = DayCounts {
        calls: 7,
        recorded: 7,
        ..DayCounts::default()
    };
    let counted = AuditEvent::DayCounted { day, counts };
    let _ = trail
        .append(AuditDraft::system(counted), Timestamp::now())
        .unwrap();
    drop(trail);

    let found = house.denwaban(&["reconcile", "--json"]);

    assert_eq!(found.status.code(), Some(5), "{}", text(&found));
    let found = compared(&found);
    let counts = ["calls", "recorded", "missing"].map(|key| &found[key]);
    assert_eq!(counts, [7, 1, 6]);
    let named = json!([{ "day": day, "finding": "fewer_calls", "counted": 7, "found": 1 }]);
    assert_eq!(found["discrepancies"], named);
    let listed = text(&house.done(&["audit", "list", "--json"]));
    assert!(listed.contains("UNRECONCILED"), "{listed}");
}
