//! Requests through the real program: opened by one, decided by another, used for their own purpose, suspended.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    fs,
    process::{Command, Output},
};

use common::{House, telephone, text};
use serde_json::Value;

/// A house with a manager, two assistants, an auditor, and one sealed recording.
fn house() -> (House, String) {
    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    keep_a_day(&house);
    house.found();
    house.enlist("hanako", "assistant");
    let (from, until) = (today(), "2099-12-31");
    let designated = [
        "people",
        "designate",
        "hanako",
        "--from",
        &from,
        "--until",
        until,
    ];
    let designated = house.by("kacho", &designated);
    assert!(designated.status.success(), "{}", text(&designated));
    house.run();
    telephone::call(&house, "short", 1_600);
    let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    let id = row["id"].as_str().unwrap().to_owned();
    (house, id)
}

/// Recordings of today go at midnight.
fn keep_a_day(house: &House) {
    let config = fs::read_to_string(house.config()).unwrap();
    assert!(config.contains("days = 89"));
    fs::write(house.config(), config.replace("days = 89", "days = 1")).unwrap();
}

/// The first object of what was shown.
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    let shown = String::from_utf8(output.stdout.clone()).unwrap();
    serde_json::from_str(shown.lines().next().unwrap()).unwrap()
}

/// The code of a refusal, which names its clause.
fn code(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(3), "{}", text(output));
    let refusal: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(!refusal["clause"].as_str().unwrap().is_empty());
    refusal["code"].as_str().unwrap().to_owned()
}

const COMPLETE: [&str; 6] = [
    "--basis",
    "刑事訴訟法第197条第2項",
    "--requester",
    "試験警察署",
    "--document",
    "試発第1号",
];

fn open(house: &House, by: &str, kind: &str, recording: &str) -> String {
    let arguments = [
        "requests",
        "open",
        "--json",
        "--kind",
        kind,
        "--recording",
        recording,
    ];
    let opened = json(&house.by(by, &[&arguments[..], &COMPLETE].concat()));
    opened["id"].as_str().unwrap().to_owned()
}

fn decide(house: &House, by: &str, case: &str, verdict: &str) -> Output {
    house.by(
        by,
        &[
            "requests",
            "decide",
            case,
            verdict,
            "--reason",
            "根拠を確認",
            "--json",
        ],
    )
}

fn play(house: &House, recording: &str, purpose: &str, case: Option<&str>) -> Output {
    let arguments = [
        "recordings",
        "play",
        recording,
        "--purpose",
        purpose,
        "--json",
    ];
    let case: Vec<&str> = case.into_iter().flat_map(|case| ["--case", case]).collect();
    house.by("hanako", &[&arguments[..], &case].concat())
}

