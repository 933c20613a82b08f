//! Roles that end and begin anew, through the real program.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::process::Output;

use common::{House, text};
use serde_json::Value;

fn house() -> House {
    let house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.found();
    house
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", text(output));
}

/// The code on standard error of whoever is refused.
fn code(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(3), "{}", text(output));
    let refusal: Value = serde_json::from_slice(&output.stderr).unwrap();
    refusal["code"].as_str().unwrap().to_owned()
}

/// A second manager, as whom a command is run from then on.
fn appoint(house: &House, id: &str) {
    house.enlist(id, "exchange_staff");
    done(&house.by("kacho", &["people", "appoint", id]));
}

#[test]
fn a_manager_who_left_decides_nothing_until_appointed_anew() {
    let house = house();
    appoint(&house, "bucho");
    let decide = [
        "people",
        "train",
        "kanri",
        "--course",
        "x",
        "--on",
        "2026-11-01",
        "--json",
    ];
    let [as_id, id, option, file] = house.proof("kacho");
    house.done(&["login", &as_id, &id, &option, &file]);
    done(&house.denwaban(&decide));
    assert_eq!(
        code(&house.by("kacho", &["people", "withdraw", "kacho", "--json"])),
        "SELF_APPROVAL"
    );
    done(&house.by("bucho", &["people", "withdraw", "kacho"]));
    // The login that goes on and the right password are refused alike.
    assert_eq!(code(&house.denwaban(&decide)), "ROLE_ENDED");
    assert_eq!(code(&house.by("kacho", &decide)), "ROLE_ENDED");
    assert_eq!(
        code(&house.by("kacho", &["audit", "list", "--json"])),
        "ROLE_ENDED"
    );
    let listed = house.by("bucho", &["people", "list", "--json"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let kacho = listed
        .lines()
        .find(|line| line.contains("\"id\":\"kacho\""));
    assert!(kacho.unwrap().contains("\"withdrawn\":true"), "{listed}");
    assert_eq!(
        code(&house.by("bucho", &["people", "withdraw", "kanri", "--json"])),
        "ROLE_NOT_GRANTABLE"
    );
    done(&house.by("bucho", &["people", "appoint", "kacho"]));
    done(&house.by("kacho", &decide));
}

/// Law 1: whom the socket lets in declares it, and the entry names nobody whose role was withdrawn.
#[test]
fn a_duty_officer_who_was_withdrawn_is_not_named_and_the_emergency_is_declared() {
    let house = house();
    house.enlist("toban", "duty_officer");
    done(&house.by("kanri", &["people", "withdraw", "toban"]));
    let declare = ["emergency", "declare", "--reason", "訓練", "--json"];
    done(&house.by("toban", &declare));
    let trail = text(&house.by("kacho", &["audit", "list", "--json"]));
    let declared = trail
        .lines()
        .find(|line| line.contains("emergency_declared"));
    let declared = declared.unwrap();
    assert!(!declared.contains("toban"), "{declared}");
    let add = [
        "people",
        "add",
        "toban",
        "--role",
        "duty_officer",
        "--unit",
        "管理所管課",
    ];
    let again = house.by("kanri", &[&add[..], &["--json"]].concat());
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["id"], "toban");
}
