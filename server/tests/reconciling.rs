//! Rows and files side by side through the real program: what lacks its counterpart is named, and the alarm is in the trail.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{fs, process::Output};

use common::{House, telephone, text};
use serde_json::Value;

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