#[test]
fn a_request_permits_its_recordings_once_another_person_approved_it() {
    let (mut house, recording) = house();
    let incomplete = [
        "requests",
        "open",
        "--json",
        "--kind",
        "statute",
        "--recording",
        &recording,
        "--basis",
        "刑事訴訟法",
        "--requester",
        "試験警察署",
        "--document",
        " ",
    ];
    assert_eq!(
        code(&house.by("hanako", &incomplete)),
        "LEGAL_BASIS_REQUIRED"
    );
    assert_eq!(
        code(&play(&house, &recording, "STATUTE", None)),
        "DECISION_REQUIRED"
    );
    let case = open(&house, "hanako", "statute", &recording);
    let again = open(&house, "hanako", "statute", &recording);
    assert_eq!(again, case, "whoever got no answer opens one request");
    assert_eq!(
        code(&play(&house, &recording, "STATUTE", Some(&case))),
        "DECISION_REQUIRED"
    );
    assert_eq!(
        code(&decide(&house, "hanako", &case, "--approve")),
        "ROLE_NOT_PERMITTED"
    );
    assert_eq!(
        code(&decide(&house, "kanri", &case, "--approve")),
        "ROLE_NOT_PERMITTED"
    );
    json(&decide(&house, "kacho", &case, "--approve"));
    assert_eq!(
        json(&decide(&house, "kacho", &case, "--approve"))["state"],
        "already_so"
    );
    assert_eq!(
        code(&decide(&house, "kacho", &case, "--reject")),
        "ALREADY_DECIDED"
    );

    let played = play(&house, &recording, "STATUTE", Some(&case));
    assert!(
        played.status.success() && played.stdout.starts_with(b"RIFF"),
        "{}",
        text(&played)
    );
    assert_eq!(
        code(&play(&house, &recording, "SUBJECT_RIGHTS", Some(&case))),
        "DECISION_REQUIRED"
    );
    let wav = house.dir().join("case.wav");
    let exported = house.by(
        "hanako",
        &[
            "recordings",
            "export",
            &recording,
            "--purpose",
            "STATUTE",
            "--case",
            &case,
            "--out",
            wav.to_str().unwrap(),
            "--json",
        ],
    );
    // What leaves the city for a case leaves it in a package (K-19).
    assert_eq!(code(&exported), "PURPOSE_NOT_PERMITTED");
    assert!(!wav.exists());

    let own = open(&house, "kacho", "unreasonable", &recording);
    assert_eq!(
        code(&decide(&house, "kacho", &own, "--approve")),
        "SELF_APPROVAL"
    );
    house.terminate();
    let trail = trail(&house);
    assert!(
        trail.contains(&format!("\"purpose\":\"STATUTE\",\"case\":\"{case}\"")),
        "{trail}"
    );
    for word in ["試験警察署", "刑事訴訟法", "根拠を確認"] {
        assert!(!trail.contains(word));
        let catalogue = fs::read(house.dir().join("data/office/catalogue.db")).unwrap();
        let word = word.as_bytes();
        assert!(!catalogue.windows(word.len()).any(|window| window == word));
    }
}

#[test]
fn a_suspended_recording_is_heard_for_its_case_only_and_the_list_says_so() {
    let (house, recording) = house();
    let case = open(&house, "hanako", "subject", &recording);
    let suspend = || house.by("kacho", &["requests", "suspend", &case, "--json"]);
    assert_eq!(code(&suspend()), "DECISION_REQUIRED");
    json(&decide(&house, "kacho", &case, "--approve"));
    json(&suspend());
    assert_eq!(
        code(&play(&house, &recording, "STAFF_CHECK", None)),
        "USE_SUSPENDED"
    );
    let played = play(&house, &recording, "SUBJECT_RIGHTS", Some(&case));
    assert!(played.status.success(), "{}", text(&played));

    let list = |by: &str| house.by(by, &["requests", "list", "--json"]);
    assert_eq!(code(&list("kanri")), "ROLE_NOT_PERMITTED");
    let listed = json(&list("kacho"));
    assert_eq!(listed["id"], case.as_str());
    assert_eq!(listed["state"], "suspended");
    assert_eq!(listed["requester"], "試験警察署");
    assert_eq!(listed["reason"], "根拠を確認");
    assert_eq!(listed["recordings"][0], recording.as_str());
    assert_eq!(listed["decided_by"], "kacho");
    assert!(listed["decided_at"].as_str().unwrap().ends_with("+09:00"));
    assert!(trail(&house).contains("register_shown"));
}

/// The office's chain as it lies on the disk.
fn trail(house: &House) -> String {
    let files = fs::read_dir(house.dir().join("data/office/audit")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

fn request_hold(house: &House, by: &str, case: &str, recording: &str) -> Output {
    let arguments = [
        "holds",
        "request",
        "--json",
        "--case",
        case,
        "--ground",
        "5",
        "--recording",
        recording,
        "--review",
        &today(),
    ];
    house.by(by, &arguments)
}

fn today() -> String {
    rules::JstDay::of(jiff::Timestamp::now()).to_string()
}

fn id(output: &Output) -> String {
    json(output)["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_hold_is_decided_by_another_and_outlives_the_day_until_it_is_let_go() {
    let (mut house, recording) = house();
    let case = open(&house, "hanako", "unreasonable", &recording);
    json(&decide(&house, "kacho", &case, "--approve"));
    let hold = id(&request_hold(&house, "hanako", &case, &recording));
    let decide_hold = |by: &str| house.by(by, &["holds", "decide", &hold, "--approve", "--json"]);
    assert_eq!(code(&decide_hold("hanako")), "ROLE_NOT_PERMITTED");
    let again = id(&request_hold(&house, "hanako", &case, &recording));
    assert_eq!(again, hold, "whoever got no answer asks for one hold");
    let release = || house.by("kacho", &["holds", "release", &hold, "--json"]);
    assert_eq!(code(&release()), "DECISION_REQUIRED");
    json(&decide_hold("kacho"));
    let own = id(&request_hold(&house, "kacho", &case, &recording));
    let alone = house.by("kacho", &["holds", "decide", &own, "--approve", "--json"]);
    assert_eq!(code(&alone), "SELF_APPROVAL");
    let long = [
        "holds",
        "request",
        "--json",
        "--case",
        &case,
        "--ground",
        "law",
        "--recording",
        &recording,
        "--until",
        "2999-01-01",
    ];
    assert_eq!(code(&house.by("hanako", &long)), "HOLD_TOO_LONG");
    house.terminate();

    // Two days later nobody but the case hears it.
    let plan = json(&later(&house, None, &["dispose", "--plan", "--json"]));
    assert_eq!((&plan["due"], &plan["held"]), (&1.into(), &1.into()));
    let confirm = ["dispose", "--due", "--confirm-clock", "試験", "--json"];
    let disposed = later(&house, Some("kacho"), &confirm);
    assert!(disposed.status.success(), "{}", text(&disposed));
    let play_later = |purpose, case: &[&str]| {
        let arguments = [
            "recordings",
            "play",
            &recording,
            "--purpose",
            purpose,
            "--json",
        ];
        later(&house, Some("hanako"), &[&arguments[..], case].concat())
    };
    assert_eq!(code(&play_later("STAFF_CHECK", &[])), "DISPOSED");
    let played = play_later("UNREASONABLE_DEMAND", &["--case", &case]);
    assert!(played.status.success(), "{}", text(&played));
    package_later(&house, &case, &recording);
    let first = json(&later(&house, Some("kacho"), &["holds", "list", "--json"]));
    assert_eq!(
        (&first["state"], &first["overdue"]),
        (&"approved".into(), &"review".into())
    );
    let checked = later(&house, None, &["check"]);
    assert!(text(&checked).contains(&hold), "{}", text(&checked));

    // Letting it go disposes of it at once.
    json(&later(
        &house,
        Some("kacho"),
        &["holds", "release", &hold, "--json"],
    ));
    let gone = play_later("UNREASONABLE_DEMAND", &["--case", &case]);
    assert_eq!(code(&gone), "DISPOSED");
    assert!(trail(&house).contains("\"event\":\"recording_disposed\""));
    assert_eq!(house.rows(&[])[0]["state"], "disposed");
}

/// The header of the recording cannot be read when its hold is decided; two days later it can again.
#[test]
fn a_day_waits_while_what_was_decided_to_be_held_is_not_in_the_keys() {
    let (mut house, recording) = house();
    let case = open(&house, "hanako", "unreasonable", &recording);
    json(&decide(&house, "kacho", &case, "--approve"));
    let hold = id(&request_hold(&house, "hanako", &case, &recording));
    house.terminate();
    let folder = house.dir().join("data/vault").join(today());
    let file = folder.join(format!("{recording}-000.krec"));
    let aside = house.dir().join("aside");
    fs::rename(&file, &aside).unwrap();
    fs::create_dir(&file).unwrap();
    let decided = house.by("kacho", &["holds", "decide", &hold, "--approve"]);
    assert_eq!(decided.status.code(), Some(4), "{}", text(&decided));

    let confirm = ["dispose", "--due", "--confirm-clock", "試験", "--json"];
    let disposed = later(&house, Some("kacho"), &confirm);

    assert_eq!(disposed.status.code(), Some(4), "{}", text(&disposed));
    let shown = String::from_utf8(disposed.stdout.clone()).unwrap();
    let day: Value = serde_json::from_str(shown.lines().next().unwrap()).unwrap();
    assert_eq!((&day["disposed"], &day["failed"]), (&0.into(), &1.into()));
    assert!(text(&disposed).contains("holds"), "{}", text(&disposed));
    let plan = json(&later(&house, None, &["dispose", "--plan", "--json"]));
    assert_eq!((&plan["held"], &plan["failed"]), (&0.into(), &1.into()));
    let checked = later(&house, None, &["check"]);
    assert!(
        text(&checked).contains("決定された保全が鍵にありません"),
        "{}",
        text(&checked)
    );
    let told = trail(&house);
    let begun = format!("\"disposal_begun\",\"day\":\"{}\"", today());
    assert!(told.contains("HOLD_NOT_SETTLED") && !told.contains(&begun));

    fs::remove_dir(&file).unwrap();
    fs::rename(&aside, &file).unwrap();
    json(&later(
        &house,
        Some("kacho"),
        &["dispose", "--due", "--json"],
    ));
    let play = ["recordings", "play", &recording, "--json"];
    let play = [&play[..], &["--purpose", "UNREASONABLE_DEMAND"]].concat();
    let play = [&play[..], &["--case", &case]].concat();
    let played = later(&house, Some("hanako"), &play);
    assert!(played.status.success(), "{}", text(&played));
}

/// What the case holds leaves under it, past its day.
fn package_later(house: &House, case: &str, recording: &str) {
    let request = [
        "handover",
        "request",
        "--request",
        case,
        "--receiver",
        "試験警察署",
        "--purpose",
        "UNREASONABLE_DEMAND",
        "--medium",
        "USB-12",
        "--recording",
        recording,
        "--json",
    ];
    let hand_over = id(&later(house, Some("hanako"), &request));
    let decide = ["handover", "decide", &hand_over, "--approve", "--reason"];
    let decide = [&decide[..], &["被害届に添える", "--json"]].concat();
    json(&later(house, Some("kacho"), &decide));
    let file = house.dir().join("held.zip");
    let out = file.to_str().unwrap();
    let package = ["handover", "package", &hand_over, "--zip", "--out", out];
    let package = [&package[..], &["--json"]].concat();
    let made = json(&later(house, Some("hanako"), &package));
    assert_eq!(made["bytes"], fs::metadata(&file).unwrap().len());
}

/// A command two days from now.
fn later(house: &House, by: Option<&str>, arguments: &[&str]) -> Output {
    let proof = by.map(|by| house.proof(by));
    Command::new("faketime")
        .args(["-f", "+2d", env!("CARGO_BIN_EXE_denwaban")])
        .args(arguments)
        .args(proof.iter().flatten())
        .arg("--config")
        .arg(house.config())
        .env("HOME", house.dir())
        .env_remove("XDG_RUNTIME_DIR")
        .output()
        .unwrap()
}

#[test]
fn a_subjects_right_destroys_one_recording_early_and_a_demand_does_not() {
    let (house, recording) = house();
    let dispose = |by: &str, case: &str| {
        let arguments = ["dispose", "--one", &recording, "--decision", case, "--json"];
        house.by(by, &arguments)
    };
    let demand = open(&house, "hanako", "unreasonable", &recording);
    json(&decide(&house, "kacho", &demand, "--approve"));
    assert_eq!(code(&dispose("kacho", &demand)), "DECISION_REQUIRED");
    let case = open(&house, "hanako", "subject", &recording);
    assert_eq!(code(&dispose("kacho", &case)), "DECISION_REQUIRED");
    json(&decide(&house, "kacho", &case, "--approve"));
    assert_eq!(code(&dispose("hanako", &case)), "ROLE_NOT_PERMITTED");
    let hold = id(&request_hold(&house, "hanako", &demand, &recording));
    json(&house.by("kacho", &["holds", "decide", &hold, "--approve", "--json"]));
    assert_eq!(code(&dispose("kacho", &case)), "LEGAL_HOLD");
    json(&house.by("kacho", &["holds", "release", &hold, "--json"]));
    assert_eq!(json(&dispose("kacho", &case))["state"], "complete");
    assert_eq!(
        code(&play(&house, &recording, "SUBJECT_RIGHTS", Some(&case))),
        "DISPOSED"
    );
    let certificate = house.dir().join("certificate.note");
    let out = certificate.to_str().unwrap();
    house.done(&["dispose", "certificate", &recording, "--out", out]);
    assert!(
        fs::read_to_string(certificate)
            .unwrap()
            .contains("disposed 1")
    );
}
